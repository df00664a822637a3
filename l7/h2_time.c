/* When a client's HTTP/2 connection has waited long enough; h2_server.c has the timer, which is
 * moved only to ring sooner: when it rings too early it looks again. */
#include "l7/h2_server_priv.h"

#define DRAIN_MS                                                                                   \
    1000 /* for the answer to the PING that goes with the first GOAWAY: what a client sent before  \
            it saw that is here then */

static int64_t sooner(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static int64_t after(int64_t from_ms, int64_t timeout_ms)
{
    return timeout_ms > 0 ? from_ms + timeout_ms : 0;
}

static int64_t state_deadline(const struct h2_server *m)
{
    const struct nu_http_conf *conf = m->conf;
    if (m->state == MUX_LINGER)
        return m->since_ms + NU_HTTP_LINGER_MS;
    if (m->state == MUX_SHUT)
        return after(nu_chain_last_activity(m->f->chain),
                     sooner(conf->stream_idle_timeout_ms, conf->idle_timeout_ms));
    int64_t at = m->head_ms ? after(m->head_ms, conf->headers_timeout_ms) : 0;
    if (m->state == MUX_DRAINING)
        at = sooner(at, m->since_ms + DRAIN_MS);
    if (nu_list_empty(&m->streams))
        at = sooner(at, after(m->since_ms, conf->idle_timeout_ms));
    return at;
}

int64_t h2_deadline(const struct h2_server *m)
{
    int64_t at = state_deadline(m);
    nu_list_each (node, &m->streams)
        at = sooner(at, h2_stream_deadline(nu_container(node, struct h2_stream, link)));
    return at;
}

void h2_expire(struct h2_server *m)
{
    int64_t now = h2_now(m), at = state_deadline(m);
    if (at && at <= now)
        h2_state_expired(m);
    nu_list_each (node, &m->streams) {
        struct h2_stream *s = nu_container(node, struct h2_stream, link);
        at = h2_stream_deadline(s);
        if (at && at <= now)
            h2_stream_expire(s);
    }
}
