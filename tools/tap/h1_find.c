/* Where messages of HTTP/1 begin, in bytes that may be anything; and whether a connection speaks
 * it. */
#include "tools/tap/h1_priv.h"

#include "core/arena.h"

#include <string.h>

/* Before a target; those that are not here are found at the beginning of a line only. */
static const char *const methods[] = {"GET",    "HEAD",     "POST",    "PUT",
                                      "DELETE", "PATCH",    "OPTIONS", "CONNECT",
                                      "TRACE",  "PROPFIND", "QUERY",   "PROPPATCH"};
#define METHODS (sizeof methods / sizeof *methods)

static bool is_version(const char *at, size_t len)
{
    return len >= 8 && memcmp(at, "HTTP/1.", 7) == 0 && at[7] >= '0' && at[7] <= '9';
}

static bool is_upper(char c)
{
    return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static bool is_method(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_upper(at[i]))
            return false;
    return len > 0 && len <= NU_H1_METHOD_MAX_BYTES;
}

/* The known method that ends where the target begins; 0: none. */
static size_t known_before(const char *line, size_t len)
{
    for (size_t i = 0; i < METHODS; i++) {
        size_t n = strlen(methods[i]);
        if (n <= len && memcmp(line + len - n, methods[i], n) == 0)
            return n;
    }
    return 0;
}

static const char *last_space(const char *line, size_t len)
{
    return len ? memrchr(line, ' ', len) : NULL;
}

/* A whole line: METHOD SP TARGET SP VERSION at its end. */
static long find_request(const char *line, size_t len)
{
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    const char *version = last_space(line, len);
    if (!version || !is_version(version + 1, (size_t)(line + len - version - 1)))
        return -1;
    const char *target = last_space(line, (size_t)(version - line));
    if (!target || target + 1 == version)
        return -1;
    size_t before = (size_t)(target - line);
    if (is_method(line, before))
        return 0;
    size_t known = known_before(line, before);
    return known ? (long)(before - known) : -1;
}

/* VERSION SP 3DIGIT, then a space or the line's end. */
static bool is_status(const char *at, size_t len)
{
    if (len < 13 || !is_version(at, len) || at[8] != ' ')
        return false;
    for (size_t i = 9; i < 12; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return at[12] == ' ' || at[12] == '\r' || at[12] == '\n';
}

static long find_response(const char *line, size_t len)
{
    const char *at = line;
    while ((at = memmem(at, (size_t)(line + len - at), "HTTP/1.", 7)) != NULL) {
        if (is_status(at, (size_t)(line + len - at)))
            return at - line;
        at++;
    }
    return -1;
}

long h1_find_start(int dir, const char *line, size_t len)
{
    return dir ? find_response(line, len) : find_request(line, len);
}

static struct nu_text kept(struct nu_http_head *head, const uint8_t *at, size_t len)
{
    return nu_text(nu_arena_strndup(head->arena, (const char *)at, len), len);
}

/* Up to the next space or the line's end. */
static size_t word(const uint8_t *at, size_t len)
{
    size_t n = 0;
    while (n < len && at[n] > ' ')
        n++;
    return n;
}

void h1_read_refused(int dir, struct nu_http_head *head, const uint8_t *at, size_t len)
{
    size_t n = word(at, len), rest = n < len && at[n] == ' ' ? n + 1 : len;
    if (dir) {
        if (is_status((const char *)at, len))
            head->status = (uint16_t)(100 * (at[9] - '0') + 10 * (at[10] - '0') + at[11] - '0');
        return;
    }
    if (!is_method((const char *)at, n))
        return;
    head->method = kept(head, at, n);
    head->method_id = (uint8_t)nu_method_find(head->method.at, n);
    head->target = kept(head, at + rest, word(at + rest, len - rest));
}

/* --- recognition --- */

/* Of a whole line, or what there is of the first one. */
static enum tap_found judge_request(const char *at, size_t len)
{
    const char *end = memchr(at, '\n', len);
    size_t n = 0;
    while (n < len && is_upper(at[n]))
        n++;
    if (n == len)
        return n <= NU_H1_METHOD_MAX_BYTES ? TAP_MORE : TAP_NO;
    if (n == 0 || at[n] != ' ')
        return TAP_NO;
    if (end && find_request(at, (size_t)(end - at)) == 0)
        return TAP_YES;
    /* With a known method it is meant for HTTP, whatever is wrong with the rest. */
    if (nu_method_find(at, n) != NU_METHOD_OTHER && n + 1 < len)
        return at[n + 1] == '/' || end ? TAP_YES : TAP_MORE;
    return end ? TAP_NO : TAP_MORE;
}

static enum tap_found judge_response(const char *at, size_t len)
{
    size_t n = len < 7 ? len : 7;
    if (memcmp(at, "HTTP/1.", n) != 0)
        return TAP_NO;
    if (len < 13)
        return TAP_MORE;
    return is_status(at, len) ? TAP_YES : TAP_NO;
}

/* Somewhere in what there is of a direction that did not begin with it. */
static bool has_start(int dir, struct nu_piece bytes)
{
    const char *at = (const char *)bytes.data, *line;
    for (size_t left = bytes.len, n; left && (line = memchr(at, '\n', left)) != NULL; left -= n) {
        n = (size_t)(line + 1 - at);
        if (h1_find_start(dir, at, n) >= 0)
            return true;
        at = line + 1;
    }
    return false;
}

/* Whether `bytes` are what the end `as` says. */
static enum tap_found judge(const struct tap_start *start, int dir, int as)
{
    const char *at = (const char *)start->first[dir].data;
    size_t len = start->first[dir].len;
    if (!start->whole[dir])
        return has_start(as, start->first[dir]) ? TAP_YES : TAP_MORE;
    while (len && (*at == '\r' || *at == '\n')) {
        at++;
        len--;
    }
    if (len == 0)
        return TAP_MORE;
    return as ? judge_response(at, len) : judge_request(at, len);
}

static enum tap_found find(const struct tap_start *start)
{
    enum tap_found client = judge(start, 0, 0), server = judge(start, 1, 1);
    if (client == TAP_YES || server == TAP_YES)
        return TAP_YES;
    if (start->may_turn && (judge(start, 0, 1) == TAP_YES || judge(start, 1, 0) == TAP_YES))
        return TAP_TURNED;
    /* A server may answer in HTTP to what is none. */
    if (server == TAP_NO || (client == TAP_NO && (start->first[1].len || start->ended[1])))
        return TAP_NO;
    return TAP_MORE;
}

const struct tap_recognizer tap_is_h1 = {find, h1_open};
