/* The config of `http` filters: schema, what is prepared from it, and its logs; see http_conf.h. */
#include "l7/http_conf.h"

#include "core/assert.h"
#include "core/generation.h"
#include "core/list.h"
#include "l4/access_log.h"
#include "l4/cluster_ref.h"
#include "l7/local_reply.h"
#include "l7/log_ops.h"
#include "l7/route/route.h"
#include "l7/router.h"
#include "l7/stream_in.h"

#define HEAD_BYTES_LEAST 1024          /* what a browser sends to a host without cookies */
#define HEAD_BYTES_MOST  (1024 * 1024) /* of each connection that is reading one */
#define FIELDS_MOST      1000
#define STREAMS_MOST     1000               /* of one connection; a request takes some 5 KiB */
#define WINDOW_LEAST     (64 * 1024)        /* what every connection begins with (RFC 9113 6.9.2) */
#define WINDOW_MOST      (16 * 1024 * 1024) /* bytes that one client can make us keep */

/* Those whose logs may have to be opened: of all generations that are still there. */
struct opened {
    struct nu_list link;
    struct nu_access_log *log;
};
static struct nu_list logs = {&logs, &logs};

#define H2_STAT(what, name, doc)                                                                   \
    [NU_HTTP_H2_FIRST + (what)] = {"http2." name, NU_COUNTER, NULL, doc}
#define H2_FLOOD(id, name, burst, rate, doc)                                                       \
    H2_STAT(NU_H2_COUNT_FLOOD + NU_H2_FLOOD_##id, name "_flood",                                   \
            "Connections ended for too many of these: " doc "."),

