/* cors: says which pages of other origins may use what is served here (the CORS protocol of the
 * Fetch standard), and answers their browsers' preflight requests by itself. It does not refuse
 * requests: browsers do that with responses. Order, defaults and figures are Envoy's.
 *
 * Faces: HTTP. Sees: HEAD both ways; of the response only where the request's origin is a valid
 * one. Requests without any never meet it. Stores: the origin, in the stream's arena. Holds
 * nothing, has nothing to flush at END and nothing to cancel in `close`. */
#include "core/chain.h"
#include "core/conf/schema.h"
#include "l7/filters/filters.h"
#include "l7/local_reply.h"
#include "l7/route/value.h"
#include "l7/stream.h"

#include <string.h>

#define MAX_AGE_MOST_S (24 * 60 * 60) /* browsers keep an answer for no longer than a day */

enum figure { ORIGIN_VALID, ORIGIN_INVALID };

static const struct nu_stat_def defs[] = {
    [ORIGIN_VALID] = {"origin_valid",   NU_COUNTER, NULL, "Requests of an origin that is allowed."},
    [ORIGIN_INVALID] = {"origin_invalid", NU_COUNTER, NULL,
                      "Requests of an origin that is not allowed."                                },
};

const struct nu_stat_group nu_cors_stats =
    NU_STAT_GROUP("http.<name>.cors", "The cors filters of an http filter.", defs);

struct cors_conf {
    struct nu_vec origins;                  /* struct route_value */
    struct nu_vec methods, headers, expose; /* const char * */
    int64_t max_age_ms;
    bool credentials;

    /* --- prepared: values of headers; "" = none --- */
    struct nu_text methods_text, headers_text, expose_text, max_age_text;
    struct nu_stats *stats;
};

struct cors {
    struct nu_filter filter;
    const struct cors_conf *conf;
    struct nu_text origin; /* in the stream's arena; valid */
};

static bool is_any(const struct route_value *value)
{
    return value->kind == ROUTE_VALUE_EXACT && nu_text_is(value->text, "*");
}

static bool is_allowed(const struct cors_conf *conf, struct nu_text origin)
{
    const struct route_value *value = conf->origins.items;
    for (size_t i = 0; i < conf->origins.count; i++)
        if (is_any(&value[i]) || route_value_fits(&value[i], origin))
            return true;
    return false;
}

static void set(struct nu_http_head *head, enum nu_hdr id, struct nu_text value)
{
    if (value.len > 0)
        nu_http_set_known(head, id, value);
}

/* What a browser asks before it sends what no form could have sent. */
static bool is_preflight(const struct nu_http_head *request)
{
    return request->method_id == NU_METHOD_OPTIONS && nu_http_get(request, NU_HDR_REQUEST_METHOD);
}

static void put_origin(struct cors *c, struct nu_http_head *head)
{
    set(head, NU_HDR_ALLOW_ORIGIN, c->origin);
    if (c->conf->credentials)
        set(head, NU_HDR_ALLOW_CREDENTIALS, NU_TEXT("true"));
}

static void answer_preflight(struct cors *c)
{
    struct nu_filter *f = &c->filter;
    struct nu_http_head *head = nu_local_reply_head(f, 200, 0);
    put_origin(c, head);
    set(head, NU_HDR_ALLOW_METHODS, c->conf->methods_text);
    set(head, NU_HDR_ALLOW_HEADERS, c->conf->headers_text);
    set(head, NU_HDR_CORS_MAX_AGE, c->conf->max_age_text);
    nu_http_add_known(head, NU_HDR_VARY, NU_TEXT("origin"));
    nu_local_reply_send(f, head, nu_text("", 0), "cors_response");
}

/* True: it has been answered. */
static bool on_request(struct cors *c, const struct nu_http_head *request)
{
    struct nu_filter *f = &c->filter;
    const struct nu_http_field *origin = nu_http_get(request, NU_HDR_ORIGIN);
    bool valid = origin && is_allowed(c->conf, nu_http_field_value(origin));
    if (origin)
        nu_stat_add(c->conf->stats, nu_filter_loop(f)->shard, valid ? ORIGIN_VALID : ORIGIN_INVALID,
                    1);
    if (!valid) {
        nu_narrow(f, NU_REV, 0);
        return false;
    }
    c->origin = nu_text(nu_arena_strndup(nu_stream_of(f)->arena, origin->value, origin->value_len),
                        origin->value_len);
    if (!is_preflight(request))
        return false;
    answer_preflight(c);
    return true;
}

/* A cache must not hand what one origin was told to another (Fetch, "CORS protocol and HTTP
 * caches"). */
static void vary_by_origin(struct nu_http_head *head)
{
    for (const struct nu_http_field *f = nu_http_get(head, NU_HDR_VARY); f;
         f = nu_http_next(head, f)) {
        struct nu_text rest = nu_http_field_value(f), name;
        while (nu_http_list_next(&rest, &name))
            if (nu_text_is_fold(name, "origin") || nu_text_is(name, "*"))
                return;
    }
    nu_http_add_known(head, NU_HDR_VARY, NU_TEXT("origin"));
}

