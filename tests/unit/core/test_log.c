/* The program's log: form of a line, levels, safety of bytes, rate limit, one write a line. */
#include "core/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct caught {
    char line[8192];
    int count;
};

static void catch_line(const char *line, void *ctx)
{
    struct caught *caught = ctx;
    snprintf(caught->line, sizeof caught->line, "%s", line);
    caught->count++;
}

/* The line behind its time, which has a fixed form. */
static const char *behind_time(const struct caught *caught)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] == 'd')
            assert_in_range(caught->line[i], '0', '9');
        else
            assert_int_equal(caught->line[i], form[i]);
    }
    return caught->line + sizeof form - 1;
}

static int catch_all(void **state)
{
    static struct caught caught;
    caught = (struct caught){.count = 0};
    *state = &caught;
    nu_log_set_sink(catch_line, &caught);
    nu_log_set_level(NU_LOG_INFO);
    return 0;
}

static int catch_no_more(void **state)
{
    nu_log_set_sink(NULL, NULL);
    return 0;
}

static void writes_time_level_component_message(void **state)
{
    struct caught *caught = *state;
    nu_log(NU_LOG_INFO, "listener", "bound name=%s port=%d", "edge", 80);
    assert_string_equal(behind_time(caught), "info  listener  bound name=edge port=80");
    nu_log(NU_LOG_ERROR, "a_long_component", "x");
    assert_string_equal(behind_time(caught), "error a_long_component x");
    errno = ENOENT;
    nu_log(NU_LOG_WARN, "log", "%m");
    assert_string_equal(behind_time(caught), "warn  log       No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void filters_by_level(void **state)
{
    struct caught *caught = *state;
    nu_log(NU_LOG_DEBUG, "x", "quiet");
    assert_int_equal(caught->count, 0);
    nu_log_set_level(NU_LOG_DEBUG);
    assert_int_equal(nu_log_get_level(), NU_LOG_DEBUG);
    nu_log(NU_LOG_DEBUG, "x", "loud");
    assert_string_equal(behind_time(caught), "debug x         loud");
    nu_log_set_level(NU_LOG_ERROR);
    nu_log_limited(NU_LOG_WARN, "x", "quiet");
    assert_int_equal(caught->count, 1);
}

static void escapes_what_does_not_print(void **state)
{
    struct caught *caught = *state;
    nu_log(NU_LOG_INFO, "x", "%s", "a\n\x1b[2J\x7f \xff \xc2\x9b \"q\" h\xc3\xa9 \xe2\x82\xac");
    assert_string_equal(
        behind_time(caught),
        "info  x         a\\x0a\\x1b[2J\\x7f \\xff \\xc2\\x9b \"q\" h\xc3\xa9 \xe2\x82\xac");
}

static void cuts_long_lines(void **state)
{
    struct caught *caught = *state;
    char big[10000];
    memset(big, 1, sizeof big - 1);
    big[sizeof big - 1] = 0;
    nu_log(NU_LOG_INFO, "x", "%s", big);
    assert_in_range(strlen(caught->line), 4090, 4095);
    assert_string_equal(caught->line + strlen(caught->line) - 4, "\\x01");
}

static void quotes_values(void **state)
{
    char buf[16];
    assert_string_equal(nu_log_quote(buf, sizeof buf, "plain-1.2"), "plain-1.2");
    assert_string_equal(nu_log_quote(buf, sizeof buf, "two words"), "\"two words\"");
    assert_string_equal(nu_log_quote(buf, sizeof buf, "\"\\"), "\"\\\"\\\\\"");
    assert_string_equal(nu_log_quote(buf, sizeof buf, ""), "\"\"");
    assert_string_equal(nu_log_quote(buf, sizeof buf, NULL), "-");
    assert_string_equal(nu_log_quote(buf, sizeof buf, "abcdefghijklmnopqrst"), "abcdefghijklmno");
    assert_string_equal(nu_log_quote(buf, sizeof buf, "abcdefg hijklmnopqrst"),
                        "\"abcdefg hijkl\"");
    assert_string_equal(nu_log_quote(buf, 5, "a \"b"), "\"a \"");
    assert_string_equal(nu_log_quote(buf, 2, "a b"), "");
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void limited_lines_come_once_a_second(void **state)
{
    struct caught *caught = *state;
    struct nu_log_limit limit = {0};
    long began_ms = now_ms();
    assert_true(nu_log_allowed(&limit, 1, 1));
    nu_log_held(&limit, NU_LOG_INFO, "x", "first");
    assert_string_equal(behind_time(caught), "info  x         first");
    int allowed = 0;
    for (int i = 0; i < 3; i++)
        allowed += nu_log_allowed(&limit, 1, 1);
    limit.spent_ms -= 1000; /* a second later */
    assert_true(nu_log_allowed(&limit, 1, 1));
    nu_log_held(&limit, NU_LOG_INFO, "x", "again");
    assert_non_null(strstr(caught->line, " again held_back="));
    for (int i = 0; i < 5; i++)
        nu_log_limited(NU_LOG_INFO, "x", "a site of its own");
    if (now_ms() - began_ms > 900)
        return; /* the machine stood still: more was allowed */
    assert_int_equal(allowed, 0);
    assert_int_equal(caught->count, 3);
    nu_log_limited(NU_LOG_INFO, "x", "another site");
    assert_string_equal(behind_time(caught), "info  x         another site");
}

static void try_lines(struct nu_log_limit *limit, int times, char *tried)
{
    size_t n = strlen(tried);
    for (int i = 0; i < times; i++)
        tried[n + (size_t)i] = nu_log_allowed(limit, 10, 2) ? '+' : '-';
}

/* Within the burst all; then as many as time has passed for. */
static void a_burst_of_lines_is_told_whole(void **state)
{
    struct nu_log_limit limit = {0};
    char tried[32] = "";
    long began_ms = now_ms();
    try_lines(&limit, 11, tried);
    limit.spent_ms -= 1000; /* a second later */
    try_lines(&limit, 3, tried);
    limit.spent_ms -= 3600 * 1000; /* long ago, no more than a burst is saved up */
    try_lines(&limit, 11, tried);
    if (now_ms() - began_ms > 400)
        return; /* the machine stood still: more was allowed */
    assert_string_equal(tried, "++++++++++-"
                               "++-"
                               "++++++++++-");
    assert_int_equal(limit.held, 3);
}

static void *log_many(void *ctx)
{
    for (int i = 0; i < 100; i++)
        nu_log(NU_LOG_INFO, "thread", "%s%s%s%s", (char *)ctx, (char *)ctx, (char *)ctx,
               (char *)ctx);
    return NULL;
}

/* stderr becomes a pipe that keeps one write apart from the next. */
static void a_line_is_one_write(void **state)
{
    int packets[2], saved = dup(STDERR_FILENO), lines = 0;
    pthread_t threads[2];
    char buf[4096];
    nu_log_set_sink(NULL, NULL);
    assert_int_equal(pipe2(packets, O_DIRECT | O_NONBLOCK), 0);
    fcntl(packets[1], F_SETPIPE_SZ, 1 << 20);
    dup2(packets[1], STDERR_FILENO);
    pthread_create(&threads[0], NULL, log_many, "abcd");
    pthread_create(&threads[1], NULL, log_many, "0123");
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    dup2(saved, STDERR_FILENO);
    for (ssize_t n; (n = read(packets[0], buf, sizeof buf)) > 0; lines++) {
        assert_ptr_equal(memchr(buf, '\n', (size_t)n), buf + n - 1);
        assert_int_equal(n, strlen("2026-11-23T06:10:11.123Z info  thread    ") + 16 + 1);
    }
    assert_int_equal(lines, 200);
    close(packets[0]);
    close(packets[1]);
    close(saved);
}

#define CAUGHT(test) cmocka_unit_test_setup_teardown(test, catch_all, catch_no_more)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAUGHT(writes_time_level_component_message),
        CAUGHT(filters_by_level),
        CAUGHT(escapes_what_does_not_print),
        CAUGHT(cuts_long_lines),
        CAUGHT(quotes_values),
        CAUGHT(limited_lines_come_once_a_second),
        CAUGHT(a_burst_of_lines_is_told_whole),
        CAUGHT(a_line_is_one_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
