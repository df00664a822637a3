/* The HTTP/1 side towards clients: reads requests, one stream at a time; h1_reply.c answers.
 *
 * Faces: bytes on the left, a joint to the stream in progress on the right. Sees everything.
 * Stores: bytes behind a request in progress (one read, then it holds), and the head being read
 * (capped by the parser's limits). END: a client that has said all still gets its answer, for a
 * while; a cut one ends the stream. Holds FWD while bytes wait for the response before; that one's
 * timers bound it. One lazily moved timer serves all deadlines. `close` parts the joint and drops
 * what was not read. */
#include "l7/h1_server_priv.h"

#include "core/assert.h"
#include "l4/listener.h"
#include "l4/sock.h"
#include "l7/h2_server.h"
#include "l7/http_conf.h"

#include <string.h>

static struct h1_server *self_of(struct nu_filter *f)
{
    return (struct h1_server *)f;
}

/* Which states of `in` may follow which: a bit for each. */
static const uint16_t in_edges[] = {
    [IN_IDLE] = 1 << IN_HEAD | 1 << IN_LINGER | 1 << IN_SHUT,
    [IN_HEAD] = 1 << IN_BODY | 1 << IN_LINGER | 1 << IN_SHUT,
    [IN_BODY] = 1 << IN_DONE | 1 << IN_ASKED | 1 << IN_DISCARD | 1 << IN_LINGER | 1 << IN_SHUT,
    [IN_ASKED] = 1 << IN_DONE | 1 << IN_TUNNEL | 1 << IN_SHUT,
    [IN_TUNNEL] = 1 << IN_SHUT,
    [IN_DONE] = 1 << IN_IDLE | 1 << IN_LINGER | 1 << IN_SHUT,
    [IN_DISCARD] = 1 << IN_IDLE | 1 << IN_LINGER | 1 << IN_SHUT,
    [IN_LINGER] = 1 << IN_SHUT,
    [IN_SHUT] = 0,
};

void h1_set_in(struct h1_server *s, enum in_state to)
{
    nu_assert(in_edges[s->in] >> to & 1);
    s->in = (uint8_t)to;
    s->since_ms = h1_now(s);
}

/* --- time --- */

static void on_timer(struct nu_filter *f);

/* Lets the timer ring in time. A later deadline moves nothing: it rings and looks again. */
static void watch(struct h1_server *s)
{
    int64_t at = h1_deadline(s), now = h1_now(s);
    int64_t due = nu_timer_due(&s->filter, TIMER);
    if (at == 0 || (due != 0 && due <= at))
        return;
    nu_timer_set(&s->filter, TIMER, at > now ? at - now : 0, on_timer);
}

void h1_watch(struct nu_filter *f)
{
    watch(self_of(f));
}

/* --- the end of the connection --- */

void h1_end(struct h1_server *s, struct nu_result result)
{
    h1_set_in(s, IN_SHUT);
    h1_drop_rest(s);
    nu_forward_end(&s->filter, NU_REV, result);
    if (s->half_closed)
        nu_done(&s->filter, NU_FWD);
    else
        nu_drop(&s->filter, NU_FWD);
    watch(s);
}

/* Nothing more will be written. What the client is still sending is read for a while, lest the
 * kernel resets what has not reached it yet. */
static void shut(struct h1_server *s, bool linger)
{
    struct nu_result clean = {.how = NU_CLEAN, .side = NU_SIDE_LOCAL, .cause = s->why};
    if (!linger || s->half_closed) {
        h1_end(s, clean);
        return;
    }
    h1_set_in(s, IN_LINGER);
    h1_drop_rest(s);
    nu_forward_end(&s->filter, NU_REV, clean);
    nu_release(&s->filter, NU_FWD);
    watch(s);
}

static void stop_lingering(struct h1_server *s)
{
    h1_set_in(s, IN_SHUT);
    nu_drop(&s->filter, NU_FWD);
    watch(s);
}

/* --- from the client --- */

void h1_inject(struct h1_server *s, struct nu_ev ev)
{
    nu_inject(&s->joint, NU_FWD, &ev);
}

static void inject_head(struct h1_server *s, enum nu_kind kind, struct nu_http_head *head)
{
    h1_inject(s, (struct nu_ev){.kind = kind, .u.head = &head->head});
}

