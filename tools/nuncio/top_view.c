/* What two answers of /overview say together: rates, shares of errors, quantiles of what came in
 * between. */
#include "tools/nuncio/top.h"

#include <stdlib.h>
#include <string.h>

static double since(const struct nu_json *now, const struct nu_json *before, const char *key)
{
    double delta = nu_json_number(now, key) - nu_json_number(before, key);
    return delta > 0 ? delta : 0;
}

/* Responses with 5xx. */
static double broken(const struct nu_json *item)
{
    const struct nu_json *class = nu_json_items(item, "classes");
    for (int i = 0; class && i < 4; i++)
        class = class->next;
    return class ? class->number : 0;
}

static const struct nu_json *named(const struct nu_json *list, const char *name)
{
    while (list && strcmp(nu_json_text(list, "name"), name) != 0)
        list = list->next;
    return list;
}

/* --- quantiles --- */

struct value {
    double ms, count;
};

struct values {
    struct value *item;
    size_t count, cap;
    double total;
};

static size_t list_length(const struct nu_json *list)
{
    size_t n = 0;
    for (; list; list = list->next)
        n++;
    return n;
}

/* Both lists ascend. */
static void add_delta(struct values *values, const struct nu_json *now,
                      const struct nu_json *before)
{
    for (; now; now = now->next) {
        const struct nu_json *old;
        if (!now->child || !now->child->next || values->count == values->cap)
            continue;
        while (before && before->child && before->child->number < now->child->number)
            before = before->next;
        old = before && before->child && before->child->number == now->child->number
                  ? before->child->next
                  : NULL;
        double delta = now->child->next->number - (old ? old->number : 0);
        if (delta <= 0)
            continue;
        values->item[values->count++] = (struct value){now->child->number, delta};
        values->total += delta;
    }
}

static int compare_values(const void *left, const void *right)
{
    const struct value *a = left, *b = right;
    return (a->ms > b->ms) - (a->ms < b->ms);
}

static void find_quantiles(struct values *values, double out[TOP_QUANTILES])
{
    static const double quantiles[] = {0.5, 0.95, 0.99};
    if (values->count)
        qsort(values->item, values->count, sizeof *values->item, compare_values);
    for (int q = 0; q < TOP_QUANTILES; q++) {
        double seen = 0;
        out[q] = -1;
        for (size_t i = 0; i < values->count; i++) {
            seen += values->item[i].count;
            out[q] = values->item[i].ms;
            if (seen >= quantiles[q] * values->total)
                break;
        }
    }
}

static struct values values_new(struct nu_arena *arena, size_t cap)
{
    return (struct values){nu_arena_alloc(arena, (cap + 1) * sizeof(struct value)), 0, cap, 0};
}

/* --- rows --- */

static double share(double bad, double all)
{
    if (bad <= 0)
        return all > 0 ? 0 : -1;
    return bad < all ? bad / all : 1;
}

static void judge(struct top_row *row, struct nu_arena *arena, double seconds,
                  const struct nu_json *before)
{
    const struct nu_json *now = row->now;
    double healthy = nu_json_number(now, "healthy"), total = nu_json_number(now, "total");
    const char *what = nu_json_number(now, "rq_total") > 0 ? "rq_total" : "cx_total";
    struct values values = values_new(arena, list_length(nu_json_items(now, "ms")));
    row->errors = -1;
    if (before) {
        double done = since(now, before, what);
        row->rate = done / seconds;
        row->errors = share(broken(now) - broken(before) + since(now, before, "failed"), done);
        add_delta(&values, nu_json_items(now, "ms"), nu_json_items(before, "ms"));
    }
    find_quantiles(&values, row->ms);
    row->trouble =
        (healthy < total) * 4 + (total > 0 && healthy == 0) * 8 + (row->errors > .01) * 2;
}

static int compare_rows(const void *left, const void *right)
{
    const struct top_row *a = left, *b = right;
    if (a->trouble != b->trouble)
        return b->trouble - a->trouble;
    return strcmp(nu_json_text(a->now, "name"), nu_json_text(b->now, "name"));
}

/* An answer's clusters are in the config's order, and so were those before: the next one is
 * mostly where it is looked for first. */
static void judge_clusters(struct top_view *view, struct nu_arena *arena,
                           const struct nu_json *before)
{
    const struct nu_json *list = nu_json_items(view->now, "clusters");
    const struct nu_json *old = nu_json_items(before, "clusters"), *next = old;
    view->clusters = nu_arena_alloc(arena, (list_length(list) + 1) * sizeof *view->clusters);
    for (; list; list = list->next) {
        struct top_row *row = &view->clusters[view->cluster_count++];
        const char *name = nu_json_text(list, "name");
        const struct nu_json *found = named(next, name);
        if (!found)
            found = named(old, name);
        *row = (struct top_row){.now = list};
        judge(row, arena, view->seconds, found);
        next = found ? found->next : next;
    }
    if (view->cluster_count)
        qsort(view->clusters, view->cluster_count, sizeof *view->clusters, compare_rows);
}

static void judge_http(struct top_view *view, struct nu_arena *arena, const struct nu_json *before)
{
    const struct nu_json *item = nu_json_items(view->now, "http");
    size_t cap = 0;
    double done = 0, bad = 0;
    for (const struct nu_json *i = item; i; i = i->next)
        cap += list_length(nu_json_items(i, "ms"));
    struct values values = values_new(arena, cap);
    for (; before && item; item = item->next) {
        const struct nu_json *old =
            named(nu_json_items(before, "http"), nu_json_text(item, "name"));
        done += since(item, old, "rq_total");
        bad += broken(item) - broken(old);
        add_delta(&values, nu_json_items(item, "ms"), nu_json_items(old, "ms"));
    }
    view->all.rate = before ? done / view->seconds : 0;
    view->all.errors = share(bad, done);
    find_quantiles(&values, view->all.ms);
}

static void judge_connections(struct top_view *view, const struct nu_json *before)
{
    const struct nu_json *item = nu_json_items(view->now, "listeners");
    double bad = 0;
    for (; before && item; item = item->next)
        view->all.rate += top_listener_rate(view, before, item);
    for (size_t i = 0; i < view->cluster_count; i++)
        bad += view->clusters[i].errors > 0 ? view->clusters[i].errors * view->clusters[i].rate : 0;
    view->all.errors = share(bad, view->all.rate);
    for (int q = 0; q < TOP_QUANTILES; q++)
        view->all.ms[q] = -1;
}

double top_listener_rate(const struct top_view *view, const struct nu_json *before,
                         const struct nu_json *listener)
{
    const struct nu_json *old =
        named(nu_json_items(before, "listeners"), nu_json_text(listener, "name"));
    return old ? since(listener, old, "cx_total") / view->seconds : 0;
}

void top_view_make(struct top_view *view, struct nu_arena *arena, const struct nu_json *now,
                   const struct nu_json *before)
{
    *view = (struct top_view){.now = now, .http = nu_json_items(now, "http") != NULL};
    if (before)
        view->seconds = since(now, before, "time") / 1000;
    if (view->seconds <= 0)
        before = NULL;
    judge_clusters(view, arena, before);
    if (view->http)
        judge_http(view, arena, before);
    else
        judge_connections(view, before);
}
