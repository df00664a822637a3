/* What waits, and when it is told; see join.h. */
#include "tools/tap/join.h"

#include "core/assert.h"
#include "tools/tap/exchange.h"
#include "tools/tap/fields.h"
#include "tools/tap/join_leg.h"

#include <stdlib.h>

/* How often it is looked who is meant: where many wait, as soon as there is an eighth more. */
#define PASS_NS    (TAP_JOIN_SETTLE_NS / 4)
#define PASS_SHARE 8

struct tap_join {
    struct tap_join_conf conf;
    struct nu_list legs; /* in the order that they were told in */
    size_t count, bytes;
    size_t news;               /* told since the last pass */
    int64_t now_ns, passed_ns; /* by the capture's clock; of the last pass */
    int64_t lost_ns;           /* as a field's */
    uint64_t hurried;
    struct join_face *told[TAP_JOIN_LEGS_MAX];
    struct join_face open[TAP_JOIN_OPEN_MAX];
    struct join_span span[TAP_JOIN_LEGS_MAX + TAP_JOIN_OPEN_MAX];
};

static struct join_leg *leg_of(struct join_face *face)
{
    return (struct join_leg *)face; /* its first member */
}

/* --- telling --- */

static bool any_fits(struct join_face *root)
{
    for (struct join_face *f = root; f; f = f->back)
        if (leg_of(f)->fits)
            return true;
    return false;
}

static void drop(struct tap_join *j, struct join_leg *leg)
{
    nu_list_del(&leg->all);
    j->count--;
    j->bytes -= leg->bytes;
    join_leg_free(leg);
}

/* The one that was over first comes first, as ever. */
static void tell(struct tap_join *j, struct join_face *root)
{
    bool fits = any_fits(root);
    struct join_face *f, *next;
    for (f = root; f->back; f = f->back)
        leg_of(f)->tie = (struct tap_tie){
            .front = f->front ? f->front->x : NULL, .back = f->back->x, .by = join_by_str(f->by)};
    leg_of(f)->tie.front = f->front ? f->front->x : NULL;
    for (; f; f = f->front)
        if (fits)
            j->conf.sink->exchange(j->conf.ctx, f->x);
    for (f = root; f; f = next) {
        next = f->back;
        drop(j, leg_of(f));
    }
}

/* --- deciding --- */

static size_t gather_open(struct tap_join *j, const struct tap *tap)
{
    const struct tap_open *o = NULL;
    size_t n = 0;
    while (tap && (o = tap_open_next(tap, o))) {
        if (n == TAP_JOIN_OPEN_MAX)
            return n + 1;
        join_face_of(&j->open[n++], &o->x, true);
    }
    return n;
}

static size_t gather_told(struct tap_join *j, bool last)
{
    size_t n = 0;
    nu_list_each (node, &j->legs) {
        struct join_leg *leg = nu_container(node, struct join_leg, all);
        leg->face.due = last || j->now_ns >= leg->face.end_ns + TAP_JOIN_SETTLE_NS;
        j->told[n++] = &leg->face;
    }
    return n;
}

static bool is_late(const struct tap_join *j, const struct join_face *face)
{
    return j->now_ns >= face->end_ns + TAP_JOIN_WINDOW_NS;
}

static void tie_all(const struct join_field *field)
{
    static const enum join_by order[] = {JOIN_ID, JOIN_VALUE, JOIN_PROXY_PATH, JOIN_PROXY,
                                         JOIN_LOOKS};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (size_t i = 0; i < field->tolds; i++) {
            struct join_face *face = field->told[i];
            if (face->due && !face->back && !face->alone)
                join_tie(field, face, order[k]);
        }
}

/* Nothing more can be found out about those that follow it either. */
static bool is_decided(const struct tap_join *j, const struct join_face *root)
{
    for (const struct join_face *f = root; f; f = f->back)
        if (!f->back && !f->alone)
            return false;
    return !join_may_front(root) || is_late(j, root);
}

static void lose(struct tap_join *j, const struct join_face *face)
{
    if (face->end_ns > j->lost_ns)
        j->lost_ns = face->end_ns;
}

static void tell_decided(struct tap_join *j, const struct join_field *field)
{
    bool ready[TAP_JOIN_LEGS_MAX];
    for (size_t i = 0; i < field->tolds; i++) {
        struct join_face *face = field->told[i];
        ready[i] = !face->front && is_decided(j, face);
        if (ready[i] && (join_may_front(face) || face->fronts.dropped))
            lose(j, face);
    }
    for (size_t i = 0; i < field->tolds; i++)
        if (ready[i])
            tell(j, field->told[i]);
}

