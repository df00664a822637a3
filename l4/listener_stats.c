/* The figures of listeners, by Envoy's names where Envoy has one, and the objects that keep them
 * across reloads. Main thread, but for the figures and counts themselves. */
#include "core/assert.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "l4/listener_priv.h"
#include "l4/udp/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTER(name, doc)                                                                         \
    {                                                                                              \
        name, NU_COUNTER, NULL, doc                                                                \
    }

static const struct nu_stat_def defs[NU_LISTENER_STAT_COUNT] = {
    [NU_LISTENER_CX_TOTAL] =
        COUNTER("downstream_cx_total", "Connections accepted; of a udp listener, sessions begun"),
    [NU_LISTENER_CX_ACTIVE] = {"downstream_cx_active",     NU_GAUGE,     NULL, "Connections open"},
    [NU_LISTENER_CX_DESTROY] = COUNTER("downstream_cx_destroy", "Connections closed"),
    [NU_LISTENER_CX_LENGTH_MS] = {"downstream_cx_length_ms",  NU_HISTOGRAM, "ms",
                               "How long connections lived"                                      },
    [NU_LISTENER_CX_OVERFLOW] =
        COUNTER("downstream_cx_overflow",
                "Connections closed at once because of max_connections; of a udp listener, "
                "datagrams of clients that max_sessions had no room for"),
    [NU_LISTENER_CX_ACCEPT_PAUSED] = COUNTER("downstream_cx_accept_paused",
                                             "Times a worker stopped accepting because descriptors "
                                             "or memory ran out"),
    [NU_LISTENER_CX_ACCEPT_FAILED] =
        COUNTER("downstream_cx_accept_failed",
                "Accepts that failed: no descriptors, or the connection was gone"),
    [NU_LISTENER_NO_FILTER_CHAIN_MATCH] =
        COUNTER("no_filter_chain_match", "Connections closed because no chain matches"),
    [NU_LISTENER_PRE_CX_ACTIVE] = {"downstream_pre_cx_active", NU_GAUGE,     NULL,
                               "Connections that have no chain yet"                              },
    [NU_LISTENER_PRE_CX_TIMEOUT] =
        COUNTER("downstream_pre_cx_timeout",
                "Connections that sent no PROXY header or ClientHello within sniff_timeout"),
    [NU_LISTENER_SNIFF_TLS_FOUND] = COUNTER("tls_inspector.tls_found", "Sniffed: TLS"),
    [NU_LISTENER_SNIFF_TLS_NOT_FOUND] =
        COUNTER("tls_inspector.tls_not_found", "Sniffed: something else than TLS"),
    [NU_LISTENER_SNIFF_SNI_FOUND] =
        COUNTER("tls_inspector.sni_found", "Sniffed: a ClientHello with a server name"),
    [NU_LISTENER_SNIFF_SNI_NOT_FOUND] =
        COUNTER("tls_inspector.sni_not_found", "Sniffed: a ClientHello without a server name"),
    [NU_LISTENER_SNIFF_ALPN_FOUND] =
        COUNTER("tls_inspector.alpn_found", "Sniffed: a ClientHello that offers protocols"),
    [NU_LISTENER_SNIFF_ALPN_NOT_FOUND] =
        COUNTER("tls_inspector.alpn_not_found", "Sniffed: a ClientHello that offers none"),
    [NU_LISTENER_SNIFF_CLIENT_HELLO_TOO_LARGE] =
        COUNTER("tls_inspector.client_hello_too_large", "Closed: a ClientHello of over 16 KiB"),
    [NU_LISTENER_SNIFF_CLIENT_HELLO_BAD] =
        COUNTER("tls_inspector.client_hello_bad", "Closed: a malformed ClientHello"),
    [NU_LISTENER_SNIFF_CLOSED] =
        COUNTER("tls_inspector.connection_closed", "The client closed while it was sniffed"),
    [NU_LISTENER_PROXY_FOUND] = COUNTER("proxy_proto.found", "PROXY headers read"),
    [NU_LISTENER_PROXY_NOT_FOUND] =
        COUNTER("proxy_proto.not_found", "Connections that began without a PROXY header"),
    [NU_LISTENER_PROXY_BAD] = COUNTER("proxy_proto.bad", "Closed: a malformed PROXY header"),
};

const struct nu_stat_group nu_listener_stats =
    NU_STAT_GROUP("listener.<name>", "A listener: what it accepted, and what became of it.", defs);

static struct nu_strmap *tallies; /* by name */

struct nu_tally *nu_tally_get(const char *name)
{
    if (!tallies)
        tallies = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    struct nu_tally *known = nu_strmap_get_str(tallies, name);
    if (known)
        return nu_tally_ref(known);
    struct nu_tally *tally = aligned_alloc(alignof(struct nu_tally), sizeof *tally);
    char *prefix = NULL;
    nu_assert(tally != NULL && asprintf(&prefix, "listener.%s", name) > 0);
    *tally = (struct nu_tally){.refs = 1, .name = strdup(name)};
    tally->now = calloc(nu_workers_count() + 1, sizeof(struct listener *));
    nu_assert(tally->name != NULL && tally->now != NULL);
    tally->stats = nu_stats_get(&nu_listener_stats, prefix);
    free(prefix);
    nu_strmap_put_str(tallies, name, tally);
    return tally;
}

struct nu_tally *nu_tally_ref(struct nu_tally *tally)
{
    tally->refs++;
    return tally;
}

void nu_tally_put(struct nu_tally *tally)
{
    if (!tally || --tally->refs)
        return;
    nu_strmap_del(tallies, tally->name, strlen(tally->name));
    if (nu_strmap_count(tallies) == 0) {
        nu_strmap_free(tallies);
        tallies = NULL;
    }
    nu_stats_put(tally->stats);
    nu_udp_sources_free(tally->sources);
    free(tally->now);
    free(tally->name);
    free(tally);
}

/* The limit is exact over all workers: who comes too late takes its own count back. */
bool nu_tally_take(struct nu_tally *tally, int64_t max)
{
    int64_t before = atomic_fetch_add_explicit(&tally->active, 1, memory_order_relaxed);
    if (max == 0 || before < max)
        return true;
    nu_tally_give(tally);
    return false;
}

void nu_tally_give(struct nu_tally *tally)
{
    atomic_fetch_sub_explicit(&tally->active, 1, memory_order_relaxed);
}
