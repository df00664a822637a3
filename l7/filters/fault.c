/* fault: some requests wait, some are answered with an error, some responses come slowly, so that
 * one sees beforehand what becomes of those who ask.
 *
 * Faces: HTTP. Sees: a request's HEAD, then it bypasses itself. Stores: that HEAD while it waits.
 * Nothing is flushed at END, which waits behind it. Holds FWD for the delay, by its timer. A slow
 * response is throttle's, which it inserts to its right. `close` counts itself out. */
#include "core/conf/schema.h"
#include "l4/filters/filters.h"
#include "l7/filters/filters.h"
#include "l7/local_reply.h"
#include "l7/stream.h"

#include <string.h>

#define DELAY_MAX_MS (60 * 1000) /* that a request may ask for: it keeps a stream here */
#define BURSTS       16          /* of a slow response, a second; Envoy's */

enum { TIMER_DELAY };

enum figure { DELAYS, ABORTS, RATES, OVERFLOW, ACTIVE };

static const struct nu_stat_def defs[] = {
    [DELAYS] = {"delays_injected",      NU_COUNTER, NULL, "Requests that had to wait."      },
    [ABORTS] = {"aborts_injected",      NU_COUNTER, NULL, "Requests answered with an error."},
    [RATES] = {"response_rl_injected", NU_COUNTER, NULL, "Responses made slow."            },
    [OVERFLOW] = {"faults_overflow",      NU_COUNTER, NULL,
                "Faults that were not, for max_active_faults."                              },
    [ACTIVE] = {"active_faults",        NU_GAUGE,   NULL, "Requests with a fault now."      },
};

const struct nu_stat_group nu_fault_stats =
    NU_STAT_GROUP("http.<name>.fault", "The fault filters of an http filter.", defs);

struct share {
    double of_one;
    bool given; /* else the common one counts */
};

struct delay_conf {
    int64_t time_ms;
    struct share share;
};

struct abort_conf {
    int64_t status;
    struct share share;
};

struct fault_conf {
    struct delay_conf *delay; /* this and the next: NULL = none */
    struct abort_conf *abort;
    int64_t response_rate; /* bytes a second; 0 = any */
    double share;
    bool headers;
    int64_t max_active;

    /* --- prepared --- */
    struct nu_stats *stats;
    struct nu_place throttle;
};

struct fault {
    struct nu_filter filter;
    const struct fault_conf *conf;
    struct nu_ev head; /* while it waits */
    bool active;       /* stands in the gauge */
};

static void count(const struct fault *x, enum figure figure, int64_t n)
{
    nu_stat_add(x->conf->stats, nu_filter_loop(&x->filter)->shard, figure, n);
}

/* --- chance --- */

static bool hits(const struct fault *x, const struct share *own)
{
    return nu_http_filter_share(&x->filter, own && own->given ? own->of_one : x->conf->share);
}

/* One more fault, unless there are too many at once. */
static bool begin(struct fault *x)
{
    if (x->active)
        return true;
    if (x->conf->max_active && nu_stat_read(x->conf->stats, ACTIVE) >= x->conf->max_active) {
        count(x, OVERFLOW, 1);
        return false;
    }
    x->active = true;
    count(x, ACTIVE, 1);
    return true;
}

static const struct nu_text delay_header = {"x-envoy-fault-delay-request", 27};
static const struct nu_text abort_header = {"x-envoy-fault-abort-request", 27};

/* A number that a request asks for, where requests may; -1: none. */
static int64_t asked(const struct fault *x, const struct nu_http_head *head, struct nu_text name)
{
    const struct nu_http_field *f = x->conf->headers ? nu_http_find(head, name) : NULL;
    int64_t n = 0;
    if (!f || f->value_len == 0 || f->value_len > 9)
        return -1;
    for (uint32_t i = 0; i < f->value_len; i++) {
        if (f->value[i] < '0' || f->value[i] > '9')
            return -1;
        n = n * 10 + f->value[i] - '0';
    }
    return n;
}

/* --- the three faults --- */

/* 0 = at once. */
static int64_t delay_of(struct fault *x, const struct nu_http_head *head)
{
    const struct delay_conf *conf = x->conf->delay;
    int64_t ms = asked(x, head, delay_header);
    if (ms < 0)
        ms = conf ? conf->time_ms : 0;
    else if (ms > DELAY_MAX_MS)
        ms = DELAY_MAX_MS;
    return ms > 0 && hits(x, conf ? &conf->share : NULL) && begin(x) ? ms : 0;
}

