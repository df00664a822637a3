/* Legs: the joint filter at their left end, and how they are opened; see leg.h.
 *
 * Faces: whatever flows. Sees: END of FWD, to bound how long a cut stream's rest may take to leave;
 * all else crosses the joint untouched. Stores nothing. It holds nothing itself: the socket holds
 * until it is connected, handshakes until they are done; the connect timer here bounds both.
 * `close` parts the joint, so that the owner learns by END(result), and gives back endpoint and
 * cluster. */
#include "l4/leg.h"

#include "core/assert.h"
#include "l4/filters/proxy_protocol_out.h"
#include "l4/own_legs.h"
#include "l4/sock.h"
#include "l4/tcp_facts.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define CUT_GRACE_MS 1000 /* a cut stream's last bytes have this long to leave */

enum { TIMER_CONNECT, TIMER_CUT };
enum leg_state { LEG_CONNECTING, LEG_READY };

struct leg {
    struct nu_filter filter;
    struct nu_joint joint;
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint;
    nu_leg_ready_fn *ready;
    int64_t start_ms;
    enum leg_state state;
    struct nu_own_leg *own; /* where clients choose the server; in the chain's arena */
};

struct leg_conf {
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint;
    nu_leg_ready_fn *ready;
};

static void count(const struct leg *leg, enum nu_cluster_stat stat, int64_t n)
{
    nu_stat_add(leg->cluster->stats, nu_filter_loop(&leg->filter)->shard, stat, n);
}

static int64_t age_ms(const struct leg *leg)
{
    return nu_filter_loop(&leg->filter)->now_ms - leg->start_ms;
}

static void on_connect_timeout(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_CONNECT_TIMEOUT, NU_SIDE_UPSTREAM, "no connection within %lld ms",
            (long long)((struct leg *)f)->cluster->connect_timeout_ms);
}

static enum nu_open leg_open(struct nu_filter *f, const void *conf)
{
    const struct leg_conf *c = conf;
    struct leg *leg = (struct leg *)f;
    leg->cluster = c->cluster;
    leg->endpoint = c->endpoint;
    leg->ready = c->ready;
    leg->start_ms = nu_filter_loop(f)->now_ms;
    nu_pin(&leg->cluster->counted, nu_filter_loop(f)->shard);
    count(leg, NU_CLUSTER_CX_TOTAL, 1);
    count(leg, NU_CLUSTER_CX_ACTIVE, 1);
    atomic_fetch_add_explicit(&leg->endpoint->cx_total, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&leg->endpoint->cx_active, 1, memory_order_relaxed);
    if (leg->cluster->connect_timeout_ms > 0)
        nu_timer_set(f, TIMER_CONNECT, leg->cluster->connect_timeout_ms, on_connect_timeout);
    return NU_OPEN;
}

/* Nothing ahead holds any more, for the first time. */
static void become_ready(struct leg *leg)
{
    leg->state = LEG_READY;
    nu_timer_stop(&leg->filter, TIMER_CONNECT);
    nu_stat_record(leg->cluster->stats, nu_filter_loop(&leg->filter)->shard,
                   NU_CLUSTER_CX_CONNECT_MS, (uint64_t)age_ms(leg));
}

/* What the leg's handshake found out, for the client's log line. */
static void tell_tls(const struct leg *leg, struct nu_chain *owner)
{
    if (leg->cluster->near_count == 0)
        return;
    const struct nu_tls_facts *tls = nu_chain_facts(leg->filter.chain)->tls;
    if (tls)
        nu_chain_facts(owner)->upstream_tls = nu_tls_facts_copy(tls, nu_chain_arena(owner));
}

/* The reason that only the handshake knows. */
static void tell_failure(const struct leg *leg)
{
    if (leg->cluster->near_count == 0 || !leg->joint.peer)
        return;
    const struct nu_facts_more *more = nu_chain_facts(leg->filter.chain)->more;
    struct nu_chain *owner = leg->joint.peer->self->chain;
    if (more && more->tls_failure)
        nu_chain_facts_more(owner)->upstream_tls_failure =
            nu_arena_strdup(nu_chain_arena(owner), more->tls_failure);
}

/* What the owner's log line cannot know: which option or address the kernel did not like, what the
 * server's alert was. A socket that breaks behind an alert may have had the last word. */
