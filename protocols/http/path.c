/* Path normalization; see path.h. Escapes first, then dot segments, then doubled slashes: the order
 * of RFC 3986 6.2.2, so that "/%2e%2e/" is what "/../" is. */
#include "protocols/http/path.h"

#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http/chars_priv.h"

static size_t query_at(struct nu_text path)
{
    return ch_before(path.at, path.len, '?');
}

/* Whether nothing could change: no escape, no backslash, no "/." and no "//". */
static bool is_plain(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '%' || at[i] == '\\')
            return false;
        if (at[i] == '/' && i + 1 < len && (at[i + 1] == '.' || at[i + 1] == '/'))
            return false;
    }
    return true;
}

/* One escape: decoded to one byte, or with capital digits. */
static enum nu_path_error put_escape(enum nu_slashes slashes, const char *from, char **to)
{
    static const char digits[] = "0123456789ABCDEF";
    char c = (char)(ch_hex(from[1]) << 4 | ch_hex(from[2]));
    if (c == 0)
        return NU_PATH_NUL;
    if (slashes == NU_SLASHES_REJECT && (c == '/' || c == '\\'))
        return NU_PATH_SLASH;
    if (ch_is(c, CH_UNRESERVED) || (c == '/' && slashes == NU_SLASHES_DECODE)) {
        *(*to)++ = c;
        return NU_PATH_FINE;
    }
    *(*to)++ = '%';
    *(*to)++ = digits[(uint8_t)c >> 4];
    *(*to)++ = digits[c & 15];
    return NU_PATH_FINE;
}

static enum nu_path_error put_escapes(enum nu_slashes slashes, const char *from, size_t len,
                                      char *to, size_t *out_len)
{
    char *begin = to;
    for (size_t i = 0; i < len; i++) {
        if (from[i] == '\\')
            return NU_PATH_BACKSLASH;
        if (from[i] != '%') {
            *to++ = from[i];
            continue;
        }
        if (len - i < 3 || !ch_is(from[i + 1], CH_HEX) || !ch_is(from[i + 2], CH_HEX))
            return NU_PATH_ESCAPE;
        enum nu_path_error error = put_escape(slashes, from + i, &to);
        if (error)
            return error;
        i += 2;
    }
    *out_len = (size_t)(to - begin);
    return NU_PATH_FINE;
}

/* Of the segment at `at`: 1 for ".", 2 for "..", else 0. */
static unsigned dots(const char *at, size_t len)
{
    if (len == 0 || len > 2 || at[0] != '.' || (len == 2 && at[1] != '.'))
        return 0;
    return (unsigned)len;
}

/* RFC 3986 5.2.4 in place: each segment with the slash before it. Cost is linear: a segment that
 * ".." takes away was put there by an earlier step. */
static size_t remove_dots(char *path, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len;) {
        size_t end = i + 1 + ch_before(path + i + 1, len - i - 1, '/');
        unsigned is = dots(path + i + 1, end - i - 1);
        if (is == 2)
            while (to > 0 && path[--to] != '/')
                ;
        if (!is) {
            memmove(path + to, path + i, end - i);
            to += end - i;
        } else if (end == len) {
            path[to++] = '/';
        }
        i = end;
    }
    return to;
}

static size_t merge(char *path, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++)
        if (path[i] != '/' || to == 0 || path[to - 1] != '/')
            path[to++] = path[i];
    return to;
}

enum nu_path_error nu_path_normalize(struct nu_path_policy policy, struct nu_text path,
                                     struct nu_arena *arena, struct nu_text *out)
{
    *out = path;
    size_t query = query_at(path), len;
    if (path.len == 0 || *path.at != '/' || is_plain(path.at, query))
        return NU_PATH_FINE;
    char *to = nu_arena_alloc(arena, path.len);
    enum nu_path_error error = put_escapes(policy.slashes, path.at, query, to, &len);
    if (error)
        return error;
    len = remove_dots(to, len);
    if (policy.merge)
        len = merge(to, len);
    if (len == query && memcmp(to, path.at, len) == 0)
        return NU_PATH_FINE;
    memcpy(to + len, path.at + query, path.len - query);
    *out = nu_text(to, len + path.len - query);
    return NU_PATH_FINE;
}

const char *nu_slashes_str(enum nu_slashes slashes)
{
    static const char *const names[] = {"keep", "decode", "reject"};
    nu_assert((unsigned)slashes < sizeof names / sizeof *names);
    return names[slashes];
}

const char *nu_path_error_str(enum nu_path_error error)
{
    static const char *const names[] = {"", "path.invalid_escape", "path.nul", "path.backslash",
                                        "path.escaped_slash"};
    nu_assert((unsigned)error < sizeof names / sizeof *names);
    return names[error];
}
