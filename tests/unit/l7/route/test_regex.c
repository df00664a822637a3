/* Regular expressions: what they match, that a limit is never a match, and memory of threads. */
#include "tests/unit/l7/route/route_help.h"

#include <pthread.h>

static const struct nu_regex *regex_of(struct nu_arena *arena, const char *pattern)
{
    struct nu_node node = {.kind = NU_NODE_SCALAR, .text = pattern, .quoted = true};
    struct nu_conf *conf = conf_of("");
    const struct nu_regex *regex;
    assert_int_equal(nu_regex_parse(conf, arena, &node, &regex), NU_OK);
    assert_string_equal(nu_regex_text(regex), pattern);
    nu_conf_free(conf);
    return regex;
}

static enum nu_regex_found match(const struct nu_regex *regex, const char *subject)
{
    return nu_regex_match(regex, nu_text(subject, strlen(subject)));
}

static int64_t failures(void)
{
    struct nu_stats *stats = nu_stats_get(&nu_regex_stats, "regex");
    int64_t n = nu_stat_read(stats, NU_REGEX_FAILED);
    nu_stats_put(stats);
    return n;
}

static void patterns_match_bytes_anywhere(void **state)
{
    struct nu_arena *arena = nu_arena_new(256);
    const struct nu_regex *end = regex_of(arena, "b$"), *any = regex_of(arena, "^.$");
    assert_int_equal(match(end, "ab"), NU_REGEX_HIT);
    assert_int_equal(match(end, "ba"), NU_REGEX_MISS);
    assert_int_equal(match(end, "ab\n"), NU_REGEX_MISS); /* no line ends before the end */
    assert_int_equal(match(any, "\xc3"), NU_REGEX_HIT);
    assert_int_equal(match(any, "\xc3\xa4"), NU_REGEX_MISS);
    assert_int_equal(nu_regex_match(any, nu_text("", 0)), NU_REGEX_MISS);
    nu_arena_free(arena);
}

static void a_limit_is_no_match_and_is_counted(void **state)
{
    static const char *const patterns[] = {"(a+)+$", "^(a|b|ab)*c", "^((?:a|(?1)b)*)$"};
    static char subject[8000];
    struct nu_arena *arena = nu_arena_new(256);
    memset(subject, 'a', sizeof subject - 2);
    subject[sizeof subject - 2] = '!';
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const struct nu_regex *regex = regex_of(arena, patterns[i]);
        int64_t before = failures();
        assert_int_equal(match(regex, subject), NU_REGEX_GAVE_UP);
        assert_int_equal(failures(), before + 1);
    }
    const struct nu_regex *some = regex_of(arena, "(a+)+$");
    assert_int_equal(match(some, "aaaaa!"), NU_REGEX_MISS);                 /* tens of steps */
    assert_int_equal(match(some, "aaaaaaaaaaaaaaaaaa!"), NU_REGEX_GAVE_UP); /* 2^18 */
    nu_arena_free(arena);
}

static void what_gave_up_takes_no_request(void **state)
{
    struct made_routes m =
        good_routes("routes:\n"
                    "- {match: {path_regex: \"(a+)+$\"}, cluster: a}\n"
                    "- {match: {headers: {x: {regex: \"(a+)+$\", invert: true}}}, cluster: a}\n"
                    "- {match: {query: {x: {regex: \"(a+)+$\", invert: true}}}, cluster: a}\n");
    static const char bad[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    char line[256];
    int64_t before = failures();
    snprintf(line, sizeof line, "GET http://h/%s?x=%s\nx: %s\n", bad, bad, bad);
    assert_int_equal(find_line(&m, line), -1);
    assert_int_equal(failures(), before + 6); /* the lookup, and trying each */
    snprintf(line, sizeof line, "GET http://h/%s?x=%s\nx: b\n", bad, bad);
    assert_int_equal(find_line(&m, line), 1);
    routes_free(&m);
}

static void *in_a_thread(void *regex)
{
    return match(regex, "xab") == NU_REGEX_HIT ? regex : NULL;
}

/* Nothing of a thread stays behind it: the leak checker watches. */
static void each_thread_has_its_own_memory(void **state)
{
    struct nu_arena *arena = nu_arena_new(256);
    const struct nu_regex *regex = regex_of(arena, "(a)(b)$");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, in_a_thread, (void *)regex), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, regex);
    }
    nu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_bytes_anywhere),
        cmocka_unit_test(a_limit_is_no_match_and_is_counted),
        cmocka_unit_test(what_gave_up_takes_no_request),
        cmocka_unit_test(each_thread_has_its_own_memory),
    };
    return cmocka_run_group_tests(tests, one_worker, no_worker);
}