static void tell_details(const struct leg *leg)
{
    const struct nu_facts_more *more = nu_chain_facts(leg->filter.chain)->more;
    const char *details = nu_chain_details(leg->filter.chain);
    if (!*details && leg->cluster->near_count && more && more->tls_failure)
        details = more->tls_failure;
    if (!leg->joint.peer || !*details)
        return;
    struct nu_chain *owner = leg->joint.peer->self->chain;
    const char *kept = nu_arena_strdup(nu_chain_arena(owner), details);
    if (leg->state == LEG_READY)
        nu_chain_facts_more(owner)->upstream_failure = kept;
    else
        nu_chain_facts_more(owner)->connect_failure = kept;
}

/* What the kernel measured, while the socket is still there. */
static void tell_tcp(const struct leg *leg)
{
    struct nu_tcp_facts facts, *kept;
    if (!leg->joint.peer || !nu_tcp_facts_wanted() ||
        !nu_sock_tcp_facts(leg->filter.chain, NU_FWD, &facts))
        return;
    struct nu_chain *owner = leg->joint.peer->self->chain;
    kept = nu_arena_alloc(nu_chain_arena(owner), sizeof *kept);
    *kept = facts;
    nu_chain_facts_more(owner)->upstream_tcp = kept;
}

static void leg_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct leg *leg = (struct leg *)f;
    if (dir != NU_FWD || !go || leg->state == LEG_READY)
        return;
    become_ready(leg);
    if (!leg->joint.peer)
        return;
    tell_tls(leg, leg->joint.peer->self->chain);
    nu_call(leg->joint.peer->self, leg->ready);
}

static void on_cut_grace(struct nu_filter *f)
{
    struct nu_result result = nu_chain_result(f->chain);
    nu_fail(f, result.cause, result.side, "%s", "");
}

/* After a clean END the owner's timers watch the rest; after a cut it may be gone. */
static void leg_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->u.end.how != NU_CLEAN)
        nu_timer_set(f, TIMER_CUT, CUT_GRACE_MS, on_cut_grace);
    nu_forward(f, dir, ev);
}

static void count_end(const struct leg *leg, struct nu_result result)
{
    count(leg, NU_CLUSTER_CX_ACTIVE, -1);
    count(leg, NU_CLUSTER_CX_DESTROY, 1);
    if (leg->state == LEG_READY) {
        nu_stat_record(leg->cluster->stats, nu_filter_loop(&leg->filter)->shard,
                       NU_CLUSTER_CX_LENGTH_MS, (uint64_t)age_ms(leg));
        count(leg,
              result.side == NU_SIDE_UPSTREAM ? NU_CLUSTER_CX_DESTROY_REMOTE
                                              : NU_CLUSTER_CX_DESTROY_LOCAL,
              1);
        return;
    }
    if (result.side != NU_SIDE_UPSTREAM && result.cause != NU_CAUSE_NO_FDS)
        return; /* the owner went away first */
    count(leg, NU_CLUSTER_CX_CONNECT_FAIL, 1);
    if (result.cause == NU_CAUSE_CONNECT_TIMEOUT)
        count(leg, NU_CLUSTER_CX_CONNECT_TIMEOUT, 1);
    atomic_fetch_add_explicit(&leg->endpoint->cx_connect_fail, 1, memory_order_relaxed);
}

static void leg_close(struct nu_filter *f)
{
    struct leg *leg = (struct leg *)f;
    struct nu_result result = nu_chain_result(f->chain);
    count_end(leg, result);
    tell_failure(leg);
    tell_details(leg);
    tell_tcp(leg);
    if (leg->own)
        nu_own_legs_del(leg->own);
    nu_part(&leg->joint, result);
    atomic_fetch_sub_explicit(&leg->endpoint->cx_active, 1, memory_order_relaxed);
    if (leg->cluster->max_connections > 0)
        atomic_fetch_sub_explicit(&leg->cluster->cx_active, 1, memory_order_relaxed);
    nu_endpoint_unref(leg->endpoint);
    nu_unpin(&leg->cluster->counted, nu_filter_loop(f)->shard);
}

