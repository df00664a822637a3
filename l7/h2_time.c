/* When a client's HTTP/2 connection has waited long enough; h2_server.c has the timer, which is
 * moved only to ring sooner: when it rings too early it looks again. */
#include "l7/age.h"
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

static int64_t age_deadline(const struct h2_server *m)
{
    return m->state == MUX_OPEN ? nu_http_old_at(nu_chain_facts(m->f->chain), m->conf) : 0;
}

static int64_t ping_deadline(const struct h2_server *m)
{
    const struct nu_http2_conf *conf = &m->conf->http2;
    if (m->state >= MUX_LINGER || conf->ping_interval_ms == 0)
        return 0;
    return m->ping_ms ? m->ping_ms + conf->ping_timeout_ms : m->heard_ms + conf->ping_interval_ms;
}

/* Of the connection, without its streams. */
static int64_t own_deadline(const struct h2_server *m)
{
    int64_t at = sooner(state_deadline(m), age_deadline(m));
    return sooner(sooner(at, ping_deadline(m)), nu_h2_due(m->h2));
}

int64_t h2_deadline(const struct h2_server *m)
{
    int64_t at = own_deadline(m);
    nu_list_each (node, &m->streams)
        at = sooner(at, h2_stream_deadline(nu_container(node, struct h2_stream, link)));
    return at;
}

static bool is_due(const struct h2_server *m, int64_t at)
{
    return at && at <= h2_now(m);
}

static void expire_own(struct h2_server *m)
{
    if (is_due(m, nu_h2_due(m->h2)))
        nu_h2_expire(m->h2, h2_now(m)); /* which wakes us */
    if (is_due(m, age_deadline(m)))
        h2_retire(m, NU_HTTP_CX_MAX_DURATION, NU_CAUSE_MAX_DURATION);
    if (is_due(m, state_deadline(m)))
        h2_state_expired(m);
    if (!nu_chain_ended(m->f->chain) && is_due(m, ping_deadline(m)))
        h2_silent(m);
}

void h2_expire(struct h2_server *m)
{
    int64_t now = h2_now(m), at;
    expire_own(m);
    nu_list_each (node, &m->streams) {
        struct h2_stream *s = nu_container(node, struct h2_stream, link);
        at = h2_stream_deadline(s);
        if (at && at <= now)
            h2_stream_expire(s);
    }
}
