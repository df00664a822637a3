/* Known names: the hash finds each of them, in any case, and nothing else. */
#include "protocols/http/names.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Fails also when names_table.h is older than names.h. */
static void every_known_name_is_found(void **state)
{
    for (unsigned id = 1; id < NU_HDR_COUNT; id++) {
        char upper[64];
        size_t len = nu_hdr_len(id);
        assert_int_equal(strlen(nu_hdr_str(id)), len);
        assert_int_equal(nu_hdr_find(nu_hdr_str(id), len), id);
        for (size_t i = 0; i < len; i++)
            upper[i] = (char)toupper(nu_hdr_str(id)[i]);
        assert_int_equal(nu_hdr_find(upper, len), id);
    }
}

/* A name that differs in one byte, or is longer or shorter, is another. */
static void neighbours_are_others(void **state)
{
    for (unsigned id = 1; id < NU_HDR_COUNT; id++) {
        char *name = strdup(nu_hdr_str(id));
        size_t len = nu_hdr_len(id);
        assert_non_null(name);
        for (size_t i = 0; i < len; i++) {
            name[i] ^= 0x10;
            assert_int_not_equal(nu_hdr_find(name, len), id);
            name[i] ^= 0x10;
        }
        assert_int_not_equal(nu_hdr_find(name, len - 1), id);
        assert_int_not_equal(nu_hdr_find(name + 1, len - 1), id);
        free(name);
    }
    assert_int_equal(nu_hdr_find("", 0), NU_HDR_OTHER);
    assert_int_equal(nu_hdr_find("x", 1), NU_HDR_OTHER);
    assert_int_equal(nu_hdr_find("user\ragent", 10), NU_HDR_OTHER);
}

static void flags_say_what_is_special(void **state)
{
    assert_int_equal(nu_hdr_flags(NU_HDR_OTHER), 0);
    assert_int_equal(nu_hdr_flags(NU_HDR_ACCEPT), 0);
    assert_true(nu_hdr_flags(NU_HDR_CONNECTION) & NU_HDR_HOP);
    assert_true(nu_hdr_flags(NU_HDR_HOST) & NU_HDR_BOUND);
    assert_true(nu_hdr_flags(NU_HDR_TE) & NU_HDR_NO_TRAIL);
    assert_string_equal(nu_hdr_str(NU_HDR_OTHER), "");
}

static void methods_are_found_in_their_case(void **state)
{
    for (unsigned m = 1; m < NU_METHOD_COUNT; m++) {
        const char *name = nu_method_str(m);
        assert_int_equal(nu_method_find(name, strlen(name)), m);
        assert_int_equal(nu_method_find(name, strlen(name) - 1), NU_METHOD_OTHER);
    }
    assert_int_equal(nu_method_find("get", 3), NU_METHOD_OTHER);
    assert_int_equal(nu_method_find("GETS", 4), NU_METHOD_OTHER);
    assert_int_equal(nu_method_find("", 0), NU_METHOD_OTHER);
    assert_int_equal(nu_method_find("PUT\0POST", 8), NU_METHOD_OTHER); /* no byte behind its end */
    assert_string_equal(nu_method_str(NU_METHOD_OTHER), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_name_is_found),
        cmocka_unit_test(neighbours_are_others),
        cmocka_unit_test(flags_say_what_is_special),
        cmocka_unit_test(methods_are_found_in_their_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
