/* The HTTP/1 side towards servers; see h1_client.h.
 *
 *   ~joint~ h1_client | [tls] | [proxy_protocol] | sock
 *
 * Faces: a joint to a router on the left, bytes on the right. Sees everything. Stores: bytes behind
 * a response's end (an error, which ends the connection), and the head being read (capped). END
 * from the server ends it; the parser says what that is for the response. Holds nothing: the socket
 * holds until it is connected, which the connect timer bounds; a slow router holds through the
 * joint. Timers: connecting, and idle while kept. `close` parts the joint, and leaves the pool. */
#include "l7/h1_client_priv.h"

#include "core/assert.h"
#include "l4/sock.h"
#include "l7/h1_body.h"
#include "l7/stream.h"
#include "l7/tunnel.h"
#include "l7/tunnel_rest.h"
#include "protocols/http/h1_write.h"

#include <stdlib.h>

enum { TIMER_CONNECT, TIMER_IDLE };

static const struct nu_h1_limits limits = NU_H1_LIMITS_DEFAULT;

static struct h1_client *self_of(struct nu_filter *f)
{
    return (struct h1_client *)f;
}

static struct nu_loop *loop_of(const struct h1_client *c)
{
    return nu_filter_loop(&c->filter);
}

static void count(const struct h1_client *c, enum nu_cluster_stat stat)
{
    nu_stat_add(c->up.cluster->stats, loop_of(c)->shard, stat, 1);
}

static struct nu_chain *owner_of(const struct h1_client *c)
{
    return c->joint.peer ? nu_joint_peer(&c->joint)->chain : NULL;
}

/* Which states may follow which: a bit for each. */
static const uint8_t edges[] = {
    [CLIENT_CONNECTING] = 1 << CLIENT_BUSY | 1 << CLIENT_ENDING,
    [CLIENT_BUSY] = 1 << CLIENT_KEPT | 1 << CLIENT_ENDING,
    [CLIENT_KEPT] = 1 << CLIENT_BUSY | 1 << CLIENT_ENDING,
    [CLIENT_ENDING] = 1 << CLIENT_ENDING,
};

static void set_state(struct h1_client *c, enum client_state to)
{
    nu_assert(edges[c->state] >> to & 1);
    c->state = (uint8_t)to;
}

/* --- its end --- */

static void end_now(struct nu_filter *f)
{
    struct h1_client *c = self_of(f);
    set_state(c, CLIENT_ENDING);
    nu_fail(f, NU_CAUSE_NONE, NU_SIDE_LOCAL, "%s", "");
}

static void leave_pool(struct h1_client *c)
{
    if (c->http && nu_list_linked(&c->http->pooled.in_pool))
        nu_pool_drop(c->up.cluster, loop_of(c)->shard, &c->http->pooled);
}

static void on_evict(struct nu_pooled *pooled)
{
    struct h1_client *c = nu_container(pooled, struct http_part, pooled)->of;
    set_state(c, CLIENT_ENDING);
    nu_call(&c->filter, end_now);
}

static void on_idle(struct nu_filter *f)
{
    struct h1_client *c = self_of(f);
    int64_t limit = nu_pool_conf_of(c->up.cluster)->idle_timeout_ms;
    struct http_part *http = c->http;
    if (!http) /* a tunnel at rest */
        return;
    http->idle_timer = false;
    if (c->state != CLIENT_KEPT)
        return;
    int64_t quiet = loop_of(c)->now_ms - http->since_ms;
    if (quiet < limit) {
        http->idle_timer = true;
        nu_timer_set(f, TIMER_IDLE, limit - quiet, on_idle);
        return;
    }
    count(c, NU_CLUSTER_CX_IDLE_TIMEOUT);
    leave_pool(c);
    end_now(f);
}

/* --- between requests --- */

static bool may_be_kept(const struct h1_client *c)
{
    int64_t most = nu_pool_conf_of(c->up.cluster)->max_requests;
    return c->http->keep && !c->up.cluster->per_client && c->http->rest.len == 0 &&
           (most == 0 || c->http->requests < most);
}

static void keep(struct h1_client *c)
{
    int64_t limit = nu_pool_conf_of(c->up.cluster)->idle_timeout_ms;
    c->http->since_ms = loop_of(c)->now_ms;
    set_state(c, CLIENT_KEPT);
    if (limit == 0 || c->http->idle_timer)
        return;
    c->http->idle_timer = true;
    nu_timer_set(&c->filter, TIMER_IDLE, limit, on_idle);
}

/* Both have said all: the router has no need of it any more. A router that left before has its
 * reasons, and they are on their way here. */
