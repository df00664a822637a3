/* Threads, posts and the bridge from libevent to the chain's own epoll set; see worker.h.
 *
 * Main's loop is libevent's, which signals need; it watches the set as one descriptor. Threads wait
 * for the set itself, a wait less for each turn: 4 % of a round trip. Until they run, and in tests
 * without threads, their loops are libevent's, too. */
#include "core/worker.h"

#include "core/assert.h"
#include "core/counted.h"
#include "core/stats.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Epoll events a wait. More delay the flush: what peers could work on meanwhile waits, and leaves
 * the CPU's caches. Fewer make more waits. Measured: 32 is 2 to 5 % of a request better than 256.
 */
#define BATCH       32
#define MAX_WAIT_MS 60000 /* a timer of a month fits no int */
/* Of main, where each look at the set costs libevent a wait of its own: */
#define MAX_ROUNDS 16 /* looks before libevent's turn: timers and posts must not starve */
#define FEW        4 /* one that brought fewer events is the last: the next would likely be empty */

static struct nu_worker *workers;
static unsigned worker_count;

static int64_t clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* libevent's timer follows the heap's earliest; one that fires too early looks again. */
static void rearm(struct nu_worker *w)
{
    int64_t due = nu_loop_pending(&w->loop) ? w->loop.now_ms : nu_timers_next(&w->loop.timers);
    if (due < 0 || due >= w->armed_ms)
        return;
    int64_t wait = due > w->loop.now_ms ? due - w->loop.now_ms : 0;
    struct timeval tv = {wait / 1000, wait % 1000 * 1000};
    event_add(w->timer_event, &tv);
    w->armed_ms = due;
}

static void settle(struct nu_worker *w)
{
    nu_loop_settle(&w->loop);
    rearm(w);
}

/* Waits for the loop's own set, and has its events dealt with. */
static int take_events(struct nu_worker *w, int wait_ms)
{
    struct epoll_event ev[BATCH];
    int n = epoll_wait(w->loop.epoll_fd, ev, BATCH, wait_ms);
    w->loop.now_ms = clock_ms();
    for (int i = 0; i < n; i++) {
        struct nu_io *io = ev[i].data.ptr;
        if (i + 1 < n) /* it comes from memory while this one's system calls run */
            __builtin_prefetch(ev[i + 1].data.ptr);
        io->ready(io, ev[i].events);
    }
    return n;
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    struct nu_worker *w = arg;
    int n = FEW;
    for (int round = 0; round < MAX_ROUNDS && n >= FEW; round++) {
        n = take_events(w, 0);
        nu_loop_settle(&w->loop);
    }
    rearm(w);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct nu_worker *w = arg;
    w->armed_ms = INT64_MAX;
    w->loop.now_ms = clock_ms();
    nu_timers_run(&w->loop.timers, w->loop.now_ms);
    settle(w);
}

static struct nu_post *take_posts(struct nu_worker *w)
{
    uint64_t n;
    while (read(w->post_fd, &n, sizeof n) > 0)
        ;
    pthread_mutex_lock(&w->post_lock);
    struct nu_post *posts = w->posts;
    w->posts = NULL;
    w->posts_end = &w->posts;
    pthread_mutex_unlock(&w->post_lock);
    return posts;
}

/* False: there were none. */
static bool run_posts(struct nu_worker *w)
{
    struct nu_post *posts = take_posts(w);
    for (struct nu_post *p = posts, *next; p; p = next) {
        next = p->next;
        p->fn(w, p->arg);
        free(p);
    }
    return posts != NULL;
}

static void on_post(evutil_socket_t fd, short what, void *arg)
{
    struct nu_worker *w = arg;
    w->loop.now_ms = clock_ms();
    run_posts(w);
    settle(w);
}

void nu_worker_post(struct nu_worker *w, void (*fn)(struct nu_worker *, void *), void *arg)
{
    struct nu_post *p = malloc(sizeof *p);
    nu_assert(p != NULL);
    *p = (struct nu_post){.fn = fn, .arg = arg};
    pthread_mutex_lock(&w->post_lock);
    *w->posts_end = p;
    w->posts_end = &p->next;
    pthread_mutex_unlock(&w->post_lock);
    uint64_t one = 1;
    ssize_t n = write(w->post_fd, &one, sizeof one);
    nu_assert(n == sizeof one);
}

static void release_on_main(struct nu_worker *w, void *arg)
{
    struct nu_counted *object = arg;
    object->release(object);
}

static void counted_to_main(struct nu_counted *object)
{
    nu_worker_post(nu_worker_main(), release_on_main, object);
}

static void worker_init(struct nu_worker *w, unsigned shard)
{
    nu_loop_init(&w->loop, shard);
    w->loop.owner = w;
    w->armed_ms = INT64_MAX;
    w->loop.now_ms = clock_ms();
    w->loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->post_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    w->posts_end = &w->posts;
    pthread_mutex_init(&w->post_lock, NULL);
    struct event_config *cfg = event_config_new();
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
    w->base = event_base_new_with_config(cfg);
    event_config_free(cfg);
    nu_assert(w->base && w->loop.epoll_fd >= 0 && w->post_fd >= 0);
    w->poll_event = event_new(w->base, w->loop.epoll_fd, EV_READ | EV_PERSIST, on_poll, w);
    w->post_event = event_new(w->base, w->post_fd, EV_READ | EV_PERSIST, on_post, w);
    w->timer_event = event_new(w->base, -1, 0, on_timer, w);
    event_add(w->poll_event, NULL);
    event_add(w->post_event, NULL);
}

