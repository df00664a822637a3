/* One form for all paths that mean the same (RFC 3986 6.2.2), so that what routes match on is what
 * the server will act on. The result replaces the path that goes to the server. */
#ifndef NU_PROTOCOLS_HTTP_PATH_H
#define NU_PROTOCOLS_HTTP_PATH_H

#include "protocols/http/head.h"

/* An escaped slash (%2F) or, with REJECT, backslash (%5C): a part of a segment to some servers, a
 * separator to others. */
enum nu_slashes {
    NU_SLASHES_KEEP,   /* stays escaped, part of its segment */
    NU_SLASHES_DECODE, /* becomes "/", before dot segments are removed; %5C stays */
    NU_SLASHES_REJECT, /* refused */
};
const char *nu_slashes_str(enum nu_slashes slashes);

struct nu_path_policy {
    uint8_t slashes; /* enum nu_slashes */
    bool merge;      /* "//" is "/", after dot segments were removed */
};

enum nu_path_error {
    NU_PATH_FINE,
    NU_PATH_ESCAPE,    /* "%" without two hexadecimal digits */
    NU_PATH_NUL,       /* %00: some servers end the path there */
    NU_PATH_BACKSLASH, /* a backslash as it is: browsers and some servers take it for a slash */
    NU_PATH_SLASH,     /* an escaped slash, refused by the policy */
};
/* "path.invalid_escape", ...: details for logs, as h1_error.h has them. */
const char *nu_path_error_str(enum nu_path_error error);

/* Normalizes up to the query, which stays as it is: escapes of unreserved characters are decoded,
 * others get capital digits, dot segments go (above the root there is nothing: they end there).
 * `out` is `path` itself where nothing changes, else in the arena; never longer. A path that does
 * not begin with "/" ("*", or none) is left alone. Normalizing twice changes nothing more. `out` is
 * `path` on errors too. */
enum nu_path_error nu_path_normalize(struct nu_path_policy policy, struct nu_text path,
                                     struct nu_arena *arena, struct nu_text *out);

#endif
