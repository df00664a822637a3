/* The clusters of a generation: built from the config, found by name, carried over, retired. What a
 * cluster's text means is cluster_conf.c's, its endpoints are cluster_set.c's. */
#include "l4/cluster.h"

#include "core/assert.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "l4/balance/round_robin.h"
#include "l4/cluster_priv.h"

#include <errno.h>
#include <string.h>

#define ARENA_FIRST 1024 /* bytes: a cluster with a few endpoints */

/* Lives in the generation's arena. Not written after the build, so that any thread may read it. */
struct nu_clusters {
    struct nu_cluster **item;
    const char **name;
    size_t count;
    struct nu_strmap *by_name;
};

/* A build on its way. */
struct build {
    struct nu_conf *conf;
    struct nu_clusters *out, *old;
    struct nu_arena *scratch;    /* texts to compare */
    struct nu_strmap *first_use; /* name -> node */
};

static void (*retiring)(struct nu_cluster *cluster, unsigned shard);

struct nu_cluster *nu_cluster_find(struct nu_clusters *clusters, const char *name)
{
    return clusters ? nu_strmap_get_str(clusters->by_name, name) : NULL;
}

size_t nu_clusters_count(const struct nu_clusters *clusters)
{
    return clusters ? clusters->count : 0;
}

struct nu_cluster *nu_cluster_at(struct nu_clusters *clusters, size_t i)
{
    nu_assert(clusters && i < clusters->count);
    return clusters->item[i];
}

const char *const *nu_clusters_names(const struct nu_clusters *clusters)
{
    return clusters ? clusters->name : NULL;
}

/* Nobody pins it, no view is used any more. */
static void release(struct nu_counted *counted)
{
    struct nu_cluster *cluster = nu_container(counted, struct nu_cluster, counted);
    struct cl_cluster *c = cl_of(cluster);
    cl_health_stop(c);
    cl_names_stop(c);
    cl_chosen_free(c);
    for (unsigned i = 0; i <= nu_workers_count(); i++)
        cl_set_unref(cluster->view[i].set);
    cl_set_unref(c->set);
    nu_stats_put(cluster->stats);
    nu_arena_free(cluster->arena);
}

static void make_views(struct nu_cluster *cluster)
{
    size_t line = alignof(struct nu_cluster_view), shards = nu_workers_count() + 1;
    char *at = nu_arena_alloc(cluster->arena, shards * sizeof *cluster->view + line);
    cluster->view = (void *)(((uintptr_t)at + line - 1) / line * line);
    for (size_t i = 0; i < shards; i++)
        cluster->view[i].set = cl_set_empty();
}

/* P1: the header says who it is, the address is its own, or it chose the server. */
static bool is_per_client(const struct nu_cluster *c)
{
    bool is = c->proxy_header != NU_PROXY_NONE || c->found || c->connect.opt.transparent;
    for (const struct nu_ext *e = *nu_cluster_schema.ext; e; e = e->next) {
        const void *value = nu_ext_get(c->ext, e);
        is = is || (value && e->per_client && e->per_client(value));
    }
    return is;
}

static struct nu_cluster *make(struct build *b, const struct nu_node *node, const char *text)
{
    struct nu_arena *arena = nu_arena_new(ARENA_FIRST);
    struct cl_cluster *c = nu_arena_alloc(arena, sizeof *c);
    if (cl_parse(b->conf, arena, node, c) != NU_OK) {
        nu_arena_free(arena);
        return NULL;
    }
    c->pub.arena = arena;
    c->text = nu_arena_strdup(arena, text);
    c->node = node;
    c->set = cl_set_empty();
    c->pub.stats = nu_stats_get(&nu_cluster_stat_group,
                                nu_arena_printf(b->scratch, "cluster.%s", c->pub.name));
    c->pub.near_count =
        nu_ext_places(&(struct nu_ext_values){&nu_cluster_schema, c->pub.ext}, arena, c->pub.near);
    nu_counted_setup(&c->pub.counted, arena, release);
    cl_chosen_make(c);
    c->pub.per_client = is_per_client(&c->pub);
    make_views(&c->pub);
    return &c->pub;
}

/* The name, where it is one; whether it is there at all is the schema's to say. */
static const char *name_of(const struct nu_node *node)
{
    const struct nu_node *name = node->kind == NU_NODE_MAP ? nu_node_get(node, "name") : NULL;
    return name && name->kind == NU_NODE_SCALAR && *name->text ? name->text : NULL;
}

static bool is_first(struct build *b, const struct nu_node *node, const char *name)
{
    const struct nu_node *first = nu_strmap_get_str(b->first_use, name);
    if (!first) {
        nu_strmap_put_str(b->first_use, name, (void *)node);
        return true;
    }
    nu_conf_error(b->conf, nu_node_get(node, "name"),
                  "the cluster on line %u has this name already", first->line);
    return false;
}

static enum nu_err build_one(struct build *b, const struct nu_node *node)
{
    const char *name = name_of(node);
    bool first = !name || is_first(b, node, name);
    const char *text = nu_node_print(b->scratch, node);
    struct nu_cluster *same = name ? nu_cluster_find(b->old, name) : NULL;
    if (!first)
        return NU_ERR_CONFIG;
    if (!same || strcmp(cl_of(same)->text, text) != 0)
        same = make(b, node, text);
    if (!same)
        return NU_ERR_CONFIG;
    b->out->name[b->out->count] = same->name;
    b->out->item[b->out->count++] = same;
    nu_strmap_put_str(b->out->by_name, same->name, same);
    return NU_OK;
}

