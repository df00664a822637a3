/* The left end of a stream's chain where the client speaks HTTP/2.
 *
 *   stream : h2_stream | the route's filters | router
 *
 * Faces: nothing on the left, HTTP on the right: it is the source of the request and the sink of
 * the response, and says them to the connection's codec, which writes in the flush phase (W1).
 * Sees: all that comes back. Stores: what the client of a tunnel says before the answer, its first
 * window at most; the response waits in the codec, up to NU_H2_QUEUE_HIGH and one event. END: of
 * the response, done when its last frame is written; a cut one is RST_STREAM. Holds REV while the
 * codec has enough; the client's window, stream_idle_timeout and the connection's end release it.
 * What is blocked ahead holds back this stream's window, and nothing else (B6). `close` lets go of
 * the codec's stream, which resets what was not said. */
#include "l7/h2_server_priv.h"

#include "core/assert.h"
#include "core/serving.h"
#include "l4/listener.h"
#include "l7/http_conf.h"
#include "l7/route/route.h"

#include <stdlib.h>

static struct h2_stream *self_of(struct nu_filter *f)
{
    return (struct h2_stream *)f;
}

static int64_t now_of(const struct h2_stream *s)
{
    return nu_filter_loop(&s->filter)->now_ms;
}

/* --- into the chain --- */

/* The peer may send as much more as the chain has taken. */
static void give_back(struct h2_stream *s)
{
    if (s->waiting == 0)
        return;
    nu_h2_took(s->st, s->waiting);
    s->waiting = 0;
}

void h2_stream_pass(struct h2_stream *s, struct nu_ev *ev)
{
    struct nu_filter *f = &s->filter;
    if (nu_bit(f, NU_B_ENDED, NU_FWD)) {
        nu_ev_free(ev);
        return;
    }
    nu_forward(f, NU_FWD, ev);
    if (s->waiting > 0 && !nu_chain_ended(f->chain) && !nu_blocked(f, NU_FWD))
        give_back(s);
}

static void forward_next(struct nu_filter *f)
{
    struct h2_stream *s = self_of(f);
    struct nu_ev *ev = s->next;
    s->next = NULL;
    h2_stream_pass(s, ev);
}

static void hand_on(struct h2_stream *s, struct nu_ev ev)
{
    s->next = &ev;
    nu_call(&s->filter, forward_next);
    if (!s->next)
        return;
    nu_ev_free(&ev); /* the chain is over */
    s->next = NULL;
}

static void hand_on_head(struct h2_stream *s, enum nu_kind kind, struct nu_http_head *head)
{
    hand_on(s, (struct nu_ev){.kind = kind, .u.head = &head->head});
}

static void h2_stream_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (dir == NU_FWD && go)
        give_back(self_of(f));
}

/* --- out of it --- */

/* All that will be said of it was: what is left of the request is not wanted (T6). */
static void be_over(struct h2_stream *s)
{
    struct nu_filter *f = &s->filter;
    struct nu_result rest = {.how = NU_CANCELLED, .side = NU_SIDE_LOCAL};
    nu_done(f, NU_REV);
    if (!nu_bit(f, NU_B_ENDED, NU_FWD) && !nu_chain_ended(f->chain))
        nu_forward_end(f, NU_FWD, rest);
}

static enum nu_h2_code code_of(const struct h2_stream *s, struct nu_result result)
{
    if (result.how == NU_TIMEOUT || result.cause == NU_CAUSE_DRAIN)
        return NU_H2_CODE_CANCEL;
    return s->tunnel == H2_TUNNEL_OPEN ? h2_tunnel_code(s) : NU_H2_CODE_INTERNAL_ERROR;
}

static void on_end(struct h2_stream *s, struct nu_result result)
{
    if (result.how == NU_CLEAN && s->stream->response)
        nu_h2_say_end(s->st);
    else
        nu_h2_say_reset(s->st, code_of(s, result));
    if (!s->st->open || s->st->to_reset)
        be_over(s); /* else when it is on the wire */
}

/* While the process does not want new work, connections take no more streams once one was answered,
 * so that clients open others elsewhere before this place is gone. */
static void may_leave(struct h2_stream *s)
{
    struct h2_server *m = s->mux;
    bool leaving = !nu_serving();
    if (!m || m->state != MUX_OPEN || (!leaving && !s->stream->close))
        return;
    if (leaving)
        h2_stat(m, NU_HTTP_CX_DRAIN_CLOSE, 1);
    h2_drain(m);
}