static const struct nu_stat_def defs[NU_HTTP_STAT_COUNT] = {
    [NU_HTTP_CX_TOTAL] = {"downstream_cx_total",                NU_COUNTER,   NULL,    "Connections."                    },
    [NU_HTTP_CX_ACTIVE] = {"downstream_cx_active",               NU_GAUGE,     NULL,    "Connections now."                },
    [NU_HTTP_CX_HTTP1_TOTAL] = {"downstream_cx_http1_total",          NU_COUNTER,   NULL,
                          "Connections that speak HTTP/1."                                                               },
    [NU_HTTP_CX_HTTP1_ACTIVE] = {"downstream_cx_http1_active",         NU_GAUGE,     NULL,
                          "Connections now that speak HTTP/1."                                                           },
    [NU_HTTP_CX_HTTP2_TOTAL] = {"downstream_cx_http2_total",          NU_COUNTER,   NULL,
                          "Connections that speak HTTP/2."                                                               },
    [NU_HTTP_CX_HTTP2_ACTIVE] = {"downstream_cx_http2_active",         NU_GAUGE,     NULL,
                          "Connections now that speak HTTP/2."                                                           },
    [NU_HTTP_CX_DESTROY] = {"downstream_cx_destroy",              NU_COUNTER,   NULL,    "Connections closed."             },
    [NU_HTTP_CX_DESTROY_ACTIVE_RQ] = {"downstream_cx_destroy_active_rq",    NU_COUNTER,   NULL,
                          "Connections closed in the midst of a request."                                                },
    [NU_HTTP_CX_IDLE_TIMEOUT] = {"downstream_cx_idle_timeout",         NU_COUNTER,   NULL,
                          "Connections closed for lack of requests."                                                     },
    [NU_HTTP_CX_PROTOCOL_ERROR] = {"downstream_cx_protocol_error",       NU_COUNTER,   NULL,
                          "Connections whose client broke the protocol."                                                 },
    [NU_HTTP_CX_DRAIN_CLOSE] = {"downstream_cx_drain_close",          NU_COUNTER,   NULL,
                          "Connections closed because of a drain."                                                       },
    [NU_HTTP_CX_MAX_DURATION] =
        {"downstream_cx_max_duration_reached", NU_COUNTER,   NULL,
                          "Connections that took no more requests after max_connection_duration."                        },
    [NU_HTTP_CX_MAX_REQUESTS] =
        {"downstream_cx_max_requests_reached", NU_COUNTER,   NULL,
                          "Connections that took no more requests after max_requests_per_connection."                    },
    [NU_HTTP_CX_LENGTH_MS] = {"downstream_cx_length_ms",            NU_HISTOGRAM, "ms",
                          "Life of a connection."                                                                        },
    [NU_HTTP_CX_RX_BYTES] = {"downstream_cx_rx_bytes_total",       NU_COUNTER,   "bytes",
                          "Received from clients."                                                                       },
    [NU_HTTP_CX_TX_BYTES] = {"downstream_cx_tx_bytes_total",       NU_COUNTER,   "bytes",
                          "Sent to clients."                                                                             },
    [NU_HTTP_RQ_TOTAL] = {"downstream_rq_total",                NU_COUNTER,   NULL,    "Requests."                       },
    [NU_HTTP_RQ_HTTP1_TOTAL] = {"downstream_rq_http1_total",          NU_COUNTER,   NULL,
                          "Requests of HTTP/1."                                                                          },
    [NU_HTTP_RQ_HTTP2_TOTAL] = {"downstream_rq_http2_total",          NU_COUNTER,   NULL,
                          "Requests of HTTP/2."                                                                          },
    [NU_HTTP_RQ_ACTIVE] = {"downstream_rq_active",               NU_GAUGE,     NULL,    "Requests now."                   },
    [NU_HTTP_RQ_COMPLETED] = {"downstream_rq_completed",            NU_COUNTER,   NULL,
                          "Requests that got a final response."                                                          },
    [NU_HTTP_RQ_1XX] = {"downstream_rq_1xx",                  NU_COUNTER,   NULL,    "Responses 100 to 199."           },
    [NU_HTTP_RQ_2XX] = {"downstream_rq_2xx",                  NU_COUNTER,   NULL,    "Responses 200 to 299."           },
    [NU_HTTP_RQ_3XX] = {"downstream_rq_3xx",                  NU_COUNTER,   NULL,    "Responses 300 to 399."           },
    [NU_HTTP_RQ_4XX] = {"downstream_rq_4xx",                  NU_COUNTER,   NULL,    "Responses 400 to 499."           },
    [NU_HTTP_RQ_5XX] = {"downstream_rq_5xx",                  NU_COUNTER,   NULL,    "Responses 500 to 599."           },
    [NU_HTTP_RQ_HEADER_TIMEOUT] = {"downstream_rq_header_timeout",       NU_COUNTER,   NULL,
                          "Requests whose head took longer than headers_timeout."                                        },
    [NU_HTTP_RQ_TIMEOUT] = {"downstream_rq_timeout",              NU_COUNTER,   NULL,
                          "Requests that took longer than request_timeout."                                              },
    [NU_HTTP_RQ_IDLE_TIMEOUT] = {"downstream_rq_idle_timeout",         NU_COUNTER,   NULL,
                          "Requests on which nothing moved for stream_idle_timeout."                                     },
    [NU_HTTP_RQ_TOO_LARGE] = {"downstream_rq_too_large",            NU_COUNTER,   NULL,
                          "Requests whose body is over max_body_bytes."                                                  },
    [NU_HTTP_RQ_RX_RESET] = {"downstream_rq_rx_reset",             NU_COUNTER,   NULL,
                          "Requests that the client gave up."                                                            },
    [NU_HTTP_RQ_TX_RESET] = {"downstream_rq_tx_reset",             NU_COUNTER,   NULL,
                          "Requests that were cut from this side."                                                       },
    [NU_HTTP_RQ_TIME_MS] = {"downstream_rq_time",                 NU_HISTOGRAM, "ms",
                          "Time from a request's head to its end."                                                       },
    [NU_HTTP_NO_ROUTE] = {"no_route",                           NU_COUNTER,   NULL,    "Requests that no route takes."   },
    [NU_HTTP_RQ_REDIRECT] = {"rq_redirect",                        NU_COUNTER,   NULL,    "Requests answered by a redirect."},
    [NU_HTTP_RQ_DIRECT_RESPONSE] = {"rq_direct_response",                 NU_COUNTER,   NULL,
                          "Requests answered by `respond`."                                                              },
    NU_H2_FLOOD_LIST(H2_FLOOD)
        H2_STAT(NU_H2_COUNT_OUTBOUND_FLOOD, "outbound_flood",
                "Connections ended because too many frames waited for a client that takes none."),
    H2_STAT(NU_H2_COUNT_RX_RESET, "rx_reset", "RST_STREAM received."),
    H2_STAT(NU_H2_COUNT_TX_RESET, "tx_reset", "RST_STREAM sent, but for refused streams."),
    H2_STAT(NU_H2_COUNT_TX_GOAWAY, "goaway_sent", "GOAWAY sent."),
    H2_STAT(NU_H2_COUNT_RX_MESSAGING_ERROR, "rx_messaging_error",
            "Requests that break the rules of HTTP/2."),
    H2_STAT(NU_H2_COUNT_HEADER_OVERFLOW, "header_overflow",
            "Heads over max_header_bytes or max_headers."),
    H2_STAT(NU_H2_COUNT_REFUSED, "refused_streams",
            "Streams refused for being more than max_concurrent_streams."),
    H2_STAT(NU_H2_COUNT_CONTINUATION, "continuation_flood",
            "Connections ended for a head in too many CONTINUATION frames."),
    H2_STAT(NU_H2_COUNT_BOMB, "header_bomb",
            "Connections ended for a head that decodes to far more than max_header_bytes."),
    H2_STAT(NU_H2_COUNT_NO_NAME, "zero_length_header",
            "Header fields without a name; the request is reset."),
    H2_STAT(NU_H2_COUNT_TX_FLUSH, "tx_flush_timeout",
            "Streams reset because their client took none of what was to be sent."),
    H2_STAT(NU_H2_COUNT_KEEPALIVE, "keepalive_timeout",
            "Connections closed because a PING was not answered within ping_timeout."),
    H2_STAT(NU_H2_COUNT_TRAILERS, "trailers", "Trailers received."),
};

