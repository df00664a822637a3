/* Back-pressure (B) and writing (W). */
#include "tests/unit/core/chain_kit.h"

#include <sys/epoll.h>

static void test_B1_own_bit_idempotent(void **state)
{
    kit_chain(4);
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    nu_outside_hold(kit->a[3].self, NU_FWD, true);
    assert_diary("b:stop> a:stop> c:stop>");
    assert_int_equal(kit->chain->blocks[NU_FWD], 2);
    nu_outside_hold(kit->a[2].self, NU_FWD, false); /* d's bit is its own */
    assert_diary("");
    assert_true(nu_blocked(kit->a[0].self, NU_FWD));
    nu_outside_hold(kit->a[3].self, NU_FWD, false);
    assert_diary("c:go> b:go> a:go>");
    nu_outside_hold(kit->a[3].self, NU_FWD, false);
    assert_int_equal(kit->chain->blocks[NU_FWD], 0);
    assert_int_equal(kit->chain->blocks[NU_REV], 0);
}

static void release_from_outside(void)
{
    nu_release(kit->a[1].self, NU_FWD);
}

static void test_B1_release_is_the_holders_own(void **state)
{
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    assert_true(dies(release_from_outside));
}

/* What comes to a holding filter waits in its queue, which blocks as a hold does. */
static void hold_again(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_hold(f, dir);
    nu_forward(f, dir, ev);
}

static void test_B2_events_wait_at_the_holder(void **state)
{
    kit->a[1].event = hold_again; /* takes one at a time */
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "1");
    nu_say(kit->a[0].self, NU_FWD, "2");
    nu_say(kit->a[0].self, NU_FWD, "3");
    assert_diary("b>1 c>1 a:stop>");
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("b>2 c>2");
    assert_int_equal(kit->chain->blocks[NU_FWD], 1);
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("b>3 c>3");
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("a:go>");
}

static void test_B3_a_forward_is_never_refused(void **state)
{
    kit_chain(3);
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    assert_true(nu_blocked(kit->a[0].self, NU_FWD));
    assert_true(nu_blocked(kit->a[1].self, NU_FWD));
    assert_false(nu_blocked(kit->a[2].self, NU_FWD)); /* asks of what is ahead */
    assert_false(nu_blocked(kit->a[0].self, NU_REV));
    nu_say(kit->a[0].self, NU_FWD, "all");
    nu_say(kit->a[0].self, NU_FWD, "the same");
    assert_diary("b:stop> a:stop> b>all b>the same");
}

static enum nu_open shields(struct nu_filter *f)
{
    nu_shield(f, NU_FWD);
    return NU_OPEN;
}

/* A handshake behind which tcp_proxy waits for its leg: the handshake's bytes still come. */
static void test_B6_a_shield_stops_what_is_blocked_ahead(void **state)
{
    kit->a[2].open = shields;
    kit_chain(5);
    nu_outside_hold(kit->a[4].self, NU_FWD, true);
    assert_diary("d:stop> c:stop>");
    assert_false(nu_blocked(kit->a[0].self, NU_FWD));
    assert_false(nu_blocked(kit->a[1].self, NU_FWD));
    assert_true(nu_blocked(kit->a[2].self, NU_FWD));
    nu_outside_hold(kit->a[2].self, NU_FWD, true); /* its own hold counts */
    assert_diary("b:stop> a:stop>");
    assert_true(nu_blocked(kit->a[1].self, NU_FWD));
    nu_outside_hold(kit->a[4].self, NU_FWD, false);
    assert_diary("d:go> c:go>");
    nu_outside_hold(kit->a[2].self, NU_FWD, false);
    assert_diary("b:go> a:go>");
}

static void test_B6_a_bypass_ends_the_shield(void **state)
{
    kit->a[1].open = shields;
    kit_chain(4);
    nu_outside_hold(kit->a[3].self, NU_FWD, true);
    assert_diary("c:stop> b:stop>");
    nu_call(kit->a[1].self, nu_bypass);
    assert_diary("a:stop>");
    assert_true(nu_blocked(kit->a[0].self, NU_FWD));
}

/* Makes ten of one, like gunzip: asks after each block and goes on in flow(go). */
static unsigned left_to_make;

static void make(struct nu_filter *f, enum nu_dir dir)
{
    while (left_to_make && !nu_blocked(f, dir)) {
        left_to_make--;
        nu_forward_data(f, dir, nu_slice_copy(kit->loop.blocks, "block", 5));
    }
    if (left_to_make)
        nu_hold(f, dir);
    else
        nu_release(f, dir);
}

static void make_ten(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
    left_to_make = 10;
    make(f, dir);
}

static void make_rest(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (go && left_to_make)
        make(f, dir);
}

