/* Host-name patterns. The input is lines: patterns, an empty line, names to look up. What the table
 * answers must be what trying every pattern does. */
#include "core/assert.h"
#include "core/table/domain.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define PATTERNS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct line {
    const char *text;
    size_t len;
};

static struct line patterns[PATTERNS_MAX];
static size_t count;

static bool next_line(const char **at, size_t *left, struct line *out)
{
    if (*left == 0)
        return false;
    const char *end = memchr(*at, '\n', *left);
    *out = (struct line){*at, end ? (size_t)(end - *at) : *left};
    size_t taken = out->len + (end ? 1 : 0);
    *at += taken;
    *left -= taken;
    return true;
}

static size_t without_dot(struct line l)
{
    return l.len > 0 && l.text[l.len - 1] == '.' ? l.len - 1 : l.len;
}

static bool same(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool upper_a = a[i] >= 'A' && a[i] <= 'Z', upper_b = b[i] >= 'A' && b[i] <= 'Z';
        if ((upper_a ? a[i] + 32 : a[i]) != (upper_b ? b[i] + 32 : b[i]))
            return false;
    }
    return true;
}

/* 1000 = exact, else the pattern's length, 0 = no match. */
static size_t how_well(struct line pattern, struct line name)
{
    size_t p = without_dot(pattern), n = without_dot(name);
    bool odd = n == 0 || n > NU_DOMAIN_MAX_BYTES || name.text[0] == '.' ||
               name.text[n - 1] == '.' || memmem(name.text, n, "..", 2);
    if (p == 1 && pattern.text[0] == '*')
        return 1;
    if (odd)
        return 0;
    if (pattern.text[0] != '*')
        return p == n && same(pattern.text, name.text, n) ? 1000 : 0;
    size_t suffix = p - 1;
    return n > suffix && same(pattern.text + 1, name.text + n - suffix, suffix) ? p : 0;
}

static void look_up(const struct nu_domain_table *table, struct line name)
{
    struct nu_domain_iter it;
    size_t want = 0, got = 0, last = 1001;
    for (size_t i = 0; i < count; i++)
        want += how_well(patterns[i], name) > 0;
    for (struct line *v = nu_domain_find(table, name.text, name.len, &it); v;
         v = nu_domain_next(&it), got++) {
        size_t score = how_well(*v, name);
        nu_assert(score > 0 && score < last);
        last = score;
    }
    nu_assert(got == want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_domain_table *table = nu_domain_new(NULL);
    const char *at = (const char *)data, *reason;
    struct line line;
    count = 0;
    while (next_line(&at, &len, &line) && line.len > 0 && count < PATTERNS_MAX) {
        patterns[count] = line;
        enum nu_err err = nu_domain_add(table, line.text, line.len, &patterns[count], &reason);
        nu_assert((err == NU_ERR_SYNTAX) == (reason != NULL));
        count += err == NU_OK;
    }
    while (next_line(&at, &len, &line))
        look_up(table, line);
    nu_domain_free(table);
    return 0;
}
