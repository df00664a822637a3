/* What a config says of udp_proxy; shared by udp_proxy.c and udp_proxy_conf.c. */
#ifndef NU_L4_UDP_UDP_PROXY_PRIV_H
#define NU_L4_UDP_UDP_PROXY_PRIV_H

#include "core/conf/schema.h"
#include "l4/cluster.h"
#include "l4/udp/udp.h"

struct udp_proxy_conf {
    const char *name, *cluster_name;
    int64_t idle_timeout_ms, responses;
    struct nu_cluster *cluster;
    struct nu_stats *stats, *cluster_stats; /* enum nu_udp_proxy_stat, nu_udp_cluster_stat */
};

extern const struct nu_schema nu_udp_proxy_schema;
void nu_udp_proxy_check_names(const struct nu_generation *gen, struct nu_conf *c,
                              const struct nu_node *node);
enum nu_err nu_udp_proxy_prepare(struct nu_generation *gen, struct nu_conf *c,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed);

#endif
