/* JA3 against the examples of its authors, and GREASE, which must not show. */
#include "protocols/tls/ja3.h"

#include "tests/unit/protocols/tls/offer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(const struct offer *offer, const char *expected)
{
    struct nu_client_hello ch;
    char ja3[NU_JA3_BYTES];
    assert_int_equal(make_offer(offer, &ch), NU_OK);
    assert_true(nu_ja3(&ch, ja3));
    assert_string_equal(ja3, expected);
}

/* 769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0 */
static const struct offer first_example = {
    .version = 769,
    .ciphers = {47,     53,    5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4, -1},
    .extensions = {0,    10,    11, -1},
    .groups = {23, 24, 25, -1},
    .points = {0,    -1      },
};

static void the_authors_example(void **state)
{
    check(&first_example, "ada70206e40642a3e4461f35503241d5");
}

/* 769,4-5-10-9-100-98-3-6-19-18-99,,, */
static void without_extensions_the_commas_stay(void **state)
{
    const struct offer offer = {
        .version = 769,
        .ciphers = {4,   5, 10, 9, 100, 98, 3, 6, 19, 18, 99, -1},
        .extensions = {-1},
    };
    check(&offer, "de350869b8c85de67a350c8d186f11e6");
}

static void grease_does_not_show(void **state)
{
    struct offer greased = first_example;
    const struct offer greasy = {
        .ciphers = {0x1a1a, 47,    53,    5,  10, 49161, 49162, 49171, 49172, 50, 56, 19, 4, 0xfafa, -1},
        .extensions = {0x0a0a, 0, 10, 11, 0x7a7a, -1},
        .groups = {0x2a2a,     23,    24,       25,         -1     },
    };
    memcpy(greased.ciphers, greasy.ciphers, sizeof greasy.ciphers);
    memcpy(greased.extensions, greasy.extensions, sizeof greasy.extensions);
    memcpy(greased.groups, greasy.groups, sizeof greasy.groups);
    check(&greased, "ada70206e40642a3e4461f35503241d5");
}

/* The order is part of it: that is why JA4 was made. */
static void another_order_is_another_print(void **state)
{
    struct nu_client_hello ch;
    struct offer shuffled = first_example;
    char ja3[NU_JA3_BYTES];
    shuffled.extensions[0] = 10;
    shuffled.extensions[1] = 0;
    assert_int_equal(make_offer(&shuffled, &ch), NU_OK);
    assert_true(nu_ja3(&ch, ja3));
    assert_string_not_equal(ja3, "ada70206e40642a3e4461f35503241d5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_authors_example),
        cmocka_unit_test(without_extensions_the_commas_stay),
        cmocka_unit_test(grease_does_not_show),
        cmocka_unit_test(another_order_is_another_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
