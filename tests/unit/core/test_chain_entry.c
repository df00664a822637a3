/* Re-entry (R), signals and the chain's timers. */
#include "tests/unit/core/chain_kit.h"

#include <pthread.h>

static int depth_b;

static void count_depth(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    assert_int_equal(depth_b, 0);
    depth_b++;
    nu_forward(f, dir, ev);
    depth_b--;
}

static void answer(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_ev back = nu_text_ev(f, "back");
    nu_ev_free(ev);
    nu_forward(f, nu_opposite(dir), &back);
    nu_diary_add(&kit->diary, "answered");
}

/* What comes back while b is on the stack waits until b's callback has returned. */
static void test_R1_never_entered_twice(void **state)
{
    kit->a[1].event = count_depth;
    kit->a[2].event = answer;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "go");
    assert_diary("b>go c>go answered b<back a<back");
    assert_int_equal(kit->chain->blocks[NU_REV], 0);
}

static void survive(struct nu_filter *f)
{
    _exit(0);
}

static void call_busy(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_call(f, survive); /* on oneself, from within */
}

static void enter_again(void)
{
    nu_say(kit->a[0].self, NU_FWD, "x");
}

static void test_R1_call_on_the_stack_dies(void **state)
{
    kit->a[1].event = call_busy;
    kit_chain(3);
    assert_true(dies(enter_again));
}

static void check_depth(struct nu_filter *f)
{
    assert_int_equal(f->chain->depth, 1);
    assert_int_equal(kit->loop.depth, 1);
    assert_int_equal(f->busy, 1);
}

static void forward_from_outside(void)
{
    nu_forward_end(kit->a[0].self, NU_FWD, nu_result_of(NU_CAUSE_CLIENT_FIN));
}

static void test_R2_one_door(void **state)
{
    kit_chain(3);
    nu_call(kit->a[1].self, check_depth);
    assert_int_equal(kit->chain->depth, 0);
    assert_int_equal(kit->loop.depth, 0);
    assert_true(dies(forward_from_outside));
}

static void hold_and_release(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_hold(f, dir);
    assert_true(nu_blocked(kit->a[1].self, dir));
    nu_ev_free(ev);
    nu_release(f, dir);
    assert_false(nu_blocked(kit->a[1].self, dir));
}

static void hold_here(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_hold(f, dir);
    nu_ev_free(ev);
    nu_diary_add(&kit->diary, "held");
}

static void forward_and_say(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_forward(f, dir, ev);
    nu_diary_add(&kit->diary, "returned");
}

/* flow() is told when the outermost frame ends, of what is true then. */
static void test_R3_told_from_the_outermost_frame(void **state)
{
    kit->a[1].event = forward_and_say;
    kit->a[2].event = hold_here;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x c>x held returned b:stop> a:stop>");
    nu_outside_hold(kit->a[2].self, NU_FWD, false);
    assert_diary("b:go> a:go>");
}

static void test_R3_silent_about_what_is_over(void **state)
{
    kit->a[2].event = hold_and_release;
    kit->a[1].event = forward_and_say;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x c>x returned b:go>"); /* b asked, so b is told; a did not */
}

static void fail_here(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
    nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "");
}

/* The other chain may be over when the call into it returns; its memory is not. */
static void test_R4_the_other_chain_may_be_gone(void **state)
{
    kit->a[1].event = forward_and_say;
    kit->a[3].event = fail_here;
    kit_pair();
    struct nu_chain *other = kit->a[2].self->chain;
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x c>x d>x returned");
    assert_true(nu_chain_ended(other));
    assert_false(nu_chain_ended(kit->chain));
    nu_say(kit->a[0].self, NU_FWD, "y"); /* consumed on the way */
    assert_diary("b>y returned");
    assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
}

static void *enter_elsewhere(void *arg)
{
    nu_say(kit->a[0].self, NU_FWD, "x");
    return NULL;
}

static void enter_in_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, enter_elsewhere, NULL);
    pthread_join(thread, NULL);
}

static void test_R5_one_thread(void **state)
{
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_true(dies(enter_in_thread));
}

static void *settle_elsewhere(void *arg)
{
    nu_loop_settle(&kit->loop);
    enter_elsewhere(NULL);
    return NULL;
}

