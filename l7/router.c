/* The router; see router.h. What it tries, and tries again, is attempt.c's.
 *
 * Faces: HTTP on the left, a joint on the right. Sees everything. Stores: the request's head, and
 * its body up to NU_REPLAY_MAX as long as it may have to be sent again (X1). END: of the request,
 * goes to the server; a cut one takes the connection to it down. Holds FWD while no server is ready
 * and the store is full; connect_timeout and the route's timeout bound that. `close` parts the
 * joint and gives the endpoints back. */
#include "l7/router.h"

#include "l7/attempt.h"
#include "l7/forwarded.h"
#include "l7/grpc.h"
#include "l7/h1_client.h"
#include "l7/http.h"
#include "l7/local_reply.h"
#include "l7/route/route.h"
#include "l7/tunnel.h"

#include <string.h>

#define LATE "upstream request timeout"

static struct router *self_of(struct nu_filter *f)
{
    return (struct router *)f;
}

static void count(const struct router *r, enum nu_http_stat stat)
{
    nu_stat_add(r->stream->conf->stats, nu_filter_loop(&r->filter)->shard, stat, 1);
}

static void count_pending(const struct router *r, enum nu_cluster_stat stat, int64_t n)
{
    nu_stat_add(r->pick.cluster->stats, nu_filter_loop(&r->filter)->shard, stat, n);
}

void router_count_waiting(const struct router *r, enum router_state to)
{
    bool waiting = to == ROUTER_WAITING;
    if ((r->state == ROUTER_WAITING) == waiting)
        return;
    count_pending(r, NU_CLUSTER_RQ_PENDING_ACTIVE, waiting ? 1 : -1);
    if (waiting)
        count_pending(r, NU_CLUSTER_RQ_PENDING_TOTAL, 1);
}

void router_reply(struct router *r, unsigned status, const char *body, const char *details)
{
    router_set_state(r, ROUTER_OVER);
    nu_local_reply(&r->filter, status, nu_text(body, strlen(body)), details);
}

/* --- answers of its own --- */

static void redirect(struct router *r)
{
    struct nu_stream *s = r->stream;
    struct nu_text location;
    unsigned status =
        nu_route_location(s->route, s->request, nu_forwarded_https(s->request), &location);
    if (location.len == 0) {
        router_reply(r, 400, "", "rewrite_failed");
        return;
    }
    struct nu_http_head *head = nu_local_reply_head(&r->filter, status, 0);
    nu_http_add_known(head, NU_HDR_LOCATION, location);
    count(r, NU_HTTP_RQ_REDIRECT);
    router_set_state(r, ROUTER_OVER);
    nu_local_reply_send(&r->filter, head, nu_text("", 0), "direct_response");
}

static void respond(struct router *r)
{
    const struct nu_route_respond *what = r->stream->route->respond;
    struct nu_http_head *head =
        nu_local_reply_as(&r->filter, what->status, what->body, what->content_type);
    count(r, NU_HTTP_RQ_DIRECT_RESPONSE);
    router_set_state(r, ROUTER_OVER);
    nu_local_reply_send(&r->filter, head, what->body, "direct_response");
}

static void no_route(struct router *r)
{
    count(r, NU_HTTP_NO_ROUTE);
    nu_stream_flag(r->stream, NU_FLAG_NO_ROUTE);
    router_reply(r, 404, "", "route_not_found");
}

/* --- the request --- */

static void on_head(struct router *r)
{
    struct nu_stream *s = r->stream;
    if (s->status)
        router_reply(r, s->status, nu_local_reply_body(s), s->details);
    else if (!s->route)
        no_route(r);
    else if (s->route->kind == NU_ROUTE_REDIRECT)
        redirect(r);
    else if (s->route->kind == NU_ROUTE_RESPOND)
        respond(r);
    else
        attempt_first(r);
}

/* The client, or the codec for it, gave the request up. */
static void on_cut(struct router *r, struct nu_result result)
{
    struct nu_filter *f = &r->filter;
    attempt_cancel(r, result);
    router_set_state(r, ROUTER_OVER);
    if (!nu_bit(f, NU_B_ENDED, NU_REV))
        nu_forward_end(f, NU_REV, result);
    nu_done(f, NU_FWD);
}