static void take_three(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    size_t *taken = nu_probe_of(f)->user;
    nu_ev_free(ev);
    if (++*taken % 3 == 0)
        nu_hold(f, dir);
}

static void test_B3_producer_asks_after_each_block(void **state)
{
    size_t taken = 0;
    kit->a[1].event = make_ten;
    kit->a[1].flow = make_rest;
    kit->a[2].event = take_three;
    kit->a[2].user = &taken;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "z");
    assert_int_equal(taken, 3);
    for (size_t want = 6; want <= 12; want += 3) {
        nu_outside_hold(kit->a[2].self, NU_FWD, false);
        assert_int_equal(taken, want < 10 ? want : 10);
        assert_null(kit->a[2].self->queue[NU_FWD]); /* not one too many */
    }
    assert_int_equal(left_to_make, 0);
}

static unsigned asked_in_vain;

static void ask_nested(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
    nu_forward_data(f, NU_FWD, nu_slice_copy(kit->loop.blocks, "1", 1)); /* b is on the stack */
    if (nu_blocked(f, NU_FWD))
        asked_in_vain++;
}

static void ask_back(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->u.data.data[0] == '?') {
        nu_ev_free(ev);
        nu_forward_data(f, NU_REV, nu_slice_copy(kit->loop.blocks, "!", 1));
    } else {
        nu_forward(f, dir, ev);
    }
}

/* Blocked for a moment within one frame: who was told so by nu_blocked is woken all the same. */
static void test_B3_no_wakeup_is_lost_within_a_frame(void **state)
{
    asked_in_vain = 0;
    kit->a[0].event = ask_nested;
    kit->a[1].event = ask_back;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "?");
    assert_int_equal(asked_in_vain, 0); /* a was busy: "!" came when b had returned */
    nu_diary_read(&kit->diary);
    nu_say(kit->a[1].self, NU_REV, "!"); /* b is on the stack now */
    assert_int_equal(asked_in_vain, 1);
    assert_diary("a<! b>1 c>1 a:go>");
}

static void refill(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (go)
        nu_forward_data(f, dir, nu_slice_copy(kit->loop.blocks, "x", 1));
}

static void take_one(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
    nu_hold(f, dir);
}

/* b fills the way again in its own flow(go): those behind b are not told of a freedom that is over.
 */
static void test_B3_told_what_is_true(void **state)
{
    kit->a[1].flow = refill;
    kit->a[2].event = take_one;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "1");
    assert_diary("b>1 c>1 b:stop> a:stop>");
    nu_outside_hold(kit->a[2].self, NU_FWD, false);
    assert_diary("b:go> c>x b:stop>");
    kit->a[1].flow = NULL;
    nu_outside_hold(kit->a[2].self, NU_FWD, false);
    assert_diary("b:go> a:go>");
}

static struct nu_test_end left, right;

static void endpoints(void)
{
    const struct nu_place places[] = {
        {&nu_source, &left },
        {&nu_sink,   &right}
    };
    left = right = nu_endpoint_idle();
    kit_places(places, 2);
}

static void test_B4_sink_holds_at_high_water(void **state)
{
    endpoints();
    nu_endpoint_open(&right, 0);
    nu_endpoint_send(&left, 100000); /* in reads of 1000, high water at 4000 */
    nu_loop_advance(&kit->loop, 1);
    assert_int_equal(left.sent, 4000);
    assert_true(left.asleep);
    nu_endpoint_open(&right, 1999);
    nu_loop_advance(&kit->loop, 1);
    assert_int_equal(left.sent, 4000); /* above half */
    nu_endpoint_open(&right, 1);
    nu_loop_advance(&kit->loop, 1);
    assert_int_equal(right.got, 2000);
    assert_int_equal(left.sent, 6000);
    assert_int_equal(right.most_waiting, 4000);
    nu_endpoint_open(&right, UINT64_MAX);
    nu_loop_advance(&kit->loop, 1);
    assert_int_equal(right.got, 100000);
    assert_int_equal(right.got_hash, left.sent_hash);
}

static void test_B5_paused_source_sleeps_until_told(void **state)
{
    endpoints();
    nu_outside_hold(right.self, NU_FWD, true);
    nu_endpoint_send(&left, 10);
    nu_loop_advance(&kit->loop, 1000);
    assert_int_equal(left.sent, 0);
    nu_outside_hold(right.self, NU_FWD, false);
    assert_int_equal(left.sent, 0); /* stands on the ready list */
    nu_loop_settle(&kit->loop);
    assert_int_equal(left.sent, 10);
}

static unsigned woken;

static void wake(struct nu_io *io, uint32_t events)
{
    woken |= events;
}

