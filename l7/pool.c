/* Kept connections of a worker, by cluster and endpoint; see pool.h. */
#include "l7/pool.h"

#include "core/assert.h"
#include "l4/endpoint.h"
#include "l7/client.h"

#include <stdlib.h>

#define BUCKETS 64 /* by endpoint; a cluster with more endpoints shares them */

struct shelf {
    unsigned count;
    struct nu_list all; /* oldest first; so are the next */
    struct nu_list bucket[BUCKETS];
};

/* One cluster's on one worker. */
struct nu_pool {
    struct shelf kept, shared;
};

static const struct nu_pool_conf defaults = {.max_idle = 1024, .idle_timeout_ms = 3600 * 1000};

static const struct nu_field fields[] = {
    {.key = "max_idle",
     .type = NU_INT,
     .offset = offsetof(struct nu_pool_conf, max_idle),
     .fallback = "1024",
     .max = 1000000,
     .doc = "Connections that each worker keeps open for the next request; the oldest goes first. "
            "0 = none. Of HTTP/2: that may take requests."},
    {.key = "idle_timeout",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_pool_conf, idle_timeout_ms),
     .fallback = "1h",
     .doc = "A kept connection that carries no request for this long is closed; 0 = never."},
    {.key = "max_requests",
     .type = NU_INT,
     .offset = offsetof(struct nu_pool_conf, max_requests),
     .fallback = "0",
     .doc = "Requests on one connection before it is closed; 0 = any number."},
    {0}
};

static const struct nu_schema schema = {
    .name = "pool",
    .doc = "Connections to the cluster's servers that are kept between requests of HTTP.",
    .size = sizeof(struct nu_pool_conf),
    .fields = fields,
};

struct nu_ext nu_pool_of_cluster = {
    .field = {.key = "pool",
              .type = NU_OBJECT,
              .flags = NU_PTR,
              .sub = &schema,
              .doc = "Connections that are kept between requests."}
};

const struct nu_pool_conf *nu_pool_conf_of(const struct nu_cluster *cluster)
{
    const struct nu_pool_conf *conf = nu_ext_get(cluster->ext, &nu_pool_of_cluster);
    return conf ? conf : &defaults;
}

static struct nu_list *bucket_of(struct shelf *shelf, const struct nu_endpoint *endpoint)
{
    return &shelf->bucket[(uintptr_t)endpoint / 64 % BUCKETS];
}

static void make_shelf(struct shelf *shelf)
{
    shelf->count = 0;
    nu_list_init(&shelf->all);
    for (unsigned i = 0; i < BUCKETS; i++)
        nu_list_init(&shelf->bucket[i]);
}

static struct nu_pool *pool_of(struct nu_cluster_view *view)
{
    if (view->pool)
        return view->pool;
    struct nu_pool *pool = malloc(sizeof *pool);
    nu_assert(pool != NULL);
    make_shelf(&pool->kept);
    make_shelf(&pool->shared);
    return view->pool = pool;
}

static void list(struct shelf *shelf, struct nu_pooled *pooled)
{
    nu_list_add_tail(&shelf->all, &pooled->in_pool);
    nu_list_add_tail(bucket_of(shelf, pooled->endpoint), &pooled->in_bucket);
    shelf->count++;
}

static void unlist(struct shelf *shelf, struct nu_pooled *pooled)
{
    nu_list_del(&pooled->in_bucket);
    nu_list_del(&pooled->in_pool);
    shelf->count--;
}

static void evict(struct shelf *shelf, struct nu_pooled *pooled)
{
    unlist(shelf, pooled);
    pooled->evict(pooled);
}

static void evict_oldest(struct shelf *shelf)
{
    evict(shelf, nu_container(shelf->all.next, struct nu_pooled, in_pool));
}

/* --- endpoints that go --- */

static bool is_failed(const struct nu_endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->health, memory_order_relaxed) & NU_ENDPOINT_FAILED;
}

/* Endpoints that clients chose stand in no set. */
static bool is_member(const struct nu_cluster *cluster, const struct nu_cluster_view *view,
                      struct nu_pooled *pooled)
{
    const struct nu_endpoint_set *set = view->set;
    if (cluster->found || pooled->number == view->number)
        return true;
    pooled->number = view->number;
    for (uint32_t i = 0; i < set->count; i++)
        if (set->item[i] == pooled->endpoint)
            return true;
    return false;
}

static void mark(struct shelf *shelf, const struct nu_endpoint *endpoint, uint32_t number)
{
    nu_list_each (node, bucket_of(shelf, endpoint)) {
        struct nu_pooled *pooled = nu_container(node, struct nu_pooled, in_bucket);
        if (pooled->endpoint != endpoint)
            continue;
        pooled->stays = true;
        pooled->number = number;
    }
}

