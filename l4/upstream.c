/* Connections to servers: sockets, accounts, and what the owner's log learns; see upstream.h. */
#include "l4/upstream.h"

#include "core/assert.h"
#include "l4/dial.h"
#include "l4/filters/proxy_protocol_out.h"
#include "l4/own_legs.h"
#include "l4/sock.h"
#include "l4/tcp_facts.h"

static unsigned shard_of(const struct nu_filter *f)
{
    return nu_filter_loop(f)->shard;
}

static void count(const struct nu_upstream *up, const struct nu_filter *f,
                  enum nu_cluster_stat stat, int64_t n)
{
    nu_stat_add(up->cluster->stats, shard_of(f), stat, n);
}

static void record_age(const struct nu_upstream *up, const struct nu_filter *f,
                       enum nu_cluster_stat stat)
{
    nu_stat_record(up->cluster->stats, shard_of(f), stat,
                   (uint64_t)(nu_filter_loop(f)->now_ms - up->start_ms));
}

/* --- the account --- */

void nu_upstream_begin(struct nu_upstream *up, struct nu_filter *f, struct nu_cluster *cluster,
                       struct nu_endpoint *endpoint)
{
    *up = (struct nu_upstream){.cluster = cluster,
                               .endpoint = nu_endpoint_ref(endpoint),
                               .start_ms = nu_filter_loop(f)->now_ms};
    nu_pin(&cluster->counted, shard_of(f));
    count(up, f, NU_CLUSTER_CX_TOTAL, 1);
    count(up, f, NU_CLUSTER_CX_ACTIVE, 1);
    atomic_fetch_add_explicit(&endpoint->cx_total, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&endpoint->cx_active, 1, memory_order_relaxed);
}

void nu_upstream_list_own(struct nu_upstream *up, struct nu_chain *chain)
{
    up->own = nu_arena_alloc(nu_chain_arena(chain), sizeof *up->own);
    nu_own_legs_add(up->own, nu_sock_fd(chain, NU_FWD), &up->endpoint->addr);
}

void nu_upstream_timed_out(const struct nu_upstream *up, struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_CONNECT_TIMEOUT, NU_SIDE_UPSTREAM, "no connection%s within %lld ms",
            up->cluster->near_count ? " with its handshake" : "",
            (long long)up->cluster->connect_timeout_ms);
}

/* What the handshake found out. */
void nu_upstream_tell(const struct nu_upstream *up, const struct nu_filter *f,
                      struct nu_chain *owner)
{
    if (up->cluster->near_count == 0) /* it has no facts: asking for them would make some */
        return;
    const struct nu_tls_facts *tls = nu_chain_facts(f->chain)->tls;
    if (tls)
        nu_chain_facts_exchange(owner)->upstream_tls =
            nu_tls_facts_copy(tls, nu_chain_arena(owner));
}

void nu_upstream_ready(struct nu_upstream *up, const struct nu_filter *f, struct nu_chain *owner)
{
    up->ready = true;
    record_age(up, f, NU_CLUSTER_CX_CONNECT_MS);
    if (owner)
        nu_upstream_tell(up, f, owner);
}

/* The reason that only the handshake knows, or NULL. */
static const char *tls_failure(const struct nu_upstream *up, const struct nu_filter *f)
{
    const struct nu_facts_more *more =
        up->cluster->near_count > 0 ? nu_chain_facts(f->chain)->more : NULL;
    return more ? more->tls_failure : NULL;
}

static void tell_failure(const struct nu_upstream *up, const struct nu_filter *f,
                         struct nu_chain *owner)
{
    const char *failure = tls_failure(up, f);
    if (failure)
        nu_chain_facts_more(owner)->upstream_tls_failure =
            nu_arena_strdup(nu_chain_arena(owner), failure);
}

/* What the owner's log line cannot know: which option or address the kernel did not like, what the
 * server's alert was. A socket that breaks behind an alert may have had the last word. */
static void tell_details(const struct nu_upstream *up, const struct nu_filter *f,
                         struct nu_chain *owner)
{
    const char *details = nu_chain_details(f->chain), *failure = tls_failure(up, f);
    if (!*details && failure)
        details = failure;
    if (!*details)
        return;
    const char *kept = nu_arena_strdup(nu_chain_arena(owner), details);
    if (up->ready)
        nu_chain_facts_more(owner)->upstream_failure = kept;
    else
        nu_chain_facts_more(owner)->connect_failure = kept;
}

/* What the kernel measured, while the socket is still there. */
static void tell_tcp(const struct nu_filter *f, struct nu_chain *owner)
{
    struct nu_tcp_facts facts, *kept;
    if (!nu_tcp_facts_wanted() || !nu_sock_tcp_facts(f->chain, NU_FWD, &facts))
        return;
    kept = nu_arena_alloc(nu_chain_arena(owner), sizeof *kept);
    *kept = facts;
    nu_chain_facts_more(owner)->upstream_tcp = kept;
}

