/* Pins: an object goes when every shard has retired it and nobody pins it, and only then. */
#include "core/counted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SHARDS 3

static struct nu_arena *arena;
static struct nu_counted object;
static unsigned sends;

static void to_main(struct nu_counted *o)
{
    assert_ptr_equal(o, &object);
    sends++;
}

static void release(struct nu_counted *o)
{
}

static int setup(void **state)
{
    arena = nu_arena_new(256);
    sends = 0;
    nu_counted_init(SHARDS, to_main);
    nu_counted_setup(&object, arena, release);
    return 0;
}

static int teardown(void **state)
{
    nu_arena_free(arena);
    return 0;
}

static void retire_all(void)
{
    for (unsigned shard = 0; shard < SHARDS; shard++)
        nu_counted_retire_on(&object, shard);
}

static void test_unpinned_goes_with_the_last_shard(void **state)
{
    nu_counted_retire_on(&object, 2);
    nu_counted_retire_on(&object, 0);
    assert_int_equal(sends, 0);
    nu_counted_retire_on(&object, 1);
    assert_int_equal(sends, 1);
}

static void test_a_pin_keeps_it(void **state)
{
    nu_pin(&object, 1);
    nu_pin(&object, 1);
    nu_pin(&object, 0);
    assert_int_equal(nu_counted_pins(&object), 3);
    retire_all();
    nu_unpin(&object, 1);
    nu_unpin(&object, 0);
    assert_int_equal(sends, 0);
    nu_unpin(&object, 1);
    assert_int_equal(sends, 1);
}

static void test_pins_before_retirement_do_not_count_double(void **state)
{
    for (int i = 0; i < 100; i++) {
        nu_pin(&object, 0);
        nu_unpin(&object, 0);
    }
    assert_int_equal(sends, 0);
    assert_int_equal(nu_counted_pins(&object), 0);
    retire_all();
    assert_int_equal(sends, 1);
}

/* Who holds a pin may hand it on after the retirement: a connection opens a leg. */
static void test_a_pinned_object_may_be_pinned_again_after_retirement(void **state)
{
    nu_pin(&object, 2);
    retire_all();
    nu_pin(&object, 2);
    nu_unpin(&object, 2);
    assert_int_equal(sends, 0);
    nu_unpin(&object, 2);
    assert_int_equal(sends, 1);
}

/* A connection that was still sniffed at the reload opens its first leg to a cluster that its
 * config, on main, holds. */
static void test_a_shard_that_let_go_may_come_back(void **state)
{
    nu_pin(&object, 2);
    retire_all();
    for (int i = 0; i < 2 * SHARDS; i++) {
        nu_pin(&object, 0);
        nu_unpin(&object, 0);
    }
    nu_pin(&object, 1);
    nu_unpin(&object, 2);
    assert_int_equal(sends, 0);
    nu_unpin(&object, 1);
    assert_int_equal(sends, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_unpinned_goes_with_the_last_shard),
        TEST(test_a_pin_keeps_it),
        TEST(test_pins_before_retirement_do_not_count_double),
        TEST(test_a_pinned_object_may_be_pinned_again_after_retirement),
        TEST(test_a_shard_that_let_go_may_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
