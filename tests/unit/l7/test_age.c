/* l7/age.c: when connections are old enough. */
#include "l7/age.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void nobody_is_too_old(void **state)
{
    struct nu_http_conf conf = {0};
    assert_int_equal(nu_http_old_at(&(struct nu_facts){.id = 7, .start_ms = 5}, &conf), 0);
}

/* Within the last tenth, each at its own time and always at the same. */
static void those_that_come_together_leave_apart(void **state)
{
    struct nu_http_conf conf = {.max_connection_ms = 10000};
    unsigned early = 0, twins = 0;
    int64_t before = 0;
    for (uint64_t id = 1; id <= 1000; id++) {
        struct nu_facts facts = {.id = id, .start_ms = 500};
        int64_t at = nu_http_old_at(&facts, &conf);
        assert_in_range(at, 9500, 10500);
        assert_int_equal(at, nu_http_old_at(&facts, &conf));
        early += at < 10000;
        twins += at == before;
        before = at;
    }
    assert_in_range(early, 400, 600);
    assert_in_range(twins, 0, 10);
}

static void the_shortest_is_a_millisecond(void **state)
{
    struct nu_http_conf conf = {.max_connection_ms = 1};
    assert_int_equal(nu_http_old_at(&(struct nu_facts){.id = 3, .start_ms = 5}, &conf), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_too_old),
        cmocka_unit_test(those_that_come_together_leave_apart),
        cmocka_unit_test(the_shortest_is_a_millisecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
