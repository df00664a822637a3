/* Counters, gauges and histograms: one shard per worker, written only by it, summed when read.
 *
 * A group is a table of definitions (the source of docs/stats.md too); a set is a group under one
 * name ("cluster.web") with cells for every shard. Sets are counted and looked up by name, so that
 * a reload goes on counting where it was. Making and dropping sets: any thread, behind a lock, so
 * not on the hot path. Adding: a worker on its own shard, without lock or locked instruction. */
#ifndef NU_CORE_STATS_H
#define NU_CORE_STATS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum nu_stat_kind { NU_COUNTER, NU_GAUGE, NU_HISTOGRAM };
const char *nu_stat_kind_str(enum nu_stat_kind kind);

struct nu_stat_def {
    const char *name; /* "downstream_cx_total" */
    enum nu_stat_kind kind;
    const char *unit; /* NULL, "bytes", "ms" */
    const char *doc;
};

struct nu_stat_group {
    const char *pattern; /* "listener.<name>": for docs; the set's prefix replaces it */
    const char *doc;
    const struct nu_stat_def *defs;
    unsigned count;
};
#define NU_STAT_GROUP(pattern_, doc_, defs_)                                                       \
    {                                                                                              \
        .pattern = (pattern_), .doc = (doc_), .defs = (defs_),                                     \
        .count = sizeof(defs_) / sizeof *(defs_)                                                   \
    }

/* A set. Laid open for the functions below only: one allocation, the cells of a shard begin on a
 * cache line of their own. The cell of a histogram holds the address of its buckets, which each
 * shard allocates with its first value: most clusters never see one. */
struct nu_stats {
    size_t stride; /* cells from one shard's part to the next */
    const struct nu_stat_group *group;
    char *prefix;
    unsigned refs; /* under the registry's lock */
    alignas(64) _Atomic int64_t cells[];
};

/* How many shards there are: workers + 1 (main is the last). Not changed once a set exists. */
void nu_stats_init(unsigned shards);
/* The set of `group` named `prefix` ("listener.edge"), made or found; one more reference. Never
 * NULL. */
struct nu_stats *nu_stats_get(const struct nu_stat_group *group, const char *prefix);
/* Drops a reference; with the last one the set and its figures go. NULL is fine. */
void nu_stats_put(struct nu_stats *set);
const char *nu_stats_prefix(const struct nu_stats *set);
/* The set if there is one, with one more reference; else NULL. */
struct nu_stats *nu_stats_find(const struct nu_stat_group *group, const char *prefix);
/* Each set of the group, by prefix; fn may drop or make sets. */
void nu_stats_each(const struct nu_stat_group *group,
                   void (*fn)(const struct nu_stats *set, void *ctx), void *ctx);

/* Hot path: shard and index are trusted, and that the shard is the calling thread's own. */
static inline void nu_stat_add(struct nu_stats *set, unsigned shard, unsigned index, int64_t n)
{
    _Atomic int64_t *cell = &set->cells[shard * set->stride + index];
    int64_t sum = atomic_load_explicit(cell, memory_order_relaxed) + n;
    atomic_store_explicit(cell, sum, memory_order_relaxed);
}

/* The same from any thread, for rare events whose place knows no loop. An index is raised by this
 * or by nu_stat_add, never by both. */
static inline void nu_stat_add_any(struct nu_stats *set, unsigned index, int64_t n)
{
    atomic_fetch_add_explicit(&set->cells[index], n, memory_order_relaxed);
}

/* Gauge that is set, not counted: always from the same shard (main's), since shards are summed. */
static inline void nu_stat_set(struct nu_stats *set, unsigned shard, unsigned index, int64_t value)
{
    atomic_store_explicit(&set->cells[shard * set->stride + index], value, memory_order_relaxed);
}

/* Puts a value into a histogram; from 2^40 on all count as the largest. */
void nu_stat_record(struct nu_stats *set, unsigned shard, unsigned index, uint64_t value);

/* Sum over shards, of a histogram the number of values; any thread, relaxed. */
int64_t nu_stat_read(const struct nu_stats *set, unsigned index);
/* Each value that a histogram has seen, within 7 %, and how often; ascending. */
void nu_stat_buckets(const struct nu_stats *set, unsigned index,
                     void (*fn)(uint64_t value, uint64_t count, void *ctx), void *ctx);
/* Quantile 0 to 1 of a histogram, within 7 %; 0 when empty. */
uint64_t nu_stat_quantile(const struct nu_stats *set, unsigned index, double q);

/* Prometheus' text format: "listener.<name>" + "x" is nuncio_listener_x{listener="name"}, "rq_2xx"
 * is rq_xx{response_code_class="2"}. The le bounds of histograms are Envoy's, met within the 7 %
 * too. Printed in pieces, by whoever has other work between them; figures are read as they are
 * printed. `used` as above; `wants` (NULL = all) is asked for each whole name, like
 * "listener.edge.x". */
typedef bool nu_stats_wants_fn(const char *name, void *ctx);
struct nu_stats_text;
struct nu_stats_text *nu_stats_prometheus_new(bool used, nu_stats_wants_fn *wants, void *ctx);
/* The next piece, of about that many bytes or some hundred figures; false: there is no other. */
bool nu_stats_prometheus_more(struct nu_stats_text *text, FILE *out, size_t about);
void nu_stats_prometheus_free(struct nu_stats_text *text);
/* All in one piece. */
void nu_stats_print_prometheus(FILE *out);

/* Has a group stand on the generated page; the same one again is nothing. */
void nu_stats_register(const struct nu_stat_group *group);
void nu_stats_doc_markdown(FILE *out);
/* "group pattern TAB stat name" of every definition, for the test that looks for names never
 * raised. */
void nu_stats_list(FILE *out);

#endif