static void count_active(const struct h1_server *s, int64_t n)
{
    h1_count(s, NU_HTTP_CX_ACTIVE, n);
    if (s->chosen)
        h1_count(s, NU_HTTP_CX_HTTP1_ACTIVE, n);
}

/* The client's next request is the newest config's. One that has no such chain any more, or another
 * in its place, has the connection end with this request. */
static void renew(struct h1_server *s)
{
    const void *conf = s->conf;
    if (nu_listener_is_newest(&s->filter))
        return;
    count_active(s, -1); /* the old one may be gone when the new one is here */
    if (nu_listener_renew(&s->filter, &conf))
        s->conf = conf;
    else
        s->closing = true;
    count_active(s, 1);
}

static void begin_request(struct h1_server *s)
{
    if (!s->first)
        renew(s);
    nu_h1_init(&s->reading->parser, &s->conf->limits);
    nu_h1_begin_request(&s->reading->parser, s->reading->arena);
    h1_set_in(s, IN_HEAD);
}

static void begin_stream(struct h1_server *s, struct nu_stream *stream)
{
    s->first = false;
    s->served++;
    s->stream = stream;
    stream->watch = h1_watch;
    h1_set_in(s, IN_BODY);
    inject_head(s, NU_HEAD, stream->request);
}

static void on_head(struct h1_server *s, struct nu_http_head *head)
{
    h1_count(s, NU_HTTP_RQ_HTTP1_TOTAL, 1);
    begin_stream(s,
                 nu_stream_new(&s->filter, NULL, s->conf, head, nu_arena_share(s->reading->arena)));
}

void h1_request_over(struct h1_server *s)
{
    h1_set_in(s, IN_DONE);
    s->stream->request_ms = h1_now(s);
    h1_inject(s, nu_ev_end((struct nu_result){.how = NU_CLEAN}));
}

/* A request that cannot be read, or comes too slowly: its answer is the connection's last. `head`
 * is what was read of it, or NULL. */
static void refuse(struct h1_server *s, unsigned status, const char *details,
                   enum nu_stream_flag flag, struct nu_http_head *head)
{
    s->closing = s->broken = true;
    h1_drop_rest(s);
    if (s->in == IN_HEAD)
        begin_stream(s,
                     nu_stream_refused(&s->filter, NULL, s->conf, head,
                                       nu_arena_share(s->reading->arena), status, details, flag));
    else if (s->in == IN_BODY)
        nu_stream_answer(s->stream, status, details, flag);
    else
        shut(s, true);
}

static void on_error(struct h1_server *s, const struct nu_h1_out *out)
{
    h1_count(s, out->error == NU_H1_BODY_LARGE ? NU_HTTP_RQ_TOO_LARGE : NU_HTTP_CX_PROTOCOL_ERROR,
             1);
    refuse(s, nu_h1_error_status(out->error), nu_h1_error_str(out->error), NU_FLAG_CLIENT_ERROR,
           out->head);
}

static void on_body(struct h1_server *s, struct nu_slice data)
{
    if (s->in == IN_BODY || s->in == IN_TUNNEL) {
        s->stream->request_bytes += data.len;
        h1_inject(s, nu_ev_data(data));
        return;
    }
    s->reading->discarded += (uint32_t)data.len;
    nu_slice_drop(&data);
    if (s->reading->discarded > NU_HTTP_DISCARD_MAX)
        shut(s, true);
}

static void next_request(struct h1_server *s);

/* One thing off the received bytes; false: there is nothing more to be had from them now. */
static bool read_one(struct h1_server *s)
{
    struct nu_h1_out out;
    switch (nu_h1_read(&s->reading->parser, &s->reading->rest, &out)) {
    case NU_H1_HEAD:
        on_head(s, out.head);
        return true;
    case NU_H1_DATA:
        on_body(s, out.data);
        return true;
    case NU_H1_TRAIL:
        nu_http_head_keep(out.head);
        if (s->in == IN_BODY)
            inject_head(s, NU_TRAIL, out.head);
        return true;
    case NU_H1_END:
        if (s->in == IN_BODY && s->stream->tunnel)
            h1_set_in(s, IN_ASKED);
        else if (s->in == IN_BODY)
            h1_request_over(s);
        else
            next_request(s);
        return true;
    case NU_H1_ERROR:
        on_error(s, &out);
        return false;
    default:
        return false;
    }
}

