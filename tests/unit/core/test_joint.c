/* Joints (J), and what of the other rules crosses them. The pair of a test is a | b ~ c | d. */
#include "tests/unit/core/chain_kit.h"

static struct nu_chain *leg(void)
{
    return kit->a[2].self->chain;
}

static void test_J1_two_chains_as_one(void **state)
{
    kit_pair();
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say(kit->a[3].self, NU_REV, "y");
    assert_diary("b>x c>x d>x c<y b<y a<y");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_say_end(kit->a[3].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_diary_read(&kit->diary);
    nu_loop_settle(&kit->loop);
    assert_diary("closed a:close b:close c:close d:close");
    assert_int_equal(kit->result.how, NU_CLEAN);
}

static void keep_end(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
}

static void say_done_fwd(struct nu_filter *f)
{
    nu_done(f, NU_FWD);
}

static void both_end(void)
{
    nu_say_end(kit->a[3].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_loop_advance(&kit->loop, 1000);
}

/* END that has crossed is on the wire when the chain beyond says so, not before: until then the
 * session lives on with its timers, and what goes wrong is its own. */
static void test_T1_done_crosses_joints(void **state)
{
    kit->a[3].event = keep_end;
    kit_pair();
    both_end();
    assert_int_equal(kit->closed, 0);
    assert_int_equal(kit->loop.chain_count, 2);
    nu_call(kit->a[3].self, say_done_fwd);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.how, NU_CLEAN);
    assert_int_equal(kit->loop.chain_count, 0);
}

static void test_T1_failure_before_done(void **state)
{
    kit->a[3].event = keep_end;
    kit_pair();
    both_end();
    nu_call(kit->a[3].self, kit_fail_limit);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
}

static void drop_fwd(struct nu_filter *f)
{
    nu_drop(f, NU_FWD);
}

/* A sink beyond that is done before END crosses, because it drops, is done with that END as well.
 */
static void test_T1_done_before_the_end_crosses(void **state)
{
    kit_pair();
    nu_call(kit->a[3].self, drop_fwd);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 0);
    both_end();
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->loop.chain_count, 0);
}

/* Both sinks drop, then both ends come: neither chain waits for the other. */
static void test_T1_both_done_before_the_ends_cross(void **state)
{
    kit_pair();
    nu_call(kit->a[3].self, drop_fwd);
    nu_call(kit->a[0].self, kit_drop_rev);
    both_end();
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->loop.chain_count, 0);
}

static void part_limit(struct nu_filter *f)
{
    nu_part(nu_probe_joint_of(f), nu_result_of(NU_CAUSE_LIMIT));
}

/* Nobody beyond is left to say it. */
static void test_T1_parted_before_done(void **state)
{
    kit->a[3].event = keep_end;
    kit_pair();
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_call(kit->a[2].self, part_limit); /* END(result) comes back to a, who is done too */
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
}

/* What moves in a leg is activity of its session (B8). */
static void test_B8_activity_crosses_a_joint(void **state)
{
    kit_pair();
    kit->loop.now_ms = 77;
    nu_chain_touch(leg());
    assert_int_equal(nu_chain_last_activity(kit->chain), 77);
    kit->loop.now_ms = 99;
    nu_chain_touch(kit->chain);
    assert_int_equal(nu_chain_last_activity(leg()), 99);
}

static void join_other_loop(void)
{
    struct nu_loop other;
    nu_loop_init(&other, 1);
    const struct nu_place places[] = {
        {&nu_probe_joint, &kit->a[2]},
        {&nu_probe_right, &kit->a[3]}
    };
    nu_chain_new(&other, places, 2, NULL, NULL, NULL);
    nu_join(kit->a[1].self, kit->a[2].self);
}

static void join_twice(void)
{
    kit_pair();
    nu_join(kit->a[1].self, kit->a[2].self);
}

static void test_J1_one_worker_one_partner(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_joint, &kit->a[1]}
    };
    kit_places(places, 2);
    assert_true(dies(join_other_loop));
    assert_true(dies(join_twice));
}

