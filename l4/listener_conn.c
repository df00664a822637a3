/* A connection of a listener: from accept through sniffing to its chain, and its end with figures
 * and access log. Each lives on one worker. */
#include "core/assert.h"
#include "core/worker.h"
#include "l4/filters/proxy_protocol_in.h"
#include "l4/listener_priv.h"
#include "l4/sniff.h"
#include "l4/sock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_TIMER 7 /* slot beside those of the socket itself */

struct conn {
    struct nu_list link; /* of its worker's connections */
    struct nu_chain *chain;
    struct listener *listener;  /* until it has a chain; then NULL */
    struct nu_chain_conf *conf; /* pinned */
    struct nu_tally *tally;     /* held by listener or conf */
    bool uncounted;             /* refused: stands in no limit */
};

/* A worker's connections. */
struct shard {
    struct nu_list conns;
    unsigned count;
    uint64_t generation; /* that removed a listener last */
};

static struct shard *shards[NU_SHARDS_MAX]; /* each touched by its own thread */

static struct shard *shard_of(const struct nu_loop *loop)
{
    nu_assert(loop->shard < NU_SHARDS_MAX);
    struct shard **s = &shards[loop->shard];
    if (!*s) {
        *s = calloc(1, sizeof **s);
        nu_assert(*s != NULL);
        nu_list_init(&(*s)->conns);
    }
    return *s;
}

static void count(const struct conn *conn, const struct nu_loop *loop, enum nu_listener_stat stat,
                  int64_t n)
{
    nu_stat_add(conn->tally->stats, loop->shard, stat, n);
}

/* --- refusing: a chain that fails at once, so that the log says why --- */

static enum nu_open refuse_open(struct nu_filter *f, const void *conf)
{
    enum nu_cause cause = *(const enum nu_cause *)conf;
    nu_fail(f, cause, nu_cause_row(cause)->side, "%s", "");
    return NU_REFUSE;
}

static const struct nu_filter_type refuse = {
    .name = "listener",
    .doc = "Ends a connection that no chain gets.",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_NONE),
    .flags = NU_F_INTERNAL,
    .open = refuse_open,
};

/* --- the end --- */

/* The filters are closed: they needed what is let go here until then. */
static void gone(struct nu_loop *loop, void *ctx)
{
    struct conn *conn = ctx;
    if (conn->listener)
        nu_listener_pre_end(conn->listener, loop->shard);
    else
        nu_unpin(&conn->conf->counted, loop->shard);
    free(conn);
}

static void closed(struct nu_chain *chain, void *ctx)
{
    struct conn *conn = ctx;
    struct nu_loop *loop = nu_chain_loop(chain);
    struct nu_facts *facts = nu_chain_facts(chain);
    nu_sock_totals(chain, &facts->bytes_in, &facts->bytes_out);
    nu_access_log_write(conn->conf ? conn->conf->log : conn->listener->log, chain);
    count(conn, loop, NU_LISTENER_CX_ACTIVE, -1);
    count(conn, loop, NU_LISTENER_CX_DESTROY, 1);
    if (conn->listener)
        count(conn, loop, NU_LISTENER_PRE_CX_ACTIVE, -1);
    nu_stat_record(conn->tally->stats, loop->shard, NU_LISTENER_CX_LENGTH_MS,
                   (uint64_t)(loop->now_ms - facts->start_ms));
    if (!conn->uncounted)
        atomic_fetch_sub_explicit(&conn->tally->active, 1, memory_order_relaxed);
    nu_list_del(&conn->link);
    shard_of(loop)->count--;
    nu_accept_resume(loop);
}

static const struct nu_chain_owner owner = {closed, gone};

/* --- the choice of a chain --- */

/* From the listener's hands into the chain's: facts name it, a pin keeps it. */
static void adopt(struct conn *conn, struct nu_chain_conf *conf, struct nu_facts *facts,
                  const struct nu_loop *loop)
{
    nu_pin(&conf->counted, loop->shard);
    facts->chain = conf->name;
    facts->wanted = conf->wanted;
    conn->conf = conf;
    if (!conn->listener)
        return;
    count(conn, loop, NU_LISTENER_PRE_CX_ACTIVE, -1);
    nu_listener_pre_end(conn->listener, loop->shard);
    conn->listener = NULL;
}