static bool is_reading(const struct h1_server *s)
{
    return !s->broken &&
           (s->in == IN_HEAD || s->in == IN_BODY || s->in == IN_TUNNEL || s->in == IN_DISCARD);
}

/* Reads until the request is complete or bytes run out; what is behind it waits. */
static void read_on(struct h1_server *s)
{
    struct nu_filter *f = &s->filter;
    bool more = true;
    while (more && !nu_chain_ended(f->chain)) {
        if (s->in == IN_IDLE && h1_rest(s) > 0)
            begin_request(s);
        if (h1_is_idle(s))
            s->since_ms = h1_now(s);
        more = is_reading(s) && read_one(s);
    }
    if (nu_chain_ended(f->chain) || s->in >= IN_LINGER || h1_rest(s) == 0)
        h1_drop_rest(s);
    if (h1_rest(s) > 0) {
        nu_hold(f, NU_FWD);
        nu_slice_keep(nu_filter_loop(f)->blocks, &s->reading->rest);
    } else {
        nu_release(f, NU_FWD);
        h1_tunnel_pass(s);
    }
    if (!nu_chain_ended(f->chain))
        watch(s);
}

/* Request and response are both over. What the client said before it closed its half has been read
 * by now: its END waits behind that. */
static void next_request(struct h1_server *s)
{
    if (s->closing || s->half_closed) {
        shut(s, h1_rest(s) > 0 || s->in == IN_DISCARD);
        return;
    }
    h1_set_in(s, IN_IDLE);
    h1_reading_over(s);
}

static void resume(struct nu_filter *f)
{
    read_on(self_of(f));
}

void h1_read_later(struct h1_server *s)
{
    if (h1_rest(s) > 0)
        nu_timer_set(&s->filter, TIMER_RESUME, 0, resume);
}

/* Only the rest of a body by length is read on: every other request was told `close`
 * (much_is_left). */
void h1_response_over(struct h1_server *s)
{
    if (s->broken || (s->in == IN_BODY && s->closing)) {
        shut(s, true);
    } else if (s->in == IN_BODY) {
        h1_set_in(s, IN_DISCARD);
    } else {
        next_request(s);
    }
    h1_read_later(s); /* not within the response before: its connection is not free yet */
    watch(s);
}

/* The client has said all it will say, and may be gone. */
static void on_client_end(struct h1_server *s)
{
    struct nu_h1_out out;
    h1_tunnel_wake(s);
    if (!s->chosen && h1_rest(s) > 0) { /* it began as HTTP/2 would, but did not go on */
        s->chosen = true;
        h1_count(s, NU_HTTP_CX_HTTP1_TOTAL, 1);
        h1_count(s, NU_HTTP_CX_HTTP1_ACTIVE, 1);
        read_on(s);
    }
    s->half_closed = true;
    if (s->in == IN_LINGER) {
        h1_set_in(s, IN_SHUT);
        nu_done(&s->filter, NU_FWD);
    } else if (s->in == IN_TUNNEL) {
        h1_inject(s, nu_ev_end((struct nu_result){.how = NU_CLEAN}));
        if (s->out == OUT_OVER)
            h1_tunnel_ended(s);
    } else if (s->in == IN_DONE || s->in == IN_ASKED || s->broken) {
        s->since_ms = h1_now(s);
        watch(s);
    } else if (s->in == IN_BODY) {
        nu_fail(&s->filter, NU_CAUSE_CLIENT_GONE, NU_SIDE_CLIENT, "%s",
                "closed in the middle of a request's body");
    } else if (is_reading(s) && nu_h1_eof(&s->reading->parser, &out) == NU_H1_ERROR) {
        on_error(s, &out);
    } else { /* between requests */
        shut(s, false);
    }
}

/* The first bytes say what the client speaks. False: HTTP/2, and then this is no h1_server any
 * more; or more of them are needed. */
static bool choose(struct h1_server *s)
{
    struct nu_filter *f = &s->filter;
    struct nu_slice first = s->reading->rest;
    switch (nu_h2_begins(f->chain, s->conf, &first)) {
    case NU_OK:
        s->reading->rest = (struct nu_slice){0};
        h1_reading_free(s);
        nu_h2_server_begin(f, s->conf, first);
        return false;
    case NU_MORE:
        nu_slice_keep(nu_filter_loop(f)->blocks, &s->reading->rest);
        return false;
    default:
        s->chosen = true;
        h1_count(s, NU_HTTP_CX_HTTP1_TOTAL, 1);
        h1_count(s, NU_HTTP_CX_HTTP1_ACTIVE, 1);
        return true;
    }
}