static void on_response(struct cors *c, struct nu_http_head *head)
{
    put_origin(c, head);
    set(head, NU_HDR_EXPOSE_HEADERS, c->conf->expose_text);
    vary_by_origin(head);
}

static void cors_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct cors *c = (struct cors *)f;
    struct nu_http_head *head = (struct nu_http_head *)ev->u.head;
    if (dir == NU_REV)
        on_response(c, head);
    else if (on_request(c, head))
        return;
    nu_forward(f, dir, ev);
}

static bool cors_spare(const void *conf, const struct nu_facts *facts)
{
    return !nu_http_get(facts->exchange->stream->request, NU_HDR_ORIGIN);
}

static enum nu_open cors_open(struct nu_filter *f, const void *conf)
{
    ((struct cors *)f)->conf = conf;
    return NU_OPEN;
}

/* --- config --- */

/* "a, b" */
static struct nu_text join(struct nu_arena *arena, const struct nu_vec *list)
{
    const char *const *item = list->items;
    const char *text = "";
    for (size_t i = 0; i < list->count; i++)
        text = nu_arena_printf(arena, "%s%s%s", text, i ? ", " : "", item[i]);
    return nu_text(text, strlen(text));
}

/* A header's or a method's name, or "*" for all. */
static enum nu_err parse_token(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) ? node->text : "";
    *(const char **)out = nu_arena_strdup(arena, text);
    if (nu_http_name_ok(nu_text(text, strlen(text))))
        return NU_OK;
    nu_conf_error(conf, node, "expected a name, or \"*\"");
    return NU_ERR_CONFIG;
}

static enum nu_err cors_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct cors_conf *c = parsed;
    const struct route_value *value = c->origins.items;
    for (size_t i = 0; c->credentials && i < c->origins.count; i++)
        if (is_any(&value[i])) {
            nu_conf_error(conf, nu_node_get(node, "allow_credentials"),
                          "any page could act as its visitor here: name the origins that may");
            return NU_ERR_CONFIG;
        }
    c->methods_text = join(arena, &c->methods);
    c->headers_text = join(arena, &c->headers);
    c->expose_text = join(arena, &c->expose);
    if (nu_node_get(node, "max_age")) {
        const char *seconds = nu_arena_printf(arena, "%lld", (long long)c->max_age_ms / 1000);
        c->max_age_text = nu_text(seconds, strlen(seconds));
    }
    c->stats = nu_http_filter_stats(&nu_cors_stats, arena, node, "cors");
    return NU_OK;
}

#define TOKENS(key_, member_, doc_)                                                                \
    {                                                                                              \
        .key = (key_), .type = NU_CUSTOM, .flags = NU_LIST,                                        \
        .offset = offsetof(struct cors_conf, member_), .parse = parse_token,                       \
        .item = sizeof(const char *), .shown = "names", .doc = (doc_)                              \
    }

static const struct nu_field fields[] = {
    {.key = "allow_origin",
     .type = NU_CUSTOM,
     .flags = NU_LIST,
     .offset = offsetof(struct cors_conf, origins),
     .parse = route_value_parse,
     .sub = &route_value_schema,
     .shown = "text, or a condition",
     .item = sizeof(struct route_value),
     .doc = "Origins, as https://a.test or https://a.test:8443, whose pages may use what is served "
            "here: whole ones, or conditions like {suffix: .a.test}; \"*\" is any. Without, none "
            "are."},
    TOKENS("allow_methods", methods,
           "Methods they may use besides GET, HEAD and POST; \"*\" is any."),
    TOKENS("allow_headers", headers, "Headers they may send besides the harmless ones."),
    TOKENS("expose_headers", expose,
           "Headers of responses that their scripts may see besides the harmless ones."),
    {.key = "max_age",
     .type = NU_DURATION,
     .offset = offsetof(struct cors_conf, max_age_ms),
     .max = MAX_AGE_MOST_S * INT64_C(1000),
     .doc =
         "How long browsers may remember the answer to a preflight, in whole seconds; 0 = not at "
         "all. Without, browsers choose: 5 s."},
    {.key = "allow_credentials",
     .type = NU_BOOL,
     .offset = offsetof(struct cors_conf, credentials),
     .fallback = "false",
     .doc = "Whether cookies and passwords of their visitor come along. Not with \"*\"."},
    {0}
};

static const struct nu_schema schema = {
    .name = "cors",
    .doc = "Says which pages of other origins may use what is served here, and answers browsers' "
           "preflight requests by itself. Requests of other origins pass as well: it is the "
           "browser that keeps the answer from the page.",
    .size = sizeof(struct cors_conf),
    .fields = fields,
};

const struct nu_filter_type nu_filter_cors = {
    .name = "cors",
    .doc = "Lets pages of other origins use what is served here.",
    .size = sizeof(struct cors),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD), NU_SEES(NU_HEAD)},
    .schema = &schema,
    .prepare = cors_prepare,
    .spare = cors_spare,
    .open = cors_open,
    .event = cors_event,
};
