/* The HTTP/2 side towards servers: a mux at the left end of a connection's chain. Each request is a
 * chain of its own (h2_request.c); frames are the codec's (protocols/http2).
 *
 *   h2_client | [tls] | sock
 *
 * Faces: nothing on the left, bytes on the right. Sees everything. Stores: nothing but what the
 * codec has; it reads on whatever requests hold, so that control goes on (B6), and writes in the
 * flush phase as long as nobody holds FWD. END: a server that closes cuts the requests that it has
 * not answered. Holds nothing. Timers: connecting, and one lazily moved for all else. While it may
 * take requests it stands in the pool, to be shared; `close` fails those that are left. */
#include "l7/h2_client.h"

#include "core/assert.h"
#include "l4/sock.h"
#include "l7/h2_client_priv.h"

#include <string.h>

#define WRITE_BYTES (64u * 1024) /* between two looks at whether the socket has enough */
#define SERVED_MAX  500000000u   /* requests on one connection: stream ids end (RFC 9113 5.1.1) */
#define ALPN_HTTP2  "h2"
#define ALPN_EITHER "h2,http/1.1"

static struct h2_client *self_of(struct nu_filter *f)
{
    return (struct h2_client *)f;
}

void h2_client_count(const struct h2_client *m, enum nu_cluster_stat stat)
{
    nu_stat_add(m->up.cluster->stats, nu_filter_loop(&m->filter)->shard, stat, 1);
}

/* Which states may follow which: a bit for each. */
static const uint8_t edges[] = {
    [H2_CONNECTING] = 1 << H2_OPEN | 1 << H2_LEAVING | 1 << H2_GONE,
    [H2_OPEN] = 1 << H2_LEAVING | 1 << H2_GONE,
    [H2_LEAVING] = 1 << H2_GONE,
    [H2_GONE] = 0,
};

static void set_state(struct h2_client *m, enum h2_client_state to)
{
    nu_assert(edges[m->state] >> to & 1);
    m->state = (uint8_t)to;
}

/* --- its end --- */

void h2_client_leave_pool(struct h2_client *m)
{
    if (nu_list_linked(&m->pooled.in_pool))
        nu_pool_drop(m->up.cluster, nu_filter_loop(&m->filter)->shard, &m->pooled);
}

/* No more requests. Once there are none, it ends with the next flush. */
void h2_client_leave(struct h2_client *m)
{
    h2_client_leave_pool(m);
    if (m->state >= H2_LEAVING)
        return;
    set_state(m, H2_LEAVING);
    m->since_ms = h2_client_now(m);
    h2_client_wake(m);
}

static void on_evict(struct nu_pooled *pooled)
{
    h2_client_leave(nu_container(pooled, struct h2_client, pooled));
}

static void fail_requests(struct h2_client *m, struct nu_result result, const char *why)
{
    nu_list_each (node, &m->requests)
        h2_request_fail(nu_container(node, struct h2_request, link), result, why);
}

/* What the codec has said goes out, then END. What still comes is read for a while and is of no
 * interest, lest the kernel resets what has not reached the server yet. */
static void go(struct h2_client *m)
{
    struct nu_filter *f = &m->filter;
    h2_client_leave_pool(m);
    set_state(m, H2_GONE);
    nu_upstream_leave(&m->up, f);
    nu_forward_end(f, NU_FWD, (struct nu_result){.how = NU_CLEAN, .side = NU_SIDE_LOCAL});
    m->since_ms = h2_client_now(m);
    if (!nu_chain_ended(f->chain))
        h2_client_watch(m);
}

/* --- writing --- */

/* Both sides have nothing more to say: after GOAWAY, the server's or ours for its faults. */
static void on_codec_over(struct h2_client *m)
{
    uint32_t code = nu_h2_goaway_code(m->h2);
    bool fault = code != NU_H2_CODE_NO_ERROR;
    if (fault)
        h2_client_count(m, NU_CLUSTER_CX_PROTOCOL_ERROR);
    fail_requests(m, nu_result_of(fault ? NU_CAUSE_UPSTREAM_PROTOCOL : NU_CAUSE_UPSTREAM_SHORT),
                  fault ? nu_h2_code_str(code) : "");
    go(m);
}

