/* A new generation beside the old one: load, validate, bind, commit, switch every worker over,
 * retire the old one, tell how it went.
 *
 * Up to commit everything can fail and leaves no trace; from there on nothing can. One reload at a
 * time: who asks meanwhile gets another one after it, since the file may have changed since it was
 * read. Main thread, but for *_here. */
#include "tools/nuncio/server.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/worker.h"
#include "l4/cluster.h"
#include "l4/listener.h"
#include "l7/http_conf.h"
#include "tls/context.h"
#include "tools/nuncio/admin.h"
#include "tools/nuncio/history.h"
#include "tools/nuncio/notify.h"
#include "tools/nuncio/process.h"
#include "tools/nuncio/root.h"
#include "tools/nuncio/statsd.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum step {
    IDLE,
    SWITCHING, /* workers take the next generation, one by one */
    RETIRING,  /* workers let go of the one before */
};

static struct {
    struct nu_server *server;
    enum step step;
    bool wanted;                     /* asked for and not begun */
    bool posted;                     /* begin() is on its way */
    struct nu_list waiting, running; /* struct nu_waiter: of the next, of this one */
    struct nu_generation *next, *gone;
    char *warnings;
    struct timespec began;
} reload;

static const char *step_str(enum step step)
{
    static const char *const names[] = {"idle", "switching", "retiring"};
    return (unsigned)step < sizeof names / sizeof *names ? names[step] : "?";
}

static void set_step(enum step to)
{
    static const uint8_t edges[] = {
        [IDLE] = 1 << SWITCHING,
        [SWITCHING] = 1 << RETIRING | 1 << IDLE, /* the first generation retires none */
        [RETIRING] = 1 << IDLE,
    };
    nu_assert(edges[reload.step] >> to & 1);
    nu_log(NU_LOG_DEBUG, "reload", "step from=%s to=%s", step_str(reload.step), step_str(to));
    reload.step = to;
}

bool nu_reload_busy(void)
{
    return reload.step != IDLE;
}

static void count(enum nu_server_stat stat)
{
    nu_stat_add(reload.server->stats, nu_worker_main()->loop.shard, stat, 1);
}

static int elapsed_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int)((now.tv_sec - reload.began.tv_sec) * 1000 +
                 (now.tv_nsec - reload.began.tv_nsec) / 1000000);
}

