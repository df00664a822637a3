/* Tries of one request; see attempt.h. */
#include "l7/attempt.h"

#include "core/assert.h"
#include "l4/leg.h"
#include "l7/client.h"
#include "l7/forwarded.h"
#include "l7/grpc.h"
#include "l7/h1_client.h"
#include "l7/head_edit.h"
#include "l7/http.h"
#include "l7/retry.h"
#include "l7/tunnel.h"

#include <string.h>

enum { TIMER_TRY, TIMER_PAUSE };

static struct router *self_of(struct nu_filter *f)
{
    return (struct router *)f;
}

static struct nu_loop *loop_of(const struct router *r)
{
    return nu_filter_loop(&r->filter);
}

static void count(const struct router *r, enum nu_cluster_stat stat, int64_t n)
{
    nu_stat_add(r->pick.cluster->stats, loop_of(r)->shard, stat, n);
}

/* --- figures of a try --- */

static void begin_count(struct router *r)
{
    r->counted = true;
    r->try_ms = loop_of(r)->now_ms;
    count(r, NU_CLUSTER_RQ_TOTAL, 1);
    count(r, NU_CLUSTER_RQ_ACTIVE, 1);
}

static void end_count(struct router *r)
{
    if (!r->counted)
        return;
    r->counted = false;
    count(r, NU_CLUSTER_RQ_ACTIVE, -1);
}

/* --- towards the server --- */

static void pass(struct router *r, struct nu_ev ev)
{
    nu_inject(&r->joint, NU_FWD, &ev);
}

static void send_all(struct router *r)
{
    struct nu_http_head *head = r->stream->request;
    router_set_state(r, ROUTER_SENDING);
    begin_count(r);
    pass(r, (struct nu_ev){.kind = NU_HEAD, .u.head = &head->head});
    for (unsigned i = 0; i < r->kept_count; i++)
        pass(r, nu_ev_data(nu_slice_dup(r->kept[i])));
    if (r->trailers)
        pass(r, (struct nu_ev){.kind = NU_TRAIL, .u.head = r->trailers});
    if (r->ended)
        pass(r, nu_ev_end((struct nu_result){.how = NU_CLEAN}));
    nu_release(&r->filter, NU_FWD);
}

static void on_ready(struct nu_filter *f)
{
    struct router *r = self_of(f);
    nu_chain_facts_exchange(f->chain)->connect_ms = (uint32_t)(loop_of(r)->now_ms - r->try_ms + 1);
    send_all(r);
}

/* A plain connection stands for the client's CONNECT (U2). */
static void on_connected(struct nu_filter *f)
{
    struct router *r = self_of(f);
    struct nu_http_head *head = nu_http_head_new(r->stream->arena);
    begin_count(r);
    head->status = 200;
    head->version = NU_HTTP_1_1;
    head->reason = NU_TEXT("OK");
    head->method_id = NU_METHOD_CONNECT;
    head->body = NU_BODY_TUNNEL;
    struct nu_ev ev = {.kind = NU_HEAD, .u.head = &head->head};
    if (attempt_head(r, head))
        nu_forward(f, NU_REV, &ev);
}

void attempt_data(struct router *r, struct nu_slice data)
{
    if (r->state == ROUTER_OVER) {
        nu_slice_drop(&data);
        return;
    }
    if (!r->lost && r->kept_bytes + data.len + NU_REPLAY_EACH > NU_REPLAY_MAX &&
        r->state >= ROUTER_SENDING)
        attempt_forget(r);
    if (!r->lost)
        attempt_keep(r, nu_slice_dup(data));
    if (r->state >= ROUTER_SENDING)
        pass(r, nu_ev_data(data));
    else
        nu_slice_drop(&data);
    if (r->state == ROUTER_WAITING && r->kept_bytes >= NU_REPLAY_MAX)
        nu_hold(&r->filter, NU_FWD);
}

void attempt_trailers(struct router *r, struct nu_head *trailers)
{
    r->trailers = trailers;
    if (r->state == ROUTER_SENDING || r->state == ROUTER_ANSWERED)
        pass(r, (struct nu_ev){.kind = NU_TRAIL, .u.head = trailers});
}

/* --- tries --- */

static void retries_used_up(struct router *r)
{
    nu_stream_flag(r->stream, NU_FLAG_RETRIES);
    count(r, NU_CLUSTER_RQ_RETRY_LIMIT_EXCEEDED, 1);
}

