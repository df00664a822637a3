/* Events: who owns them (E), in what order they come and how they end (O). */
#include "tests/unit/core/chain_kit.h"

static size_t lent(void)
{
    return nu_block_pool_lent(kit->loop.blocks);
}

static struct nu_ev kept;

static void keep(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    kept = *ev;
}

static void free_kept(struct nu_filter *f)
{
    nu_ev_free(&kept);
}

static void swallow(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
}

/* An event is forwarded, kept or freed by who holds it, and nobody else touches it. */
static void test_E1_one_owner(void **state)
{
    kit->a[1].event = keep;
    kit->a[1].close = free_kept;
    kit->a[2].event = swallow;
    kit_chain(4);
    nu_say(kit->a[0].self, NU_FWD, "12345");
    assert_int_equal(lent(), 5);
    assert_memory_equal(kept.u.data.data, "12345", 5);
    nu_say(kit->a[1].self, NU_FWD, "678"); /* b's word goes to c, who frees it */
    assert_int_equal(lent(), 5);
    assert_diary("b>12345 c>678");
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(lent(), 0);
}

static void fail_then_forward(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "");
    nu_forward(f, dir, ev);
}

/* nu_forward consumes also when the chain is dead; nobody gets it. */
static void test_E2_forward_consumes_on_a_dead_chain(void **state)
{
    kit->a[1].event = fail_then_forward;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x");
    assert_int_equal(lent(), 0);
    nu_say(kit->a[0].self, NU_FWD, "y"); /* not even the door opens */
    assert_diary("");
}

static void see_frozen(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_slice again = nu_slice_dup(ev->u.data);
    assert_ptr_equal(again.data, ev->u.data.data);
    assert_int_equal(ev->u.data.block->refs, 2);
    nu_forward(f, dir, ev);
    assert_memory_equal(again.data, "abc", 3);
    nu_slice_drop(&again);
}

/* Payload is shared, not copied; what is frozen stays as it was written. */
static void test_E3_payload_is_shared(void **state)
{
    kit->a[1].event = see_frozen;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "abc");
    assert_int_equal(lent(), 0);
}

static struct nu_head head;

static void speak_head(struct nu_filter *f)
{
    struct nu_ev ev;
    memset(&ev, 0xff, sizeof ev); /* what is beside the pointer is nobody's */
    ev.kind = NU_HEAD;
    ev.u.head = &head;
    nu_forward(f, NU_FWD, &ev);
}

static void take_head(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    assert_ptr_equal(ev->u.head, &head);
    nu_ev_free(ev);
}

/* Events lend heads: the same one arrives, also out of a queue, and freeing the event frees no
 * head. */
static void test_E4_heads_are_lent(void **state)
{
    kit->a[2].event = take_head;
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_call(kit->a[0].self, speak_head);
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("a:stop> b>HEAD c>HEAD a:go>");
}

static void never(struct nu_filter *f)
{
    fail_msg("a timer fired after the end");
}

static void set_timer(struct nu_filter *f)
{
    nu_timer_set(f, 0, 10, never);
}

/* Queues, timers and filters go with the chain. */
static void test_E5_chain_owns_queues_and_timers(void **state)
{
    kit_chain(4);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_outside_hold(kit->a[2].self, NU_REV, true);
    nu_say(kit->a[0].self, NU_FWD, "one");
    nu_say(kit->a[0].self, NU_FWD, "two");
    nu_say(kit->a[3].self, NU_REV, "three");
    nu_call(kit->a[1].self, set_timer);
    assert_int_equal(lent(), 11);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(lent(), 0);
    assert_int_equal(kit->loop.timers.count, 0);
    nu_loop_advance(&kit->loop, 100);
}

/* Under an eighth of its block: copied out. An eighth or more, or static: left as it is. */
static void test_E6_small_rest_is_copied_out(void **state)
{
    struct nu_block *b = nu_block_get(kit->loop.blocks, NU_BLOCK_SMALL);
    memset(b->data, 'x', NU_BLOCK_SMALL);
    struct nu_slice large = nu_block_freeze(b, NU_BLOCK_SMALL / 8), was = large;
    struct nu_slice small = nu_block_freeze(b, NU_BLOCK_SMALL / 8 - 1);
    struct nu_slice fixed = {(const uint8_t *)"s", 1, NULL};
    nu_block_unref(b);
    nu_slice_keep(kit->loop.blocks, &large);
    nu_slice_keep(kit->loop.blocks, &fixed);
    assert_ptr_equal(large.data, was.data);
    assert_null(fixed.block);
    nu_slice_drop(&large);
    assert_int_equal(lent(), NU_BLOCK_SMALL); /* the small one pins it all */
    nu_slice_keep(kit->loop.blocks, &small);
    assert_int_equal(lent(), NU_BLOCK_SMALL / 8 - 1);
    assert_int_equal(small.data[0], 'x');
    nu_slice_drop(&small);
}

/* A little of a large block, as a short read brings it. */
static void say_short_read(struct nu_filter *f)
{
    struct nu_block *b = nu_block_get(kit->loop.blocks, NU_BLOCK_SMALL);
    memset(b->data, 'r', 5);
    nu_forward_data(f, NU_FWD, nu_block_freeze(b, 5));
    nu_block_unref(b);
}

/* What waits for a release pins no more than its bytes. */
static void test_E6_what_is_held_back_is_copied_out(void **state)
{
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_call(kit->a[0].self, say_short_read);
    nu_call(kit->a[0].self, say_short_read);
    assert_int_equal(lent(), 10);
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("a:stop> b>rrrrr c>rrrrr b>rrrrr c>rrrrr a:go>");
}

/* Has a speak again while what came before still waits at b. */
static void have_more_said(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    bool first = ev->u.data.data[0] == '1';
    nu_ev_free(ev);
    if (first)
        nu_say(kit->a[0].self, NU_FWD, "late");
}

