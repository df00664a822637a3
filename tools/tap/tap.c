/* Connections and what they hold; see tap.h. */
#include "tools/tap/tap_priv.h"

#include "core/assert.h"
#include "tls/secrets.h"
#include "tls/unseal.h"

#include <stdlib.h>

/* Shares of the ceiling. What is counted takes nearly twice as much of the system: the allocator
 * has its own needs, and the program, too. */
#define HELD_SHARE  3 /* what layers hold */
#define FLOWS_SHARE 6 /* connections, and segments that wait for earlier ones */

/* A few bytes can say that they are many: what is more than so many times what was sent is counted
 * against a bound for all, some seconds of a CPU. Text is seldom packed to a fiftieth. */
#define DECODE_RATIO 64
#define DECODE_FREE  (16u << 10)  /* bytes of each body */
#define DECODE_EXTRA (1ull << 30) /* bytes */

/* --- the handler of flows --- */

static void on_open(void *ctx, struct nu_flow *flow)
{
    struct tap *t = ctx;
    struct tap_conn *conn = calloc(1, sizeof *conn);
    nu_assert(conn != NULL);
    conn->tap = t;
    conn->flow = flow;
    flow->user = conn;
    nu_list_init(&conn->late);
    nu_list_add_tail(&t->conns, &conn->all);
    tap_hold(conn, sizeof *conn);
    conn->top = tap_guess_new(conn, 0, NULL);
}

static void heard(struct tap_conn *conn)
{
    if (!nu_list_linked(&conn->all))
        return; /* given up */
    nu_list_del(&conn->all);
    nu_list_add_tail(&conn->tap->conns, &conn->all);
}

static void on_data(void *ctx, struct nu_flow *flow, int dir, struct nu_piece bytes, int64_t ns)
{
    struct tap_conn *conn = flow->user;
    conn->bytes[dir] += bytes.len;
    heard(conn);
    tap_feed(conn->top, dir, bytes, ns);
}

static void on_gap(void *ctx, struct nu_flow *flow, int dir, uint64_t bytes, int64_t ns)
{
    struct tap_conn *conn = flow->user;
    conn->missing[dir] += bytes;
    heard(conn);
    tap_gap(conn->top, dir, bytes, ns);
}

/* What the layers of a connection hold that is over, though the flow table lingers: nothing more
 * comes. */
static void let_go(struct tap_conn *conn)
{
    tap_layer_free(conn->top);
    conn->top = tap_is_raw.open(conn, TAP_DEPTH_MAX); /* looks for nothing within */
    if (nu_list_linked(&conn->all))
        nu_list_del(&conn->all);
}

static void on_end(void *ctx, struct nu_flow *flow, int dir, enum nu_flow_end how, int64_t ns)
{
    struct tap_conn *conn = flow->user;
    tap_end(conn->top, dir, how, ns);
    if (flow->ended[0] && flow->ended[1] && nu_list_empty(&conn->late))
        let_go(conn);
}

/* Directions that have not ended by themselves. */
static void end_all(struct tap_conn *conn)
{
    struct nu_flow *flow = conn->flow;
    for (int dir = 0; dir < 2; dir++)
        if (!flow->ended[dir ^ flow->turned])
            tap_end(conn->top, dir, NU_FLOW_OPEN, flow->last_ns);
}

static void tell_late(struct tap_conn *conn)
{
    struct nu_list *node;
    while ((node = nu_list_pop(&conn->late))) {
        struct tap_late *late = nu_container(node, struct tap_late, node);
        late->over(late, conn->flow->last_ns);
    }
}

static void on_close(void *ctx, struct nu_flow *flow)
{
    struct tap_conn *conn = flow->user;
    struct tap *t = conn->tap;
    end_all(conn);
    tell_late(conn);
    tap_tell_conn(conn);
    tap_layer_free(conn->top);
    if (nu_list_linked(&conn->all))
        nu_list_del(&conn->all);
    t->held -= conn->held;
    free(conn);
}

static const struct nu_flow_handler handler = {on_open, on_data, on_gap, on_end, on_close};

/* --- memory --- */

void tap_hold(struct tap_conn *conn, int64_t bytes)
{
    nu_assert(bytes >= 0 || conn->held >= (size_t)-bytes);
    conn->held += (size_t)bytes;
    conn->tap->held += (size_t)bytes;
}

static size_t held(const struct tap *t)
{
    return t->held + nu_unseals_memory(t->unseals);
}

/* From here on it is only counted, and not asked again: it leaves the list. */
static void give_up(struct tap_conn *conn)
{
    end_all(conn);
    tell_late(conn);
    tap_layer_free(conn->top);
    conn->top = tap_is_raw.open(conn, TAP_DEPTH_MAX); /* looks for nothing within */
    conn->tap->figures.given_up++;
}

/* True: it could do without a good part of what it held. */
static bool shrank(struct tap_conn *conn)
{
    struct tap *t = conn->tap;
    size_t before = held(t), worth = conn->held / 2 + 1;
    tap_shrink(conn->top);
    size_t freed = before - held(t);
    t->figures.shrunk += freed > 0;
    return freed >= worth;
}

/* A quarter at once, so that it need not be done at every packet. Each connection that is asked
 * gives something or is never asked again: the cost is in proportion to what came. */