static void worker_fini(struct nu_worker *w)
{
    event_free(w->poll_event);
    event_free(w->post_event);
    event_free(w->timer_event);
    event_base_free(w->base);
    close(w->loop.epoll_fd);
    close(w->post_fd);
    pthread_mutex_destroy(&w->post_lock);
    nu_loop_fini(&w->loop);
}

void nu_workers_init(unsigned count)
{
    nu_assert(!workers);
    worker_count = count;
    workers = calloc(count + 1, sizeof *workers);
    nu_assert(workers != NULL);
    nu_stats_init(count + 1);
    nu_counted_init(count + 1, counted_to_main);
    for (unsigned i = 0; i <= count; i++)
        worker_init(&workers[i], i);
}

/* What is released by a post may release more by another, to main. */
static void run_last_posts(void)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i <= worker_count; i++) {
            more = run_posts(&workers[i]) || more;
            nu_loop_settle(&workers[i].loop);
        }
    }
}

void nu_workers_free(void)
{
    run_last_posts();
    for (unsigned i = 0; i <= worker_count; i++)
        worker_fini(&workers[i]);
    free(workers);
    workers = NULL;
}

unsigned nu_workers_count(void)
{
    return worker_count;
}

struct nu_worker *nu_worker_at(unsigned shard)
{
    nu_assert(shard <= worker_count);
    return &workers[shard];
}

struct nu_worker *nu_worker_main(void)
{
    return &workers[worker_count];
}

void nu_worker_run(struct nu_worker *w)
{
    w->stopping = false;
    rearm(w);
    while (!w->stopping)
        event_base_loop(w->base, EVLOOP_ONCE);
}

void nu_worker_stop(struct nu_worker *w)
{
    w->stopping = true;
}

/* --- threads: sockets, posts and timers are all there is, so they wait for those at once --- */

static int wait_ms(const struct nu_worker *w)
{
    int64_t due = nu_timers_next(&w->loop.timers), wait = due - w->loop.now_ms;
    if (nu_loop_pending(&w->loop) || (due >= 0 && wait <= 0))
        return 0;
    return due < 0 ? -1 : wait < MAX_WAIT_MS ? (int)wait : MAX_WAIT_MS;
}

/* They run behind the turn's events: those may still name what a post takes down. */
static void post_ready(struct nu_io *io, uint32_t events)
{
    nu_container(io, struct nu_worker, post_io)->posted = true;
}

/* What an event has on its way is flushed before a timer that it set for "at once" may end it all.
 */
static void run_turn(struct nu_worker *w)
{
    take_events(w, wait_ms(w));
    nu_loop_settle(&w->loop);
    unsigned more = nu_timers_run(&w->loop.timers, w->loop.now_ms);
    if (w->posted) {
        w->posted = false;
        more += run_posts(w);
    }
    if (more)
        nu_loop_settle(&w->loop);
}

static void *thread_main(void *arg)
{
    struct nu_worker *w = arg;
    nu_loop_settle(&w->loop); /* what is queued already; and the loop is this thread's */
    while (!w->stopping)
        run_turn(w);
    return NULL;
}

/* Its loop goes from libevent to the thread that is about to start. */
static void start(struct nu_worker *w)
{
    event_del(w->poll_event);
    event_del(w->post_event);
    w->stopping = false;
    w->threaded = true;
    w->post_io = (struct nu_io){post_ready, w->post_fd};
    nu_assert(nu_io_add_for(&w->loop, &w->post_io, EPOLLIN) == 0);
    nu_assert(pthread_create(&w->thread, NULL, thread_main, w) == 0);
}

void nu_workers_start(void)
{
    for (unsigned i = 0; i < worker_count; i++)
        start(&workers[i]);
}

static void stop_here(struct nu_worker *w, void *arg)
{
    nu_worker_stop(w);
}

void nu_workers_join(void)
{
    for (unsigned i = 0; i < worker_count; i++) {
        if (!workers[i].threaded)
            continue;
        nu_worker_post(&workers[i], stop_here, NULL);
        pthread_join(workers[i].thread, NULL);
        workers[i].threaded = false;
        nu_io_del(&workers[i].loop, &workers[i].post_io);
        event_add(workers[i].poll_event, NULL);
        event_add(workers[i].post_event, NULL);
    }
}

struct round {
    void (*fn)(struct nu_worker *, void *);
    void *arg;
    void (*done)(void *ctx);
    void *ctx;
    unsigned left;
};

static void round_back(struct nu_worker *w, void *arg)
{
    struct round *r = arg;
    if (--r->left)
        return;
    r->fn(nu_worker_main(), r->arg);
    if (r->done)
        r->done(r->ctx);
    free(r);
}

static void round_there(struct nu_worker *w, void *arg)
{
    struct round *r = arg;
    r->fn(w, r->arg);
    nu_worker_post(nu_worker_main(), round_back, r);
}

void nu_workers_all(void (*fn)(struct nu_worker *, void *), void *arg, void (*done)(void *ctx),
                    void *ctx)
{
    struct round *r = malloc(sizeof *r);
    nu_assert(r != NULL && worker_count > 0);
    *r = (struct round){fn, arg, done, ctx, worker_count};
    for (unsigned i = 0; i < worker_count; i++)
        nu_worker_post(&workers[i], round_there, r);
}