/* No try is left: 502 for nonsense, 503 for all else, as Envoy answers. */
static void give_up(struct router *r, struct nu_result result, bool connected)
{
    struct nu_stream *s = r->stream;
    bool nonsense = result.cause == NU_CAUSE_UPSTREAM_PROTOCOL;
    nu_stream_flag(s, nu_try_flag(result, connected));
    if (r->tries > 1)
        retries_used_up(r);
    router_set_state(r, ROUTER_OVER);
    router_reply(
        r, nonsense ? 502 : 503, nu_try_body(result, connected, s->arena),
        nu_try_details("upstream_reset_before_response_started", result, connected, s->arena));
}

static void no_endpoint(struct router *r)
{
    enum nu_cause cause;
    const char *why;
    struct nu_stream *s = r->stream;
    count(r, NU_CLUSTER_CX_NONE_HEALTHY, 1);
    router_set_state(r, ROUTER_OVER);
    nu_stream_flag(s, NU_FLAG_NO_HEALTHY);
    if (nu_pick_why(&r->pick, &cause, &why)) {
        router_reply(r, cause == NU_CAUSE_DENIED || cause == NU_CAUSE_LOOP ? 403 : 503, "",
                     nu_cause_str(cause));
        return;
    }
    router_reply(r, 503, "no healthy upstream", "no_healthy_upstream");
}

static void overflow(struct router *r)
{
    count(r, NU_CLUSTER_CX_OVERFLOW, 1);
    give_up(r, nu_result_of(NU_CAUSE_OVERFLOW), false);
}

/* A client of HTTP/1.0 may name no host; HTTP/1.1 has to (RFC 9112 3.2). */
static void name_host(struct router *r)
{
    const struct nu_endpoint *endpoint = r->pick.endpoint;
    const char *host = endpoint->addr.kind == NU_ADDR_UNIX ? "localhost" : endpoint->host;
    if (r->hostless)
        r->stream->request->authority = nu_text(host, strlen(host));
}

static void on_try_timeout(struct nu_filter *f);

/* Runs from where the server has all it needs to answer, as the route's own timeout. */
static void watch_try(struct router *r)
{
    int64_t ms = r->stream->route->retry.per_try_timeout_ms;
    if (ms > 0 && r->ended && !r->tunnel && r->state < ROUTER_ANSWERED)
        nu_timer_set(&r->filter, TIMER_TRY, ms, on_try_timeout);
}

static void join(struct router *r);

/* The server agreed to another version than was asked for, or takes no upgrades in this one. */
static void on_other_version(struct nu_filter *f)
{
    struct router *r = self_of(f);
    nu_part(&r->joint, (struct nu_result){.how = NU_CANCELLED, .side = NU_SIDE_LOCAL});
    r->tries--;
    nu_chain_facts_exchange(f->chain)->attempts--;
    join(r);
}

static void join(struct router *r)
{
    struct nu_stream *s = r->stream;
    struct nu_client_want want = {
        .cluster = r->pick.cluster,
        .endpoint = r->pick.endpoint,
        .fresh = r->fresh,
        .careful = !nu_retry_idempotent(s->request),
        .upgrade = s->tunnel,
        .ready = on_ready,
        .again = on_other_version,
    };
    struct nu_facts_exchange *facts = nu_chain_facts_exchange(r->filter.chain);
    facts->upstream = &r->pick.endpoint->addr;
    facts->attempts++;
    name_host(r);
    r->tries++;
    r->heard = false;
    r->try_ms = loop_of(r)->now_ms;
    watch_try(r);
    if (s->route->connect) {
        router_set_state(r, ROUTER_WAITING);
        if (!nu_leg_open(&r->filter, r->pick.cluster, r->pick.endpoint, on_connected))
            overflow(r);
        return;
    }
    bool plain = nu_client_protocol_of(want.cluster) == NU_CLIENT_HTTP1; /* nearly always */
    switch (plain ? nu_h1_client_join(&r->filter, &want, &r->reused)
                  : nu_client_join(&r->filter, &want, &r->reused)) {
    case NU_CLIENT_READY:
        send_all(r);
        break;
    case NU_CLIENT_WAIT:
        router_set_state(r, ROUTER_WAITING);
        break;
    case NU_CLIENT_FULL:
        overflow(r);
        break;
    case NU_CLIENT_BARRED:
        router_reply(r, 501, "", "upgrade_over_http2");
        break;
    }
}

void attempt_end(struct router *r)
{
    if (r->state == ROUTER_WAITING || r->state == ROUTER_SENDING)
        watch_try(r);
    if (r->state == ROUTER_SENDING || r->state == ROUTER_ANSWERED)
        pass(r, nu_ev_end((struct nu_result){.how = NU_CLEAN}));
}

