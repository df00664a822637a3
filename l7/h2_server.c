/* The HTTP/2 side towards clients: a mux at the end of the connection's chain. Each stream is a
 * chain of its own (h2_stream.c); frames are the codec's (protocols/http2).
 *
 * Faces: bytes on the left, nothing on the right. Sees everything. Stores: nothing but what the
 * codec has; it reads on whatever streams hold, so that control goes on (B6), and writes in the
 * flush phase as long as nobody holds REV. END: a client that closes has left, and so have its
 * streams. Holds nothing. One lazily moved timer serves all deadlines of connection and streams.
 * `close` fails the streams that are left. */
#include "l7/h2_server_priv.h"

#include "core/assert.h"
#include "l4/listener.h"

#include <stdlib.h>
#include <string.h>

#define WRITE_BYTES (64u * 1024) /* between two looks at whether the socket has enough */
enum { TIMER };

/* The filter's instance: what an http filter has become. */
struct h2_end {
    struct nu_filter filter;
    struct h2_server *mux;
};

static struct h2_server *mux_of(const struct nu_filter *f)
{
    return ((const struct h2_end *)f)->mux;
}

const char *h2_mux_state_str(enum mux_state state)
{
    static const char *const names[] = {"open", "draining", "last", "linger", "shut"};
    nu_assert((unsigned)state < sizeof names / sizeof *names);
    return names[state];
}

/* Which states may follow which: a bit for each. */
static const uint8_t edges[] = {
    [MUX_OPEN] = 1 << MUX_DRAINING | 1 << MUX_LAST | 1 << MUX_LINGER | 1 << MUX_SHUT,
    [MUX_DRAINING] = 1 << MUX_LAST | 1 << MUX_LINGER | 1 << MUX_SHUT,
    [MUX_LAST] = 1 << MUX_LINGER | 1 << MUX_SHUT,
    [MUX_LINGER] = 1 << MUX_SHUT,
    [MUX_SHUT] = 0,
};

static void set_state(struct h2_server *m, enum mux_state to)
{
    nu_assert(edges[m->state] >> to & 1);
    m->state = (uint8_t)to;
    m->since_ms = h2_now(m);
}

/* --- time --- */

static void on_timer(struct nu_filter *f)
{
    struct h2_server *m = mux_of(f);
    m->timer_ms = 0;
    h2_expire(m);
    if (!nu_chain_ended(f->chain))
        h2_watch(m, h2_deadline(m));
}

void h2_watch(struct h2_server *m, int64_t at_ms)
{
    int64_t now = h2_now(m);
    if (at_ms == 0 || (m->timer_ms != 0 && m->timer_ms <= at_ms))
        return;
    m->timer_ms = at_ms;
    nu_timer_set(m->f, TIMER, at_ms > now ? at_ms - now : 0, on_timer);
}

/* --- ends --- */

/* Nothing more will be written. What the client is still sending is read for a while, lest the
 * kernel resets what has not reached it yet. */
static void shut(struct h2_server *m, struct nu_result result)
{
    if (m->state >= MUX_LINGER)
        return;
    h2_streams_fail(m, (enum nu_cause)result.cause, (enum nu_side)result.side);
    set_state(m, m->half_closed ? MUX_SHUT : MUX_LINGER);
    nu_forward_end(m->f, NU_REV, result);
    if (m->half_closed)
        nu_done(m->f, NU_FWD);
}

static void stop_lingering(struct h2_server *m)
{
    set_state(m, MUX_SHUT);
    nu_drop(m->f, NU_FWD);
}

void h2_terminate(struct h2_server *m, enum nu_h2_code code)
{
    m->given_up = true;
    nu_h2_terminate(m->h2, code);
    h2_wake(m);
}

void h2_drain(struct h2_server *m)
{
    if (m->state != MUX_OPEN)
        return;
    set_state(m, MUX_DRAINING);
    nu_h2_drain(m->h2);
    h2_wake(m);
    h2_watch(m, h2_deadline(m));
}

void h2_retire(struct h2_server *m, enum nu_http_stat stat, enum nu_cause why)
{
    if (m->state != MUX_OPEN)
        return;
    h2_stat(m, stat, 1);
    m->why = (uint8_t)why;
    h2_drain(m);
}

void h2_silent(struct h2_server *m)
{
    if (m->ping_ms) {
        h2_stat(m, (enum nu_http_stat)(NU_HTTP_H2_FIRST + NU_H2_COUNT_KEEPALIVE), 1);
        nu_fail(m->f, NU_CAUSE_CLIENT_SILENT, NU_SIDE_CLIENT, "%s", "");
        return;
    }
    m->ping_ms = h2_now(m);
    nu_h2_ping(m->h2);
    h2_wake(m);
}