static void make_room(struct tap *t)
{
    size_t goal = t->held_max / 4 * 3;
    while (held(t) > goal && !nu_list_empty(&t->conns)) {
        struct tap_conn *conn = nu_container(nu_list_pop(&t->conns), struct tap_conn, all);
        if (shrank(conn))
            nu_list_add_tail(&t->conns, &conn->all);
        else
            give_up(conn);
    }
}

size_t tap_body_room(const struct tap_conn *conn)
{
    const struct tap *t = conn->tap;
    return t->body_flow && t->body_flow != conn->flow->number ? 0 : t->body_room;
}

size_t tap_memory(const struct tap *t)
{
    return held(t) + nu_flows_memory(t->flows) + nu_secrets_memory(t->secrets);
}

bool tap_may_decode(struct tap_conn *conn, uint64_t sent, uint64_t decoded, uint64_t *spent)
{
    struct tap *t = conn->tap;
    uint64_t fair = sent * DECODE_RATIO + DECODE_FREE + *spent;
    if (decoded <= fair)
        return true;
    if (decoded - fair > t->decode_left)
        return false;
    t->decode_left -= decoded - fair;
    *spent += decoded - fair;
    return true;
}

/* --- secrets --- */

struct nu_unseals *tap_unseals(const struct tap_conn *conn)
{
    return conn->tap->unseals;
}

bool tap_is_cut(const struct tap_conn *conn)
{
    return conn->tap->cut;
}

bool tap_secrets_may_come(const struct tap_conn *conn)
{
    return conn->tap->secrets_may_come;
}

void tap_expect_secrets(struct tap *t, bool may_come)
{
    t->secrets_may_come = may_come;
}

void tap_add_secrets(struct tap *t, struct nu_piece text)
{
    nu_secrets_feed(t->secrets, text.data, text.len);
    nu_secrets_end(t->secrets);
}

const struct nu_secrets *tap_secrets(const struct tap *t)
{
    return t->secrets;
}

/* --- the tap --- */

/* An eighth of the memory: 22 MiB are NU_SECRETS_MAX. */
static size_t secrets_max(size_t memory_max)
{
    size_t max = memory_max / 8 / (22u * 1024 * 1024 / NU_SECRETS_MAX);
    return max < NU_SECRETS_MAX ? max : NU_SECRETS_MAX;
}

struct tap *tap_new(size_t memory_max)
{
    struct tap *t = calloc(1, sizeof *t);
    nu_assert(t != NULL);
    nu_list_init(&t->conns);
    nu_list_init(&t->open);
    t->held_max = memory_max / HELD_SHARE;
    t->decode_left = DECODE_EXTRA;
    t->secrets = nu_secrets_new(secrets_max(memory_max));
    t->unseals = nu_unseals_new(t->secrets, NU_UNSEAL_SEALED_MAX, memory_max / 8);
    t->flows = nu_flows_new(&handler, t, memory_max / FLOWS_SHARE);
    return t;
}

void tap_free(struct tap *t)
{
    if (!t)
        return;
    t->quiet = true;
    nu_flows_free(t->flows);
    nu_unseals_free(t->unseals);
    nu_secrets_free(t->secrets);
    free(t);
}

void tap_add_sink(struct tap *t, const struct tap_sink *sink, void *ctx)
{
    nu_assert(t->sinks < TAP_SINKS_MAX);
    t->sink[t->sinks].sink = sink;
    t->sink[t->sinks++].ctx = ctx;
}

void tap_set_where(struct tap *t, const struct nu_where *where)
{
    t->where = where;
}

void tap_want_bodies(struct tap *t, size_t room, uint64_t flow)
{
    t->body_room = room;
    t->body_flow = flow;
}

void tap_frame(struct tap *t, uint32_t link, struct nu_piece frame, size_t wire_len, int64_t ns)
{
    t->cut |= frame.len < wire_len;
    nu_flows_frame(t->flows, link, frame, ns);
    if (held(t) > t->held_max)
        make_room(t);
}

void tap_packet(struct tap *t, const struct nu_capture_event *p)
{
    tap_frame(t, p->link, (struct nu_piece){p->data, p->len}, p->wire_len, p->time_ns);
    uint64_t flow = nu_flows_last(t->flows);
    for (unsigned i = 0; i < t->sinks; i++)
        if (t->sink[i].sink->packet)
            t->sink[i].sink->packet(t->sink[i].ctx, p, flow);
}

void tap_tick(struct tap *t, int64_t now_ns)
{
    nu_flows_tick(t->flows, now_ns);
    for (unsigned i = 0; i < t->sinks; i++)
        if (t->sink[i].sink->tick)
            t->sink[i].sink->tick(t->sink[i].ctx, now_ns);
}

void tap_finish(struct tap *t)
{
    nu_flows_finish(t->flows);
    for (unsigned i = 0; i < t->sinks; i++)
        if (t->sink[i].sink->finish)
            t->sink[i].sink->finish(t->sink[i].ctx);
}

struct tap_figures tap_figures(const struct tap *t)
{
    struct tap_figures figures = t->figures;
    figures.flows = nu_flows_figures(t->flows);
    return figures;
}
