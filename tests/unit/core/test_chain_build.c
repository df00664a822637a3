/* Shape (S): building, inserting, bypassing, and the check of faces. */
#include "core/build.h"
#include "tests/unit/core/chain_kit.h"

static void greet(struct nu_filter *f)
{
    struct nu_ev ev = nu_text_ev(f, "hello");
    nu_forward(f, f->next[NU_FWD] ? NU_FWD : NU_REV, &ev);
}

/* All open before the first starts; who is spoken to before its start waits. */
static void test_S0_open_all_then_start_all(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe,       &kit->a[1]},
        {&nu_probe_right, &kit->a[2]}
    };
    kit->a[0].start = greet;
    kit->a[2].start = greet;
    kit_places(places, 3);
    assert_diary("a:open b:open c:open a:start b:start b>hello c:start "
                 "b<hello a<hello c>hello");
}

static enum nu_open forward_in_open(struct nu_filter *f)
{
    greet(f);
    return NU_OPEN;
}

static enum nu_open insert_in_open(struct nu_filter *f)
{
    const struct nu_place place = {&nu_deaf, NULL};
    nu_insert(f, NU_FWD, &place, 1);
    return NU_OPEN;
}

static enum nu_open drop_in_open(struct nu_filter *f)
{
    nu_drop(f, NU_FWD);
    return NU_OPEN;
}

static void build_three(void)
{
    kit_chain(3);
}

static void test_S0_open_may_not_act(void **state)
{
    kit->a[0].open = forward_in_open;
    assert_true(dies(build_three));
    kit->a[0].open = insert_in_open;
    assert_true(dies(build_three));
    kit->a[0].open = drop_in_open;
    assert_true(dies(build_three));
}

static enum nu_open stay_out(struct nu_filter *f)
{
    nu_hold(f, NU_FWD); /* forgotten with the rest */
    return NU_PASS;
}

/* Who answers PASS hears of nothing but close. */
static void test_S0_pass(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe,       &kit->a[1]},
        {&nu_probe_right, &kit->a[2]}
    };
    kit->a[1].open = stay_out;
    kit->a[1].start = greet;
    kit_places(places, 3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    nu_chain_signal(kit->chain, NU_DRAIN);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_diary("a:open b:open c:open a:start c:start c>x a:stop> a:drain c:drain "
                 "closed a:close b:close c:close");
}

static enum nu_open refuse(struct nu_filter *f)
{
    return NU_REFUSE;
}

static enum nu_open refuse_with_reason(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_LIMIT, NU_SIDE_CLIENT, "%s", "full");
    return NU_REFUSE;
}

/* Who refuses ends the chain: nobody behind it opens, nobody starts, those that opened close. */
static void test_S0_refuse(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe,       &kit->a[1]},
        {&nu_probe_right, &kit->a[2]}
    };
    kit->a[1].open = refuse;
    kit_places(places, 3);
    assert_int_equal(kit->closed, 0);
    nu_loop_settle(&kit->loop);
    assert_diary("a:open b:open closed a:close b:close");
    assert_int_equal(kit->result.cause, NU_CAUSE_FILTER);
    kit->a[1].open = refuse_with_reason;
    kit_places(places, 3);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
    assert_string_equal(kit->details, "full");
}

static void fail_in_start(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "");
}

static void test_S0_failure_in_start(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_right, &kit->a[1]}
    };
    kit->a[0].start = fail_in_start;
    kit_places(places, 2);
    nu_loop_settle(&kit->loop);
    assert_diary("a:open b:open a:start closed a:close b:close");
}

/* In one allocation, linked both ways, the config in each filter's hands. */
static void test_S1_built_whole(void **state)
{
    struct nu_chain *chain = kit_chain(3);
    struct nu_filter *a = kit->a[0].self, *b = kit->a[1].self, *c = kit->a[2].self;
    assert_ptr_equal(nu_chain_end(chain, NU_REV), a);
    assert_ptr_equal(nu_chain_end(chain, NU_FWD), c);
    assert_true(a->next[NU_FWD] == b && b->next[NU_FWD] == c && !c->next[NU_FWD]);
    assert_true(c->next[NU_REV] == b && b->next[NU_REV] == a && !a->next[NU_REV]);
    assert_int_equal((uintptr_t)b % _Alignof(void *), 0);
    assert_int_equal(kit->loop.chain_count, 1);
}

static struct nu_place two[2];
static enum nu_dir side;

static void insert_two(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    two[0] = (struct nu_place){&nu_probe, &kit->a[6]};
    two[1] = (struct nu_place){&nu_probe, &kit->a[7]};
    nu_probe_of(f)->event = NULL;
    nu_insert(f, side, two, 2);
    nu_forward(f, dir, ev);
}

