/* The set of right passwords: what was added, and nothing else, until there are too many. */
#include "protocols/http/remembered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define A "$2y$04$SPM3sssdK2Hz82XuFHLT5eBaKrDnHo1QsmhMu.f4EBTxRYalSmAtS"
#define B "$2y$05$EE7aVatqZdE35zhHx7OcsOuvY55ExaItUA5BH3yDi.C3bpJYnCe0W"

static void exactly_what_was_added(void **state)
{
    struct nu_remembered *set = nu_remembered_new(), *other = nu_remembered_new();
    assert_false(nu_remembered_has(set, A, NU_TEXT("secret")));
    nu_remembered_add(set, A, NU_TEXT("secret"));
    assert_true(nu_remembered_has(set, A, NU_TEXT("secret")));
    assert_false(nu_remembered_has(set, A, NU_TEXT("secre")));
    assert_false(nu_remembered_has(set, A, NU_TEXT("")));
    assert_false(nu_remembered_has(set, B, NU_TEXT("secret")));
    assert_false(nu_remembered_has(other, A, NU_TEXT("secret")));
    nu_remembered_free(set);
    nu_remembered_free(other);
}

/* The newest is always there; of ten times too many no more than there are places. */
static void no_more_than_there_is_room_for(void **state)
{
    struct nu_remembered *set = nu_remembered_new();
    unsigned known = 0;
    char word[16];
    for (unsigned i = 0; i < 10 * NU_REMEMBERED_MAX; i++) {
        struct nu_text password = nu_text(word, (size_t)snprintf(word, sizeof word, "%u", i));
        nu_remembered_add(set, A, password);
        assert_true(nu_remembered_has(set, A, password));
    }
    for (unsigned i = 0; i < 10 * NU_REMEMBERED_MAX; i++)
        known +=
            nu_remembered_has(set, A, nu_text(word, (size_t)snprintf(word, sizeof word, "%u", i)));
    assert_in_range(known, NU_REMEMBERED_MAX * 9 / 10, NU_REMEMBERED_MAX);
    nu_remembered_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_what_was_added),
        cmocka_unit_test(no_more_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