static void exchange_over(struct h1_client *c)
{
    bool left = !c->joint.peer;
    nu_part(&c->joint, (struct nu_result){.how = NU_CLEAN});
    c->http->request = NULL;
    if (!left && may_be_kept(c) && nu_pool_put(c->up.cluster, loop_of(c)->shard, &c->http->pooled))
        keep(c);
    else
        end_now(&c->filter);
}

static void over(struct h1_client *c, uint8_t what)
{
    c->over |= what;
    if (c->over == (SAID | HEARD) && !c->tunnel)
        exchange_over(c);
}

/* --- towards the server --- */

static void say_head(struct h1_client *c, struct nu_http_head *head)
{
    struct nu_filter *f = &c->filter;
    struct nu_stream *stream = nu_stream_of(nu_joint_peer(&c->joint));
    struct nu_slice out;
    c->http->request = head;
    c->over = 0;
    c->http->requests++;
    c->http->chunked = head->body == NU_BODY_CHUNKED;
    nu_tunnel_ask(head);
    nu_h1_begin_response(&c->http->parser, stream->arena, head->method_id, stream->tunnel);
    if (nu_h1_make_head(loop_of(c)->blocks, head, &(struct nu_h1_how){0}, &out))
        nu_fail(f, NU_CAUSE_INTERNAL, NU_SIDE_LOCAL, "a request head that cannot be written");
    else
        nu_forward_data(f, NU_FWD, out);
}

static void say_data(struct h1_client *c, struct nu_slice data)
{
    if (c->http->chunked)
        nu_h1_forward_chunk(&c->filter, NU_FWD, data);
    else
        nu_forward_data(&c->filter, NU_FWD, data);
}

static void say_trailers(struct h1_client *c, const struct nu_http_head *trail)
{
    if (c->http->chunked && nu_h1_forward_trailers(&c->filter, NU_FWD, trail))
        c->http->chunked = false; /* the last chunk was with them */
}

static void say_end(struct h1_client *c, struct nu_result result)
{
    if (result.how != NU_CLEAN) { /* a request that is not whole must not look it */
        set_state(c, CLIENT_ENDING);
        nu_fail(&c->filter, (enum nu_cause)result.cause, (enum nu_side)result.side, "%s", "");
        return;
    }
    if (c->tunnel)
        nu_forward_end(&c->filter, NU_FWD, result);
    else if (c->http->chunked)
        nu_forward_data(&c->filter, NU_FWD, nu_h1_last_chunk());
    over(c, SAID);
}

static void from_router(struct h1_client *c, struct nu_ev *ev)
{
    if (ev->kind == NU_HEAD)
        say_head(c, (struct nu_http_head *)ev->u.head);
    else if (ev->kind == NU_DATA)
        say_data(c, ev->u.data);
    else if (ev->kind == NU_TRAIL)
        say_trailers(c, (const struct nu_http_head *)ev->u.head);
    else if (ev->kind == NU_END)
        say_end(c, ev->u.end);
    else
        nu_ev_free(ev);
}

/* --- from the server --- */

static void tell(struct h1_client *c, struct nu_ev ev)
{
    nu_inject(&c->joint, NU_REV, &ev);
}

static void drop_head(void *ctx)
{
    nu_http_head_drop(ctx);
}

/* The head is the stream's from now on, however far it gets. */
static void tell_head(struct h1_client *c, enum nu_kind kind, struct nu_http_head *head)
{
    if (head->wire.len > 0)
        nu_arena_on_free(head->arena, drop_head, head);
    tell(c, (struct nu_ev){.kind = kind, .u.head = &head->head});
}

/* The server's fault: the router is told by the part in `close`. */
static void on_error(struct h1_client *c, const struct nu_h1_out *out)
{
    bool cut = out->error == NU_H1_CUT_HEAD || out->error == NU_H1_CUT_BODY;
    set_state(c, CLIENT_ENDING);
    if (!cut)
        count(c, NU_CLUSTER_CX_PROTOCOL_ERROR);
    nu_fail(&c->filter, cut ? NU_CAUSE_UPSTREAM_SHORT : NU_CAUSE_UPSTREAM_PROTOCOL,
            NU_SIDE_UPSTREAM, "%s", nu_h1_error_str(out->error));
}

/* False: it is not what was asked for. */
static bool on_head(struct h1_client *c, struct nu_http_head *head)
{
    if (!nu_tunnel_is_granted(c->http->request, head)) {
        on_error(c, &(struct nu_h1_out){.error = NU_H1_UPGRADE_UNASKED});
        nu_http_head_drop(head);
        return false;
    }
    c->tunnel = head->body == NU_BODY_TUNNEL;
    c->http->keep = !c->tunnel && head->keep_alive && head->body != NU_BODY_CLOSE;
    tell_head(c, NU_HEAD, head);
    if (c->tunnel) /* what is in hand behind the head still goes the long way */
        nu_tunnel_pass(&c->filter);
    return true;
}

