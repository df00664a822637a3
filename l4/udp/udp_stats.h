/* Figures of udp_proxy, by Envoy's names. */
#ifndef NU_L4_UDP_STATS_H
#define NU_L4_UDP_STATS_H

#include "core/stats.h"

enum nu_udp_proxy_stat {
    NU_UDP_PROXY_TOTAL,
    NU_UDP_PROXY_ACTIVE,
    NU_UDP_PROXY_NO_ROUTE,
    NU_UDP_PROXY_IDLE_TIMEOUT,
    NU_UDP_PROXY_RX_BYTES,
    NU_UDP_PROXY_RX_DATAGRAMS,
    NU_UDP_PROXY_TX_BYTES,
    NU_UDP_PROXY_TX_DATAGRAMS,
    NU_UDP_PROXY_STAT_COUNT
};
/* "udp.<name>" */
extern const struct nu_stat_group nu_udp_proxy_stats;

enum nu_udp_cluster_stat {
    NU_UDP_SESS_RX_DATAGRAMS,
    NU_UDP_SESS_RX_DROPPED,
    NU_UDP_SESS_RX_ERRORS,
    NU_UDP_SESS_TX_DATAGRAMS,
    NU_UDP_SESS_TX_ERRORS,
    NU_UDP_CLUSTER_STAT_COUNT
};
/* "cluster.<name>.udp" */
extern const struct nu_stat_group nu_udp_cluster_stats;

#endif