/* Registered once, edge-triggered, hang-up included: what is not read is not told again. */
static void test_B5_registered_once(void **state)
{
    int fd[2];
    struct epoll_event ev;
    assert_int_equal(pipe(fd), 0);
    kit->loop.epoll_fd = epoll_create1(0);
    struct nu_io io = {wake, fd[0]};
    assert_int_equal(nu_io_add(&kit->loop, &io), 0);
    assert_int_equal(write(fd[1], "x", 1), 1);
    assert_int_equal(epoll_wait(kit->loop.epoll_fd, &ev, 1, 0), 1);
    assert_ptr_equal(ev.data.ptr, &io);
    assert_int_equal(epoll_wait(kit->loop.epoll_fd, &ev, 1, 0), 0);
    close(fd[1]);
    assert_int_equal(epoll_wait(kit->loop.epoll_fd, &ev, 1, 0), 1);
    assert_true(ev.events & EPOLLHUP);
    struct nu_io other = {wake, fd[0]};
    assert_int_equal(nu_io_move(&kit->loop, &other), 0);
    assert_int_equal(epoll_wait(kit->loop.epoll_fd, &ev, 1, 0), 1);
    assert_ptr_equal(ev.data.ptr, &other);
    nu_io_del(&kit->loop, &other);
    close(fd[0]);
    close(kit->loop.epoll_fd);
    kit->loop.epoll_fd = -1;
}

/* A hold is of one direction: what answers a peer goes out the other way meanwhile. */
static void test_B6_holds_stop_one_direction(void **state)
{
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_say(kit->a[0].self, NU_FWD, "payload");
    nu_diary_read(&kit->diary);
    nu_say(kit->a[2].self, NU_REV, "pong");
    nu_say(kit->a[1].self, NU_FWD, "ping"); /* the holder itself speaks when it wants */
    assert_diary("b<pong a<pong c>ping");
}

static void idle_check(struct nu_filter *f)
{
    int64_t quiet = kit->loop.now_ms - nu_chain_last_activity(f->chain);
    if (quiet >= 100)
        nu_fail(f, NU_CAUSE_IDLE, NU_SIDE_LOCAL, "%s", "");
    else
        nu_timer_set(f, 0, 100 - quiet, idle_check);
}

static void start_idle(struct nu_filter *f)
{
    nu_timer_set(f, 0, 100, idle_check);
}

static void test_B8_both_ways_held_is_legal(void **state)
{
    kit->a[1].start = start_idle;
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_outside_hold(kit->a[1].self, NU_REV, true);
    nu_loop_advance(&kit->loop, 99);
    nu_chain_touch(kit->chain);
    assert_int_equal(nu_chain_last_activity(kit->chain), 100);
    nu_loop_advance(&kit->loop, 99);
    assert_non_null(kit->chain);
    nu_loop_advance(&kit->loop, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_IDLE);
    assert_int_equal(kit->closed, 1);
}

static void hold_at_open_only(struct nu_filter *f, enum nu_signal signal)
{
    nu_release(f, NU_FWD);
}

static enum nu_open hold_in_open(struct nu_filter *f)
{
    nu_hold(f, NU_FWD);
    return NU_OPEN;
}

static void test_hold_in_open_counts_from_the_start(void **state)
{
    kit->a[2].open = hold_in_open;
    kit->a[2].signal = hold_at_open_only;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x");
    nu_chain_signal(kit->chain, NU_DRAIN);
    assert_diary("a:drain b:drain c:drain c>x b:go> a:go>");
}

/* What one turn brings leaves together, at its end, without waiting. */
static void test_W1_flushed_once_a_turn(void **state)
{
    endpoints();
    left.chunk = 10;
    nu_endpoint_send(&left, 500);
    nu_loop_settle(&kit->loop);
    assert_int_equal(right.got, 500);
    assert_int_equal(right.writes, 1);
    nu_endpoint_send(&left, 500);
    nu_loop_settle(&kit->loop);
    assert_int_equal(right.writes, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_B1_own_bit_idempotent),
        KIT_TEST(test_B1_release_is_the_holders_own),
        KIT_TEST(test_B2_events_wait_at_the_holder),
        KIT_TEST(test_B3_a_forward_is_never_refused),
        KIT_TEST(test_B3_producer_asks_after_each_block),
        KIT_TEST(test_B3_no_wakeup_is_lost_within_a_frame),
        KIT_TEST(test_B3_told_what_is_true),
        KIT_TEST(test_B4_sink_holds_at_high_water),
        KIT_TEST(test_B5_paused_source_sleeps_until_told),
        KIT_TEST(test_B5_registered_once),
        KIT_TEST(test_B6_holds_stop_one_direction),
        KIT_TEST(test_B6_a_shield_stops_what_is_blocked_ahead),
        KIT_TEST(test_B6_a_bypass_ends_the_shield),
        KIT_TEST(test_B8_both_ways_held_is_legal),
        KIT_TEST(test_hold_in_open_counts_from_the_start),
        KIT_TEST(test_W1_flushed_once_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
