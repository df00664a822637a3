/* Sets of figures, their registry, and histograms; see stats.h. Printing is in stats_print.c.
 *
 * Cells are relaxed atomics: the owner writes with a plain load and store, readers see each cell
 * whole and the sum roughly at one time. */
#include "core/stats_priv.h"

#include "core/assert.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define LINE_CELLS   (64 / sizeof(int64_t))
#define EXPONENT_MAX 39 /* of the last buckets: 2^40 ms are 34 years, 2^40 bytes a terabyte */

struct shard_hist {
    _Atomic uint64_t sum;
    _Atomic uint64_t buckets[STATS_BUCKETS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards everything down to `groups` */
static unsigned shard_count;
static void *tree; /* of struct nu_stats, tsearch's */
static size_t set_count;
static const struct nu_stat_group **groups;
static size_t group_count;

const char *nu_stat_kind_str(enum nu_stat_kind kind)
{
    static const char *const names[] = {"counter", "gauge", "histogram"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

static int compare_sets(const void *left, const void *right)
{
    const struct nu_stats *a = left, *b = right;
    if (a->group != b->group)
        return (uintptr_t)a->group < (uintptr_t)b->group ? -1 : 1;
    return strcmp(a->prefix, b->prefix);
}

void nu_stats_init(unsigned shards)
{
    pthread_mutex_lock(&lock);
    nu_assert(shards > 0 && (set_count == 0 || shards == shard_count));
    shard_count = shards;
    pthread_mutex_unlock(&lock);
}

static struct nu_stats *set_new(const struct nu_stat_group *group, const char *prefix)
{
    size_t stride = (group->count + LINE_CELLS - 1) / LINE_CELLS * LINE_CELLS;
    size_t bytes = sizeof(struct nu_stats) + shard_count * stride * sizeof(int64_t);
    struct nu_stats *set = aligned_alloc(alignof(struct nu_stats), bytes);
    nu_assert(set != NULL);
    memset(set, 0, bytes);
    set->stride = stride;
    set->group = group;
    set->prefix = strdup(prefix);
    nu_assert(set->prefix != NULL);
    return set;
}

static struct shard_hist *hist_of(const struct nu_stats *set, unsigned shard, unsigned index)
{
    int64_t address =
        atomic_load_explicit(&set->cells[shard * set->stride + index], memory_order_acquire);
    return (struct shard_hist *)(intptr_t)address;
}

static void set_free(struct nu_stats *set)
{
    for (unsigned i = 0; i < set->group->count; i++)
        if (set->group->defs[i].kind == NU_HISTOGRAM)
            for (unsigned shard = 0; shard < shard_count; shard++)
                free(hist_of(set, shard, i));
    free(set->prefix);
    free(set);
}

static struct nu_stats *look_up(const struct nu_stat_group *group, const char *prefix)
{
    static struct nu_stats key; /* under the lock; gcc's sanitizer misaligns one on the stack */
    key.group = group;
    key.prefix = (char *)prefix;
    struct nu_stats **found = tfind(&key, &tree, compare_sets);
    return found ? *found : NULL;
}

struct nu_stats *nu_stats_find(const struct nu_stat_group *group, const char *prefix)
{
    pthread_mutex_lock(&lock);
    struct nu_stats *set = look_up(group, prefix);
    if (set)
        set->refs++;
    pthread_mutex_unlock(&lock);
    return set;
}

struct nu_stats *nu_stats_get(const struct nu_stat_group *group, const char *prefix)
{
    pthread_mutex_lock(&lock);
    nu_assert(shard_count > 0);
    struct nu_stats *set = look_up(group, prefix);
    if (!set) {
        set = set_new(group, prefix);
        nu_assert(tsearch(set, &tree, compare_sets) != NULL);
        set_count++;
    }
    set->refs++;
    pthread_mutex_unlock(&lock);
    return set;
}

void nu_stats_put(struct nu_stats *set)
{
    if (!set)
        return;
    pthread_mutex_lock(&lock);
    nu_assert(set->refs > 0);
    if (--set->refs == 0) {
        tdelete(set, &tree, compare_sets);
        set_count--;
        set_free(set);
    }
    pthread_mutex_unlock(&lock);
}

const char *nu_stats_prefix(const struct nu_stats *set)
{
    return set->prefix;
}

/* Buckets: values below 8 have their own, above each power of two is cut into eight, so that the
 * middle of a bucket is at most 1/16 away from any value in it. */
static unsigned bucket_of(uint64_t value)
{
    if (value < 8)
        return (unsigned)value;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
    if (exponent > EXPONENT_MAX)
        return STATS_BUCKETS - 1;
    return (exponent - 2) * 8 + (unsigned)(value >> (exponent - 3) & 7);
}

uint64_t stats_bucket_middle(unsigned bucket)
{
    if (bucket < 8)
        return bucket;
    unsigned shift = bucket / 8 - 1;
    uint64_t width = (uint64_t)1 << shift;
    return (8 + bucket % 8) * width + (width - 1) / 2;
}

static void cell_add(_Atomic uint64_t *cell, uint64_t n)
{
    uint64_t sum = atomic_load_explicit(cell, memory_order_relaxed) + n;
    atomic_store_explicit(cell, sum, memory_order_relaxed);
}

void nu_stat_record(struct nu_stats *set, unsigned shard, unsigned index, uint64_t value)
{
    struct shard_hist *hist = hist_of(set, shard, index);
    if (!hist) {
        nu_assert(shard < shard_count && index < set->group->count);
        nu_assert(set->group->defs[index].kind == NU_HISTOGRAM);
        hist = calloc(1, sizeof *hist);
        nu_assert(hist != NULL);
        atomic_store_explicit(&set->cells[shard * set->stride + index], (int64_t)(intptr_t)hist,
                              memory_order_release);
    }
    cell_add(&hist->sum, value);
    cell_add(&hist->buckets[bucket_of(value)], 1);
}

void stats_hist_read(struct stats_hist *out, const struct nu_stats *set, unsigned index)
{
    memset(out, 0, sizeof *out);
    for (unsigned shard = 0; shard < shard_count; shard++) {
        struct shard_hist *hist = hist_of(set, shard, index);
        if (!hist)
            continue;
        out->sum += atomic_load_explicit(&hist->sum, memory_order_relaxed);
        for (unsigned i = 0; i < STATS_BUCKETS; i++) {
            uint64_t n = atomic_load_explicit(&hist->buckets[i], memory_order_relaxed);
            out->buckets[i] += n;
            out->count += n;
        }
    }
}

uint64_t stats_hist_quantile(const struct stats_hist *hist, double q)
{
    double rank = q * (double)hist->count * (1 - 1e-12); /* 0.07 * 100 is more than 7 */
    uint64_t seen = 0;
    unsigned last = 0;
    for (unsigned i = 0; i < STATS_BUCKETS; i++) {
        if (!hist->buckets[i])
            continue;
        last = i;
        seen += hist->buckets[i];
        if ((double)seen >= rank)
            break;
    }
    return stats_bucket_middle(last);
}

uint64_t stats_hist_below(const struct stats_hist *hist, double bound)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < STATS_BUCKETS && (double)stats_bucket_middle(i) <= bound; i++)
        seen += hist->buckets[i];
    return seen;
}

int64_t nu_stat_read(const struct nu_stats *set, unsigned index)
{
    nu_assert(index < set->group->count);
    if (set->group->defs[index].kind == NU_HISTOGRAM) {
        struct stats_hist hist;
        stats_hist_read(&hist, set, index);
        return (int64_t)hist.count;
    }
    int64_t sum = 0;
    for (unsigned shard = 0; shard < shard_count; shard++)
        sum += atomic_load_explicit(&set->cells[shard * set->stride + index], memory_order_relaxed);
    return sum;
}

void nu_stat_buckets(const struct nu_stats *set, unsigned index,
                     void (*fn)(uint64_t value, uint64_t count, void *ctx), void *ctx)
{
    struct stats_hist hist;
    nu_assert(index < set->group->count && set->group->defs[index].kind == NU_HISTOGRAM);
    stats_hist_read(&hist, set, index);
    for (unsigned i = 0; i < STATS_BUCKETS; i++)
        if (hist.buckets[i])
            fn(stats_bucket_middle(i), hist.buckets[i], ctx);
}

uint64_t nu_stat_quantile(const struct nu_stats *set, unsigned index, double q)
{
    nu_assert(index < set->group->count && set->group->defs[index].kind == NU_HISTOGRAM);
    struct stats_hist hist;
    stats_hist_read(&hist, set, index);
    return stats_hist_quantile(&hist, q);
}

static void collect(const void *node, VISIT visit, void *ctx)
{
    struct stats_sets *all = ctx;
    if (visit != postorder && visit != leaf)
        return;
    struct nu_stats *set = *(struct nu_stats *const *)node;
    set->refs++;
    all->sets[all->count++] = set;
}

struct stats_sets stats_sets_take(void)
{
    struct stats_sets all = {NULL, 0};
    pthread_mutex_lock(&lock);
    all.sets = calloc(set_count + 1, sizeof *all.sets);
    nu_assert(all.sets != NULL);
    twalk_r(tree, collect, &all);
    pthread_mutex_unlock(&lock);
    return all;
}

void stats_sets_drop(struct stats_sets *all)
{
    for (size_t i = 0; i < all->count; i++)
        nu_stats_put(all->sets[i]);
    free(all->sets);
}

void nu_stats_each(const struct nu_stat_group *group,
                   void (*fn)(const struct nu_stats *set, void *ctx), void *ctx)
{
    struct stats_sets all = stats_sets_take();
    for (size_t i = 0; i < all.count; i++)
        if (all.sets[i]->group == group)
            fn(all.sets[i], ctx);
    stats_sets_drop(&all);
}

void nu_stats_register(const struct nu_stat_group *group)
{
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < group_count && groups[i] != group)
        i++;
    if (i == group_count) {
        groups = reallocarray(groups, group_count + 1, sizeof *groups);
        nu_assert(groups != NULL);
        groups[group_count++] = group;
    }
    pthread_mutex_unlock(&lock);
}

static int compare_patterns(const void *left, const void *right)
{
    const struct nu_stat_group *const *a = left, *const *b = right;
    return strcmp((*a)->pattern, (*b)->pattern);
}

const struct nu_stat_group **stats_groups(size_t *count)
{
    pthread_mutex_lock(&lock);
    *count = group_count;
    const struct nu_stat_group **copy = calloc(group_count + 1, sizeof *copy);
    nu_assert(copy != NULL);
    if (group_count)
        memcpy(copy, groups, group_count * sizeof *copy);
    pthread_mutex_unlock(&lock);
    qsort(copy, *count, sizeof *copy, compare_patterns);
    return copy;
}