/* A server that takes no requests: each would open another connection, and leave it here. */
static bool is_of_no_use(const struct h2_client *m)
{
    return m->state == H2_OPEN && nu_list_empty(&m->requests) && nu_h2_active(m->h2) == 0 &&
           nu_h2_room(m->h2) == 0;
}

static void write_out(struct nu_filter *f)
{
    struct h2_client *m = self_of(f);
    if (!m->h2 || m->state == H2_GONE)
        return;
    if (m->state == H2_LEAVING && nu_list_empty(&m->requests)) {
        nu_h2_write(m->h2, WRITE_BYTES, h2_client_now(m)); /* a RST_STREAM, maybe */
        nu_h2_terminate(m->h2, NU_H2_CODE_NO_ERROR);
    }
    while (!nu_blocked(f, NU_FWD) && nu_h2_write(m->h2, WRITE_BYTES, h2_client_now(m)) &&
           !nu_chain_ended(f->chain))
        continue;
    if (nu_chain_ended(f->chain))
        return;
    if (!nu_h2_is_alive(m->h2))
        on_codec_over(m);
    else if (is_of_no_use(m))
        h2_client_leave(m);
}

/* A connection that never came about has nothing to write; it only goes. */
static void flush(struct nu_filter *f)
{
    struct h2_client *m = self_of(f);
    if (m->state == H2_LEAVING && !m->h2 && nu_list_empty(&m->requests))
        nu_fail(f, NU_CAUSE_NONE, NU_SIDE_LOCAL, "%s", "");
    else
        write_out(f);
    if (!nu_chain_ended(f->chain))
        h2_client_watch(m);
}

static void on_flush(struct nu_task *task)
{
    struct h2_client *m = nu_container(task, struct h2_client, flush);
    nu_call(&m->filter, flush);
}

void h2_client_wake(struct h2_client *m)
{
    nu_loop_flush(nu_filter_loop(&m->filter), &m->flush);
}

static uint32_t most_requests(const struct h2_client *m)
{
    int64_t most = nu_pool_conf_of(m->up.cluster)->max_requests;
    return most > 0 && most < SERVED_MAX ? (uint32_t)most : SERVED_MAX;
}

/* When so many were begun, the next is for another connection. */
void h2_client_more(struct h2_client *m)
{
    if (++m->served >= most_requests(m))
        h2_client_leave_pool(m);
}

void h2_client_less(struct h2_client *m)
{
    if (m->state == H2_CONNECTING && m->waiting > 0)
        m->waiting--;
    if (!nu_list_empty(&m->requests))
        return;
    m->since_ms = h2_client_now(m);
    bool kept = nu_list_linked(&m->pooled.in_pool) && nu_pool_conf_of(m->up.cluster)->max_idle > 0;
    if (m->state == H2_OPEN && !kept)
        h2_client_leave(m);
    else
        h2_client_wake(m);
}

/* --- the codec's events --- */

static void on_wake(void *ctx)
{
    h2_client_wake(ctx);
}

static void on_emit(void *ctx, struct nu_slice bytes)
{
    struct h2_client *m = ctx;
    nu_forward_data(&m->filter, NU_FWD, bytes);
}

static void on_count(void *ctx, enum nu_h2_count what)
{
    static const uint16_t stats[NU_H2_COUNTS] = {
        [NU_H2_COUNT_RX_RESET] = NU_CLUSTER_H2_RX_RESET,
        [NU_H2_COUNT_TX_RESET] = NU_CLUSTER_H2_TX_RESET,
        [NU_H2_COUNT_RX_MESSAGING_ERROR] = NU_CLUSTER_H2_RX_MESSAGING_ERROR,
        [NU_H2_COUNT_HEADER_OVERFLOW] = NU_CLUSTER_H2_HEADER_OVERFLOW,
    };
    if (stats[what])
        h2_client_count(ctx, (enum nu_cluster_stat)stats[what]);
}

