/* local_rate_limit: refuses requests beyond a rate, counted in this process: by a token bucket that
 * all workers share, or one for each connection.
 *
 * The bucket is one number: when it was, or would have been, empty. What it holds follows from the
 * time that has passed since, and a request takes its token by moving that time.
 *
 * Faces: HTTP. Sees: HEAD of the request; of the response where it tells what is left. Stores
 * nothing, holds nothing, has nothing to flush at END and nothing to cancel in `close`. */
#include "core/chain.h"
#include "core/conf/schema.h"
#include "l4/cluster_ref.h"
#include "l7/filters/filters.h"
#include "l7/head_edit.h"
#include "l7/local_reply.h"
#include "l7/stream.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define TOKENS_MAX 1000000000         /* a nanosecond each */
#define PER_MAX_MS (24 * 3600 * 1000) /* a day: longer is no rate */
#define FILL_MAX_NS                                                                                \
    INT64_C(100000000000000000) /* three years: so times add up without overflow                   \
                                 */
#define LINE 64                 /* bytes */
#define MS   INT64_C(1000000)   /* ns */

enum figure { ENABLED, ALLOWED, RATE_LIMITED, ENFORCED };

static const struct nu_stat_def defs[] = {
    [ENABLED] = {"enabled",      NU_COUNTER, NULL, "Requests that were counted."          },
    [ALLOWED] = {"ok",           NU_COUNTER, NULL, "Requests for which there was a token."},
    [RATE_LIMITED] = {"rate_limited", NU_COUNTER, NULL, "Requests for which there was none."   },
    [ENFORCED] = {"enforced",     NU_COUNTER, NULL, "Requests that were refused for that." },
};

const struct nu_stat_group nu_local_rate_limit_stats = NU_STAT_GROUP(
    "<name>.http_local_rate_limit", "The local_rate_limit filters of one name.", defs);

struct bucket {
    _Atomic int64_t empty_ns; /* on the loops' clock, plus 1; 0 = never used, full */
};

struct limit_conf {
    int64_t tokens, per_ms, burst, status;
    double share, enforce;
    bool per_connection, tell;
    const struct nu_head_edits *headers;
    const char *name;

    /* --- prepared --- */
    int64_t each_ns, full_ns; /* in which a token comes, and all of them */
    struct bucket *bucket;    /* NULL: each connection has its own */
    const char *key;          /* of that */
    struct nu_stats *stats;
};

struct limit {
    struct nu_filter filter;
    const struct limit_conf *conf;
    struct bucket *bucket; /* NULL: not counted, or its connection is gone */
};

static void count(const struct limit *l, enum figure figure)
{
    nu_stat_add(l->conf->stats, nu_filter_loop(&l->filter)->shard, figure, 1);
}

static int64_t now_ns(const struct limit *l)
{
    return nu_filter_loop(&l->filter)->now_ms * MS + 1;
}

/* Since when a bucket that is not over-full has been filling. */
static int64_t filling_since(const struct limit_conf *conf, int64_t empty_ns, int64_t now)
{
    bool full = empty_ns == 0 || now - empty_ns > conf->full_ns;
    return full ? now - conf->full_ns : empty_ns;
}

static bool take(const struct limit_conf *conf, struct bucket *b, int64_t now)
{
    int64_t seen = atomic_load_explicit(&b->empty_ns, memory_order_relaxed), next;
    do {
        next = filling_since(conf, seen, now) + conf->each_ns;
        if (next > now)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->empty_ns, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* What is left, and how long it takes to be all again (draft-polli-ratelimit-headers-03). */
static void tell(const struct limit *l, struct nu_http_head *head)
{
    const struct limit_conf *conf = l->conf;
    int64_t now = now_ns(l),
            seen = atomic_load_explicit(&l->bucket->empty_ns, memory_order_relaxed);
    int64_t level = now - filling_since(conf, seen, now), lacks = conf->full_ns - level;
    level = level > 0 ? level : 0;
    struct nu_arena *arena = nu_stream_of(&l->filter)->arena;
    const int64_t values[] = {conf->burst, level / conf->each_ns,
                              (lacks + 1000 * MS - 1) / (1000 * MS)};
    static const char *const names[] = {"x-ratelimit-limit", "x-ratelimit-remaining",
                                        "x-ratelimit-reset"};
    for (int i = 0; i < 3; i++) {
        const char *text = nu_arena_printf(arena, "%" PRId64, values[i]);
        nu_http_set(head, nu_text(names[i], strlen(names[i])), nu_text(text, strlen(text)));
    }
}

static void add_fields(struct nu_filter *f, struct nu_http_head *head)
{
    const struct limit *l = (struct limit *)f;
    if (l->conf->tell)
        tell(l, head);
    nu_head_edits_apply(l->conf->headers, head, f->chain);
}

/* True: it has been refused. */
static bool on_request(struct limit *l)
{
    struct nu_filter *f = &l->filter;
    const struct limit_conf *conf = l->conf;
    if (!nu_http_filter_share(f, conf->share))
        return false;
    l->bucket =
        conf->bucket ? conf->bucket : nu_stream_note(nu_stream_of(f), conf->key, sizeof *l->bucket);
    if (!l->bucket)
        return false;
    count(l, ENABLED);
    if (take(conf, l->bucket, now_ns(l))) {
        count(l, ALLOWED);
        return false;
    }
    count(l, RATE_LIMITED);
    if (!nu_http_filter_share(f, conf->enforce))
        return false;
    count(l, ENFORCED);
    nu_stream_flag(nu_stream_of(f), NU_FLAG_RATE_LIMITED);
    nu_local_reply_with(f, (unsigned)conf->status, NU_TEXT("local_rate_limited"),
                        "local_rate_limited", add_fields);
    return true;
}

static void limit_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct limit *l = (struct limit *)f;
    if (dir == NU_FWD && on_request(l))
        return;
    if (dir == NU_REV && l->bucket)
        tell(l, (struct nu_http_head *)ev->u.head);
    nu_forward(f, dir, ev);
}

static bool limit_spare(const void *conf, const struct nu_facts *facts)
{
    return ((const struct limit_conf *)conf)->share == 0;
}

static enum nu_open limit_open(struct nu_filter *f, const void *opaque)
{
    const struct limit_conf *conf = opaque;
    ((struct limit *)f)->conf = conf;
    if (!conf->tell)
        nu_narrow(f, NU_REV, 0);
    return NU_OPEN;
}

/* --- config --- */

/* Alone in its cache line: all workers write it. */
static struct bucket *new_bucket(struct nu_arena *arena)
{
    char *room = nu_arena_alloc(arena, 3 * LINE);
    return (struct bucket *)(room + (LINE - (uintptr_t)room % LINE));
}

static enum nu_err limit_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct limit_conf *c = parsed;
    c->burst = c->burst ? c->burst : c->tokens;
    c->each_ns = c->per_ms * MS / c->tokens;
    c->each_ns = c->each_ns ? c->each_ns : 1;
    if (c->each_ns > FILL_MAX_NS / c->burst) {
        nu_conf_error(conf, nu_node_get(node, "burst"), "at this rate that takes over three years");
        return NU_ERR_CONFIG;
    }
    c->full_ns = c->each_ns * c->burst;
    if (c->per_connection)
        c->key = nu_node_path(arena, node);
    else
        c->bucket = new_bucket(arena);
    c->stats = nu_stats_hold(&nu_local_rate_limit_stats,
                             nu_arena_printf(arena, "%s.http_local_rate_limit", c->name), arena);
    return NU_OK;
}