/* 0 = none. */
static unsigned abort_of(struct fault *x, const struct nu_http_head *head)
{
    const struct abort_conf *conf = x->conf->abort;
    int64_t status = asked(x, head, abort_header);
    if (status < 200 || status > 599)
        status = conf ? conf->status : 0;
    return status && hits(x, conf ? &conf->share : NULL) && begin(x) ? (unsigned)status : 0;
}

static void slow_down(struct fault *x)
{
    if (!x->conf->response_rate || !hits(x, NULL) || !begin(x))
        return;
    count(x, RATES, 1);
    nu_insert(&x->filter, NU_FWD, &x->conf->throttle, 1);
}

/* The delay is over, or there was none. */
static void go_on(struct fault *x)
{
    struct nu_filter *f = &x->filter;
    struct nu_ev ev = x->head;
    unsigned status = abort_of(x, (const struct nu_http_head *)ev.u.head);
    if (!status) {
        nu_bypass(f);
        nu_forward(f, NU_FWD, &ev);
        return;
    }
    count(x, ABORTS, 1);
    nu_stream_flag(nu_stream_of(f), NU_FLAG_FAULT_INJECTED);
    nu_local_reply(f, status, NU_TEXT("fault filter abort"), "fault_filter_abort");
}

static void on_delay_over(struct nu_filter *f)
{
    nu_release(f, NU_FWD);
    go_on((struct fault *)f);
}

static void fault_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct fault *x = (struct fault *)f;
    x->head = *ev;
    slow_down(x);
    int64_t ms = delay_of(x, (const struct nu_http_head *)ev->u.head);
    if (!ms) {
        go_on(x);
        return;
    }
    count(x, DELAYS, 1);
    nu_stream_flag(nu_stream_of(f), NU_FLAG_DELAY_INJECTED);
    nu_http_head_keep((struct nu_http_head *)ev->u.head);
    nu_hold(f, NU_FWD);
    nu_timer_set(f, TIMER_DELAY, ms, on_delay_over);
}

static bool does_nothing(const struct fault_conf *conf, const struct nu_http_head *head)
{
    bool asked_for =
        conf->headers && (nu_http_find(head, delay_header) || nu_http_find(head, abort_header));
    return !conf->delay && !conf->abort && !conf->response_rate && !asked_for;
}

static bool fault_spare(const void *conf, const struct nu_facts *facts)
{
    return does_nothing(conf, facts->exchange->stream->request);
}

static enum nu_open fault_open(struct nu_filter *f, const void *conf)
{
    ((struct fault *)f)->conf = conf;
    return does_nothing(conf, nu_stream_of(f)->request) ? NU_PASS : NU_OPEN;
}

static void fault_close(struct nu_filter *f)
{
    struct fault *x = (struct fault *)f;
    if (x->active)
        count(x, ACTIVE, -1);
}

/* --- config --- */

static struct nu_node *text_node(struct nu_arena *arena, struct nu_node *parent, const char *key,
                                 const char *text)
{
    struct nu_node *node = nu_arena_alloc(arena, sizeof *node);
    *node = (struct nu_node){.kind = NU_NODE_SCALAR, .key = key, .text = text, .parent = parent};
    return node;
}

/* throttle's own options, as they would be written. */
static enum nu_err make_throttle(struct fault_conf *c, struct nu_conf *conf, struct nu_arena *arena)
{
    int64_t burst = c->response_rate / BURSTS ? c->response_rate / BURSTS : 1;
    struct nu_node map = {.kind = NU_NODE_MAP, .count = 3}, *child[3];
    child[0] =
        text_node(arena, &map, "rate", nu_arena_printf(arena, "%lld", (long long)c->response_rate));
    child[1] = text_node(arena, &map, "burst", nu_arena_printf(arena, "%lld", (long long)burst));
    child[2] = text_node(arena, &map, "direction", "download");
    map.child = child;
    void *parsed = nu_arena_alloc(arena, nu_filter_throttle.schema->size);
    c->throttle = (struct nu_place){&nu_filter_throttle, parsed};
    return nu_schema_parse(nu_filter_throttle.schema, conf, arena, &map, parsed);
}

