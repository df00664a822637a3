/* A request to a server that speaks HTTP/2: a chain of its own, as its connection has many.
 *
 *   ~joint~ request_in | h2_request          the connection: h2_client | [tls] | sock
 *
 * Faces: HTTP on the left, nothing on the right: it is the sink of the request and the source of
 * the response, and says them to the connection's codec, which writes in the flush phase (W1).
 * Sees: all that goes there. Stores: nothing itself; the request waits in the codec, up to
 * NU_H2_QUEUE_HIGH and one event. END: a cut one is RST_STREAM(CANCEL). Holds FWD while the codec
 * has enough; the server's window and the connection's end release it, the route's timeouts bound
 * it. What is blocked towards the client holds back this stream's window, and nothing else (B6).
 * `close` parts the joint and lets go of the codec's stream, which resets what was not said. */
#include "l7/h2_client_priv.h"

#include "core/assert.h"

enum { SAID = 1, HEARD = 2 };

struct request_in {
    struct nu_filter filter;
    struct nu_joint joint;
};

static struct h2_request *self_of(struct nu_filter *f)
{
    return (struct h2_request *)f;
}

/* What only the server's side knows, for the router's log. */
static void tell_why(const struct h2_request *q, struct nu_filter *router)
{
    const char *details = nu_chain_details(q->filter.chain);
    if (!*details || !router)
        return;
    struct nu_facts_more *facts = nu_chain_facts_more(router->chain);
    details = nu_arena_strdup(nu_chain_arena(router->chain), details);
    if (q->st)
        facts->upstream_failure = details;
    else
        facts->connect_failure = details;
}

/* All that comes behind is of no interest, but to a tunnel. */
static bool is_answered(const struct h2_request *q)
{
    return q->over & HEARD && !q->tunnel;
}

/* The left end: faces a joint to a router on the left. Sees, stores and holds nothing. Closes
 * first, so it is here that the router learns how it went. */
static void request_in_close(struct nu_filter *f)
{
    struct request_in *in = (struct request_in *)f;
    const struct h2_request *q = self_of(nu_chain_end(f->chain, NU_FWD));
    if (is_answered(q)) /* whatever came then, the response is whole */
        nu_part(&in->joint, (struct nu_result){.how = NU_CLEAN});
    else
        tell_why(q, nu_joint_peer(&in->joint));
}

static const struct nu_filter_type request_in_type = {
    .name = "request",
    .doc = "The left end of a request to a server that speaks HTTP/2.",
    .size = sizeof(struct request_in),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .flags = NU_F_INTERNAL,
    .joint = offsetof(struct request_in, joint),
    .close = request_in_close,
};

static struct nu_joint *joint_of(const struct h2_request *q)
{
    return &((struct request_in *)nu_chain_end(q->filter.chain, NU_REV))->joint;
}

struct nu_filter *h2_request_router(const struct h2_request *q)
{
    return nu_chain_ended(q->filter.chain) ? NULL : nu_joint_peer(joint_of(q));
}

/* --- its end --- */

static void leave(struct h2_request *q)
{
    struct h2_client *m = q->mux;
    if (q->st)
        nu_h2_let_go(q->st);
    q->st = NULL;
    q->mux = NULL;
    if (!m)
        return;
    nu_list_del(&q->link);
    h2_client_less(m);
}

/* The router has no need of it any more. */
static void be_over(struct nu_filter *f)
{
    struct h2_request *q = self_of(f);
    nu_part(joint_of(q), (struct nu_result){.how = NU_CLEAN});
    leave(q);
    nu_fail(f, NU_CAUSE_NONE, NU_SIDE_LOCAL, "%s", "");
}

static void over(struct h2_request *q, uint8_t what)
{
    q->over |= what;
    if (q->over == (SAID | HEARD) && !nu_chain_ended(q->filter.chain))
        be_over(&q->filter);
}

/* --- towards the server --- */