/* Beside itself, before it forwards what makes it true: newcomers open, start and take part. */
static void test_S2_insert_right(void **state)
{
    side = NU_FWD;
    kit->a[1].event = insert_two;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x g:open h:open g:start h:start g>x h>x c>x");
    nu_say(kit->a[2].self, NU_REV, "y");
    assert_diary("h<y g<y b<y a<y");
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_diary("closed a:close b:close g:close h:close c:close");
}

static void test_S2_insert_left(void **state)
{
    side = NU_REV;
    kit->a[1].event = insert_two;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x g:open h:open g:start h:start c>x");
    nu_say(kit->a[0].self, NU_FWD, "y");
    assert_diary("g>y h>y b>y c>y");
}

/* At the chain's right end, as a sniffer does that stood last. */
static void test_S2_insert_beyond_the_end(void **state)
{
    side = NU_FWD;
    kit->a[2].event = insert_two;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x c>x g:open h:open g:start h:start g>x h>x");
    assert_ptr_equal(nu_chain_end(kit->chain, NU_FWD), kit->a[7].self);
    nu_say(kit->a[7].self, NU_REV, "y");
    assert_diary("g<y c<y b<y a<y");
}

static void refuse_newcomer(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    kit->a[6].open = refuse;
    insert_two(f, dir, ev);
}

static void test_S2_newcomer_refuses(void **state)
{
    side = NU_FWD;
    kit->a[1].event = refuse_newcomer;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_loop_settle(&kit->loop);
    assert_diary("b>x g:open closed a:close b:close g:close c:close");
    assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
}

static void insert_in_start(struct nu_filter *f)
{
    const struct nu_place place = {&nu_probe, &kit->a[6]};
    nu_insert(f, NU_FWD, &place, 1);
}

static void test_S2_insert_in_start(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_right, &kit->a[1]}
    };
    kit->a[0].start = insert_in_start;
    kit_places(places, 2);
    assert_diary("a:open b:open a:start g:open g:start b:start");
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("g>x b>x");
}

static void insert_inside_open(void)
{
    side = NU_FWD;
    kit->a[6].open = insert_in_open;
    kit->a[1].event = insert_two;
    nu_say(kit->a[0].self, NU_FWD, "x");
}

static void insert_from_outside(void)
{
    nu_insert(kit->a[1].self, NU_FWD,
              (const struct nu_place[]){
                  {&nu_deaf, NULL}
    },
              1);
}

static void test_S2_only_from_ones_own_callback(void **state)
{
    kit_chain(3);
    assert_true(dies(insert_inside_open));
    assert_true(dies(insert_from_outside));
}

static void pass_by(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_ev first = nu_text_ev(f, "kept");
    nu_bypass(f);
    nu_forward(f, dir, &first);
    nu_ev_free(ev);
}

static void bypass_me(struct nu_filter *f)
{
    nu_bypass(f);
}

/* What it kept goes first, then what waited for it, then all the rest by itself. */
static void test_S3_bypass(void **state)
{
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_outside_hold(kit->a[1].self, NU_REV, true);
    nu_say(kit->a[0].self, NU_FWD, "waits");
    nu_say(kit->a[2].self, NU_REV, "back");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_diary_read(&kit->diary);
    nu_call(kit->a[1].self, bypass_me);
    assert_diary("c>waits c>end:clean a<back a:go> c:go<");
    nu_outside_hold(kit->a[0].self, NU_REV, true);
    assert_diary("c:stop<"); /* b is told no more */
}

static void test_S3_bypass_with_bytes_in_hand(void **state)
{
    kit->a[1].event = pass_by;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say(kit->a[0].self, NU_FWD, "y");
    assert_diary("b>x c>kept c>y");
}

static void narrow_to_end(struct nu_filter *f)
{
    nu_narrow(f, NU_FWD, NU_SEES(NU_END));
    nu_narrow(f, NU_FWD, NU_SEES_ALL); /* it lessens only */
}

static void test_S3_narrow(void **state)
{
    kit_chain(3);
    nu_call(kit->a[1].self, narrow_to_end);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say(kit->a[2].self, NU_REV, "y");
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    assert_diary("c>x b<y a<y b>end:clean c>end:clean");
}

static void insert_and_wait(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_probe_of(f)->event = NULL;
    two[0] = (struct nu_place){&nu_probe, &kit->a[6]};
    nu_insert(f, NU_REV, two, 1);
    nu_ev_free(ev);
}