/* A hold at one chain's end is a hold for the other's source, both ways, also one from before. */
static void test_J2_hold_crosses(void **state)
{
    kit_pair();
    nu_outside_hold(kit->a[3].self, NU_FWD, true);
    assert_diary("c:stop> b:stop> a:stop>");
    assert_true(nu_blocked(kit->a[0].self, NU_FWD));
    assert_true(nu_blocked(kit->a[1].self, NU_FWD));
    nu_outside_hold(kit->a[0].self, NU_REV, true);
    assert_diary("b:stop< c:stop< d:stop<");
    nu_outside_hold(kit->a[3].self, NU_FWD, false);
    nu_outside_hold(kit->a[0].self, NU_REV, false);
    assert_diary("c:go> b:go> a:go> b:go< c:go< d:go<");
    assert_false(nu_blocked(kit->a[1].self, NU_FWD));
}

static void test_J2_hold_from_before_the_join(void **state)
{
    kit->a[3].open = kit_hold_in_open;
    kit_pair();
    assert_true(nu_blocked(kit->a[0].self, NU_FWD));
}

/* Like a sink that fills up in the midst of what makes its own server's side speak. */
static void hold_and_say(struct nu_filter *f)
{
    nu_hold(f, NU_FWD);
    nu_forward_data(f, NU_REV, (struct nu_slice){(const uint8_t *)"y", 1, NULL});
}

static void send_twice_if_free(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
    for (int sent = 0; sent < 2 && !nu_blocked(f, NU_FWD); sent++)
        nu_forward_data(f, NU_FWD, (struct nu_slice){(const uint8_t *)"x", 1, NULL});
}

/* A chain cannot tell of its hold while a frame of it is further down the stack (R3); who is
 * entered from there and sends back into it learns of it with the first event all the same. */
static void test_J2_hold_crosses_into_a_frame(void **state)
{
    kit->a[1].event = send_twice_if_free;
    kit_pair();
    nu_call(kit->a[3].self, hold_and_say);
    assert_diary("c<y b<y a:stop> c>x c:stop>");
    nu_outside_hold(kit->a[3].self, NU_FWD, false);
    assert_diary("d>x c:go> b:go> a:go>");
}

/* The partner hears END(result); who parted is no longer held from afar, nor is the partner. */
static void test_J3_part(void **state)
{
    kit_pair();
    nu_outside_hold(kit->a[3].self, NU_FWD, true);
    nu_outside_hold(kit->a[0].self, NU_REV, true);
    nu_diary_read(&kit->diary);
    nu_call(kit->a[1].self, kit_part_here);
    assert_diary("c>end:cancelled c:go< d:go< parted b:go> a:go>");
    assert_null(nu_probe_joint_of(kit->a[2].self)->peer);
    nu_call(kit->a[1].self, kit_part_here); /* not joined: nothing */
    nu_say(kit->a[0].self, NU_FWD, "to nobody");
    assert_diary("parted b>to nobody");
    assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
}

/* Who parts in mid-life hears nothing of it. What it is sent from then on is lost, so a clean end
 * there is none of the chain's (O4). */
static void test_J3_a_clean_end_after_parting(void **state)
{
    kit_pair();
    nu_say_end(kit->a[3].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_call(kit->a[1].self, part_limit);
    assert_int_equal(nu_chain_result(kit->chain).how, NU_CLEAN); /* nothing is lost yet */
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
}

/* The same where the clean END has crossed, but waits beyond. */
static void test_J3_parting_before_what_was_sent_is_out(void **state)
{
    kit->a[3].event = keep_end;
    kit_pair();
    both_end();
    nu_call(kit->a[1].self, part_limit);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
}

static void part_and_end(struct nu_filter *f)
{
    part_limit(f);
    nu_forward_end(f, NU_REV, nu_result_of(NU_CAUSE_UPSTREAM_FIN));
}

/* What is on the wire is not lost any more. */
static void test_J3_parting_when_all_is_out(void **state)
{
    kit_pair();
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_call(kit->a[1].self, part_and_end);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.how, NU_CLEAN);
}

static void forget_to_part(struct nu_filter *f)
{
}

/* What close leaves joined the chain parts: no half points to freed memory. */
static void test_J3_the_chain_parts_what_close_forgot(void **state)
{
    kit_pair();
    kit->a[2].close = forget_to_part;
    nu_call(kit->a[3].self, kit_fail_limit);
    nu_loop_settle(&kit->loop);
    assert_null(nu_probe_joint_of(kit->a[1].self)->peer);
    assert_diary("c:close b<end:cancelled a<end:cancelled d:close");
}