const struct nu_stat_group nu_http_stats =
    NU_STAT_GROUP("http.<name>", "An http filter, of all workers.", defs);

static const char *const codecs[] = {"auto", "http1", "http2", NULL};
static const char *const slashes[] = {"keep", "decode", "reject", NULL};

/* Routes and replies are read when all that they name is known. */
static enum nu_err parse_later(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    *(const struct nu_node **)out = node;
    return node->broken ? NU_ERR_CONFIG : NU_OK;
}

#define AT(member) .offset = offsetof(struct nu_http_conf, member)

#define AT2(member) .offset = offsetof(struct nu_http2_conf, member)

static const struct nu_field http2_fields[] = {
    {.key = "max_concurrent_streams",
     .type = NU_INT,
     AT2(streams),
     .fallback = "100",
     .min = 1,
     .max = STREAMS_MOST,
     .doc = "Requests of one connection at once; more are refused, and may be sent again."},
    {.key = "initial_stream_window",
     .type = NU_SIZE,
     AT2(stream_window),
     .fallback = "64KiB",
     .min = WINDOW_LEAST,
     .max = WINDOW_MOST,
     .doc = "Bytes that a request's body may be ahead of the server that takes it, at first."},
    {.key = "max_stream_window",
     .type = NU_SIZE,
     AT2(window_max),
     .fallback = "4MiB",
     .min = WINDOW_LEAST,
     .max = WINDOW_MOST,
     .doc = "To which that grows where bandwidth and delay of the client's way need it, and the "
            "server takes as much."},
    {.key = "connection_window",
     .type = NU_SIZE,
     AT2(conn_window),
     .fallback = "4MiB",
     .min = WINDOW_LEAST,
     .max = WINDOW_MOST,
     .doc = "Bytes of all requests' bodies that may be on their way from the client at once."},
    {.key = "ping_interval",
     .type = NU_DURATION,
     AT2(ping_interval_ms),
     .fallback = "0",
     .doc = "A client that has been silent for this long is asked for a sign of life, with or "
            "without a request; 0 = never."},
    {.key = "ping_timeout",
     .type = NU_DURATION,
     AT2(ping_timeout_ms),
     .fallback = "10s",
     .min = 1,
     .doc = "Without one for this long, its connection is closed."},
    {0                                                                  }
};

static const struct nu_schema http2_schema = {
    .name = "http2",
    .doc = "HTTP/2 with clients.",
    .size = sizeof(struct nu_http2_conf),
    .fields = http2_fields,
};

