/* Spare objects: what is put back is what the next one gets, by size, and not without end. */
#include "core/spare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Malloc may give the same piece again as well; a list gives the latest, whatever was freed since.
 */
static void test_same_size_again(void **state)
{
    if (NU_SPARE_KEEP == 0)
        return; /* what is freed is freed */
    struct nu_spares spares = {0};
    void *a = nu_spare_get(&spares, 300), *b = nu_spare_get(&spares, 300);
    memset(a, 1, 300);
    memset(b, 1, 300);
    nu_spare_put(&spares, a, 300);
    nu_spare_put(&spares, b, 300);
    assert_ptr_equal(nu_spare_get(&spares, 257), b); /* to 320 bytes they are one size */
    assert_ptr_equal(nu_spare_get(&spares, 320), a);
    nu_spare_put(&spares, a, 320);
    void *other = nu_spare_get(&spares, 256);
    assert_ptr_not_equal(other, a);
    nu_spare_put(&spares, other, 256);
    nu_spare_put(&spares, b, 300);
    nu_spares_free(&spares);
}

static void test_large_ones_are_not_kept(void **state)
{
    struct nu_spares spares = {0}, none = {0};
    void *p = nu_spare_get(&spares, 513);
    memset(p, 1, 513);
    nu_spare_put(&spares, p, 513);
    assert_memory_equal(&spares, &none, sizeof none);
}

static void test_kept_no_more_than_a_turn_needs(void **state)
{
    enum { MANY = 1000 };
    struct nu_spares spares = {0};
    void *p[MANY];
    for (int i = 0; i < MANY; i++)
        p[i] = nu_spare_get(&spares, 64);
    for (int i = 0; i < MANY; i++)
        nu_spare_put(&spares, p[i], 64);
    assert_in_range(spares.kept[0], 0, NU_SPARE_KEEP);
    nu_spares_free(&spares);
    assert_int_equal(spares.kept[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_size_again),
        cmocka_unit_test(test_large_ones_are_not_kept),
        cmocka_unit_test(test_kept_no_more_than_a_turn_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
