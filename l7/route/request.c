/* A request as routes look at it, and whether one route takes it: the meaning of the conditions,
 * one after the other. `explain` and the tests go this way; requests go by the table (table.c),
 * which asks here only for what its keys leave open. Any thread. */
#include "l7/route/route_priv.h"

#include "core/assert.h"
#include "core/table/domain.h"
#include "core/table/hash.h"

#include <arpa/inet.h>
#include <string.h>

static bool equal_fold(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (nu_fold((uint8_t)a[i]) != nu_fold((uint8_t)b[i]))
            return false;
    return true;
}

/* --- hosts --- */

/* Without ":port". An IPv6 address has its colons in brackets. */
static struct nu_text without_port(struct nu_text authority)
{
    const char *end;
    if (authority.len && *authority.at == '[') {
        end = memchr(authority.at, ']', authority.len);
        return end ? nu_text(authority.at, (size_t)(end - authority.at) + 1) : nu_text("", 0);
    }
    end = memchr(authority.at, ':', authority.len);
    return nu_text(authority.at, end ? (size_t)(end - authority.at) : authority.len);
}

static bool read_ip(struct nu_text text, struct route_host *out)
{
    char copy[INET6_ADDRSTRLEN];
    bool ip6 = text.len > 2 && *text.at == '[';
    if (ip6)
        text = nu_text(text.at + 1, text.len - 2);
    else if (text.len < 7 || text.at[0] > '9' || text.at[text.len - 1] > '9')
        return false;
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = 0;
    if (inet_pton(ip6 ? AF_INET6 : AF_INET, copy, out->ip) != 1)
        return false;
    out->ip_len = ip6 ? 16 : 4;
    return true;
}

/* Whether the text can be a name: else it is as if there was none. */
static bool has_labels(struct nu_text name)
{
    if (name.len == 0 || name.len > NU_DOMAIN_MAX_BYTES)
        return false;
    if (name.at[0] == '.' || name.at[name.len - 1] == '.')
        return false;
    return memmem(name.at, name.len, "..", 2) == NULL;
}

struct route_host route_host_of(struct nu_text authority)
{
    struct route_host host = {.name = authority.len ? without_port(authority) : nu_text("", 0)};
    if (host.name.len && host.name.at[host.name.len - 1] == '.')
        host.name.len--;
    if (!has_labels(host.name))
        host.name = nu_text("", 0);
    if (host.name.len)
        read_ip(host.name, &host);
    return host;
}

bool route_host_fits(const char *pattern, const struct route_host *host)
{
    size_t len = strlen(pattern);
    struct route_host other = {.name = nu_text(pattern, len)};
    if (strcmp(pattern, "*") == 0)
        return true;
    if (host->name.len == 0)
        return false;
    if (host->ip_len)
        return read_ip(other.name, &other) && other.ip_len == host->ip_len &&
               memcmp(other.ip, host->ip, host->ip_len) == 0;
    if (*pattern != '*')
        return len == host->name.len && equal_fold(pattern, host->name.at, len);
    len--; /* the suffix with its dot */
    return host->name.len > len &&
           equal_fold(pattern + 1, host->name.at + host->name.len - len, len);
}

/* --- requests --- */

struct route_view route_view_of(const struct nu_http_head *request)
{
    struct route_view view = route_view_bare(request);
    view.host = route_host_of(request->authority);
    return view;
}

struct route_view route_view_bare(const struct nu_http_head *request)
{
    struct route_view view = {.head = request, .method = request->method};
    struct nu_text path = request->path;
    const char *mark = path.len ? memchr(path.at, '?', path.len) : NULL;
    size_t len = mark ? (size_t)(mark - path.at) : path.len;
    view.path = nu_text(len ? path.at : "", len);
    view.query = mark ? nu_text(mark + 1, path.len - len - 1) : nu_text("", 0);
    /* An extended CONNECT (RFC 8441) is what GET with Upgrade is in HTTP/1. */
    view.connect = request->method_id == NU_METHOD_CONNECT && request->protocol.len == 0;
    if (request->method_id == NU_METHOD_CONNECT && request->protocol.len)
        view.method = NU_TEXT("GET");
    return view;
}

static bool any_host_fits(const struct route_match *match, const struct route_host *host)
{
    const char *const *hosts = match->hosts.items;
    for (size_t i = 0; i < match->hosts.count; i++)
        if (route_host_fits(hosts[i], host))
            return true;
    return match->hosts.count == 0;
}

bool route_path_fits(const struct route_match *match, const struct route_view *view)
{
    struct nu_text path = view->path;
    if (match->path)
        return nu_text_is(path, match->path);
    if (match->path_regex)
        return path.len && nu_regex_match(match->path_regex, path) == NU_REGEX_HIT;
    if (!match->path_prefix)
        return true;
    size_t len = strlen(match->path_prefix);
    return path.len >= len && memcmp(path.at, match->path_prefix, len) == 0;
}

static bool any_method_fits(const struct route_match *match, struct nu_text method)
{
    const char *const *methods = match->methods.items;
    for (size_t i = 0; i < match->methods.count; i++)
        if (nu_text_is(method, methods[i]))
            return true;
    return match->methods.count == 0;
}

static size_t first_bad_header(const struct route_match *match, const struct route_view *view)
{
    const struct route_value *values = match->headers.items;
    size_t i = 0;
    while (i < match->headers.count && route_header_fits(&values[i], view->head))
        i++;
    return i;
}

static size_t first_bad_parameter(const struct route_match *match, const struct route_view *view)
{
    const struct route_value *values = match->query.items;
    size_t i = 0;
    while (i < match->query.count && route_query_fits(&values[i], view->query))
        i++;
    return i;
}

bool route_rest_fits(const struct route *r, const struct route_view *view)
{
    const struct route_match *m = &r->match;
    return any_method_fits(m, view->method) && first_bad_header(m, view) == m->headers.count &&
           first_bad_parameter(m, view) == m->query.count;
}

enum route_part route_first_miss(const struct route *r, const struct route_view *view, size_t *at)
{
    const struct route_match *m = &r->match;
    *at = 0;
    if (r->route.connect != view->connect)
        return ROUTE_PART_CONNECT;
    if (!any_host_fits(m, &view->host))
        return ROUTE_PART_HOST;
    if (!route_path_fits(m, view))
        return ROUTE_PART_PATH;
    if (!any_method_fits(m, view->method))
        return ROUTE_PART_METHOD;
    *at = first_bad_header(m, view);
    if (*at < m->headers.count)
        return ROUTE_PART_HEADER;
    *at = first_bad_parameter(m, view);
    return *at < m->query.count ? ROUTE_PART_QUERY : ROUTE_PART_NONE;
}

const char *route_part_str(enum route_part part)
{
    static const char *const names[] = {"connect", "host",  "path", "method",
                                        "header",  "query", "none"};
    return (unsigned)part < sizeof names / sizeof *names ? names[part] : "?";
}
