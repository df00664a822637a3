/* Access log operators of HTTP, by Envoy's names and meanings. The subject is the chain of a
 * stream; of chains without one l4 tells what it knows of their connection. What it lacks is absent
 * ("-", null). Workers, once a request, and where a config edits headers by them. */
#include "l7/log_ops.h"

#include "core/chain.h"
#include "l7/grpc.h"
#include "l7/log_field.h"
#include "l7/route/route.h"
#include "l7/stream.h"

#include <string.h>

#define OP_ARGS struct nu_logbuf *out, const void *subject, const void *arg

/* Accessors make what is missing, so they want the chain writable. */
static const struct nu_stream *stream_of(const void *subject)
{
    return nu_facts_exchange(nu_chain_facts((struct nu_chain *)subject))->stream;
}

static bool has_stream(const void *subject)
{
    return stream_of(subject) != NULL;
}

static bool put_text(struct nu_logbuf *out, struct nu_text text)
{
    nu_logbuf_add(out, text.at, text.len);
    return text.len > 0;
}

/* --- heads --- */

/* Its route may send the server another path than the client's. */
static struct nu_text request_value(const struct nu_stream *s, const void *arg)
{
    bool rewritten = s && s->route && s->route->rewrite;
    return s ? lf_request_value(arg, s->request, rewritten) : nu_text("", 0);
}

static bool request_field(OP_ARGS)
{
    return put_text(out, request_value(stream_of(subject), arg));
}

static bool request_field_no_query(OP_ARGS)
{
    struct nu_text value = request_value(stream_of(subject), arg);
    const char *query = value.len ? memchr(value.at, '?', value.len) : NULL;
    return put_text(out, nu_text(value.at, query ? (size_t)(query - value.at) : value.len));
}

/* From the end of the request to the head of the response, as Envoy has it; 0 or more, -1 = not
 * known. */
static int64_t service_ms(const struct nu_stream *s)
{
    bool known = !s->local && s->request_ms && s->first_byte_ms >= s->request_ms;
    return known ? s->first_byte_ms - s->request_ms : -1;
}

static bool upstream_service_ms(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    nu_logbuf_i64(out, s ? service_ms(s) : 0);
    return s && service_ms(s) >= 0;
}

/* x-envoy-upstream-service-time is Envoy's own word for what we know without a header. */
static bool response_field(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    if (!s || !s->response)
        return false;
    if (lf_is_service_time(arg) && service_ms(s) >= 0) {
        nu_logbuf_i64(out, service_ms(s));
        return true;
    }
    return put_text(out, lf_value(arg, s->response));
}

static bool trailer(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    return s && s->trailers && put_text(out, lf_value(arg, s->trailers));
}

static bool protocol(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    if (!s)
        return false;
    nu_logbuf_str(out, nu_http_version_str((enum nu_http_version)s->request->version));
    return true;
}

/* Of the response; there is none where no server answered. */
static bool upstream_protocol(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    if (!s || !s->response || s->local)
        return false;
    nu_logbuf_str(out, nu_http_version_str((enum nu_http_version)s->response->version));
    return true;
}

static bool query_param(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    return s && put_text(out, lf_query(arg, s->request->path));
}

/* --- how it went --- */

static bool code(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    nu_logbuf_u64(out, s->response ? s->response->status : 0);
    return true;
}

/* Why the response is what it is; blanks become "_", as in Envoy. */
static bool details(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    const char *text = s->details;
    if (!text && s->response && !s->local)
        text = "via_upstream";
    for (const char *p = text ? text : ""; *p; p++)
        nu_logbuf_char(out, *p == ' ' || *p == '\t' || *p == '\n' ? '_' : *p);
    return text && *text;
}

static bool put_flags(struct nu_logbuf *out, uint32_t flags, const char *const names[NU_FLAG_COUNT])
{
    const char *comma = "";
    for (unsigned i = 0; i < NU_FLAG_COUNT; i++) {
        if (!(flags >> i & 1))
            continue;
        nu_logbuf_str(out, comma);
        nu_logbuf_str(out, names[i]);
        comma = ",";
    }
    return *comma;
}

static bool flags_short(OP_ARGS)
{
#define LETTERS(id, letters, doc) letters,
    static const char *const names[NU_FLAG_COUNT] = {NU_STREAM_FLAGS(LETTERS)};
    return put_flags(out, stream_of(subject)->flags, names);
}

