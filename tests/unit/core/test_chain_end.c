/* Failure and teardown (T), dropping, facts (I) and watches. */
#include "tests/unit/core/chain_kit.h"

static void test_T1_graceful(void **state)
{
    kit_chain(3);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 0);
    nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_int_equal(kit->closed, 0);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_CLIENT_FIN); /* the first to end */
    assert_int_equal(kit->result.how, NU_CLEAN);
    assert_string_equal(kit->blamed, "");
}

static void not_yet_done(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
}

static void say_done_fwd(struct nu_filter *f)
{
    nu_done(f, NU_FWD);
}

/* END at both ends is not enough: what came before it must be on the wire. */
static void test_T1_waits_for_done(void **state)
{
    kit->a[2].event = not_yet_done;
    kit_chain(3);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_loop_advance(&kit->loop, 1000);
    assert_int_equal(kit->closed, 0);
    nu_call(kit->a[2].self, say_done_fwd);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
}

static void done_too_early(void)
{
    nu_call(kit->a[2].self, say_done_fwd);
}

static void done_in_the_middle(void)
{
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_call(kit->a[1].self, say_done_fwd);
}

static void test_T1_done_is_the_sinks_word(void **state)
{
    kit_chain(3);
    assert_true(dies(done_too_early));
    assert_true(dies(done_in_the_middle));
}

static void fail_twice(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
    nu_fail(f, NU_CAUSE_LIMIT, NU_SIDE_CLIENT, "%d too many", 3);
    nu_fail(f, NU_CAUSE_INTERNAL, NU_SIDE_LOCAL, "%s", "second");
}

/* The first error stays, with filter, side and words; nothing but close runs from then on. */
static void test_T2_failure_is_latched(void **state)
{
    kit->a[1].event = fail_twice;
    kit_chain(3);
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    nu_outside_hold(kit->a[2].self, NU_REV, true);
    nu_diary_read(&kit->diary);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_outside_hold(kit->a[2].self, NU_FWD, false);
    nu_say(kit->a[2].self, NU_REV, "y");
    nu_chain_signal(kit->chain, NU_DRAIN);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_diary("b>x closed a:close b:close c:close");
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
    assert_int_equal(kit->result.side, NU_SIDE_CLIENT);
    assert_string_equal(kit->details, "3 too many");
    assert_string_equal(kit->blamed, "probe");
}

/* A queue that drains stops with the failure. */
static void fail_at_two(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    bool two = ev->kind == NU_DATA && ev->u.data.data[0] == '2';
    nu_ev_free(ev);
    if (two)
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "");
}

static void test_T2_draining_stops(void **state)
{
    kit->a[1].event = fail_at_two;
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_say(kit->a[0].self, NU_FWD, "1");
    nu_say(kit->a[0].self, NU_FWD, "2");
    nu_say(kit->a[0].self, NU_FWD, "3");
    nu_diary_read(&kit->diary);
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("b>1 b>2");
}

static void fail_in_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "");
}

static void test_T2_telling_stops(void **state)
{
    kit->a[1].flow = fail_in_flow;
    kit_chain(3);
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    assert_diary("b:stop>");
}

static void fail_later(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_LIMIT, NU_SIDE_LOCAL, "%s", "consequence");
}

/* An END that was cut came first: a failure that follows from it takes nothing over. */
static void test_T2_cut_before_failure_stays(void **state)
{
    kit_chain(3);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_RST);
    nu_call(kit->a[2].self, fail_later);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->result.cause, NU_CAUSE_CLIENT_RST);
    assert_string_equal(kit->details, "");
    assert_string_equal(kit->blamed, "");
}

static void test_T2_failure_outranks_a_clean_end(void **state)
{
    kit_chain(3);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_call(kit->a[2].self, fail_later);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
    assert_string_equal(kit->details, "consequence");
}

static void fail_and_look(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_forward(f, dir, ev);
    assert_true(nu_chain_ended(f->chain));
    assert_string_equal(nu_probe_of(f)->name, "b"); /* all still there (T3) */
    assert_int_equal(f->chain->depth, 1);
}

static void settle_inside(void)
{
    kit->loop.depth++;
    nu_loop_settle(&kit->loop);
}

static void test_T3_nothing_freed_on_the_stack(void **state)
{
    kit->a[1].event = fail_and_look;
    kit->a[2].event = fail_twice;
    kit_chain(3);
    assert_true(dies(settle_inside));
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_int_equal(kit->closed, 0);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
}

static void look_around(struct nu_filter *f)
{
    assert_null(f->next[NU_FWD]);
    assert_null(f->next[NU_REV]);
    assert_null(f->chain->timer.filter);
    assert_null(f->chain->timers);
    assert_true(!f->chain->rare || !f->chain->rare->watch);
    assert_int_equal(kit->closed, 1);
    nu_timer_set(f, 0, 1, fail_later); /* ignored */
}

static void forward_in_close(struct nu_filter *f)
{
    nu_forward_end(f, NU_FWD, nu_result_of(NU_CAUSE_CLIENT_FIN));
}