static bool needs_sniff(const struct listener *l, const struct nu_facts *facts)
{
    return !l->only && nu_match_needs_sniff(l->match, &facts->client, &facts->local);
}

static struct nu_chain_conf *choose(const struct listener *l, const struct nu_facts *facts,
                                    const struct nu_match_input *sniffed)
{
    if (l->only)
        return l->only;
    struct nu_match_input in = {.transport = NU_TRANSPORT_UNKNOWN};
    if (sniffed)
        in = *sniffed;
    in.client = &facts->client;
    in.local = &facts->local;
    return nu_match_find(l->match, &in);
}

bool nu_listener_next(struct nu_filter *f, const struct nu_match_input *sniffed)
{
    struct conn *conn = nu_chain_owner_ctx(f->chain);
    struct nu_facts *facts = nu_chain_facts(f->chain);
    const struct listener *l = conn->listener;
    if (!sniffed && needs_sniff(l, facts)) {
        nu_insert(f, NU_FWD, &(struct nu_place){&nu_filter_sniff, &l->pre}, 1);
        return true;
    }
    struct nu_chain_conf *conf = choose(l, facts, sniffed);
    if (!conf)
        return false;
    adopt(conn, conf, facts, nu_filter_loop(f));
    nu_insert(f, NU_FWD, conf->places, conf->place_count);
    return true;
}

/* --- the beginning --- */

/* What stands behind the socket at first, and the conf of what refuses. */
struct first {
    struct nu_place place[1 + NU_CHAIN_MAX_FILTERS];
    unsigned count;
    enum nu_cause refusal;
};

static void push(struct first *first, const struct nu_filter_type *type, const void *conf)
{
    first->place[first->count++] = (struct nu_place){type, conf};
}

static void push_refusal(struct first *first, enum nu_cause cause)
{
    first->refusal = cause;
    push(first, &refuse, &first->refusal);
}

static void push_chain(struct first *first, const struct nu_chain_conf *conf)
{
    nu_assert(first->count + conf->place_count <= NU_CHAIN_MAX_FILTERS);
    memcpy(first->place + first->count, conf->places, conf->place_count * sizeof *conf->places);
    first->count += conf->place_count;
}

/* What is still unknown that a match needs? Nothing: the chain itself, and server-first protocols
 * pass. Facts of the sockets are all there is so far. */
static void decide(struct conn *conn, struct first *first, struct nu_facts *facts,
                   const struct nu_loop *loop)
{
    struct listener *l = conn->listener;
    if (l->pre.proxy != NU_PROXY_OFF) {
        push(first, &nu_filter_proxy_in, &l->pre);
        return;
    }
    if (needs_sniff(l, facts)) {
        push(first, &nu_filter_sniff, &l->pre);
        return;
    }
    struct nu_chain_conf *conf = choose(l, facts, NULL);
    if (!conf) {
        count(conn, loop, NU_LISTENER_NO_FILTER_CHAIN_MATCH, 1);
        push_refusal(first, NU_CAUSE_NO_CHAIN);
        return;
    }
    adopt(conn, conf, facts, loop);
    push_chain(first, conf);
}

/* The limit is exact over all workers: who comes too late takes its own count back. */
static bool over_limit(struct conn *conn)
{
    int64_t max = conn->listener->max_connections;
    int64_t before = atomic_fetch_add_explicit(&conn->tally->active, 1, memory_order_relaxed);
    if (max == 0 || before < max)
        return false;
    atomic_fetch_sub_explicit(&conn->tally->active, 1, memory_order_relaxed);
    conn->uncounted = true;
    return true;
}

static int64_t wall_clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Where the client connected to: one system call less where the socket has one address only. */
static struct nu_addr local_of(int fd, const struct nu_addr *bound)
{
    static const uint8_t wildcard[16];
    struct nu_addr local = *bound;
    size_t len = bound->kind == NU_ADDR_IP4 ? 4 : 16;
    if (bound->kind == NU_ADDR_UNIX || memcmp(bound->ip, wildcard, len) != 0)
        return local;
    struct sockaddr_storage ss = {0};
    socklen_t ss_len = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &ss_len) == 0)
        nu_addr_from_sockaddr(&local, &ss, ss_len);
    return local;
}

