/* Endpoints' turns: who is due, who waits for a free place, what becomes of a verdict; see
 * health.h. */
#include "l4/health/health.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/worker.h"
#include "l4/health/probe.h"

#include <stdlib.h>
#include <string.h>

struct nu_health {
    struct nu_cluster *cluster;
    const struct nu_health_conf *conf;
    struct nu_stats *stats;
    nu_health_changed_fn *changed;
    void *ctx;
    struct nu_list hosts;
    size_t pending; /* of the hosts, not checked yet */
    uint64_t round; /* of syncs */
    bool warm;      /* all that were there at first had their check */
    int64_t begun_ms;
};

/* IDLE -> QUEUED -> PROBING -> IDLE. */
enum host_state { HOST_IDLE, HOST_QUEUED, HOST_PROBING };

/* An endpoint and its next or present check. */
struct nu_health_host {
    struct nu_health *health;
    struct nu_endpoint *endpoint; /* a reference */
    struct nu_list link;          /* in health->hosts */
    struct nu_list queued;        /* in queue */
    struct nu_timer due;          /* armed while idle */
    struct nu_probe *probe;       /* while probing */
    uint64_t round;               /* of the last sync that had it */
    enum host_state state;
    char last[NU_PROBE_WHY_MAX + 16];
};

/* Of the process: places for probes, and who waits for one. */
static struct {
    unsigned probing;
    struct nu_list queue;
    struct nu_task pump;
} places;

static const struct nu_stat_def defs[NU_HEALTH_STAT_COUNT] = {
    [NU_HEALTH_ATTEMPT] = {"attempt",         NU_COUNTER, NULL, "Checks begun."                      },
    [NU_HEALTH_SUCCESS] = {"success",         NU_COUNTER, NULL, "Checks passed."                     },
    [NU_HEALTH_FAILURE] = {"failure",         NU_COUNTER, NULL, "Checks failed, for whatever reason."},
    [NU_HEALTH_NETWORK_FAILURE] = {"network_failure", NU_COUNTER, NULL,
                           "Those of them without an answer: no connection, or no time."             },
    [NU_HEALTH_HEALTHY] = {"healthy",         NU_GAUGE,   NULL, "Endpoints that are healthy."        },
};

const struct nu_stat_group nu_health_stat_group =
    NU_STAT_GROUP("cluster.<name>.health_check", "Health checks of a cluster.", defs);

static struct nu_loop *main_loop(void)
{
    return &nu_worker_main()->loop;
}

static void count(const struct nu_health *h, enum nu_health_stat stat)
{
    nu_stat_add(h->stats, main_loop()->shard, stat, 1);
}

static const char *host_state_str(enum host_state state)
{
    static const char *const names[] = {"idle", "queued", "probing"};
    return names[state];
}

static void set_state(struct nu_health_host *host, enum host_state to)
{
    static const uint8_t edges[] = {
        [HOST_IDLE] = 1 << HOST_QUEUED,
        [HOST_QUEUED] = 1 << HOST_PROBING | 1 << HOST_IDLE,
        [HOST_PROBING] = 1 << HOST_IDLE,
    };
    nu_assert(edges[host->state] >> to & 1);
    nu_log(NU_LOG_DEBUG, "health", "state from=%s to=%s", host_state_str(host->state),
           host_state_str(to));
    host->state = to;
}

/* --- when --- */

static bool has_traffic(const struct nu_health *h)
{
    return nu_stat_read(h->cluster->stats, NU_CLUSTER_CX_TOTAL) > 0;
}

static int64_t first_of(int64_t ms, int64_t otherwise_ms)
{
    return ms > 0 ? ms : otherwise_ms;
}

static int64_t jittered(const struct nu_jitter *jitter, int64_t ms)
{
    int64_t most = jitter->ms + (int64_t)((double)ms * jitter->share);
    return most > 0 ? ms + (int64_t)(nu_loop_random(main_loop()) % (uint64_t)(most + 1)) : ms;
}

static int64_t wait_ms(const struct nu_health_host *host, enum nu_health_turn turn)
{
    const struct nu_health_conf *c = host->health->conf;
    int64_t ms = c->interval_ms;
    if (!has_traffic(host->health))
        ms = first_of(c->no_traffic_interval_ms, ms);
    if (host->endpoint->health & NU_ENDPOINT_FAILED)
        ms = first_of(c->unhealthy_interval_ms, ms);
    if (turn == NU_HEALTH_COMING)
        ms = first_of(c->edge_interval_ms, ms);
    return jittered(&c->jitter, ms);
}

static void wait(struct nu_health_host *host, int64_t ms)
{
    nu_timer_arm(&main_loop()->timers, &host->due, main_loop()->now_ms + ms);
}

