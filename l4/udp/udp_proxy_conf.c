/* The config of udp_proxy: its keys, its cluster and its figures. Main thread. */
#include "core/generation.h"
#include "l4/cluster_ref.h"
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

static struct nu_cluster *find_cluster(const struct nu_generation *gen, struct nu_conf *c,
                                       const struct nu_node *at)
{
    if (at && at->kind == NU_NODE_MAP)
        at = nu_node_get(at, "cluster");
    if (!at || at->kind != NU_NODE_SCALAR || at->broken || nu_node_is_null(at))
        return NULL; /* reported */
    if (!nu_cluster_known(gen->clusters, c, at))
        return NULL;
    struct nu_cluster *cluster = nu_cluster_find(gen->clusters, at->text);
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

enum nu_err nu_udp_proxy_prepare(struct nu_generation *gen, struct nu_conf *c,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct udp_proxy_conf *conf = parsed;
    const struct nu_cluster *found = find_cluster(gen, c, node);
    if (!found)
        return NU_ERR_CONFIG;
    conf->cluster = nu_cluster_hold(gen->clusters, found->name, arena);
    const char *name = conf->name ? conf->name : conf->cluster->name;
    conf->stats = nu_stats_hold(&nu_udp_proxy_stats, nu_arena_printf(arena, "udp.%s", name), arena);
    conf->cluster_stats =
        nu_stats_hold(&nu_udp_cluster_stats,
                      nu_arena_printf(arena, "cluster.%s.udp", conf->cluster->name), arena);
    return NU_OK;
}
