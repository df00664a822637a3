/* Sets of endpoints: built on the main thread, immutable then, counted, handed to the workers'
 * views. A worker's view is its own, so a set reaches it by post. Who is unhealthy stands in no
 * schedule, so that picking need not ask. */
#include "core/assert.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "l4/balance/schedule.h"
#include "l4/cluster_priv.h"

#include <stdlib.h>
#include <string.h>

#define OVERPROVISION_PERCENT 140 /* of its healthy share, that a priority can bear; Envoy's */

static struct nu_endpoint_set empty = {.refs = 1};

struct nu_endpoint_set *cl_set_ref(struct nu_endpoint_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

struct nu_endpoint_set *cl_set_empty(void)
{
    return cl_set_ref(&empty);
}

void cl_set_unref(struct nu_endpoint_set *set)
{
    if (!set || atomic_fetch_sub(&set->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        nu_endpoint_unref(set->item[i]);
    free(set->schedule);
    free(set->weight);
    free(set->order);
    free(set->group);
    free(set);
}

static int compare_members(const void *left, const void *right)
{
    const struct cl_member *a = left, *b = right;
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    if (a->failed != b->failed)
        return a->failed ? 1 : -1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void add_schedule(struct nu_endpoint_set *set, struct nu_endpoint_group *g)
{
    uint32_t *turns;
    g->start = set->schedule_len;
    g->len = nu_schedule_make(set->weight + g->first, g->count, &turns);
    set->schedule_len += g->len;
    set->schedule = reallocarray(set->schedule, set->schedule_len, sizeof *turns);
    nu_assert(set->schedule != NULL);
    for (uint32_t i = 0; i < g->len; i++)
        set->schedule[g->start + i] = g->first + turns[i];
    free(turns);
}

static void add_groups(struct nu_endpoint_set *set, const struct cl_member *members)
{
    struct nu_endpoint_group *g = set->group - 1;
    for (uint32_t i = 0; i < set->count; i++) {
        if (i == 0 || members[i].priority != members[i - 1].priority)
            *++g = (struct nu_endpoint_group){.priority = members[i].priority, .first = i};
        g->total++;
        g->healthy += !members[i].failed;
    }
    set->group_count = (uint32_t)(g + 1 - set->group);
}

/* Whether the priorities together can carry the load, as Envoy reckons: each as much of it as its
 * healthy share and 40 % more. */
static bool is_enough(const struct nu_endpoint_set *set)
{
    uint64_t percent = 0;
    for (uint32_t i = 0; i < set->group_count; i++) {
        const struct nu_endpoint_group *g = &set->group[i];
        uint64_t part = (uint64_t)OVERPROVISION_PERCENT * g->healthy / g->total;
        percent += part < 100 ? part : 100;
    }
    return percent >= 100;
}

/* Who is used, and when it is whose turn. */
static void add_schedules(struct nu_endpoint_set *set, double panic_threshold)
{
    bool enough = is_enough(set), first = true;
    for (uint32_t i = 0; i < set->group_count; i++) {
        struct nu_endpoint_group *g = &set->group[i];
        g->panic = !enough && g->healthy < panic_threshold * g->total;
        g->count = g->panic ? g->total : g->healthy;
        add_schedule(set, g);
        set->healthy += g->healthy;
        if (first && g->count > 0) {
            set->panic = g->panic;
            first = false;
        }
    }
}

struct nu_endpoint_set *cl_set_new(struct cl_member *members, size_t count, double panic_threshold)
{
    struct nu_endpoint_set *set = calloc(1, sizeof *set + count * sizeof *set->item);
    nu_assert(set != NULL);
    set->refs = 1;
    set->count = (uint32_t)count;
    set->weight = calloc(count + 1, sizeof *set->weight);
    set->order = calloc(count + 1, sizeof *set->order);
    set->group = calloc(count + 1, sizeof *set->group);
    nu_assert(set->weight && set->order && set->group);
    qsort(members, count, sizeof *members, compare_members);
    for (size_t i = 0; i < count; i++) {
        set->item[i] = members[i].endpoint;
        set->weight[i] = members[i].weight;
        set->order[i] = members[i].order;
    }
    add_groups(set, members);
    add_schedules(set, panic_threshold);
    return set;
}

/* Members of a cluster while they are collected. */
struct roll {
    struct cl_cluster *cluster;
    struct cl_member *members;
    size_t count;
    struct nu_strmap *seen; /* by address; NULL: the config saw to it that there are no twins */
};

/* Two names may lead to one address: the first one counts. */
static void add_member(struct roll *roll, const struct cl_target *target,
                       const struct nu_addr *addr)
{
    char text[NU_ADDR_TEXT_MAX];
    if (roll->seen && nu_strmap_put_str(roll->seen, nu_addr_str(addr, text), roll))
        return;
    struct nu_endpoint *e = nu_endpoint_get(roll->cluster->pub.name, addr, target->where.text);
    roll->members[roll->count] = (struct cl_member){.endpoint = e,
                                                    .weight = (uint32_t)target->weight,
                                                    .priority = (uint32_t)target->priority,
                                                    .order = (uint32_t)roll->count};
    roll->count++;
}

static size_t count_addresses(const struct cl_cluster *c)
{
    size_t n = c->targets.count;
    for (size_t i = 0; i < c->name_count; i++) {
        size_t more;
        cl_name_addrs(c, i, &more);
        n += more;
    }
    return n;
}

/* All members as of now, with references; the caller frees the array. */
static struct roll call_roll(struct cl_cluster *c)
{
    struct roll roll = {.cluster = c};
    const struct cl_target *target = c->targets.items;
    size_t name = 0;
    roll.members = calloc(count_addresses(c) + 1, sizeof *roll.members);
    nu_assert(roll.members != NULL);
    if (c->name_count)
        roll.seen = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    for (size_t i = 0; i < c->targets.count; i++) {
        size_t n = 1;
        const struct nu_addr *addr = &target[i].where.addr;
        if (target[i].where.host)
            addr = cl_name_addrs(c, name++, &n);
        for (size_t k = 0; k < n; k++)
            add_member(&roll, &target[i], &addr[k]);
    }
    nu_strmap_free(roll.seen);
    return roll;
}

/* A set on its way to a worker; the cluster is pinned meanwhile. */
struct delivery {
    struct cl_cluster *cluster;
    struct nu_endpoint_set *set; /* a reference for the view */
};

/* Each worker starts at another place, else all of them would send their first connections to the
 * same servers. */
static uint32_t first_place(const struct nu_endpoint_set *set, unsigned shard)
{
    uint64_t len = set->group_count ? set->group[0].len : 0;
    return (uint32_t)(len * shard / (nu_workers_count() + 1));
}

static void (*on_set)(struct nu_cluster *cluster, unsigned shard);

void nu_clusters_on_set(void (*fn)(struct nu_cluster *cluster, unsigned shard))
{
    on_set = fn;
}

static void put(struct cl_cluster *c, unsigned shard, struct nu_endpoint_set *set)
{
    struct nu_cluster_view *view = &c->pub.view[shard];
    struct nu_endpoint_set *before = view->set;
    if (before->count == 0)
        view->next = first_place(set, shard);
    view->set = set;
    view->number++;
    if (on_set)
        on_set(&c->pub, shard);
    cl_set_unref(before);
}

static void delivered(struct nu_worker *w, void *arg)
{
    struct delivery *d = arg;
    d->cluster->reached = --d->cluster->handing == 0 || d->cluster->reached;
    nu_unpin(&d->cluster->pub.counted, w->loop.shard);
    free(d);
}

static void deliver(struct nu_worker *w, void *arg)
{
    struct delivery *d = arg;
    put(d->cluster, w->loop.shard, d->set);
    nu_worker_post(nu_worker_main(), delivered, d);
}

static void hand_over(struct cl_cluster *c, struct nu_worker *w)
{
    struct nu_endpoint_set *set = cl_set_ref(c->set);
    if (!c->committed || !w->threaded) {
        put(c, w->loop.shard, set);
        return;
    }
    struct delivery *d = malloc(sizeof *d);
    nu_assert(d != NULL);
    *d = (struct delivery){c, set};
    c->handing++;
    nu_pin(&c->pub.counted, nu_workers_count());
    nu_worker_post(w, deliver, d);
}

static void count_members(const struct cl_cluster *c)
{
    unsigned shard = nu_workers_count();
    nu_stat_set(c->pub.stats, shard, NU_CLUSTER_MEMBERSHIP_TOTAL, c->set->count);
    nu_stat_set(c->pub.stats, shard, NU_CLUSTER_MEMBERSHIP_HEALTHY, c->set->healthy);
}

/* Makes the set of the roll, and has the workers use it. */
static void publish_roll(struct cl_cluster *c, struct roll *roll)
{
    struct nu_endpoint_set *before = c->set;
    for (size_t i = 0; i < roll->count; i++)
        roll->members[i].failed = roll->members[i].endpoint->health & NU_ENDPOINT_FAILED;
    c->set =
        roll->count ? cl_set_new(roll->members, roll->count, c->panic_threshold) : cl_set_empty();
    free(roll->members);
    cl_set_unref(before);
    count_members(c);
    for (unsigned i = 0; i <= nu_workers_count(); i++)
        hand_over(c, nu_worker_at(i));
    cl_health_published(c);
}

void cl_publish(struct cl_cluster *c)
{
    struct roll roll = call_roll(c);
    cl_health_sync(c, roll.members, roll.count);
    nu_stat_add(c->pub.stats, nu_workers_count(), NU_CLUSTER_MEMBERSHIP_CHANGE, 1);
    publish_roll(c, &roll);
}

void cl_republish(struct cl_cluster *c)
{
    struct roll roll = call_roll(c);
    publish_roll(c, &roll);
}
