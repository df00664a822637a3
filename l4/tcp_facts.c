/* TCP_INFO and the access log operators that show it; see tcp_facts.h. */
#include "l4/tcp_facts.h"

#include "core/chain.h"
#include "core/logfmt.h"
#include "l4/sock.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

static atomic_bool wanted; /* set while configs are read, never taken back */

bool nu_tcp_facts_wanted(void)
{
    return atomic_load_explicit(&wanted, memory_order_relaxed);
}

/* The kernel fills what it knows; older ones know less. */
bool nu_tcp_facts_read(int fd, struct nu_tcp_facts *out)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    memset(out, 0, sizeof *out);
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
        return false;
    *out = (struct nu_tcp_facts){
        .rtt_us = info.tcpi_rtt,
        .rtt_variance_us = info.tcpi_rttvar,
        .min_rtt_us = info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt,
        .tx_segments = info.tcpi_segs_out,
        .rx_segments = info.tcpi_segs_in,
        .tx_retransmitted_segments = info.tcpi_total_retrans,
        .congestion_window = info.tcpi_snd_cwnd,
        .delivery_rate = info.tcpi_delivery_rate,
    };
    return true;
}

/* --- operators --- */

#define OP_ARGS struct nu_logbuf *out, const void *subject, const void *arg

static enum nu_err want(struct nu_arena *arena, const char *arg, const void **out,
                        const char **error)
{
    atomic_store_explicit(&wanted, true, memory_order_relaxed);
    *out = NULL;
    return NU_OK;
}

/* Of a chain that has ended and whose socket is still there, or has noted them. */
static bool client_facts(const void *subject, struct nu_tcp_facts *out)
{
    return nu_sock_tcp_facts((struct nu_chain *)subject, NU_REV, out);
}

/* The chain that the last filter of this one opened, while it is joined to it. */
static struct nu_chain *beyond(const struct nu_chain *chain)
{
    const struct nu_filter *last = nu_chain_end(chain, NU_FWD);
    if (!last || !last->type->joint)
        return NULL;
    const struct nu_joint *joint = (const void *)(last + 1);
    return joint->peer ? nu_joint_peer(joint)->chain : NULL;
}

/* The leg's, which is either joined still or has left them. */
static bool upstream_facts(const void *subject, struct nu_tcp_facts *out)
{
    struct nu_chain *chain = (struct nu_chain *)subject;
    const struct nu_facts_more *more = nu_chain_facts(chain)->more;
    if (more && more->upstream_tcp) {
        *out = *more->upstream_tcp;
        return true;
    }
    struct nu_chain *leg = beyond(chain);
    while (leg && !nu_sock_tcp_facts(leg, NU_FWD, out)) /* a tunnel has a chain between */
        leg = beyond(leg);
    return leg != NULL;
}

#define WRITE(side, member, unknown)                                                               \
    static bool side##_##member(OP_ARGS)                                                           \
    {                                                                                              \
        struct nu_tcp_facts facts;                                                                 \
        if (!side##_facts(subject, &facts) || ((unknown) && facts.member == 0))                    \
            return false;                                                                          \
        nu_logbuf_u64(out, facts.member);                                                          \
        return true;                                                                               \
    }
#define WRITE_BOTH(member, unknown) WRITE(client, member, unknown) WRITE(upstream, member, unknown)
WRITE_BOTH(rtt_us, true)
WRITE_BOTH(rtt_variance_us, true)
WRITE_BOTH(min_rtt_us, true)
WRITE_BOTH(tx_segments, false)
WRITE_BOTH(rx_segments, false)
WRITE_BOTH(tx_retransmitted_segments, false)
WRITE_BOTH(congestion_window, true)
WRITE_BOTH(delivery_rate, true)

#define OP(name, write, doc)                                                                       \
    {                                                                                              \
        name, doc, NU_LOG_NUMBER, NU_LOG_ARG_NONE, want, write                                     \
    }
#define OPS(prefix, side, who)                                                                     \
    OP(prefix "_RTT_US", side##_rtt_us, "Smoothed round trip time to the " who ", microseconds."), \
        OP(prefix "_RTT_VARIANCE_US", side##_rtt_variance_us, "Its variation, microseconds."),     \
        OP(prefix "_MIN_RTT_US", side##_min_rtt_us, "The shortest one seen, microseconds."),       \
        OP(prefix "_TX_SEGMENTS", side##_tx_segments, "TCP segments sent to the " who "."),        \
        OP(prefix "_RX_SEGMENTS", side##_rx_segments, "TCP segments received from it."),           \
        OP(prefix "_TX_RETRANSMITTED_SEGMENTS", side##_tx_retransmitted_segments,                  \
           "TCP segments sent to it once more."),                                                  \
        OP(prefix "_CONGESTION_WINDOW", side##_congestion_window,                                  \
           "The congestion window towards it, segments."),                                         \
        OP(prefix "_DELIVERY_RATE", side##_delivery_rate,                                          \
           "The latest rate at which it took what was sent, bytes a second.")

static const struct nu_log_op ops[] = {
    OPS("DOWNSTREAM", client, "client"),
    OPS("UPSTREAM", upstream, "server"),
};

void nu_log_ops_tcp(void)
{
    nu_log_ops_register(ops, sizeof ops / sizeof *ops);
}
