/* Upgrades and CONNECT; see tunnel.h. */
#include "l7/tunnel.h"

#include "core/assert.h"
#include "core/chain.h"
#include "l7/route/route.h"
#include "l7/stream.h"
#include "protocols/ws/handshake.h"

#include <strings.h>
#include <sys/random.h>

static const char websocket[] = "websocket";

static bool is_websocket(const struct nu_http_head *head)
{
    return nu_text_is_fold(head->upgrade, websocket);
}

static bool allows_upgrade(const struct nu_route *route, struct nu_text protocol)
{
    if (nu_text_is_fold(protocol, websocket))
        return route->websocket;
    for (const char *const *other = route->upgrades; other && *other; other++)
        if (nu_text_is_fold(protocol, *other))
            return true;
    return false;
}

/* The first protocol among those offered that the route allows, or an empty text. */
static struct nu_text choose_upgrade(const struct nu_route *route, struct nu_text offered)
{
    struct nu_text token;
    while (nu_http_list_next(&offered, &token))
        if (allows_upgrade(route, token))
            return token;
    return nu_text("", 0);
}

static void judge_websocket(struct nu_stream *s)
{
    enum nu_ws_fault fault = nu_ws_judge_request(s->request);
    if (!fault || s->status)
        return;
    s->status = (uint16_t)nu_ws_fault_status(fault);
    s->details = nu_ws_fault_str(fault);
    nu_stream_flag(s, NU_FLAG_CLIENT_ERROR);
}

static void refuse_protocol(struct nu_stream *s)
{
    if (s->status)
        return;
    s->status = 501;
    s->details = "upgrade_not_allowed";
}

/* A server may ignore an Upgrade (RFC 9110 7.8), and so do we where it is not allowed. */
void nu_tunnel_decide(struct nu_stream *s)
{
    struct nu_http_head *head = s->request;
    bool cluster = s->route && s->route->kind == NU_ROUTE_CLUSTER;
    bool elsewhere = !s->route || s->route->kind == NU_ROUTE_REDIRECT;
    if (head->method_id == NU_METHOD_CONNECT) {
        s->tunnel = cluster && s->route->connect;
    } else if (head->upgrade.len > 0 && head->body == NU_BODY_NONE && cluster) {
        head->upgrade = choose_upgrade(s->route, head->upgrade);
        s->tunnel = head->upgrade.len > 0;
    }
    if (!s->tunnel)
        head->upgrade = nu_text("", 0);
    else if (is_websocket(head))
        judge_websocket(s);
    if (!s->tunnel && head->protocol.len > 0 && !elsewhere)
        refuse_protocol(s);
}

void nu_tunnel_ask(struct nu_http_head *request)
{
    uint8_t nonce[16];
    char key[NU_WS_KEY_LEN];
    if (!is_websocket(request) || nu_http_get(request, NU_HDR_WS_KEY))
        return;
    nu_assert(getrandom(nonce, sizeof nonce, 0) == sizeof nonce); /* so few come whole */
    nu_ws_key(nonce, key);
    nu_http_add_known(request, NU_HDR_WS_KEY, nu_text(key, sizeof key));
}

bool nu_tunnel_is_granted(const struct nu_http_head *request, const struct nu_http_head *response)
{
    if (response->status != 101)
        return request->protocol.len == 0 || response->status / 100 != 2;
    if (is_websocket(request))
        return nu_ws_is_granted(response, nu_http_value(request, NU_HDR_WS_KEY));
    return request->upgrade.len == response->upgrade.len &&
           strncasecmp(request->upgrade.at, response->upgrade.at, request->upgrade.len) == 0;
}

void nu_tunnel_pass(struct nu_filter *f)
{
    nu_narrow(f, NU_FWD, NU_SEES(NU_END));
    nu_narrow(f, NU_REV, NU_SEES(NU_END));
}

void nu_tunnel_answer(const struct nu_stream *s, struct nu_http_head *response)
{
    char accept[NU_WS_ACCEPT_LEN];
    struct nu_text key = nu_http_value(s->request, NU_HDR_WS_KEY);
    if (s->details == nu_ws_fault_str(NU_WS_VERSION) && response->status == 426) {
        nu_http_set_known(response, NU_HDR_WS_VERSION, NU_TEXT("13"));
        response->upgrade = NU_TEXT("websocket");
    } else if (response->status == 101 && is_websocket(s->request) && nu_ws_is_key(key) &&
               !nu_http_get(response, NU_HDR_WS_ACCEPT)) {
        nu_ws_accept(key, accept);
        nu_http_add_known(response, NU_HDR_WS_ACCEPT, nu_text(accept, sizeof accept));
    }
}