/* Bytes behind a STARTTLS are an injection (CVE-2011-0411). */
static void test_S4_left_needs_an_empty_queue(void **state)
{
    kit->a[1].event = insert_and_wait;
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_FWD, true);
    nu_say(kit->a[0].self, NU_FWD, "STARTTLS");
    nu_say(kit->a[0].self, NU_FWD, "RCPT TO");
    nu_outside_hold(kit->a[1].self, NU_FWD, false);
    nu_loop_settle(&kit->loop);
    assert_diary("a:stop> b>STARTTLS closed a:close b:close c:close");
    assert_int_equal(kit->result.side, NU_SIDE_CLIENT);
    assert_true(strlen(kit->details) > 0);
}

/* A newcomer takes over the END that has passed its place, and learns who holds ahead. */
static void test_S4_newcomer_inherits_hold(void **state)
{
    side = NU_FWD;
    kit->a[1].event = insert_two;
    kit_chain(3);
    nu_outside_hold(kit->a[2].self, NU_FWD, true);
    nu_diary_read(&kit->diary);
    nu_say(kit->a[0].self, NU_FWD, "x");
    assert_diary("b>x g:open h:open g:start h:start g>x h>x h:stop> g:stop>");
}

static void say_past_end(void)
{
    nu_say(kit->a[6].self, NU_FWD, "x");
}

static void insert_beside(struct nu_filter *f)
{
    two[0] = (struct nu_place){&nu_probe, &kit->a[6]};
    nu_insert(f, side, two, 1);
}

static void test_S4_newcomer_inherits_end(void **state)
{
    side = NU_FWD;
    kit_chain(3);
    nu_say_end(kit->a[0].self, NU_FWD, NU_CAUSE_CLIENT_FIN);
    nu_call(kit->a[1].self, insert_beside);
    assert_true(nu_bit(kit->a[6].self, NU_B_ENDED, NU_FWD));
    assert_true(nu_bit(kit->a[6].self, NU_B_ARRIVED, NU_FWD));
    assert_false(nu_bit(kit->a[6].self, NU_B_ENDED, NU_REV));
    assert_true(dies(say_past_end));
    nu_diary_read(&kit->diary);
    nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_diary("g<end:clean b<end:clean a<end:clean");
}

/* An END that still waits at the one who inserts has passed the newcomer's place too. */
static void test_S4_newcomer_inherits_a_queued_end(void **state)
{
    side = NU_FWD;
    kit_chain(3);
    nu_outside_hold(kit->a[1].self, NU_REV, true);
    nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_call(kit->a[1].self, insert_beside);
    assert_true(nu_bit(kit->a[6].self, NU_B_ENDED, NU_REV));
    assert_false(nu_bit(kit->a[6].self, NU_B_ENDED, NU_FWD));
}

static void keep_end(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
}

/* An END that came but was not passed on yet goes through the newcomer. */
static void test_S4_end_in_hand_is_not_inherited(void **state)
{
    side = NU_REV;
    kit->a[1].event = keep_end;
    kit_chain(3);
    nu_say_end(kit->a[2].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    nu_call(kit->a[1].self, insert_beside);
    assert_false(nu_bit(kit->a[6].self, NU_B_ENDED, NU_REV));
    nu_diary_read(&kit->diary);
    nu_say_end(kit->a[1].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_diary("g<end:clean a<end:clean");
}

static const struct nu_filter_type http = {
    .name = "http", .face = {NU_FACE_BYTES, NU_FACE_HTTP}
};
static const struct nu_filter_type router = {
    .name = "router", .face = {NU_FACE_HTTP, NU_FACE_NONE}
};
static const struct nu_filter_type tcp = {
    .name = "tcp", .face = {NU_FACE_BYTES, NU_FACE_NONE}
};
static const struct nu_filter_type same = {
    .name = "same", .face = {NU_SAME, NU_SAME}
};
static const struct nu_filter_type start = {
    .name = "start", .face = {NU_FACE_NONE, NU_FACE_BYTES}
};

static const struct {
    const struct nu_filter_type *types[4];
    enum nu_face left;
    int at;
    const char *why;
} orders[] = {
    {{&tcp},                         NU_FACE_BYTES, -1, NULL                                                    },
    {{&same, &http, &same, &router}, NU_FACE_BYTES, -1, NULL                                                    },
    {{&start, &same, &tcp},          NU_FACE_NONE,  -1, NULL                                                    },
    {{&router},                      NU_FACE_BYTES, 0,  "router takes HTTP, but it gets bytes here"             },
    {{&same, &router},               NU_FACE_BYTES, 1,  "router takes HTTP, but it gets bytes here"             },
    {{&http, &tcp},                  NU_FACE_BYTES, 1,  "tcp takes bytes, but it gets HTTP here"                },
    {{&same, &tcp, &same},           NU_FACE_BYTES, 2,  "nothing can stand behind tcp, which ends the chain"    },
    {{&same, &http},                 NU_FACE_BYTES, 1,  "the chain has no filter that ends it (tcp_proxy, echo)"},
    {{NULL},                         NU_FACE_BYTES, 0,  "the chain has no filter that ends it (tcp_proxy, echo)"},
    {{&start, &tcp},                 NU_FACE_BYTES, 0,  "start takes nothing, but it gets bytes here"           },
};

static void test_faces(void **state)
{
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        struct nu_arena *arena = nu_arena_new(256);
        struct nu_place places[4] = {0};
        unsigned n = 0;
        const char *why = "unset";
        for (; n < 4 && orders[i].types[n]; n++)
            places[n].type = orders[i].types[n];
        assert_int_equal(nu_chain_check(places, n, orders[i].left, arena, &why), orders[i].at);
        if (orders[i].why)
            assert_string_equal(why, orders[i].why);
        else
            assert_null(why);
        nu_arena_free(arena);
    }
}

static unsigned doubled(const struct nu_place *places, unsigned count, struct nu_place *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        out[n++] = places[i];
        if (i + 1 < count)
            out[n++] = (struct nu_place){&nu_deaf, NULL};
    }
    return n;
}