static enum nu_open refuse(struct nu_filter *f)
{
    return NU_REFUSE;
}

/* A leg that was over before it was joined: its joint never opened. */
static void test_J3_joined_to_the_dead(void **state)
{
    kit->a[2].open = refuse;
    kit_pair();
    nu_loop_settle(&kit->loop);
    assert_diary("c:close b<end:cancelled a<end:cancelled");
}

static void drop_and_fail(struct nu_filter *f)
{
    nu_drop(f, NU_REV); /* END(CANCELLED), for no cause that a log could name */
    nu_fail(f, NU_CAUSE_LIMIT, NU_SIDE_LOCAL, "%s", "");
}

/* A cut END that did not say why had crossed: no second END, but the session knows the cause. */
static void test_J3_cause_behind_a_nameless_cut(void **state)
{
    kit->a[3].event = keep_end;
    kit_pair();
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_call(kit->a[2].self, drop_and_fail);
    nu_loop_settle(&kit->loop);
    assert_diary("b>end:clean c>end:clean d>end:clean b<end:cancelled a<end:cancelled "
                 "c:close d:close closed a:close b:close");
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
}

static void part_clean(struct nu_filter *f)
{
    nu_part(nu_probe_joint_of(f), nu_result_of(NU_CAUSE_UPSTREAM_FIN));
}

/* Parting before END is a cut, whatever is said (O4). */
static void test_J3_parting_is_never_clean(void **state)
{
    kit_pair();
    nu_call(kit->a[2].self, part_clean);
    assert_diary("b<end:truncated a<end:truncated");
}

/* END(CLEAN) had crossed, then the chain beyond failed: who believed it must fail as well. */
static void test_J3_failure_behind_a_clean_end(void **state)
{
    kit_pair();
    nu_say_end(kit->a[3].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_diary("c<end:clean b<end:clean a<end:clean");
    nu_call(kit->a[3].self, kit_fail_limit);
    nu_loop_settle(&kit->loop);
    assert_diary("c:close d:close closed a:close b:close");
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
}

/* A cut END had crossed: the news is old. */
static void test_J3_failure_behind_a_cut(void **state)
{
    kit_pair();
    nu_say_end(kit->a[3].self, NU_REV, NU_CAUSE_UPSTREAM_RST);
    nu_call(kit->a[3].self, kit_fail_limit);
    nu_loop_settle(&kit->loop);
    assert_non_null(kit->chain);
    assert_false(nu_chain_ended(kit->chain));
    assert_int_equal(nu_chain_result(kit->chain).cause, NU_CAUSE_UPSTREAM_RST);
}

/* A chain that finished after its END crossed leaves its partner alone. */
static void test_J3_finished_behind_a_clean_end(void **state)
{
    kit_pair();
    nu_say_end(kit->a[3].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->result.how, NU_CLEAN);
    assert_int_equal(kit->closed, 1);
}

static void inject_end(struct nu_filter *f)
{
    struct nu_ev ev = nu_ev_end(nu_result_of(NU_CAUSE_UPSTREAM_RST));
    nu_inject(nu_probe_joint_of(f), NU_REV, &ev);
}

static void inject_again(void)
{
    nu_outside_hold(kit->a[1].self, NU_REV, true); /* so that nobody sees it come */
    nu_call(kit->a[2].self, inject_end);
    nu_call(kit->a[2].self, inject_end);
}

/* Injecting goes past the injector, and an END that went this way is remembered. */
static void test_J3_inject(void **state)
{
    kit_pair();
    assert_true(dies(inject_again));
    nu_call(kit->a[2].self, inject_end);
    assert_diary("b<end:reset a<end:reset");
    nu_call(kit->a[2].self, kit_part_here);
    assert_diary("parted");
}

/* J4, seen from one stream: whatever the owner of several chains does to each is part(result). */
static void test_J4_each_partner_hears_of_the_end(void **state)
{
    kit_pair();
    nu_chain_abort(leg(), NU_CAUSE_DRAIN);
    assert_diary("");
    nu_loop_settle(&kit->loop);
    assert_diary("c:close b<end:cancelled a<end:cancelled d:close");
    assert_int_equal(nu_chain_result(kit->chain).cause, NU_CAUSE_DRAIN);
}

static void finish_exchange(struct nu_filter *f)
{
    struct nu_ev ev = nu_ev_end((struct nu_result){.how = NU_CLEAN});
    nu_inject(nu_probe_joint_of(f), NU_FWD, &ev);
    nu_part(nu_probe_joint_of(f), (struct nu_result){.how = NU_CLEAN});
}

static void tie(void)
{
    nu_join(kit->a[1].self, kit->a[2].self);
}

/* A kept connection: END ends an exchange, not the filter that takes it for itself. */
static void test_J1_a_pair_is_tied_again(void **state)
{
    kit->a[2].event = keep_end;
    kit_pair();
    for (int i = 0; i < 3; i++) {
        nu_call(kit->a[1].self, finish_exchange);
        assert_diary("c>end:clean");
        tie();
    }
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->loop.chain_count, 2);
}

