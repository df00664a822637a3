/* The test filters do what they are for, and the pedant finds what it should. */
#include "tests/filters/paranoid.h"
#include "tests/unit/core/chain_kit.h"

static struct nu_test_end left, right;
static struct nu_check_report before, after;

/* source | check | filter | check | sink */
static void between(const struct nu_filter_type *type, const void *conf)
{
    const struct nu_place places[] = {
        {&nu_source, &left  },
        {&nu_check,  &before},
        {type,       conf   },
        {&nu_check,  &after },
        {&nu_sink,   &right }
    };
    left = right = nu_endpoint_idle();
    kit_places(places, 5);
}

/* Everything there and back, by the clock, with both ends clean. */
static void relay_all(const struct nu_filter_type *type, const void *conf)
{
    between(type, conf);
    nu_endpoint_send(&left, 5000);
    nu_endpoint_send(&right, 3333);
    nu_endpoint_finish(&left, NU_CAUSE_CLIENT_FIN);
    nu_endpoint_finish(&right, NU_CAUSE_UPSTREAM_FIN);
    for (int ms = 0; ms < 200 && !kit->closed; ms++)
        nu_loop_advance(&kit->loop, 1);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.how, NU_CLEAN);
    assert_true(before.ended[NU_FWD] && after.ended[NU_REV]);
    assert_true(right.got == 5000 && left.got == 3333);
    assert_true(right.got_hash == left.sent_hash && left.got_hash == right.sent_hash);
    assert_true(before.hash[NU_FWD] == after.hash[NU_FWD]);
    assert_true(before.hash[NU_REV] == after.hash[NU_REV]);
    assert_int_equal(left.result.cause, NU_CAUSE_UPSTREAM_FIN);
    assert_true(left.opened == left.closed && right.opened == right.closed);
}

static void test_all_carry_bytes(void **state)
{
    static const struct nu_filter_type *const types[] = {&nu_shred, &nu_glue,  &nu_slow,  &nu_late,
                                                         &nu_deaf,  &nu_check, &nu_pedant};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        relay_all(types[i], &nu_check == types[i] ? &(struct nu_check_report){0} : NULL);
        kit_teardown(NULL);
        kit_setup(state);
    }
}

static void test_shred_cuts(void **state)
{
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_shred,       NULL      },
        {&nu_probe_right, &kit->a[1]}
    };
    kit_places(places, 3);
    nu_diary_read(&kit->diary);
    nu_say(kit->a[0].self, NU_FWD, "abc");
    nu_say(kit->a[1].self, NU_REV, "de");
    nu_say(kit->a[0].self, NU_FWD, "");
    assert_diary("b>a b>b b>c a<d a<e");
}

/* What is ahead gets no more than it can take, the rest stays one event. */
static void test_shred_is_bounded(void **state)
{
    between(&nu_shred, NULL);
    left.chunk = 900;
    nu_endpoint_open(&right, 0);
    nu_endpoint_send(&left, 100000);
    nu_loop_advance(&kit->loop, 1);
    assert_int_equal(right.most_waiting, 4000); /* high water to the byte */
    assert_int_equal(left.sent, 4500);          /* shred has the rest of one read */
    nu_endpoint_open(&right, UINT64_MAX);
    nu_loop_advance(&kit->loop, 1);
    assert_int_equal(right.got, 100000);
}

static void test_glue_joins(void **state)
{
    const struct nu_glue_conf conf = {4, 7};
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_glue,        &conf     },
        {&nu_probe_right, &kit->a[1]}
    };
    kit_places(places, 3);
    nu_diary_read(&kit->diary);
    nu_say(kit->a[0].self, NU_FWD, "ab");
    nu_say(kit->a[0].self, NU_FWD, "cdef");
    assert_diary("b>abcd");
    nu_loop_advance(&kit->loop, 7);
    assert_diary("b>ef");
    nu_say(kit->a[1].self, NU_REV, "x");
    nu_say_end(kit->a[1].self, NU_REV, NU_CAUSE_UPSTREAM_FIN);
    assert_diary("a<x a<end:clean");
}

static void test_slow_paces(void **state)
{
    const struct nu_slow_conf conf = {100, 10};
    between(&nu_slow, &conf);
    nu_endpoint_send(&left, 1000);
    nu_loop_advance(&kit->loop, 0);
    for (unsigned got = 100; got < 1000; got += 100) {
        nu_loop_advance(&kit->loop, 9);
        assert_int_equal(right.got, got);
        nu_loop_advance(&kit->loop, 1);
    }
    assert_int_equal(right.got, 1000);
}