static void hold_in_close(struct nu_filter *f)
{
    nu_hold(f, NU_FWD);
}

static void reap_now(void)
{
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
}

static void watch_nothing(struct nu_chain *chain, struct nu_filter *from, enum nu_dir dir,
                          const struct nu_ev *ev, void *ctx)
{
}

/* closed once, then each is unlinked and closed, left to right; close may do next to nothing. */
static void test_T4_order_of_reaping(void **state)
{
    kit_chain(3);
    for (int i = 0; i < 3; i++)
        kit->a[i].close = look_around;
    nu_timer_set(kit->a[0].self, 0, 100, fail_later);
    nu_watch(kit->chain, watch_nothing, NULL);
    kit->a[1].close = forward_in_close;
    assert_true(dies(reap_now));
    kit->a[1].close = hold_in_close;
    assert_true(dies(reap_now));
    kit->a[1].close = look_around;
    reap_now();
    assert_diary("closed a:close b:close c:close");
}

static void drop_fwd(struct nu_filter *f)
{
    nu_drop(f, NU_FWD);
}

/* What waits and what comes is discarded; beyond, END(CANCELLED); before, the way is free. */
static void test_T6_drop(void **state)
{
    kit_chain(4);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_outside_hold(kit->a[3].self, NU_FWD, true);
    nu_say(kit->a[0].self, NU_FWD, "waits");
    nu_diary_read(&kit->diary);
    nu_call(kit->a[1].self, drop_fwd);
    assert_diary("c>end:cancelled a:go>"); /* d still holds, which is no matter to a */
    assert_false(nu_blocked(kit->a[0].self, NU_FWD));
    assert_true(nu_blocked(kit->a[1].self, NU_FWD));
    nu_call(kit->a[1].self, drop_fwd);
    nu_say(kit->a[0].self, NU_FWD, "lost");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    assert_diary("");
    assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
    nu_say(kit->a[3].self, NU_REV, "back");
    assert_diary("c<back b<back a<back");
}

static void end_then_drop(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
    nu_forward_end(f, dir, nu_result_of(NU_CAUSE_LIMIT));
    nu_drop(f, dir);
}

static void test_T6_drop_sends_no_second_end(void **state)
{
    kit->a[1].event = end_then_drop;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say(kit->a[0].self, NU_FWD, "y");
    assert_diary("b>x c>end:cancelled");
}

static void test_T6_a_sink_that_drops_is_done(void **state)
{
    kit_chain(3);
    nu_call(kit->a[2].self, drop_fwd);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x");
    nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_UPSTREAM_FIN);
}

static void never_run(struct nu_task *task)
{
    fail_msg("a task ran after its filter's close");
}

static struct nu_task ticket = {.run = never_run};

static void cancel_ticket(struct nu_filter *f)
{
    nu_task_cancel(&ticket);
    nu_task_cancel(&ticket);
}

/* What close cancels never calls back. */
static void test_T7_no_callback_after_cancel(void **state)
{
    kit->a[1].close = cancel_ticket;
    kit_chain(3);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop); /* the ready phase is over when the chain is reaped */
    kit_chain(3);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_chain_reap(nu_container(nu_list_pop(&kit->loop.reap), struct nu_chain, link));
    assert_false(nu_list_linked(&ticket.link));
    kit_chain(3);
    nu_loop_ready(&kit->loop, &ticket);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_chain_reap(nu_container(nu_list_pop(&kit->loop.reap), struct nu_chain, link));
    nu_loop_advance(&kit->loop, 1);
}

static void test_I1_facts_live_with_the_chain(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_right, &kit->a[1]}
    };
    struct nu_facts facts = {.id = 7, .listener = "edge"};
    struct nu_chain *chain = nu_chain_new(&kit->loop, places, 2, &facts, NULL, NULL);
    facts.id = 8; /* the chain has its own copy */
    assert_int_equal(nu_chain_facts(chain)->id, 7);
    assert_string_equal(nu_chain_facts(chain)->listener, "edge");
    assert_null(nu_chain_facts(chain)->more);
    nu_chain_facts_more(chain)->sni = "a.test";
    assert_string_equal(nu_chain_facts(chain)->more->sni, "a.test");
    assert_ptr_equal(nu_chain_facts_more(chain), nu_chain_facts(chain)->more);
}

static void test_I1_an_exchange_is_copied_with_the_facts(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_right, &kit->a[1]}
    };
    struct nu_facts_exchange exchange = {.cluster = "web"};
    struct nu_facts facts = {.id = 7, .exchange = &exchange};
    struct nu_chain *chain = nu_chain_new(&kit->loop, places, 2, &facts, NULL, NULL);
    exchange.cluster = "other";
    assert_string_equal(nu_chain_facts(chain)->exchange->cluster, "web");
    assert_ptr_equal(nu_chain_facts_exchange(chain), nu_chain_facts(chain)->exchange);
    facts.exchange = NULL;
    chain = nu_chain_new(&kit->loop, places, 2, &facts, NULL, NULL);
    assert_null(nu_chain_facts(chain)->exchange);
    nu_chain_facts_exchange(chain)->attempts = 2;
    assert_int_equal(nu_chain_facts_exchange(chain)->attempts, 2);
}