static void h1_server_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct h1_server *s = self_of(f);
    if (dir == NU_REV) {
        h1_reply_event(s, ev);
    } else if (ev->kind == NU_END && ev->u.end.how == NU_CLEAN) {
        on_client_end(s);
    } else if (ev->kind == NU_END) {
        nu_fail(f, (enum nu_cause)ev->u.end.cause, (enum nu_side)ev->u.end.side, "%s", "");
    } else if (s->in >= IN_LINGER || s->broken) {
        nu_ev_free(ev);
    } else {
        h1_take(s, ev->u.data);
        if (s->chosen || choose(s))
            read_on(s);
    }
}

/* --- what lasts too long --- */

static void expire(struct h1_server *s)
{
    if (h1_is_idle(s)) {
        h1_count(s, NU_HTTP_CX_IDLE_TIMEOUT, 1);
        shut(s, false);
        return;
    }
    switch (s->in) {
    case IN_HEAD:
        h1_count(s, NU_HTTP_RQ_HEADER_TIMEOUT, 1);
        refuse(s, 408, "request_header_timeout", NU_FLAG_NONE, NULL);
        break;
    case IN_DISCARD:
        shut(s, true);
        break;
    case IN_LINGER:
        stop_lingering(s);
        break;
    case IN_SHUT:
        nu_fail(&s->filter, NU_CAUSE_IDLE, NU_SIDE_CLIENT, "%s", "takes none of what was said");
        break;
    default:
        h1_expire_stream(s);
        break;
    }
}

static void on_timer(struct nu_filter *f)
{
    struct h1_server *s = self_of(f);
    int64_t at = h1_deadline(s);
    if (at != 0 && at <= h1_now(s))
        expire(s);
    if (!nu_chain_ended(f->chain))
        watch(s);
}

static void h1_server_signal(struct nu_filter *f, enum nu_signal signal)
{
    struct h1_server *s = self_of(f);
    if (s->stream)
        nu_chain_signal(s->stream->chain, signal);
    if (signal != NU_DRAIN || s->closing)
        return;
    s->closing = true;
    h1_count(s, NU_HTTP_CX_DRAIN_CLOSE, 1);
    if (h1_is_idle(s))
        shut(s, true);
}

static enum nu_open h1_server_open(struct nu_filter *f, const void *conf)
{
    struct h1_server *s = self_of(f);
    s->conf = conf;
    s->first = true;
    s->since_ms = h1_now(s);
    h1_count(s, NU_HTTP_CX_TOTAL, 1);
    count_active(s, 1);
    return NU_OPEN;
}

static void h1_server_start(struct nu_filter *f)
{
    nu_sock_set_meter(f->chain, (struct nu_meter){self_of(f)->conf->stats, NU_HTTP_CX_RX_BYTES,
                                                  NU_HTTP_CX_TX_BYTES});
    watch(self_of(f));
}

static void h1_server_close(struct nu_filter *f)
{
    struct h1_server *s = self_of(f);
    h1_tunnel_wake(s);
    if (s->stream)
        h1_count(s, NU_HTTP_CX_DESTROY_ACTIVE_RQ, 1);
    h1_tunnel_count(s);
    nu_part(&s->joint, nu_chain_result(f->chain));
    h1_reading_free(s);
    count_active(s, -1);
    h1_count(s, NU_HTTP_CX_DESTROY, 1);
    nu_stat_record(s->conf->stats, nu_filter_loop(f)->shard, NU_HTTP_CX_LENGTH_MS,
                   (uint64_t)(h1_now(s) - nu_chain_facts(f->chain)->start_ms));
}

const struct nu_filter_type nu_filter_http = {
    .name = "http",
    .doc = "Reads HTTP requests and routes each to a cluster.",
    .size = sizeof(struct h1_server),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_NONE),
    .flags = NU_F_RENEWS,
    .joint = offsetof(struct h1_server, joint),
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), NU_SEES_ALL},
    .schema = &nu_http_schema,
    .prepare = nu_http_prepare,
    .open = h1_server_open,
    .start = h1_server_start,
    .event = h1_server_event,
    .signal = h1_server_signal,
    .close = h1_server_close,
};
