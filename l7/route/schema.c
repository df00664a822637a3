/* The schema of a route: what it does with its requests. What one key alone does not tell is
 * checked in finish.c. Main thread. */
#include "l7/head_edit.h"
#include "l7/route/route_priv.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MOST    20           /* of one request */
#define RESPOND_BODY_MAX (256 * 1024) /* bytes: it stays in memory with the config */
#define WEIGHT_MAX       1000000

enum nu_err route_path_text(struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *node, const char *without, const char **out)
{
    const char *text = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) ? node->text : "";
    *out = nu_arena_strdup(arena, text);
    if (*text != '/') {
        nu_conf_error(conf, node, "expected a path, it begins with \"/\"");
        return NU_ERR_CONFIG;
    }
    for (; *text; text++) {
        if (*text > ' ' && *text < 0x7f && !strchr(without, *text))
            continue;
        if (*text == '?')
            nu_conf_error(conf, node, "the query is no part of the path: see match.query");
        else
            nu_conf_error(conf, node, "a path has %s only as its escape, %%%02X",
                          *text == ' '   ? "a space"
                          : *text == '#' ? "\"#\""
                                         : "this byte",
                          (unsigned char)*text);
        return NU_ERR_CONFIG;
    }
    return NU_OK;
}

/* --- clusters --- */

static const struct nu_field share_fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct nu_route_share, name),
     .doc = "A cluster's name."},
    {.key = "weight",
     .type = NU_INT,
     .offset = offsetof(struct nu_route_share, weight),
     .fallback = "1",
     .max = WEIGHT_MAX,
     .doc = "Its share of the requests, in proportion to the sum; 0 gets none."},
    {0              },
};

static const struct nu_schema share_schema = {
    .name = "weighted cluster",
    .doc = "One of several clusters.",
    .size = sizeof(struct nu_route_share),
    .fields = share_fields,
    .scalar = "name",
};

/* --- retries --- */

static const char *const retry_names[] = {
    "connect-failure", "refused-stream",     "reset",       "5xx",
    "gateway-error",   "retriable-4xx",      "cancelled",   "deadline-exceeded",
    "internal",        "resource-exhausted", "unavailable", NULL,
};

static const struct nu_field retry_fields[] = {
    {.key = "when",
     .type = NU_ENUM,
     .flags = NU_REQUIRED | NU_LIST | NU_NONEMPTY,
     .choices = retry_names,
     .offset = offsetof(struct route_retry, when),
     .doc = "What is tried again: no connection, a stream that the server refused unseen, no "
            "response, a response of this kind. 5xx has the first three as well; gateway-error is "
            "502, 503, 504; retriable-4xx is 409. The others are statuses of gRPC, in a response "
            "without messages."},
    {.key = "attempts",
     .type = NU_INT,
     .fallback = "1",
     .min = 1,
     .max = ATTEMPTS_MOST,
     .offset = offsetof(struct route_retry, attempts),
     .doc = "Further tries after the first, at most."},
    {.key = "per_try_timeout",
     .type = NU_DURATION,
     .fallback = "0",
     .offset = offsetof(struct route_retry, per_try_timeout_ms),
     .doc =
         "How long one try may take until its response begins; 0 = as long as `timeout` lets it."},
    {0                  },
};

static const struct nu_schema retry_schema = {
    .name = "retry",
    .doc = "What is tried again. Without it, only what is always safe: requests that never left.",
    .size = sizeof(struct route_retry),
    .fields = retry_fields,
    .scalar = "when",
};

/* --- responses --- */

static const struct nu_field respond_fields[] = {
    {.key = "status",
     .type = NU_INT,
     .fallback = "200",
     .min = 200,
     .max = 599,
     .offset = offsetof(struct route_respond, status),
     .doc = "Status of the response."},
    {.key = "body",
     .type = NU_STRING,
     .offset = offsetof(struct route_respond, body),
     .doc = "Its body."},
    {.key = "body_file",
     .type = NU_FILE,
     .offset = offsetof(struct route_respond, body_file),
     .doc = "A file with the body, 256 KiB at most; read with the config."},
    {.key = "content_type",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct route_respond, content_type),
     .doc = "Content-Type of the body; by default text/plain."},
    {0                },
};

static enum nu_err read_body(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, const char *path, struct nu_text *out)
{
    FILE *file = fopen(path, "re");
    char *buf = malloc(RESPOND_BODY_MAX + 1);
    nu_assert(buf != NULL);
    size_t len = file ? fread(buf, 1, RESPOND_BODY_MAX + 1, file) : 0;
    bool bad = !file || ferror(file);
    if (bad)
        nu_conf_error(conf, node, "%s cannot be read", path);
    else if (len > RESPOND_BODY_MAX)
        nu_conf_error(conf, node, "%s is larger than 256 KiB", path);
    *out = nu_text(memcpy(nu_arena_alloc(arena, len + 1), buf, len), len);
    free(buf);
    if (file)
        fclose(file);
    return bad || len > RESPOND_BODY_MAX ? NU_ERR_CONFIG : NU_OK;
}