void h2_state_expired(struct h2_server *m)
{
    struct nu_filter *f = m->f;
    if (m->state == MUX_LINGER) {
        stop_lingering(m);
    } else if (m->state == MUX_SHUT) {
        nu_fail(f, NU_CAUSE_IDLE, NU_SIDE_CLIENT, "%s", "takes none of what was said");
    } else if (m->head_ms) {
        h2_stat(m, NU_HTTP_RQ_HEADER_TIMEOUT, 1);
        m->head_ms = 0;
        h2_terminate(m, NU_H2_CODE_ENHANCE_YOUR_CALM);
    } else if (m->state == MUX_DRAINING) {
        set_state(m, MUX_LAST);
        nu_h2_drain_now(m->h2);
        h2_wake(m);
    } else {
        h2_stat(m, NU_HTTP_CX_IDLE_TIMEOUT, 1);
        h2_terminate(m, NU_H2_CODE_NO_ERROR);
    }
}

/* --- writing --- */

/* The codec has nothing more to read or write: it said goodbye, or was told so. */
static struct nu_result why_over(const struct h2_server *m)
{
    struct nu_result result = {.how = NU_CLEAN, .side = NU_SIDE_LOCAL, .cause = m->why};
    if (m->given_up || nu_h2_goaway_code(m->h2) == NU_H2_CODE_NO_ERROR)
        return result;
    h2_stat(m, NU_HTTP_CX_PROTOCOL_ERROR, 1);
    result.side = NU_SIDE_CLIENT;
    result.cause = NU_CAUSE_CLIENT_PROTOCOL;
    return result;
}

static void write_out(struct nu_filter *f)
{
    struct h2_server *m = mux_of(f);
    if (m->state >= MUX_LINGER)
        return;
    while (!nu_blocked(f, NU_REV) && nu_h2_write(m->h2, WRITE_BYTES, h2_now(m)) &&
           !nu_chain_ended(f->chain))
        continue;
    if (!nu_chain_ended(f->chain) && !nu_h2_is_alive(m->h2))
        shut(m, why_over(m));
    if (nu_chain_ended(f->chain))
        return;
    bool idle = m->state >= MUX_LINGER || nu_list_empty(&m->streams);
    h2_watch(m, idle ? h2_deadline(m) : nu_h2_due(m->h2));
}

static void on_flush(struct nu_task *task)
{
    struct h2_server *m = nu_container(task, struct h2_server, flush);
    nu_call(m->f, write_out);
}

void h2_wake(struct h2_server *m)
{
    nu_loop_flush(nu_filter_loop(m->f), &m->flush);
}

static void on_wake(void *ctx)
{
    h2_wake(ctx);
}

static void on_emit(void *ctx, struct nu_slice bytes)
{
    struct h2_server *m = ctx;
    nu_forward_data(m->f, NU_REV, bytes);
}

static void on_count(void *ctx, enum nu_h2_count what)
{
    h2_stat(ctx, (enum nu_http_stat)(NU_HTTP_H2_FIRST + what), 1);
}

/* --- reading --- */

/* The client's next request is the newest config's. Where that has no such chain any more, or
 * another in its place, the connection serves what is under way and goes. */
static void count_active(const struct h2_server *m, int64_t n)
{
    h2_stat(m, NU_HTTP_CX_ACTIVE, n);
    h2_stat(m, NU_HTTP_CX_HTTP2_ACTIVE, n);
}

static void renew(struct h2_server *m)
{
    const void *conf = m->conf;
    if (m->state != MUX_OPEN || nu_listener_is_newest(m->f))
        return;
    count_active(m, -1); /* the old one may be gone when the new one is here */
    bool fits = nu_listener_renew(m->f, &conf);
    if (fits)
        m->conf = conf;
    count_active(m, 1);
    if (!fits)
        h2_drain(m);
}

static void on_head(void *ctx, struct nu_h2_stream *st)
{
    struct h2_server *m = ctx;
    renew(m);
    h2_on_head(m, st);
    m->served++;
    if (m->conf->max_requests && m->served >= m->conf->max_requests)
        h2_retire(m, NU_HTTP_CX_MAX_REQUESTS, NU_CAUSE_MAX_REQUESTS);
}

static void take(struct h2_server *m, struct nu_slice bytes)
{
    struct nu_filter *f = m->f;
    m->heard_ms = h2_now(m);
    m->ping_ms = 0;
    nu_h2_read(m->h2, bytes, m->heard_ms); /* an error is said by GOAWAY, and noticed by its code */
    if (nu_chain_ended(f->chain))
        return;
    if (!nu_h2_in_head(m->h2))
        m->head_ms = 0;
    else if (!m->head_ms)
        m->head_ms = h2_now(m);
    if (m->head_ms)
        h2_watch(m, h2_deadline(m));
    h2_wake(m);
}