/* What a waiter is told; the caller frees it. */
static char *words(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *words(const char *fmt, ...)
{
    char *text;
    va_list ap;
    va_start(ap, fmt);
    nu_assert(vasprintf(&text, fmt, ap) >= 0);
    va_end(ap);
    return text;
}

/* --- how it went --- */

static void tell_waiters(bool ok, char *text)
{
    nu_waiters_tell(&reload.running, ok, text);
    free(text);
}

static void tell_failure(struct nu_conf *conf)
{
    size_t errors = nu_conf_error_count(conf);
    uint64_t number = reload.server->now->number;
    count(NU_SERVER_RELOAD_FAILED);
    nu_log(NU_LOG_ERROR, "reload", "failed, the config before serves on errors=%zu generation=%llu",
           errors, (unsigned long long)number);
    fputs(nu_conf_report(conf), stderr);
    nu_notify_ready("reload failed, errors: %zu; generation %llu serves on", errors,
                    (unsigned long long)number);
    nu_history_add(false, number, elapsed_ms(), nu_conf_report(conf));
    tell_waiters(false, words("reload failed, errors: %zu; generation %llu serves on\n%s", errors,
                              (unsigned long long)number, nu_conf_report(conf)));
}

static void tell_first(struct nu_server *server, const char *warnings)
{
    nu_history_add(true, server->now->number, elapsed_ms(), warnings);
    nu_server_set_state(server, NU_SERVER_LIVE);
    fprintf(stderr, "ready: %zu listeners, %u workers\n",
            nu_listeners_count(server->now->listeners), nu_workers_count());
    nu_notify_ready("serving: %zu listeners, %u workers",
                    nu_listeners_count(server->now->listeners), nu_workers_count());
}

static void tell_success(struct nu_server *server, const char *warnings)
{
    const struct nu_generation *gen = server->now;
    unsigned long long number = gen->number;
    size_t listeners = nu_listeners_count(gen->listeners),
           clusters = nu_clusters_count(gen->clusters);
    nu_log(NU_LOG_INFO, "reload", "done generation=%llu listeners=%zu clusters=%zu took_ms=%d",
           number, listeners, clusters, elapsed_ms());
    nu_notify_ready("serving: %zu listeners, %u workers, generation %llu", listeners,
                    nu_workers_count(), number);
    nu_history_add(true, gen->number, elapsed_ms(), warnings);
    tell_waiters(true, words("reloaded: generation %llu, %zu listeners, %zu clusters\n%s", number,
                             listeners, clusters, warnings));
}

/* --- from commit to the end; nothing fails here --- */

static void schedule(void);

static void arrived(void)
{
    struct nu_server *server = reload.server;
    char *warnings = reload.warnings;
    reload.warnings = NULL;
    set_step(IDLE);
    if (server->state == NU_SERVER_STARTING)
        tell_first(server, warnings);
    else
        tell_success(server, warnings);
    free(warnings);
    nu_admin_change_told();
    if (server->wish)
        nu_drain(server, server->wish == NU_DRAIN_AT_ONCE);
    schedule();
}

static void retired(void *ctx)
{
    nu_load_free(reload.gone);
    reload.gone = NULL;
    malloc_trim(0); /* what two generations took goes back: reloads leave no trace in the RSS */
    arrived();
}

static void retire_here(struct nu_worker *worker, void *arg)
{
    nu_listeners_retire_on(reload.gone->listeners, worker->loop.shard);
    nu_clusters_retire_on(reload.gone->clusters, reload.next->clusters, worker->loop.shard);
}

static void switched(void *ctx)
{
    struct nu_generation *gen = reload.next;
    reload.server->now = gen;
    nu_load_keep(gen);
    if (!reload.gone) {
        arrived();
        return;
    }
    set_step(RETIRING);
    nu_workers_all(retire_here, NULL, retired, NULL);
}

static void switch_here(struct nu_worker *worker, void *arg)
{
    nu_listeners_switch_on(worker, reload.next->listeners,
                           reload.gone ? reload.gone->listeners : NULL);
}

static void commit(struct nu_generation *gen)
{
    struct nu_server *server = reload.server;
    reload.next = gen;
    reload.gone = server->now;
    reload.warnings = words("%s", nu_conf_report(gen->conf));
    fputs(reload.warnings, stderr);
    nu_clusters_commit(gen->clusters, reload.gone ? reload.gone->clusters : NULL);
    nu_tls_contexts_watch();
    nu_sinks_change(server, &gen->root->sinks, !reload.gone);
    nu_announce(gen->listeners, reload.gone ? reload.gone->listeners : NULL);
    set_step(SWITCHING);
    nu_workers_all(switch_here, NULL, switched, NULL);
}

/* --- up to commit; all of it can fail --- */

/* Opens what has to be listened on, when servers can be connected to; all of it or nothing. */
static enum nu_err bind_all(struct nu_generation *gen)
{
    struct nu_server *server = reload.server;
    struct nu_admin *admin;
    if (nu_clusters_try(gen->clusters, gen->conf) != NU_OK ||
        nu_tls_contexts_open(gen->conf) != NU_OK || nu_http_logs_open(gen->conf) != NU_OK)
        return NU_ERR_CONFIG;
    if (nu_admin_change(server, gen, &admin) != NU_OK)
        return NU_ERR_CONFIG;
    if (nu_listeners_bind(gen->listeners, server->now ? server->now->listeners : NULL, gen->conf) !=
        NU_OK) {
        nu_admin_change_undo(server, admin);
        return NU_ERR_CONFIG;
    }
    nu_admin_change_done(server, admin);
    return NU_OK;
}

static void warn_of_workers(const struct nu_generation *gen)
{
    const struct nu_node *node = nu_node_get(nu_conf_root(gen->conf), "workers");
    if (nu_worker_wish(gen->workers) != nu_workers_count())
        nu_conf_warn(gen->conf, node, "the number of workers changes at a restart only; %u go on",
                     nu_workers_count());
}

static void load(struct nu_server *server)
{
    struct nu_generation *gen = nu_load_open(&server->source);
    nu_load_build(gen, server->now);
    if (nu_conf_failed(gen->conf) || bind_all(gen) != NU_OK) {
        tell_failure(gen->conf);
        nu_load_discard(gen, server->now);
        return;
    }
    warn_of_workers(gen);
    nu_process_warn(gen);
    commit(gen);
}

static void begin(struct nu_worker *worker, void *arg)
{
    struct nu_server *server = reload.server;
    reload.posted = reload.wanted = false;
    clock_gettime(CLOCK_MONOTONIC, &reload.began);
    nu_list_take(&reload.running, &reload.waiting);
    if (server->state != NU_SERVER_LIVE) {
        nu_log(NU_LOG_WARN, "reload", "refused state=%s", nu_server_state_str(server->state));
        tell_waiters(false, words("not reloaded: the process is draining\n"));
        return;
    }
    count(NU_SERVER_RELOAD_TOTAL);
    nu_notify_reloading();
    load(server);
}

/* In the turn after, when what the last reload closed is closed. */
static void begin_soon(struct nu_worker *worker, void *arg)
{
    nu_worker_post(worker, begin, NULL);
}

/* As a post: who asks may be deep inside a chain that is told the outcome. */
static void schedule(void)
{
    if (!reload.wanted || reload.posted || reload.step != IDLE)
        return;
    reload.posted = true;
    nu_worker_post(nu_worker_main(), begin_soon, NULL);
}

void nu_reload(struct nu_server *server, struct nu_waiter *waiter)
{
    if (waiter)
        nu_list_add_tail(&reload.waiting, &waiter->link);
    reload.wanted = true;
    schedule();
}

enum nu_err nu_reload_first(struct nu_server *server, struct nu_generation *gen)
{
    reload.server = server;
    clock_gettime(CLOCK_MONOTONIC, &reload.began);
    nu_list_init(&reload.waiting);
    nu_list_init(&reload.running);
    if (nu_conf_failed(gen->conf) || bind_all(gen) != NU_OK)
        return NU_ERR_CONFIG;
    commit(gen);
    return NU_OK;
}
