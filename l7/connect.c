/* Bytes through a tunnel that a server is asked for (RFC 9110 9.3.6); see connect.h.
 *
 *   tcp_proxy ~joint~ connect_in | connect ~joint~ h1_client or h2_request
 *
 * Faces: a joint to the owner on the left, bytes between, a joint to a connection on the right.
 * Sees: `connect` the answer, and END. Stores nothing. END: each half's passes by itself once the
 * tunnel is open; before that it is a failure, which the owner is told. Holds FWD until the answer:
 * the connection's timer bounds its coming about, one of ours the answer, by connect_timeout too.
 * `close` tells the owner why. The chain has the little of a stream that the clients ask for: an
 * arena, and that a tunnel is wanted. On the owner's worker. */
#include "l7/connect.h"

#include "core/arena.h"
#include "core/chain.h"
#include "l4/cluster.h"
#include "l4/endpoint.h"
#include "l4/leg.h"
#include "l7/client.h"
#include "l7/stream.h"
#include "l7/tunnel.h"

#include <string.h>

#define ARENA_BYTES 2048 /* the stream and two heads of few fields */
#define ASKS_MOST   3    /* of one endpoint, where its connections go away unheard */
#define NO_ANSWER   "no answer to CONNECT"

enum { TIMER_ANSWER };

struct connect_in {
    struct nu_filter filter;
    struct nu_joint joint;
};

struct connect {
    struct nu_filter filter;
    struct nu_joint joint;
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint;
    nu_leg_ready_fn *ready; /* of the owner */
    uint8_t asked;          /* times */
    bool counted;           /* it stands among the cluster's active requests */
    bool open;              /* the answer was 2xx */
    bool full;              /* the cluster has no room for another connection */
};

static struct connect *self_of(struct nu_filter *f)
{
    return (struct connect *)f;
}

static struct nu_joint *owner_joint(const struct nu_chain *chain)
{
    return &((struct connect_in *)nu_chain_end(chain, NU_REV))->joint;
}

/* --- what the owner's log is to know --- */

static const char *keep(struct nu_chain *owner, const char *text)
{
    return text ? nu_arena_strdup(nu_chain_arena(owner), text) : NULL;
}

/* Of the connection: who it is, once it is there. */
static void tell_tls(struct nu_chain *own, struct nu_chain *owner)
{
    const struct nu_tls_facts *tls = nu_facts_exchange(nu_chain_facts(own))->upstream_tls;
    if (tls)
        nu_chain_facts_exchange(owner)->upstream_tls =
            nu_tls_facts_copy(tls, nu_chain_arena(owner));
}

static void tell_tcp(struct nu_chain *own, struct nu_chain *owner)
{
    const struct nu_tcp_facts *tcp = nu_chain_facts_more(own)->upstream_tcp;
    if (!tcp)
        return;
    struct nu_tcp_facts *kept = nu_arena_alloc(nu_chain_arena(owner), sizeof *kept);
    *kept = *tcp;
    nu_chain_facts_more(owner)->upstream_tcp = kept;
}

/* How it went. What is said here comes first; else what the connection has left. */
static void tell_failure(const struct connect *c, struct nu_chain *owner)
{
    const struct nu_facts_more *left = nu_chain_facts_more(c->filter.chain);
    struct nu_facts_more *more = nu_chain_facts_more(owner);
    const char *why = nu_chain_details(c->filter.chain);
    if (!*why)
        why = left->upstream_failure ? left->upstream_failure : left->connect_failure;
    if (!why && !c->open && c->asked > 0)
        why = NO_ANSWER;
    if (left->upstream_tls_failure)
        more->upstream_tls_failure = keep(owner, left->upstream_tls_failure);
    if (c->open)
        more->upstream_failure = keep(owner, why);
    else
        more->connect_failure = keep(owner, why);
}

/* --- the left end --- */

/* Behind it the joint parts with the chain's result. */
static void connect_in_close(struct nu_filter *f)
{
    const struct nu_joint *joint = &((struct connect_in *)f)->joint;
    if (!joint->peer)
        return;
    struct nu_chain *owner = nu_joint_peer(joint)->chain;
    tell_tls(f->chain, owner);
    tell_tcp(f->chain, owner);
    tell_failure(self_of(nu_chain_end(f->chain, NU_FWD)), owner);
}

/* An owner that leaves before there is a tunnel waits for none. */
static void connect_in_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_result result = ev->u.end;
    const struct connect *c = self_of(nu_chain_end(f->chain, NU_FWD));
    if (result.how != NU_CLEAN && !c->open)
        nu_fail(f, (enum nu_cause)result.cause, (enum nu_side)result.side, "%s", "");
    else
        nu_forward(f, dir, ev);
}

