/* The rule that should win, found the slow way: every rule against the connection, level by level.
 * Shared by the test of match and its fuzz target. */
#ifndef TESTS_L4_NAIVE_MATCH_H
#define TESTS_L4_NAIVE_MATCH_H

#include "l4/match.h"

#include <string.h>
#include <strings.h>

#define NAIVE_LEVELS 9

/* How specific the best key of each level is; 0 = the level was not asked for, -1 = no key fits. */
struct naive_score {
    int at[NAIVE_LEVELS];
};

static inline int naive_port(const struct nu_vec *ports, uint16_t port)
{
    for (size_t i = 0; i < ports->count; i++)
        if (((const int64_t *)ports->items)[i] == port)
            return 1;
    return ports->count ? -1 : 0;
}

static inline int naive_prefix(const struct nu_vec *prefixes, const struct nu_addr *addr)
{
    int best = prefixes->count ? -1 : 0;
    for (size_t i = 0; i < prefixes->count; i++) {
        const struct nu_addr *p = (const struct nu_addr *)prefixes->items + i;
        if (nu_addr_in(addr, p) && p->prefix + 1 > best)
            best = p->prefix + 1;
    }
    return best;
}

static inline int naive_pattern(const char *pattern, const struct nu_match_name *name)
{
    size_t len = strlen(pattern);
    if (pattern[len - 1] == '.')
        len--;
    if (strcmp(pattern, "*") == 0)
        return 1;
    if (pattern[0] != '*')
        return len == name->len && strncasecmp(pattern, name->text, len) == 0 ? 1000 : -1;
    if (name->len < len || strncasecmp(name->text + name->len - (len - 1), pattern + 1, len - 1))
        return -1;
    return (int)len;
}

static inline int naive_sni(const struct nu_vec *patterns, const struct nu_match_name *name)
{
    int best = patterns->count ? -1 : 0;
    for (size_t i = 0; i < patterns->count && name->len; i++) {
        int score = naive_pattern(((const char *const *)patterns->items)[i], name);
        best = score > best ? score : best;
    }
    return best;
}

static inline int naive_alpn(const struct nu_vec *names, const struct nu_match_input *in)
{
    for (unsigned k = 0; k < in->alpn_count; k++)
        for (size_t i = 0; i < names->count; i++) {
            const char *name = ((const char *const *)names->items)[i];
            if (strlen(name) == in->alpn[k].len &&
                memcmp(name, in->alpn[k].text, in->alpn[k].len) == 0)
                return NU_MATCH_MAX_ALPN + 1 - (int)k;
        }
    return names->count ? -1 : 0;
}

static inline int naive_text(const struct nu_vec *texts, const char *text)
{
    for (size_t i = 0; i < texts->count && text; i++)
        if (strcmp(((const char *const *)texts->items)[i], text) == 0)
            return 1;
    return texts->count ? -1 : 0;
}

static inline struct naive_score naive_score(const struct nu_match_rule *rule,
                                             const struct nu_match_input *in)
{
    bool any = rule->transport == NU_TRANSPORT_UNKNOWN;
    return (struct naive_score){
        {
         naive_port(&rule->destination_port, in->local->port),
         naive_prefix(&rule->destination, in->local),
         naive_text(&rule->ja4, in->ja4),
         naive_text(&rule->ja3, in->ja3),
         naive_sni(&rule->sni, &in->sni),
         any                                     ? 0
            : rule->transport == (int)in->transport ? 1
                                                    : -1,
         naive_alpn(&rule->alpn, in),
         naive_prefix(&rule->source, in->client),
         naive_port(&rule->source_port, in->client->port),
         }
    };
}

static inline bool naive_fits(const struct naive_score *score)
{
    for (int i = 0; i < NAIVE_LEVELS; i++)
        if (score->at[i] < 0)
            return false;
    return true;
}

static inline bool naive_better(const struct naive_score *a, const struct naive_score *b)
{
    for (int i = 0; i < NAIVE_LEVELS; i++)
        if (a->at[i] != b->at[i])
            return a->at[i] > b->at[i];
    return false;
}

/* Its index, or -1. */
static inline int naive_find(const struct nu_match_rule *rules, size_t count,
                             const struct nu_match_input *in)
{
    struct naive_score best = {{0}};
    int found = -1;
    for (size_t i = 0; i < count; i++) {
        struct naive_score score = naive_score(&rules[i], in);
        if (naive_fits(&score) && (found < 0 || naive_better(&score, &best))) {
            best = score;
            found = (int)i;
        }
    }
    return found;
}

#endif