static void test_J1_not_behind_an_end_that_went_on(void **state)
{
    kit_pair();
    nu_call(kit->a[1].self, finish_exchange);
    assert_true(dies(tie));
}

static void fail_then_forward(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "");
    nu_forward(f, dir, ev);
}

/* What a dead chain forwards crosses no joint. */
static void test_E2_nothing_crosses_from_the_dead(void **state)
{
    kit->a[1].event = fail_then_forward;
    kit_pair();
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x");
    assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
}

/* A drop at the joint frees those before it from what the other chain holds. */
static void test_T6_drop_at_a_joint(void **state)
{
    kit_pair();
    nu_outside_hold(kit->a[0].self, NU_REV, true);
    nu_say(kit->a[3].self, NU_REV, "x");
    nu_diary_read(&kit->diary);
    nu_call(kit->a[1].self, kit_drop_rev);
    assert_diary("c:go< d:go<");
    nu_say(kit->a[3].self, NU_REV, "y");
    assert_diary("c<y");
    nu_outside_hold(kit->a[0].self, NU_REV, false);
    assert_diary("a<x a<end:cancelled b:go<");
}

static void test_T6_drop_into_a_joint(void **state)
{
    kit_pair();
    nu_call(kit->a[2].self, kit_drop_rev);
    assert_diary("b<end:cancelled a<end:cancelled");
    nu_say(kit->a[3].self, NU_REV, "x");
    assert_diary("");
}

static void test_T5_failure_crosses_as_end(void **state)
{
    kit_pair();
    nu_outside_hold(kit->a[0].self, NU_REV, true);
    nu_say(kit->a[3].self, NU_REV, "answer");
    nu_call(kit->a[3].self, kit_refused);
    nu_loop_settle(&kit->loop);
    nu_diary_read(&kit->diary);
    nu_outside_hold(kit->a[0].self, NU_REV, false);
    assert_diary("a<answer a<end:cancelled b:go<"); /* behind what came before it */
}

/* --- a chain between two --- */

static struct nu_chain *between(unsigned first)
{
    const struct nu_place places[] = {
        {&nu_probe_joint, &kit->a[first]    },
        {&nu_probe_joint, &kit->a[first + 1]}
    };
    return nu_chain_new(&kit->loop, places, 2, NULL, NULL, NULL);
}

/* a | b ~ e | f ~ c | d */
static struct nu_chain *three(void)
{
    kit_pair();
    struct nu_chain *middle = between(4);
    nu_joint_between(kit->a[1].self, middle);
    nu_diary_read(&kit->diary);
    return middle;
}

static void test_J5_left_out_and_back(void **state)
{
    struct nu_chain *middle = three();
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x e>x f>x c>x d>x");
    assert_true(nu_joint_skip(middle));
    nu_chain_abort(middle, NU_CAUSE_NONE);
    nu_loop_settle(&kit->loop);
    assert_diary("e:close f:close");
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say(kit->a[3].self, NU_REV, "y");
    assert_diary("b>x c>x d>x c<y b<y a<y");
    nu_joint_between(kit->a[1].self, between(6));
    nu_diary_read(&kit->diary);
    nu_say_end(kit->a[3].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_diary("c<end:clean h<end:clean g<end:clean b<end:clean a<end:clean");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->loop.chain_count, 0);
    assert_int_equal(kit->result.how, NU_CLEAN);
}

