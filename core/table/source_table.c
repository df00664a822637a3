/* Sources and their debts; see source_table.h. The seeded hash of a prefix names a group of 64
 * places; within it a source may have any place, found by a byte of its hash, so a look touches two
 * or three cache lines. Groups share a few locks. Pages that no source came to take no memory. */
#include "core/table/source_table.h"

#include "core/assert.h"
#include "core/table/hash.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GROUP 64 /* places: one cache line of tags; a group overflows long after half are taken */
#define LOCKS 64 /* more than threads that are in the table at one time */

struct nu_source {
    uint8_t ip[16]; /* without the bits behind the prefix */
    int64_t paid_us;
    uint32_t active;
    uint8_t kind, prefix;
};

struct group {
    alignas(64) uint8_t tag[GROUP]; /* 0 = free */
    struct nu_source place[GROUP];
};

struct nu_source_table {
    uint32_t group_count;
    struct group *groups;
    pthread_mutex_t locks[LOCKS];
};

const char *nu_source_answer_str(enum nu_source_answer answer)
{
    static const char *const names[] = {"in", "too many", "too fast", "full"};
    nu_assert((unsigned)answer < sizeof names / sizeof *names);
    return names[answer];
}

static size_t bytes_of(uint32_t groups)
{
    return groups * sizeof(struct group);
}

struct nu_source_table *nu_source_table_new(uint32_t sources)
{
    nu_assert(sources > 0 && sources <= NU_SOURCE_TABLE_MAX);
    uint32_t count = (sources + GROUP - 1) / GROUP;
    void *groups = mmap(NULL, bytes_of(count), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (groups == MAP_FAILED)
        return NULL;
    struct nu_source_table *table = calloc(1, sizeof *table);
    nu_assert(table != NULL);
    table->group_count = count;
    table->groups = groups;
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&table->locks[i], NULL);
    return table;
}

void nu_source_table_free(struct nu_source_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&table->locks[i]);
    munmap(table->groups, bytes_of(table->group_count));
    free(table);
}

static struct nu_source key_of(const struct nu_addr *addr, unsigned prefix)
{
    unsigned bytes = addr->kind == NU_ADDR_IP4 ? 4 : 16;
    struct nu_source key = {.kind = addr->kind, .prefix = (uint8_t)prefix};
    nu_assert(addr->kind == NU_ADDR_IP4 || addr->kind == NU_ADDR_IP6);
    nu_assert(prefix <= bytes * 8);
    memcpy(key.ip, addr->ip, bytes);
    for (unsigned i = prefix / 8; i < bytes; i++)
        key.ip[i] &= (uint8_t)(i == prefix / 8 ? 0xff00 >> prefix % 8 : 0);
    return key;
}

static bool same_source(const struct nu_source *a, const struct nu_source *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->kind == b->kind && a->prefix == b->prefix;
}

static uint64_t hash_of(const struct nu_source *key)
{
    uint8_t bytes[18] = {[16] = key->kind, [17] = key->prefix};
    memcpy(bytes, key->ip, 16);
    return nu_hash_bytes(bytes, sizeof bytes, false);
}

static uint8_t tag_of(uint64_t hash)
{
    return (uint8_t)(hash | 1); /* the group takes the high half of it */
}

static pthread_mutex_t *lock_of(struct nu_source_table *table, const struct group *group)
{
    return &table->locks[(size_t)(group - table->groups) % LOCKS];
}

static struct nu_source *find(struct group *group, uint8_t tag, const struct nu_source *key)
{
    for (unsigned i = 0; i < GROUP; i++)
        if (group->tag[i] == tag && same_source(&group->place[i], key))
            return &group->place[i];
    return NULL;
}

/* All places of the group that tell nothing any more. */
static void forget(struct group *group, int64_t now_us)
{
    for (unsigned i = 0; i < GROUP; i++)
        if (!group->place[i].active && group->place[i].paid_us <= now_us)
            group->tag[i] = 0;
}

static struct nu_source *take_free(struct group *group, uint8_t tag, const struct nu_source *key)
{
    uint8_t *free_tag = memchr(group->tag, 0, GROUP);
    if (!free_tag)
        return NULL;
    *free_tag = tag;
    struct nu_source *place = &group->place[free_tag - group->tag];
    *place = *key;
    return place;
}

/* Not before now, and not later than this limit allows: what was owed under a stricter one, before
 * a reload, is forgiven. */
static int64_t debt_from(int64_t paid_us, const struct nu_source_limit *limit, int64_t now_us)
{
    int64_t latest_us = now_us + limit->burst_us + limit->interval_us;
    if (paid_us < now_us)
        return now_us;
    return paid_us < latest_us ? paid_us : latest_us;
}

static enum nu_source_answer enter(struct nu_source *source, const struct nu_source_limit *limit,
                                   int64_t now_us)
{
    if (limit->connections && source->active >= limit->connections)
        return NU_SOURCE_TOO_MANY;
    source->paid_us = debt_from(source->paid_us, limit, now_us);
    if (limit->interval_us && source->paid_us - now_us > limit->burst_us)
        return NU_SOURCE_TOO_FAST;
    source->paid_us += limit->interval_us;
    source->active++;
    return NU_SOURCE_IN;
}

enum nu_source_answer nu_source_enter(struct nu_source_table *table, const struct nu_addr *addr,
                                      unsigned prefix, const struct nu_source_limit *limit,
                                      int64_t now_us, struct nu_source **place, bool *first)
{
    enum nu_source_answer answer = NU_SOURCE_FULL;
    struct nu_source key = key_of(addr, prefix);
    uint64_t hash = hash_of(&key);
    struct group *group = &table->groups[(hash >> 32) * table->group_count >> 32];
    pthread_mutex_t *lock = lock_of(table, group);
    pthread_mutex_lock(lock);
    struct nu_source *source = find(group, tag_of(hash), &key);
    if (!source)
        source = take_free(group, tag_of(hash), &key);
    if (!source) {
        forget(group, now_us);
        source = take_free(group, tag_of(hash), &key);
    }
    if (source)
        answer = enter(source, limit, now_us);
    *place = answer == NU_SOURCE_IN ? source : NULL;
    *first = *place && source->active == 1;
    pthread_mutex_unlock(lock);
    return answer;
}

bool nu_source_leave(struct nu_source_table *table, struct nu_source *place)
{
    size_t at = (size_t)((char *)place - (char *)table->groups) / sizeof(struct group);
    nu_assert(at < table->group_count);
    pthread_mutex_t *lock = lock_of(table, &table->groups[at]);
    pthread_mutex_lock(lock);
    nu_assert(place->active > 0);
    bool last = --place->active == 0;
    pthread_mutex_unlock(lock);
    return last;
}

uint32_t nu_source_table_taken(struct nu_source_table *table)
{
    uint32_t taken = 0;
    for (uint32_t g = 0; g < table->group_count; g++) {
        pthread_mutex_lock(lock_of(table, &table->groups[g]));
        for (unsigned i = 0; i < GROUP; i++)
            taken += table->groups[g].tag[i] != 0;
        pthread_mutex_unlock(lock_of(table, &table->groups[g]));
    }
    return taken;
}