/* False: there is no endpoint left. */
static bool next_endpoint(struct router *r)
{
    switch (nu_pick_next(&r->pick, &r->filter)) {
    case NU_PICK_FOUND:
        join(r);
        return true;
    case NU_PICK_WAIT:
        router_set_state(r, ROUTER_WAITING);
        return true;
    case NU_PICK_NONE:
        break;
    }
    return false;
}

static void on_picked(struct nu_filter *f)
{
    struct router *r = self_of(f);
    if (r->state != ROUTER_OVER && !next_endpoint(r))
        no_endpoint(r);
}

/* The head as the server is to see it. */
static void prepare(struct router *r)
{
    struct nu_stream *s = r->stream;
    struct nu_http_head *head = s->request;
    nu_head_edits_apply(s->route->request_headers, head, r->filter.chain);
    nu_http_head_keep(head);
}

void attempt_deadline(struct router *r)
{
    struct nu_stream *s = r->stream;
    int64_t timeout = s->route->timeout_ms, at_ms = loop_of(r)->now_ms + timeout;
    bool sooner = s->deadline_ms == 0 || at_ms < s->deadline_ms; /* gRPC's own may have begun */
    if (timeout > 0 && sooner && !nu_grpc_has_own_timeout(s))
        nu_stream_deadline(s, at_ms);
}

void attempt_first(struct router *r)
{
    struct nu_stream *s = r->stream;
    struct nu_cluster *cluster = nu_route_cluster(s->route, nu_loop_random(loop_of(r)));
    struct nu_text host = s->request->authority;
    s->cluster = cluster;
    nu_chain_facts_exchange(r->filter.chain)->cluster = cluster->name;
    enum nu_err err = nu_route_rewrite(s->route, s->request, s->conf->limits.target_bytes);
    if (err) {
        bool large = err == NU_ERR_LIMIT;
        router_reply(r, large ? 414 : 400, "",
                     large ? "rewritten_path_too_long" : "rewrite_failed");
        return;
    }
    if (s->request->authority.at != host.at)
        nu_forwarded_host(s->request, host);
    nu_grpc_begin(s);
    prepare(r);
    if (s->tunnel)
        attempt_deadline(r);
    r->hostless = s->request->authority.len == 0;
    nu_pick_start(&r->pick, &r->filter, cluster, (uint8_t)nu_retry_most(s->route), on_picked);
    on_picked(&r->filter);
}

/* Whether it is safe, and worth it, to send the request once more. */
static bool may_try_again(const struct router *r, enum nu_try_end how)
{
    const struct nu_route *route = r->stream->route;
    if (r->lost || r->heard || r->tries >= nu_retry_most(route))
        return false;
    return how == NU_TRY_UNSENT || how == NU_TRY_REFUSED || nu_retry_asked(route, how) ||
           (how == NU_TRY_RESET && nu_retry_idempotent(r->stream->request));
}

/* All have had their turn: the search begins anew. */
static void on_pause_over(struct nu_filter *f)
{
    struct router *r = self_of(f);
    if (r->state != ROUTER_WAITING)
        return;
    nu_pick_end(&r->pick);
    nu_pick_start(&r->pick, f, r->stream->cluster, (uint8_t)nu_retry_most(r->stream->route),
                  on_picked);
    on_picked(f);
}

/* What a route asks for does not depend on how many endpoints there are: one may well answer next
 * time. A pause keeps that from being a burst. */
static void try_all_again(struct router *r)
{
    router_set_state(r, ROUTER_WAITING);
    nu_timer_set(&r->filter, TIMER_PAUSE, nu_retry_pause(r->tries, nu_loop_random(loop_of(r))),
                 on_pause_over);
}

/* A kept connection that died says nothing about its endpoint: a new one to the same, as another
 * may not be there. Neither does one that takes no more requests. Else the next. */
static bool try_again(struct router *r, enum nu_try_end how)
{
    bool refused = how == NU_TRY_REFUSED;
    if ((r->reused && how == NU_TRY_RESET) || (refused && r->tries < 2)) {
        r->fresh = !refused;
        join(r);
        return true;
    }
    if (next_endpoint(r))
        return true;
    if (!refused && !nu_retry_asked(r->stream->route, how))
        return false;
    try_all_again(r);
    return true;
}

/* Another try has begun; else none may, or none can. */
static bool went_on(struct router *r, enum nu_try_end how)
{
    nu_timer_stop(&r->filter, TIMER_TRY);
    if (!may_try_again(r, how) || !try_again(r, how))
        return false;
    count(r, NU_CLUSTER_RQ_RETRY, 1);
    return true;
}