static void on_goaway(void *ctx)
{
    struct h2_client *m = ctx;
    if (m->state == H2_OPEN)
        h2_client_count(m, NU_CLUSTER_CX_CLOSE_NOTIFY);
    h2_client_leave(m);
}

static const struct nu_h2_handler handler = {
    .head = h2_request_on_head,
    .data = h2_request_on_data,
    .trail = h2_request_on_trail,
    .end = h2_request_on_end,
    .bad = h2_request_on_bad,
    .room = h2_request_on_room,
    .sent = h2_request_on_sent,
    .cut = h2_request_on_cut,
    .wake = on_wake,
    .emit = on_emit,
    .count = on_count,
    .interim = h2_request_on_interim,
    .goaway = on_goaway,
    .settings = h2_requests_ready,
};

/* --- reading --- */

static void begin(struct h2_client *m);

/* The server's first bytes may come with the last of its handshake. */
static void on_bytes(struct h2_client *m, struct nu_slice bytes)
{
    struct nu_filter *f = &m->filter;
    if (!m->up.ready)
        begin(m);
    if (!m->h2 || m->state == H2_GONE || nu_chain_ended(f->chain)) {
        nu_slice_drop(&bytes);
        return;
    }
    m->heard_ms = h2_client_now(m);
    m->ping_ms = 0;
    nu_h2_read(m->h2, bytes, m->heard_ms); /* an error is said by GOAWAY, and noticed by its code */
    if (!nu_chain_ended(f->chain))
        h2_client_wake(m);
}

static void on_server_end(struct h2_client *m, struct nu_result result)
{
    struct nu_filter *f = &m->filter;
    bool cut = result.how == NU_CLEAN && m->up.ready;
    if (m->state == H2_GONE && result.how == NU_CLEAN) {
        nu_done(f, NU_REV);
        return;
    }
    h2_client_leave_pool(m);
    m->fate = cut ? nu_result_of(NU_CAUSE_UPSTREAM_SHORT) : result;
    nu_fail(f, (enum nu_cause)result.cause, NU_SIDE_UPSTREAM, "%s", "");
}

static void h2_client_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct h2_client *m = self_of(f);
    nu_assert(dir == NU_REV);
    if (ev->kind == NU_END)
        on_server_end(m, ev->u.end);
    else
        on_bytes(m, ev->u.data);
}

/* --- its beginning --- */

static void on_connect_timeout(struct nu_filter *f)
{
    struct h2_client *m = self_of(f);
    if (!m->up.ready)
        nu_upstream_timed_out(&m->up, f);
}

static enum nu_open h2_client_open(struct nu_filter *f, const void *conf)
{
    const struct nu_client_want *want = conf;
    struct h2_client *m = self_of(f);
    nu_upstream_begin(&m->up, f, want->cluster, want->endpoint);
    nu_list_init(&m->requests);
    m->conf = nu_client_http2_of(want->cluster);
    m->may_differ = nu_client_protocol_of(want->cluster) == NU_CLIENT_AUTO;
    m->flush.run = on_flush;
    m->pooled.endpoint = want->endpoint;
    m->pooled.evict = on_evict;
    m->since_ms = m->heard_ms = h2_client_now(m);
    if (want->cluster->connect_timeout_ms > 0)
        nu_timer_set(f, H2_TIMER_CONNECT, want->cluster->connect_timeout_ms, on_connect_timeout);
    return NU_OPEN;
}

static bool is_agreed(struct h2_client *m)
{
    struct nu_chain *chain = m->filter.chain;
    if (m->up.cluster->near_count == 0)
        return true;
    const struct nu_tls_facts *tls = nu_chain_facts(chain)->tls;
    return tls && tls->alpn && strcmp(tls->alpn, ALPN_HTTP2) == 0;
}

