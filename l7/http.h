/* http: the connection filter that turns a client's bytes into streams, and what its config says.
 *
 * Its instances are codecs (h1_server.c); each request is a chain of its own (stream.h). */
#ifndef NU_L7_HTTP_H
#define NU_L7_HTTP_H

#include "core/chain.h"
#include "core/conf/schema.h"
#include "core/stats.h"
#include "l7/forwarded.h"
#include "protocols/http/h1.h"
#include "protocols/http/path.h"
#include "protocols/http2/h2.h"

struct nu_access_log;
struct nu_routes;
struct nu_local_replies;

enum nu_http_stat {
    NU_HTTP_CX_TOTAL,
    NU_HTTP_CX_ACTIVE,
    NU_HTTP_CX_HTTP1_TOTAL,
    NU_HTTP_CX_HTTP1_ACTIVE,
    NU_HTTP_CX_HTTP2_TOTAL,
    NU_HTTP_CX_HTTP2_ACTIVE,
    NU_HTTP_CX_DESTROY,
    NU_HTTP_CX_DESTROY_ACTIVE_RQ,
    NU_HTTP_CX_IDLE_TIMEOUT,
    NU_HTTP_CX_PROTOCOL_ERROR,
    NU_HTTP_CX_DRAIN_CLOSE,
    NU_HTTP_CX_MAX_DURATION,
    NU_HTTP_CX_MAX_REQUESTS,
    NU_HTTP_CX_LENGTH_MS, /* histogram */
    NU_HTTP_CX_RX_BYTES,
    NU_HTTP_CX_TX_BYTES,
    NU_HTTP_RQ_TOTAL,
    NU_HTTP_RQ_HTTP1_TOTAL,
    NU_HTTP_RQ_HTTP2_TOTAL,
    NU_HTTP_RQ_ACTIVE,
    NU_HTTP_RQ_COMPLETED,
    NU_HTTP_RQ_1XX,
    NU_HTTP_RQ_2XX,
    NU_HTTP_RQ_3XX,
    NU_HTTP_RQ_4XX,
    NU_HTTP_RQ_5XX,
    NU_HTTP_RQ_HEADER_TIMEOUT,
    NU_HTTP_RQ_TIMEOUT,
    NU_HTTP_RQ_IDLE_TIMEOUT,
    NU_HTTP_RQ_TOO_LARGE,
    NU_HTTP_RQ_RX_RESET,
    NU_HTTP_RQ_TX_RESET,
    NU_HTTP_RQ_TIME_MS, /* histogram */
    NU_HTTP_NO_ROUTE,
    NU_HTTP_RQ_REDIRECT,
    NU_HTTP_RQ_DIRECT_RESPONSE,
    NU_HTTP_H2_FIRST, /* + enum nu_h2_count */
    NU_HTTP_STAT_COUNT = NU_HTTP_H2_FIRST + NU_H2_COUNTS
};
/* "http.<name>": enum nu_http_stat. */
extern const struct nu_stat_group nu_http_stats;

#define NU_HTTP_DISCARD_MAX                                                                        \
    (64 * 1024)                /* bytes read after an early response, so that it arrives           \
                                */
#define NU_HTTP_LINGER_MS 1000 /* for the same */

/* Which protocol clients speak: as they say it, or one only. */
enum nu_http_codec { NU_CODEC_AUTO, NU_CODEC_HTTP1, NU_CODEC_HTTP2 };
const char *nu_http_codec_str(enum nu_http_codec codec);

/* `http2: {...}` */
struct nu_http2_conf {
    int64_t streams, stream_window, window_max, conn_window;
    int64_t ping_interval_ms, ping_timeout_ms;
};

/* As parsed and prepared; lives with its chain's config. */
struct nu_http_conf {
    const char *name;
    int64_t headers_timeout_ms, request_timeout_ms, stream_idle_timeout_ms, idle_timeout_ms;
    int64_t tunnel_idle_timeout_ms;
    int64_t max_connection_ms, max_requests; /* of a connection; 0 = no limit */
    int64_t max_header_bytes, max_headers, max_body_bytes;
    int codec; /* enum nu_http_codec */
    struct nu_http2_conf http2;
    int slashes;        /* enum nu_slashes */
    bool merge_slashes; /* "//" is "/" */
    struct nu_forwarded_conf forwarded;
    struct nu_vec log_confs;               /* struct nu_access_log_conf */
    struct nu_vec routes_raw, replies_raw; /* nodes; this and the next while it is read */
    const struct nu_node *filter_list;

    /* --- prepared --- */
    struct nu_h1_limits limits;
    struct nu_h2_conf h2;
    struct nu_path_policy path;
    struct nu_stats *stats;
    struct nu_routes *routes;               /* NULL = none takes anything: the program's own */
    const struct nu_local_replies *replies; /* NULL = the built-in ones */
    struct nu_access_log *log;              /* NULL = none */
    const struct nu_place *places;          /* of a stream that no route took: stream_in, router */
    unsigned place_count;
};

extern const struct nu_filter_type nu_filter_http;

#endif
