/* The levels of a match: how each finds its keys in a rule, keeps them in a table, and walks that
 * for a connection. Shared by match.c and match_keys.c. */
#ifndef NU_L4_MATCH_PRIV_H
#define NU_L4_MATCH_PRIV_H

#include "core/table/cidr.h"
#include "core/table/domain.h"
#include "core/table/strmap.h"
#include "l4/match.h"

#define MATCH_LEVELS  9
#define MATCH_KEY_MAX 256 /* bytes: an SNI has 253, a protocol's name 255 */

/* One table in the nest. What it leads to is a node of the next level, after the last level the
 * rule's value. */
struct match_node {
    void *keys; /* the level's kind of table; NULL = no rule asks here */
    void *any;  /* for what no key takes; NULL = nothing */
};

/* A key of a rule in the form that makes equal keys equal bytes. */
struct match_key {
    size_t len;
    char bytes[MATCH_KEY_MAX];
};

/* Where a walk over a table's matching keys stands; zeroed at first. */
struct match_walk {
    bool started;
    unsigned at;
    struct nu_cidr_iter cidr;
    struct nu_domain_iter domain;
};

struct match_level {
    const char *name;
    size_t (*count)(const struct nu_match_rule *rule); /* keys; 0 = any */
    void (*key)(const struct nu_match_rule *rule, size_t i, struct match_key *out);
    void (*text)(const struct match_key *key, char *buf, size_t size);
    void *(*make)(struct nu_arena *arena); /* an empty table */
    void (*add)(void *keys, const struct match_key *key, void *child);
    /* The next child whose key fits, the most specific first; NULL at the end. */
    void *(*next)(const void *keys, const struct nu_match_input *in, struct match_walk *walk);
    void (*seal)(void *keys); /* after the last add; NULL = nothing to do */
};

extern const struct match_level match_levels[MATCH_LEVELS];
/* The same order with all from JA4 to ALPN folded into one level: rules that ask for any of them
 * have the key "sniffed". */
#define MATCH_SNIFF_LEVELS 5
/* 1 if the rule asks for any of them. */
size_t match_sniffed_count(const struct nu_match_rule *rule);
extern const struct match_level match_sniff_levels[MATCH_SNIFF_LEVELS];

#endif
