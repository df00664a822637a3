/* String maps against a plain array, in an arena and without. */
#include "core/table/strmap.h"

#include "core/arena.h"

#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int values[1000];

static void an_empty_map_has_nothing(void **state)
{
    struct nu_strmap *map = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    struct nu_strmap_iter it = {0};
    assert_null(nu_strmap_get_str(map, "a"));
    assert_null(nu_strmap_del(map, "a", 1));
    assert_int_equal(nu_strmap_count(map), 0);
    assert_false(nu_strmap_next(map, &it));
    nu_strmap_free(map);
    nu_strmap_free(NULL);
}

static void keys_are_any_bytes_and_copied(void **state)
{
    struct nu_strmap *map = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    struct nu_strmap_iter it = {0};
    char key[] = "a\0b";
    assert_null(nu_strmap_put(map, key, 3, &values[0]));
    key[0] = 'x';
    assert_null(nu_strmap_put(map, "", 0, &values[1]));
    assert_null(nu_strmap_put(map, "a", 1, &values[2]));
    assert_ptr_equal(nu_strmap_get(map, "a\0b", 3), &values[0]);
    assert_ptr_equal(nu_strmap_get(map, NULL, 0), &values[1]);
    assert_ptr_equal(nu_strmap_get_str(map, "a"), &values[2]);
    assert_null(nu_strmap_get(map, key, 3));
    assert_ptr_equal(nu_strmap_put_str(map, "a", &values[3]), &values[2]);
    assert_int_equal(nu_strmap_count(map), 3);
    while (nu_strmap_next(map, &it))
        assert_int_equal(it.key[it.len], 0);
    nu_strmap_free(map);
}

static void case_counts_or_not(void **state)
{
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_strmap *exact = nu_strmap_new(arena, NU_STRMAP_EXACT);
    struct nu_strmap *fold = nu_strmap_new(arena, NU_STRMAP_FOLD);
    nu_strmap_put_str(exact, "Host", &values[0]);
    nu_strmap_put_str(fold, "X-Forwarded-For", &values[1]);
    assert_null(nu_strmap_get_str(exact, "host"));
    assert_ptr_equal(nu_strmap_get_str(fold, "x-forwarded-FOR"), &values[1]);
    assert_null(nu_strmap_get_str(fold, "x-forwarded-fo2"));
    assert_ptr_equal(nu_strmap_put_str(fold, "x-forwarded-for", &values[2]), &values[1]);
    assert_string_equal(nu_strmap_case_str(NU_STRMAP_FOLD), "fold");
    assert_string_equal(nu_strmap_case_str(NU_STRMAP_EXACT), "exact");
    nu_arena_free(arena);
}

static void a_walk_may_remove_what_it_stands_on(void **state)
{
    struct nu_strmap *map = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    char key[16];
    size_t seen = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "%d", i);
        nu_strmap_put_str(map, key, &values[i]);
    }
    struct nu_strmap_iter it = {0};
    while (nu_strmap_next(map, &it)) {
        seen++;
        if (((int *)it.value - values) % 3)
            assert_ptr_equal(nu_strmap_del(map, it.key, it.len), it.value);
    }
    assert_int_equal(seen, 100);
    assert_int_equal(nu_strmap_count(map), 34);
    assert_ptr_equal(nu_strmap_get_str(map, "99"), &values[99]);
    assert_null(nu_strmap_get_str(map, "98"));
    nu_strmap_free(map);
}

/* What a map should hold: by number of the key, NULL = absent. */
static void assert_same(const struct nu_strmap *map, void *const model[static 200])
{
    struct nu_strmap_iter it = {0};
    size_t count = 0, walked = 0;
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        assert_ptr_equal(nu_strmap_get_str(map, key), model[i]);
        count += model[i] != NULL;
    }
    for (; nu_strmap_next(map, &it); walked++)
        assert_ptr_equal(model[atoi(it.key + 1)], it.value);
    assert_int_equal(walked, count);
    assert_int_equal(nu_strmap_count(map), count);
}

static void random_changes_agree_with_an_array(void **state)
{
    struct seeded r = seeded_start("strmap");
    struct nu_strmap *map = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    void *model[200] = {0};
    for (unsigned step = 0; step < 50000; step++) {
        char key[16];
        unsigned i = seeded_below(&r, 200);
        bool put = seeded_below(&r, 100) < (step / 5000 % 2 ? 20 : 80);
        void *value = put ? &values[seeded_below(&r, 1000)] : NULL;
        int len = snprintf(key, sizeof key, "k%u", i);
        void *old = put ? nu_strmap_put(map, key, (size_t)len, value)
                        : nu_strmap_del(map, key, (size_t)len);
        assert_ptr_equal(old, model[i]);
        model[i] = value;
        if (step % 500 == 0)
            assert_same(map, model);
    }
    assert_same(map, model);
    nu_strmap_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(keys_are_any_bytes_and_copied),
        cmocka_unit_test(case_counts_or_not),
        cmocka_unit_test(a_walk_may_remove_what_it_stands_on),
        cmocka_unit_test(random_changes_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
