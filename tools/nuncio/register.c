/* The composition root: filters, log operators and stats of all layers. What other versions of the
 * project know and this one does not is named here, too, so that configs are told so. */
#include "tools/nuncio/register.h"

#include "core/logfile.h"
#include "core/registry.h"
#include "l4/access_log.h"
#include "l4/cluster.h"
#include "l4/filters/filters.h"
#include "l4/health/conf.h"
#include "l4/listener.h"
#include "l4/tcp_proxy.h"
#include "l4/udp/udp.h"
#include "l7/connect.h"
#include "l7/filters/filters.h"
#include "l7/http.h"
#include "l7/log_ops.h"
#include "l7/pool.h"
#include "l7/probe.h"
#include "l7/route/regex.h"
#include "l7/ws/websocket.h"
#include "tls/buffers.h"
#include "tls/context.h"
#include "tls/log_ops.h"
#include "tls/stats.h"
#include "tools/nuncio/server.h"
#include "tools/nuncio/statsd.h"

#include <stddef.h>

static const struct nu_filter_type *const filters[] = {
    &nu_filter_echo,
    &nu_filter_tcp_proxy,
    &nu_filter_ip_filter,
    &nu_filter_throttle,
    &nu_filter_connection_limit,
    &nu_filter_source_limit,
    &nu_filter_udp_proxy,
    &nu_filter_http,
    &nu_filter_header_edit,
    &nu_filter_cors,
    &nu_filter_csrf,
    &nu_filter_local_rate_limit,
    &nu_filter_basic_auth,
    &nu_filter_buffer,
    &nu_filter_compress,
    &nu_filter_decompress,
    &nu_filter_fault,
    &nu_filter_health_check,
    &nu_filter_websocket,
};

static const char *const later[] = {
    "tap",
};

static const struct nu_stat_group *const stats[] = {
    &nu_listener_stats, &nu_tcp_proxy_stats, &nu_logfile_stats, &nu_server_stats,
    &nu_http_stats,     &nu_regex_stats,     &nu_statsd_stats,
};

void nu_register_all(void)
{
    nu_tls_buffers_install();
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        nu_registry_add(filters[i]);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        nu_registry_add_later(later[i]);
    for (size_t i = 0; i < sizeof stats / sizeof *stats; i++)
        nu_stats_register(stats[i]);
    nu_cluster_register();
    nu_schema_extend(&nu_listener_schema, &nu_tls_of_listener);
    nu_schema_extend(&nu_chain_schema, &nu_tls_of_chain);
    nu_schema_extend(&nu_cluster_schema, &nu_tls_of_cluster);
    nu_schema_extend(&nu_health_schema, &nu_probe_http);
    nu_schema_extend(&nu_health_schema, &nu_probe_grpc);
    nu_stats_register(&nu_tls_listener_stats);
    nu_stats_register(&nu_tls_cluster_stats);
    nu_l4_filters_register();
    nu_http_filters_register();
    nu_log_ops_l4();
    nu_log_ops_tls();
    nu_log_ops_l7();
    nu_log_ops_ws();
    nu_stats_register(&nu_websocket_stats);
    nu_pool_register();
    nu_connect_register();
    nu_udp_register();
}
