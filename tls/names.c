/* Matching of names in certificates; see names.h. */
#include "tls/names.h"

#include "core/assert.h"

#include <string.h>

/* A stretch of a text. */
struct part {
    const char *at;
    size_t len;
};

const char *tls_name_kind_str(enum tls_name_kind kind)
{
    static const char *const names[] = {"dns", "uri", "email"};
    nu_assert((unsigned)kind < sizeof names / sizeof *names);
    return names[kind];
}

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_folded(struct part a, struct part b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (fold(a.at[i]) != fold(b.at[i]))
            return false;
    return true;
}

static bool same(struct part a, struct part b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static bool is_star(struct part p)
{
    return p.len == 1 && *p.at == '*';
}

/* Takes what stands before the next `sep`, or all, off the text. */
static struct part cut(struct part *text, char sep, bool *more)
{
    const char *found = text->len ? memchr(text->at, sep, text->len) : NULL;
    struct part head = {text->at, found ? (size_t)(found - text->at) : text->len};
    size_t taken = head.len + (found != NULL);
    *more = found != NULL;
    *text = (struct part){text->at + taken, text->len - taken};
    return head;
}

/* --- dns --- */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (fold(c) >= 'a' && fold(c) <= 'z');
}

static bool is_label(struct part p)
{
    if (p.len == 0 || p.len > 63)
        return false;
    for (size_t i = 0; i < p.len; i++)
        if (!is_alnum(p.at[i]) && p.at[i] != '-' && p.at[i] != '_')
            return false;
    return true;
}

static bool is_host(struct part name)
{
    bool more = true;
    if (name.len > 253)
        return false;
    while (more)
        if (!is_label(cut(&name, '.', &more)))
            return false;
    return true;
}

static bool check_dns(struct part pattern, const char **why)
{
    bool more;
    struct part rest = pattern, first = cut(&rest, '.', &more);
    *why = "a star stands for one whole label, the first: \"*.a.test\"";
    if (is_star(first))
        return more && is_host(rest);
    if (memchr(pattern.at, '*', pattern.len))
        return false;
    *why = "that is no host name";
    return is_host(pattern);
}

static bool match_dns(struct part pattern, struct part name)
{
    bool more;
    if (!is_host(name))
        return false;
    struct part rest = pattern, first = cut(&rest, '.', &more);
    if (!is_star(first))
        return same_folded(pattern, name);
    cut(&name, '.', &more);
    return more && same_folded(rest, name);
}

/* --- uri --- */

/* What a star in a path may stand for: a segment of plain characters. */
static bool is_plain_segment(struct part p)
{
    if (p.len == 0 || (p.at[0] == '.' && (p.len == 1 || (p.len == 2 && p.at[1] == '.'))))
        return false;
    for (size_t i = 0; i < p.len; i++)
        if (!is_alnum(p.at[i]) && !strchr("-._~!$&'()+,;=:@", p.at[i]))
            return false;
    return memchr(p.at, 0, p.len) == NULL;
}

static bool is_scheme(struct part p)
{
    for (size_t i = 0; i < p.len; i++)
        if (!is_alnum(p.at[i]) && !strchr("+-.", p.at[i]))
            return false;
    return p.len > 0 && !(p.at[0] >= '0' && p.at[0] <= '9');
}

static bool check_uri(struct part pattern, const char **why)
{
    bool more;
    struct part rest = pattern, scheme = cut(&rest, ':', &more);
    *why = "that is no URI: a scheme like \"spiffe:\" is missing";
    if (!more || !is_scheme(scheme))
        return false;
    *why = "that is no URI: blanks and control characters";
    for (size_t i = 0; i < pattern.len; i++)
        if (pattern.at[i] <= ' ' || pattern.at[i] == 0x7f)
            return false;
    *why = "a star stands for whole segments of the path: \"spiffe://mesh/ns/*/web\"";
    rest = pattern;
    more = true;
    for (unsigned i = 0; more; i++) { /* "spiffe:", "", authority, then the path */
        struct part segment = cut(&rest, '/', &more);
        if (memchr(segment.at, '*', segment.len) && (i < 3 || !is_star(segment)))
            return false;
    }
    return true;
}

/* All that is left of a name, for the star at the end of a pattern. */
static bool is_plain_path(struct part rest)
{
    bool more = true;
    while (more)
        if (!is_plain_segment(cut(&rest, '/', &more)))
            return false;
    return true;
}

static bool match_uri(struct part pattern, struct part name)
{
    bool more_pattern = true, more_name = true;
    while (more_pattern && more_name) {
        struct part whole = name;
        struct part want = cut(&pattern, '/', &more_pattern), have = cut(&name, '/', &more_name);
        if (!is_star(want) ? !same(want, have) : !is_plain_segment(have))
            return false;
        if (is_star(want) && !more_pattern)
            return is_plain_path(whole);
    }
    return more_pattern == more_name;
}

/* --- email --- */

static bool is_mailbox(struct part p)
{
    for (size_t i = 0; i < p.len; i++)
        if (p.at[i] <= ' ' || p.at[i] >= 0x7f || strchr("*@", p.at[i]))
            return false;
    return p.len > 0;
}

static bool check_email(struct part pattern, const char **why)
{
    bool more;
    struct part rest = pattern, mailbox = cut(&rest, '@', &more);
    *why = "that is no mail address; \"*@host\" stands for any at that host";
    return more && (is_star(mailbox) || is_mailbox(mailbox)) && is_host(rest);
}

static bool match_email(struct part pattern, struct part name)
{
    bool more;
    struct part want = cut(&pattern, '@', &more), have = cut(&name, '@', &more);
    if (!more || !is_mailbox(have) || !is_host(name) || !same_folded(pattern, name))
        return false;
    return is_star(want) || same(want, have);
}

/* --- all kinds --- */

static const struct {
    bool (*check)(struct part pattern, const char **why);
    bool (*match)(struct part pattern, struct part name);
} kinds[TLS_NAME_KINDS] = {
    [TLS_NAME_DNS] = {check_dns,   match_dns  },
    [TLS_NAME_URI] = {check_uri,   match_uri  },
    [TLS_NAME_EMAIL] = {check_email, match_email},
};

bool tls_pattern_check(enum tls_name_kind kind, const char *pattern, const char **why)
{
    struct part p = {pattern, strlen(pattern)};
    *why = "it is empty";
    if (p.len == 0)
        return false;
    *why = "it is longer than 2048 bytes";
    return p.len <= TLS_PATTERN_MAX && kinds[kind].check(p, why);
}

bool tls_pattern_matches(enum tls_name_kind kind, const char *pattern, const char *name, size_t len)
{
    return kinds[kind].match((struct part){pattern, strlen(pattern)}, (struct part){name, len});
}
