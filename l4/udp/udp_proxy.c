/* udp_proxy: ends a chain of datagrams. Each session has a socket of its own to one endpoint of the
 * cluster, connected, so that answers and errors find their way back to it.
 *
 * Faces: datagrams on the left, nothing on the right. Sees: all that comes from the client. Stores:
 * the client's first datagram (FIRST_MOST at most) until the server has answered: where a server
 * refuses it by ICMP, the next one gets it. END makes it flush nothing: what came was sent or
 * dropped at once (B7). Never holds; while the way back is blocked it does not read, and the kernel
 * drops what it has no room for. The session's timer ends what is quiet. `close` closes the socket
 * and gives the endpoint back. */
#include "core/assert.h"
#include "l4/cluster.h"
#include "l4/udp/batch.h"
#include "l4/udp/udp_proxy_priv.h"
#include "l4/udp/udp_stats.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ATTEMPTS_MOST  5    /* endpoints tried for one session */
#define FIRST_MOST     4096 /* bytes kept for another endpoint: any question fits */
#define BATCHES_A_TURN 4    /* then others have their turn */

struct udp_proxy {
    struct nu_filter filter;
    struct nu_io io; /* fd -1: none */
    struct nu_task read;
    const struct udp_proxy_conf *conf;
    struct nu_endpoint *endpoint;
    struct nu_endpoint **tried; /* that could not be used; in the chain's arena */
    struct nu_slice first;      /* the client's; no block = not kept, or answered */
    uint64_t requests, responses;
    uint8_t tried_count;
    bool readable; /* perhaps there is something */
    bool in_place; /* counts in the cluster's limit */
    bool behind;   /* answers may have been lost for want of room */
};

static struct udp_proxy *self_of(struct nu_filter *f)
{
    return (struct udp_proxy *)f;
}

static unsigned shard_of(const struct udp_proxy *up)
{
    return nu_filter_loop(&up->filter)->shard;
}

static void count(const struct udp_proxy *up, enum nu_udp_proxy_stat stat, int64_t n)
{
    nu_stat_add(up->conf->stats, shard_of(up), stat, n);
}

static void count_upstream(const struct udp_proxy *up, enum nu_udp_cluster_stat stat, int64_t n)
{
    nu_stat_add(up->conf->cluster_stats, shard_of(up), stat, n);
}

static void count_cluster(const struct udp_proxy *up, enum nu_cluster_stat stat, int64_t n)
{
    nu_stat_add(up->conf->cluster->stats, shard_of(up), stat, n);
}

/* --- the socket --- */

