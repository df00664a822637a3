/* throttle: limits the bytes a second of each connection, by a token bucket for each direction.
 *
 * A datagram goes whole, once there are tokens for it; for one that is longer than the burst, once
 * the bucket is full, and the next waits for the debt.
 *
 * Faces: any. Sees: DATA or DGRAM of the directions it limits. Stores: the rest of one slice a
 * direction, no more than what its neighbour handed it. END waits behind that rest. Holds a
 * direction from the moment its tokens are used up until its timer brings new ones. `close` drops
 * the rests. */
#include "core/chain.h"
#include "core/conf/schema.h"
#include "l4/filters/filters.h"

#define TICK_MS 50 /* tokens of this time leave together: finer pieces only cost wake-ups */

enum direction { BOTH, UPLOAD, DOWNLOAD };
static const char *const directions[] = {"both", "upload", "download", NULL};

struct throttle_conf {
    int64_t rate, burst; /* bytes a second; bytes */
    int direction;
};

/* Tokens are thousandths of a byte, so that a millisecond earns `rate` of them. */
struct bucket {
    int64_t tokens, filled_ms;
    struct nu_slice rest;
    bool whole; /* it is a datagram */
};

struct throttle {
    struct nu_filter filter;
    const struct throttle_conf *conf;
    struct bucket bucket[2];
};

static void pass_fwd(struct nu_filter *f);
static void pass_rev(struct nu_filter *f);

static void fill(const struct throttle_conf *conf, struct bucket *b, int64_t now_ms)
{
    int64_t full = conf->burst * 1000, lacks = full - b->tokens, ms = now_ms - b->filled_ms;
    b->tokens = ms > lacks / conf->rate ? full : b->tokens + ms * conf->rate;
    b->filled_ms = now_ms;
}

/* Until there are tokens for the rest, or for what is sent at once. */
static int64_t wait_ms(const struct throttle_conf *conf, const struct bucket *b)
{
    int64_t want = (int64_t)b->rest.len, tick = conf->rate * TICK_MS / 1000 + 1;
    want = want < tick || b->whole ? want : tick;
    want = want < conf->burst ? want : conf->burst;
    return (want * 1000 - b->tokens + conf->rate - 1) / conf->rate;
}

/* How much of the rest may go now; `all` of it may be nothing. */
static size_t may_go(const struct throttle_conf *conf, const struct bucket *b, bool *all)
{
    int64_t len = (int64_t)b->rest.len, may = b->tokens / 1000;
    if (b->whole) {
        *all = may >= (len < conf->burst ? len : conf->burst);
        return *all ? b->rest.len : 0;
    }
    *all = len <= may;
    return (size_t)(*all ? len : may);
}

static void forward_last(struct nu_filter *f, enum nu_dir dir, struct bucket *b)
{
    struct nu_ev ev = {.kind = b->whole ? NU_DGRAM : NU_DATA, .u.data = b->rest};
    b->rest = (struct nu_slice){0};
    nu_release(f, dir);
    nu_forward(f, dir, &ev);
}

/* Sends of the rest what there are tokens for; holds while something is left. */
static void pass(struct nu_filter *f, enum nu_dir dir)
{
    const struct throttle_conf *conf = ((struct throttle *)f)->conf;
    struct bucket *b = &((struct throttle *)f)->bucket[dir];
    bool all;
    fill(conf, b, nu_filter_loop(f)->now_ms);
    size_t n = may_go(conf, b, &all);
    b->tokens -= (int64_t)n * 1000;
    if (all) {
        forward_last(f, dir, b);
        return;
    }
    if (n)
        nu_forward_data(f, dir, nu_slice_split(&b->rest, n));
    nu_hold(f, dir);
    nu_slice_keep(nu_filter_loop(f)->blocks, &b->rest);
    nu_timer_set(f, dir, wait_ms(conf, b), dir == NU_FWD ? pass_fwd : pass_rev);
}

static void pass_fwd(struct nu_filter *f)
{
    pass(f, NU_FWD);
}

static void pass_rev(struct nu_filter *f)
{
    pass(f, NU_REV);
}

static enum nu_open throttle_open(struct nu_filter *f, const void *opaque)
{
    struct throttle *t = (struct throttle *)f;
    t->conf = opaque;
    for (int dir = NU_FWD; dir <= NU_REV; dir++) {
        t->bucket[dir].tokens = t->conf->burst * 1000;
        t->bucket[dir].filled_ms = nu_filter_loop(f)->now_ms;
    }
    if (t->conf->direction != BOTH)
        nu_narrow(f, t->conf->direction == UPLOAD ? NU_REV : NU_FWD, 0);
    return NU_OPEN;
}

static void throttle_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct bucket *b = &((struct throttle *)f)->bucket[dir];
    b->rest = ev->u.data;
    b->whole = ev->kind == NU_DGRAM;
    pass(f, dir);
}

static void throttle_close(struct nu_filter *f)
{
    nu_slice_drop(&((struct throttle *)f)->bucket[NU_FWD].rest);
    nu_slice_drop(&((struct throttle *)f)->bucket[NU_REV].rest);
}

static const struct nu_field fields[] = {
    {.key = "rate",
     .type = NU_RATE,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct throttle_conf, rate),
     .min = 1,
     .max = INT64_C(1) << 40,
     .doc = "Bytes a second, for each connection and direction."},
    {.key = "burst",
     .type = NU_SIZE,
     .offset = offsetof(struct throttle_conf, burst),
     .fallback = "64KiB",
     .min = 1,
     .max = INT64_C(1) << 40,
     .doc = "Bytes that may go at once after a pause. Timers count milliseconds: the rate is no "
            "more than a burst for each."},
    {.key = "direction",
     .type = NU_ENUM,
     .offset = offsetof(struct throttle_conf, direction),
     .fallback = "both",
     .choices = directions,
     .doc = "Upload is from the client, download to it."},
    {0}
};

static const struct nu_schema schema = {
    .name = "throttle",
    .doc = "Limits the bytes a second of each connection. Of datagrams, those that come while one "
           "waits for its turn are dropped (from the client) or wait in the kernel (to it).",
    .size = sizeof(struct throttle_conf),
    .fields = fields,
    .scalar = "rate",
};

const struct nu_filter_type nu_filter_throttle = {
    .name = "throttle",
    .doc = "Limits the bytes a second of each connection.",
    .size = sizeof(struct throttle),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_DGRAM), NU_SEES(NU_DATA) | NU_SEES(NU_DGRAM)},
    .schema = &schema,
    .open = throttle_open,
    .event = throttle_event,
    .close = throttle_close,
};