/* --- what a verdict does --- */

static const char *server_of(const struct nu_health_host *host, char buf[static NU_LOG_QUOTE_MAX])
{
    char addr[NU_ADDR_TEXT_MAX], text[NU_LOG_QUOTE_MAX];
    const struct nu_endpoint *e = host->endpoint;
    nu_addr_str(&e->addr, addr);
    if (!e->name)
        return nu_log_quote(buf, NU_LOG_QUOTE_MAX, addr);
    snprintf(text, sizeof text, "%s host=%s", addr, e->name);
    memcpy(buf, text, sizeof text);
    return buf;
}

/* The first pass of an endpoint is what everybody expects. */
static void say(const struct nu_health_host *host, enum nu_health_turn turn, bool first,
                const char *why)
{
    const struct nu_health_thresholds *t = &host->health->conf->thresholds;
    char cluster[NU_LOG_QUOTE_MAX], server[NU_LOG_QUOTE_MAX], reason[NU_LOG_QUOTE_MAX];
    nu_log_quote(cluster, sizeof cluster, host->health->cluster->name);
    server_of(host, server);
    if (turn == NU_HEALTH_DOWN)
        nu_log(NU_LOG_WARN, "health",
               "an endpoint is unhealthy cluster=%s endpoint=%s reason=%s checks=%lld", cluster,
               server, nu_log_quote(reason, sizeof reason, why),
               first ? 1LL : (long long)t->unhealthy);
    else if (turn == NU_HEALTH_UP)
        nu_log(first ? NU_LOG_DEBUG : NU_LOG_INFO, "health",
               "an endpoint is healthy cluster=%s endpoint=%s checks=%lld", cluster, server,
               first ? 1LL : (long long)t->healthy);
}

static void count_verdict(const struct nu_health *h, enum nu_probe_verdict verdict)
{
    bool passed = verdict == NU_PROBE_PASSED;
    count(h, passed ? NU_HEALTH_SUCCESS : NU_HEALTH_FAILURE);
    if (verdict == NU_PROBE_UNREACHED || verdict == NU_PROBE_LATE)
        count(h, NU_HEALTH_NETWORK_FAILURE);
}

static void note_last(struct nu_health_host *host, enum nu_probe_verdict verdict, const char *why)
{
    struct nu_endpoint *e = host->endpoint;
    if (verdict == NU_PROBE_PASSED)
        snprintf(host->last, sizeof host->last, "passed");
    else
        snprintf(host->last, sizeof host->last, "failed: %s", why);
    if (verdict == NU_PROBE_LATE && e->health & NU_ENDPOINT_FAILED)
        atomic_fetch_or_explicit(&e->health, NU_ENDPOINT_LATE, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&e->health, (uint8_t)~NU_ENDPOINT_LATE, memory_order_relaxed);
}

static enum nu_health_turn take_verdict(struct nu_health_host *host, enum nu_probe_verdict verdict,
                                        const char *why)
{
    struct nu_health *h = host->health;
    bool first = !host->endpoint->checks.checked;
    enum nu_health_turn turn =
        nu_health_judge(host->endpoint, &h->conf->thresholds, verdict == NU_PROBE_PASSED);
    h->pending -= first;
    h->warm = h->warm || h->pending == 0;
    count_verdict(h, verdict);
    note_last(host, verdict, why);
    say(host, turn, first, why);
    if (turn == NU_HEALTH_UP || turn == NU_HEALTH_DOWN)
        h->changed(h->ctx);
    return turn;
}

/* --- probes, within their cap --- */

static void leave_place(void)
{
    places.probing--;
    if (places.queue.next && !nu_list_empty(&places.queue))
        nu_loop_ready(main_loop(), &places.pump);
}

static void done(void *ctx, enum nu_probe_verdict verdict, const char *why)
{
    struct nu_health_host *host = ctx;
    enum nu_health_turn turn = NU_HEALTH_SAME;
    host->probe = NULL;
    set_state(host, HOST_IDLE);
    leave_place();
    if (verdict == NU_PROBE_VOID)
        nu_log_limited(NU_LOG_WARN, "health",
                       "an endpoint cannot be checked cluster=%s error=\"%s\"",
                       host->health->cluster->name, why);
    else
        turn = take_verdict(host, verdict, why);
    wait(host, wait_ms(host, turn));
}

static void probe(struct nu_health_host *host)
{
    const struct nu_health *h = host->health;
    const struct nu_probe_plan plan = {
        .cluster = h->cluster,
        .endpoint = host->endpoint,
        .port = (uint16_t)h->conf->port,
        .timeout_ms = h->conf->timeout_ms,
        .first = &h->conf->first,
    };
    places.probing++;
    set_state(host, HOST_PROBING);
    count(h, NU_HEALTH_ATTEMPT);
    host->probe = nu_probe_start(&plan, done, host);
}

