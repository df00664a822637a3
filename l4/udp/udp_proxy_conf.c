/* The config of udp_proxy: its keys, its cluster and its figures. Main thread. */
#include "core/generation.h"
#include "core/worker.h"
#include "l4/udp/udp_proxy_priv.h"
#include "l4/udp/udp_stats.h"

static const struct nu_field fields[] = {
    {.key = "cluster",
     .type = NU_STRING,
     .flags = NU_REQUIRED | NU_NONEMPTY,
     .offset = offsetof(struct udp_proxy_conf, cluster_name),
     .doc = "The cluster to relay to."},
    {.key = "idle_timeout",
     .type = NU_DURATION,
     .offset = offsetof(struct udp_proxy_conf, idle_timeout_ms),
     .fallback = "1m",
     .doc = "A session in which no datagram goes either way for this long is over; 0 = never."},
    {.key = "responses",
     .type = NU_INT,
     .offset = offsetof(struct udp_proxy_conf, responses),
     .fallback = "0",
     .max = 1000000,
     .doc = "How many datagrams answer one of the client: a session is over once all its "
            "datagrams are answered, and needs no memory for the idle timeout. 1 for DNS; 0 = any "
            "number."},
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct udp_proxy_conf, name),
     .doc = "Prefix of its stats, udp.<name>.*; by default the cluster's name."},
    {0               }
};

const struct nu_schema nu_udp_proxy_schema = {
    .name = "udp_proxy",
    .doc = "Ends a chain of a `udp://` listener: relays datagrams to an endpoint of a cluster, the "
           "same one for the life of a session. Each datagram stays one; what cannot be sent is "
           "dropped and counted. If the endpoint refuses before it ever answered, the next one is "
           "tried.",
    .size = sizeof(struct udp_proxy_conf),
    .fields = fields,
    .scalar = "cluster",
};

static void unpin_cluster(void *ctx)
{
    struct nu_cluster *cluster = ctx;
    nu_unpin(&cluster->counted, nu_worker_main()->loop.shard);
}

static void put_stats(void *ctx)
{
    nu_stats_put(ctx);
}

static struct nu_cluster *find_cluster(const struct nu_generation *gen, struct nu_conf *c,
                                       const struct nu_node *at)
{
    if (at && at->kind == NU_NODE_MAP)
        at = nu_node_get(at, "cluster");
    if (!at || at->kind != NU_NODE_SCALAR || at->broken || nu_node_is_null(at))
        return NULL; /* reported */
    struct nu_cluster *cluster = nu_cluster_find(gen->clusters, at->text);
    if (!cluster) {
        const char *const *names = nu_clusters_names(gen->clusters);
        nu_conf_error(c, at, "no cluster is named \"%s\"", at->text);
        nu_conf_guess(c, nu_did_you_mean(at->text, names, nu_clusters_count(gen->clusters)));
        return NULL;
    }
    const char *what = cluster->near_count                      ? "tls"
                       : cluster->proxy_header != NU_PROXY_NONE ? "proxy_protocol"
                       : cluster->original_dst                  ? "original_dst"
                       : cluster->dynamic_forward               ? "dynamic_forward"
                       : nu_cluster_has_unix(cluster)           ? "a UNIX socket"
                                                                : NULL;
    if (!what)
        return cluster;
    nu_conf_error(c, at, "cluster \"%s\" has %s, which is not for datagrams", at->text, what);
    return NULL;
}

void nu_udp_proxy_check_names(const struct nu_generation *gen, struct nu_conf *c,
                              const struct nu_node *node)
{
    find_cluster(gen, c, node);
}

static struct nu_stats *stats_of(struct nu_arena *arena, const struct nu_stat_group *group,
                                 const char *prefix)
{
    struct nu_stats *stats = nu_stats_get(group, prefix);
    nu_arena_on_free(arena, put_stats, stats);
    return stats;
}

enum nu_err nu_udp_proxy_prepare(struct nu_generation *gen, struct nu_conf *c,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct udp_proxy_conf *conf = parsed;
    conf->cluster = find_cluster(gen, c, node);
    if (!conf->cluster)
        return NU_ERR_CONFIG;
    nu_pin(&conf->cluster->counted, nu_worker_main()->loop.shard);
    nu_arena_on_free(arena, unpin_cluster, conf->cluster);
    const char *name = conf->name ? conf->name : conf->cluster->name;
    conf->stats = stats_of(arena, &nu_udp_proxy_stats, nu_arena_printf(arena, "udp.%s", name));
    conf->cluster_stats = stats_of(arena, &nu_udp_cluster_stats,
                                   nu_arena_printf(arena, "cluster.%s.udp", conf->cluster->name));
    return NU_OK;
}