/* `tap` NULL: nothing more comes. */
static void pass(struct tap_join *j, const struct tap *tap)
{
    struct join_field field = {
        .told = j->told, .open = j->open, .span = j->span, .lost_ns = j->lost_ns};
    j->news = 0;
    j->passed_ns = j->now_ns;
    field.tolds = gather_told(j, !tap);
    field.opens = gather_open(j, tap);
    bool crowded = field.opens > TAP_JOIN_OPEN_MAX;
    field.opens = crowded ? 0 : field.opens;
    bool any = join_link(&field);
    if (!crowded)
        tie_all(&field);
    for (size_t i = 0; i < field.tolds; i++) {
        struct join_face *face = field.told[i];
        bool may = crowded || join_may_find(face, any);
        face->alone |= !face->back && face->due && (!may || is_late(j, face));
    }
    if (!crowded)
        tell_decided(j, &field);
}

static void clock_is(struct tap_join *j, int64_t ns)
{
    if (ns > j->now_ns)
        j->now_ns = ns;
    int64_t since = j->now_ns - j->passed_ns;
    bool many = j->news >= j->count / PASS_SHARE || since >= TAP_JOIN_SETTLE_NS;
    if (j->count && since >= PASS_NS && many)
        pass(j, j->conf.tap);
}

/* The first of all, with whatever it is tied to: what it could have been tied to is not known. */
static void hurry(struct tap_join *j)
{
    struct join_face *face = &nu_container(j->legs.next, struct join_leg, all)->face;
    while (face->front)
        face = face->front;
    lose(j, face);
    j->hurried++;
    tell(j, face);
}

/* --- the sink --- */

static void join_any(void *ctx, const struct tap_record *r, bool fits)
{
    struct tap_join *j = ctx;
    if (!r->exchange)
        return;
    struct join_leg *leg = join_leg_new(r->exchange, fits);
    clock_is(j, leg->face.end_ns);
    while (j->count &&
           (j->count == TAP_JOIN_LEGS_MAX || j->bytes + leg->bytes > j->conf.memory_max))
        hurry(j);
    nu_list_add_tail(&j->legs, &leg->all);
    j->count++;
    j->news++;
    j->bytes += leg->bytes;
}

static void join_packet(void *ctx, const struct nu_capture_event *packet, uint64_t flow)
{
    clock_is(ctx, packet->time_ns);
}

static void join_tick(void *ctx, int64_t now_ns)
{
    clock_is(ctx, now_ns);
}

static void join_finish(void *ctx)
{
    struct tap_join *j = ctx;
    pass(j, NULL);
    nu_assert(j->count == 0);
    if (j->conf.sink->finish)
        j->conf.sink->finish(j->conf.ctx);
}

#define PASS_ON(j, what, ...)                                                                      \
    if ((j)->conf.sink->what)                                                                      \
    (j)->conf.sink->what((j)->conf.ctx, __VA_ARGS__)

static void join_tls(void *ctx, const struct tap_tls *tls)
{
    struct tap_join *j = ctx;
    PASS_ON(j, tls, tls);
}

static void join_ws(void *ctx, const struct tap_ws *message)
{
    struct tap_join *j = ctx;
    PASS_ON(j, ws, message);
}

static void join_proxy(void *ctx, const struct tap_proxy *proxy)
{
    struct tap_join *j = ctx;
    PASS_ON(j, proxy, proxy);
}

static void join_conn(void *ctx, struct tap_conn *conn)
{
    struct tap_join *j = ctx;
    PASS_ON(j, conn, conn);
}

const struct tap_sink tap_join_sink = {
    .any = join_any,
    .tls = join_tls,
    .ws = join_ws,
    .proxy = join_proxy,
    .conn = join_conn,
    .packet = join_packet,
    .tick = join_tick,
    .finish = join_finish,
};

/* --- life --- */

struct tap_join *tap_join_new(const struct tap_join_conf *conf)
{
    struct tap_join *j = calloc(1, sizeof *j);
    nu_assert(j != NULL);
    j->conf = *conf;
    nu_list_init(&j->legs);
    return j;
}

uint64_t tap_join_hurried(const struct tap_join *join)
{
    return join->hurried;
}

void tap_join_free(struct tap_join *j)
{
    if (!j)
        return;
    nu_list_each (node, &j->legs)
        drop(j, nu_container(node, struct join_leg, all));
    free(j);
}
