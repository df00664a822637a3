/* All figures in the order of their names; see stats_walk.h.
 *
 * Every set has its rows in order, and the sets are sorted by their first rows. Names of two sets
 * may stand among each other ("cluster.a.x", "cluster.a.ssl.x"), so a set is opened when its first
 * name is due, and the smallest name of the open ones, of which there are two or three, is next. */
#include "core/stats_walk.h"
#include "core/stats_priv.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

/* The definitions of a group by name. */
struct order {
    const struct nu_stat_group *group;
    unsigned *index;
};

/* A set and how far it was read. */
struct cursor {
    const struct nu_stats *set;
    const unsigned *order;
    unsigned at;
    bool used;
};

struct nu_stats_walk {
    struct stats_sets all;
    struct order *orders;
    size_t order_count;
    struct cursor *cursors; /* sorted */
    size_t count, next;     /* next: the first that is not open yet */
    struct cursor **open;
    size_t open_count, open_cap;
};

static const char *name_at(const struct cursor *c)
{
    return c->set->group->defs[c->order[c->at]].name;
}

/* Compares "prefix.name" of both without building them. */
static int compare(const struct cursor *left, const struct cursor *right)
{
    const char *a[3] = {left->set->prefix, ".", name_at(left)};
    const char *b[3] = {right->set->prefix, ".", name_at(right)};
    const unsigned char *p = (const unsigned char *)a[0], *q = (const unsigned char *)b[0];
    for (int i = 0, j = 0;; p++, q++) {
        while (!*p && i < 2)
            p = (const unsigned char *)a[++i];
        while (!*q && j < 2)
            q = (const unsigned char *)b[++j];
        if (*p != *q || !*p)
            return *p - *q;
    }
}

static int compare_cursors(const void *left, const void *right)
{
    return compare(left, right);
}

static int compare_defs(const void *left, const void *right, void *ctx)
{
    const struct nu_stat_def *defs = ctx;
    return strcmp(defs[*(const unsigned *)left].name, defs[*(const unsigned *)right].name);
}

/* Sets come group by group, so the last order made is the one that most want. */
static const unsigned *order_of(struct nu_stats_walk *w, const struct nu_stat_group *group)
{
    for (size_t i = w->order_count; i-- > 0;)
        if (w->orders[i].group == group)
            return w->orders[i].index;
    w->orders = reallocarray(w->orders, w->order_count + 1, sizeof *w->orders);
    unsigned *index = calloc(group->count + 1, sizeof *index);
    nu_assert(w->orders != NULL && index != NULL);
    for (unsigned i = 0; i < group->count; i++)
        index[i] = i;
    qsort_r(index, group->count, sizeof *index, compare_defs, (void *)group->defs);
    w->orders[w->order_count++] = (struct order){group, index};
    return index;
}

struct nu_stats_walk *nu_stats_walk_new(void)
{
    struct nu_stats_walk *w = calloc(1, sizeof *w);
    nu_assert(w != NULL);
    w->all = stats_sets_take();
    w->cursors = calloc(w->all.count + 1, sizeof *w->cursors);
    nu_assert(w->cursors != NULL);
    for (size_t i = 0; i < w->all.count; i++) {
        const struct nu_stats *set = w->all.sets[i];
        if (set->group->count > 0)
            w->cursors[w->count++] = (struct cursor){set, order_of(w, set->group), 0, false};
    }
    if (w->count)
        qsort(w->cursors, w->count, sizeof *w->cursors, compare_cursors);
    return w;
}

static bool set_used(const struct nu_stats *set)
{
    for (unsigned i = 0; i < set->group->count; i++)
        if (nu_stat_read(set, i) != 0)
            return true;
    return false;
}

static void open_next(struct nu_stats_walk *w)
{
    struct cursor *c = &w->cursors[w->next++];
    if (w->open_count == w->open_cap) {
        w->open_cap += 16;
        w->open = reallocarray(w->open, w->open_cap, sizeof *w->open);
        nu_assert(w->open != NULL);
    }
    c->used = set_used(c->set);
    w->open[w->open_count++] = c;
}

/* The place of the open cursor whose name is first. */
static size_t first_open(const struct nu_stats_walk *w)
{
    size_t first = 0;
    for (size_t i = 1; i < w->open_count; i++)
        if (compare(w->open[i], w->open[first]) < 0)
            first = i;
    return first;
}

bool nu_stats_walk_next(struct nu_stats_walk *w, struct nu_stats_row *row)
{
    size_t first = first_open(w);
    while (w->next < w->count &&
           (w->open_count == 0 || compare(&w->cursors[w->next], w->open[first]) < 0)) {
        open_next(w);
        first = first_open(w);
    }
    if (w->open_count == 0)
        return false;
    struct cursor *c = w->open[first];
    *row = (struct nu_stats_row){c->set, c->order[c->at], c->used};
    if (++c->at == c->set->group->count)
        w->open[first] = w->open[--w->open_count];
    return true;
}

void nu_stats_walk_free(struct nu_stats_walk *w)
{
    for (size_t i = 0; i < w->order_count; i++)
        free(w->orders[i].index);
    free(w->orders);
    free(w->cursors);
    free(w->open);
    stats_sets_drop(&w->all);
    free(w);
}