/* A request that is not whole must not look it; it may not even have been begun. */
static void say_end(struct h2_request *q, struct nu_result result)
{
    if (q->st && result.how == NU_CLEAN) {
        nu_h2_say_end(q->st);
        return;
    }
    if (q->st)
        nu_h2_say_reset(q->st, NU_H2_CODE_CANCEL);
    nu_fail(&q->filter, (enum nu_cause)result.cause, (enum nu_side)result.side, "%s", "");
}

static void say_head(struct h2_request *q, const struct nu_http_head *head)
{
    struct nu_stream *stream = nu_stream_of(nu_joint_peer(joint_of(q)));
    h2_client_more(q->mux);
    q->st = nu_h2_ask(q->mux->h2, nu_arena_share(stream->arena), head, q);
}

static void h2_request_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct h2_request *q = self_of(f);
    nu_assert(dir == NU_FWD);
    if (ev->kind == NU_HEAD && q->mux && !q->st)
        say_head(q, (const struct nu_http_head *)ev->u.head);
    else if (ev->kind == NU_END)
        say_end(q, ev->u.end);
    else if (q->st && ev->kind == NU_TRAIL)
        nu_h2_say_trailers(q->st, (const struct nu_http_head *)ev->u.head);
    else if (!q->st || ev->kind != NU_DATA)
        nu_ev_free(ev);
    else if (nu_h2_say_data(q->st, ev->u.data))
        nu_hold(f, NU_FWD);
}

/* --- from the server --- */

static void give_back(struct h2_request *q)
{
    if (q->waiting == 0 || !q->st)
        return;
    nu_h2_took(q->st, q->waiting);
    q->waiting = 0;
}

static void forward_next(struct nu_filter *f)
{
    struct h2_request *q = self_of(f);
    struct nu_ev *ev = q->next;
    bool last = ev->kind == NU_END;
    q->next = NULL;
    nu_forward(f, NU_REV, ev);
    if (q->waiting > 0 && !nu_chain_ended(f->chain) && !nu_blocked(f, NU_REV))
        give_back(q);
    if (last)
        over(q, HEARD);
}

static void hand_on(struct h2_request *q, struct nu_ev ev)
{
    q->next = &ev;
    nu_chain_touch(q->filter.chain);
    nu_call(&q->filter, forward_next);
    if (!q->next)
        return;
    nu_ev_free(&ev); /* the chain is over */
    q->next = NULL;
}

void h2_request_on_interim(void *m, struct nu_h2_stream *st, struct nu_http_head *head)
{
    hand_on(st->user, (struct nu_ev){.kind = NU_INTERIM, .u.head = &head->head});
}

void h2_request_on_head(void *m, struct nu_h2_stream *st)
{
    struct h2_request *q = st->user;
    q->tunnel = st->tunnel;
    hand_on(q, (struct nu_ev){.kind = NU_HEAD, .u.head = &st->head->head});
}

void h2_request_on_data(void *m, struct nu_h2_stream *st, struct nu_slice data)
{
    struct h2_request *q = st->user;
    q->waiting += (uint32_t)data.len;
    hand_on(q, nu_ev_data(data));
}

void h2_request_on_trail(void *m, struct nu_h2_stream *st, struct nu_http_head *head)
{
    hand_on(st->user, (struct nu_ev){.kind = NU_TRAIL, .u.head = &head->head});
}

void h2_request_on_end(void *m, struct nu_h2_stream *st)
{
    hand_on(st->user, nu_ev_end((struct nu_result){.how = NU_CLEAN}));
}

void h2_request_on_bad(void *m, struct nu_h2_stream *st)
{
    struct h2_request *q = st->user;
    nu_fail(&q->filter, NU_CAUSE_UPSTREAM_PROTOCOL, NU_SIDE_UPSTREAM, "%s",
            nu_h2_error_str((enum nu_h2_error)st->error));
}

static void release(struct nu_filter *f)
{
    nu_release(f, NU_FWD);
}