static void on_head(struct h2_stream *s, struct nu_http_head *head)
{
    h2_tunnel_answer(s, head);
    nu_stream_respond(s->stream, head);
    nu_h2_say_head(s->st, head);
    may_leave(s);
    h2_tunnel_decided(s, head);
}

static void h2_stream_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct h2_stream *s = self_of(f);
    nu_assert(dir == NU_REV);
    switch (ev->kind) {
    case NU_INTERIM:
        nu_h2_say_interim(s->st, (struct nu_http_head *)ev->u.head);
        break;
    case NU_HEAD:
        on_head(s, (struct nu_http_head *)ev->u.head);
        break;
    case NU_DATA:
        s->stream->response_bytes += ev->u.data.len;
        if (nu_h2_say_data(s->st, ev->u.data))
            nu_hold(f, NU_REV);
        break;
    case NU_TRAIL:
        nu_h2_say_trailers(s->st, (struct nu_http_head *)ev->u.head);
        break;
    case NU_END:
        on_end(s, ev->u.end);
        break;
    default:
        nu_ev_free(ev);
    }
}

static enum nu_open h2_stream_open(struct nu_filter *f, const void *conf)
{
    const struct h2_stream_want *want = conf;
    struct h2_stream *s = self_of(f);
    s->mux = want->mux;
    s->st = want->st;
    s->st->user = s;
    nu_list_add_tail(&s->mux->streams, &s->link);
    return NU_OPEN;
}

static void h2_stream_close(struct nu_filter *f)
{
    struct h2_stream *s = self_of(f);
    if (s->mux) {
        nu_list_del(&s->link);
        s->mux->since_ms = now_of(s);
    }
    if (!s->st->said_all || s->tunnel == H2_TUNNEL_OPEN)
        nu_h2_say_reset(s->st, code_of(s, nu_chain_result(f->chain)));
    nu_h2_let_go(s->st);
    free(s->early);
}

const struct nu_filter_type h2_stream_type = {
    .name = "stream",
    .doc = "The left end of a request's chain, where its client speaks HTTP/2.",
    .size = sizeof(struct h2_stream),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_HTTP),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES_ALL},
    .open = h2_stream_open,
    .event = h2_stream_event,
    .flow = h2_stream_flow,
    .close = h2_stream_close,
};

/* --- from the codec --- */

static void on_deadline(struct nu_filter *f)
{
    const struct h2_stream *s = self_of(f);
    if (s->mux)
        h2_watch(s->mux, s->stream->deadline_ms);
}

/* A request that cannot be served as it is: answered, or if it was malformed only logged, for then
 * its stream is reset. */
static struct nu_stream *refused(struct h2_server *m, const struct nu_place *left,
                                 struct nu_h2_stream *st)
{
    enum nu_h2_error error = (enum nu_h2_error)st->error;
    unsigned status = nu_h2_error_status(error);
    if (error == NU_H2_BODY_LARGE)
        h2_stat(m, NU_HTTP_RQ_TOO_LARGE, 1);
    return nu_stream_refused(m->f, left, m->conf, st->head, nu_arena_share(st->arena),
                             status ? status : 400, nu_h2_error_str(error), NU_FLAG_CLIENT_ERROR);
}

void h2_on_head(void *ctx, struct nu_h2_stream *st)
{
    struct h2_server *m = ctx;
    struct h2_stream_want want = {m, st};
    struct nu_place left = {&h2_stream_type, &want};
    h2_stat(m, NU_HTTP_RQ_HTTP2_TOTAL, 1);
    struct nu_stream *stream =
        st->error ? refused(m, &left, st)
                  : nu_stream_new(m->f, &left, m->conf, st->head, nu_arena_share(st->arena));
    struct h2_stream *s = self_of(nu_chain_end(stream->chain, NU_REV));
    s->stream = stream;
    stream->watch = on_deadline;
    h2_tunnel_begin(s);
    hand_on_head(s, NU_HEAD, stream->request);
    h2_watch(m, h2_stream_deadline(s));
}

void h2_on_data(void *ctx, struct nu_h2_stream *st, struct nu_slice data)
{
    struct h2_stream *s = st->user;
    if (h2_tunnel_takes(s, data))
        return;
    s->stream->request_bytes += data.len;
    s->waiting += (uint32_t)data.len;
    hand_on(s, nu_ev_data(data));
}

void h2_on_trail(void *ctx, struct nu_h2_stream *st, struct nu_http_head *head)
{
    hand_on_head(st->user, NU_TRAIL, head);
}

void h2_on_end(void *ctx, struct nu_h2_stream *st)
{
    struct h2_stream *s = st->user;
    if (h2_tunnel_takes_end(s))
        return;
    s->stream->request_ms = now_of(s);
    h2_tunnel_half_over(s);
    hand_on(s, nu_ev_end((struct nu_result){.how = NU_CLEAN}));
}