/* Whatever it had under way, nobody is there to be answered. */
static void on_client_end(struct h2_server *m)
{
    struct nu_filter *f = m->f;
    struct nu_result clean = {.how = NU_CLEAN, .side = NU_SIDE_CLIENT};
    m->half_closed = true;
    h2_streams_fail(m, NU_CAUSE_CLIENT_FIN, NU_SIDE_CLIENT);
    if (m->state < MUX_LINGER) {
        shut(m, clean);
    } else {
        set_state(m, MUX_SHUT);
        nu_done(f, NU_FWD);
    }
    if (!nu_chain_ended(f->chain))
        h2_watch(m, h2_deadline(m));
}

static void h2_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct h2_server *m = mux_of(f);
    nu_assert(dir == NU_FWD);
    if (ev->kind == NU_DATA && m->state < MUX_LINGER)
        take(m, ev->u.data);
    else if (ev->kind == NU_DATA)
        nu_ev_free(ev);
    else if (ev->u.end.how == NU_CLEAN)
        on_client_end(m);
    else
        nu_fail(f, (enum nu_cause)ev->u.end.cause, (enum nu_side)ev->u.end.side, "%s", "");
}

static void h2_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (dir == NU_REV && go)
        write_out(f);
}

static void h2_signal(struct nu_filter *f, enum nu_signal signal)
{
    struct h2_server *m = mux_of(f);
    nu_list_each (node, &m->streams)
        nu_chain_signal(nu_container(node, struct h2_stream, link)->filter.chain, signal);
    if (signal != NU_DRAIN || m->state != MUX_OPEN)
        return;
    h2_stat(m, NU_HTTP_CX_DRAIN_CLOSE, 1);
    h2_drain(m);
}

static void h2_close(struct nu_filter *f)
{
    struct h2_server *m = mux_of(f);
    struct nu_result result = nu_chain_result(f->chain);
    if (!nu_list_empty(&m->streams))
        h2_stat(m, NU_HTTP_CX_DESTROY_ACTIVE_RQ, 1);
    h2_streams_fail(m, (enum nu_cause)result.cause, (enum nu_side)result.side);
    nu_list_each (node, &m->streams) {
        nu_container(node, struct h2_stream, link)->mux = NULL;
        nu_list_del(node);
    }
    nu_task_cancel(&m->flush);
    nu_h2_free(m->h2);
    count_active(m, -1);
    h2_stat(m, NU_HTTP_CX_DESTROY, 1);
    nu_stat_record(m->conf->stats, nu_filter_loop(f)->shard, NU_HTTP_CX_LENGTH_MS,
                   (uint64_t)(h2_now(m) - nu_chain_facts(f->chain)->start_ms));
    free(m);
}

/* The name is that of the filter it was. */
static const struct nu_filter_type h2_server_type = {
    .name = "http",
    .doc = "Reads HTTP/2 requests and routes each to a cluster.",
    .size = sizeof(struct h2_end),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_NONE),
    .flags = NU_F_RENEWS | NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), 0},
    .event = h2_event,
    .flow = h2_flow,
    .signal = h2_signal,
    .close = h2_close,
};

static const struct nu_h2_handler handler = {
    .head = on_head,
    .data = h2_on_data,
    .trail = h2_on_trail,
    .end = h2_on_end,
    .bad = h2_on_bad,
    .room = h2_on_room,
    .sent = h2_on_sent,
    .cut = h2_on_cut,
    .wake = on_wake,
    .emit = on_emit,
    .count = on_count,
};

enum nu_err nu_h2_begins(struct nu_chain *chain, const struct nu_http_conf *conf,
                         const struct nu_slice *first)
{
    const struct nu_tls_facts *tls = nu_chain_facts(chain)->tls;
    if (conf->codec != NU_CODEC_AUTO)
        return conf->codec == NU_CODEC_HTTP2 ? NU_OK : NU_NOT_THIS;
    if (tls && tls->alpn)
        return strcmp(tls->alpn, "h2") == 0 ? NU_OK : NU_NOT_THIS;
    return nu_h2_is_preface(first->data, first->len);
}

void nu_h2_server_begin(struct nu_filter *f, const struct nu_http_conf *conf, struct nu_slice first)
{
    struct h2_server *m = calloc(1, sizeof *m);
    nu_assert(m != NULL);
    nu_become(f, &h2_server_type);
    ((struct h2_end *)f)->mux = m;
    m->f = f;
    m->conf = conf;
    m->flush.run = on_flush;
    m->since_ms = h2_now(m);
    nu_list_init(&m->streams);
    m->h2 = nu_h2_server_new(&conf->h2, &handler, m, nu_filter_loop(f)->blocks);
    if (nu_chain_facts(f->chain)->tls)
        nu_h2_gather(m->h2);
    h2_stat(m, NU_HTTP_CX_HTTP2_TOTAL, 1);
    h2_stat(m, NU_HTTP_CX_HTTP2_ACTIVE, 1);
    take(m, first);
    if (!nu_chain_ended(f->chain))
        h2_watch(m, h2_deadline(m));
}
