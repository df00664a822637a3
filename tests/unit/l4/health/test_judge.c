/* Rows of verdicts, and what an endpoint is taken for after each. */
#include "l4/health/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct nu_endpoint *fresh(void)
{
    struct nu_addr addr;
    nu_addr_parse(&addr, "10.0.0.1:80", -1);
    return nu_endpoint_get("web", &addr, "10.0.0.1:80");
}

/* Verdicts "+-+" judged one by one: U up, D down, . the same, c a change is coming. */
static const char *judged(struct nu_endpoint *e, const char *verdicts, int64_t healthy,
                          int64_t unhealthy)
{
    static const char letters[] = ".cUD";
    static char out[64];
    const struct nu_health_thresholds t = {healthy, unhealthy};
    size_t n = 0;
    for (; *verdicts; verdicts++)
        out[n++] = letters[nu_health_judge(e, &t, *verdicts == '+')];
    out[n] = 0;
    return out;
}

static void rows_decide(void **state)
{
    static const struct {
        const char *verdicts;
        int64_t healthy, unhealthy;
        const char *turns;
        unsigned bits;
    } rows[] = {
        {"+",            2, 3, "U",            0                 },
        {"-",            2, 3, "D",            NU_ENDPOINT_FAILED},
        {"++++",         2, 3, "U...",         0                 },
        {"----",         2, 3, "D...",         NU_ENDPOINT_FAILED},
        {"+---",         2, 3, "UccD",         NU_ENDPOINT_FAILED},
        {"+--+--",       2, 3, "Ucc.cc",       0                 },
        {"+--+---",      2, 3, "Ucc.ccD",      NU_ENDPOINT_FAILED},
        {"-++",          2, 3, "DcU",          0                 },
        {"-+-+-+",       2, 3, "Dc.c.c",       NU_ENDPOINT_FAILED},
        {"-+-++---++",   2, 3, "Dc.cUccDcU",   0                 },
        {"+-+-+",        1, 1, "UDUDU",        0                 },
        {"-+++++------", 5, 6, "DccccUcccccD", NU_ENDPOINT_FAILED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_endpoint *e = fresh();
        nu_health_begin(e, false);
        assert_int_equal(e->health, NU_ENDPOINT_FAILED | NU_ENDPOINT_PENDING);
        assert_string_equal(judged(e, rows[i].verdicts, rows[i].healthy, rows[i].unhealthy),
                            rows[i].turns);
        assert_int_equal(e->health, rows[i].bits);
        nu_endpoint_unref(e);
    }
}

static void until_then_it_is_as_it_was(void **state)
{
    struct nu_endpoint *e = fresh();
    assert_int_equal(e->health, 0);
    nu_health_begin(e, true);
    assert_int_equal(e->health, NU_ENDPOINT_PENDING);
    assert_string_equal(judged(e, "-", 2, 3), "D");
    nu_health_forget(e);
    assert_int_equal(e->health, 0);
    assert_false(e->checks.checked);
    nu_endpoint_unref(e);
}

/* A row that was begun before does not count for a new beginning. */
static void a_new_beginning_counts_from_zero(void **state)
{
    struct nu_endpoint *e = fresh();
    nu_health_begin(e, false);
    assert_string_equal(judged(e, "+--", 2, 3), "Ucc");
    nu_health_begin(e, true);
    assert_string_equal(judged(e, "+--", 2, 3), "Ucc");
    assert_int_equal(e->health, 0);
    nu_endpoint_unref(e);
}

static void turns_have_names(void **state)
{
    assert_string_equal(nu_health_turn_str(NU_HEALTH_SAME), "same");
    assert_string_equal(nu_health_turn_str(NU_HEALTH_DOWN), "down");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_decide),
        cmocka_unit_test(until_then_it_is_as_it_was),
        cmocka_unit_test(a_new_beginning_counts_from_zero),
        cmocka_unit_test(turns_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
