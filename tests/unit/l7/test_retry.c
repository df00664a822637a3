/* l7/retry.c: which tries may follow which. */
#include "l7/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct nu_route asks(unsigned when, int64_t attempts)
{
    return (struct nu_route){
        .retry = {.when = when, .attempts = attempts}
    };
}

static void test_most(void **state)
{
    struct nu_route none = asks(0, 0), two = asks(NU_RETRY_5XX, 2), all = asks(NU_RETRY_5XX, 1000);
    assert_int_equal(nu_retry_most(&none), NU_TRIES_FREE);
    assert_int_equal(nu_retry_most(&two), 3);
    assert_int_equal(nu_retry_most(&all), NU_TRIES_MOST);
}

static void test_asked(void **state)
{
    static const struct {
        unsigned when;
        bool unsent, reset, slow;
    } rows[] = {
        {0,                        false, false, false},
        {NU_RETRY_CONNECT_FAILURE, true,  false, false},
        {NU_RETRY_RESET,           true,  true,  true },
        {NU_RETRY_GATEWAY_ERROR,   false, false, true },
        {NU_RETRY_RETRIABLE_4XX,   false, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_route route = asks(rows[i].when, 1);
        assert_int_equal(nu_retry_asked(&route, NU_TRY_UNSENT), rows[i].unsent);
        assert_int_equal(nu_retry_asked(&route, NU_TRY_RESET), rows[i].reset);
        assert_int_equal(nu_retry_asked(&route, NU_TRY_TIMED_OUT), rows[i].slow);
    }
}

static void test_status(void **state)
{
    struct nu_route all = asks(NU_RETRY_5XX, 1), gateway = asks(NU_RETRY_GATEWAY_ERROR, 1);
    struct nu_route conflict = asks(NU_RETRY_RETRIABLE_4XX, 1);
    assert_true(nu_retry_status(&all, 500) && nu_retry_status(&all, 599));
    assert_false(nu_retry_status(&all, 499));
    assert_true(nu_retry_status(&gateway, 502) && nu_retry_status(&gateway, 504));
    assert_false(nu_retry_status(&gateway, 500) || nu_retry_status(&gateway, 505));
    assert_true(nu_retry_status(&conflict, 409));
    assert_false(nu_retry_status(&conflict, 404));
}

static void test_pause(void **state)
{
    assert_int_equal(nu_retry_pause(1, 0), 0);
    assert_int_equal(nu_retry_pause(1, 25), 25);
    assert_int_equal(nu_retry_pause(1, 26), 0);
    assert_int_equal(nu_retry_pause(3, 100), 100);
    assert_int_equal(nu_retry_pause(64, 250), 250);
    assert_int_equal(nu_retry_pause(64, 251), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_most),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
