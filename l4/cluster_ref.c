/* References of configs to clusters; see cluster_ref.h. */
#include "l4/cluster_ref.h"

#include "core/arena.h"
#include "core/assert.h"
#include "core/worker.h"

bool nu_cluster_known(struct nu_clusters *clusters, struct nu_conf *conf, const struct nu_node *at)
{
    if (at && at->kind == NU_NODE_MAP)
        at = nu_node_get(at, "name");
    if (!at || at->kind != NU_NODE_SCALAR || at->broken || nu_node_is_null(at) ||
        nu_cluster_find(clusters, at->text))
        return true;
    const char *const *names = nu_clusters_names(clusters);
    nu_conf_error(conf, at, "no cluster is named \"%s\"", at->text);
    nu_conf_guess(conf, nu_did_you_mean(at->text, names, nu_clusters_count(clusters)));
    return false;
}

bool nu_clusters_known(struct nu_clusters *clusters, struct nu_conf *conf,
                       const struct nu_node *map)
{
    if (map->kind != NU_NODE_MAP)
        return true;
    bool all = nu_cluster_known(clusters, conf, nu_node_get(map, "cluster"));
    const struct nu_node *list = nu_node_get(map, "clusters");
    if (!list || list->kind != NU_NODE_LIST)
        return nu_cluster_known(clusters, conf, list) && all;
    for (uint32_t i = 0; i < list->count; i++)
        all = nu_cluster_known(clusters, conf, list->child[i]) && all;
    return all;
}

static void unpin(void *ctx)
{
    struct nu_cluster *cluster = ctx;
    nu_unpin(&cluster->counted, nu_worker_main()->loop.shard);
}

struct nu_cluster *nu_cluster_hold(struct nu_clusters *clusters, const char *name,
                                   struct nu_arena *arena)
{
    struct nu_cluster *cluster = nu_cluster_find(clusters, name);
    nu_assert(cluster != NULL);
    nu_pin(&cluster->counted, nu_worker_main()->loop.shard);
    nu_arena_on_free(arena, unpin, cluster);
    return cluster;
}

static void put(void *ctx)
{
    nu_stats_put(ctx);
}

struct nu_stats *nu_stats_hold(const struct nu_stat_group *group, const char *prefix,
                               struct nu_arena *arena)
{
    struct nu_stats *stats = nu_stats_get(group, prefix);
    nu_arena_on_free(arena, put, stats);
    return stats;
}