static void count_end(const struct nu_upstream *up, const struct nu_filter *f,
                      struct nu_result result)
{
    count(up, f, NU_CLUSTER_CX_ACTIVE, -1);
    count(up, f, NU_CLUSTER_CX_DESTROY, 1);
    if (up->ready) {
        record_age(up, f, NU_CLUSTER_CX_LENGTH_MS);
        count(up, f,
              result.side == NU_SIDE_UPSTREAM ? NU_CLUSTER_CX_DESTROY_REMOTE
                                              : NU_CLUSTER_CX_DESTROY_LOCAL,
              1);
        return;
    }
    if (result.side != NU_SIDE_UPSTREAM && result.cause != NU_CAUSE_NO_FDS)
        return; /* the owner went away first */
    count(up, f, NU_CLUSTER_CX_CONNECT_FAIL, 1);
    if (result.cause == NU_CAUSE_CONNECT_TIMEOUT)
        count(up, f, NU_CLUSTER_CX_CONNECT_TIMEOUT, 1);
    atomic_fetch_add_explicit(&up->endpoint->cx_connect_fail, 1, memory_order_relaxed);
}

void nu_upstream_tell_end(const struct nu_upstream *up, const struct nu_filter *f,
                          struct nu_chain *owner)
{
    tell_failure(up, f, owner);
    tell_details(up, f, owner);
    tell_tcp(f, owner);
}

static void leave(struct nu_upstream *up, const struct nu_filter *f, struct nu_result result)
{
    count_end(up, f, result);
    atomic_fetch_sub_explicit(&up->endpoint->cx_active, 1, memory_order_relaxed);
    if (up->cluster->max_connections > 0)
        atomic_fetch_sub_explicit(&up->cluster->cx_active, 1, memory_order_relaxed);
    up->left = true;
}

void nu_upstream_leave(struct nu_upstream *up, const struct nu_filter *f)
{
    leave(up, f, (struct nu_result){.how = NU_CLEAN, .side = NU_SIDE_LOCAL});
}

void nu_upstream_end(struct nu_upstream *up, struct nu_filter *f, struct nu_chain *owner)
{
    if (!up->left)
        leave(up, f, nu_chain_result(f->chain));
    if (owner)
        nu_upstream_tell_end(up, f, owner);
    if (up->own)
        nu_own_legs_del(up->own);
    nu_endpoint_unref(up->endpoint);
    nu_unpin(&up->cluster->counted, shard_of(f));
}

/* --- the connection --- */

/* Takes a place under max_connections, if there is such a limit; nu_upstream_end gives it back. */
static bool take_place(struct nu_cluster *cluster)
{
    if (cluster->max_connections <= 0)
        return true;
    int64_t before = atomic_fetch_add_explicit(&cluster->cx_active, 1, memory_order_relaxed);
    if (before < cluster->max_connections)
        return true;
    atomic_fetch_sub_explicit(&cluster->cx_active, 1, memory_order_relaxed);
    return false;
}

/* Handshakes want to know whom they speak for: the client's facts, sniffed ones too, are lent to
 * `open` and `start`. */
static struct nu_chain *new_chain(struct nu_filter *owner, const struct nu_place *places,
                                  unsigned count, const struct nu_endpoint *endpoint, bool lend)
{
    struct nu_loop *loop = nu_filter_loop(owner);
    if (!lend)
        return nu_chain_new(loop, places, count, NULL, NULL, NULL);
    struct nu_facts facts = *nu_chain_facts(owner->chain);
    struct nu_facts_exchange exchange = {
        .upstream = &endpoint->addr,
        .upstream_host = nu_facts_exchange(&facts)->upstream_host,
        .offer_alpn = nu_facts_exchange(&facts)->offer_alpn,
    };
    if (!exchange.upstream_host) /* else the client chose it, and an address may have many names */
        exchange.upstream_host = endpoint->name;
    facts.exchange = &exchange;
    facts.tls = NULL;
    struct nu_chain *chain = nu_chain_new(loop, places, count, &facts, NULL, NULL);
    nu_chain_facts(chain)->more = NULL;
    return chain;
}

struct nu_chain *nu_upstream_open(struct nu_filter *owner, struct nu_cluster *cluster,
                                  struct nu_endpoint *endpoint, const struct nu_place *first)
{
    if (!take_place(cluster))
        return NULL;
    struct nu_sock_conf sock = {
        .side = NU_SIDE_UPSTREAM,
        .meter = {cluster->stats, NU_CLUSTER_CX_RX_BYTES, NU_CLUSTER_CX_TX_BYTES},
    };
    nu_dial(&sock, &endpoint->addr, &nu_chain_facts(owner->chain)->client, &cluster->connect);
    struct nu_proxy_out_conf proxy;
    struct nu_place places[3 + NU_EXT_PLACES_MAX] = {*first};
    unsigned n = 1;
    for (unsigned i = 0; i < cluster->near_count; i++)
        places[n++] = cluster->near[i];
    if (cluster->proxy_header != NU_PROXY_NONE) {
        nu_proxy_out_conf(&proxy, cluster->proxy_header, owner->chain);
        places[n++] = (struct nu_place){&nu_filter_proxy_out, &proxy};
    }
    places[n++] = (struct nu_place){&nu_sock, &sock};
    return new_chain(owner, places, n, endpoint, cluster->near_count > 0);
}