/* First in, first out, through holds, releases and arrivals while the queue drains. */
static void test_O1_fifo(void **state)
{
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_say(kit->a[0].self, NU_FWD, "1");
    nu_say(kit->a[0].self, NU_FWD, "2");
    nu_say(kit->a[0].self, NU_FWD, "3");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    assert_diary("a:stop>");
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("b>1 c>1 b>2 c>2 b>3 c>3 b>end:clean c>end:clean a:go>");
}

/* What arrives while the queue drains goes behind what waits. */
static void test_O1_arrivals_while_draining(void **state)
{
    kit->a[2].event = have_more_said;
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_say(kit->a[0].self, NU_FWD, "1");
    nu_say(kit->a[0].self, NU_FWD, "2");
    nu_diary_read(&kit->diary);
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("b>1 c>1 b>2 c>2 b>late c>late a:go>");
}

static void end_twice(void)
{
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
}

static void data_behind_end(void)
{
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_say(kit->a[0].self, NU_FWD, "x");
}

static void test_O2_once_and_nothing_behind(void **state)
{
    kit_chain(3);
    assert_true(dies(end_twice));
    assert_true(dies(data_behind_end));
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    assert_diary("b>end:clean c>end:clean");
}

static void end_and_look_away(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_forward(f, dir, ev);
    nu_forward_end(f, dir, nu_result_of(NU_CAUSE_FILTER));
    nu_narrow(f, dir, 0);
}

static void looks_away(enum nu_dir dir, const char *heard)
{
    struct nu_filter *first = kit->a[dir == NU_FWD ? 0 : 2].self;
    nu_say(first, dir, "1");
    assert_diary(heard);
    nu_say(first, dir, "2");
    nu_say_end(first, dir, NU_CAUSE_CLIENT_FIN);
    assert_diary("");
}

/* A filter that ends a direction and looks away: what still comes, END too, is discarded. */
static void test_O2_nothing_passes_by_an_early_end(void **state)
{
    kit->a[1].event = end_and_look_away;
    kit_chain(3);
    looks_away(NU_FWD, "b>1 c>1 c>end:cancelled");
    looks_away(NU_REV, "b<1 a<1 a<end:cancelled");
    assert_int_equal(lent(), 0);
}

static struct nu_result flush_result;

static void flush_at_end(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_END) {
        struct nu_ev rest = nu_text_ev(f, "rest");
        nu_forward(f, dir, &rest);
        flush_result = ev->u.end;
    }
    nu_forward(f, dir, ev);
}

static void test_O2_filter_flushes_before_end(void **state)
{
    kit->a[1].event = flush_at_end;
    kit_chain(3);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    assert_diary("b>end:clean c>rest c>end:clean");
}

/* END passes those who do not see it, in its place, once. */
static void test_O2_end_passes_by(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_deaf,        NULL      },
        {&nu_probe_right, &kit->a[1]}
    };
    kit_places(places, 3);
    nu_diary_read(&kit->diary);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    assert_diary("b>x b>end:clean");
    assert_true(nu_bit(kit->a[0].self->next[NU_FWD], NU_B_ENDED, NU_FWD));
}

/* END is a half-close: the other direction lives on. */
static void test_O3_half_close(void **state)
{
    kit_chain(3);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_diary_read(&kit->diary);
    nu_say(kit->a[2].self, NU_REV, "still");
    nu_loop_advance(&kit->loop, 1000);
    assert_diary("b<still a<still");
    assert_non_null(kit->chain);
    nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_loop_settle(&kit->loop);
    assert_diary("b<end:clean a<end:clean closed a:close b:close c:close");
}

/* How and whose fault reach the sink as they were said; the first that is no clean one stays. */
static void test_O4_result_travels_behind_the_data(void **state)
{
    kit_chain(3);
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_RST);
    assert_diary("b:stop> a:stop> b>x b>end:reset");
    nu_outside_hold(kit->a[2].self, NU_FWD, false);
    assert_diary("c>x c>end:reset b:go> a:go>");
    nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->result.cause, NU_CAUSE_CLIENT_RST);
    assert_int_equal(kit->result.how, NU_RESET);
    assert_int_equal(kit->result.side, NU_SIDE_CLIENT);
}

static void fail_as_clean(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_CLIENT_FIN, NU_SIDE_CLIENT, "%s", "");
}

/* A failure is a cut, whatever its cause would mean otherwise. */
static void test_O4_a_failure_never_looks_whole(void **state)
{
    kit_chain(3);
    nu_call(kit->a[1].self, fail_as_clean);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->result.how, NU_CANCELLED);
    assert_int_equal(kit->result.cause, NU_CAUSE_CLIENT_FIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_E1_one_owner),
        KIT_TEST(test_E2_forward_consumes_on_a_dead_chain),
        KIT_TEST(test_E3_payload_is_shared),
        KIT_TEST(test_E4_heads_are_lent),
        KIT_TEST(test_E5_chain_owns_queues_and_timers),
        KIT_TEST(test_E6_small_rest_is_copied_out),
        KIT_TEST(test_E6_what_is_held_back_is_copied_out),
        KIT_TEST(test_O1_fifo),
        KIT_TEST(test_O1_arrivals_while_draining),
        KIT_TEST(test_O2_once_and_nothing_behind),
        KIT_TEST(test_O2_nothing_passes_by_an_early_end),
        KIT_TEST(test_O2_filter_flushes_before_end),
        KIT_TEST(test_O2_end_passes_by),
        KIT_TEST(test_O3_half_close),
        KIT_TEST(test_O4_result_travels_behind_the_data),
        KIT_TEST(test_O4_a_failure_never_looks_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