static const struct nu_field fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     AT(name),
     .fallback = "ingress",
     .doc = "Prefix of its stats, http.<name>.*."},
    {.key = "headers_timeout",
     .type = NU_DURATION,
     AT(headers_timeout_ms),
     .fallback = "10s",
     .doc = "For a request's head to be complete: from the accept, later from its first byte; 0 = "
            "no limit."},
    {.key = "request_timeout",
     .type = NU_DURATION,
     AT(request_timeout_ms),
     .fallback = "0",
     .doc = "For a request's body to be complete, from its head on; 0 = no limit."},
    {.key = "stream_idle_timeout",
     .type = NU_DURATION,
     AT(stream_idle_timeout_ms),
     .fallback = "5m",
     .doc = "A request on which no byte moves for this long is given up; 0 = never."},
    {.key = "tunnel_idle_timeout",
     .type = NU_DURATION,
     AT(tunnel_idle_timeout_ms),
     .fallback = "1h",
     .doc = "The same for what is no request any more: WebSocket, other upgrades, CONNECT."},
    {.key = "idle_timeout",
     .type = NU_DURATION,
     AT(idle_timeout_ms),
     .fallback = "1h",
     .doc = "A connection without a request for this long is closed; 0 = never."},
    {.key = "max_connection_duration",
     .type = NU_DURATION,
     AT(max_connection_ms),
     .fallback = "0",
     .doc = "A connection this old, or up to a tenth less by chance, takes no more requests: "
            "HTTP/2 is told so by GOAWAY, HTTP/1 by `Connection: close` in the next response. What "
            "is under way, and tunnels, go on; 0 = any age."},
    {.key = "max_requests_per_connection",
     .type = NU_INT,
     AT(max_requests),
     .fallback = "0",
     .max = UINT32_MAX,
     .doc = "After so many a connection takes no more requests, and is told so in the same way; 0 "
            "= any number."},
    {.key = "max_header_bytes",
     .type = NU_SIZE,
     AT(max_header_bytes),
     .fallback = "60KiB",
     .min = HEAD_BYTES_LEAST,
     .max = HEAD_BYTES_MOST,
     .doc = "Bytes of a request's head, beyond which it is answered with 431."},
    {.key = "max_headers",
     .type = NU_INT,
     AT(max_headers),
     .fallback = "100",
     .min = 1,
     .max = FIELDS_MOST,
     .doc = "Fields of a request's head, beyond which it is answered with 431."},
    {.key = "max_body_bytes",
     .type = NU_SIZE,
     AT(max_body_bytes),
     .fallback = "0",
     .doc = "Bytes of a request's body, beyond which it is answered with 413; 0 = any number."},
    {.key = "codec",
     .type = NU_ENUM,
     AT(codec),
     .choices = codecs,
     .fallback = "auto",
     .doc =
         "What clients speak. With `auto` HTTP/2 where TLS agreed on `h2` (list it in the chain's "
         "`tls.alpn`), or where nothing was agreed on and the connection begins as HTTP/2 does; "
         "else HTTP/1. An Upgrade to h2c is ignored."},
    {.key = "http2",
     .type = NU_OBJECT,
     AT(http2),
     .sub = &http2_schema,
     .doc = "Limits of HTTP/2 connections."},
    {.key = "escaped_slashes",
     .type = NU_ENUM,
     AT(slashes),
     .choices = slashes,
     .fallback = "keep",
     .doc =
         "What becomes of %2F in a path: it stays, becomes a slash, or is refused with 400; with "
         "`reject` %5C as well."},
    {.key = "merge_slashes",
     .type = NU_BOOL,
     AT(merge_slashes),
     .fallback = "false",
     .doc = "Takes several slashes in a row for one."},
    NU_FORWARDED_FIELDS(struct nu_http_conf, forwarded),
    {.key = "access_log",
     .type = NU_OBJECT,
     .flags = NU_LIST,
     AT(log_confs),
     .sub = &nu_access_log_schema,
     .doc = "A line for each request."},
    {.key = "local_replies",
     .type = NU_CUSTOM,
     .flags = NU_LIST,
     AT(replies_raw),
     .parse = parse_later,
     .sub = &nu_local_reply_schema,
     .shown = "map",
     .item = sizeof(const struct nu_node *),
     .doc = "Bodies, statuses and headers of the answers that are the proxy's own; the first that "
            "fits."},
    {.key = "filters",
     .type = NU_NODE,
     AT(filter_list),
     .shown = "list of filters",
     .doc =
         "HTTP filters that each request passes on its way, first to last, and its response back. "
         "The router comes last by itself."},
    {.key = "routes",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_REQUIRED | NU_NONEMPTY,
     AT(routes_raw),
     .parse = parse_later,
     .sub = &nu_route_schema,
     .shown = "map",
     .item = sizeof(const struct nu_node *),
     .doc = "Where requests go; the first match wins."},
    {0  }
};

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    const struct nu_http_conf *c = out;
    return nu_forwarded_check(conf, node, &c->forwarded);
}

