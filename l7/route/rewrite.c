/* Path and host as the server gets to see them. The result is a target again, whatever the config
 * and the groups of a regular expression put together: it begins with exactly one "/", and what has
 * no place in a target is escaped. On the stream's worker. */
#include "l7/route/out.h"
#include "l7/route/route_priv.h"

#include "core/table/domain.h"

#include <string.h>

/* --- config --- */

static enum nu_err parse_path(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    return route_path_text(conf, arena, node, "#", out);
}

static enum nu_err parse_prefix(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    return route_path_text(conf, arena, node, "?#", out);
}

enum nu_err route_authority_text(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) ? node->text : "";
    size_t len = strlen(text), host_len = strcspn(text, ":");
    const char *reason, *port = strrchr(text, ':');
    if (*text == '[')
        host_len = strcspn(text, "]") + 1;
    bool has_port = port && (size_t)(port - text) >= host_len;
    bool good = host_len <= len &&
                (!has_port || ((size_t)(port - text) == host_len && port[1] &&
                               !port[1 + strspn(port + 1, "0123456789")] && strlen(port) <= 6));
    good = good && (has_port || host_len == len) && *text != '*' &&
           (nu_domain_is_ip(text, host_len) || nu_domain_check(text, host_len, &reason) == NU_OK);
    *(const char **)out = nu_arena_strdup(arena, text);
    if (good)
        return NU_OK;
    nu_conf_error(conf, node, "expected a host, with or without a port");
    return NU_ERR_CONFIG;
}

#define AT(member) offsetof(struct nu_route_rewrite, member)

static const struct nu_field fields[] = {
    {.key = "path",
     .type = NU_CUSTOM,
     .parse = parse_path,
     .shown = "path",
     .offset = AT(path),
     .doc = "In the place of the whole path; the request's query stays, behind one written here."},
    {.key = "path_prefix",
     .type = NU_CUSTOM,
     .parse = parse_prefix,
     .shown = "path",
     .offset = AT(path_prefix),
     .doc = "In the place of what `match.path_prefix` matched."},
    {.key = "path_regex",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .sub = &nu_regex_edit_schema,
     .offset = AT(path_regex),
     .doc = "Replaces what a regular expression matches in the path."},
    {.key = "host",
     .type = NU_CUSTOM,
     .parse = route_authority_text,
     .shown = "host or host:port",
     .offset = AT(host),
     .doc = "In the place of the request's host."},
    {0  },
};

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    const struct nu_route_rewrite *rewrite = out;
    unsigned paths = !!rewrite->path + !!rewrite->path_prefix + !!rewrite->path_regex;
    if (paths <= 1 && (paths || rewrite->host))
        return NU_OK;
    nu_conf_error(conf, node, "%s",
                  paths ? "give only one of path, path_prefix and path_regex"
                        : "rewrite what? path, path_prefix, path_regex or host");
    return NU_ERR_CONFIG;
}

const struct nu_schema route_rewrite_schema = {
    .name = "rewrite",
    .doc = "Path and host as the server gets to see them.",
    .size = sizeof(struct nu_route_rewrite),
    .fields = fields,
    .check = check,
};

/* --- requests --- */

void route_put_escaped(struct route_out *out, struct nu_text text)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char strange[] = "#\\\"<>";
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c > ' ' && c < 0x7f && !strchr(strange, c))
            continue;
        char escape[3] = {'%', digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15]};
        route_put(out, nu_text(text.at + from, i - from));
        route_put(out, nu_text(escape, sizeof escape));
        from = i + 1;
    }
    route_put(out, nu_text(text.at + from, text.len - from));
}

/* The raw path: as it is, or put together. False: a regular expression gave up. */
static bool put_raw(const struct nu_route_rewrite *rewrite, struct nu_text path,
                    struct route_out *out)
{
    if (rewrite->path_regex)
        return nu_regex_replace(rewrite->path_regex, path, out);
    if (rewrite->path) {
        route_put_str(out, rewrite->path);
        return true;
    }
    size_t skip = rewrite->path_prefix ? rewrite->matched : 0;
    if (rewrite->path_prefix)
        route_put_str(out, rewrite->path_prefix);
    route_put(out, nu_text(path.at + skip, path.len - skip));
    return true;
}

enum nu_err route_put_path(const struct nu_route_rewrite *rewrite, const struct route_view *view,
                           bool keep_query, struct route_out *out)
{
    struct route_out raw = {.arena = out->arena, .max = out->max};
    if (!put_raw(rewrite, view->path, &raw) || raw.too_long)
        return NU_ERR_LIMIT;
    struct nu_text rest = nu_text(raw.len ? raw.at : "", raw.len);
    while (rest.len && (*rest.at == '/' || *rest.at == '\\'))
        rest = nu_text(rest.at + 1, rest.len - 1);
    route_put_str(out, "/");
    route_put_escaped(out, rest);
    if (keep_query && view->query.len) {
        route_put_str(out, rest.len && memchr(rest.at, '?', rest.len) ? "&" : "?");
        route_put_escaped(out, view->query);
    }
    return out->too_long ? NU_ERR_LIMIT : NU_OK;
}

/* A prefix without its last slash lets "/api../x" through, which would leave the new prefix. */
static bool has_dot_segment(struct nu_text path)
{
    const char *end = path.at + path.len, *mark = memchr(path.at, '?', path.len);
    if (mark)
        end = mark;
    for (const char *at = path.at, *next; at < end; at = next) {
        size_t len = 1;
        while (at + len < end && at[len] != '/')
            len++;
        next = at + len;
        if ((len == 2 && at[1] == '.') || (len == 3 && at[1] == '.' && at[2] == '.'))
            return true;
    }
    return false;
}

static enum nu_err rewrite_path(const struct nu_route_rewrite *rewrite,
                                struct nu_http_head *request, size_t max)
{
    struct route_view view = route_view_of(request);
    struct route_out out = {.arena = request->arena, .max = max};
    enum nu_err err = route_put_path(rewrite, &view, true, &out);
    if (err)
        return err;
    if (has_dot_segment(nu_text(out.at, out.len)))
        return NU_ERR_SYNTAX;
    request->path = nu_text(out.at, out.len);
    return NU_OK;
}

enum nu_err nu_route_rewrite(const struct nu_route *route, struct nu_http_head *request,
                             size_t target_max)
{
    const struct nu_route_rewrite *rewrite = route->rewrite;
    bool path = rewrite && (rewrite->path || rewrite->path_prefix || rewrite->path_regex);
    bool has_path = request->path.len && *request->path.at == '/'; /* none in CONNECT; or "*" */
    enum nu_err err = path && has_path ? rewrite_path(rewrite, request, target_max) : NU_OK;
    if (!err && rewrite && rewrite->host)
        request->authority = nu_text(rewrite->host, strlen(rewrite->host));
    return err;
}