static void pump(struct nu_task *task)
{
    while (places.probing < NU_PROBES_MAX && !nu_list_empty(&places.queue))
        probe(nu_container(nu_list_pop(&places.queue), struct nu_health_host, queued));
}

static void on_due(struct nu_timer *timer)
{
    struct nu_health_host *host = nu_container(timer, struct nu_health_host, due);
    if (!places.queue.next) {
        nu_list_init(&places.queue);
        places.pump.run = pump;
    }
    set_state(host, HOST_QUEUED);
    nu_list_add_tail(&places.queue, &host->queued);
    nu_loop_ready(main_loop(), &places.pump);
}

/* --- which --- */

/* Was it in use before, it stays so until its first check; is it known already, it waits for its
 * turn like the others. */
static void add_host(struct nu_health *h, struct nu_endpoint *e)
{
    struct nu_health_host *host = calloc(1, sizeof *host);
    nu_assert(host != NULL && !e->checks.host);
    host->health = h;
    host->endpoint = nu_endpoint_ref(e);
    host->due.fn = on_due;
    e->checks.host = host;
    nu_list_add_tail(&h->hosts, &host->link);
    if (e->checks.checked) {
        wait(host, (int64_t)(nu_loop_random(main_loop()) % (uint64_t)h->conf->interval_ms));
        return;
    }
    nu_health_begin(e, e->checks.known);
    h->pending++;
    wait(host, 0);
}

static void remove_host(struct nu_health_host *host)
{
    struct nu_health *h = host->health;
    nu_timer_disarm(&main_loop()->timers, &host->due);
    if (host->state == HOST_QUEUED)
        nu_list_del(&host->queued);
    if (host->state == HOST_PROBING) {
        nu_probe_cancel(host->probe);
        leave_place();
    }
    h->pending -= !host->endpoint->checks.checked;
    host->endpoint->checks.host = NULL;
    nu_list_del(&host->link);
    nu_endpoint_unref(host->endpoint);
    free(host);
}

static void remove_stale(struct nu_health *h)
{
    nu_list_each (link, &h->hosts) {
        struct nu_health_host *host = nu_container(link, struct nu_health_host, link);
        if (host->round == h->round)
            continue;
        struct nu_endpoint *e = nu_endpoint_ref(host->endpoint);
        remove_host(host);
        nu_health_forget(e);
        nu_endpoint_unref(e);
    }
}

void nu_health_sync(struct nu_health *h, struct nu_endpoint *const *endpoints, size_t n)
{
    h->round++;
    for (size_t i = 0; i < n; i++) {
        if (!endpoints[i]->checks.host)
            add_host(h, endpoints[i]);
        endpoints[i]->checks.host->round = h->round;
    }
    remove_stale(h);
    h->warm = h->warm || (n > 0 && h->pending == 0);
}

void nu_health_count(struct nu_health *h, uint32_t healthy)
{
    nu_stat_set(h->stats, main_loop()->shard, NU_HEALTH_HEALTHY, healthy);
}

size_t nu_health_waits(const struct nu_health *h)
{
    return h->warm ? 0 : h->pending;
}

int64_t nu_health_begun_ms(const struct nu_health *h)
{
    return h->begun_ms;
}

struct nu_health *nu_health_new(struct nu_cluster *cluster, const struct nu_health_conf *conf,
                                nu_health_changed_fn *changed, void *ctx)
{
    struct nu_health *h = calloc(1, sizeof *h);
    nu_assert(h != NULL);
    h->cluster = cluster;
    h->conf = conf;
    h->changed = changed;
    h->begun_ms = main_loop()->now_ms;
    h->ctx = ctx;
    nu_list_init(&h->hosts);
    h->stats =
        nu_stats_get(&nu_health_stat_group,
                     nu_arena_printf(cluster->arena, "cluster.%s.health_check", cluster->name));
    return h;
}

void nu_health_free(struct nu_health *h)
{
    if (!h)
        return;
    nu_list_each (link, &h->hosts)
        remove_host(nu_container(link, struct nu_health_host, link));
    nu_stats_put(h->stats);
    free(h);
}

/* --- what is shown --- */

const char *nu_health_last(const struct nu_endpoint *e)
{
    return e->checks.host && *e->checks.host->last ? e->checks.host->last : NULL;
}

void nu_health_flags_print(const struct nu_endpoint *e, FILE *out)
{
    static const char *const names[] = {"/failed_active_hc", "/pending_active_hc",
                                        "/active_hc_timeout"};
    unsigned bits = e->health;
    if (!bits)
        fputs("healthy", out);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (bits >> i & 1)
            fputs(names[i], out);
}
