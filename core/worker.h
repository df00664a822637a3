/* A thread with a loop: one edge-triggered epoll set for sockets and posts, and the heap of timers
 * beside it. The main thread has libevent around that, for signals.
 *
 * The main thread's loop is a worker too (the last shard), without public listeners. Threads talk
 * by posts. */
#ifndef NU_CORE_WORKER_H
#define NU_CORE_WORKER_H

#include "core/loop.h"

#include <pthread.h>

struct event;
struct event_base;

struct nu_worker;

struct nu_post {
    struct nu_post *next;
    void (*fn)(struct nu_worker *worker, void *arg);
    void *arg;
};

struct nu_worker {
    struct nu_loop loop;
    struct event_base *base;
    struct event *poll_event, *post_event, *timer_event;
    int64_t armed_ms; /* when timer_event fires, on the loop's clock */
    int post_fd;
    struct nu_io post_io; /* of threads, as the next one is */
    bool posted;          /* posts wait for the turn's end */
    pthread_mutex_t post_lock;
    struct nu_post *posts, **posts_end;
    pthread_t thread;
    bool threaded, stopping;
};

/* Makes shards 0..count-1 and the main worker (shard `count`) for the calling thread; once per
 * process (tests may make and free in turn). Sets up stats and counted objects for that many
 * shards. */
void nu_workers_init(unsigned count);
void nu_workers_free(void);
unsigned nu_workers_count(void); /* without main */
struct nu_worker *nu_worker_at(unsigned shard);
struct nu_worker *nu_worker_main(void);

/* Starts the threads; runs main's loop until nu_worker_stop(main); stops and joins the threads. */
void nu_workers_start(void);
void nu_workers_join(void);
void nu_worker_run(struct nu_worker *worker);
/* From its own thread, or by post. */
void nu_worker_stop(struct nu_worker *worker);

/* From any thread: fn(worker, arg) on the worker's thread, in order of posting. */
void nu_worker_post(struct nu_worker *worker, void (*fn)(struct nu_worker *, void *), void *arg);
/* Main: fn on every shard (main last, at once if no threads run), then done(ctx) on main. */
void nu_workers_all(void (*fn)(struct nu_worker *, void *), void *arg, void (*done)(void *ctx),
                    void *ctx);

static inline struct nu_worker *nu_worker_of(struct nu_loop *loop)
{
    return nu_container(loop, struct nu_worker, loop);
}

#endif
