/* What is told of sessions: figures, and the access log's operators. */
#include "l4/udp/udp_stats.h"

#include "core/logfmt.h"
#include "l4/udp/session.h"
#include "l4/udp/udp.h"

#define COUNTER(name, unit, doc)                                                                   \
    {                                                                                              \
        name, NU_COUNTER, unit, doc                                                                \
    }

static const struct nu_stat_def proxy_defs[NU_UDP_PROXY_STAT_COUNT] = {
    [NU_UDP_PROXY_TOTAL] = COUNTER("downstream_sess_total", NULL, "Sessions begun"),
    [NU_UDP_PROXY_ACTIVE] = {"downstream_sess_active", NU_GAUGE, NULL, "Sessions now"},
    [NU_UDP_PROXY_NO_ROUTE] =
        COUNTER("downstream_sess_no_route", NULL, "Sessions for which no endpoint could be picked"),
    [NU_UDP_PROXY_IDLE_TIMEOUT] =
        COUNTER("idle_timeout", NULL, "Sessions ended because they were quiet for idle_timeout"),
    [NU_UDP_PROXY_RX_BYTES] =
        COUNTER("downstream_sess_rx_bytes", "bytes", "Payload received from clients"),
    [NU_UDP_PROXY_RX_DATAGRAMS] =
        COUNTER("downstream_sess_rx_datagrams", NULL, "Datagrams received from clients"),
    [NU_UDP_PROXY_TX_BYTES] =
        COUNTER("downstream_sess_tx_bytes", "bytes", "Payload on its way to clients"),
    [NU_UDP_PROXY_TX_DATAGRAMS] =
        COUNTER("downstream_sess_tx_datagrams", NULL, "Datagrams on their way to clients"),
};

const struct nu_stat_group nu_udp_proxy_stats =
    NU_STAT_GROUP("udp.<name>", "One set for each udp_proxy name.", proxy_defs);

static const struct nu_stat_def cluster_defs[NU_UDP_CLUSTER_STAT_COUNT] = {
    [NU_UDP_SESS_RX_DATAGRAMS] =
        COUNTER("sess_rx_datagrams", NULL, "Datagrams received from endpoints"),
    [NU_UDP_SESS_RX_DROPPED] =
        COUNTER("sess_rx_datagrams_dropped", NULL,
                "Datagrams of endpoints dropped by the kernel: they were not read in time"),
    [NU_UDP_SESS_RX_ERRORS] =
        COUNTER("sess_rx_errors", NULL, "Errors read instead: mostly an ICMP answer"),
    [NU_UDP_SESS_TX_DATAGRAMS] = COUNTER("sess_tx_datagrams", NULL, "Datagrams sent to endpoints"),
    [NU_UDP_SESS_TX_ERRORS] =
        COUNTER("sess_tx_errors", NULL,
                "Datagrams that could not be sent: too long, no room, or an ICMP answer to an "
                "earlier one"),
};

const struct nu_stat_group nu_udp_cluster_stats =
    NU_STAT_GROUP("cluster.<name>.udp", "A cluster that a udp_proxy relays to.", cluster_defs);

/* --- the access log --- */

#define OP_ARGS struct nu_logbuf *out, const void *subject, const void *arg

static bool received(OP_ARGS)
{
    uint64_t rx, tx;
    bool is_session = nu_udp_datagrams(subject, &rx, &tx);
    nu_logbuf_u64(out, is_session ? rx : 0);
    return is_session;
}

static bool sent(OP_ARGS)
{
    uint64_t rx, tx;
    bool is_session = nu_udp_datagrams(subject, &rx, &tx);
    nu_logbuf_u64(out, is_session ? tx : 0);
    return is_session;
}

static const struct nu_log_op ops[] = {
    {"DATAGRAMS_RECEIVED", "Datagrams from the client; of TCP, none.", NU_LOG_NUMBER,
     NU_LOG_ARG_NONE,                                                                                  NULL, received},
    {"DATAGRAMS_SENT",     "Datagrams to the client; of TCP, none.",   NU_LOG_NUMBER, NU_LOG_ARG_NONE,
     NULL,                                                                                                   sent    },
};

void nu_udp_register(void)
{
    nu_stats_register(&nu_udp_listener_stats);
    nu_stats_register(&nu_udp_proxy_stats);
    nu_stats_register(&nu_udp_cluster_stats);
    nu_log_ops_register(ops, sizeof ops / sizeof *ops);
    nu_udp_sessions_init();
}