static void speak_head(struct nu_filter *f)
{
    static struct nu_head head;
    struct nu_ev ev = {.kind = NU_HEAD, .u.head = &head};
    nu_forward(f, NU_FWD, &ev);
}

static void test_late_keeps_the_head(void **state)
{
    const struct nu_late_conf conf = {5};
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_late,        &conf     },
        {&nu_probe_right, &kit->a[1]}
    };
    kit_places(places, 3);
    nu_diary_read(&kit->diary);
    nu_call(kit->a[0].self, speak_head);
    nu_say(kit->a[0].self, NU_FWD, "body");
    nu_loop_advance(&kit->loop, 4);
    assert_diary("a:stop>");
    nu_loop_advance(&kit->loop, 1);
    assert_diary("b>HEAD b>body a:go>");
    nu_say(kit->a[0].self, NU_FWD, "more");
    assert_diary("b>more");
}

static void test_fail_at(void **state)
{
    struct nu_fail_conf conf = {.dir = NU_FWD, .bytes = 1500, .cause = NU_CAUSE_LIMIT};
    between(&nu_fail_at, &conf);
    nu_endpoint_send(&right, 9000); /* the other direction does not count */
    nu_endpoint_send(&left, 1000);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 0);
    nu_endpoint_send(&left, 1000);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->closed, 1);
    assert_int_equal(kit->result.cause, NU_CAUSE_LIMIT);
    assert_string_equal(kit->blamed, "fail_at");
    conf = (struct nu_fail_conf){.at_end = true, .bytes = 99, .cause = NU_CAUSE_FILTER};
    between(&nu_fail_at, &conf);
    nu_endpoint_finish(&left, NU_CAUSE_CLIENT_FIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->result.cause, NU_CAUSE_FILTER);
    conf = (struct nu_fail_conf){.at_open = true, .cause = NU_CAUSE_DRAIN};
    between(&nu_fail_at, &conf);
    nu_loop_settle(&kit->loop);
    assert_string_equal(kit->details, "in open");
    assert_int_equal(right.opened, 0);
}

static const char *fault;

static void note_fault(const struct nu_filter *f, const char *what)
{
    fault = fault ? fault : what;
}

static struct nu_filter_type speaks, hears;

/* What the pedant says of events, by letter: i h d t m g (DGRAM) e (clean END) r (reset). */
static const char *judged(uint8_t face, enum nu_dir dir, const char *events)
{
    static const char letters[] = "ihdtmg";
    void (*was)(const struct nu_filter *, const char *) = nu_pedant_fault;
    const struct nu_place places[] = {
        {&speaks,    &kit->a[0]},
        {&nu_pedant, NULL      },
        {&hears,     &kit->a[1]}
    };
    speaks = nu_probe_left;
    hears = nu_probe_right;
    speaks.face[1] = hears.face[0] = face;
    fault = NULL;
    nu_pedant_fault = note_fault;
    kit_places(places, 3);
    struct nu_filter *f = nu_chain_end(kit->chain, nu_opposite(dir));
    nu_chain_enter(kit->chain);
    for (; *events; events++) {
        struct nu_ev ev =
            nu_ev_end(nu_result_of(*events == 'e' ? NU_CAUSE_CLIENT_FIN : NU_CAUSE_CLIENT_RST));
        const char *letter = strchr(letters, *events);
        if (letter)
            ev = (struct nu_ev){.kind = (enum nu_kind)(letter - letters)};
        f->bits = 0; /* so that it may break what nu_forward would not let it */
        f->next[dir]->bits = f->next[dir]->next[dir]->bits = 0;
        nu_forward(f, dir, &ev);
    }
    nu_chain_leave(kit->chain);
    nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    nu_pedant_fault = was;
    return fault ? fault : "";
}