static const struct nu_filter_type connect_in_type = {
    .name = "connect_in",
    .doc = "The left end of bytes that go through a tunnel.",
    .size = sizeof(struct connect_in),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .joint = offsetof(struct connect_in, joint),
    .sees = {NU_SEES(NU_END), 0},
    .event = connect_in_event,
    .close = connect_in_close,
};

/* --- asking --- */

static void count(const struct connect *c, enum nu_cluster_stat stat, int64_t n)
{
    nu_stat_add(c->cluster->stats, nu_filter_loop(&c->filter)->shard, stat, n);
}

static void end_count(struct connect *c)
{
    count(c, NU_CLUSTER_RQ_ACTIVE, c->counted ? -1 : 0);
    c->counted = false;
}

static void on_no_answer(struct nu_filter *f)
{
    count(self_of(f), NU_CLUSTER_RQ_TIMEOUT, 1);
    nu_fail(f, NU_CAUSE_CONNECT_TIMEOUT, NU_SIDE_UPSTREAM, "%s", NO_ANSWER);
}

static void send_head(struct nu_filter *f)
{
    struct connect *c = self_of(f);
    struct nu_ev ev = {.kind = NU_HEAD, .u.head = &nu_stream_of(f)->request->head};
    int64_t limit = c->cluster->connect_timeout_ms;
    c->asked++;
    c->counted = true;
    count(c, NU_CLUSTER_RQ_TOTAL, 1);
    count(c, NU_CLUSTER_RQ_ACTIVE, 1);
    if (limit > 0)
        nu_timer_set(f, TIMER_ANSWER, limit, on_no_answer);
    nu_inject(&c->joint, NU_FWD, &ev);
}

static void on_again(struct nu_filter *f);

static void join(struct nu_filter *f)
{
    struct connect *c = self_of(f);
    bool reused;
    const struct nu_client_want want = {
        .cluster = c->cluster,
        .endpoint = c->endpoint,
        .careful = true, /* once it may have been heard, it is not asked again */
        .ready = send_head,
        .again = on_again,
    };
    enum nu_client_answer answer = nu_client_join(f, &want, &reused);
    c->full = answer == NU_CLIENT_FULL;
    if (answer == NU_CLIENT_READY)
        send_head(f);
}

static void join_anew(struct connect *c, struct nu_result why)
{
    struct nu_filter *f = &c->filter;
    end_count(c);
    nu_part(&c->joint, why);
    nu_timer_stop(f, TIMER_ANSWER);
    join(f);
    if (!c->full)
        return;
    count(c, NU_CLUSTER_CX_OVERFLOW, 1);
    nu_fail(f, NU_CAUSE_OVERFLOW, NU_SIDE_LOCAL, "%s", "");
}

/* The server agreed to another version. */
static void on_again(struct nu_filter *f)
{
    join_anew(self_of(f), (struct nu_result){.how = NU_CANCELLED, .side = NU_SIDE_LOCAL});
}

/* --- the answer --- */

static void on_answer(struct connect *c, const struct nu_http_head *head)
{
    struct nu_filter *f = &c->filter;
    const struct nu_joint *owner = owner_joint(f->chain);
    count(c, (enum nu_cluster_stat)(NU_CLUSTER_RQ_1XX + head->status / 100 - 1), 1);
    if (head->body != NU_BODY_TUNNEL) {
        nu_fail(f, NU_CAUSE_REFUSED, NU_SIDE_UPSTREAM, "CONNECT was answered %u", head->status);
        return;
    }
    c->open = true;
    nu_timer_stop(f, TIMER_ANSWER);
    nu_tunnel_pass(f);
    nu_release(f, NU_FWD);
    if (!owner->peer)
        return;
    tell_tls(f->chain, nu_joint_peer(owner)->chain);
    nu_call(nu_joint_peer(owner), c->ready);
}

/* Nobody looked at it: a server that leaves, or takes no more at once on that connection. */
static bool may_ask_again(const struct connect *c, struct nu_result result)
{
    return result.cause == NU_CAUSE_UPSTREAM_REFUSED && c->asked < ASKS_MOST;
}

/* No tunnel. */
static void on_failure(struct connect *c, struct nu_result result)
{
    if (c->counted)
        count(c, NU_CLUSTER_RQ_RX_RESET, 1);
    if (result.how == NU_CLEAN)
        result = nu_result_of(NU_CAUSE_UPSTREAM_SHORT);
    nu_fail(&c->filter, (enum nu_cause)result.cause, (enum nu_side)result.side, "%s", "");
}