static void on_end(struct router *r)
{
    r->ended = true;
    if (r->state != ROUTER_OVER && !r->tunnel)
        attempt_deadline(r);
    attempt_end(r);
    if (r->heard_end)
        router_set_state(r, ROUTER_OVER);
    if (r->state == ROUTER_OVER)
        nu_done(&r->filter, NU_FWD);
}

static void from_client(struct router *r, struct nu_ev *ev)
{
    switch (ev->kind) {
    case NU_HEAD:
        on_head(r);
        break;
    case NU_DATA:
        attempt_data(r, ev->u.data);
        break;
    case NU_TRAIL:
        attempt_trailers(r, ev->u.head);
        break;
    case NU_END:
        if (ev->u.end.how == NU_CLEAN)
            on_end(r);
        else
            on_cut(r, ev->u.end);
        break;
    default:
        nu_ev_free(ev);
    }
}

/* --- the response --- */

/* It is over for the client; the request may not be (T6), then its END comes from the left. */
static void on_response_end(struct router *r, struct nu_result result)
{
    r->heard_end = true;
    if (!r->tunnel || r->ended || result.how != NU_CLEAN)
        router_set_state(r, ROUTER_OVER);
    nu_forward_end(&r->filter, NU_REV, result);
    if (r->ended)
        nu_done(&r->filter, NU_FWD);
}

static void from_server(struct router *r, struct nu_ev *ev)
{
    struct nu_stream *s = r->stream;
    r->heard = r->heard || ev->kind != NU_END;
    switch (ev->kind) {
    case NU_HEAD:
        if (attempt_head(r, (struct nu_http_head *)ev->u.head))
            nu_forward(&r->filter, NU_REV, ev);
        break;
    case NU_END:
        if (ev->u.end.how == NU_CLEAN)
            attempt_over(r);
        else if (!attempt_failed(r, ev->u.end))
            break;
        on_response_end(r, ev->u.end);
        break;
    case NU_TRAIL:
        s->trailers = (struct nu_http_head *)ev->u.head;
        nu_forward(&r->filter, NU_REV, ev);
        break;
    default:
        nu_forward(&r->filter, NU_REV, ev);
    }
}

static void router_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (dir == NU_FWD)
        from_client(self_of(f), ev);
    else
        from_server(self_of(f), ev);
}

/* --- from outside --- */

/* The codec wants it answered, or cut if a response has begun. */
static void on_answer(struct nu_filter *f)
{
    struct router *r = self_of(f);
    struct nu_stream *s = r->stream;
    struct nu_result result = nu_result_of(NU_CAUSE_IDLE);
    if (r->state == ROUTER_OVER || r->heard_end) {
        if (s->flags & 1u << NU_FLAG_IDLE) /* a filter, or the other half of a tunnel, is stuck */
            nu_fail(f, (enum nu_cause)result.cause, (enum nu_side)result.side, "%s", "");
        return;
    }
    attempt_cancel(r, result);
    if (r->state == ROUTER_ANSWERED) {
        router_set_state(r, ROUTER_OVER);
        nu_forward_end(f, NU_REV, result);
        nu_drop(f, NU_FWD);
    } else {
        router_reply(r, s->status, nu_local_reply_body(s), s->details);
    }
}

/* gRPC can be told why its response ends here; others see it cut. */
static void end_late(struct router *r, struct nu_result result)
{
    struct nu_stream *s = r->stream;
    struct nu_http_head *trailers = nu_grpc_late(s, NU_TEXT(LATE));
    if (trailers) {
        struct nu_ev ev = {.kind = NU_TRAIL, .u.head = &trailers->head};
        s->trailers = trailers;
        s->details = "response_timeout";
        result = (struct nu_result){.how = NU_CLEAN, .side = NU_SIDE_LOCAL};
        nu_forward(&r->filter, NU_REV, &ev);
    }
    on_response_end(r, result);
}

