/* What a client says it can decode (Accept-Encoding, RFC 9110 12.5.3). */
#ifndef NU_PROTOCOLS_CODING_ACCEPT_H
#define NU_PROTOCOLS_CODING_ACCEPT_H

#include "protocols/coding/coder.h"
#include "protocols/http/head.h"

/* Why it is this coding. */
enum nu_accept_why {
    NU_ACCEPT_NONE,     /* there is no such field */
    NU_ACCEPT_NAMED,    /* one on offer is named */
    NU_ACCEPT_WILDCARD, /* "*" stands for one */
    NU_ACCEPT_IDENTITY, /* none at all is preferred */
    NU_ACCEPT_NOT,      /* the field names none on offer, or with q=0 */
};
const char *nu_accept_why_str(enum nu_accept_why why);

/* What the fields by that name say, as one list, copied to the arena: heads change on their way.
 * `at` is NULL where there is none. */
struct nu_text nu_accept_copy(const struct nu_http_head *request, struct nu_arena *arena);
/* The offered coding that such a list likes best, the earlier one of equals; IDENTITY where it
 * takes none of them, or likes that better. No allocation; linear in the bytes of the list. */
enum nu_coding nu_accept_coding(struct nu_text list, const enum nu_coding *offered, size_t count,
                                enum nu_accept_why *why);

/* Whether one of the comma-separated values of a field is `token`, in any case of letters: Vary,
 * Cache-Control. What follows a token's ";" or "=" does not count. */
bool nu_field_has(const struct nu_http_head *head, enum nu_hdr id, const char *token);

#endif
