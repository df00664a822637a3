/* Redirects: where a client is sent. Relative ("/new") unless the redirect names scheme, host or
 * port: then nothing of what the client sent as its host comes back to it. Never "//": a browser
 * takes that for another host. On the stream's worker. */
#include "l7/route/out.h"
#include "l7/route/route_priv.h"

#include "core/assert.h"

#include <stdio.h>
#include <string.h>

#define LOCATION_MAX (64 * 1024) /* bytes: what a head may have, at most */

/* --- config --- */

static const char *const schemes[] = {[ROUTE_SCHEME_SAME] = "same",
                                      [ROUTE_SCHEME_HTTP] = "http",
                                      [ROUTE_SCHEME_HTTPS] = "https",
                                      NULL};
static const char *const codes[] = {"301", "302", "303", "307", "308", NULL};
static const uint16_t statuses[] = {301, 302, 303, 307, 308};

static enum nu_err parse_path(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    return route_path_text(conf, arena, node, "", out);
}

static enum nu_err parse_prefix(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    return route_path_text(conf, arena, node, "?#", out);
}

#define AT(member) offsetof(struct nu_route_redirect, member)

static const struct nu_field fields[] = {
    {.key = "path",
     .type = NU_CUSTOM,
     .parse = parse_path,
     .shown = "path",
     .offset = AT(to.path),
     .doc = "In the place of the whole path. With a query of its own the request's is dropped."},
    {.key = "path_prefix",
     .type = NU_CUSTOM,
     .parse = parse_prefix,
     .shown = "path",
     .offset = AT(to.path_prefix),
     .doc = "In the place of what `match.path_prefix` matched."},
    {.key = "path_regex",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .sub = &nu_regex_edit_schema,
     .offset = AT(to.path_regex),
     .doc = "Replaces what a regular expression matches in the path."},
    {.key = "scheme",
     .type = NU_ENUM,
     .choices = schemes,
     .fallback = "same",
     .offset = AT(scheme),
     .doc = "http or https; `same` as the request's."},
    {.key = "host",
     .type = NU_CUSTOM,
     .parse = route_authority_text,
     .shown = "host or host:port",
     .offset = AT(to.host),
     .doc = "In the place of the request's host."},
    {.key = "port",
     .type = NU_INT,
     .offset = AT(port),
     .max = 65535,
     .doc = "In the place of the request's port; 0 = as it is."},
    {.key = "status",
     .type = NU_ENUM,
     .choices = codes,
     .fallback = "301",
     .offset = AT(code),
     .doc = "307 and 308 have the client repeat its method and body."},
    {.key = "strip_query",
     .type = NU_BOOL,
     .fallback = "off",
     .offset = AT(strip_query),
     .doc = "Leaves the request's query out."},
    {0                                           },
};

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    const struct nu_route_redirect *r = out;
    unsigned paths = !!r->to.path + !!r->to.path_prefix + !!r->to.path_regex;
    bool elsewhere = paths || r->to.host || r->scheme || r->port || r->strip_query;
    const char *host_port = r->to.host ? strrchr(r->to.host, ':') : NULL;
    const char *wrong = NULL;
    if (paths > 1)
        wrong = "give only one of path, path_prefix and path_regex";
    else if (!elsewhere)
        wrong = "redirect to where? path, path_prefix, path_regex, scheme, host, port or "
                "strip_query";
    else if (r->port && host_port && !strchr(host_port, ']'))
        wrong = "the port stands in host and in port";
    if (!wrong)
        return NU_OK;
    nu_conf_error(conf, node, "%s", wrong);
    return NU_ERR_CONFIG;
}

const struct nu_schema route_redirect_schema = {
    .name = "redirect",
    .doc = "Sends the client elsewhere.",
    .size = sizeof(struct nu_route_redirect),
    .fields = fields,
    .scalar = "path",
    .check = check,
};

/* --- requests --- */

/* The host, without its port; the port is 0 where there is none. Empty: nothing to build on. */
static struct nu_text split_port(struct nu_text authority, unsigned *port)
{
    const char *bracket =
        authority.len && *authority.at == '[' ? memchr(authority.at, ']', authority.len) : NULL;
    size_t from = bracket ? (size_t)(bracket - authority.at) : 0, i = from;
    *port = 0;
    while (i < authority.len && authority.at[i] != ':')
        i++;
    for (size_t p = i + 1; p < authority.len; p++) {
        bool digit = authority.at[p] >= '0' && authority.at[p] <= '9';
        *port = digit && *port < 65536 ? *port * 10 + (unsigned)(authority.at[p] - '0') : 65536;
    }
    return nu_text(authority.at, i);
}

/* The characters of a host (RFC 3986 3.2.2); whatever else a codec let through is not sent back. */
static bool is_host(struct nu_text host)
{
    for (size_t i = 0; i < host.len; i++)
        if (host.at[i] <= ' ' || host.at[i] >= 0x7f || strchr("/?#@\\\"<>", host.at[i]))
            return false;
    return host.len > 0;
}

/* "https://host:port". A port that another scheme meant is left out, so is the scheme's own. */
static void put_origin(const struct nu_route_redirect *r, struct nu_text authority, bool https,
                       struct route_out *out)
{
    unsigned port;
    char text[16];
    bool to_https = r->scheme == ROUTE_SCHEME_SAME ? https : r->scheme == ROUTE_SCHEME_HTTPS;
    if (r->to.host)
        authority = nu_text(r->to.host, strlen(r->to.host));
    struct nu_text host = split_port(authority, &port);
    bool old = !r->to.host && port == (https ? 443 : 80);
    if (!is_host(host))
        return;
    if (r->port)
        port = (unsigned)r->port;
    else if (old)
        port = 0;
    route_put_str(out, to_https ? "https://" : "http://");
    route_put(out, host);
    if (port == 0 || port > 65535 || port == (to_https ? 443 : 80))
        return;
    snprintf(text, sizeof text, ":%u", port);
    route_put_str(out, text);
}

/* A path of the config, its own query and fragment with it. */
static enum nu_err put_path(const struct nu_route_redirect *r, const struct route_view *view,
                            struct route_out *out)
{
    struct nu_route_rewrite to = r->to;
    const char *fragment = to.path ? strchr(to.path, '#') : NULL;
    bool own_query = to.path && strcspn(to.path, "?") < strcspn(to.path, "#");
    if (fragment)
        to.path = nu_arena_strndup(out->arena, to.path, (size_t)(fragment - to.path));
    enum nu_err err = route_put_path(&to, view, !own_query && !r->strip_query, out);
    if (fragment)
        route_put_str(out, fragment);
    return err || out->too_long ? NU_ERR_LIMIT : NU_OK;
}

unsigned nu_route_location(const struct nu_route *route, const struct nu_http_head *request,
                           bool https, struct nu_text *location)
{
    const struct nu_route_redirect *r = route->redirect;
    struct route_view view = route_view_of(request);
    struct route_out out = {.arena = request->arena, .max = LOCATION_MAX};
    nu_assert(r != NULL);
    if (r->to.host || r->scheme || r->port)
        put_origin(r, request->authority, https, &out);
    *location = nu_text("", 0);
    if (put_path(r, &view, &out) != NU_OK)
        return 400;
    *location = nu_text(out.at, out.len);
    return statuses[r->code];
}