/* What is blocked beyond is so for whoever is there now, and until it is free. */
static void test_J5_a_hold_finds_the_newcomer(void **state)
{
    kit_pair();
    nu_outside_hold(kit->a[3].self, NU_FWD, true);
    int64_t quiet_since = kit->loop.now_ms;
    kit->loop.now_ms += 500;
    struct nu_chain *middle = between(4);
    nu_joint_between(kit->a[1].self, middle);
    assert_int_equal(nu_chain_last_activity(middle), quiet_since);
    assert_true(nu_blocked(kit->a[5].self, NU_FWD));
    assert_true(nu_blocked(kit->a[0].self, NU_FWD));
    nu_outside_hold(kit->a[3].self, NU_FWD, false);
    assert_false(nu_blocked(kit->a[5].self, NU_FWD));
    assert_false(nu_blocked(kit->a[0].self, NU_FWD));
    assert_true(nu_joint_skip(middle));
    nu_chain_abort(middle, NU_CAUSE_NONE);
}

static void watch_nothing(struct nu_chain *chain, struct nu_filter *from, enum nu_dir dir,
                          const struct nu_ev *ev, void *ctx)
{
}

static void test_J5_not_where_something_is_under_way(void **state)
{
    struct nu_chain *middle = three();
    nu_outside_hold(kit->a[3].self, NU_FWD, true);
    assert_false(nu_joint_skip(middle));
    nu_outside_hold(kit->a[3].self, NU_FWD, false);
    nu_watch(middle, watch_nothing, NULL);
    assert_false(nu_joint_skip(middle));
    nu_watch(middle, NULL, NULL);
    nu_say_end(kit->a[3].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_false(nu_joint_skip(middle));
    nu_chain_abort(leg(), NU_CAUSE_DRAIN);
    assert_false(nu_joint_skip(middle));
}
static void see_nothing(struct nu_filter *f)
{
    nu_narrow(f, NU_FWD, 0);
}

/* Where nobody would be entered anyway, the dead still stop what comes. */
static void test_T2_nothing_steps_over_the_dead(void **state)
{
    three();
    nu_call(kit->a[4].self, see_nothing);
    nu_call(kit->a[5].self, see_nothing);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x c>x d>x");
    nu_call(kit->a[5].self, kit_fail_limit);
    nu_say(kit->a[0].self, NU_FWD, "y");
    assert_diary("b>y");
    assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_E2_nothing_crosses_from_the_dead),
        KIT_TEST(test_J1_two_chains_as_one),
        KIT_TEST(test_T1_done_crosses_joints),
        KIT_TEST(test_T1_failure_before_done),
        KIT_TEST(test_T1_done_before_the_end_crosses),
        KIT_TEST(test_T1_both_done_before_the_ends_cross),
        KIT_TEST(test_T1_parted_before_done),
        KIT_TEST(test_B8_activity_crosses_a_joint),
        KIT_TEST(test_J1_one_worker_one_partner),
        KIT_TEST(test_J2_hold_crosses),
        KIT_TEST(test_J2_hold_from_before_the_join),
        KIT_TEST(test_J2_hold_crosses_into_a_frame),
        KIT_TEST(test_J3_part),
        KIT_TEST(test_J3_a_clean_end_after_parting),
        KIT_TEST(test_J3_parting_before_what_was_sent_is_out),
        KIT_TEST(test_J3_parting_when_all_is_out),
        KIT_TEST(test_J3_the_chain_parts_what_close_forgot),
        KIT_TEST(test_J3_joined_to_the_dead),
        KIT_TEST(test_J3_parting_is_never_clean),
        KIT_TEST(test_J3_failure_behind_a_clean_end),
        KIT_TEST(test_J3_failure_behind_a_cut),
        KIT_TEST(test_J3_cause_behind_a_nameless_cut),
        KIT_TEST(test_J3_finished_behind_a_clean_end),
        KIT_TEST(test_J3_inject),
        KIT_TEST(test_J4_each_partner_hears_of_the_end),
        KIT_TEST(test_J1_a_pair_is_tied_again),
        KIT_TEST(test_J1_not_behind_an_end_that_went_on),
        KIT_TEST(test_T5_failure_crosses_as_end),
        KIT_TEST(test_T6_drop_at_a_joint),
        KIT_TEST(test_T6_drop_into_a_joint),
        KIT_TEST(test_J5_left_out_and_back),
        KIT_TEST(test_J5_a_hold_finds_the_newcomer),
        KIT_TEST(test_J5_not_where_something_is_under_way),
        KIT_TEST(test_T2_nothing_steps_over_the_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
