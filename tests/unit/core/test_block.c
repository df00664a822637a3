/* Blocks and slices (E3, E6). */
#include "core/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int make_pool(void **state)
{
    *state = nu_block_pool_new();
    return 0;
}

static int free_pool(void **state)
{
    nu_block_pool_free(*state);
    return 0;
}

/* Small ones are made to measure, the rest comes in three sizes, larger ones to measure again. */
static void test_sizes(void **state)
{
    static const struct {
        size_t bytes, cap;
    } rows[] = {
        {0,                      1                 },
        {1,                      1                 },
        {NU_BLOCK_SMALL / 4,     NU_BLOCK_SMALL / 4},
        {NU_BLOCK_SMALL / 4 + 1, NU_BLOCK_SMALL    },
        {NU_BLOCK_SMALL,         NU_BLOCK_SMALL    },
        {NU_BLOCK_SMALL + 1,     NU_BLOCK_MEDIUM   },
        {NU_BLOCK_MEDIUM + 1,    NU_BLOCK_LARGE    },
        {NU_BLOCK_LARGE + 1,     NU_BLOCK_LARGE + 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_block *b = nu_block_get(*state, rows[i].bytes);
        assert_int_equal(b->cap, rows[i].cap);
        assert_int_equal(nu_block_room(b), rows[i].cap);
        assert_int_equal(nu_block_pool_lent(*state), rows[i].cap);
        nu_block_unref(b);
        assert_int_equal(nu_block_pool_lent(*state), 0);
    }
}

static void test_kept_for_reuse(void **state)
{
    struct nu_block *b = nu_block_get(*state, NU_BLOCK_MEDIUM), *first = b;
    nu_block_freeze(b, 100); /* this reference and the own one */
    nu_block_unref(b);
    assert_int_equal(nu_block_pool_kept(*state), 0);
    nu_block_unref(b);
    assert_int_equal(nu_block_pool_kept(*state), NU_BLOCK_MEDIUM);
    b = nu_block_get(*state, NU_BLOCK_SMALL + 1);
    assert_ptr_equal(b, first);
    assert_int_equal(nu_block_room(b), NU_BLOCK_MEDIUM); /* as new */
    assert_int_equal(nu_block_pool_kept(*state), 0);
    nu_block_unref(b);
    nu_block_unref(nu_block_get(*state, 5)); /* made to measure: never kept */
    assert_int_equal(nu_block_pool_kept(*state), NU_BLOCK_MEDIUM);
}

/* The pool keeps a working set, not the peak. */
static void test_kept_is_bounded(void **state)
{
    struct nu_block *all[100];
    for (int i = 0; i < 100; i++)
        all[i] = nu_block_get(*state, NU_BLOCK_SMALL);
    assert_int_equal(nu_block_pool_lent(*state), 100 * NU_BLOCK_SMALL);
    for (int i = 0; i < 100; i++)
        nu_block_unref(all[i]);
    assert_int_equal(nu_block_pool_kept(*state), 32 * NU_BLOCK_SMALL);
}

/* What is frozen is not written again: the next freeze starts behind it. */
static void test_E3_frozen_bytes_stay(void **state)
{
    struct nu_block *b = nu_block_get(*state, NU_BLOCK_SMALL);
    memcpy(nu_block_tail(b), "first", 5);
    struct nu_slice one = nu_block_freeze(b, 5);
    memcpy(nu_block_tail(b), "second", 6);
    struct nu_slice two = nu_block_freeze(b, 6);
    assert_int_equal(nu_block_room(b), NU_BLOCK_SMALL - 11);
    nu_block_unref(b);
    assert_memory_equal(one.data, "first", 5);
    assert_memory_equal(two.data, "second", 6);
    nu_slice_drop(&one);
    assert_null(one.block);
    assert_int_equal(nu_block_pool_lent(*state), NU_BLOCK_SMALL);
    nu_slice_drop(&two);
    assert_int_equal(nu_block_pool_lent(*state), 0);
}

static void test_split_and_dup(void **state)
{
    struct nu_slice all = nu_slice_copy(*state, "headtail", 8);
    struct nu_slice again = nu_slice_dup(all);
    struct nu_slice head = nu_slice_split(&all, 4), none = nu_slice_split(&all, 0);
    assert_int_equal(head.len, 4);
    assert_memory_equal(head.data, "head", 4);
    assert_int_equal(all.len, 4);
    assert_memory_equal(all.data, "tail", 4);
    assert_int_equal(none.len, 0);
    assert_int_equal(all.block->refs, 4);
    nu_slice_drop(&all);
    nu_slice_drop(&none);
    nu_slice_drop(&head);
    assert_memory_equal(again.data, "headtail", 8);
    nu_slice_drop(&again);
}

static void test_static_bytes_have_no_block(void **state)
{
    struct nu_slice s = {(const uint8_t *)"fixed", 5, NULL}, t = nu_slice_dup(s);
    struct nu_slice head = nu_slice_split(&s, 2);
    assert_memory_equal(head.data, "fi", 2);
    nu_slice_drop(&head);
    nu_slice_drop(&s);
    assert_memory_equal(t.data, "fixed", 5);
    nu_slice_drop(&t);
}

/* An eighth of the block is the limit, to the byte; what is copied keeps its bytes. */
static void test_E6_keep(void **state)
{
    for (size_t len = 0; len <= 3; len++) {
        struct nu_block *b = nu_block_get(*state, 17);
        memset(b->data, 'k', 17);
        struct nu_slice s = nu_block_freeze(b, len);
        nu_block_unref(b);
        nu_slice_keep(*state, &s);
        assert_int_equal(nu_block_pool_lent(*state), len < 3 ? (len ? len : 1) : 17);
        assert_int_equal(s.len, len);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(s.data[i], 'k');
        nu_slice_drop(&s);
    }
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, make_pool, free_pool)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(test_sizes),           POOL_TEST(test_kept_for_reuse),
        POOL_TEST(test_kept_is_bounded), POOL_TEST(test_E3_frozen_bytes_stay),
        POOL_TEST(test_split_and_dup),   POOL_TEST(test_static_bytes_have_no_block),
        POOL_TEST(test_E6_keep),
    };
    nu_block_pool_free(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