static const struct nu_filter_type leg_type = {
    .name = "leg",
    .doc = "The near end of a connection to a server.",
    .size = sizeof(struct leg),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL,
    .joint = offsetof(struct leg, joint),
    .sees = {NU_SEES(NU_END), 0},
    .open = leg_open,
    .event = leg_event,
    .flow = leg_flow,
    .close = leg_close,
};

/* Options, then connect: what failed, with errno, or NULL. */
static const char *begin_connect(int fd, const struct nu_addr *to, const struct nu_addr *client,
                                 const struct nu_connect_options *options, bool *connecting)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(to, &ss);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one); /* lest urgent bytes get lost */
    if (to->kind != NU_ADDR_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const char *failed = nu_connect_options_apply(fd, to, client, options);
    if (failed)
        return failed;
    *connecting = false;
    if (connect(fd, (struct sockaddr *)&ss, len) == 0)
        return NULL;
    *connecting = errno == EINPROGRESS;
    return *connecting ? NULL : "";
}

/* A socket on its way to the endpoint, or what could not be had. */
static void connect_to(struct nu_sock_conf *sock, const struct nu_addr *to,
                       const struct nu_addr *client, const struct nu_connect_options *options)
{
    sock->fd = nu_sockopt_socket(to, SOCK_STREAM, &options->opt);
    if (sock->fd < 0) {
        sock->fd = -errno;
        return;
    }
    const char *failed = begin_connect(sock->fd, to, client, options, &sock->connecting);
    if (!failed)
        return;
    int err = errno;
    close(sock->fd);
    sock->fd = -err;
    sock->what = *failed ? failed : NULL;
    sock->connecting = false;
}

/* Takes a place under max_connections, if there is such a limit; leg_close gives it back. */
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
    facts.upstream = &endpoint->addr;
    if (!facts.upstream_host) /* else the client chose it, and an address may have many names */
        facts.upstream_host = endpoint->name;
    facts.tls = facts.upstream_tls = NULL;
    struct nu_chain *chain = nu_chain_new(loop, places, count, &facts, NULL, NULL);
    nu_chain_facts(chain)->more = NULL;
    return chain;
}

static void list_own(struct leg *leg, struct nu_chain *chain)
{
    leg->own = nu_arena_alloc(nu_chain_arena(chain), sizeof *leg->own);
    nu_own_legs_add(leg->own, nu_sock_fd(chain, NU_FWD), &leg->endpoint->addr);
}

bool nu_leg_open(struct nu_filter *owner, struct nu_cluster *cluster, struct nu_endpoint *endpoint,
                 nu_leg_ready_fn *ready)
{
    if (!take_place(cluster))
        return false;
    struct leg_conf leg_conf = {cluster, nu_endpoint_ref(endpoint), ready};
    struct nu_sock_conf sock = {
        .side = NU_SIDE_UPSTREAM,
        .meter = {cluster->stats, NU_CLUSTER_CX_RX_BYTES, NU_CLUSTER_CX_TX_BYTES},
    };
    connect_to(&sock, &endpoint->addr, &nu_chain_facts(owner->chain)->client, &cluster->connect);
    struct nu_proxy_out_conf proxy;
    struct nu_place places[3 + NU_EXT_PLACES_MAX] = {
        {&leg_type, &leg_conf}
    };
    unsigned n = 1;
    for (unsigned i = 0; i < cluster->near_count; i++)
        places[n++] = cluster->near[i];
    if (cluster->proxy_header != NU_PROXY_NONE) {
        nu_proxy_out_conf(&proxy, cluster->proxy_header, owner->chain);
        places[n++] = (struct nu_place){&nu_filter_proxy_out, &proxy};
    }
    places[n++] = (struct nu_place){&nu_sock, &sock};
    struct nu_chain *chain = new_chain(owner, places, n, endpoint, cluster->near_count > 0);
    struct leg *leg = (struct leg *)nu_chain_end(chain, NU_REV);
    if (cluster->found) /* the client chose where: it may be here */
        list_own(leg, chain);
    nu_join(owner, &leg->filter);
    if (!nu_chain_ended(chain) && leg->state == LEG_CONNECTING &&
        !nu_blocked(&leg->filter, NU_FWD)) {
        become_ready(leg); /* connected at once: owner's own callback is on the stack */
        ready(owner);
    }
    return true;
}
