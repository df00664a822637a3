/* When a connection of the HTTP/1 side towards clients has waited long enough, and what a request
 * that took too long is answered; h1_server.c has the timer. */
#include "l7/h1_server_priv.h"
#include "l7/route/route.h"
#include "l7/tunnel_rest.h"

#define HALF_CLOSED_MS                                                                             \
    1000 /* for a response to begin once the client closed its half: most such                     \
            clients are gone, and only writing tells */

bool h1_is_idle(const struct h1_server *s)
{
    return s->in == IN_IDLE || (s->in == IN_HEAD && nu_h1_idle(&s->reading->parser));
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static int64_t after(int64_t from_ms, int64_t timeout_ms)
{
    return timeout_ms > 0 ? from_ms + timeout_ms : 0;
}

static int64_t idle_limit(const struct nu_route *route, int64_t otherwise)
{
    return route && route->idle_timeout_ms >= 0 ? route->idle_timeout_ms : otherwise;
}

static int64_t idle_deadline(const struct h1_server *s)
{
    int64_t limit =
        idle_limit(s->stream->route, s->in == IN_TUNNEL ? s->conf->tunnel_idle_timeout_ms
                                                        : s->conf->stream_idle_timeout_ms);
    return after(nu_chain_last_activity(s->stream->chain), limit);
}

/* Its stream is put away: the connection is what bytes touch. */
static int64_t rest_deadline(const struct h1_server *s)
{
    int64_t limit = idle_limit(nu_tunnel_rest_route(s->rest), s->conf->tunnel_idle_timeout_ms);
    return after(nu_chain_last_activity(s->filter.chain), limit);
}

/* While a request is in progress: no byte either way, all of it too slow, the router's own. */
static int64_t stream_deadline(const struct h1_server *s)
{
    int64_t at = sooner(idle_deadline(s), s->stream->deadline_ms);
    if (s->in == IN_BODY && !s->broken)
        at = sooner(at, after(s->stream->start_ms, s->conf->request_timeout_ms));
    if (s->half_closed && s->out == OUT_NONE)
        at = sooner(at, after(s->since_ms, HALF_CLOSED_MS));
    return at;
}

/* All was said, but a client that does not read keeps it here. */
static int64_t shut_deadline(const struct h1_server *s)
{
    int64_t limit = sooner(s->conf->stream_idle_timeout_ms, s->conf->idle_timeout_ms);
    return after(nu_chain_last_activity(s->filter.chain), limit);
}

int64_t h1_deadline(const struct h1_server *s)
{
    if (s->in == IN_SHUT)
        return shut_deadline(s);
    if (s->in == IN_DISCARD || s->in == IN_LINGER)
        return s->since_ms + NU_HTTP_LINGER_MS;
    if (!h1_is_idle(s) ? s->in == IN_HEAD : s->first)
        return after(s->since_ms, s->conf->headers_timeout_ms);
    if (h1_is_idle(s))
        return after(s->since_ms, s->conf->idle_timeout_ms);
    if (s->stream)
        return stream_deadline(s);
    return s->aside == ASIDE_RESTS ? rest_deadline(s) : 0;
}

static void client_is_gone(struct h1_server *s)
{
    nu_fail(&s->filter, NU_CAUSE_CLIENT_GONE, NU_SIDE_CLIENT, "%s",
            "closed its half, and no response began");
}

void h1_expire_stream(struct h1_server *s)
{
    h1_tunnel_wake(s);
    struct nu_stream *stream = s->stream;
    int64_t now = h1_now(s);
    if (stream->deadline_ms && stream->deadline_ms <= now) {
        stream->deadline_ms = 0;
        nu_call(stream->router, stream->expired);
        return;
    }
    if (s->half_closed && s->out == OUT_NONE && s->since_ms + HALF_CLOSED_MS <= now) {
        client_is_gone(s);
        return;
    }
    int64_t idle = idle_deadline(s);
    bool is_idle = idle && idle <= now;
    h1_count(s, is_idle ? NU_HTTP_RQ_IDLE_TIMEOUT : NU_HTTP_RQ_TIMEOUT, 1);
    s->closing = true;
    s->broken = s->in == IN_BODY;
    nu_stream_answer(stream, s->in == IN_BODY ? 408 : 504,
                     is_idle ? "stream_idle_timeout" : "request_overall_timeout",
                     is_idle ? NU_FLAG_IDLE : NU_FLAG_NONE);
}
