/* CIDR prefixes -> pointer, longest prefix first, for source and destination matches and
 * ip_filter. IPv4 and IPv6 live in one table and never match each other (addr.h has already turned
 * IPv4-mapped addresses into IPv4). A trie of 6-bit steps that skips what all its prefixes share:
 * a lookup takes at most 6 steps for IPv4 and 22 for IPv6, however many prefixes there are.
 * Filled and sealed on one thread, then read-only from any. */
#ifndef NU_CORE_TABLE_CIDR_H
#define NU_CORE_TABLE_CIDR_H

#include "core/addr.h"

#include <stddef.h>
#include <stdint.h>

struct nu_arena;
struct nu_cidr_table;

/* An empty table; lives and dies with the arena, or without one is freed by the caller. */
struct nu_cidr_table *nu_cidr_new(struct nu_arena *arena);
void nu_cidr_free(struct nu_cidr_table *table);

/* Adds a prefix (IP kinds only; bits behind the prefix are ignored); the value (never NULL) is
 * borrowed. Equal prefixes are all kept and found in the order they were added. Before sealing. */
void nu_cidr_add(struct nu_cidr_table *table, const struct nu_addr *prefix, void *value);
/* Builds the trie. Once, after the last add and before the first find; also for an empty table. */
void nu_cidr_seal(struct nu_cidr_table *table);
/* The same, and of equal prefixes only the first added is kept: what a lookup costs no longer
 * depends on how often somebody else's list repeats itself. */
void nu_cidr_seal_unique(struct nu_cidr_table *table);

size_t nu_cidr_count(const struct nu_cidr_table *table);
/* Bytes held, for /memory and tests. */
size_t nu_cidr_bytes(const struct nu_cidr_table *table);

/* Where a lookup stands and how it goes on. */
struct nu_cidr_iter {
    const struct nu_cidr_table *table;
    uint32_t found;  /* the one offered last, plus 1; 0 = none */
    uint32_t prefix; /* the next one to offer, plus 1; 0 = none */
};

/* The value of the longest prefix that holds `addr` (its port and prefix fields are ignored), or
 * NULL; also NULL for what is no IP address. */
void *nu_cidr_find(const struct nu_cidr_table *table, const struct nu_addr *addr,
                   struct nu_cidr_iter *it);
/* The next shorter one, or NULL at the end. */
void *nu_cidr_next(struct nu_cidr_iter *it);
/* The prefix whose value was returned last, without the bits behind it; NU_ADDR_NONE if NULL was.
 */
struct nu_addr nu_cidr_prefix(const struct nu_cidr_iter *it);

#endif
