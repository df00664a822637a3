/* echo: ends a chain and sends back what comes, for trying things out.
 *
 * Faces: bytes or datagrams on the left, nothing on the right. Sees: all that comes from the
 * client. Stores: nothing. END makes it flush nothing: all was sent back, END goes after it. Holds
 * FWD while the way back is blocked; flow(go) releases it, and idle_timeout ends a client that
 * never reads. `close` cancels nothing. */
#include "core/chain.h"
#include "core/conf/schema.h"
#include "l4/filters/filters.h"

enum { TIMER_IDLE };

struct echo_conf {
    int64_t idle_timeout_ms; /* 0 = none */
};

struct echo {
    struct nu_filter filter;
    const struct echo_conf *conf;
};

static void on_idle(struct nu_filter *f)
{
    int64_t limit = ((struct echo *)f)->conf->idle_timeout_ms;
    int64_t quiet = nu_filter_loop(f)->now_ms - nu_chain_last_activity(f->chain);
    if (quiet < limit)
        nu_timer_set(f, TIMER_IDLE, limit - quiet, on_idle);
    else
        nu_fail(f, NU_CAUSE_IDLE, NU_SIDE_LOCAL, "no byte for %lld ms", (long long)limit);
}

static enum nu_open echo_open(struct nu_filter *f, const void *conf)
{
    struct echo *e = (struct echo *)f;
    e->conf = conf;
    if (e->conf->idle_timeout_ms)
        nu_timer_set(f, TIMER_IDLE, e->conf->idle_timeout_ms, on_idle);
    return NU_OPEN;
}

static void echo_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    bool end = ev->kind == NU_END;
    nu_forward(f, NU_REV, ev);
    if (end)
        nu_done(f, NU_FWD);
    else if (nu_blocked(f, NU_REV))
        nu_hold(f, NU_FWD);
}

static void echo_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (dir == NU_REV && go)
        nu_release(f, NU_FWD);
    else if (dir == NU_REV)
        nu_hold(f, NU_FWD);
}

static const struct nu_field fields[] = {
    {.key = "idle_timeout",
     .type = NU_DURATION,
     .offset = offsetof(struct echo_conf, idle_timeout_ms),
     .fallback = "1h",
     .doc = "A connection on which no byte flows for this long is closed; 0 = never. Sessions of "
            "datagrams end after a minute."},
    {0}
};

static const struct nu_schema schema = {
    .name = "echo",
    .doc = "Ends a chain: sends every byte back to the client, and its FIN; or every datagram.",
    .size = sizeof(struct echo_conf),
    .fields = fields,
};

const struct nu_filter_type nu_filter_echo = {
    .name = "echo",
    .doc = "Sends every byte back to the client.",
    .size = sizeof(struct echo),
    .face = NU_FACES(NU_SAME, NU_FACE_NONE),
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_DGRAM) | NU_SEES(NU_END), 0},
    .schema = &schema,
    .open = echo_open,
    .event = echo_event,
    .flow = echo_flow,
};