static void test_expander(void **state)
{
    side = NU_FWD;
    nu_chain_set_expander(doubled);
    kit->a[1].event = insert_two;
    kit_chain(3);
    assert_ptr_equal(kit->a[0].self->next[NU_FWD]->type, &nu_deaf);
    assert_ptr_equal(kit->a[0].self->next[NU_FWD]->next[NU_FWD], kit->a[1].self);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_chain_set_expander(NULL);
    assert_diary("b>x g:open h:open g:start h:start g>x h>x c>x");
    assert_ptr_equal(kit->a[6].self->next[NU_FWD]->type, &nu_deaf);
}

/* What b becomes: swallows DATA, and writes it down. */
struct other {
    struct nu_filter filter;
    uint64_t zero;
};

static void other_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_diary_add(&kit->diary, "other%llu:%zu", (unsigned long long)((struct other *)f)->zero,
                 ev->u.data.len);
    nu_ev_free(ev);
}

static void other_close(struct nu_filter *f)
{
    nu_diary_add(&kit->diary, "other:close");
}

static const struct nu_filter_type other_type = {
    .name = "other",
    .size = sizeof(struct other),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .sees = {NU_SEES(NU_DATA), 0},
    .event = other_event,
    .close = other_close,
};

static void never(struct nu_filter *f)
{
    nu_diary_add(&kit->diary, "timer");
}

static void become_other(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_timer_set(f, 3, 10, never);
    nu_become(f, &other_type);
    nu_forward(f, dir, ev);
}

/* The next event is the other's; of the first one nothing is left. */
static void test_S5_become(void **state)
{
    kit->a[1].event = become_other;
    kit_chain(3);
    nu_say(kit->a[0].self, NU_FWD, "x");
    nu_say(kit->a[0].self, NU_FWD, "yes");
    nu_say(kit->a[2].self, NU_REV, "passes");
    nu_loop_advance(&kit->loop, 20);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_diary("b>x c>x other0:3 a<passes closed a:close other:close c:close");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_S5_become),
        KIT_TEST(test_S0_open_all_then_start_all),
        KIT_TEST(test_S0_open_may_not_act),
        KIT_TEST(test_S0_pass),
        KIT_TEST(test_S0_refuse),
        KIT_TEST(test_S0_failure_in_start),
        KIT_TEST(test_S1_built_whole),
        KIT_TEST(test_S2_insert_right),
        KIT_TEST(test_S2_insert_left),
        KIT_TEST(test_S2_insert_beyond_the_end),
        KIT_TEST(test_S2_newcomer_refuses),
        KIT_TEST(test_S2_insert_in_start),
        KIT_TEST(test_S2_only_from_ones_own_callback),
        KIT_TEST(test_S3_bypass),
        KIT_TEST(test_S3_bypass_with_bytes_in_hand),
        KIT_TEST(test_S3_narrow),
        KIT_TEST(test_S4_left_needs_an_empty_queue),
        KIT_TEST(test_S4_newcomer_inherits_hold),
        KIT_TEST(test_S4_newcomer_inherits_end),
        KIT_TEST(test_S4_newcomer_inherits_a_queued_end),
        KIT_TEST(test_S4_end_in_hand_is_not_inherited),
        KIT_TEST(test_faces),
        KIT_TEST(test_expander),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