static bool flags_long(OP_ARGS)
{
    static const char *const names[NU_FLAG_COUNT] = {
        [NU_FLAG_NO_HEALTHY] = "NoHealthyUpstream",
        [NU_FLAG_TIMEOUT] = "UpstreamRequestTimeout",
        [NU_FLAG_SERVER_RESET] = "UpstreamRemoteReset",
        [NU_FLAG_CONNECT_FAILED] = "UpstreamConnectionFailure",
        [NU_FLAG_SERVER_GONE] = "UpstreamConnectionTermination",
        [NU_FLAG_OVERFLOW] = "UpstreamOverflow",
        [NU_FLAG_NO_ROUTE] = "NoRouteFound",
        [NU_FLAG_DELAY_INJECTED] = "DelayInjected",
        [NU_FLAG_FAULT_INJECTED] = "FaultInjected",
        [NU_FLAG_RATE_LIMITED] = "RateLimited",
        [NU_FLAG_DENIED] = "UnauthorizedExternalService",
        [NU_FLAG_CLIENT_GONE] = "DownstreamConnectionTermination",
        [NU_FLAG_RETRIES] = "UpstreamRetryLimitExceeded",
        [NU_FLAG_IDLE] = "StreamIdleTimeout",
        [NU_FLAG_CLIENT_ERROR] = "DownstreamProtocolError",
        [NU_FLAG_DRAIN] = "DurationTimeout",
        [NU_FLAG_SERVER_ERROR] = "UpstreamProtocolError",
    };
    const struct nu_stream *s = stream_of(subject);
    return s && put_flags(out, s->flags, names);
}

static bool route_name(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    const char *name = s && s->route ? s->route->name : NULL;
    return name && put_text(out, nu_text(name, strlen(name)));
}

/* A request's is its x-request-id, else it is the connection's number. */
static bool stream_id(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    struct nu_text id = s ? nu_http_value(s->request, NU_HDR_REQUEST_ID) : nu_text("", 0);
    if (id.len == 0)
        nu_logbuf_u64(out, nu_chain_facts((struct nu_chain *)subject)->id);
    return id.len == 0 || put_text(out, id);
}

/* --- gRPC --- */

enum { GRPC_CAMEL, GRPC_SNAKE, GRPC_NUMBER };

static enum nu_err prepare_grpc(struct nu_arena *arena, const char *arg, const void **out,
                                const char **error)
{
    static const char *const forms[] = {"CAMEL_STRING", "SNAKE_STRING", "NUMBER"};
    static const int which[] = {GRPC_CAMEL, GRPC_SNAKE, GRPC_NUMBER};
    *out = &which[GRPC_CAMEL];
    for (unsigned i = 0; arg && i < sizeof forms / sizeof *forms; i++)
        if (strcmp(arg, forms[i]) == 0) {
            *out = &which[i];
            return NU_OK;
        }
    if (!arg)
        return NU_OK;
    *error = "expected CAMEL_STRING, SNAKE_STRING or NUMBER";
    return NU_ERR_CONFIG;
}

static bool grpc_status_number(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    int status = s ? nu_grpc_status_of(s) : -1;
    nu_logbuf_i64(out, status);
    return status >= 0;
}

/* One that has no name is its number, as in Envoy. */
static bool grpc_status(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    int status = s ? nu_grpc_status_of(s) : -1;
    int form = *(const int *)arg;
    if (form == GRPC_NUMBER || status < 0 || status >= NU_GRPC_STATUS_COUNT)
        return grpc_status_number(out, subject, NULL);
    nu_logbuf_str(out, form == GRPC_SNAKE ? nu_grpc_status_snake((enum nu_grpc_status)status)
                                          : nu_grpc_status_str((enum nu_grpc_status)status));
    return true;
}

/* --- time and size --- */

static bool bytes_received(OP_ARGS)
{
    nu_logbuf_u64(out, stream_of(subject)->request_bytes);
    return true;
}

static bool bytes_sent(OP_ARGS)
{
    nu_logbuf_u64(out, stream_of(subject)->response_bytes);
    return true;
}

/* Milliseconds between two of a stream's times; false where one is not known. */
static bool put_span(struct nu_logbuf *out, int64_t from_ms, int64_t to_ms)
{
    nu_logbuf_i64(out, to_ms - from_ms);
    return from_ms && to_ms;
}

static bool duration(OP_ARGS)
{
    int64_t now_ms = nu_chain_loop((const struct nu_chain *)subject)->now_ms;
    return put_span(out, stream_of(subject)->start_ms, now_ms);
}

static bool request_duration(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    return put_span(out, s->start_ms, s->request_ms);
}

static bool response_duration(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    return put_span(out, s->start_ms, s->first_byte_ms);
}

static bool response_tx_duration(OP_ARGS)
{
    const struct nu_stream *s = stream_of(subject);
    return put_span(out, s->first_byte_ms, s->response_ms);
}

/* --- tables --- */

#define TEXT(name_, write_, doc_)                                                                  \
    {                                                                                              \
        .name = (name_), .doc = (doc_), .value = NU_LOG_TEXT, .write = (write_)                    \
    }
#define NUMBER(name_, write_, doc_)                                                                \
    {                                                                                              \
        .name = (name_), .doc = (doc_), .value = NU_LOG_NUMBER, .write = (write_)                  \
    }
#define FIELD(name_, prepare_, write_, doc_)                                                       \
    {                                                                                              \
        .name = (name_), .doc = (doc_), .value = NU_LOG_TEXT, .arg = NU_LOG_ARG_REQUIRED,          \
        .prepare = (prepare_), .write = (write_)                                                   \
    }

