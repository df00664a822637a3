/* Hosts: the one of the target, the one of Host, and that they agree (RFC 9112 3.2, RFC 9110 4.2
 * and 7.2). */
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"

#include <arpa/inet.h>

#define PORT_NONE (-1)

/* *DIGIT: none at all is as if there was no colon. */
static bool read_port(struct nu_text text, int *port)
{
    int value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!ch_is(text.at[i], CH_DIGIT))
            return false;
        value = value * 10 + (text.at[i] - '0');
        if (value > UINT16_MAX)
            return false;
    }
    *port = text.len ? value : PORT_NONE;
    return true;
}

static bool escapes_whole(struct nu_text host)
{
    for (size_t i = ch_before(host.at, host.len, '%'); i < host.len; i++)
        if (host.at[i] == '%' &&
            (host.len - i < 3 || !ch_is(host.at[i + 1], CH_HEX) || !ch_is(host.at[i + 2], CH_HEX)))
            return false;
    return true;
}

/* "[" IPv6 "]"; no zone, no IPvFuture. The length, or 0. */
static size_t literal(struct nu_text text)
{
    char ip[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    size_t len = ch_before(text.at, text.len, ']');
    if (len == text.len || len - 1 >= sizeof ip)
        return 0;
    memcpy(ip, text.at + 1, len - 1);
    ip[len - 1] = 0;
    return inet_pton(AF_INET6, ip, bytes) == 1 ? len + 1 : 0;
}

/* reg-name: most have only what is unreserved, where no escape need be looked for. The length, or
 * 0.
 */
static size_t reg_name(struct nu_text text)
{
    size_t len = text.len ? ch_unreserved(text.at, text.len) : 0; /* nothing may be NULL */
    if (len == text.len || !ch_is(text.at[len], CH_HOST))
        return len;
    len += ch_span(text.at + len, text.len - len, CH_HOST);
    return escapes_whole(nu_text(text.at, len)) ? len : 0;
}

bool h1_authority(struct nu_text text, struct h1_authority *out)
{
    size_t len = text.len && *text.at == '[' ? literal(text) : reg_name(text);
    out->port = PORT_NONE;
    out->host = nu_text(text.at, len);
    if (len == 0)
        return false;
    if (len == text.len)
        return true;
    return text.at[len] == ':' &&
           read_port(nu_text(text.at + len + 1, text.len - len - 1), &out->port);
}

bool nu_http_is_host_port(struct nu_text text)
{
    struct h1_authority authority;
    return h1_authority(text, &authority) && authority.port > 0;
}

/* The port that the scheme means where none is given. */
static int port_of(const struct nu_http_head *head, int port)
{
    if (port != PORT_NONE || head->scheme.len == 0)
        return port;
    return head->scheme.len == 5 ? 443 : 80;
}

/* Names in any case; for CONNECT, which always names a port, Host may leave it out. */
static bool agree(const struct nu_http_head *head, const struct h1_authority *target,
                  const struct h1_authority *host)
{
    if (target->host.len != host->host.len ||
        !ch_equal_fold(target->host.at, host->host.at, host->host.len))
        return false;
    if (head->form == NU_FORM_AUTHORITY && host->port == PORT_NONE)
        return true;
    return port_of(head, target->port) == port_of(head, host->port);
}

static enum nu_h1_error judge_target(const struct nu_http_head *head, struct h1_authority *target)
{
    if (!h1_authority(head->authority, target))
        return NU_H1_AUTHORITY;
    return head->form == NU_FORM_AUTHORITY && target->port <= 0 ? NU_H1_AUTHORITY : NU_H1_FINE;
}

enum nu_h1_error h1_judge_host(struct nu_http_head *head)
{
    struct h1_authority target = {0}, host = {0};
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_HOST);
    bool named = head->form == NU_FORM_ABSOLUTE || head->form == NU_FORM_AUTHORITY;
    enum nu_h1_error error = named ? judge_target(head, &target) : NU_H1_FINE;
    if (error)
        return error;
    if (!field)
        return head->version == NU_HTTP_1_1 ? NU_H1_HOST_MISSING : NU_H1_FINE;
    if (nu_http_next(head, field))
        return NU_H1_HOST_MANY;
    if (!h1_authority(nu_http_field_value(field), &host))
        return NU_H1_HOST;
    if (!named)
        head->authority = nu_http_field_value(field);
    return !named || agree(head, &target, &host) ? NU_H1_FINE : NU_H1_HOST_DIFFERS;
}
