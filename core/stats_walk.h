/* All figures in the order of their names, one after another: for answers that are made in pieces,
 * since 10,000 clusters have 600,000 of them. Main thread. */
#ifndef NU_CORE_STATS_WALK_H
#define NU_CORE_STATS_WALK_H

#include "core/stats.h"

/* A figure: what it is called is nu_stats_prefix(set), a dot, and its definition's name. */
struct nu_stats_row {
    const struct nu_stats *set;
    unsigned index;
    bool set_used; /* something in its set is not 0 */
};

static inline const struct nu_stat_def *nu_stats_row_def(const struct nu_stats_row *row)
{
    return &row->set->group->defs[row->index];
}
/* The whole name, for the caller to free(). */
char *nu_stats_row_name(const struct nu_stats_row *row);
/* Whether it was ever written: not 0, or a gauge of a set that has counted something. */
bool nu_stats_row_used(const struct nu_stats_row *row);
/* Envoy's line, "name: value"; a histogram has its quantiles as P50(nan,7), within 7 %: the first
 * figure is Envoy's of the last interval, which is not kept here. */
void nu_stats_row_print(FILE *out, const struct nu_stats_row *row);

struct nu_stats_walk;
/* Sorts the sets there are now, and keeps a reference to each until it is freed. Takes about 50 ms
 * for 10,000 clusters; each row costs a few comparisons. */
struct nu_stats_walk *nu_stats_walk_new(void);
/* The next row; false: there is none left. */
bool nu_stats_walk_next(struct nu_stats_walk *walk, struct nu_stats_row *row);
void nu_stats_walk_free(struct nu_stats_walk *walk);

/* The quantiles that are shown of a histogram, and a histogram by them. */
#define NU_STAT_MARKS 10
struct nu_stat_mark {
    const char *name; /* "P99.5" */
    double percent;
};
extern const struct nu_stat_mark nu_stat_marks[NU_STAT_MARKS];
struct nu_stat_summary {
    uint64_t count, sum;
    uint64_t value[NU_STAT_MARKS];
};
void nu_stat_summarize(const struct nu_stats *set, unsigned index, struct nu_stat_summary *out);

#endif
