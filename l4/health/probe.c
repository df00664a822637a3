/* Probes: their chains, their time, and what their ends mean; see probe.h. */
#include "l4/health/probe.h"

#include "core/assert.h"
#include "core/worker.h"
#include "l4/dial.h"
#include "l4/filters/proxy_protocol_out.h"
#include "l4/sock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nu_probe {
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint;
    struct nu_addr addr; /* asked; with the port of the checks */
    struct nu_timer timer;
    struct nu_chain *chain; /* NULL once it is closed */
    int64_t timeout_ms;
    nu_probe_done_fn *done; /* NULL: cancelled */
    void *ctx;
    enum nu_probe_verdict verdict;
    char why[NU_PROBE_WHY_MAX];
};

const char *nu_probe_verdict_str(enum nu_probe_verdict verdict)
{
    static const char *const names[] = {"open", "passed", "failed", "unreached", "late", "void"};
    nu_assert((unsigned)verdict < sizeof names / sizeof *names);
    return names[verdict];
}

static struct nu_loop *main_loop(void)
{
    return &nu_worker_main()->loop;
}

/* --- how it ends --- */

/* "upstream_tls_timeout" as words. */
static void words_of(enum nu_cause cause, char *out, size_t size)
{
    snprintf(out, size, "%s", nu_cause_str(cause));
    for (; *out; out++)
        if (*out == '_')
            *out = ' ';
}

/* What the socket or the handshake had to say, or else the name of the cause. */
static void take_reason(struct nu_probe *p, struct nu_chain *chain)
{
    const struct nu_facts_more *more = nu_chain_facts(chain)->more;
    const char *details = nu_chain_details(chain);
    if (!*details && more && more->tls_failure)
        details = more->tls_failure;
    if (*details)
        snprintf(p->why, sizeof p->why, "%s", details);
    else
        words_of((enum nu_cause)nu_chain_result(chain).cause, p->why, sizeof p->why);
}

/* The chain ended before the type's filter said a word. */
static void judge_end(struct nu_probe *p, struct nu_chain *chain)
{
    bool ours = nu_chain_result(chain).cause == NU_CAUSE_NO_FDS;
    p->verdict = ours ? NU_PROBE_VOID : NU_PROBE_UNREACHED;
    take_reason(p, chain);
}

static void on_closed(struct nu_chain *chain, void *ctx)
{
    struct nu_probe *p = ctx;
    p->chain = NULL;
    nu_timer_disarm(&main_loop()->timers, &p->timer);
    if (p->verdict == NU_PROBE_OPEN)
        judge_end(p, chain);
    if (p->done)
        p->done(p->ctx, p->verdict, p->why);
}

static void on_gone(struct nu_loop *loop, void *ctx)
{
    struct nu_probe *p = ctx;
    nu_endpoint_unref(p->endpoint);
    nu_unpin(&p->cluster->counted, loop->shard);
    free(p);
}

/* A verdict stands; it only took the server too long to see us leave. */
static void on_timeout(struct nu_timer *timer)
{
    struct nu_probe *p = nu_container(timer, struct nu_probe, timer);
    if (p->verdict == NU_PROBE_OPEN) {
        p->verdict = NU_PROBE_LATE;
        snprintf(p->why, sizeof p->why, "no answer within %lld ms", (long long)p->timeout_ms);
    }
    nu_chain_abort(p->chain, NU_CAUSE_CONNECT_TIMEOUT);
}

/* --- how it begins --- */

/* The facts are lent: TLS wants to know whom it asks for, in `open` and `start`. */
static void open_chain(struct nu_probe *p, const struct nu_place *first)
{
    static const struct nu_chain_owner owner = {.closed = on_closed, .gone = on_gone};
    struct nu_sock_conf sock = {.side = NU_SIDE_UPSTREAM};
    struct nu_proxy_out_conf proxy = {.version = p->cluster->proxy_header};
    struct nu_facts_exchange exchange = {.upstream = &p->addr, .upstream_host = p->endpoint->name};
    struct nu_facts facts = {.exchange = &exchange};
    struct nu_place places[3 + NU_EXT_PLACES_MAX] = {*first};
    unsigned n = 1;
    for (unsigned i = 0; i < p->cluster->near_count; i++)
        places[n++] = p->cluster->near[i];
    if (p->cluster->proxy_header != NU_PROXY_NONE)
        places[n++] = (struct nu_place){&nu_filter_proxy_out, &proxy};
    nu_dial(&sock, &p->addr, NULL, &p->cluster->connect);
    places[n++] = (struct nu_place){&nu_sock, &sock};
    p->chain = nu_chain_new(main_loop(), places, n, &facts, &owner, p);
}

struct nu_probe *nu_probe_start(const struct nu_probe_plan *plan, nu_probe_done_fn *done, void *ctx)
{
    struct nu_probe *p = calloc(1, sizeof *p);
    struct nu_loop *loop = main_loop();
    nu_assert(p != NULL);
    p->cluster = plan->cluster;
    p->endpoint = nu_endpoint_ref(plan->endpoint);
    p->addr = plan->endpoint->addr;
    if (plan->port && p->addr.kind != NU_ADDR_UNIX)
        p->addr.port = plan->port;
    p->timeout_ms = plan->timeout_ms;
    p->done = done;
    p->ctx = ctx;
    p->timer.fn = on_timeout;
    nu_pin(&p->cluster->counted, loop->shard);
    nu_timer_arm(&loop->timers, &p->timer, loop->now_ms + plan->timeout_ms);
    open_chain(p, plan->first);
    return p;
}

void nu_probe_cancel(struct nu_probe *p)
{
    p->done = NULL;
    if (p->chain)
        nu_chain_abort(p->chain, NU_CAUSE_DRAIN);
}

/* --- for the filters of types --- */

static struct nu_probe *probe_of(const struct nu_filter *f)
{
    return nu_chain_owner_ctx(f->chain);
}

const struct nu_cluster *nu_probe_cluster(const struct nu_filter *f)
{
    return probe_of(f)->cluster;
}

const struct nu_endpoint *nu_probe_endpoint(const struct nu_filter *f)
{
    return probe_of(f)->endpoint;
}

/* FIN and close_notify, and nobody listens any more. */
static void leave(struct nu_filter *f)
{
    if (nu_chain_ended(f->chain))
        return;
    if (!nu_bit(f, NU_B_ENDED, NU_FWD))
        nu_forward_end(f, NU_FWD, nu_result_of(NU_CAUSE_CLIENT_FIN));
    nu_drop(f, NU_REV);
}

void nu_probe_pass(struct nu_filter *f)
{
    struct nu_probe *p = probe_of(f);
    if (p->verdict == NU_PROBE_OPEN)
        p->verdict = NU_PROBE_PASSED;
    leave(f);
}

void nu_probe_refuse(struct nu_filter *f, const char *fmt, ...)
{
    struct nu_probe *p = probe_of(f);
    va_list ap;
    va_start(ap, fmt);
    if (p->verdict == NU_PROBE_OPEN) {
        p->verdict = NU_PROBE_FAILED;
        vsnprintf(p->why, sizeof p->why, fmt, ap);
    }
    va_end(ap);
    leave(f);
}
