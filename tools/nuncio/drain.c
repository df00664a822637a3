/* The way out: say no to load balancers, stop accepting after drain_delay, wait for connections to
 * end by themselves, then for what outlives them (a client may be gone before all it sent is with
 * the server), cut what is left at drain_timeout (or at the second TERM), take the generation apart
 * on every worker, end the loop.
 *
 * Main thread; what runs on workers is named *_here. Each stage is a round over all workers whose
 * end starts the next. */
#include "tools/nuncio/notify.h"
#include "tools/nuncio/root.h"
#include "tools/nuncio/server.h"
#include "tools/nuncio/statsd.h"

#include "core/log.h"
#include "core/logfile.h"
#include "core/serving.h"
#include "core/worker.h"
#include "l4/cluster.h"
#include "l4/listener.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS 10   /* between two counts of what is left */
#define CUT_MS  2000 /* for what was cut to be gone: a turn of a worker suffices */

static struct {
    struct nu_server *server;
    struct nu_waiter count;
    _Atomic unsigned chains;
    struct nu_timer delay, look, deadline;
    int64_t timeout_ms;
    _Atomic int64_t give_up_ms; /* 0 = not cut yet */
} drain;

static int64_t now_ms(void)
{
    return nu_worker_main()->loop.now_ms;
}

static void arm(struct nu_timer *timer, int64_t ms)
{
    nu_timer_arm(&nu_worker_main()->loop.timers, timer, now_ms() + ms);
}

static void retired(void *ctx)
{
    struct nu_generation *gen = drain.server->now;
    drain.server->now = NULL;
    nu_load_free(gen);
    nu_server_set_state(drain.server, NU_SERVER_STOPPED);
    nu_worker_stop(nu_worker_main());
}

static void retire_here(struct nu_worker *worker, void *arg)
{
    struct nu_generation *gen = arg;
    nu_listeners_retire_on(gen->listeners, worker->loop.shard);
    nu_clusters_retire_on(gen->clusters, NULL, worker->loop.shard);
    nu_logfile_flush_shard(worker->loop.shard);
}

static void finish(void)
{
    struct nu_timers *timers = &nu_worker_main()->loop.timers;
    nu_timer_disarm(timers, &drain.look);
    nu_timer_disarm(timers, &drain.deadline);
    nu_log(NU_LOG_INFO, "server", "drained");
    nu_sinks_flush();
    nu_workers_all(retire_here, drain.server->now, retired, NULL);
}

/* On to the next stage once nothing is left. What cannot be cut is a bug; ending all the same beats
 * hanging. */
static void wait_for(unsigned long left, void (*next)(void))
{
    if (left == 0) {
        next();
        return;
    }
    if (drain.give_up_ms && now_ms() > drain.give_up_ms) {
        nu_log(NU_LOG_ERROR, "server", "connections survived their end count=%lu", left);
        _exit(0);
    }
    arm(&drain.look, LOOK_MS);
}

/* Main's own are the admin's, and health checks. */
static void abort_here(struct nu_worker *worker, void *arg)
{
    nu_listener_abort_all(worker, NU_CAUSE_DRAIN);
    if (worker != nu_worker_main())
        nu_chains_abort(&worker->loop, NU_CAUSE_DRAIN);
}

static void chains_counted(void *ctx)
{
    wait_for(atomic_load(&drain.chains), finish);
}

static void count_chains_here(struct nu_worker *worker, void *arg)
{
    if (worker == nu_worker_main())
        return;
    if (drain.give_up_ms)
        nu_chains_abort(&worker->loop, NU_CAUSE_DRAIN);
    atomic_fetch_add(&drain.chains, worker->loop.chain_count);
}

static void count_chains(struct nu_timer *timer)
{
    atomic_store(&drain.chains, 0);
    nu_workers_all(count_chains_here, NULL, chains_counted, NULL);
}

static void keep_none_here(struct nu_worker *worker, void *arg)
{
    nu_clusters_keep_none_on(arg, worker->loop.shard);
}

static void wait_for_chains(void)
{
    drain.look.fn = count_chains;
    nu_workers_all(keep_none_here, drain.server->now->clusters, NULL, NULL);
    count_chains(NULL);
}

static void count_again(struct nu_timer *timer)
{
    nu_census(&drain.count);
}

static void counted(struct nu_waiter *waiter, bool ok, const char *text)
{
    wait_for(strtoul(text, NULL, 10), wait_for_chains);
}

static void cut(struct nu_timer *timer)
{
    if (drain.give_up_ms)
        return;
    drain.give_up_ms = now_ms() + CUT_MS;
    nu_workers_all(abort_here, NULL, NULL, NULL);
}

static void accepts_no_more(void *ctx)
{
    nu_census(&drain.count);
}

static void stop_accepting_here(struct nu_worker *worker, void *arg)
{
    nu_listeners_switch_on(worker, NULL, arg);
}

static void stop_accepting(struct nu_timer *timer)
{
    nu_workers_all(stop_accepting_here, drain.server->now->listeners, accepts_no_more, NULL);
    arm(&drain.deadline, drain.timeout_ms);
}

/* Who asks whether we serve hears no from now on. Until delay_ms are over new connections are
 * welcome all the same: not everybody has asked yet. */
static void begin(struct nu_server *server, int64_t delay_ms, int64_t timeout_ms)
{
    nu_server_set_state(server, NU_SERVER_DRAINING);
    nu_serving_set_draining();
    nu_log(NU_LOG_INFO, "server", "draining timeout_ms=%lld delay_ms=%lld", (long long)timeout_ms,
           (long long)delay_ms);
    nu_notify_stopping(delay_ms + timeout_ms + CUT_MS);
    drain.server = server;
    drain.timeout_ms = timeout_ms;
    drain.count.told = counted;
    drain.delay.fn = stop_accepting;
    drain.look.fn = count_again;
    drain.deadline.fn = cut;
    if (delay_ms > 0)
        arm(&drain.delay, delay_ms);
    else
        stop_accepting(NULL);
}

/* Told once more: what is left of the delay and of the timeout is over. */
static void hurry(void)
{
    if (nu_timer_armed(&drain.delay)) {
        nu_timer_disarm(&nu_worker_main()->loop.timers, &drain.delay);
        stop_accepting(NULL);
    }
    cut(NULL);
}

void nu_drain(struct nu_server *server, bool at_once)
{
    if (server->state == NU_SERVER_STARTING || nu_reload_busy())
        server->wish = at_once || server->wish ? NU_DRAIN_AT_ONCE : NU_DRAIN_GENTLY;
    else if (server->state == NU_SERVER_LIVE)
        begin(server, at_once ? 0 : server->now->root->drain_delay_ms,
              at_once ? 0 : server->now->drain_timeout_ms);
    else if (server->state == NU_SERVER_DRAINING)
        hurry();
}
