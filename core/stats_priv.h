/* What stats_print.c needs of stats.c: the sets in order, and a histogram summed over its shards.
 */
#ifndef NU_CORE_STATS_PRIV_H
#define NU_CORE_STATS_PRIV_H

#include "core/stats.h"

#define STATS_BUCKETS 304 /* eight a power of two up to 2^40, below 8 one a value */

struct stats_hist {
    uint64_t count, sum;
    uint64_t buckets[STATS_BUCKETS];
};

void stats_hist_read(struct stats_hist *out, const struct nu_stats *set, unsigned index);
/* The value in the middle of the bucket that holds quantile q; 0 when empty. */
uint64_t stats_hist_quantile(const struct stats_hist *hist, double q);
/* The value that stands for a bucket's. */
uint64_t stats_bucket_middle(unsigned bucket);
/* Values that are at most `bound`, as far as the middles of their buckets tell. */
uint64_t stats_hist_below(const struct stats_hist *hist, double bound);

struct stats_sets {
    struct nu_stats **sets; /* by group, then by prefix */
    size_t count;
};
/* The sets, all of them referenced; give them back with stats_sets_drop. */
struct stats_sets stats_sets_take(void);
void stats_sets_drop(struct stats_sets *all);

/* A part of a set's prefix that is called like the part before it. Not NUL-terminated. */
struct stats_label {
    const char *key, *value;
    size_t key_len, value_len;
};
#define STATS_LABELS_MAX 4 /* in a prefix: listener, chain and filter, and one to spare */
/* Returns how many; a prefix that its pattern does not explain is one label by itself. */
size_t stats_labels(const struct nu_stats *set, struct stats_label labels[STATS_LABELS_MAX]);
/* The digit of a name that ends in "_2xx", which is a label too; else 0. */
char stats_code_class(const char *name);

/* The registered groups, sorted by pattern; *count of them, free() the array. */
const struct nu_stat_group **stats_groups(size_t *count);

#endif