/* What l4 has for connections. */
static const struct nu_log_op shared[] = {
    NUMBER("DURATION", duration,
           "Milliseconds from accept to the end; of a request from its first byte on."),
    NUMBER("BYTES_RECEIVED", bytes_received,
           "Bytes read from the client's socket; of a request those of its body."),
    NUMBER("BYTES_SENT", bytes_sent,
           "Bytes written to the client's socket; of a request those of the response's body."),
    TEXT("RESPONSE_FLAGS", flags_short,
         "Envoy's flags for how it ended, comma separated; absent when nothing was wrong."),
    NUMBER("RESPONSE_CODE", code, "The response's status; 0 where there is none, and for TCP."),
    TEXT("RESPONSE_CODE_DETAILS", details,
         "Why the response is what it is, `via_upstream` for a server's own; of a connection why "
         "it ended."),
    TEXT("PROTOCOL", protocol, "`HTTP/1.1` and so on, of the request."),
    FIELD("REQ", lf_prepare_request, request_field,
          "A field of the request as it was routed; `X?Y` is Y where there is no X. `:method`, "
          "`:path`, `:authority` and `:scheme` are its start."),
    FIELD("RESP", lf_prepare_response, response_field, "The same of the response, with `:status`."),
    FIELD("TRAILER", lf_prepare_trailer, trailer, "The same of the response's trailers."),
    NUMBER("REQUEST_DURATION", request_duration,
           "Milliseconds from the request's first byte to its last."),
    NUMBER("RESPONSE_DURATION", response_duration,
           "Milliseconds from the request's first byte to the first of the server's response."),
    NUMBER("RESPONSE_TX_DURATION", response_tx_duration,
           "Milliseconds from the first byte of the server's response to the last that was sent."),
};

static const struct nu_log_op own[] = {
    FIELD("REQ_WITHOUT_QUERY", lf_prepare_request, request_field_no_query,
          "As `REQ`, up to the first question mark of the value."),
    FIELD("QUERY_PARAM", lf_prepare_query, query_param,
          "The first value of that name in the path's query, as it stands there."),
    NUMBER("UPSTREAM_SERVICE_MS", upstream_service_ms,
           "Milliseconds from the end of the request to the head of the server's response."),
    {.name = "GRPC_STATUS",
       .doc = "How a gRPC call ended, `DeadlineExceeded` and so on; with `SNAKE_STRING` "
            "`DEADLINE_EXCEEDED`, with `NUMBER` 4. Without a word of the server's, what the "
            "response means to gRPC; absent for other requests.", .value = NU_LOG_TEXT,
       .arg = NU_LOG_ARG_OPTIONAL,
       .prepare = prepare_grpc,
       .write = grpc_status},
    NUMBER("GRPC_STATUS_NUMBER", grpc_status_number, "The same as a number."),
    TEXT("UPSTREAM_PROTOCOL", upstream_protocol,
         "`HTTP/1.1` and so on, of the server's response; absent where none came."),
    TEXT("ROUTE_NAME", route_name, "The name of the route that took the request."),
    {.name = "STREAM_ID",
       .doc = "The request's `x-request-id`, else the connection's number.",
       .value = NU_LOG_TEXT,
       .prepare = lf_prepare_request_id,
       .write = stream_id},
    TEXT("RESPONSE_FLAGS_LONG", flags_long, "A request's `RESPONSE_FLAGS` in words."),
};

void nu_log_ops_l7(void)
{
    nu_log_ops_extend(shared, sizeof shared / sizeof *shared, has_stream);
    nu_log_ops_register(own, sizeof own / sizeof *own);
}

static const struct nu_logfmt_field json[] = {
    {"start_time",      "%START_TIME%"                      },
    {"method",          "%REQ(:METHOD)%"                    },
    {"path",            "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol",        "%PROTOCOL%"                        },
    {"status",          "%RESPONSE_CODE%"                   },
    {"flags",           "%RESPONSE_FLAGS%"                  },
    {"grpc_status",     "%GRPC_STATUS%"                     },
    {"details",         "%RESPONSE_CODE_DETAILS%"           },
    {"bytes_received",  "%BYTES_RECEIVED%"                  },
    {"bytes_sent",      "%BYTES_SENT%"                      },
    {"duration_ms",     "%DURATION%"                        },
    {"service_ms",      "%UPSTREAM_SERVICE_MS%"             },
    {"client",          "%DOWNSTREAM_REMOTE_ADDRESS%"       },
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"            },
    {"user_agent",      "%REQ(USER-AGENT)%"                 },
    {"request_id",      "%REQ(X-REQUEST-ID)%"               },
    {"authority",       "%REQ(:AUTHORITY)%"                 },
    {"route",           "%ROUTE_NAME%"                      },
    {"cluster",         "%UPSTREAM_CLUSTER%"                },
    {"upstream",        "%UPSTREAM_HOST%"                   },
    {"attempts",        "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"  },
    {"listener",        "%LISTENER%"                        },
    {"chain",           "%FILTER_CHAIN_NAME%"               },
    {"connection_id",   "%CONNECTION_ID%"                   },
};

const struct nu_access_log_defaults nu_http_log_defaults = {
    .text = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
            "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
            "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" "
            "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" "
            "\"%UPSTREAM_HOST%\"",
    .json = json,
    .json_count = sizeof json / sizeof *json,
};
