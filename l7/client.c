/* Which version of HTTP a cluster's servers are spoken to in, and its options; see client.h. */
#include "l7/client.h"

#include "core/arena.h"
#include "core/assert.h"
#include "core/chain.h"
#include "l4/endpoint.h"
#include "l7/h1_client.h"
#include "l7/h2_client.h"

#include <string.h>

#define HTTP1_FOR_MS (5 * 60 * 1000) /* that a server which chose HTTP/1 is not asked again */

static const char *const protocols[] = {"http1", "http2", "auto", NULL};

const char *nu_client_protocol_str(enum nu_client_protocol protocol)
{
    nu_assert((unsigned)protocol < 3);
    return protocols[protocol];
}

const char *nu_client_answer_str(enum nu_client_answer answer)
{
    static const char *const names[] = {"ready", "wait", "full", "barred"};
    nu_assert((unsigned)answer < sizeof names / sizeof *names);
    return names[answer];
}

/* --- config --- */

/* ALPN is this key's to say. */
static enum nu_err check_alpn(struct nu_conf *conf, const struct nu_node *node, int protocol)
{
    const struct nu_node *tls = node->parent ? nu_node_get(node->parent, "tls") : NULL;
    const struct nu_node *alpn = tls ? nu_node_get(tls, "alpn") : NULL;
    if (protocol == NU_CLIENT_HTTP1 || !alpn)
        return NU_OK;
    nu_conf_error_key(conf, alpn, "\"alpn\" and \"protocol: %s\" exclude each other",
                      protocols[protocol]);
    return NU_ERR_CONFIG;
}

static enum nu_err parse_protocol(struct nu_conf *conf, struct nu_arena *arena,
                                  const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : "";
    *(int **)out = NULL;
    for (int i = 0; protocols[i]; i++)
        if (strcmp(text, protocols[i]) == 0) {
            int *protocol = nu_arena_alloc(arena, sizeof *protocol);
            *protocol = i;
            *(int **)out = protocol;
            return check_alpn(conf, node, i);
        }
    nu_conf_error(conf, node, "expected http1, http2 or auto");
    nu_conf_guess(conf, nu_did_you_mean(text, protocols, 3));
    return NU_ERR_CONFIG;
}

struct nu_ext nu_protocol_of_cluster = {
    .field = {.key = "protocol",
              .type = NU_CUSTOM,
              .parse = parse_protocol,
              .shown = "http1, http2 or auto",
              .fallback = "http1",
              .item = sizeof(int *),
              .doc = "What requests are sent in. `http2`: in clear text the servers are known to "
                     "speak it, under TLS they have to agree (ALPN). `auto`: as they choose under "
                     "TLS, HTTP/1 in clear text. WebSocket goes over HTTP/2 where the server "
                     "offers that (RFC 8441); else `auto` uses HTTP/1 for it, and `http2` answers "
                     "501. Health checks with `http` go the same way."}
};

#define AT(member) .offset = offsetof(struct nu_client_http2, member)
static const struct nu_field http2_fields[] = {
    {.key = "max_concurrent_streams",
     .type = NU_INT,
     AT(streams),
     .fallback = "100",
     .min = 1,
     .max = 100000,
     .doc = "Requests at once on a connection, where the server does not allow less; another is "
            "opened for the next."},
    {.key = "initial_stream_window",
     .type = NU_SIZE,
     AT(stream_window),
     .fallback = "64KiB",
     .min = 65535,
     .max = INT32_MAX,
     .doc = "Bytes of a response that a server may be ahead of its client, at first."},
    {.key = "max_stream_window",
     .type = NU_SIZE,
     AT(window_max),
     .fallback = "16MiB",
     .min = 65535,
     .max = INT32_MAX,
     .doc = "To which that grows where bandwidth and delay of the server's way need it, and the "
            "client takes as much."},
    {.key = "connection_window",
     .type = NU_SIZE,
     AT(conn_window),
     .fallback = "16MiB",
     .min = 65535,
     .max = INT32_MAX,
     .doc = "Bytes of all responses on the way at once."},
    {.key = "ping_interval",
     .type = NU_DURATION,
     AT(ping_interval_ms),
     .fallback = "0",
     .doc = "A connection with requests on it that has been silent for this long is asked for a "
            "sign of life; 0 = never."},
    {.key = "ping_timeout",
     .type = NU_DURATION,
     AT(ping_timeout_ms),
     .fallback = "10s",
     .min = 1,
     .doc = "Without one for this long, it is given up."},
    {0                   }
};
#undef AT

static void make_h2(struct nu_client_http2 *c)
{
    c->h2 = (struct nu_h2_conf){
        .limits = NU_H2_LIMITS_DEFAULT,
        .streams = (uint32_t)c->streams,
        .stream_window = (uint32_t)c->stream_window,
        .window_max = (uint32_t)c->window_max,
        .conn_window = (uint32_t)c->conn_window,
    };
}

static enum nu_err check_http2(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    make_h2(out);
    return NU_OK;
}

static const struct nu_schema http2_schema = {
    .name = "http2",
    .doc = "Connections to servers that speak HTTP/2.",
    .size = sizeof(struct nu_client_http2),
    .fields = http2_fields,
    .check = check_http2,
};

struct nu_ext nu_http2_of_cluster = {
    .field = {.key = "http2",
              .type = NU_OBJECT,
              .flags = NU_PTR,
              .sub = &http2_schema,
              .doc = "Options of connections that speak HTTP/2."}
};

const struct nu_client_http2 *nu_client_http2_of(const struct nu_cluster *cluster)
{
    static const struct nu_client_http2 defaults = {
        .ping_timeout_ms = 10 * 1000,
        .h2 = {.limits = NU_H2_LIMITS_DEFAULT,
               .streams = 100,
               .stream_window = 64 * 1024,
               .window_max = 16 << 20,
               .conn_window = 16 << 20},
    };
    const struct nu_client_http2 *conf = nu_ext_get(cluster->ext, &nu_http2_of_cluster);
    return conf ? conf : &defaults;
}

/* --- which --- */

/* Of a cluster with `auto`: whether to try HTTP/2. Who chose HTTP/1 lately will do so again, and
 * its connection would be of no use for this. */
static bool may_agree(const struct nu_filter *router, const struct nu_client_want *want)
{
    int64_t at = atomic_load_explicit(&want->endpoint->http1_ms, memory_order_relaxed);
    return want->cluster->near_count > 0 &&
           (at == 0 || nu_filter_loop(router)->now_ms - at > HTTP1_FOR_MS);
}

static enum nu_client_answer join_http1(struct nu_filter *router, const struct nu_client_want *want,
                                        bool *reused)
{
    nu_chain_facts_exchange(router->chain)->offer_alpn =
        want->cluster->near_count ? "http/1.1" : NULL;
    enum nu_client_answer answer = nu_h1_client_join(router, want, reused);
    nu_chain_facts_exchange(router->chain)->offer_alpn = NULL;
    return answer;
}

enum nu_client_answer nu_client_join(struct nu_filter *router, const struct nu_client_want *want,
                                     bool *reused)
{
    enum nu_client_protocol protocol = nu_client_protocol_of(want->cluster);
    enum nu_client_answer answer = NU_CLIENT_BARRED;
    if (protocol == NU_CLIENT_HTTP1)
        return nu_h1_client_join(router, want, reused);
    if (protocol == NU_CLIENT_HTTP2 || may_agree(router, want))
        answer = nu_h2_client_join(router, want, reused);
    if (protocol == NU_CLIENT_HTTP2 || answer != NU_CLIENT_BARRED)
        return answer;
    return join_http1(router, want, reused);
}
