/* Path normalization under each policy (RFC 3986 5.4.2, 6.2.2). */
#include "protocols/http/path.h"

#include "core/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* By policy: escaped slashes kept, decoded, rejected; all without merging. NULL = as the one
 * before. A word without a slash is an error. */
static const struct {
    const char *path, *keep, *decode, *reject;
} rows[] = {
    {"/",                "/",                   NULL,     NULL                },
    {"/a/b?c",           "/a/b?c",              NULL,     NULL                },
    {"/a/./b",           "/a/b",                NULL,     NULL                },
    {"/a/../b",          "/b",                  NULL,     NULL                },
    {"/a/b/..",          "/a/",                 NULL,     NULL                },
    {"/a/b/.",           "/a/b/",               NULL,     NULL                },
    {"/a/b/c/./../../g", "/a/g",                NULL,     NULL                },
    {"/..",              "/",                   NULL,     NULL                },
    {"/../../a",         "/a",                  NULL,     NULL                },
    {"/.",               "/",                   NULL,     NULL                },
    {"/...",             "/...",                NULL,     NULL                },
    {"/.a/..b/c./d..",   "/.a/..b/c./d..",      NULL,     NULL                },
    {"/a/.../b/..",      "/a/.../",             NULL,     NULL                },
    {"/a//b",            "/a//b",               NULL,     NULL                },
    {"/a//../b",         "/a/b",                NULL,     NULL                },
    {"//..//a",          "//a",                 NULL,     NULL                },
    {"/a/..//b",         "//b",                 NULL,     NULL                },
    {"/%7Euser",         "/~user",              NULL,     NULL                },
    {"/%41%2d%2E%5f%30", "/A-._0",              NULL,     NULL                },
    {"/%e4%c3%A4",       "/%E4%C3%A4",          NULL,     NULL                },
    {"/a%20b%3f%23",     "/a%20b%3F%23",        NULL,     NULL                },
    {"/%2e%2e/a",        "/a",                  NULL,     NULL                },
    {"/a/%2E./b",        "/b",                  NULL,     NULL                },
    {"/a/b/%2e",         "/a/b/",               NULL,     NULL                },
    {"/%252e%252e/a",    "/%252e%252e/a",       NULL,     NULL                },
    {"/a%2fb",           "/a%2Fb",              "/a/b",   "path.escaped_slash"},
    {"/a%2f..%2Fb",      "/a%2F..%2Fb",         "/b",     "path.escaped_slash"},
    {"/a/..%2fb",        "/a/..%2Fb",           "/b",     "path.escaped_slash"},
    {"/a/%2e%2e%2fb",    "/a/..%2Fb",           "/b",     "path.escaped_slash"},
    {"/a%5cb",           "/a%5Cb",              "/a%5Cb", "path.escaped_slash"},
    {"/a%252fb",         "/a%252fb",            NULL,     NULL                },
    {"/a\\b",            "path.backslash",      NULL,     NULL                },
    {"/a/..\\b",         "path.backslash",      NULL,     NULL                },
    {"/a?b\\c",          "/a?b\\c",             NULL,     NULL                },
    {"/a%00b",           "path.nul",            NULL,     NULL                },
    {"/a%",              "path.invalid_escape", NULL,     NULL                },
    {"/a%2",             "path.invalid_escape", NULL,     NULL                },
    {"/a%2?f",           "path.invalid_escape", NULL,     NULL                },
    {"/a%zz",            "path.invalid_escape", NULL,     NULL                },
    {"/a%2g",            "path.invalid_escape", NULL,     NULL                },
    {"/a?%zz/../%2f",    "/a?%zz/../%2f",       NULL,     NULL                },
    {"/a/../?x=../y",    "/?x=../y",            NULL,     NULL                },
    {"/?",               "/?",                  NULL,     NULL                },
    {"*",                "*",                   NULL,     NULL                },
    {"",                 "",                    NULL,     NULL                },
};

static void check(struct nu_path_policy policy, const char *path, const char *want)
{
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_text in = nu_text(path, strlen(path)), out, again;
    enum nu_path_error error = nu_path_normalize(policy, in, arena, &out);
    if (error)
        assert_ptr_equal(out.at, path);
    struct nu_text got =
        error ? nu_text(nu_path_error_str(error), strlen(nu_path_error_str(error))) : out;
    if (!nu_text_is(got, want))
        fail_msg("%s (%s): %.*s", path, nu_slashes_str(policy.slashes), (int)got.len, got.at);
    if (!error) {
        assert_int_equal(nu_path_normalize(policy, out, arena, &again), NU_PATH_FINE);
        assert_ptr_equal(again.at, out.at);
        assert_int_equal(again.len, out.len);
    }
    if (!error && strcmp(path, want) == 0)
        assert_ptr_equal(out.at, path);
    nu_arena_free(arena);
}

static void each_policy(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *decode = rows[i].decode ? rows[i].decode : rows[i].keep;
        const char *reject = rows[i].reject ? rows[i].reject : decode;
        check((struct nu_path_policy){NU_SLASHES_KEEP, false}, rows[i].path, rows[i].keep);
        check((struct nu_path_policy){NU_SLASHES_DECODE, false}, rows[i].path, decode);
        check((struct nu_path_policy){NU_SLASHES_REJECT, false}, rows[i].path, reject);
    }
}

static void merging_comes_last(void **state)
{
    static const struct nu_path_policy keep = {NU_SLASHES_KEEP, true},
                                       decode = {NU_SLASHES_DECODE, true};
    check(keep, "//a///b//", "/a/b/");
    check(keep, "/a//../b", "/a/b");
    check(keep, "/a/..//b", "/b");
    check(keep, "/a?b//c", "/a?b//c");
    check(keep, "/a/%2f/b", "/a/%2F/b");
    check(decode, "/a/%2f/b", "/a/b");
    check(decode, "/a%2f%2f..%2fb", "/a/b");
}

/* "/a/a/.../../.." must not cost the square of its length. */
static void cost_is_linear(void **state)
{
    size_t half = 100000;
    char *path = malloc(half * 5);
    assert_non_null(path);
    for (size_t i = 0; i < half; i++) {
        memcpy(path + 2 * i, "/a", 2);
        memcpy(path + 2 * half + 3 * i, "/..", 3);
    }
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_text out;
    clock_t from = clock();
    assert_int_equal(
        nu_path_normalize((struct nu_path_policy){0}, nu_text(path, half * 5), arena, &out),
        NU_PATH_FINE);
    assert_true(nu_text_is(out, "/"));
    assert_true(clock() - from < CLOCKS_PER_SEC); /* squared it is 10^10 steps */
    nu_arena_free(arena);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_policy),
        cmocka_unit_test(merging_comes_last),
        cmocka_unit_test(cost_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
