/* Sessions by address; see table.h. */
#include "l4/udp/table.h"

#include "core/assert.h"
#include "core/table/hash.h"

#include <stdlib.h>
#include <string.h>

#define FIRST 64 /* buckets */

uint64_t nu_udp_hash(const struct nu_udp_key *key)
{
    size_t len = key->local.kind == NU_ADDR_NONE ? sizeof key->client : sizeof *key;
    return nu_hash_bytes(key, len, false);
}

/* Addresses from the kernel have nothing undefined in them: all their bytes count. */
static bool equal(const struct nu_udp_key *a, const struct nu_udp_key *b)
{
    return memcmp(a, b, sizeof *a) == 0; /* NOLINT(bugprone-suspicious-memory-comparison) */
}

struct nu_udp_entry *nu_udp_find(const struct nu_udp_table *t, const struct nu_udp_key *key,
                                 uint64_t hash)
{
    struct nu_udp_entry *e = t->bucket ? t->bucket[hash & t->mask] : NULL;
    while (e && (e->hash != hash || !equal(&e->key, key)))
        e = e->next;
    return e;
}

static void resize(struct nu_udp_table *t, size_t buckets)
{
    struct nu_udp_entry **fresh = calloc(buckets, sizeof(struct nu_udp_entry *));
    nu_assert(fresh != NULL);
    for (size_t i = 0; t->bucket && i <= t->mask; i++)
        for (struct nu_udp_entry *e = t->bucket[i], *next; e; e = next) {
            next = e->next;
            e->next = fresh[e->hash & (buckets - 1)];
            fresh[e->hash & (buckets - 1)] = e;
        }
    free(t->bucket);
    t->bucket = fresh;
    t->mask = buckets - 1;
}

void nu_udp_add(struct nu_udp_table *t, struct nu_udp_entry *e)
{
    nu_assert(!e->in);
    if (!t->bucket)
        resize(t, FIRST);
    else if (t->count > t->mask)
        resize(t, 2 * (t->mask + 1));
    e->next = t->bucket[e->hash & t->mask];
    t->bucket[e->hash & t->mask] = e;
    e->in = true;
    t->count++;
}

void nu_udp_del(struct nu_udp_table *t, struct nu_udp_entry *e)
{
    if (!e->in)
        return;
    struct nu_udp_entry **at = &t->bucket[e->hash & t->mask];
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    e->in = false;
    t->count--;
    if (t->mask + 1 > FIRST && t->count < t->mask / 8)
        resize(t, (t->mask + 1) / 4);
}

void nu_udp_table_free(struct nu_udp_table *t)
{
    nu_assert(t->count == 0);
    free(t->bucket);
    *t = (struct nu_udp_table){0};
}