/* One thing off the received bytes; false: there is nothing more to be had from them now. */
static bool read_one(struct h1_client *c, enum nu_h1_event event, struct nu_h1_out *out)
{
    switch (event) {
    case NU_H1_INTERIM:
    case NU_H1_TRAIL:
        tell_head(c, event == NU_H1_TRAIL ? NU_TRAIL : NU_INTERIM, out->head);
        return true;
    case NU_H1_HEAD:
        return on_head(c, out->head);
    case NU_H1_DATA:
        tell(c, nu_ev_data(out->data));
        return true;
    case NU_H1_END:
        tell(c, nu_ev_end((struct nu_result){.how = NU_CLEAN}));
        over(c, HEARD);
        return false;
    case NU_H1_ERROR:
        on_error(c, out);
        return false;
    default:
        return false;
    }
}

static bool is_listening(const struct h1_client *c)
{
    return c->state == CLIENT_BUSY && (!c->http || c->http->request) && !(c->over & HEARD) &&
           !nu_chain_ended(c->filter.chain);
}

/* P2: who speaks unasked is not to be trusted with the next request. */
static void on_unasked(struct h1_client *c)
{
    leave_pool(c);
    set_state(c, CLIENT_ENDING);
    count(c, NU_CLUSTER_CX_PROTOCOL_ERROR);
    nu_fail(&c->filter, NU_CAUSE_UPSTREAM_PROTOCOL, NU_SIDE_UPSTREAM, "%s", "unasked");
}

static void forget_http(struct h1_client *c)
{
    free(c->http);
    c->http = NULL;
}

static void on_bytes(struct h1_client *c, struct nu_slice data)
{
    struct http_part *http = c->http;
    struct nu_h1_out out;
    bool more = is_listening(c);
    http->rest = data;
    while (more && http->rest.len > 0)
        more = read_one(c, nu_h1_read(&http->parser, &http->rest, &out), &out) && is_listening(c);
    if (is_listening(c) && http->rest.len == 0) /* an END that needs no byte of its own */
        read_one(c, nu_h1_read(&http->parser, &http->rest, &out), &out);
    bool unasked = http->rest.len > 0 && !nu_chain_ended(c->filter.chain);
    nu_slice_drop(&http->rest);
    if (unasked && c->state != CLIENT_ENDING)
        on_unasked(c);
    if (c->tunnel)
        forget_http(c);
}

/* The server has said all it will say. */
static void on_server_end(struct h1_client *c, struct nu_result result)
{
    struct nu_h1_out out = {0};
    leave_pool(c);
    if (c->tunnel)
        nu_tunnel_disturb(&c->joint);
    if (result.how == NU_CLEAN && is_listening(c)) {
        enum nu_h1_event event = c->http ? nu_h1_eof(&c->http->parser, &out) : NU_H1_END;
        if (event == NU_H1_MORE) {
            out.error = NU_H1_CUT_HEAD;
            event = NU_H1_ERROR;
        }
        if (c->http)
            c->http->keep = false;
        read_one(c, event, &out);
        if (c->tunnel && event == NU_H1_END)
            nu_done(&c->filter, NU_REV);
        if (nu_chain_ended(c->filter.chain) || c->tunnel)
            return;
    }
    set_state(c, CLIENT_ENDING);
    nu_fail(&c->filter, (enum nu_cause)result.cause, NU_SIDE_UPSTREAM, "%s", "");
}

static void h1_client_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct h1_client *c = self_of(f);
    if (dir == NU_FWD)
        from_router(c, ev);
    else if (ev->kind == NU_END)
        on_server_end(c, ev->u.end);
    else
        on_bytes(c, ev->u.data);
}

/* --- its beginning --- */

static void on_connect_timeout(struct nu_filter *f)
{
    struct h1_client *c = self_of(f);
    if (!c->up.ready)
        nu_upstream_timed_out(&c->up, f);
}

static enum nu_open h1_client_open(struct nu_filter *f, const void *conf)
{
    const struct nu_client_want *want = conf;
    struct h1_client *c = self_of(f);
    nu_upstream_begin(&c->up, f, want->cluster, want->endpoint);
    c->ready = want->ready;
    c->http = malloc(sizeof *c->http);
    nu_assert(c->http != NULL);
    *c->http = (struct http_part){.of = c};
    c->http->pooled.endpoint = want->endpoint;
    c->http->pooled.evict = on_evict;
    nu_h1_init(&c->http->parser, &limits);
    count(c, NU_CLUSTER_CX_HTTP1_TOTAL);
    if (want->cluster->connect_timeout_ms > 0)
        nu_timer_set(f, TIMER_CONNECT, want->cluster->connect_timeout_ms, on_connect_timeout);
    return NU_OPEN;
}

