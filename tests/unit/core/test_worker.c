/* Workers: posts in order, rounds over all shards, timers and wake-ups on real threads (for TSan
 * too). */
#include "core/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 3
#define POSTS   1000

static int setup(void **state)
{
    nu_workers_init(WORKERS);
    return 0;
}

static int teardown(void **state)
{
    nu_workers_join();
    nu_workers_free();
    return 0;
}

static void stop_main(void *ctx)
{
    nu_worker_stop(nu_worker_main());
}

static unsigned next_number[WORKERS + 1]; /* each written by its own worker */

static void expect_in_order(struct nu_worker *w, void *arg)
{
    if ((uintptr_t)arg == next_number[w->loop.shard])
        next_number[w->loop.shard]++;
}

static void no_op(struct nu_worker *w, void *arg)
{
}

static void test_posts_arrive_in_order(void **state)
{
    nu_workers_start();
    for (uintptr_t i = 0; i < POSTS; i++)
        for (unsigned shard = 0; shard <= WORKERS; shard++)
            nu_worker_post(nu_worker_at(shard), expect_in_order, (void *)i);
    nu_workers_all(no_op, NULL, stop_main, NULL);
    nu_worker_run(nu_worker_main());
    for (unsigned shard = 0; shard <= WORKERS; shard++)
        assert_int_equal(next_number[shard], POSTS);
}

static atomic_uint visits[WORKERS + 1];

static void visit(struct nu_worker *w, void *arg)
{
    atomic_fetch_add(&visits[w->loop.shard], 1);
    if (w == nu_worker_main())
        for (unsigned i = 0; i < WORKERS; i++)
            assert_int_equal(visits[i], 1); /* main comes last */
}

static void test_a_round_visits_every_shard_once_main_last(void **state)
{
    nu_workers_start();
    nu_workers_all(visit, NULL, stop_main, NULL);
    nu_worker_run(nu_worker_main());
    for (unsigned i = 0; i <= WORKERS; i++)
        assert_int_equal(visits[i], 1);
}

static unsigned fired;

static void on_timer(struct nu_timer *t)
{
    fired++;
    if (fired < 3)
        nu_timer_arm(&nu_worker_main()->loop.timers, t, nu_worker_main()->loop.now_ms + 2);
    else
        nu_worker_stop(nu_worker_main());
}

static void test_timers_fire_again_and_again(void **state)
{
    struct nu_timer t = {.fn = on_timer};
    int64_t start = nu_worker_main()->loop.now_ms;
    nu_timer_arm(&nu_worker_main()->loop.timers, &t, start + 5);
    nu_worker_run(nu_worker_main());
    assert_int_equal(fired, 3);
    assert_true(nu_worker_main()->loop.now_ms >= start + 9);
}

/* An earlier timer set while a later one is armed must not wait for it. */
static void on_late(struct nu_timer *t)
{
    fail_msg("the later timer came first");
}

static void on_early(struct nu_timer *t)
{
    nu_worker_stop(nu_worker_main());
}

static void test_an_earlier_timer_comes_first(void **state)
{
    struct nu_worker *w = nu_worker_main();
    struct nu_timer late = {.fn = on_late}, early = {.fn = on_early};
    nu_timer_arm(&w->loop.timers, &late, w->loop.now_ms + 60000);
    nu_worker_post(w, no_op, NULL);
    nu_timer_arm(&w->loop.timers, &early, w->loop.now_ms + 1);
    nu_worker_run(w);
    nu_timer_disarm(&w->loop.timers, &late);
}

static uint32_t seen_events;

static void on_io(struct nu_io *io, uint32_t events)
{
    seen_events = events;
    nu_worker_stop(nu_worker_main());
}

static void test_io_reports_the_raw_mask(void **state)
{
    struct nu_io io = {on_io, eventfd(1, EFD_NONBLOCK)};
    assert_int_equal(nu_io_add(&nu_worker_main()->loop, &io), 0);
    nu_worker_run(nu_worker_main());
    assert_int_equal(seen_events, EPOLLIN | EPOLLOUT);
    nu_io_del(&nu_worker_main()->loop, &io);
    close(io.fd);
}

/* --- on a thread, which waits without libevent --- */

static struct nu_worker *first(void)
{
    return nu_worker_at(0);
}

static void stop_from_there(struct nu_worker *w, void *arg)
{
    nu_worker_stop(w);
}

static void stop_from_thread(void)
{
    nu_worker_post(nu_worker_main(), stop_from_there, NULL);
}

static struct busy {
    struct nu_io io;
    struct nu_timer timer;
    unsigned turns, posts;
    int64_t armed_ms, fired_ms;
} busy;

/* Always ready: each answer makes it so again. */
static void on_busy(struct nu_io *io, uint32_t events)
{
    busy.turns++;
    assert_int_equal(eventfd_write(io->fd, 1), 0);
}