struct guest {
    unsigned number;
};

static unsigned guest_gone;

static void on_guest_gone(struct nu_loop *loop, void *ctx)
{
    guest_gone = ((struct guest *)ctx)->number;
}

static void test_S1_an_owner_may_live_with_its_chain(void **state)
{
    static const struct nu_chain_owner owner = {.gone = on_guest_gone,
                                                .ctx_bytes = sizeof(struct guest)};
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_right, &kit->a[1]}
    };
    struct guest guest = {1};
    struct nu_chain *chain = nu_chain_new(&kit->loop, places, 2, NULL, &owner, &guest);
    assert_ptr_not_equal(nu_chain_owner_ctx(chain), &guest);
    ((struct guest *)nu_chain_owner_ctx(chain))->number++;
    nu_chain_abort(chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(guest_gone, 2);
}

static void test_a_list_of_its_owner_has_a_chain_until_it_ends(void **state)
{
    struct nu_list list;
    nu_list_init(&list);
    kit_chain(2);
    nu_chain_list(kit->chain, &list);
    assert_ptr_equal(nu_chain_listed(list.next), kit->chain);
    assert_true(nu_list_empty(&kit->loop.chains));
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    assert_true(nu_list_empty(&list));
    nu_chain_list(kit->chain, &list); /* too late: nothing */
    assert_true(nu_list_empty(&list));
}

static void test_I1_facts_made_when_asked_for(void **state)
{
    kit_chain(2);
    assert_int_equal(nu_chain_facts(kit->chain)->id, 0);
    nu_chain_facts(kit->chain)->id = 9;
    assert_int_equal(nu_chain_facts(kit->chain)->id, 9);
}

static void note_watched(struct nu_chain *chain, struct nu_filter *from, enum nu_dir dir,
                         const struct nu_ev *ev, void *ctx)
{
    assert_ptr_equal(ctx, kit);
    nu_diary_add(&kit->diary, "watch:%s%c%s", from->type == &nu_deaf ? "deaf" : "probe",
                 dir == NU_FWD ? '>' : '<', nu_kind_str(ev->kind));
}

/* Every event as it leaves a filter, passing by included, before the next one has it. */
static void test_watch_sees_all(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_deaf,        NULL      },
        {&nu_probe_right, &kit->a[1]}
    };
    kit_places(places, 3);
    nu_diary_read(&kit->diary);
    nu_watch(kit->chain, note_watched, kit);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say_end(kit->a[1].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_diary("watch:probe>DATA watch:deaf>DATA b>x "
                 "watch:probe<END watch:deaf<END a<end:clean");
    nu_watch(kit->chain, NULL, NULL);
    nu_say(kit->a[0].self, NU_FWD, "y");
    assert_diary("b>y");
}

static void all_gone(struct nu_loop *loop, void *ctx)
{
    assert_ptr_equal(loop, &kit->loop);
    assert_int_equal(loop->chain_count, 0);
    nu_diary_add(ctx, "gone");
}

static void test_T4_gone_comes_behind_every_close(void **state)
{
    static const struct nu_chain_owner owner = {.gone = all_gone};
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_right, &kit->a[1]}
    };
    struct nu_chain *chain = nu_chain_new(&kit->loop, places, 2, NULL, &owner, &kit->diary);
    nu_diary_read(&kit->diary);
    nu_chain_abort(chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_diary("a:close b:close gone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_T4_gone_comes_behind_every_close),
        KIT_TEST(test_T1_graceful),
        KIT_TEST(test_T1_waits_for_done),
        KIT_TEST(test_T1_done_is_the_sinks_word),
        KIT_TEST(test_T2_failure_is_latched),
        KIT_TEST(test_T2_draining_stops),
        KIT_TEST(test_T2_telling_stops),
        KIT_TEST(test_T2_cut_before_failure_stays),
        KIT_TEST(test_T2_failure_outranks_a_clean_end),
        KIT_TEST(test_T3_nothing_freed_on_the_stack),
        KIT_TEST(test_T4_order_of_reaping),
        KIT_TEST(test_T6_drop),
        KIT_TEST(test_T6_drop_sends_no_second_end),
        KIT_TEST(test_T6_a_sink_that_drops_is_done),
        KIT_TEST(test_T7_no_callback_after_cancel),
        KIT_TEST(test_I1_facts_live_with_the_chain),
        KIT_TEST(test_I1_an_exchange_is_copied_with_the_facts),
        KIT_TEST(test_S1_an_owner_may_live_with_its_chain),
        KIT_TEST(test_a_list_of_its_owner_has_a_chain_until_it_ends),
        KIT_TEST(test_I1_facts_made_when_asked_for),
        KIT_TEST(test_watch_sees_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
