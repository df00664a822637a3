/* Names in certificates against patterns. The input: a kind (d, u or e), the pattern, a newline,
 * the name. What matches has to look like the pattern; how it is matched is not looked at. */
#include "core/assert.h"
#include "tls/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t count(const char *text, size_t len, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += text[i] == c;
    return n;
}

static bool ends_with(const char *name, size_t len, const char *end, bool fold)
{
    size_t n = strlen(end);
    if (len < n)
        return false;
    return fold ? strncasecmp(name + len - n, end, n) == 0 : memcmp(name + len - n, end, n) == 0;
}

static void judge_dns(const char *pattern, const char *name, size_t len)
{
    nu_assert(count(name, len, '*') == 0 && len <= 253);
    if (*pattern != '*') {
        nu_assert(len == strlen(pattern) && strncasecmp(name, pattern, len) == 0);
        return;
    }
    nu_assert(count(name, len, '.') == count(pattern, strlen(pattern), '.'));
    nu_assert(*name != '.' && ends_with(name, len, pattern + 1, true));
}

static void judge_uri(const char *pattern, const char *name, size_t len)
{
    size_t stars = count(pattern, strlen(pattern), '*'), before = strcspn(pattern, "*");
    if (!stars) {
        nu_assert(len == strlen(pattern) && memcmp(name, pattern, len) == 0);
        return;
    }
    /* Scheme and authority are never a star's; nor is anything that names more than a segment. */
    nu_assert(len > before && memcmp(name, pattern, before) == 0);
    nu_assert(count(pattern, before, '/') >= 3);
    nu_assert(count(name + before, len - before, '*') == 0);
    nu_assert(count(name, len, '/') >= count(pattern, strlen(pattern), '/'));
    const char *last = strrchr(pattern, '*') + 1;
    nu_assert(ends_with(name, len, last, false));
    if (*last)
        nu_assert(count(name, len, '/') == count(pattern, strlen(pattern), '/'));
    nu_assert(!memmem(name + before, len - before, "/../", 4) || strstr(pattern, "/../"));
}

static void judge_email(const char *pattern, const char *name, size_t len)
{
    nu_assert(count(name, len, '@') == 1 && count(name, len, '*') == 0 && *name != '@');
    nu_assert(ends_with(name, len, strchr(pattern, '@'), true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const judge[TLS_NAME_KINDS])(const char *, const char *,
                                               size_t) = {judge_dns, judge_uri, judge_email};
    const char *why, *end = len ? memchr(data, '\n', len) : NULL;
    const char *kinds = "due", *kind = len && data[0] ? strchr(kinds, data[0]) : NULL;
    if (!end || !kind)
        return 0;
    const char *text = (const char *)data + 1, *name = end + 1;
    size_t name_len = len - (size_t)(name - (const char *)data);
    char *pattern = calloc(1, (size_t)(end - text) + 1);
    nu_assert(pattern != NULL);
    memcpy(pattern, text, (size_t)(end - text)); /* strndup may look for a NUL behind the input */
    enum tls_name_kind which = (enum tls_name_kind)(kind - kinds);
    if (tls_pattern_check(which, pattern, &why)) {
        if (tls_pattern_matches(which, pattern, name, name_len)) {
            nu_assert(memchr(name, 0, name_len) == NULL);
            judge[which](pattern, name, name_len);
        }
    } else {
        nu_assert(why != NULL);
    }
    free(pattern);
    return 0;
}
