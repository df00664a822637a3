/* csrf: refuses requests that change something and that a page of another site had its visitor's
 * browser make: the origin they come from is neither the host they go to nor a listed one. What
 * methods, whose origin, which figures: as Envoy.
 *
 * Faces: HTTP. Sees: HEAD of the request. Requests that change nothing never meet it. Stores
 * nothing, holds nothing, has nothing to flush at END and nothing to cancel in `close`. */
#include "core/chain.h"
#include "core/conf/schema.h"
#include "l7/filters/filters.h"
#include "l7/local_reply.h"
#include "l7/route/value.h"
#include "l7/stream.h"

#include <string.h>
#include <strings.h>

enum figure { MISSING_SOURCE_ORIGIN, REQUEST_INVALID, REQUEST_VALID };

static const struct nu_stat_def defs[] = {
    [MISSING_SOURCE_ORIGIN] = {"missing_source_origin", NU_COUNTER, NULL,
                               "Requests that name no origin, which are invalid."                      },
    [REQUEST_INVALID] = {"request_invalid",       NU_COUNTER, NULL, "Requests of another origin."},
    [REQUEST_VALID] = {"request_valid",         NU_COUNTER, NULL,
                               "Requests of their own origin, or of a listed one."                     },
};

const struct nu_stat_group nu_csrf_stats =
    NU_STAT_GROUP("http.<name>.csrf", "The csrf filters of an http filter.", defs);

struct csrf_conf {
    struct nu_vec origins; /* struct route_value, of hosts */
    double share;
    struct nu_stats *stats;
};

/* The host of a URL, with its port; of other texts all. */
static struct nu_text host_of(struct nu_text url)
{
    const char *mark = memmem(url.at, url.len, "://", 3);
    if (!mark)
        return url;
    const char *host = mark + 3, *end = url.at + url.len, *at = host;
    while (at < end && !strchr("/?#", *at))
        at++;
    return nu_text(host, (size_t)(at - host));
}

/* Of the page that had it sent; empty: it does not say. Browsers name "null" what they hide. */
static struct nu_text source_of(const struct nu_http_head *request)
{
    struct nu_text origin = host_of(nu_http_value(request, NU_HDR_ORIGIN));
    return origin.len > 0 ? origin : host_of(nu_http_value(request, NU_HDR_REFERER));
}

static bool same(struct nu_text a, struct nu_text b)
{
    return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

static bool is_valid(const struct csrf_conf *conf, struct nu_text source, struct nu_text target)
{
    const struct route_value *value = conf->origins.items;
    if (source.len > 0 && same(source, target))
        return true;
    for (size_t i = 0; source.len > 0 && i < conf->origins.count; i++)
        if (route_value_fits(&value[i], source))
            return true;
    return false;
}

static bool changes_something(const struct nu_http_head *request)
{
    static const bool of[NU_METHOD_COUNT] = {
        [NU_METHOD_POST] = true,
        [NU_METHOD_PUT] = true,
        [NU_METHOD_DELETE] = true,
        [NU_METHOD_PATCH] = true,
    };
    return of[request->method_id];
}

static bool csrf_spare(const void *conf, const struct nu_facts *facts)
{
    return !changes_something(facts->exchange->stream->request);
}

static bool judge(struct nu_filter *f, const struct csrf_conf *conf,
                  const struct nu_http_head *request)
{
    unsigned shard = nu_filter_loop(f)->shard;
    struct nu_text source = source_of(request);
    bool valid = is_valid(conf, source, request->authority);
    if (source.len == 0)
        nu_stat_add(conf->stats, shard, MISSING_SOURCE_ORIGIN, 1);
    nu_stat_add(conf->stats, shard, valid ? REQUEST_VALID : REQUEST_INVALID, 1);
    return valid;
}

static void csrf_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    const struct csrf_conf *conf = ((struct nu_http_filter *)f)->conf;
    const struct nu_http_head *request = (struct nu_http_head *)ev->u.head;
    if (nu_http_filter_share(f, conf->share) && !judge(f, conf, request)) {
        nu_stream_flag(nu_stream_of(f), NU_FLAG_DENIED);
        nu_local_reply(f, 403, NU_TEXT("Invalid origin"), "csrf_origin_mismatch");
        return;
    }
    nu_forward(f, dir, ev);
}

static enum nu_err csrf_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct csrf_conf *c = parsed;
    c->stats = nu_http_filter_stats(&nu_csrf_stats, arena, node, "csrf");
    return NU_OK;
}

static const struct nu_field fields[] = {
    {.key = "additional_origins",
     .type = NU_CUSTOM,
     .flags = NU_LIST,
     .offset = offsetof(struct csrf_conf, origins),
     .parse = route_value_parse,
     .sub = &route_value_schema,
     .shown = "text, or a condition",
     .item = sizeof(struct route_value),
     .doc = "Hosts, with their port where one is written, whose pages may send such requests as "
            "well: whole ones, or conditions like {suffix: .a.test}."},
    {.key = "share",
     .type = NU_PERCENT,
     .offset = offsetof(struct csrf_conf, share),
     .fallback = "100%",
     .doc = "Of the requests that are looked at."},
    {0                  }
};

static const struct nu_schema schema = {
    .name = "csrf",
    .doc = "Refuses POST, PUT, DELETE and PATCH with 403 where Origin, or Referer without it, "
           "names another host than the request's own.",
    .size = sizeof(struct csrf_conf),
    .fields = fields,
};

const struct nu_filter_type nu_filter_csrf = {
    .name = "csrf",
    .doc = "Refuses requests that pages of other sites had their visitors send.",
    .size = sizeof(struct nu_http_filter),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD), 0},
    .schema = &schema,
    .prepare = csrf_prepare,
    .spare = csrf_spare,
    .open = nu_http_filter_open,
    .event = csrf_event,
};