/* A socket that knows no other peer than this one, or -errno. */
static int connect_to(const struct udp_proxy *up, const struct nu_addr *addr)
{
    const struct nu_connect_options *options = &up->conf->cluster->connect;
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(addr, &ss);
    int fd = nu_sockopt_socket(addr, SOCK_DGRAM, &options->opt);
    if (fd < 0)
        return -errno;
    const struct nu_addr *client = &nu_chain_facts(up->filter.chain)->client;
    if (!nu_connect_options_apply(fd, addr, client, options) &&
        connect(fd, (struct sockaddr *)&ss, len) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

/* What the kernel has dropped of answers, asked for only where that is likely: a system call. */
static void count_lost(const struct udp_proxy *up)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof info;
    if (up->behind && up->io.fd >= 0 &&
        getsockopt(up->io.fd, SOL_SOCKET, SO_MEMINFO, info, &len) == 0)
        count_upstream(up, NU_UDP_SESS_RX_DROPPED, info[SK_MEMINFO_DROPS]);
}

static void drop_socket(struct udp_proxy *up)
{
    count_lost(up);
    nu_task_cancel(&up->read);
    if (up->io.fd >= 0)
        close(up->io.fd);
    up->io.fd = -1;
    up->readable = up->behind = false;
}

/* Takes a place under the cluster's limit, if it has one; `close` gives it back. */
static bool take_place(struct udp_proxy *up)
{
    struct nu_cluster *cluster = up->conf->cluster;
    if (cluster->max_connections <= 0 || up->in_place)
        return true;
    int64_t before = atomic_fetch_add_explicit(&cluster->cx_active, 1, memory_order_relaxed);
    up->in_place = before < cluster->max_connections;
    if (!up->in_place)
        atomic_fetch_sub_explicit(&cluster->cx_active, 1, memory_order_relaxed);
    return up->in_place;
}

static bool use_endpoint(struct udp_proxy *up, struct nu_endpoint *endpoint)
{
    struct nu_facts_exchange *facts = nu_chain_facts_exchange(up->filter.chain);
    int fd = connect_to(up, &endpoint->addr);
    up->endpoint = endpoint;
    facts->upstream = &endpoint->addr;
    facts->attempts++;
    count_cluster(up, NU_CLUSTER_CX_TOTAL, 1);
    atomic_fetch_add_explicit(&endpoint->cx_total, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&endpoint->cx_active, 1, memory_order_relaxed);
    up->io.fd = fd;
    if (fd >= 0 && nu_io_add_for(nu_filter_loop(&up->filter), &up->io, EPOLLIN) == 0)
        return true;
    errno = fd < 0 ? -fd : errno;
    if (fd >= 0)
        close(fd);
    up->io.fd = -1;
    return false;
}

static void leave_endpoint(struct udp_proxy *up, bool failed)
{
    drop_socket(up);
    if (!up->endpoint)
        return;
    atomic_fetch_sub_explicit(&up->endpoint->cx_active, 1, memory_order_relaxed);
    count_cluster(up, NU_CLUSTER_CX_DESTROY, 1);
    if (!failed) {
        nu_endpoint_unref(up->endpoint);
        up->endpoint = NULL;
        return;
    }
    atomic_fetch_add_explicit(&up->endpoint->cx_connect_fail, 1, memory_order_relaxed);
    count_cluster(up, NU_CLUSTER_CX_CONNECT_FAIL, 1);
    if (!up->tried)
        up->tried =
            nu_arena_alloc(nu_chain_arena(up->filter.chain), ATTEMPTS_MOST * sizeof *up->tried);
    up->tried[up->tried_count++] = up->endpoint;
    up->endpoint = NULL;
}

/* No other endpoint would do better. */
static bool is_our_lack(int error)
{
    return error == EMFILE || error == ENFILE;
}

/* The next endpoint that was not tried. False: none is left; errno says what was wrong with the
 * last, 0 = there was none. */
static bool try_next(struct udp_proxy *up)
{
    int error = 0;
    while (up->tried_count < ATTEMPTS_MOST) {
        struct nu_endpoint *endpoint =
            nu_cluster_pick(up->conf->cluster, shard_of(up), up->tried, up->tried_count);
        if (!endpoint)
            break;
        if (use_endpoint(up, endpoint))
            return true;
        error = errno;
        leave_endpoint(up, true);
        if (is_our_lack(error))
            break;
    }
    errno = error;
    return false;
}

/* --- what goes wrong --- */

static enum nu_cause cause_of(int error)
{
    if (error == 0)
        return NU_CAUSE_NO_ENDPOINT;
    if (is_our_lack(error))
        return NU_CAUSE_NO_FDS;
    return error == ECONNREFUSED ? NU_CAUSE_REFUSED : NU_CAUSE_UNREACHABLE;
}

static void give_up(struct udp_proxy *up, int error)
{
    const struct nu_cluster *cluster = up->conf->cluster;
    enum nu_cause cause = cause_of(error);
    if (cause == NU_CAUSE_NO_ENDPOINT) {
        count(up, NU_UDP_PROXY_NO_ROUTE, 1);
        count_cluster(up, NU_CLUSTER_CX_NONE_HEALTHY, 1);
        nu_fail(&up->filter, cause, NU_SIDE_UPSTREAM, "cluster %s has no endpoint", cluster->name);
        return;
    }
    count_cluster(up, NU_CLUSTER_CX_CONNECT_ATTEMPTS_EXCEEDED, 1);
    nu_fail(&up->filter, cause, nu_cause_row(cause)->side, "%u tried, last: %s", up->tried_count,
            strerror(error));
}

static bool transmit(struct udp_proxy *up, const struct nu_slice *data);

/* Nobody is there (ICMP). A server that answered before took the session with it; of one that never
 * did, the next endpoint may take it over. False: the chain has failed. */
static bool refused(struct udp_proxy *up)
{
    char addr[NU_ADDR_TEXT_MAX];
    nu_addr_str(&up->endpoint->addr, addr);
    leave_endpoint(up, true);
    if (up->responses > 0) {
        nu_fail(&up->filter, NU_CAUSE_UPSTREAM_RST, NU_SIDE_UPSTREAM, "%s is gone", addr);
        return false;
    }
    if (!try_next(up)) {
        give_up(up, errno ? errno : ECONNREFUSED);
        return false;
    }
    if (up->first.block)
        transmit(up, &up->first);
    return true;
}

/* --- to the server --- */

/* False: what came back is about an earlier one, and this one was not sent. */
static bool transmit(struct udp_proxy *up, const struct nu_slice *data)
{
    ssize_t n = send(up->io.fd, data->data, data->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
        count_upstream(up, NU_UDP_SESS_TX_DATAGRAMS, 1);
        count_cluster(up, NU_CLUSTER_CX_TX_BYTES, n);
        return true;
    }
    count_upstream(up, NU_UDP_SESS_TX_ERRORS, 1);
    return errno != ECONNREFUSED;
}

static void keep_first(struct udp_proxy *up, const struct nu_slice *data)
{
    if (data->len > FIRST_MOST)
        return;
    up->first = nu_slice_dup(*data);
    nu_slice_keep(nu_filter_loop(&up->filter)->blocks, &up->first);
}

static void forward(struct udp_proxy *up, struct nu_slice *data)
{
    count(up, NU_UDP_PROXY_RX_DATAGRAMS, 1);
    count(up, NU_UDP_PROXY_RX_BYTES, (int64_t)data->len);
    if (up->requests++ == 0)
        keep_first(up, data);
    if (!transmit(up, data) && refused(up))
        transmit(up, data);
    nu_slice_drop(data);
}

static void udp_proxy_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DGRAM) {
        forward(self_of(f), &ev->u.data);
        return;
    }
    nu_done(f, NU_FWD);
    if (!nu_bit(f, NU_B_ENDED, NU_REV))
        nu_forward_end(f, NU_REV, ev->u.end);
}

