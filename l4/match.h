/* Which filter chain takes a connection: the rules of one listener as nested tables.
 *
 * Levels in this order: destination port, destination address (longest prefix first), JA4, JA3, SNI
 * (exact, then longest wildcard), transport, ALPN (in the client's order of preference), source
 * address, source port. The chain that is more specific at the first level where two differ wins; a
 * chain that matches is always found. A lookup costs what its keys are long, not how many chains
 * there are. Built on the main thread, then read-only from any. */
#ifndef NU_L4_MATCH_H
#define NU_L4_MATCH_H

#include "core/addr.h"
#include "core/arena.h"
#include "core/conf/schema.h"
#include "core/facts.h"

#define NU_MATCH_MAX_COMBINATIONS                                                                  \
    100000 /* of one rule's values: each takes about 100 bytes of tables */
#define NU_MATCH_MAX_ALPN                                                                          \
    16 /* offered protocols that are looked at; honest clients offer three                         \
        */

/* What one chain asks for; an empty list asks for nothing. Zeroed: takes every connection. */
struct nu_match_rule {
    struct nu_vec ja3, ja4;                      /* const char *: as nu_ja3 and nu_ja4 write them */
    struct nu_vec sni;                           /* const char *: checked patterns */
    struct nu_vec alpn;                          /* const char * */
    struct nu_vec source, destination;           /* struct nu_addr: prefixes */
    struct nu_vec source_port, destination_port; /* int64_t, 1 to 65535 */
    int transport;                               /* enum nu_transport; UNKNOWN = any */
};

struct nu_match_name {
    const char *text;
    size_t len;
};

/* What is known of a connection. Unknown facts match no rule that asks for them. */
struct nu_match_input {
    const struct nu_addr *client, *local;
    enum nu_transport transport;
    const char *ja3, *ja4;    /* NULL: none, or not asked for */
    struct nu_match_name sni; /* len 0: none */
    struct nu_match_name alpn[NU_MATCH_MAX_ALPN];
    unsigned alpn_count;
};

/* Two rules that take the very same connections, or one with too many combinations. */
struct nu_match_clash {
    size_t first, second; /* indexes; first < second */
    const char *what;     /* "sni a.test, source 10.0.0.0/8"; "" = everything; from the arena */
};

struct nu_match;

/* Rule i leads to values[i] (never NULL). All tables come from the arena. NU_ERR_EXISTS: two rules
 * clash. NU_ERR_LIMIT: rule clash->second has more than NU_MATCH_MAX_COMBINATIONS. */
enum nu_err nu_match_build(struct nu_match **out, struct nu_arena *arena,
                           const struct nu_match_rule *rules, void *const *values, size_t count,
                           struct nu_match_clash *clash);

/* NU_WANT_*: fingerprints that the rule looks at. */
uint8_t nu_match_wants(const struct nu_match_rule *rule);
/* True if the rule takes every connection. */
bool nu_match_is_any(const struct nu_match_rule *rule);
/* The rule in short, from the arena: the first value of each key, and how many more there are.
 * "sni=a.test+2,source=10.0.0.0/8"; "" = any. No two rules that don't clash have the same. */
const char *nu_match_text(const struct nu_match_rule *rule, struct nu_arena *arena);

/* The value of the best rule, or NULL. */
void *nu_match_find(const struct nu_match *match, const struct nu_match_input *input);

/* Whether what is not known before a connection's first bytes (fingerprints, SNI, transport, ALPN)
 * decides. False
 * as well where one chain takes it however it begins: server-first protocols pass then. */
bool nu_match_needs_sniff(const struct nu_match *match, const struct nu_addr *client,
                          const struct nu_addr *local);

#endif