/* The server wants HTTP/1, or nothing that we offered. */
static void on_other_protocol(struct h2_client *m)
{
    struct nu_filter *f = &m->filter;
    const struct nu_tls_facts *tls = nu_chain_facts(f->chain)->tls;
    const char *alpn = tls && tls->alpn ? tls->alpn : "no protocol";
    h2_client_leave_pool(m);
    if (!m->may_differ) {
        nu_chain_facts_more(f->chain)->tls_failure = nu_arena_printf(
            nu_chain_arena(f->chain), "the server agreed to %s, and not to h2 (ALPN)", alpn);
        nu_fail(f, NU_CAUSE_UPSTREAM_TLS_FAILED, NU_SIDE_UPSTREAM, "%s", "");
        return;
    }
    atomic_store_explicit(&m->up.endpoint->http1_ms, h2_client_now(m), memory_order_relaxed);
    set_state(m, H2_LEAVING);
    nu_list_each (node, &m->requests)
        h2_request_again(nu_container(node, struct h2_request, link));
    nu_fail(f, NU_CAUSE_NONE, NU_SIDE_LOCAL, "%s", "");
}

/* Connected, and all handshakes done. False: it is of no use. */
static bool become_ready(struct h2_client *m)
{
    struct nu_filter *f = &m->filter;
    nu_timer_stop(f, H2_TIMER_CONNECT);
    if (!is_agreed(m)) {
        on_other_protocol(m);
        return false;
    }
    nu_upstream_ready(&m->up, f, NULL);
    h2_client_count(m, NU_CLUSTER_CX_HTTP2_TOTAL);
    bool secure = m->up.cluster->near_count > 0;
    m->h2 = nu_h2_client_new(&m->conf->h2, &handler, m, nu_filter_loop(f)->blocks, secure);
    if (secure)
        nu_h2_gather(m->h2);
    if (m->state == H2_CONNECTING)
        set_state(m, H2_OPEN);
    m->heard_ms = h2_client_now(m);
    h2_client_wake(m);
    return true;
}

/* All that waits is begun. */
static void begin(struct h2_client *m)
{
    if (become_ready(m))
        h2_requests_ready(m);
}

/* Nothing ahead holds any more: the first time, it is connected to. */
static void h2_client_flow(struct nu_filter *f, enum nu_dir dir, bool go_on)
{
    struct h2_client *m = self_of(f);
    if (dir != NU_FWD || !go_on)
        return;
    if (m->h2)
        write_out(f);
    else if (!m->up.ready)
        begin(m);
}

/* Its response, if it is whole, stays so. */
static void orphan(struct h2_client *m, struct h2_request *q)
{
    struct nu_chain *chain = m->filter.chain;
    struct nu_filter *router = h2_request_router(q);
    if (router)
        nu_upstream_tell_end(&m->up, &m->filter, router->chain);
    nu_list_del(&q->link);
    q->mux = NULL;
    h2_request_fail(q, m->fate.cause ? m->fate : nu_chain_result(chain), "");
}

static void h2_client_close(struct nu_filter *f)
{
    struct h2_client *m = self_of(f);
    h2_client_leave_pool(m);
    if (m->up.ready && !nu_list_empty(&m->requests))
        h2_client_count(m, NU_CLUSTER_CX_DESTROY_WITH_ACTIVE_RQ);
    nu_list_each (node, &m->requests)
        orphan(m, nu_container(node, struct h2_request, link));
    nu_upstream_end(&m->up, f, NULL);
    nu_task_cancel(&m->flush);
    if (m->h2)
        nu_h2_free(m->h2);
}

static const struct nu_filter_type h2_client_type = {
    .name = "h2_client",
    .doc = "Sends requests to a server that speaks HTTP/2.",
    .size = sizeof(struct h2_client),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .open = h2_client_open,
    .event = h2_client_event,
    .flow = h2_client_flow,
    .close = h2_client_close,
};

