/* The schema of `http` in a health check. Main thread, while a config is read. */
#include "l7/probe.h"
#include "l7/probe_priv.h"

#include "core/chain.h"
#include "protocols/http/head.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 4096 /* servers take 8000 at least (RFC 9112 3), with the host */
#define HEADERS_MAX    32   /* a check that needs more is a client */

static const char *const methods[] = {"GET", "HEAD", "OPTIONS", NULL};
static const enum nu_method method_ids[] = {NU_METHOD_GET, NU_METHOD_HEAD, NU_METHOD_OPTIONS};

/* Three digits from 100 to 599, or 0. */
static unsigned status_at(const char *s)
{
    bool digits = isdigit((unsigned char)s[0]) && isdigit((unsigned char)s[1]) &&
                  isdigit((unsigned char)s[2]);
    unsigned n = digits ? (unsigned)strtoul((char[]){s[0], s[1], s[2], 0}, NULL, 10) : 0;
    return n >= 100 && n <= 599 ? n : 0;
}

/* "204", "200-299", "2xx". */
static bool read_range(const char *s, struct probe_range *out)
{
    size_t len = strlen(s);
    if (len == 3 && s[0] >= '1' && s[0] <= '5' && (s[1] | 32) == 'x' && (s[2] | 32) == 'x') {
        out->first = (unsigned)(s[0] - '0') * 100;
        out->last = out->first + 99;
        return true;
    }
    if (len != 3 && (len != 7 || s[3] != '-'))
        return false;
    out->first = status_at(s);
    out->last = len == 7 ? status_at(s + 4) : out->first;
    return out->first && out->last && out->first <= out->last;
}

static enum nu_err parse_range(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    struct probe_range *range = out;
    if (node->kind != NU_NODE_SCALAR || !read_range(node->text, range)) {
        nu_conf_error(conf, node, "expected a status like 204, or statuses like 200-299 or 2xx");
        return NU_ERR_CONFIG;
    }
    if (range->first >= 200)
        return NU_OK;
    nu_conf_error(conf, node, "no response ends with a status below 200");
    return NU_ERR_CONFIG;
}

static enum nu_err parse_path(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : "";
    bool good = *text == '/' && strlen(text) <= PATH_MAX_BYTES;
    for (const char *c = text; *c; c++)
        good = good && *c > ' ' && *c < 127 && *c != '#';
    *(const char **)out = nu_arena_strdup(arena, text);
    if (good)
        return NU_OK;
    nu_conf_error(conf, node, "expected a path like /healthz, of at most %d bytes, percent-encoded",
                  PATH_MAX_BYTES);
    return NU_ERR_CONFIG;
}

enum nu_err probe_parse_host(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : "";
    bool good = *text && strlen(text) <= 255;
    for (const char *c = text; *c; c++)
        good = good && (isalnum((unsigned char)*c) || strchr("-._~:[]", *c));
    *(const char **)out = nu_arena_strdup(arena, text);
    if (good)
        return NU_OK;
    nu_conf_error(conf, node, "expected a host name, with a port where it matters");
    return NU_ERR_CONFIG;
}

/* What the codec writes by itself is not for fields. */
static const char *bad_header(const struct nu_node *node)
{
    static const char *const ours[] = {"host", "connection", "content-length", "transfer-encoding",
                                       "upgrade"};
    if (node->kind != NU_NODE_SCALAR)
        return "expected a text";
    if (!nu_http_name_ok(nu_text(node->key, strlen(node->key))))
        return "that is no header's name";
    if (!nu_http_value_ok(nu_text(node->text, strlen(node->text))))
        return "a header's value has no control characters, and no blanks at its ends";
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(node->key, ours[i]) == 0)
            return i ? "that header is written by itself" : "that is the key \"host\"";
    return NULL;
}

static enum nu_err parse_headers(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    struct nu_vec *vec = out;
    if (node->kind != NU_NODE_MAP || node->count > HEADERS_MAX) {
        nu_conf_error(conf, node, "expected a map of at most %d headers", HEADERS_MAX);
        return NU_ERR_CONFIG;
    }
    struct probe_header *headers = nu_arena_alloc(arena, (node->count + 1) * sizeof *headers);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct nu_node *field = node->child[i];
        const char *why = bad_header(field);
        if (why) {
            nu_conf_error(conf, field, "%s", why);
            return NU_ERR_CONFIG;
        }
        headers[i] = (struct probe_header){nu_arena_strdup(arena, field->key),
                                           nu_arena_strdup(arena, field->text)};
    }
    *vec = (struct nu_vec){headers, node->count};
    return NU_OK;
}

static const struct nu_field fields[] = {
    {.key = "path",
     .type = NU_CUSTOM,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct probe_conf, path),
     .parse = parse_path,
     .shown = "path",
     .item = sizeof(char *),
     .doc = "What is asked for, with a query if need be."},
    {.key = "host",
     .type = NU_CUSTOM,
     .offset = offsetof(struct probe_conf, host),
     .parse = probe_parse_host,
     .shown = "host name",
     .item = sizeof(char *),
     .doc = "The Host header. Default: the endpoint as it is written (other than in Envoy, where "
            "it is the cluster's name); `localhost` for UNIX sockets."},
    {.key = "method",
     .type = NU_ENUM,
     .offset = offsetof(struct probe_conf, method_choice),
     .fallback = "GET",
     .choices = methods,
     .doc = "How it is asked for."},
    {.key = "expected",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_NONEMPTY,
     .offset = offsetof(struct probe_conf, expected),
     .fallback = "200-299",
     .parse = parse_range,
     .shown = "statuses",
     .item = sizeof(struct probe_range),
     .doc = "Statuses of a server that is well: `200`, `200-299`, `2xx`, or a list of these. "
            "Redirects are not followed."},
    {.key = "headers",
     .type = NU_CUSTOM,
     .offset = offsetof(struct probe_conf, headers),
     .parse = parse_headers,
     .shown = "map of headers",
     .item = sizeof(struct nu_vec),
     .doc = "Headers of the request, by name; `user-agent` is nuncio-health-check by default."},
    {0                                       }
};

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    struct probe_conf *c = out;
    c->method = method_ids[c->method_choice];
    c->method_name = methods[c->method_choice];
    return NU_OK;
}

static const struct nu_schema schema = {
    .name = "http",
    .doc =
        "Asks each endpoint for a page, in the cluster's `protocol`, with a connection of its own "
        "(over TLS, where the cluster has `tls`). The path alone may stand for it.",
    .size = sizeof(struct probe_conf),
    .fields = fields,
    .scalar = "path",
    .check = check,
};

static void place(void *value, struct nu_arena *owner, struct nu_place *out)
{
    *out = (struct nu_place){&probe_filter, value};
}

struct nu_ext nu_probe_http = {
    .field = {.key = "http",
              .type = NU_OBJECT,
              .flags = NU_PTR,
              .sub = &schema,
              .doc = "A path: an endpoint is well that answers it with a status of 200 to 299, in "
                     "full and in time."},
    .place = place,
};
