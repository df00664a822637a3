/* When a request is tried again; see retry.h. */
#include "l7/retry.h"

#include "core/assert.h"
#include "protocols/grpc/grpc.h"

#define PAUSE_BASE_MS 25
#define PAUSE_MAX_MS  250

const char *nu_try_end_str(enum nu_try_end how)
{
    static const char *const names[] = {"unsent", "reset", "timed out", "refused"};
    nu_assert((unsigned)how < sizeof names / sizeof *names);
    return names[how];
}

static const char *reset_reason(struct nu_result result, bool connected)
{
    if (result.cause == NU_CAUSE_UPSTREAM_PROTOCOL)
        return "protocol error";
    if (result.cause == NU_CAUSE_OVERFLOW)
        return "overflow";
    if (result.cause == NU_CAUSE_UPSTREAM_RESET)
        return "remote reset";
    if (result.cause == NU_CAUSE_UPSTREAM_REFUSED)
        return "remote refused stream reset";
    return connected ? "connection termination" : "connection failure";
}

enum nu_stream_flag nu_try_flag(struct nu_result result, bool connected)
{
    if (result.cause == NU_CAUSE_UPSTREAM_PROTOCOL)
        return NU_FLAG_SERVER_ERROR;
    if (result.cause == NU_CAUSE_OVERFLOW)
        return NU_FLAG_OVERFLOW;
    if (result.cause == NU_CAUSE_UPSTREAM_RESET || result.cause == NU_CAUSE_UPSTREAM_REFUSED)
        return NU_FLAG_SERVER_RESET;
    return connected ? NU_FLAG_SERVER_GONE : NU_FLAG_CONNECT_FAILED;
}

const char *nu_try_body(struct nu_result result, bool connected, struct nu_arena *arena)
{
    return nu_arena_printf(arena,
                           "upstream connect error or disconnect/reset before headers. reset "
                           "reason: %s",
                           reset_reason(result, connected));
}

const char *nu_try_details(const char *when, struct nu_result result, bool connected,
                           struct nu_arena *arena)
{
    char *details = nu_arena_printf(arena, "%s{%s}", when, reset_reason(result, connected));
    for (char *at = details; *at; at++)
        if (*at == ' ')
            *at = '_';
    return details;
}

unsigned nu_retry_most(const struct nu_route *route)
{
    int64_t most = route->retry.when ? route->retry.attempts + 1 : NU_TRIES_FREE;
    return most < NU_TRIES_MOST ? (unsigned)most : NU_TRIES_MOST;
}

bool nu_retry_idempotent(const struct nu_http_head *request)
{
    switch (request->method_id) {
    case NU_METHOD_GET:
    case NU_METHOD_HEAD:
    case NU_METHOD_OPTIONS:
    case NU_METHOD_TRACE:
    case NU_METHOD_PUT:
    case NU_METHOD_DELETE:
        return true;
    default:
        return false;
    }
}

bool nu_retry_asked(const struct nu_route *route, enum nu_try_end how)
{
    static const unsigned bits[] = {
        [NU_TRY_UNSENT] = NU_RETRY_CONNECT_FAILURE | NU_RETRY_RESET,
        [NU_TRY_RESET] = NU_RETRY_RESET,
        [NU_TRY_TIMED_OUT] = NU_RETRY_RESET | NU_RETRY_GATEWAY_ERROR,
        [NU_TRY_REFUSED] = NU_RETRY_CONNECT_FAILURE | NU_RETRY_RESET,
    };
    return route->retry.when & bits[how];
}

bool nu_retry_status(const struct nu_route *route, unsigned status)
{
    unsigned when = route->retry.when;
    if (status >= 500 && when & NU_RETRY_5XX)
        return true;
    if (status >= 502 && status <= 504 && when & NU_RETRY_GATEWAY_ERROR)
        return true;
    return status == 409 && when & NU_RETRY_RETRIABLE_4XX;
}

bool nu_retry_grpc(const struct nu_stream *s, const struct nu_http_head *response)
{
    static const unsigned bits[NU_GRPC_STATUS_COUNT] = {
        [NU_GRPC_CANCELLED] = NU_RETRY_CANCELLED,
        [NU_GRPC_DEADLINE_EXCEEDED] = NU_RETRY_DEADLINE_EXCEEDED,
        [NU_GRPC_INTERNAL] = NU_RETRY_INTERNAL,
        [NU_GRPC_RESOURCE_EXHAUSTED] = NU_RETRY_RESOURCE_EXHAUSTED,
        [NU_GRPC_UNAVAILABLE] = NU_RETRY_UNAVAILABLE,
    };
    if (!s->grpc)
        return false;
    int status = nu_grpc_status_read(nu_http_value(response, NU_HDR_GRPC_STATUS));
    return status >= 0 && status < NU_GRPC_STATUS_COUNT && s->route->retry.when & bits[status];
}

int64_t nu_retry_pause(unsigned tries, uint64_t random)
{
    int64_t most = PAUSE_BASE_MS;
    for (unsigned i = 1; i < tries && most < PAUSE_MAX_MS; i++)
        most *= 2;
    most = most < PAUSE_MAX_MS ? most : PAUSE_MAX_MS;
    return (int64_t)(random % (uint64_t)(most + 1));
}