void h2_request_on_room(void *m, struct nu_h2_stream *st)
{
    struct h2_request *q = st->user;
    nu_call(&q->filter, release);
}

static void on_said(struct nu_filter *f)
{
    nu_done(f, NU_FWD);
    over(self_of(f), SAID);
}

void h2_request_on_sent(void *m, struct nu_h2_stream *st)
{
    struct h2_request *q = st->user;
    nu_call(&q->filter, on_said);
}

/* A server that has answered need not hear the rest (RFC 9113 8.1). */
void h2_request_on_cut(void *m, struct nu_h2_stream *st)
{
    struct h2_request *q = st->user;
    bool refused = st->code == NU_H2_CODE_REFUSED_STREAM;
    if (is_answered(q))
        nu_call(&q->filter, be_over);
    else
        nu_fail(&q->filter, refused ? NU_CAUSE_UPSTREAM_REFUSED : NU_CAUSE_UPSTREAM_RESET,
                NU_SIDE_UPSTREAM, "%s", nu_h2_code_str(st->code));
}

void h2_request_fail(struct h2_request *q, struct nu_result result, const char *why)
{
    if (is_answered(q))
        nu_call(&q->filter, be_over);
    else
        nu_fail(&q->filter, (enum nu_cause)result.cause, (enum nu_side)result.side, "%s", why);
}

/* --- its beginning --- */

void h2_request_again(struct h2_request *q)
{
    struct nu_filter *router = h2_request_router(q);
    if (router)
        nu_call(router, q->again);
}

enum nu_err h2_request_may(const struct h2_client *m, bool upgrade)
{
    if (!upgrade)
        return NU_OK;
    return m->h2 ? nu_h2_may_upgrade(m->h2) : NU_MORE;
}

static void tell_ready(struct h2_request *q)
{
    struct nu_filter *router = h2_request_router(q);
    enum nu_err may = h2_request_may(q->mux, q->upgrade);
    if (!router || q->st || may == NU_MORE)
        return;
    if (may) {
        h2_request_again(q);
        return;
    }
    nu_upstream_tell(&q->mux->up, &q->mux->filter, router->chain);
    nu_call(router, q->ready);
}

void h2_requests_ready(void *ctx)
{
    struct h2_client *m = ctx;
    nu_list_each (node, &m->requests)
        tell_ready(nu_container(node, struct h2_request, link));
}

struct want {
    struct h2_client *mux;
    const struct nu_client_want *client;
};

static enum nu_open h2_request_open(struct nu_filter *f, const void *conf)
{
    const struct want *want = conf;
    struct h2_request *q = self_of(f);
    q->mux = want->mux;
    q->ready = want->client->ready;
    q->upgrade = want->client->upgrade;
    q->again = want->client->again;
    nu_list_add_tail(&q->mux->requests, &q->link);
    return NU_OPEN;
}

static void h2_request_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (dir == NU_REV && go)
        give_back(self_of(f));
}

static void h2_request_close(struct nu_filter *f)
{
    struct h2_request *q = self_of(f);
    if (q->st)
        nu_h2_say_reset(q->st, NU_H2_CODE_CANCEL);
    leave(q);
}

static const struct nu_filter_type h2_request_type = {
    .name = "h2_request",
    .doc = "Sends a request to a server that speaks HTTP/2, and hears its response.",
    .size = sizeof(struct h2_request),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_NONE),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES_ALL, 0},
    .open = h2_request_open,
    .event = h2_request_event,
    .flow = h2_request_flow,
    .close = h2_request_close,
};

void h2_request_new(struct h2_client *m, struct nu_filter *router,
                    const struct nu_client_want *want)
{
    struct want how = {m, want};
    const struct nu_place places[] = {
        {&request_in_type, NULL},
        {&h2_request_type, &how}
    };
    struct nu_chain *chain = nu_chain_new(nu_filter_loop(router), places, 2, NULL, NULL, NULL);
    nu_join(router, nu_chain_end(chain, NU_REV));
}