static struct nu_facts facts_of(const struct nu_accept_point *point, int fd,
                                const struct nu_addr *peer)
{
    struct nu_loop *loop = point->loop;
    const struct listener *l = point->owner;
    return (struct nu_facts){
        .client = *peer,
        .local = local_of(fd, &point->bound),
        .id = ++loop->next_id * (nu_workers_count() + 1) + loop->shard,
        .start_us = wall_clock_us(),
        .start_ms = loop->now_ms,
        .listener = l->tally->name,
    };
}

static struct conn *conn_new(struct listener *l, const struct nu_loop *loop)
{
    struct conn *conn = calloc(1, sizeof *conn);
    nu_assert(conn != NULL);
    conn->listener = l;
    conn->tally = l->tally;
    nu_listener_pre_begin(l, loop->shard);
    nu_list_add_tail(&shard_of(loop)->conns, &conn->link);
    shard_of(loop)->count++;
    count(conn, loop, NU_LISTENER_CX_TOTAL, 1);
    count(conn, loop, NU_LISTENER_CX_ACTIVE, 1);
    count(conn, loop, NU_LISTENER_PRE_CX_ACTIVE, 1);
    return conn;
}

/* The path of a UNIX socket belongs to that, which a connection may outlive. */
static void keep_path(struct nu_chain *chain)
{
    struct nu_addr *local = &nu_chain_facts(chain)->local;
    if (local->kind == NU_ADDR_UNIX && local->path)
        local->path = nu_arena_strdup(nu_chain_arena(chain), local->path);
}

void nu_listener_accepted(struct nu_accept_point *point, int fd, const struct nu_addr *peer)
{
    struct nu_loop *loop = point->loop;
    struct nu_facts facts = facts_of(point, fd, peer);
    struct conn *conn = conn_new(point->owner, loop);
    struct nu_sock_conf sock = {.fd = fd, .side = NU_SIDE_CLIENT};
    struct first first; /* not cleared: it is a kilobyte */
    first.count = 0;
    push(&first, &nu_sock, &sock);
    if (over_limit(conn)) {
        count(conn, loop, NU_LISTENER_CX_OVERFLOW, 1);
        push_refusal(&first, NU_CAUSE_LIMIT);
    } else {
        decide(conn, &first, &facts, loop);
    }
    conn->chain = nu_chain_new(loop, first.place, first.count, &facts, &owner, conn);
    keep_path(conn->chain);
}

/* --- all of a worker --- */

unsigned nu_listener_connections(const struct nu_worker *worker)
{
    const struct shard *s = shards[worker->loop.shard];
    return s ? s->count : 0;
}

void nu_listener_abort_all(struct nu_worker *worker, enum nu_cause cause)
{
    nu_list_each (node, &shard_of(&worker->loop)->conns) {
        nu_chain_abort(nu_container(node, struct conn, link)->chain, cause);
    }
}

static bool is_gone(const struct conn *conn, const struct shard *shard)
{
    return atomic_load_explicit(&conn->tally->wanted, memory_order_relaxed) < shard->generation;
}

static void on_drain_timeout(struct nu_filter *f)
{
    if (is_gone(nu_chain_owner_ctx(f->chain), shard_of(nu_filter_loop(f))))
        nu_fail(f, NU_CAUSE_DRAIN, NU_SIDE_LOCAL, "its listener was removed");
}

void nu_listener_drain_gone(struct nu_loop *loop, uint64_t next, int64_t drain_ms)
{
    struct shard *shard = shard_of(loop);
    shard->generation = next;
    nu_list_each (node, &shard->conns) {
        const struct conn *conn = nu_container(node, struct conn, link);
        if (!is_gone(conn, shard))
            continue;
        nu_chain_signal(conn->chain, NU_DRAIN);
        if (drain_ms >= 0)
            nu_timer_set(nu_chain_end(conn->chain, NU_REV), DRAIN_TIMER, drain_ms,
                         on_drain_timeout);
    }
}