static const struct nu_field fields[] = {
    {.key = "tokens",
     .type = NU_INT,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct limit_conf, tokens),
     .min = 1,
     .max = TOKENS_MAX,
     .doc = "Requests in the time `per`; their tokens come one by one, not all at its end."},
    {.key = "per",
     .type = NU_DURATION,
     .offset = offsetof(struct limit_conf, per_ms),
     .fallback = "1s",
     .min = 1,
     .max = PER_MAX_MS,
     .doc = "The time for which `tokens` are."},
    {.key = "burst",
     .type = NU_INT,
     .offset = offsetof(struct limit_conf, burst),
     .max = TOKENS_MAX,
     .doc = "Tokens that are kept for later, and so requests at once after a pause; 0 = `tokens`."},
    {.key = "status",
     .type = NU_INT,
     .offset = offsetof(struct limit_conf, status),
     .fallback = "429",
     .min = 400,
     .max = 599,
     .doc = "Of the answer to what is refused."},
    {.key = "response_headers",
     .type = NU_CUSTOM,
     .offset = offsetof(struct limit_conf, headers),
     .parse = nu_head_edits_field,
     .sub = &nu_head_edits_schema,
     .shown = "map",
     .doc = "Edits of that answer's head, as {set: {retry-after: \"1\"}}."},
    {.key = "per_connection",
     .type = NU_BOOL,
     .offset = offsetof(struct limit_conf, per_connection),
     .fallback = "false",
     .doc = "Each connection of a client has a bucket of its own, which starts full; else there is "
            "one for all requests that come by here, on whatever worker."},
    {.key = "share",
     .type = NU_PERCENT,
     .offset = offsetof(struct limit_conf, share),
     .fallback = "100%",
     .doc = "Of the requests that are counted."},
    {.key = "enforce",
     .type = NU_PERCENT,
     .offset = offsetof(struct limit_conf, enforce),
     .fallback = "100%",
     .doc = "Of the requests without a token that are refused: 0% tries a limit out."},
    {.key = "ratelimit_headers",
     .type = NU_BOOL,
     .offset = offsetof(struct limit_conf, tell),
     .fallback = "false",
     .doc = "Tells clients `x-ratelimit-limit` (the burst), `x-ratelimit-remaining` and "
            "`x-ratelimit-reset` (seconds until it is all there again)."},
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct limit_conf, name),
     .fallback = "http_local_rate_limiter",
     .doc = "Of its stats, <name>.http_local_rate_limit.*; filters may share one."},
    {0     }
};

static const struct nu_schema schema = {
    .name = "local_rate_limit",
    .doc = "Refuses requests beyond a rate. A filter in a route's `filters` counts for itself; "
           "routes without share the bucket of the http filter's list. A reload fills buckets.",
    .size = sizeof(struct limit_conf),
    .fields = fields,
};

const struct nu_filter_type nu_filter_local_rate_limit = {
    .name = "local_rate_limit",
    .doc = "Refuses requests beyond a rate.",
    .size = sizeof(struct limit),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD), NU_SEES(NU_HEAD)},
    .schema = &schema,
    .prepare = limit_prepare,
    .spare = limit_spare,
    .open = limit_open,
    .event = limit_event,
};
