/* Counters, gauges and histograms: one shard per worker, written only by it, summed when read.
 *
 * A group is a table of definitions (the source of docs/stats.md too); a set is a group under one
 * name
 * ("cluster.web") with cells for every shard. Sets are counted and looked up by name, so that a
 * reload goes on counting where it was. Making and dropping sets: main thread. Adding: a worker on
 * its own shard. */
#ifndef NU_CORE_STATS_H
#define NU_CORE_STATS_H

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

struct nu_stats; /* a set */

/* How many shards there are: workers + 1 (main is the last). Once, before any set is made. */
void nu_stats_init(unsigned shards);
/* The set of `group` named `prefix` ("listener.edge"), made or found; one more reference. Never
 * NULL. */
struct nu_stats *nu_stats_get(const struct nu_stat_group *group, const char *prefix);
/* Drops a reference; with the last one the set and its figures go. NULL is fine. */
void nu_stats_put(struct nu_stats *set);
const char *nu_stats_prefix(const struct nu_stats *set);

/* Hot path: shard and index are trusted (asserted in the slow parts only). */
void nu_stat_add(struct nu_stats *set, unsigned shard, unsigned index, int64_t n);
void nu_stat_record(struct nu_stats *set, unsigned shard, unsigned index, uint64_t value);
/* Gauge that is set, not counted (main thread; kept in the main shard). */
void nu_stat_set(struct nu_stats *set, unsigned shard, unsigned index, int64_t value);

/* Sum over shards; any thread, relaxed. */
int64_t nu_stat_read(const struct nu_stats *set, unsigned index);
/* Quantile 0 to 1 of a histogram, within 7 %; 0 when empty. */
uint64_t nu_stat_quantile(const struct nu_stats *set, unsigned index, double q);

/* "name: value" lines, sorted by name, that contain `filter` (NULL = all); `used` leaves out those
 * never written. */
void nu_stats_print(FILE *out, const char *filter, bool used);
void nu_stats_print_prometheus(FILE *out);

/* Groups register themselves for the generated page. */
void nu_stats_register(const struct nu_stat_group *group);
void nu_stats_doc_markdown(FILE *out);
/* "group pattern TAB stat name" of every definition, for the test that looks for names never
 * raised. */
void nu_stats_list(FILE *out);

#endif