/* --- to the client --- */

static bool is_complete(const struct udp_proxy *up)
{
    uint64_t each = (uint64_t)up->conf->responses;
    return each > 0 && up->responses >= each * up->requests;
}

static void answer(struct udp_proxy *up, struct nu_slice data)
{
    struct nu_filter *f = &up->filter;
    struct nu_ev ev = {.kind = NU_DGRAM, .u.data = data};
    if (nu_chain_ended(f->chain) || nu_bit(f, NU_B_ENDED, NU_REV)) {
        nu_slice_drop(&data);
        return;
    }
    nu_slice_drop(&up->first);
    up->responses++;
    count(up, NU_UDP_PROXY_TX_DATAGRAMS, 1);
    count(up, NU_UDP_PROXY_TX_BYTES, (int64_t)data.len);
    count_upstream(up, NU_UDP_SESS_RX_DATAGRAMS, 1);
    count_cluster(up, NU_CLUSTER_CX_RX_BYTES, (int64_t)data.len);
    nu_forward(f, NU_REV, &ev);
    if (is_complete(up))
        nu_forward_end(f, NU_REV, nu_result_of(NU_CAUSE_SESSION_DONE));
}

/* False: nothing more to read now. */
static bool read_failed(struct udp_proxy *up, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return false;
    count_upstream(up, NU_UDP_SESS_RX_ERRORS, 1);
    return error != ECONNREFUSED || refused(up);
}

static bool read_batch(struct udp_proxy *up)
{
    struct nu_udp_batch *batch;
    struct nu_udp_got got;
    int n = nu_udp_read(nu_filter_loop(&up->filter), up->io.fd, false, &batch);
    if (n < 0)
        return read_failed(up, errno);
    for (int i = 0; i < n; i++)
        if (nu_udp_take(batch, (unsigned)i, &got))
            answer(up, got.data);
    nu_udp_done(batch);
    up->behind = up->behind || n == NU_UDP_BATCH;
    return n == NU_UDP_BATCH;
}

