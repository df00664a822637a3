/* Who may ask the admin; see admin_guard.h.
 *
 * A page of another site can have a browser send requests here, without seeing the answers: those
 * carry an Origin, or Sec-Fetch-Site, that is not ours. It could see the answers if its own name
 * led here (DNS rebinding): then Host is that name. */
#include "tools/nuncio/admin_guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 64 /* bytes of "localhost" or an IP address, with brackets and port */

static bool is_loopback(const struct nu_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};
    return addr->kind == NU_ADDR_IP4   ? addr->ip[0] == 127
           : addr->kind == NU_ADDR_IP6 ? memcmp(addr->ip, one, sizeof one) == 0
                                       : false;
}

static bool is_localhost(const char *host)
{
    static const char *const names[] = {"localhost", "localhost."};
    size_t len = strcspn(host, ":");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncasecmp(host, names[i], len) == 0)
            return true;
    return false;
}

/* Clients of HTTP/1.0 may name none; browsers always do. */
static bool is_our_host(struct nu_text authority)
{
    char host[HOST_MAX];
    struct nu_addr addr;
    if (authority.len == 0)
        return true;
    if (authority.len >= sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)authority.len, authority.at);
    return is_localhost(host) || (nu_addr_parse(&addr, host, 0) == NU_OK && is_loopback(&addr));
}

static bool is_our_origin(struct nu_text origin, struct nu_text authority)
{
    static const char scheme[] = "http://";
    size_t len = sizeof scheme - 1;
    return authority.len > 0 && origin.len == len + authority.len &&
           memcmp(origin.at, scheme, len) == 0 &&
           strncasecmp(origin.at + len, authority.at, authority.len) == 0;
}

/* "none" is what somebody typed or opened from a bookmark. */
static bool is_our_site(struct nu_text site)
{
    return nu_text_is(site, "same-origin") || nu_text_is(site, "none");
}

const char *nu_admin_guard(const struct nu_http_head *request, const struct nu_addr *local)
{
    const struct nu_http_field *field = nu_http_get(request, NU_HDR_ORIGIN);
    if (local->kind != NU_ADDR_UNIX && !is_our_host(request->authority))
        return "the Host is neither localhost nor a loopback address";
    for (; field; field = nu_http_next(request, field))
        if (!is_our_origin(nu_http_field_value(field), request->authority))
            return "it comes from a page of another origin";
    field = nu_http_find(request, NU_TEXT("sec-fetch-site"));
    for (; field; field = nu_http_next(request, field))
        if (!is_our_site(nu_http_field_value(field)))
            return "it comes from a page of another site";
    return NULL;
}
