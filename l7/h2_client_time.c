/* When a connection to a server that speaks HTTP/2 has waited long enough; see h2_client_priv.h.
 * One timer, which is moved only to ring sooner: when it rings too early it looks again. */
#include "l7/h2_client_priv.h"

/* 0 = none: when it has been without requests, or silent, for too long. */
static int64_t deadline(const struct h2_client *m)
{
    int64_t idle = nu_pool_conf_of(m->up.cluster)->idle_timeout_ms;
    if (m->state == H2_CONNECTING)
        return 0;
    if (m->state == H2_GONE || (nu_list_empty(&m->requests) && m->state == H2_LEAVING))
        return m->since_ms + H2_GOODBYE_MS;
    if (nu_list_empty(&m->requests))
        return idle ? m->since_ms + idle : 0;
    if (m->conf->ping_interval_ms == 0)
        return 0;
    return m->ping_ms ? m->ping_ms + m->conf->ping_timeout_ms
                      : m->heard_ms + m->conf->ping_interval_ms;
}

static void on_idle(struct h2_client *m)
{
    if (m->state >= H2_LEAVING) { /* it takes none of what is left to say, or does not end */
        nu_fail(&m->filter, NU_CAUSE_NONE, NU_SIDE_LOCAL, "%s", "");
        return;
    }
    h2_client_count(m, NU_CLUSTER_CX_IDLE_TIMEOUT);
    h2_client_leave(m);
}

static void on_silence(struct h2_client *m)
{
    if (!m->ping_ms) {
        m->ping_ms = h2_client_now(m);
        nu_h2_ping(m->h2);
        h2_client_wake(m);
        return;
    }
    h2_client_count(m, NU_CLUSTER_H2_KEEPALIVE_TIMEOUT);
    h2_client_leave_pool(m);
    nu_fail(&m->filter, NU_CAUSE_UPSTREAM_SILENT, NU_SIDE_UPSTREAM, "%s", "");
}

/* Moved only to ring sooner: when it rings too early it looks again. */
static void on_timer(struct nu_filter *f)
{
    struct h2_client *m = (struct h2_client *)f;
    int64_t at = deadline(m);
    m->timer_ms = 0;
    if (at && at <= h2_client_now(m)) {
        if (nu_list_empty(&m->requests))
            on_idle(m);
        else
            on_silence(m);
    }
    if (!nu_chain_ended(f->chain))
        h2_client_watch(m);
}

void h2_client_watch(struct h2_client *m)
{
    int64_t at = deadline(m), now = h2_client_now(m);
    if (at == 0 || (m->timer_ms != 0 && m->timer_ms <= at))
        return;
    m->timer_ms = at;
    nu_timer_set(&m->filter, H2_TIMER, at > now ? at - now : 0, on_timer);
}