static bool hits_none(const struct fault_conf *c, const struct share *own)
{
    return (own->given ? own->of_one : c->share) <= 0;
}

/* What hits nobody is as good as absent, unless a request's headers may say what else it is. */
static void drop_idle(struct fault_conf *c)
{
    if (c->headers)
        return;
    if (c->delay && hits_none(c, &c->delay->share))
        c->delay = NULL;
    if (c->abort && hits_none(c, &c->abort->share))
        c->abort = NULL;
}

static enum nu_err fault_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct fault_conf *c = parsed;
    c->stats = nu_http_filter_stats(&nu_fault_stats, arena, node, "fault");
    drop_idle(c);
    return c->response_rate ? make_throttle(c, conf, arena) : NU_OK;
}

/* A share that is not written is the common one, not none. */
static enum nu_err check_share(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    struct delay_conf *c = out;
    c->share.given = node->kind == NU_NODE_MAP && nu_node_get(node, "share");
    return NU_OK;
}

#define SHARE_FIELD                                                                                \
    {                                                                                              \
        .key = "share", .type = NU_PERCENT, .offset = offsetof(struct delay_conf, share.of_one),   \
        .doc = "Of requests. Default: `share` of the filter."                                      \
    }
_Static_assert(offsetof(struct delay_conf, share) == offsetof(struct abort_conf, share), "rows");

static const struct nu_field delay_fields[] = {
    {.key = "time",
     .type = NU_DURATION,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct delay_conf, time_ms),
     .doc = "How long a request waits before it goes on."},
    SHARE_FIELD,
    {0}
};
static const struct nu_schema delay_schema = {
    .name = "delay",
    .doc = "Requests that wait.",
    .size = sizeof(struct delay_conf),
    .fields = delay_fields,
    .scalar = "time",
    .check = check_share,
};

static const struct nu_field abort_fields[] = {
    {.key = "status",
     .type = NU_INT,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct abort_conf, status),
     .min = 200,
     .max = 599,
     .doc = "Of the answer."},
    SHARE_FIELD,
    {0}
};
static const struct nu_schema abort_schema = {
    .name = "abort",
    .doc = "Requests that are answered with an error.",
    .size = sizeof(struct abort_conf),
    .fields = abort_fields,
    .scalar = "status",
    .check = check_share,
};

static const struct nu_field fields[] = {
    {.key = "delay",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .offset = offsetof(struct fault_conf, delay),
     .sub = &delay_schema,
     .doc = "Requests that wait."},
    {.key = "abort",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .offset = offsetof(struct fault_conf, abort),
     .sub = &abort_schema,
     .doc = "Requests that are answered with an error; after their delay, if they have one."},
    {.key = "response_rate",
     .type = NU_RATE,
     .offset = offsetof(struct fault_conf, response_rate),
     .max = INT64_C(1) << 40,
     .doc = "Bytes a second of a response's body. Default: any."},
    {.key = "share",
     .type = NU_PERCENT,
     .offset = offsetof(struct fault_conf, share),
     .fallback = "100%",
     .doc = "Of requests that have the fault, for each fault by itself."},
    {.key = "headers",
     .type = NU_BOOL,
     .offset = offsetof(struct fault_conf, headers),
     .fallback = "false",
     .doc = "Requests may ask for it: `x-envoy-fault-delay-request` milliseconds, a minute at "
            "most, and the status `x-envoy-fault-abort-request`. Shares count. Of clients that are "
            "not "
            "trusted (`trusted_hops`) nothing by such a name is taken."},
    {.key = "max_active_faults",
     .type = NU_INT,
     .offset = offsetof(struct fault_conf, max_active),
     .fallback = "0",
     .max = INT32_MAX,
     .doc = "Requests of the http filter with a fault at once, beyond which there is none; 0 = any "
            "number."},
    {0                     }
};

static const struct nu_schema schema = {
    .name = "fault",
    .doc = "Delays requests, answers them with errors, and slows responses down, for tests of who "
           "asks.",
    .size = sizeof(struct fault_conf),
    .fields = fields,
};

const struct nu_filter_type nu_filter_fault = {
    .name = "fault",
    .doc = "Delays requests, answers them with errors, slows responses down.",
    .size = sizeof(struct fault),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD), 0},
    .schema = &schema,
    .prepare = fault_prepare,
    .spare = fault_spare,
    .open = fault_open,
    .event = fault_event,
    .close = fault_close,
};