static void test_pedant_grammar(void **state)
{
    static const char order[] = "out of the message's order";
    static const char kind[] = "a kind that this face does not have";
    static const struct {
        enum nu_face face;
        enum nu_dir dir;
        const char *events, *fault;
    } rows[] = {
        {NU_FACE_BYTES, NU_FWD, "ddde",   ""                   },
        {NU_FACE_BYTES, NU_FWD, "e",      ""                   },
        {NU_FACE_BYTES, NU_FWD, "hd",     kind                 },
        {NU_FACE_BYTES, NU_REV, "dg",     kind                 },
        {NU_FACE_BYTES, NU_REV, "ee",     "a second END"       },
        {NU_FACE_BYTES, NU_FWD, "ed",     "an event behind END"},
        {NU_FACE_HTTP,  NU_FWD, "hddte",  ""                   },
        {NU_FACE_HTTP,  NU_FWD, "he",     ""                   },
        {NU_FACE_HTTP,  NU_FWD, "hdr",    ""                   },
        {NU_FACE_HTTP,  NU_FWD, "r",      ""                   },
        {NU_FACE_HTTP,  NU_FWD, "e",      order                },
        {NU_FACE_HTTP,  NU_FWD, "d",      order                },
        {NU_FACE_HTTP,  NU_FWD, "hh",     order                },
        {NU_FACE_HTTP,  NU_FWD, "ih",     order                },
        {NU_FACE_HTTP,  NU_FWD, "htd",    order                },
        {NU_FACE_HTTP,  NU_FWD, "t",      order                },
        {NU_FACE_HTTP,  NU_REV, "iihdde", ""                   },
        {NU_FACE_HTTP,  NU_REV, "hi",     order                },
        {NU_FACE_HTTP,  NU_REV, "hm",     kind                 },
        {NU_FACE_WS,    NU_REV, "mmme",   ""                   },
        {NU_FACE_WS,    NU_FWD, "md",     kind                 },
        {NU_FACE_DGRAM, NU_FWD, "gge",    ""                   },
        {NU_FACE_DGRAM, NU_REV, "gh",     kind                 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(judged(rows[i].face, rows[i].dir, rows[i].events), rows[i].fault);
}

static void speak_unfitting(void)
{
    const struct nu_place places[] = {
        {&speaks,         &kit->a[0]},
        {&nu_pedant,      NULL      },
        {&nu_probe_right, &kit->a[1]}
    };
    speaks = nu_probe_left;
    speaks.face[1] = NU_FACE_HTTP;
    kit_places(places, 3);
    nu_say(kit->a[0].self, NU_FWD, "x");
}

static void test_pedant_faces(void **state)
{
    assert_true(dies(speak_unfitting));
}

static const struct nu_filter_type http = {
    .name = "http", .face = {NU_FACE_BYTES, NU_FACE_HTTP}
};
static const struct nu_filter_type router = {
    .name = "router", .face = {NU_FACE_HTTP, NU_FACE_NONE}
};
static const struct nu_filter_type same = {
    .name = "same", .face = {NU_SAME, NU_SAME}
};

/* Between bytes only; ends stay ends; what follows from a neighbour counts. */
static void test_paranoid_places(void **state)
{
    const struct nu_place places[] = {
        {&nu_source, NULL},
        {&same,      NULL},
        {&http,      NULL},
        {&same,      NULL},
        {&router,    NULL}
    };
    static const char *const want[] = {"source", "pedant", "shred", "same",  "pedant",
                                       "shred",  "http",   "same",  "router"};
    struct nu_place out[NU_CHAIN_MAX_FILTERS];
    assert_int_equal(nu_paranoid_expand(places, 5, out), 9);
    for (int i = 0; i < 9; i++)
        assert_string_equal(out[i].type->name, want[i]);
    assert_int_equal(nu_paranoid_expand(places + 1, 2, out), 4); /* known from the right */
    assert_int_equal(nu_paranoid_expand(places + 1, 1, out), 1);
}

static void test_paranoid_respects_the_cap(void **state)
{
    struct nu_place places[NU_CHAIN_MAX_FILTERS], out[NU_CHAIN_MAX_FILTERS];
    for (unsigned count = 1; count <= NU_CHAIN_MAX_FILTERS; count++) {
        for (unsigned i = 0; i < count; i++)
            places[i] = (struct nu_place){i ? &same : &nu_source, NULL};
        unsigned n = nu_paranoid_expand(places, count, out);
        assert_true(n <= NU_CHAIN_MAX_FILTERS && n >= count);
        assert_ptr_equal(out[0].type, &nu_source);
        assert_ptr_equal(out[n - 1].type, places[count - 1].type);
    }
}

static void test_paranoid_installed(void **state)
{
    nu_paranoid_install();
    relay_all(&nu_slow, NULL);
    nu_chain_set_expander(NULL);
    assert_int_equal(kit->closed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_all_carry_bytes),
        KIT_TEST(test_shred_cuts),
        KIT_TEST(test_shred_is_bounded),
        KIT_TEST(test_glue_joins),
        KIT_TEST(test_slow_paces),
        KIT_TEST(test_late_keeps_the_head),
        KIT_TEST(test_fail_at),
        KIT_TEST(test_pedant_grammar),
        KIT_TEST(test_pedant_faces),
        KIT_TEST(test_paranoid_places),
        KIT_TEST(test_paranoid_respects_the_cap),
        KIT_TEST(test_paranoid_installed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