const struct nu_schema nu_http_schema = {
    .name = "http",
    .doc =
        "Ends a chain: reads HTTP requests, and sends each where the first route that matches "
        "says. Speaks HTTP/1.0, 1.1 and 2 with clients; keeps connections to servers for the next "
        "request.",
    .size = sizeof(struct nu_http_conf),
    .fields = fields,
    .check = check,
};

const char *nu_http_codec_str(enum nu_http_codec codec)
{
    nu_assert((unsigned)codec <= NU_CODEC_HTTP2);
    return codecs[codec];
}

/* --- what is prepared --- */

static void put_log(void *ctx)
{
    struct opened *o = ctx;
    nu_list_del(&o->link);
    nu_access_log_put(o->log);
}

static void make_log(struct nu_http_conf *c, struct nu_arena *arena)
{
    c->log = nu_access_log_new_as(&c->log_confs, &nu_http_log_defaults);
    if (!c->log)
        return;
    struct opened *o = nu_arena_alloc(arena, sizeof *o);
    o->log = c->log;
    nu_list_add_tail(&logs, &o->link);
    nu_arena_on_free(arena, put_log, o);
}

enum nu_err nu_http_logs_open(struct nu_conf *conf)
{
    enum nu_err err = NU_OK;
    nu_list_each (node, &logs)
        if (nu_access_log_open(nu_container(node, struct opened, link)->log, conf) != NU_OK)
            err = NU_ERR_CONFIG;
    return err;
}

static void make_limits(struct nu_http_conf *c)
{
    c->limits = (struct nu_h1_limits)NU_H1_LIMITS_DEFAULT;
    c->limits.head_bytes = (uint32_t)c->max_header_bytes;
    c->limits.fields = (uint32_t)c->max_headers;
    c->limits.body_bytes = (uint64_t)c->max_body_bytes;
    c->h2 = (struct nu_h2_conf){
        .limits = NU_H2_LIMITS_DEFAULT,
        .streams = (uint32_t)c->http2.streams,
        .stream_window = (uint32_t)c->http2.stream_window,
        .window_max = (uint32_t)c->http2.window_max,
        .conn_window = (uint32_t)c->http2.conn_window,
    };
    c->h2.limits.head_bytes = (uint32_t)c->max_header_bytes;
    c->h2.limits.fields = (uint32_t)c->max_headers;
    c->h2.limits.body_bytes = (uint64_t)c->max_body_bytes;
    c->path = (struct nu_path_policy){.slashes = (uint8_t)c->slashes, .merge = c->merge_slashes};
}

enum nu_err nu_http_prepare(struct nu_generation *gen, struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *node, void *parsed)
{
    static const struct nu_place ends[] = {
        {&nu_stream_in, NULL},
        {&nu_router,    NULL}
    };
    struct nu_http_conf *c = parsed;
    c->places = ends;
    c->place_count = 2;
    make_limits(c);
    enum nu_err routes = nu_routes_build(gen, conf, arena, nu_node_get(node, "routes"),
                                         c->filter_list, &ends[0], &ends[1], &c->routes);
    enum nu_err replies =
        nu_local_replies_parse(conf, arena, nu_node_get(node, "local_replies"), &c->replies);
    if (routes || replies)
        return NU_ERR_CONFIG;
    c->stats = nu_stats_hold(&nu_http_stats, nu_arena_printf(arena, "http.%s", c->name), arena);
    make_log(c, arena);
    return NU_OK;
}
