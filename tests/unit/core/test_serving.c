/* What load balancers are told. */
#include "core/serving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void says_why_it_wants_no_work(void **state)
{
    assert_true(nu_serving());
    assert_null(nu_serving_why_not());
    nu_serving_set_failed(true);
    assert_false(nu_serving());
    assert_string_equal(nu_serving_why_not(), "told to fail health checks");
    nu_serving_set_failed(false);
    assert_true(nu_serving());
    nu_serving_set_draining();
    assert_false(nu_serving());
    nu_serving_set_failed(true);
    assert_string_equal(nu_serving_why_not(), "draining");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_why_it_wants_no_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
