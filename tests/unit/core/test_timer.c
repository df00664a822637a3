/* The heap of timers. */
#include "core/timer.h"

#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MOST 200

static struct nu_timers timers;
static struct nu_timer many[MOST];
static int64_t now;
static int fired[MOST * 4];
static unsigned fired_count;

static void note(struct nu_timer *t)
{
    assert_false(nu_timer_armed(t));
    assert_true(t->due_ms <= now);
    fired[fired_count++] = (int)(t - many);
}

static int setup(void **state)
{
    timers = (struct nu_timers){0};
    fired_count = 0;
    now = 0;
    for (int i = 0; i < MOST; i++)
        many[i] = (struct nu_timer){.fn = note};
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < MOST; i++)
        nu_timer_disarm(&timers, &many[i]);
    nu_timers_free(&timers);
    return 0;
}

static unsigned run_at(int64_t ms)
{
    now = ms;
    return nu_timers_run(&timers, ms);
}

static void test_earliest_first(void **state)
{
    nu_timer_arm(&timers, &many[0], 30);
    nu_timer_arm(&timers, &many[1], 10);
    nu_timer_arm(&timers, &many[2], 20);
    assert_int_equal(nu_timers_next(&timers), 10);
    assert_int_equal(run_at(9), 0);
    assert_int_equal(run_at(20), 2);
    assert_int_equal(fired[0], 1);
    assert_int_equal(fired[1], 2);
    assert_int_equal(nu_timers_next(&timers), 30);
    assert_int_equal(run_at(1000), 1);
    assert_int_equal(nu_timers_next(&timers), -1);
}

static void test_move_and_disarm(void **state)
{
    nu_timer_disarm(&timers, &many[0]);
    nu_timer_arm(&timers, &many[0], 10);
    nu_timer_arm(&timers, &many[1], 20);
    nu_timer_arm(&timers, &many[0], 40);
    assert_int_equal(timers.count, 2);
    nu_timer_disarm(&timers, &many[1]);
    assert_false(nu_timer_armed(&many[1]));
    assert_int_equal(run_at(39), 0);
    assert_int_equal(run_at(40), 1);
}

static void arm_again(struct nu_timer *t)
{
    note(t);
    nu_timer_arm(&timers, t, 0); /* long ago: now */
}

/* A timer that arms itself for now, or the past, waits for the next run; the others do not. */
static void test_armed_by_a_callback_waits(void **state)
{
    for (int i = 0; i < 5; i++) {
        many[i].fn = arm_again;
        nu_timer_arm(&timers, &many[i], 10);
    }
    nu_timer_arm(&timers, &many[5], 1000);
    assert_int_equal(run_at(10), 5);
    assert_int_equal(timers.count, 6);
    assert_int_equal(nu_timers_next(&timers), 10);
    assert_int_equal(run_at(10), 5);
}

static void disarm_next(struct nu_timer *t)
{
    note(t);
    nu_timer_disarm(&timers, &many[1]);
}

static void test_disarmed_by_a_callback_does_not_fire(void **state)
{
    many[0].fn = disarm_next;
    nu_timer_arm(&timers, &many[0], 1);
    nu_timer_arm(&timers, &many[1], 2);
    assert_int_equal(run_at(5), 1);
}

/* Random arming, moving and disarming against a plain array. */
static void test_random(void **state)
{
    struct seeded r = seeded_start("timers");
    int64_t due[MOST] = {0}; /* 0 = not armed */
    for (int step = 0; step < 20000; step++) {
        int i = (int)seeded_below(&r, MOST);
        if (seeded_below(&r, 4) == 0) {
            nu_timer_disarm(&timers, &many[i]);
            due[i] = 0;
        } else {
            due[i] = now + 1 + seeded_below(&r, 50);
            nu_timer_arm(&timers, &many[i], due[i]);
        }
        if (seeded_below(&r, 16))
            continue;
        fired_count = 0;
        run_at(now + seeded_below(&r, 5));
        for (unsigned k = 0; k < fired_count; k++) {
            assert_true(due[fired[k]] && due[fired[k]] <= now);
            assert_true(k == 0 || many[fired[k - 1]].due_ms <= many[fired[k]].due_ms);
            due[fired[k]] = 0;
        }
        int64_t next = -1;
        for (int k = 0; k < MOST; k++) {
            assert_int_equal(nu_timer_armed(&many[k]), due[k] != 0);
            next = due[k] && (next < 0 || due[k] < next) ? due[k] : next;
        }
        assert_int_equal(nu_timers_next(&timers), next);
    }
}

#define TIMER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIMER_TEST(test_earliest_first),
        TIMER_TEST(test_move_and_disarm),
        TIMER_TEST(test_armed_by_a_callback_waits),
        TIMER_TEST(test_disarmed_by_a_callback_does_not_fire),
        TIMER_TEST(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