static void become_ready(struct h1_client *c)
{
    nu_timer_stop(&c->filter, TIMER_CONNECT);
    set_state(c, CLIENT_BUSY);
    nu_upstream_ready(&c->up, &c->filter, owner_of(c));
}

/* Nothing ahead holds any more, for the first time. */
static void h1_client_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct h1_client *c = self_of(f);
    if (dir != NU_FWD || !go || c->state != CLIENT_CONNECTING)
        return;
    become_ready(c);
    if (c->joint.peer)
        nu_call(nu_joint_peer(&c->joint), c->ready);
}

static void h1_client_close(struct nu_filter *f)
{
    struct h1_client *c = self_of(f);
    if (c->tunnel)
        nu_tunnel_disturb(&c->joint);
    struct nu_chain *owner = owner_of(c);
    leave_pool(c);
    if (c->up.ready && owner)
        count(c, NU_CLUSTER_CX_DESTROY_WITH_ACTIVE_RQ);
    forget_http(c);
    nu_upstream_end(&c->up, f, owner);
    if (c->over & HEARD && !c->tunnel) /* whatever came then, the response is whole */
        nu_part(&c->joint, (struct nu_result){.how = NU_CLEAN});
    nu_part(&c->joint, nu_chain_result(f->chain));
}

static const struct nu_filter_type h1_client_type = {
    .name = "h1_client",
    .doc = "Sends requests to a server and reads its responses.",
    .size = sizeof(struct h1_client),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .joint = offsetof(struct h1_client, joint),
    .sees = {NU_SEES_ALL, NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .open = h1_client_open,
    .event = h1_client_event,
    .flow = h1_client_flow,
    .close = h1_client_close,
};

bool nu_h1_client_is(const struct nu_filter *f)
{
    return f && f->type == &h1_client_type;
}

void nu_h1_client_tell(const struct nu_filter *client, struct nu_chain *owner)
{
    nu_upstream_tell(&((const struct h1_client *)client)->up, client, owner);
}

/* Off the pool: whether the server has neither closed nor spoken, asked of the kernel as the news
 * may wait in the loop's set. With TLS it may be a ticket: once read, all else has ended it (P2).
 */
static bool is_quiet(struct h1_client *c)
{
    struct nu_chain *chain = c->filter.chain;
    bool quiet = nu_sock_quiet(chain, NU_FWD);
    if (quiet || c->up.cluster->near_count == 0)
        return quiet;
    nu_sock_read_now(chain, NU_FWD);
    return !nu_chain_ended(chain) && c->state == CLIENT_KEPT;
}

/* A kept connection to the endpoint, off the pool, or NULL. */
static struct h1_client *take_kept(struct nu_filter *router, const struct nu_client_want *want)
{
    unsigned shard = nu_filter_loop(router)->shard;
    struct nu_pooled *pooled;
    while (!want->fresh && (pooled = nu_pool_take(want->cluster, shard, want->endpoint))) {
        struct h1_client *c = nu_container(pooled, struct http_part, pooled)->of;
        if (!nu_chain_ended(c->filter.chain) && (!want->careful || is_quiet(c)))
            return c;
        on_evict(pooled);
    }
    return NULL;
}

static enum nu_client_answer join_new(struct nu_filter *router, const struct nu_client_want *want)
{
    struct nu_place first = {&h1_client_type, want};
    struct nu_chain *chain = nu_upstream_open(router, want->cluster, want->endpoint, &first);
    if (!chain)
        return NU_CLIENT_FULL;
    struct h1_client *c = self_of(nu_chain_end(chain, NU_REV));
    if (want->cluster->near_count > 0) /* else it has no facts; these may go first */
        nu_chain_facts(chain)->listener = nu_chain_facts(chain)->chain = NULL;
    if (want->cluster->found)
        nu_upstream_list_own(&c->up, chain);
    nu_join(router, &c->filter);
    if (nu_chain_ended(chain) || nu_blocked(&c->filter, NU_FWD))
        return NU_CLIENT_WAIT;
    if (c->state == CLIENT_CONNECTING)
        become_ready(c);
    return NU_CLIENT_READY;
}

enum nu_client_answer nu_h1_client_join(struct nu_filter *router, const struct nu_client_want *want,
                                        bool *reused)
{
    struct h1_client *c = take_kept(router, want);
    *reused = c != NULL;
    if (!c)
        return join_new(router, want);
    set_state(c, CLIENT_BUSY);
    nu_join(router, &c->filter);
    nu_upstream_tell(&c->up, &c->filter, router->chain);
    return NU_CLIENT_READY;
}
