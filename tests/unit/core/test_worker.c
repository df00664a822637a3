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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_posts_arrive_in_order),
        TEST(test_a_round_visits_every_shard_once_main_last),
        TEST(test_timers_fire_again_and_again),
        TEST(test_an_earlier_timer_comes_first),
        TEST(test_io_reports_the_raw_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