static void evict_strangers(struct shelf *shelf)
{
    nu_list_each (node, &shelf->all) {
        struct nu_pooled *pooled = nu_container(node, struct nu_pooled, in_pool);
        if (!pooled->stays)
            evict(shelf, pooled);
        pooled->stays = false;
    }
}

static void look_through(const struct nu_cluster_view *view, struct shelf *shelf)
{
    if (shelf->count == 0)
        return;
    for (uint32_t i = 0; i < view->set->count; i++)
        if (!is_failed(view->set->item[i]))
            mark(shelf, view->set->item[i], view->number);
    evict_strangers(shelf);
}

void nu_pool_look_through(struct nu_cluster *cluster, unsigned shard)
{
    const struct nu_cluster_view *view = &cluster->view[shard];
    if (!view->pool || cluster->found)
        return;
    look_through(view, &view->pool->kept);
    look_through(view, &view->pool->shared);
}

/* --- in and out --- */

static bool may_stay(const struct nu_cluster *cluster, const struct nu_cluster_view *view,
                     struct nu_pooled *pooled)
{
    return !view->retired && !is_failed(pooled->endpoint) && is_member(cluster, view, pooled);
}

bool nu_pool_put(struct nu_cluster *cluster, unsigned shard, struct nu_pooled *pooled)
{
    int64_t most = nu_pool_conf_of(cluster)->max_idle;
    struct nu_cluster_view *view = &cluster->view[shard];
    if (most == 0 || !may_stay(cluster, view, pooled))
        return false;
    struct nu_pool *pool = pool_of(view);
    if (pool->kept.count >= most)
        evict_oldest(&pool->kept);
    list(&pool->kept, pooled);
    return true;
}

bool nu_pool_share(struct nu_cluster *cluster, unsigned shard, struct nu_pooled *pooled)
{
    struct nu_cluster_view *view = &cluster->view[shard];
    if (!may_stay(cluster, view, pooled))
        return false;
    int64_t most = nu_pool_conf_of(cluster)->max_idle;
    struct shelf *shelf = &pool_of(view)->shared;
    pooled->shared = true;
    if (most > 0 && shelf->count >= most)
        evict_oldest(shelf);
    list(shelf, pooled);
    return true;
}

struct nu_pooled *nu_pool_take(struct nu_cluster *cluster, unsigned shard,
                               const struct nu_endpoint *endpoint)
{
    struct nu_pool *pool = cluster->view[shard].pool;
    if (!pool)
        return NULL;
    struct nu_list *bucket = bucket_of(&pool->kept, endpoint);
    for (struct nu_list *at = bucket->prev; at != bucket; at = at->prev) {
        struct nu_pooled *pooled = nu_container(at, struct nu_pooled, in_bucket);
        if (pooled->endpoint != endpoint)
            continue;
        unlist(&pool->kept, pooled);
        return pooled;
    }
    return NULL;
}

struct nu_pooled *nu_pool_find(struct nu_cluster *cluster, unsigned shard,
                               const struct nu_endpoint *endpoint,
                               bool (*fits)(const struct nu_pooled *pooled))
{
    struct nu_pool *pool = cluster->view[shard].pool;
    if (!pool)
        return NULL;
    nu_list_each (node, bucket_of(&pool->shared, endpoint)) {
        struct nu_pooled *pooled = nu_container(node, struct nu_pooled, in_bucket);
        if (pooled->endpoint == endpoint && fits(pooled))
            return pooled;
    }
    return NULL;
}

void nu_pool_drop(struct nu_cluster *cluster, unsigned shard, struct nu_pooled *pooled)
{
    struct nu_pool *pool = cluster->view[shard].pool;
    unlist(pooled->shared ? &pool->shared : &pool->kept, pooled);
}

/* The worker lets go of the cluster; requests in progress end by themselves, and are not kept. */
static void retire(struct nu_cluster *cluster, unsigned shard)
{
    struct nu_cluster_view *view = &cluster->view[shard];
    struct nu_pool *pool = view->pool;
    view->retired = true;
    view->pool = NULL;
    if (!pool)
        return;
    while (!nu_list_empty(&pool->kept.all))
        evict_oldest(&pool->kept);
    while (!nu_list_empty(&pool->shared.all))
        evict_oldest(&pool->shared);
    free(pool);
}

void nu_pool_register(void)
{
    nu_schema_extend(&nu_cluster_schema, &nu_pool_of_cluster);
    nu_schema_extend(&nu_cluster_schema, &nu_protocol_of_cluster);
    nu_schema_extend(&nu_cluster_schema, &nu_http2_of_cluster);
    nu_clusters_on_retire(retire);
    nu_clusters_on_set(nu_pool_look_through);
}
