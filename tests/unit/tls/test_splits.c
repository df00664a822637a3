/* The TLS filter face to face with itself, its bytes cut in two, or off, at every place: what comes
 * out is the same, or a part of it that nobody can take for the whole. */
#include "tests/unit/tls/tls_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define UP   700 /* bytes that the client sends, and the server */
#define DOWN 900

enum fate { WHOLE, CUT_IN_TWO, CUT_OFF };

/* A wire on which one direction is cut behind `at` bytes: in two, of which the second half comes a
 * millisecond later; or off, by a socket's END. */
static struct {
    struct nu_probe probe;
    enum fate fate;
    enum nu_dir dir;
    uint64_t at, passed;
    struct nu_slice rest;
} wire;

static void let_go(struct nu_filter *f)
{
    struct nu_slice rest = wire.rest;
    wire.rest = (struct nu_slice){0};
    nu_forward_data(f, wire.dir, rest);
    nu_release(f, wire.dir);
}

static void split(struct nu_filter *f, struct nu_slice data, size_t first)
{
    struct nu_slice head = nu_slice_split(&data, first);
    if (head.len)
        nu_forward_data(f, wire.dir, head);
    else
        nu_slice_drop(&head);
    if (wire.fate == CUT_OFF) {
        nu_slice_drop(&data);
        nu_forward_end(
            f, wire.dir,
            nu_result_of(wire.dir == NU_FWD ? NU_CAUSE_CLIENT_FIN : NU_CAUSE_UPSTREAM_FIN));
        nu_drop(f, wire.dir);
        return;
    }
    nu_hold(f, wire.dir);
    wire.rest = data;
    nu_timer_set(f, 0, 1, let_go);
}

static void on_wire(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (dir != wire.dir || ev->kind == NU_END || wire.fate == WHOLE) {
        if (dir == wire.dir && ev->kind == NU_DATA)
            wire.passed += ev->u.data.len;
        nu_forward(f, dir, ev);
        return;
    }
    uint64_t before = wire.passed;
    size_t len = ev->u.data.len;
    wire.passed += len;
    if (before <= wire.at && wire.at < before + len)
        split(f, ev->u.data, (size_t)(wire.at - before));
    else
        nu_forward(f, dir, ev);
}

static void on_close(struct nu_filter *f)
{
    nu_slice_drop(&wire.rest);
}

/* One connection with all that it says; how many bytes went over the wire in that direction. */
static uint64_t run(enum fate fate, enum nu_dir dir, uint64_t at)
{
    memset(&wire, 0, sizeof wire);
    wire.probe = (struct nu_probe){.event = on_wire, .close = on_close};
    wire.fate = fate;
    wire.dir = dir;
    wire.at = at;
    kit->left = kit->right = nu_endpoint_idle();
    kit->left.to_send = UP;
    kit->left.end = NU_CAUSE_CLIENT_FIN;
    kit->right.to_send = DOWN;
    kit->right.end = NU_CAUSE_UPSTREAM_FIN;
    tls_kit_chain(&(struct nu_place){&nu_probe, &wire.probe}, 1);
    tls_kit_run(8);
    return wire.passed;
}

/* At every place; under a sanitizer at each seventh. */
static uint64_t step(void)
{
    return getenv("NUNCIO_SLOW") ? 7 : 1;
}

static void nothing_is_lost_wherever_it_is_cut(void **state)
{
    const int version = *(const int *)*state;
    tls_kit_setup(state);
    tls_kit_versions(version);
    for (enum nu_dir dir = NU_FWD; dir <= NU_REV; dir++) {
        uint64_t size = run(WHOLE, dir, 0);
        assert_true(size > UP);
        for (uint64_t at = 1; at < size; at += step()) {
            run(CUT_IN_TWO, dir, at);
            if (kit->chain || kit->result.how != NU_CLEAN || kit->right.got != UP ||
                kit->left.got != DOWN || kit->left.wrong + kit->right.wrong)
                fail_msg("%s, cut at %d of %d", nu_dir_str(dir), (int)at, (int)size);
        }
    }
    assert_int_equal(kit->lines, 0);
    tls_kit_teardown(state);
}

static void nothing_cut_off_looks_whole(void **state)
{
    const int version = *(const int *)*state;
    tls_kit_setup(state);
    tls_kit_versions(version);
    for (enum nu_dir dir = NU_FWD; dir <= NU_REV; dir++) {
        uint64_t size = run(WHOLE, dir, 0);
        for (uint64_t at = 1; at < size; at += 2 * step()) {
            if (run(CUT_OFF, dir, at) <= at)
                break; /* a signature was shorter: nothing was cut */
            const struct nu_test_end *end = dir == NU_FWD ? &kit->right : &kit->left;
            bool clean = end->got_end && end->result.how == NU_CLEAN;
            if (clean || kit->left.wrong + kit->right.wrong)
                fail_msg("%s, cut off at %d of %d", nu_dir_str(dir), (int)at, (int)size);
            if (kit->chain)
                nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
            tls_kit_run(1);
            kit->lines = 0;
        }
    }
    tls_kit_teardown(state);
}

static int v12 = TLS1_2_VERSION, v13 = TLS1_3_VERSION;

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(nothing_is_lost_wherever_it_is_cut, &v12),
        cmocka_unit_test_prestate(nothing_is_lost_wherever_it_is_cut, &v13),
        cmocka_unit_test_prestate(nothing_cut_off_looks_whole, &v12),
        cmocka_unit_test_prestate(nothing_cut_off_looks_whole, &v13),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
