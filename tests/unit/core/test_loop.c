/* The phases of a turn (W1, T3) on the virtual clock. */
#include "tests/unit/core/chain_kit.h"

struct job {
    struct nu_task task;
    const char *name;
    void (*then)(struct job *job);
    struct job *other;
    int again;
};

static void run(struct nu_task *task)
{
    struct job *job = (struct job *)task;
    assert_false(nu_list_linked(&task->link));
    nu_diary_add(&kit->diary, "%s", job->name);
    if (job->then)
        job->then(job);
}

static void ready_again(struct job *job)
{
    if (job->again-- > 0)
        nu_loop_ready(&kit->loop, &job->task);
}

static void flush_other(struct job *job)
{
    nu_loop_flush(&kit->loop, &job->other->task);
}

static void cancel_other(struct job *job)
{
    nu_task_cancel(&job->other->task);
}

static void ready_other(struct job *job)
{
    nu_loop_ready(&kit->loop, &job->other->task);
}

static void test_W1_ready_then_flush_then_reap(void **state)
{
    struct job write = {{.run = run}, "write", NULL, NULL, 0};
    struct job read = {{.run = run}, "read", flush_other, &write, 0};
    kit_chain(2);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_flush(&kit->loop, &write.task);
    nu_loop_ready(&kit->loop, &read.task);
    nu_loop_ready(&kit->loop, &read.task); /* once is enough */
    nu_loop_settle(&kit->loop);
    assert_diary("read write closed a:close b:close");
}

/* A task that wants the same phase again gets it in the next turn, which then may not wait. */
static void test_ready_again_waits_a_turn(void **state)
{
    struct job read = {{.run = run}, "read", ready_again, NULL, 2};
    nu_loop_ready(&kit->loop, &read.task);
    nu_loop_settle(&kit->loop);
    assert_diary("read");
    assert_true(nu_loop_pending(&kit->loop));
    nu_loop_advance(&kit->loop, 0);
    assert_diary("read read");
    assert_false(nu_loop_pending(&kit->loop));
}

static void test_W1_flush_until_none_is_left(void **state)
{
    struct job last = {{.run = run}, "last", NULL, NULL, 0};
    struct job next = {{.run = run}, "next", flush_other, &last, 0};
    struct job first = {{.run = run}, "first", flush_other, &next, 0};
    kit_chain(2);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_flush(&kit->loop, &first.task);
    nu_loop_settle(&kit->loop);
    assert_diary("first next last closed a:close b:close");
    assert_false(nu_loop_pending(&kit->loop));
}

static void test_T7_cancelled_by_another(void **state)
{
    struct job gone = {{.run = run}, "gone", NULL, NULL, 0};
    struct job cancels = {{.run = run}, "cancels", cancel_other, &gone, 0};
    nu_loop_ready(&kit->loop, &cancels.task);
    nu_loop_ready(&kit->loop, &gone.task); /* already taken into this pass */
    nu_loop_settle(&kit->loop);
    assert_diary("cancels");
}

static struct job flushed = {{.run = run}, "flushed", NULL, NULL, 0};

static void flush_in_close(struct nu_filter *f)
{
    nu_loop_flush(&kit->loop, &flushed.task);
}

/* What reaping brings about is done in the same turn: flushes, and the chains they end. */
static void test_reaping_may_cause_more(void **state)
{
    kit_chain(2);
    kit->a[0].close = flush_in_close;
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_diary("closed a:close b:close flushed");
}

static void test_flush_may_make_ready(void **state)
{
    struct job read = {{.run = run}, "read", NULL, NULL, 0};
    struct job write = {{.run = run}, "write", ready_other, &read, 0};
    nu_loop_flush(&kit->loop, &write.task);
    nu_loop_settle(&kit->loop);
    assert_diary("write");
    assert_true(nu_loop_pending(&kit->loop)); /* this turn's ready phase is over */
    nu_loop_settle(&kit->loop);
    assert_diary("read");
}

static void tick(struct nu_timer *timer)
{
    nu_diary_add(&kit->diary, "tick@%d", (int)kit->loop.now_ms);
}

static void test_virtual_clock(void **state)
{
    struct nu_timer timer = {.fn = tick};
    assert_int_equal(kit->loop.now_ms, 1);
    nu_timer_arm(&kit->loop.timers, &timer, 11);
    nu_loop_advance(&kit->loop, 9);
    assert_diary("");
    nu_loop_advance(&kit->loop, 1);
    assert_diary("tick@11");
}

static void fini_with_a_chain(void)
{
    kit_chain(2);
    nu_loop_fini(&kit->loop);
}

static void test_chains_end_before_their_loop(void **state)
{
    assert_true(dies(fini_with_a_chain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_W1_ready_then_flush_then_reap),
        KIT_TEST(test_ready_again_waits_a_turn),
        KIT_TEST(test_W1_flush_until_none_is_left),
        KIT_TEST(test_T7_cancelled_by_another),
        KIT_TEST(test_reaping_may_cause_more),
        KIT_TEST(test_flush_may_make_ready),
        KIT_TEST(test_virtual_clock),
        KIT_TEST(test_chains_end_before_their_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