/* A loop changes hands with the thread that settles it. */
static void test_R5_a_loop_may_change_hands(void **state)
{
    pthread_t thread;
    kit_chain(3);
    pthread_create(&thread, NULL, settle_elsewhere, NULL);
    pthread_join(thread, NULL);
    assert_diary("b>x c>x");
}

static void fail_at_drain(struct nu_filter *f, enum nu_signal signal)
{
    nu_fail(f, NU_CAUSE_DRAIN, NU_SIDE_LOCAL, "%s", "");
}

static void pass_me_by(struct nu_filter *f)
{
    nu_bypass(f);
}

static void test_signals_left_to_right(void **state)
{
    kit_chain(4);
    nu_call(kit->a[1].self, pass_me_by);
    nu_chain_signal(kit->chain, NU_RELOAD);
    assert_diary("a:reload c:reload d:reload"); /* b is out of it */
    kit->a[2].signal = fail_at_drain;
    nu_chain_signal(kit->chain, NU_DRAIN);
    assert_diary("a:drain c:drain"); /* T2: nobody hears after a failure */
}

static void answer_signal(struct nu_filter *f, enum nu_signal signal)
{
    struct nu_ev ev = nu_text_ev(f, "bye");
    nu_forward(f, NU_REV, &ev);
}

static void test_signal_callback_may_speak(void **state)
{
    kit->a[1].signal = answer_signal;
    kit_chain(3);
    nu_chain_signal(kit->chain, NU_DRAIN);
    assert_diary("a:drain b:drain a<bye c:drain");
}

static void ring(struct nu_filter *f)
{
    assert_int_equal(f->busy, 1);
    nu_diary_add(&kit->diary, "%s:ring@%d", nu_probe_of(f)->name, (int)kit->loop.now_ms);
}

static void ring_two(struct nu_filter *f)
{
    nu_diary_add(&kit->diary, "%s:two@%d", nu_probe_of(f)->name, (int)kit->loop.now_ms);
}

static void set_timers(struct nu_filter *f)
{
    nu_timer_set(f, 0, 10, ring);
    nu_timer_set(f, 1, 20, ring_two);
}

static void move_timers(struct nu_filter *f)
{
    nu_timer_set(f, 0, 30, ring); /* moved, not doubled */
    nu_timer_stop(f, 1);
    nu_timer_stop(f, 7); /* never set */
}

static void test_timers_belong_to_filter_and_slot(void **state)
{
    kit_chain(3);
    nu_call(kit->a[0].self, set_timers);
    nu_call(kit->a[1].self, set_timers);
    nu_call(kit->a[1].self, move_timers);
    assert_int_equal(nu_timer_due(kit->a[0].self, 1), 21);
    assert_int_equal(nu_timer_due(kit->a[1].self, 0), 31);
    assert_int_equal(nu_timer_due(kit->a[1].self, 1), 0);
    nu_loop_advance(&kit->loop, 9);
    assert_diary("");
    nu_loop_advance(&kit->loop, 1);
    assert_diary("a:ring@11");
    assert_int_equal(nu_timer_due(kit->a[0].self, 0), 0);
    nu_loop_advance(&kit->loop, 10);
    assert_diary("a:two@21");
    nu_loop_advance(&kit->loop, 100);
    assert_diary("b:ring@121");
}

static void fail_now(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "");
    nu_timer_set(f, 2, 0, ring); /* too late: ignored */
}

static void test_timers_end_with_the_chain(void **state)
{
    kit_chain(3);
    nu_call(kit->a[0].self, set_timers);
    nu_call(kit->a[1].self, fail_now);
    kit->loop.now_ms += 50;
    nu_timers_run(&kit->loop.timers, kit->loop.now_ms); /* before the reaping */
    nu_loop_advance(&kit->loop, 50);
    assert_diary("closed a:close b:close c:close");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_R1_never_entered_twice),
        KIT_TEST(test_R1_call_on_the_stack_dies),
        KIT_TEST(test_R2_one_door),
        KIT_TEST(test_R3_told_from_the_outermost_frame),
        KIT_TEST(test_R3_silent_about_what_is_over),
        KIT_TEST(test_R4_the_other_chain_may_be_gone),
        KIT_TEST(test_R5_one_thread),
        KIT_TEST(test_R5_a_loop_may_change_hands),
        KIT_TEST(test_signals_left_to_right),
        KIT_TEST(test_signal_callback_may_speak),
        KIT_TEST(test_timers_belong_to_filter_and_slot),
        KIT_TEST(test_timers_end_with_the_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