void h2_on_bad(void *ctx, struct nu_h2_stream *st)
{
    struct h2_server *m = ctx;
    const struct h2_stream *s = st->user;
    enum nu_h2_error error = (enum nu_h2_error)st->error;
    unsigned status = nu_h2_error_status(error);
    if (error == NU_H2_BODY_LARGE)
        h2_stat(m, NU_HTTP_RQ_TOO_LARGE, 1);
    nu_stream_answer(s->stream, status ? status : 400, nu_h2_error_str(error),
                     NU_FLAG_CLIENT_ERROR);
}

static void release(struct nu_filter *f)
{
    nu_release(f, NU_REV);
}

void h2_on_room(void *ctx, struct nu_h2_stream *st)
{
    struct h2_stream *s = st->user;
    nu_call(&s->filter, release);
}

static void finish(struct nu_filter *f)
{
    struct h2_stream *s = self_of(f);
    if (s->tunnel == H2_TUNNEL_OPEN) {
        h2_tunnel_half_over(s);
        nu_done(f, NU_REV);
        return;
    }
    s->stream->response_ms = now_of(s);
    be_over(s);
}

void h2_on_sent(void *ctx, struct nu_h2_stream *st)
{
    struct h2_stream *s = st->user;
    nu_call(&s->filter, finish);
}

/* By the client; what we cut ourselves is over already. */
void h2_on_cut(void *ctx, struct nu_h2_stream *st)
{
    struct h2_stream *s = st->user;
    nu_fail(&s->filter, NU_CAUSE_CLIENT_RST, NU_SIDE_CLIENT, "%s", nu_h2_code_str(st->code));
}

void h2_streams_fail(struct h2_server *m, enum nu_cause cause, enum nu_side side)
{
    nu_list_each (node, &m->streams) {
        struct h2_stream *s = nu_container(node, struct h2_stream, link);
        nu_fail(&s->filter, cause, side, "%s", "");
    }
}

/* --- time --- */

static int64_t sooner(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* When nothing has moved for too long: neither in its chain nor between it and the client. */
static int64_t idle_deadline(const struct h2_stream *s)
{
    const struct nu_route *route = s->stream->route;
    const struct nu_http_conf *conf = s->stream->conf;
    int64_t limit =
        s->tunnel == H2_TUNNEL_OPEN ? conf->tunnel_idle_timeout_ms : conf->stream_idle_timeout_ms;
    if (route && route->idle_timeout_ms >= 0)
        limit = route->idle_timeout_ms;
    int64_t last = nu_chain_last_activity(s->filter.chain);
    last = s->st->moved_ms > last ? s->st->moved_ms : last;
    return limit > 0 ? last + limit : 0;
}

int64_t h2_stream_deadline(const struct h2_stream *s)
{
    if (nu_chain_ended(s->filter.chain))
        return 0;
    int64_t at = sooner(idle_deadline(s), s->stream->deadline_ms);
    int64_t whole = s->stream->conf->request_timeout_ms;
    if (!s->st->heard && !s->tunnel && whole > 0)
        at = sooner(at, s->stream->start_ms + whole);
    return at;
}

/* The router's own deadline, or no byte either way, or a request that takes too long. */
void h2_stream_expire(struct h2_stream *s)
{
    struct nu_stream *stream = s->stream;
    int64_t idle = idle_deadline(s), now = now_of(s);
    bool is_idle = idle && idle <= now;
    if (stream->deadline_ms && stream->deadline_ms <= now) {
        stream->deadline_ms = 0;
        nu_call(stream->router, stream->expired);
        return;
    }
    h2_stat(s->mux, is_idle ? NU_HTTP_RQ_IDLE_TIMEOUT : NU_HTTP_RQ_TIMEOUT, 1);
    if (s->st->said || (is_idle && s->st->queued > 0)) { /* for a client that takes nothing */
        h2_stat(s->mux, (enum nu_http_stat)(NU_HTTP_H2_FIRST + NU_H2_COUNT_TX_FLUSH), 1);
        nu_stream_flag(stream, NU_FLAG_IDLE);
        nu_fail(&s->filter, NU_CAUSE_IDLE, NU_SIDE_LOCAL, "%s", "");
        return;
    }
    nu_stream_answer(stream, s->st->heard || s->tunnel ? 504 : 408,
                     is_idle ? "stream_idle_timeout" : "request_overall_timeout",
                     is_idle ? NU_FLAG_IDLE : NU_FLAG_NONE);
}
