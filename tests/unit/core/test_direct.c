/* The direct relay (D): when two sockets may be tied past all in between. */
#include "tests/unit/core/chain_kit.h"

static struct nu_filter_type plain_left, plain_right;

static void sockets(bool joined, const struct nu_filter_type *between)
{
    plain_left = nu_probe_left;
    plain_right = nu_probe_right;
    plain_left.flags |= NU_F_SOCKET;
    plain_right.flags |= NU_F_SOCKET;
    static struct nu_filter_type tie;
    tie = nu_probe_joint;
    tie.sees[NU_FWD] = tie.sees[NU_REV] = NU_SEES(NU_END);
    const struct nu_place whole[] = {
        {&plain_left,  &kit->a[0]},
        {between,      &kit->a[4]},
        {&plain_right, &kit->a[3]}
    };
    const struct nu_place left[] = {
        {&plain_left, &kit->a[0]},
        {between,     &kit->a[4]},
        {&tie,        &kit->a[1]}
    };
    const struct nu_place right[] = {
        {&tie,         &kit->a[2]},
        {&plain_right, &kit->a[3]}
    };
    kit_places(joined ? left : whole, 3);
    if (!joined)
        return;
    assert_null(nu_direct(kit->a[0].self, NU_FWD));
    nu_chain_new(&kit->loop, right, 2, NULL, NULL, NULL);
    nu_join(kit->a[1].self, kit->a[2].self);
}

static void ask_direct(struct nu_filter *f)
{
    assert_null(nu_direct(kit->a[0].self, NU_FWD)); /* f is on the stack, in between */
}

static void watch_nothing(struct nu_chain *chain, struct nu_filter *from, enum nu_dir dir,
                          const struct nu_ev *ev, void *ctx)
{
}

/* Through one chain and through two: whatever stands in the way ends it, per direction. */
static void test_D1_direct(void **state)
{
    for (int joined = 0; joined < 2; joined++) {
        sockets(joined, &nu_deaf);
        struct nu_filter *a = kit->a[0].self, *d = kit->a[3].self;
        struct nu_filter *last = joined ? kit->a[2].self : a;
        assert_ptr_equal(nu_direct(a, NU_FWD), d);
        assert_ptr_equal(nu_direct(d, NU_REV), a);
        nu_outside_hold(d, NU_FWD, true);
        assert_null(nu_direct(a, NU_FWD));
        assert_ptr_equal(nu_direct(d, NU_REV), a);
        nu_say(a, NU_FWD, "queued");
        nu_outside_hold(d, NU_FWD, false);
        assert_ptr_equal(nu_direct(a, NU_FWD), d);
        nu_watch(d->chain, watch_nothing, NULL);
        assert_null(nu_direct(a, NU_FWD));
        assert_null(nu_direct(d, NU_REV));
        nu_watch(d->chain, NULL, NULL);
        nu_call(last->next[NU_FWD], ask_direct);
        nu_chain_abort(d->chain, NU_CAUSE_DRAIN);
        assert_null(nu_direct(a, NU_FWD));
        kit_teardown(NULL);
        kit_setup(state);
    }
}

static void end_early(struct nu_filter *f)
{
    nu_forward_end(f, NU_FWD, nu_result_of(NU_CAUSE_LIMIT));
}

static void test_D1_not_past_who_sees_or_ended(void **state)
{
    struct nu_filter *looker;
    sockets(true, &nu_check);
    assert_null(nu_direct(kit->a[0].self, NU_FWD));
    assert_null(nu_direct_past(kit->a[0].self, NU_FWD, &looker));
    assert_null(nu_direct(kit->a[3].self, NU_REV));
    kit_teardown(NULL);
    kit_setup(state);
    sockets(true, &nu_deaf);
    nu_call(kit->a[1].self, end_early);
    assert_null(nu_direct(kit->a[0].self, NU_FWD));
    nu_call(kit->a[2].self, kit_drop_rev);
    assert_null(nu_direct(kit->a[3].self, NU_REV));
}

static bool look(struct nu_filter *f, enum nu_dir dir, const uint8_t *at, size_t len)
{
    return true;
}

static struct nu_filter_type onlooker;

static void make_onlooker(void)
{
    onlooker = nu_deaf;
    onlooker.sees[NU_FWD] = onlooker.sees[NU_REV] = NU_SEES(NU_DATA);
    onlooker.event = nu_forward;
    onlooker.look = look;
}

/* Who is content to look is no obstacle; he is named, so that he is asked. */
static void test_D1_past_who_only_looks(void **state)
{
    struct nu_filter *looker;
    make_onlooker();
    sockets(true, &onlooker);
    struct nu_filter *a = kit->a[0].self, *d = kit->a[3].self;
    assert_ptr_equal(nu_direct_past(a, NU_FWD, &looker), d);
    assert_ptr_equal(looker, a->next[NU_FWD]);
    assert_null(nu_direct(a, NU_FWD));
    nu_narrow(looker, NU_FWD, 0);
    assert_ptr_equal(nu_direct_past(a, NU_FWD, &looker), d);
    assert_null(looker);
}

/* Nobody would ask the second one. */
static void test_D1_not_past_two_who_look(void **state)
{
    struct nu_filter *looker;
    make_onlooker();
    sockets(false, &nu_deaf);
    const struct nu_place places[] = {
        {&plain_left,  &kit->a[4]},
        {&onlooker,    NULL      },
        {&onlooker,    NULL      },
        {&plain_right, &kit->a[5]}
    };
    nu_chain_new(&kit->loop, places, 4, NULL, NULL, NULL);
    assert_null(nu_direct_past(kit->a[4].self, NU_FWD, &looker));
}

static void give_rest(struct nu_filter *f)
{
    struct nu_slice data = nu_slice_copy(kit->loop.blocks, "rest", 4);
    nu_direct_rest(kit->a[3].self, NU_FWD, data);
}

/* What the sink did not take at once comes to it, and to nobody in between. */
static void test_D1_rest(void **state)
{
    sockets(true, &nu_deaf);
    nu_diary_read(&kit->diary);
    nu_call(kit->a[0].self, give_rest);
    assert_diary("d>rest");
    nu_outside_hold(kit->a[3].self, NU_FWD, true);
    nu_call(kit->a[0].self, give_rest);
    assert_true(nu_blocked(kit->a[0].self, NU_FWD));
    nu_outside_hold(kit->a[3].self, NU_FWD, false);
    assert_diary("c:stop> b:stop> a:stop> d>rest c:go> b:go> a:go>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_D1_direct),
        KIT_TEST(test_D1_not_past_who_sees_or_ended),
        KIT_TEST(test_D1_past_who_only_looks),
        KIT_TEST(test_D1_not_past_two_who_look),
        KIT_TEST(test_D1_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