static void on_end(struct connect *c, struct nu_ev *ev)
{
    struct nu_result result = ev->u.end;
    if (c->open) {
        if (result.how != NU_CLEAN) /* of a stream: to bytes it is what a reset is */
            ev->u.end.how = NU_RESET;
        nu_forward(&c->filter, NU_REV, ev);
    } else if (may_ask_again(c, result)) {
        count(c, NU_CLUSTER_RQ_RETRY, 1);
        join_anew(c, result);
    } else {
        on_failure(c, result);
    }
}

/* Interim heads say nothing to bytes. */
static void connect_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct connect *c = self_of(f);
    if (dir == NU_FWD || ev->kind == NU_DATA)
        nu_forward(f, dir, ev);
    else if (ev->kind == NU_END)
        on_end(c, ev);
    else if (ev->kind == NU_HEAD)
        on_answer(c, (const struct nu_http_head *)ev->u.head);
    else
        nu_ev_free(ev);
}

static enum nu_open connect_open(struct nu_filter *f, const void *conf)
{
    const struct connect *want = conf;
    struct connect *c = self_of(f);
    c->cluster = want->cluster;
    c->endpoint = nu_endpoint_ref(want->endpoint);
    c->ready = want->ready;
    nu_pin(&c->cluster->counted, nu_filter_loop(f)->shard);
    nu_hold(f, NU_FWD);
    return NU_OPEN;
}

static void connect_close(struct nu_filter *f)
{
    struct connect *c = self_of(f);
    end_count(c);
    nu_endpoint_unref(c->endpoint);
    nu_unpin(&c->cluster->counted, nu_filter_loop(f)->shard);
}

static const struct nu_filter_type connect_type = {
    .name = "connect",
    .doc = "Asks a server for a tunnel.",
    .size = sizeof(struct connect),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_NONE),
    .flags = NU_F_INTERNAL,
    .joint = offsetof(struct connect, joint),
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .open = connect_open,
    .event = connect_event,
    .close = connect_close,
};

/* --- the leg --- */

static struct nu_stream *new_stream(const char *authority, int64_t now_ms)
{
    struct nu_arena *arena = nu_arena_new(ARENA_BYTES);
    struct nu_stream *s = nu_arena_alloc(arena, sizeof *s);
    struct nu_http_head *head = nu_http_head_new(arena);
    const char *method = nu_method_str(NU_METHOD_CONNECT);
    authority = nu_arena_strdup(arena, authority);
    head->method_id = NU_METHOD_CONNECT;
    head->method = nu_text(method, strlen(method));
    head->form = NU_FORM_AUTHORITY;
    head->version = NU_HTTP_1_1;
    head->target = head->authority = nu_text(authority, strlen(authority));
    head->keep_alive = true;
    s->arena = arena;
    s->request = head;
    s->tunnel = true;
    s->start_ms = now_ms;
    return s;
}

static void gone(struct nu_loop *loop, void *ctx)
{
    nu_arena_free(((struct nu_stream *)ctx)->arena);
}

/* The chain, with what connections ask of the client for whom they are opened. */
static struct nu_chain *new_chain(struct nu_filter *owner, const struct connect *want,
                                  const char *authority)
{
    static const struct nu_chain_owner own = {.gone = gone};
    struct nu_loop *loop = nu_filter_loop(owner);
    const struct nu_place places[] = {
        {&connect_in_type, NULL},
        {&connect_type,    want}
    };
    struct nu_facts facts = *nu_chain_facts(owner->chain);
    const struct nu_facts_more *more = facts.more;
    struct nu_facts_exchange exchange = {.upstream_host = nu_facts_exchange(&facts)->upstream_host};
    facts.exchange = &exchange;
    facts.more = NULL;
    facts.tls = NULL;
    struct nu_chain *chain =
        nu_chain_new(loop, places, 2, &facts, &own, new_stream(authority, loop->now_ms));
    if (more) {
        nu_chain_facts_more(chain)->sni = keep(chain, more->sni);
        nu_chain_facts_more(chain)->alpn = keep(chain, more->alpn);
    }
    return chain;
}

static bool open_leg(struct nu_filter *owner, struct nu_cluster *cluster,
                     struct nu_endpoint *endpoint, const char *authority, nu_leg_ready_fn *ready)
{
    const struct connect want = {.cluster = cluster, .endpoint = endpoint, .ready = ready};
    struct nu_chain *chain = new_chain(owner, &want, authority);
    struct nu_filter *f = nu_chain_end(chain, NU_FWD);
    nu_call(f, join);
    nu_chain_facts(chain)->listener = nu_chain_facts(chain)->chain = NULL; /* may go before it */
    if (self_of(f)->full) {
        nu_chain_abort(chain, NU_CAUSE_NONE);
        return false;
    }
    nu_join(owner, nu_chain_end(chain, NU_REV));
    return true;
}

void nu_connect_register(void)
{
    nu_leg_connect = open_leg;
}
