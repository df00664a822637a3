/* The sessions of one socket by client address, and by our own address where the socket has
 * several. One worker's.
 *
 * Keys are hashed with the process' secret seed, so a flood of chosen addresses cannot be aimed at
 * one bucket. Grows and shrinks with what is in it. */
#ifndef NU_L4_UDP_TABLE_H
#define NU_L4_UDP_TABLE_H

#include "core/addr.h"

#include <stddef.h>

struct nu_udp_key {
    struct nu_addr client;
    struct nu_addr local; /* NONE where the socket has one address */
};

/* A member of what is found by it. */
struct nu_udp_entry {
    struct nu_udp_entry *next;
    struct nu_udp_key key;
    uint64_t hash;
    bool in; /* stands in the table */
};

struct nu_udp_table {
    struct nu_udp_entry **bucket; /* NULL while empty */
    size_t mask, count;
};

uint64_t nu_udp_hash(const struct nu_udp_key *key);
struct nu_udp_entry *nu_udp_find(const struct nu_udp_table *table, const struct nu_udp_key *key,
                                 uint64_t hash);
/* Its key and hash are set, and it is not in. */
void nu_udp_add(struct nu_udp_table *table, struct nu_udp_entry *entry);
/* Not in: nothing. */
void nu_udp_del(struct nu_udp_table *table, struct nu_udp_entry *entry);
/* Frees the buckets; the entries are their owners'. */
void nu_udp_table_free(struct nu_udp_table *table);

#endif