static void on_try_timeout(struct nu_filter *f)
{
    struct router *r = self_of(f);
    if (r->state != ROUTER_WAITING && r->state != ROUTER_SENDING)
        return;
    count(r, NU_CLUSTER_RQ_PER_TRY_TIMEOUT, 1);
    attempt_cancel(r, nu_result_of(NU_CAUSE_RESPONSE_TIMEOUT));
    if (went_on(r, NU_TRY_TIMED_OUT))
        return;
    nu_stream_flag(r->stream, NU_FLAG_TIMEOUT);
    if (r->tries > 1)
        retries_used_up(r);
    router_reply(r, 504, "upstream request timeout", "upstream_per_try_timeout");
}

/* A connection that carries others was not what was wrong. */
static bool is_request_s_own(const struct router *r, struct nu_result result)
{
    return result.cause == NU_CAUSE_UPSTREAM_RESET ||
           (result.cause == NU_CAUSE_UPSTREAM_PROTOCOL &&
            nu_client_protocol_of(r->pick.cluster) != NU_CLIENT_HTTP1);
}

bool attempt_failed(struct router *r, struct nu_result result)
{
    bool connected = r->counted;
    end_count(r);
    nu_part(&r->joint, result); /* usually the connection has done that itself */
    if (connected)
        count(r, NU_CLUSTER_RQ_RX_RESET, 1);
    else
        count(r, NU_CLUSTER_RQ_PENDING_FAILURE_EJECT, 1);
    if (r->state == ROUTER_ANSWERED) {
        nu_stream_flag(r->stream, nu_try_flag(result, true));
        r->stream->details =
            nu_try_details("upstream_reset_after_response_started", result, true, r->stream->arena);
        return true;
    }
    bool refused = result.cause == NU_CAUSE_UPSTREAM_REFUSED;
    if (is_request_s_own(r, result))
        r->reused = false;
    if (!went_on(r, refused ? NU_TRY_REFUSED : connected ? NU_TRY_RESET : NU_TRY_UNSENT))
        give_up(r, result, connected);
    return false;
}

/* The answer is not good enough: another is asked, or the same once more. */
static bool leave_for_next(struct router *r)
{
    struct nu_stream *s = r->stream;
    if (r->lost || !s->route->retry.when)
        return false;
    if (r->tries >= nu_retry_most(s->route)) {
        retries_used_up(r);
        return false;
    }
    end_count(r);
    nu_part(&r->joint, (struct nu_result){.how = NU_CANCELLED, .side = NU_SIDE_LOCAL});
    count(r, NU_CLUSTER_RQ_RETRY, 1);
    if (!next_endpoint(r))
        try_all_again(r);
    return true;
}

bool attempt_head(struct router *r, struct nu_http_head *head)
{
    struct nu_stream *s = r->stream;
    count(r, (enum nu_cluster_stat)(NU_CLUSTER_RQ_1XX + head->status / 100 - 1), 1);
    nu_timer_stop(&r->filter, TIMER_TRY);
    bool bad = nu_retry_status(s->route, head->status) || nu_retry_grpc(s, head);
    if (bad && leave_for_next(r))
        return false;
    if (r->tries > 1 && !bad)
        count(r, NU_CLUSTER_RQ_RETRY_SUCCESS, 1);
    router_set_state(r, ROUTER_ANSWERED);
    attempt_forget(r);
    r->tunnel = head->body == NU_BODY_TUNNEL;
    if (r->tunnel) {
        nu_http_head_keep(head); /* it stays for the log */
        nu_tunnel_pass(&r->filter);
    }
    s->deadline_ms = r->tunnel ? 0 : s->deadline_ms;
    s->first_byte_ms = loop_of(r)->now_ms;
    nu_head_edits_apply(s->route->response_headers, head, r->filter.chain);
    return true;
}

void attempt_over(struct router *r)
{
    end_count(r);
    count(r, NU_CLUSTER_RQ_COMPLETED, 1);
    nu_stat_record(r->pick.cluster->stats, loop_of(r)->shard, NU_CLUSTER_RQ_TIME_MS,
                   (uint64_t)(loop_of(r)->now_ms - r->try_ms));
}

void attempt_timed_out(struct router *r)
{
    if (r->pick.cluster)
        count(r, NU_CLUSTER_RQ_TIMEOUT, 1);
}

void attempt_cancel(struct router *r, struct nu_result result)
{
    if (!r->pick.cluster)
        return;
    nu_timer_stop(&r->filter, TIMER_TRY);
    nu_timer_stop(&r->filter, TIMER_PAUSE);
    if (r->state == ROUTER_WAITING)
        count(r, NU_CLUSTER_RQ_CANCELLED, 1);
    else if (r->counted)
        count(r, NU_CLUSTER_RQ_TX_RESET, 1);
    end_count(r);
    nu_part(&r->joint, result);
}