/* The route's timeout has passed, or the deadline of a gRPC client. */
static void on_expired(struct nu_filter *f)
{
    struct router *r = self_of(f);
    struct nu_stream *s = r->stream;
    struct nu_result result = nu_result_of(NU_CAUSE_RESPONSE_TIMEOUT);
    if (r->state == ROUTER_OVER)
        return;
    nu_stream_flag(s, NU_FLAG_TIMEOUT);
    attempt_timed_out(r);
    attempt_cancel(r, result);
    if (r->state == ROUTER_ANSWERED)
        end_late(r, result);
    else
        router_reply(r, 504, LATE, "response_timeout");
}

/* A filter has answered in its place: nobody hears of it any more. */
static void on_leave(struct nu_filter *f)
{
    struct router *r = self_of(f);
    struct nu_result result = {.how = NU_CANCELLED, .side = NU_SIDE_LOCAL};
    if (r->state == ROUTER_OVER)
        return;
    attempt_cancel(r, result);
    router_set_state(r, ROUTER_OVER);
    if (!nu_bit(f, NU_B_ENDED, NU_REV))
        nu_forward_end(f, NU_REV, result);
    nu_drop(f, NU_FWD);
}

/* --- at rest --- */

bool nu_router_may_rest(const struct nu_filter *f)
{
    const struct router *r = (const struct router *)f;
    bool open = r->state == ROUTER_ANSWERED && r->tunnel && !r->ended && !r->heard_end;
    return open && r->counted && r->tries == 1 && !r->pick.far && r->pick.tried_count == 0 &&
           nu_h1_client_is(nu_joint_peer(&r->joint));
}

void nu_router_rest(struct nu_filter *f, struct nu_router_rest *out)
{
    struct router *r = self_of(f);
    *out = (struct nu_router_rest){
        .route = r->stream->route,
        .cluster = r->pick.cluster,
        .endpoint = r->pick.endpoint,
        .try_ms = r->try_ms,
        .connect_ms = nu_chain_facts_exchange(f->chain)->connect_ms,
        .reused = r->reused,
    };
    r->counted = false;
    r->pick = (struct nu_pick){0};
}

void nu_router_again(struct nu_filter *f, const struct nu_router_rest *rest)
{
    struct router *r = self_of(f);
    struct nu_facts_exchange *facts = nu_chain_facts_exchange(f->chain);
    const struct nu_filter *client = nu_joint_peer(&r->joint);
    r->pick = (struct nu_pick){.cluster = rest->cluster, .endpoint = rest->endpoint, .most = 1};
    r->try_ms = rest->try_ms;
    r->reused = rest->reused;
    r->tries = 1;
    r->tunnel = r->counted = r->lost = r->heard = true;
    r->state = ROUTER_ANSWERED;
    r->stream->cluster = rest->cluster;
    *facts = (struct nu_facts_exchange){.stream = r->stream,
                                        .cluster = rest->cluster->name,
                                        .upstream = &rest->endpoint->addr,
                                        .connect_ms = rest->connect_ms,
                                        .attempts = 1};
    nu_tunnel_pass(f);
    if (client)
        nu_h1_client_tell(client, f->chain);
}

static enum nu_open router_open(struct nu_filter *f, const void *conf)
{
    struct router *r = self_of(f);
    r->stream = nu_stream_of(f);
    r->stream->expired = on_expired;
    r->stream->answer = on_answer;
    r->stream->leave = on_leave;
    return NU_OPEN;
}

static void router_close(struct nu_filter *f)
{
    struct router *r = self_of(f);
    attempt_cancel(r, nu_chain_result(f->chain));
    router_set_state(r, ROUTER_OVER);
    attempt_free(r);
}

const struct nu_filter_type nu_router = {
    .name = "router",
    .doc = "Sends a request where its route says.",
    .size = sizeof(struct router),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_NONE),
    .flags = NU_F_INTERNAL | NU_F_ASKS,
    .joint = offsetof(struct router, joint),
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .open = router_open,
    .event = router_event,
    .close = router_close,
};