static void on_due(struct nu_timer *t)
{
    busy.fired_ms = first()->loop.now_ms;
    nu_io_del(&first()->loop, &busy.io);
    stop_from_thread();
}

static void count_post(struct nu_worker *w, void *arg)
{
    if (++busy.posts < POSTS)
        nu_worker_post(w, count_post, NULL);
}

static void begin_busy(struct nu_worker *w, void *arg)
{
    assert_int_equal(nu_io_add(&w->loop, &busy.io), 0);
    busy.armed_ms = w->loop.now_ms;
    nu_timer_arm(&w->loop.timers, &busy.timer, w->loop.now_ms + 200);
    count_post(w, NULL);
}

static void test_a_busy_socket_starves_neither_timers_nor_posts(void **state)
{
    busy = (struct busy){
        .io = {on_busy, eventfd(1, EFD_NONBLOCK)},
          .timer.fn = on_due
    };
    nu_workers_start();
    nu_worker_post(first(), begin_busy, NULL);
    nu_worker_run(nu_worker_main());
    assert_int_equal(busy.posts, POSTS);
    assert_true(busy.turns > POSTS);
    assert_in_range(busy.fired_ms - busy.armed_ms, 200, 60000);
    close(busy.io.fd);
}

static void on_far(struct nu_timer *t)
{
    fail_msg("a timer of a year fired");
}

static struct nu_timer far = {.fn = on_far}, near = {.fn = on_due};

static void begin_far(struct nu_worker *w, void *arg)
{
    nu_timer_arm(&w->loop.timers, &far, w->loop.now_ms + INT64_C(365) * 24 * 3600 * 1000);
}

static void begin_near(struct nu_worker *w, void *arg)
{
    busy.armed_ms = w->loop.now_ms;
    nu_timer_arm(&w->loop.timers, &near, w->loop.now_ms + 20);
}

static void end_far(struct nu_worker *w, void *arg)
{
    nu_timer_disarm(&w->loop.timers, &far);
}

/* Waiting for the far one, it is woken for the near one; and a thread can start again. */
static void test_a_thread_waits_for_the_nearest_timer(void **state)
{
    nu_workers_start();
    nu_worker_post(first(), begin_far, NULL);
    nu_workers_join();
    nu_workers_start();
    busy.io.fd = -1;
    nu_worker_post(first(), begin_near, NULL);
    nu_worker_run(nu_worker_main());
    assert_in_range(busy.fired_ms - busy.armed_ms, 20, 60000);
    nu_worker_post(first(), end_far, NULL);
}

static struct nu_task task;
static unsigned task_runs;

static void run_again(struct nu_task *t)
{
    if (++task_runs < 100)
        nu_loop_ready(&first()->loop, t);
    else
        stop_from_thread();
}

static void begin_task(struct nu_worker *w, void *arg)
{
    nu_loop_ready(&w->loop, &task);
}

/* What queues itself for the next turn is not waited with. */
static void test_a_thread_with_ready_tasks_does_not_wait(void **state)
{
    task.run = run_again;
    nu_workers_start();
    nu_worker_post(first(), begin_task, NULL);
    nu_worker_run(nu_worker_main());
    assert_int_equal(task_runs, 100);
}

static struct order {
    struct nu_io io;
    struct nu_task flush;
    struct nu_timer timer;
    bool flushed, flushed_first;
} order;

static void on_event(struct nu_io *io, uint32_t events)
{
    struct nu_loop *loop = &first()->loop;
    nu_timer_arm(&loop->timers, &order.timer, loop->now_ms);
    nu_loop_flush(loop, &order.flush);
}

static void on_flush(struct nu_task *t)
{
    order.flushed = true;
}

static void on_at_once(struct nu_timer *t)
{
    order.flushed_first = order.flushed;
    nu_io_del(&first()->loop, &order.io);
    stop_from_thread();
}

static void begin_order(struct nu_worker *w, void *arg)
{
    assert_int_equal(nu_io_add(&w->loop, &order.io), 0);
}

/* An alert on its way, and the timer that ends the connection behind it. */
static void test_a_thread_flushes_before_timers(void **state)
{
    order = (struct order){
        .io = {on_event, eventfd(1, EFD_NONBLOCK)}
    };
    order.flush.run = on_flush;
    order.timer.fn = on_at_once;
    nu_workers_start();
    nu_worker_post(first(), begin_order, NULL);
    nu_worker_run(nu_worker_main());
    assert_true(order.flushed_first);
    close(order.io.fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_posts_arrive_in_order),
        TEST(test_a_round_visits_every_shard_once_main_last),
        TEST(test_timers_fire_again_and_again),
        TEST(test_an_earlier_timer_comes_first),
        TEST(test_io_reports_the_raw_mask),
        TEST(test_a_busy_socket_starves_neither_timers_nor_posts),
        TEST(test_a_thread_waits_for_the_nearest_timer),
        TEST(test_a_thread_with_ready_tasks_does_not_wait),
        TEST(test_a_thread_flushes_before_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
