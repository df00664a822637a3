/* l7/retry.c: which tries may follow which. */
#include "l7/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

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

static bool retries(unsigned when, bool grpc, const char *status)
{
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_route route = asks(when, 1);
    struct nu_stream s = {.route = &route, .grpc = grpc};
    struct nu_http_head *head = nu_http_head_new(arena);
    if (status)
        nu_http_add_known(head, NU_HDR_GRPC_STATUS, nu_text(status, strlen(status)));
    bool found = nu_retry_grpc(&s, head);
    nu_arena_free(arena);
    return found;
}

static void test_grpc(void **state)
{
    static const struct {
        unsigned when;
        const char *status;
    } rows[] = {
        {NU_RETRY_CANCELLED,          "1" },
        {NU_RETRY_DEADLINE_EXCEEDED,  "4" },
        {NU_RETRY_RESOURCE_EXHAUSTED, "8" },
        {NU_RETRY_INTERNAL,           "13"},
        {NU_RETRY_UNAVAILABLE,        "14"},
    };
    unsigned all = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        all |= rows[i].when;
        assert_true(retries(rows[i].when, true, rows[i].status));
        assert_false(retries(~rows[i].when, true, rows[i].status));
        assert_false(retries(rows[i].when, false, rows[i].status));
    }
    static const char *const others[] = {NULL, "0", "2", "16", "17", "999", "-1", "14 ", ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(retries(all, true, others[i]));
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
        cmocka_unit_test(test_most), cmocka_unit_test(test_asked), cmocka_unit_test(test_status),
        cmocka_unit_test(test_grpc), cmocka_unit_test(test_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