static enum nu_err check_respond(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    struct route_respond *r = out;
    const char *type = r->content_type;
    struct nu_text body = r->body ? nu_text(r->body, strlen(r->body)) : nu_text("", 0);
    if (r->body && r->body_file) {
        nu_conf_error(conf, node, "give either body or body_file, not both");
        return NU_ERR_CONFIG;
    }
    if (r->body_file &&
        read_body(conf, arena, nu_node_get(node, "body_file"), r->body_file, &body) != NU_OK)
        return NU_ERR_CONFIG;
    if (body.len && (r->status == 204 || r->status == 205 || r->status == 304)) {
        nu_conf_error(conf, node, "a response with status %d has no body", (int)r->status);
        return NU_ERR_CONFIG;
    }
    if (!type)
        type = body.len ? "text/plain" : "";
    if (!nu_http_value_ok(nu_text(type, strlen(type)))) {
        nu_conf_error(conf, nu_node_get(node, "content_type"), "not the value of a header");
        return NU_ERR_CONFIG;
    }
    r->compiled = (struct nu_route_respond){
        .status = (uint16_t)r->status, .body = body, .content_type = nu_text(type, strlen(type))};
    return NU_OK;
}

const struct nu_schema route_respond_schema = {
    .name = "respond",
    .doc = "Answers by itself.",
    .size = sizeof(struct route_respond),
    .fields = respond_fields,
    .scalar = "status",
    .check = check_respond,
};

/* --- the route --- */

#define AT(member) offsetof(struct route, member)

static const struct nu_field fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = AT(route.name),
     .doc = "In logs and `nuncio explain`; by default routes[N]."},
    {.key = "match",
     .type = NU_OBJECT,
     .sub = &route_match_schema,
     .offset = AT(match),
     .doc = "Which requests it takes; by default all."},
    {.key = "connect",
     .type = NU_BOOL,
     .fallback = "off",
     .offset = AT(route.connect),
     .doc =
         "Takes CONNECT, and nothing else: the tunnel goes to an endpoint of the cluster, whatever "
         "host the client names. No other route takes CONNECT."},
    {.key = "cluster",
     .type = NU_STRING,
     .offset = AT(cluster_name),
     .doc =
         "The cluster whose endpoints get the requests. One of `cluster`, `clusters`, `redirect` "
         "and `respond`."},
    {.key = "clusters",
     .type = NU_OBJECT,
     .flags = NU_LIST | NU_NONEMPTY,
     .sub = &share_schema,
     .offset = AT(clusters),
     .doc = "Several clusters that share the requests by weight."},
    {.key = "redirect",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .sub = &route_redirect_schema,
     .offset = AT(redirect),
     .doc = "Sends the client elsewhere."},
    {.key = "respond",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .sub = &route_respond_schema,
     .offset = AT(respond),
     .doc = "Answers by itself."},
    {.key = "timeout",
     .type = NU_DURATION,
     .fallback = "15s",
     .offset = AT(route.timeout_ms),
     .doc =
         "From the whole request to the whole response, all tries together: 504; 0 = none. Tunnels "
         "have none."},
    {.key = "max_grpc_timeout",
     .type = NU_DURATION,
     .offset = AT(route.max_grpc_timeout_ms),
     .doc = "The longest `grpc-timeout` that a gRPC client can ask for; 0 = any. It runs from the "
            "request's beginning, and stands for `timeout`, which gRPC has none of then; who asks "
            "for nothing gets the longest. Default: what is asked for, within `timeout`."},
    {.key = "idle_timeout",
     .type = NU_DURATION,
     .offset = AT(route.idle_timeout_ms),
     .doc = "Instead of the http filter's stream_idle_timeout, and in tunnels instead of its "
            "tunnel_idle_timeout; 0 = none."},
    {.key = "rewrite",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .sub = &route_rewrite_schema,
     .offset = AT(rewrite),
     .doc = "Path and host as the server gets to see them."},
    {.key = "retry",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .sub = &retry_schema,
     .offset = AT(retry),
     .doc = "What is tried again."},
    {.key = "request_headers",
     .type = NU_CUSTOM,
     .parse = nu_head_edits_field,
     .shown = "{set, add, remove}",
     .offset = AT(route.request_headers),
     .doc = "Edits of the request on its way to the server; values may have operators of access "
            "logs."},
    {.key = "response_headers",
     .type = NU_CUSTOM,
     .parse = nu_head_edits_field,
     .shown = "{set, add, remove}",
     .offset = AT(route.response_headers),
     .doc = "Edits of the response on its way to the client."},
    {.key = "upgrade",
     .type = NU_STRING,
     .flags = NU_LIST,
     .fallback = "[websocket]",
     .offset = AT(upgrades),
     .doc = "Protocols that a client may change to (Upgrade, or extended CONNECT of HTTP/2); [] "
            "refuses all."},
    {.key = "filters",
     .type = NU_NODE,
     .offset = AT(filters),
     .shown = "map of filters to options or off",
     .doc = "HTTP filters for this route: options in the place of those of the http filter's list, "
            "`off` for none. What is not in that list stands behind it."},
    {0                                             },
};

const struct nu_schema nu_route_schema = {
    .name = "route",
    .doc = "What becomes of the requests that match; the first route that matches has them.",
    .size = sizeof(struct route),
    .fields = fields,
};