static void pump(struct nu_filter *f)
{
    struct udp_proxy *up = self_of(f);
    for (int i = 0; i < BATCHES_A_TURN && up->readable && !nu_chain_ended(f->chain); i++) {
        if (nu_blocked(f, NU_REV)) {
            up->behind = true;
            return;
        }
        up->readable = read_batch(up);
    }
    if (up->readable && !nu_chain_ended(f->chain))
        nu_loop_ready(nu_filter_loop(f), &up->read);
}

static void on_ready(struct nu_io *io, uint32_t events)
{
    struct udp_proxy *up = nu_container(io, struct udp_proxy, io);
    up->readable = true;
    if (io->fd >= 0)
        nu_call(&up->filter, pump);
}

static void read_again(struct nu_task *task)
{
    nu_call(&nu_container(task, struct udp_proxy, read)->filter, pump);
}

static void udp_proxy_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct udp_proxy *up = self_of(f);
    if (dir == NU_REV && go && up->readable)
        nu_loop_ready(nu_filter_loop(f), &up->read);
}

/* --- its life --- */

static enum nu_open udp_proxy_open(struct nu_filter *f, const void *conf)
{
    struct udp_proxy *up = self_of(f);
    up->conf = conf;
    up->io = (struct nu_io){on_ready, -1};
    up->read.run = read_again;
    count(up, NU_UDP_PROXY_TOTAL, 1);
    count(up, NU_UDP_PROXY_ACTIVE, 1);
    count_cluster(up, NU_CLUSTER_CX_ACTIVE, 1);
    return NU_OPEN;
}

static void udp_proxy_start(struct nu_filter *f)
{
    struct udp_proxy *up = self_of(f);
    const struct nu_cluster *cluster = up->conf->cluster;
    nu_chain_facts_exchange(f->chain)->cluster = cluster->name;
    nu_udp_set_idle(f->chain, up->conf->idle_timeout_ms);
    if (!take_place(up)) {
        count_cluster(up, NU_CLUSTER_CX_OVERFLOW, 1);
        nu_fail(f, NU_CAUSE_OVERFLOW, NU_SIDE_LOCAL, "cluster %s is at its %lld connections",
                cluster->name, (long long)cluster->max_connections);
    } else if (!try_next(up)) {
        give_up(up, errno);
    }
}

static void udp_proxy_close(struct nu_filter *f)
{
    struct udp_proxy *up = self_of(f);
    if (nu_chain_result(f->chain).cause == NU_CAUSE_SESSION_IDLE)
        count(up, NU_UDP_PROXY_IDLE_TIMEOUT, 1);
    leave_endpoint(up, false);
    for (unsigned i = 0; i < up->tried_count; i++)
        nu_endpoint_unref(up->tried[i]);
    nu_slice_drop(&up->first);
    if (up->in_place)
        atomic_fetch_sub_explicit(&up->conf->cluster->cx_active, 1, memory_order_relaxed);
    count(up, NU_UDP_PROXY_ACTIVE, -1);
    count_cluster(up, NU_CLUSTER_CX_ACTIVE, -1);
}

const struct nu_filter_type nu_filter_udp_proxy = {
    .name = "udp_proxy",
    .doc = "Relays datagrams to an endpoint of a cluster.",
    .size = sizeof(struct udp_proxy),
    .face = NU_FACES(NU_FACE_DGRAM, NU_FACE_NONE),
    .flags = NU_F_ASKS,
    .sees = {NU_SEES(NU_DGRAM) | NU_SEES(NU_END), 0},
    .schema = &nu_udp_proxy_schema,
    .prepare = nu_udp_proxy_prepare,
    .check_names = nu_udp_proxy_check_names,
    .open = udp_proxy_open,
    .start = udp_proxy_start,
    .event = udp_proxy_event,
    .flow = udp_proxy_flow,
    .close = udp_proxy_close,
};
