/* tcp_proxy: relays a connection's bytes to an endpoint of a cluster. */
#ifndef NU_L4_TCP_PROXY_H
#define NU_L4_TCP_PROXY_H

#include "core/filter.h"
#include "core/stats.h"

extern const struct nu_filter_type nu_filter_tcp_proxy;
/* "tcp.<name>" */
extern const struct nu_stat_group nu_tcp_proxy_stats;

#endif