static enum nu_err build_all(struct build *b, const struct nu_node *list, struct nu_arena *arena)
{
    struct nu_clusters *out = b->out;
    bool many = list && list->kind == NU_NODE_LIST;
    size_t count = many ? list->count : list && !nu_node_is_null(list);
    enum nu_err err = NU_OK;
    out->by_name = nu_strmap_new(arena, NU_STRMAP_EXACT);
    out->item = nu_arena_alloc(arena, count * sizeof(void *));
    out->name = nu_arena_alloc(arena, (count + 1) * sizeof(void *));
    for (size_t i = 0; i < count; i++)
        if (build_one(b, many ? list->child[i] : list) != NU_OK)
            err = NU_ERR_CONFIG;
    return err;
}

enum nu_err nu_clusters_build(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *list, struct nu_clusters *old,
                              struct nu_clusters **out)
{
    struct build b = {.conf = conf, .old = old};
    b.out = nu_arena_alloc(arena, sizeof *b.out);
    b.scratch = nu_arena_new(4096);
    b.first_use = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    enum nu_err err = build_all(&b, list, arena);
    nu_strmap_free(b.first_use);
    nu_arena_free(b.scratch);
    *out = b.out;
    if (!err)
        return NU_OK;
    nu_clusters_discard(b.out, old);
    *out = NULL;
    return err;
}

static bool has(struct nu_clusters *clusters, const struct nu_cluster *cluster)
{
    return nu_cluster_find(clusters, cluster->name) == cluster;
}

void nu_clusters_discard(struct nu_clusters *clusters, struct nu_clusters *old)
{
    for (size_t i = 0; i < nu_clusters_count(clusters); i++)
        if (!has(old, clusters->item[i])) {
            nu_assert(nu_counted_pins(&clusters->item[i]->counted) == 0);
            release(&clusters->item[i]->counted);
        }
    if (clusters)
        clusters->count = 0;
}

static void nothing(struct nu_worker *w, void *arg)
{
}

void nu_clusters_commit(struct nu_clusters *clusters, struct nu_clusters *old)
{
    for (size_t i = 0; i < nu_clusters_count(clusters); i++) {
        struct nu_cluster *cluster = clusters->item[i];
        struct nu_cluster *before = nu_cluster_find(old, cluster->name);
        struct cl_cluster *c = cl_of(cluster);
        if (c->committed)
            continue;
        cl_names_start(c, before ? cl_of(before) : NULL);
        cl_health_start(c, before ? cl_of(before) : NULL);
        cl_publish(c);
        cl_chosen_start(c);
        c->node = NULL; /* it goes with the config's text */
        c->committed = true;
    }
    /* Whoever called, main's loop takes a turn: questions are waiting in it. */
    nu_worker_post(nu_worker_main(), nothing, NULL);
}

static void cl_stop(struct cl_cluster *c)
{
    cl_health_stop(c);
    cl_names_stop(c);
    cl_chosen_stop(c);
}

void nu_clusters_on_retire(void (*fn)(struct nu_cluster *cluster, unsigned shard))
{
    retiring = fn;
}

void nu_clusters_keep_none_on(struct nu_clusters *clusters, unsigned shard)
{
    for (size_t i = 0; retiring && i < nu_clusters_count(clusters); i++)
        retiring(clusters->item[i], shard);
}

void nu_clusters_retire_on(struct nu_clusters *gone, struct nu_clusters *next, unsigned shard)
{
    for (size_t i = 0; i < nu_clusters_count(gone); i++) {
        struct nu_cluster *cluster = gone->item[i];
        if (has(next, cluster))
            continue;
        if (shard == nu_workers_count())
            cl_stop(cl_of(cluster)); /* from now on no set may be sent */
        if (retiring)
            retiring(cluster, shard);
        nu_counted_retire_on(&cluster->counted, shard);
    }
}

static enum nu_err try_one(struct nu_conf *conf, const struct cl_cluster *c)
{
    static const struct nu_addr any4 = {.kind = NU_ADDR_IP4}, any6 = {.kind = NU_ADDR_IP6};
    char why[NU_SOCKOPT_WHY_MAX];
    const struct nu_sockopt *opt = &c->pub.connect.opt;
    const char *text = nu_sockopt_why(&any4, SOCK_STREAM, opt, false, why);
    if (text && errno == EAFNOSUPPORT)
        text = nu_sockopt_why(&any6, SOCK_STREAM, opt, false, why);
    if (!text)
        return NU_OK;
    if (errno == ENODEV) { /* it may come up later */
        nu_conf_warn(conf, c->node, "%s", text);
        return NU_OK;
    }
    nu_conf_error(conf, c->node, "%s", text);
    return NU_ERR_CONFIG;
}

enum nu_err nu_clusters_try(struct nu_clusters *clusters, struct nu_conf *conf)
{
    enum nu_err err = NU_OK;
    for (size_t i = 0; i < nu_clusters_count(clusters); i++)
        if (!cl_of(clusters->item[i])->committed &&
            try_one(conf, cl_of(clusters->item[i])) != NU_OK)
            err = NU_ERR_CONFIG;
    return err;
}

bool nu_clusters_need_net_admin(const struct nu_clusters *clusters)
{
    for (size_t i = 0; i < nu_clusters_count(clusters); i++)
        if (nu_sockopt_needs_net_admin(&clusters->item[i]->connect.opt))
            return true;
    return false;
}

struct nu_endpoint *nu_cluster_pick(struct nu_cluster *cluster, unsigned shard,
                                    struct nu_endpoint *const *tried, unsigned tried_count)
{
    struct nu_cluster_view *view = &cluster->view[shard];
    struct nu_endpoint *e = nu_round_robin(view->set, &view->next, tried, tried_count);
    if (view->set->panic && tried_count == 0)
        nu_stat_add(cluster->stats, shard, NU_CLUSTER_LB_HEALTHY_PANIC, 1);
    return e ? nu_endpoint_ref(e) : NULL;
}
