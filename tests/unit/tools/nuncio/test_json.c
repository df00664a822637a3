/* The JSON reader: what it reads, what it refuses, and that it stays inside of any cut text. */
#include "tools/nuncio/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char sample[] = " {\"a\" : [1, -2.5e1, true,false ,null,[]], "
                             "\"b\":{\"c\":\"x\\\"\\n\\u00e9\\ud83d\\ude00\\ud800\"},"
                             "\"t\":\"<\xc3\xa9>\", \"e\":{} }\n";

static void reads_values(void **state)
{
    struct nu_arena *arena = nu_arena_new(256);
    const struct nu_json *root = nu_json_read(arena, sample, strlen(sample));
    assert_non_null(root);
    const struct nu_json *item = nu_json_items(root, "a");
    double sum = 0;
    int count = 0;
    for (; item; item = item->next, count++)
        sum += item->number;
    assert_int_equal(count, 6);
    assert_true(sum == 1 - 25 + 1);
    assert_string_equal(nu_json_text(nu_json_get(root, "b"), "c"),
                        "x\"\n\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd");
    assert_string_equal(nu_json_text(root, "t"), "<\xc3\xa9>");
    assert_string_equal(nu_json_text(root, "none"), "");
    assert_null(nu_json_items(root, "b"));
    assert_null(nu_json_items(nu_json_get(root, "e"), "x"));
    nu_arena_free(arena);
}

static void refuses(void **state)
{
    static const char *const rows[] = {"",     "{",        "{\"a\"}", "[1,]",      "[1 2]", "tru",
                                       "\"",   "\"\\",     "\"\\x\"", "\"\\u12\"", "1 1",   "{a:1}",
                                       "[1]]", "{\"a\":}", "--1",     "[\"a]",     "nul"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_arena *arena = nu_arena_new(256);
        if (nu_json_read(arena, rows[i], strlen(rows[i])))
            fail_msg("%s was read", rows[i]);
        nu_arena_free(arena);
    }
}

/* A copy of its own size for each length: sanitizers see any byte read beyond. */
static void any_cut_is_refused(void **state)
{
    size_t whole = strlen(sample) - 2; /* up to the last brace, without it */
    for (size_t len = 0; len <= whole; len++) {
        struct nu_arena *arena = nu_arena_new(256);
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, sample, len);
        assert_null(nu_json_read(arena, copy, len));
        free(copy);
        nu_arena_free(arena);
    }
}

static void depth_is_bounded(void **state)
{
    char deep[2 * NU_JSON_DEPTH_MAX + 2];
    for (size_t depth = NU_JSON_DEPTH_MAX; depth <= NU_JSON_DEPTH_MAX + 1; depth++) {
        struct nu_arena *arena = nu_arena_new(256);
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        assert_int_equal(nu_json_read(arena, deep, 2 * depth) != NULL, depth == NU_JSON_DEPTH_MAX);
        nu_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values),
        cmocka_unit_test(refuses),
        cmocka_unit_test(any_cut_is_refused),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
