/* Recent errors: the newest of all shards, in order, and a storm of them. */
#include "core/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static bool write_what(struct nu_logbuf *out, const void *subject, const void *arg)
{
    nu_logbuf_str(out, subject);
    return true;
}

static const struct nu_log_op ops[] = {
    {.name = "WHAT", .doc = "What.", .value = NU_LOG_TEXT, .write = write_what},
};

static char *printed(size_t max)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    nu_recent_print(out, max);
    fclose(out);
    return text;
}

static unsigned count(const char *text, const char *word)
{
    unsigned n = 0;
    while ((text = strstr(text, word))) {
        n++;
        text++;
    }
    return n;
}

static void start(void)
{
    static const struct nu_logfmt_field fields[] = {
        {"what", "%WHAT:8%"}
    };
    nu_recent_format(NU_RECENT_REQUEST, fields, 1);
}

static void tells_them_as_json(void **state)
{
    start();
    nu_recent_add(NU_RECENT_CONNECTION, 0, "a kind without a format");
    nu_recent_add(NU_RECENT_REQUEST, 0, "a\"</b>\ncut");
    char *text = printed(10);
    assert_memory_equal(text, "[{\"time\":", 9);
    assert_non_null(strstr(text, ",\"kind\":\"request\",\"what\":\"a\\\"</b>\\nc\"}]"));
    free(text);
    nu_recent_free();
    text = printed(10);
    assert_string_equal(text, "[]");
    free(text);
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Of a storm each shard keeps a ring full, and an answer has as many as were asked for. */
static void a_storm_is_bounded(void **state)
{
    int64_t began_ms = now_ms();
    start();
    for (int i = 0; i < 1000; i++) {
        nu_recent_add(NU_RECENT_REQUEST, 1, i < NU_RECENT_MAX ? "first" : "late");
        nu_recent_add(NU_RECENT_REQUEST, 7, "other");
    }
    char *text = printed(1000);
    bool quick = now_ms() - began_ms < 900; /* else a second second has begun */
    assert_int_equal(count(text, "first") + count(text, "late"), NU_RECENT_MAX);
    assert_int_equal(count(text, "other"), NU_RECENT_MAX);
    assert_true(!quick || count(text, "late") == 0);
    free(text);
    text = printed(3);
    assert_int_equal(count(text, "time"), 3);
    free(text);
    nu_recent_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_them_as_json),
        cmocka_unit_test(a_storm_is_bounded),
    };
    nu_log_ops_register(ops, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
