/* The bump allocator: what it hands out is aligned, zeroed, apart from each other, and freed once.
 */
#include "core/arena.h"

#include "core/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/seeded.h"

#include <string.h>

static void hands_out_memory_of_its_own(void **state)
{
    struct seeded r = seeded_start("arena");
    struct nu_arena *arena = nu_arena_new(0);
    struct {
        unsigned char *p;
        size_t len;
    } got[500];
    for (unsigned i = 0; i < 500; i++) {
        got[i].len = seeded_below(&r, seeded_below(&r, 20) ? 300 : 100000);
        got[i].p = nu_arena_alloc(arena, got[i].len);
        assert_int_equal((uintptr_t)got[i].p % 16, 0);
        for (size_t k = 0; k < got[i].len; k++)
            assert_int_equal(got[i].p[k], 0);
        memset(got[i].p, (int)(i % 255 + 1), got[i].len);
    }
    for (unsigned i = 0; i < 500; i++)
        for (size_t k = 0; k < got[i].len; k++)
            assert_int_equal(got[i].p[k], i % 255 + 1);
    nu_arena_free(arena);
    nu_arena_free(NULL);
}

static void count_frees(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void lies_in_a_block_and_goes_with_it(void **state)
{
    unsigned frees = 0;
    struct nu_block_pool *pool = nu_block_pool_new();
    for (size_t bytes = 512; bytes < 512 + 16; bytes++) {
        struct nu_block *block = nu_block_get(pool, bytes);
        const uint8_t *end = block->data + block->cap;
        struct nu_arena *arena = nu_arena_new_in(block);
        const uint8_t *first = nu_arena_alloc(arena, 24), *piece = first;
        nu_arena_on_free(arena, count_frees, &frees);
        nu_arena_alloc(arena, 100 * 1024); /* beside the first chunk, which goes on being filled */
        for (unsigned i = 0; i < 100; i++) {
            assert_int_equal((uintptr_t)piece % 16, 0);
            assert_true(piece + 24 <= end || piece > end || piece + 24 <= block->data);
            memset((uint8_t *)piece, 0xff, 24);
            piece = nu_arena_alloc(arena, 24);
            for (unsigned k = 0; k < 24; k++)
                assert_int_equal(piece[k], 0);
        }
        assert_true(first > block->data && first < end);
        nu_arena_free(arena);
    }
    assert_int_equal(frees, 16);
    assert_int_equal(nu_block_pool_lent(pool), 0);
    nu_block_pool_free(pool);
}

static void an_oversized_piece_strands_nothing(void **state)
{
    struct nu_arena *arena = nu_arena_new(4096);
    char *before = nu_arena_alloc(arena, 16);
    nu_arena_alloc(arena, 1 << 20);
    assert_ptr_equal(nu_arena_alloc(arena, 16), before + 16);
    assert_in_range(nu_arena_bytes(arena), (1 << 20) + 4096, (1 << 20) + 4096 + 256);
    nu_arena_free(arena);
}

static void chunks_grow_up_to_their_cap(void **state)
{
    struct nu_arena *arena = nu_arena_new(128);
    for (int i = 0; i < 16 * 1024; i++)
        nu_arena_alloc(arena, 64);
    size_t full = nu_arena_bytes(arena);
    assert_in_range(full, 1 << 20, (1 << 20) + (128 << 10));
    nu_arena_free(arena);
}

static void copies_texts(void **state)
{
    struct nu_arena *arena = nu_arena_new(64);
    assert_string_equal(nu_arena_strdup(arena, ""), "");
    assert_string_equal(nu_arena_strdup(arena, "abc"), "abc");
    assert_string_equal(nu_arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(nu_arena_strndup(arena, NULL, 0), "");
    char *text = nu_arena_printf(arena, "%s:%0500d", "x", 7);
    assert_int_equal(strlen(text), 502);
    assert_string_equal(text + 500, "07");
    nu_arena_free(arena);
}

static void note(void *ctx)
{
    strcat(*(char **)ctx, (char *)((char **)ctx)[1]);
}

static void cleans_up_last_first(void **state)
{
    char order[8] = "";
    char *a[] = {order, "a"}, *b[] = {order, "b"}, *c[] = {order, "c"};
    struct nu_arena *arena = nu_arena_new(0);
    nu_arena_on_free(arena, note, a);
    nu_arena_on_free(arena, note, b);
    nu_arena_on_free(arena, note, c);
    assert_string_equal(order, "");
    nu_arena_free(arena);
    assert_string_equal(order, "cba");
}

static void the_last_owner_frees(void **state)
{
    char order[8] = "";
    char *a[] = {order, "a"};
    struct nu_arena *arena = nu_arena_new(0);
    nu_arena_on_free(arena, note, a);
    char *text = nu_arena_strdup(arena, "kept");
    assert_ptr_equal(nu_arena_share(arena), arena);
    nu_arena_share(arena);
    nu_arena_free(arena);
    nu_arena_free(arena);
    assert_string_equal(order, "");
    assert_string_equal(text, "kept");
    nu_arena_free(arena);
    assert_string_equal(order, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_memory_of_its_own),
        cmocka_unit_test(lies_in_a_block_and_goes_with_it),
        cmocka_unit_test(an_oversized_piece_strands_nothing),
        cmocka_unit_test(chunks_grow_up_to_their_cap),
        cmocka_unit_test(copies_texts),
        cmocka_unit_test(cleans_up_last_first),
        cmocka_unit_test(the_last_owner_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
