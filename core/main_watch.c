/* The process's file watcher and main's loop; see main_watch.h. The descriptor stands in the loop's
 * epoll set, the time that a change has to be quiet is one of the loop's timers. */
#include "core/main_watch.h"

#include "core/log.h"
#include "core/worker.h"

static struct {
    struct nu_watcher *watcher; /* NULL: nothing is watched */
    struct nu_io io;
    struct nu_timer timer;
    unsigned watches;
    bool running; /* a callback may drop the last watch */
} own;

static void end_if_unused(void)
{
    if (own.watches || own.running || !own.watcher)
        return;
    nu_timer_disarm(&nu_worker_main()->loop.timers, &own.timer);
    nu_watcher_free(own.watcher);
    own.watcher = NULL;
}

static void run(void)
{
    struct nu_loop *loop = &nu_worker_main()->loop;
    if (!own.watcher) /* readiness that was under way when the last watch went */
        return;
    own.running = true;
    int wait_ms = nu_watcher_run(own.watcher, loop->now_ms);
    own.running = false;
    if (wait_ms >= 0)
        nu_timer_arm(&loop->timers, &own.timer, loop->now_ms + wait_ms);
    end_if_unused();
}

static void on_ready(struct nu_io *io, uint32_t events)
{
    run();
}

static void on_timer(struct nu_timer *timer)
{
    run();
}

static bool start(void)
{
    own.watcher = nu_watcher_new();
    if (own.watcher) {
        own.io = (struct nu_io){.ready = on_ready, .fd = nu_watcher_fd(own.watcher)};
        own.timer = (struct nu_timer){.fn = on_timer};
        if (nu_io_add(&nu_worker_main()->loop, &own.io) == 0)
            return true;
    }
    nu_log(NU_LOG_WARN, "watch", "files are not watched, reload after a change error=\"%m\"");
    nu_watcher_free(own.watcher);
    own.watcher = NULL;
    return false;
}

struct nu_watch *nu_main_watch_add(const char *path, nu_watch_fn *fn, void *ctx)
{
    if (!own.watcher && !start())
        return NULL;
    own.watches++;
    return nu_watch_add(own.watcher, path, fn, ctx);
}

void nu_main_watch_del(struct nu_watch *watch)
{
    if (!watch)
        return;
    nu_watch_del(watch);
    own.watches--;
    end_if_unused();
}