/* --- which --- */

static bool has_room(const struct nu_pooled *pooled)
{
    const struct h2_client *m = nu_container(pooled, struct h2_client, pooled);
    if (nu_chain_ended(m->filter.chain))
        return false;
    if (m->state == H2_CONNECTING)
        return m->waiting < m->conf->h2.streams && m->waiting < most_requests(m);
    return m->state == H2_OPEN && nu_h2_room(m->h2) > 0;
}

static bool is_new(const struct nu_pooled *pooled)
{
    return nu_container(pooled, struct h2_client, pooled)->served == 0 && has_room(pooled);
}

/* One on which nothing is under way may have been closed; news may wait in the loop's set. */
static bool is_quiet(struct h2_client *m)
{
    if (m->state == H2_CONNECTING || !nu_list_empty(&m->requests) ||
        nu_sock_quiet(m->filter.chain, NU_FWD))
        return true;
    nu_sock_read_now(m->filter.chain, NU_FWD);
    return has_room(&m->pooled);
}

static struct h2_client *find(const struct nu_filter *router, const struct nu_client_want *want)
{
    unsigned shard = nu_filter_loop(router)->shard;
    struct nu_pooled *pooled;
    while ((pooled = nu_pool_find(want->cluster, shard, want->endpoint,
                                  want->fresh ? is_new : has_room))) {
        struct h2_client *m = nu_container(pooled, struct h2_client, pooled);
        if (!want->careful || is_quiet(m))
            return m;
        h2_client_leave_pool(m);
    }
    return NULL;
}

static struct h2_client *open_new(struct nu_filter *router, const struct nu_client_want *want)
{
    struct nu_place first = {&h2_client_type, want};
    struct nu_facts_exchange *facts = nu_chain_facts_exchange(router->chain);
    bool either = nu_client_protocol_of(want->cluster) == NU_CLIENT_AUTO;
    facts->offer_alpn = want->cluster->near_count == 0 ? NULL : either ? ALPN_EITHER : ALPN_HTTP2;
    struct nu_chain *chain = nu_upstream_open(router, want->cluster, want->endpoint, &first);
    facts->offer_alpn = NULL;
    if (!chain)
        return NULL;
    struct h2_client *m = self_of(nu_chain_end(chain, NU_REV));
    if (want->cluster->near_count > 0) /* else it has no facts; these may go first */
        nu_chain_facts(chain)->listener = nu_chain_facts(chain)->chain = NULL;
    if (want->cluster->found)
        nu_upstream_list_own(&m->up, chain);
    if (!nu_chain_ended(chain) && !want->cluster->per_client)
        nu_pool_share(want->cluster, nu_filter_loop(router)->shard, &m->pooled);
    return m;
}

static void connect_now(struct nu_filter *f)
{
    become_ready(self_of(f));
}

enum nu_client_answer nu_h2_client_join(struct nu_filter *router, const struct nu_client_want *want,
                                        bool *reused)
{
    struct h2_client *m = find(router, want);
    *reused = m && m->served > 0;
    if (m && h2_request_may(m, want->upgrade) == NU_NOT_THIS)
        return NU_CLIENT_BARRED;
    if (!m)
        m = open_new(router, want);
    if (!m)
        return NU_CLIENT_FULL;
    struct nu_filter *f = &m->filter;
    bool waits = nu_chain_ended(f->chain) || (m->state == H2_CONNECTING && nu_blocked(f, NU_FWD));
    if (!waits && m->state == H2_CONNECTING)
        nu_call(f, connect_now);
    h2_request_new(m, router, want);
    m->waiting += waits;
    if (waits || h2_request_may(m, want->upgrade) == NU_MORE)
        return NU_CLIENT_WAIT;
    nu_upstream_tell(&m->up, f, router->chain);
    return NU_CLIENT_READY;
}
