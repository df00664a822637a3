/* Legs (L): chains that a filter opens, one after another until one stands. a | b owns e | f, then
 * g | h. */
#include "tests/unit/core/chain_kit.h"

static struct nu_chain *next_leg;
static unsigned tries;

/* b as the owner of a leg: keeps what comes until one is joined, tries another when it fails. */
static void open_leg(struct nu_filter *owner)
{
    const struct nu_place places[] = {
        {&nu_probe_joint, &kit->a[4 + 2 * (tries % 2)]},
        {&nu_probe_right, &kit->a[5 + 2 * (tries % 2)]}
    };
    tries++;
    next_leg = nu_chain_new(&kit->loop, places, 2, NULL, NULL, NULL);
    nu_join(owner, nu_chain_end(next_leg, NU_REV));
}

static void own_leg(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (dir == NU_REV && ev->kind == NU_END && ev->u.end.cause == NU_CAUSE_REFUSED)
        open_leg(f);
    else
        nu_forward(f, dir, ev);
}

static void connected(struct nu_filter *f)
{
    nu_release(f, NU_FWD);
}

static void session_with_legs(void)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_joint, &kit->a[1]}
    };
    tries = 0;
    kit->a[1].event = own_leg;
    kit->a[1].open = kit_hold_in_open;
    kit->a[1].start = open_leg;
    kit->a[5].open = kit->a[7].open = kit_hold_in_open;
    kit_places(places, 2);
    nu_diary_read(&kit->diary);
}

/* A failed leg is reaped alone; the next one gets every byte, and a new END can come from it. */
static void test_L1_next_leg_after_failure(void **state)
{
    session_with_legs();
    nu_say(kit->a[0].self, NU_FWD, "hello");
    nu_call(kit->a[5].self, kit_refused);
    nu_loop_settle(&kit->loop);
    assert_diary("e:close b<end:cancelled g:open h:open g:start h:start g:stop> f:close");
    assert_int_equal(tries, 2);
    assert_int_equal(kit->loop.chain_count, 2);
    nu_call(kit->a[7].self, connected);
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    assert_diary("g:go> b:go> b>hello g>hello h>hello a:go>");
    nu_say(kit->a[7].self, NU_REV, "welcome");
    nu_say_end(kit->a[7].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_diary("g<welcome b<welcome a<welcome g<end:clean b<end:clean a<end:clean");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.how, NU_CLEAN);
}

/* The session goes first: its leg hears of it and ends. */
static void test_L1_session_fails_first(void **state)
{
    session_with_legs();
    nu_call(kit->a[0].self, kit_fail_limit);
    nu_loop_settle(&kit->loop);
    assert_diary("closed a:close b:close e>end:cancelled");
    assert_int_equal(kit->loop.chain_count, 1);
    nu_call(kit->a[5].self, connected);
    assert_diary("f>end:cancelled e:go>");
}

static void join_after_end(void)
{
    nu_say_end(kit->a[1].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_call(kit->a[1].self, kit_part_here);
    nu_call(kit->a[1].self, open_leg);
}

static void test_L1_no_leg_after_end(void **state)
{
    session_with_legs();
    assert_true(dies(join_after_end));
}

static enum nu_open join_in_open(struct nu_filter *f)
{
    nu_join(f, kit->a[2].self);
    nu_say(kit->a[3].self, NU_REV, "banner");
    return NU_OPEN;
}

/* What a leg says while the owner's chain is still being built waits for it. */
static void test_L1_leg_speaks_while_the_owner_opens(void **state)
{
    const struct nu_place right[] = {
        {&nu_probe_joint, &kit->a[2]},
        {&nu_probe_right, &kit->a[3]}
    };
    const struct nu_place left[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_joint, &kit->a[1]}
    };
    nu_chain_new(&kit->loop, right, 2, NULL, NULL, NULL);
    nu_diary_read(&kit->diary);
    kit->a[1].open = join_in_open;
    kit_places(left, 2);
    assert_diary("a:open b:open c<banner a:start b:start b<banner a<banner");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_L1_next_leg_after_failure),
        KIT_TEST(test_L1_session_fails_first),
        KIT_TEST(test_L1_no_leg_after_end),
        KIT_TEST(test_L1_leg_speaks_while_the_owner_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
