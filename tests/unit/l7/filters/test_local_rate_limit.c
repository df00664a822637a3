/* local_rate_limit: what a bucket lets pass over time, whose it is, what who is refused is told. */
#include "tests/unit/l7/filters/filter_kit.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "filters: [{local_rate_limit: {tokens: 2, per: 1s, burst: 3}}]\n"                              \
    "routes:\n"                                                                                    \
    "- {match: {path: /own}, cluster: c, filters: {local_rate_limit: {tokens: 1, per: 1d}}}\n"     \
    "- {match: {path: /off}, cluster: c, filters: {local_rate_limit: off}}\n"                      \
    "- {match: {path: /try}, cluster: c, filters: {local_rate_limit: {tokens: 1, enforce: 0%}}}\n" \
    "- {match: {path: /none}, cluster: c, filters: {local_rate_limit: {tokens: 1, share: 0%}}}\n"  \
    "- {match: {path: /each}, cluster: c, filters: {local_rate_limit:"                             \
    " {tokens: 1, per: 10s, burst: 2, per_connection: on}}}\n"                                     \
    "- {match: {path: /told}, cluster: c, filters: {local_rate_limit: {tokens: 4, per: 10s,"       \
    " name: n, status: 503, ratelimit_headers: on, response_headers: {set: {retry-after: 9}}}}}\n" \
    "- {match: {path: /fast}, cluster: c, filters: {local_rate_limit: {tokens: 1000000000}}}\n"    \
    "- {cluster: c}\n"

enum { ENABLED, ALLOWED, RATE_LIMITED, ENFORCED };

static int64_t count(unsigned index)
{
    return figure_of(&nu_local_rate_limit_stats, "http_local_rate_limiter.http_local_rate_limit",
                     index);
}

static bool passes(const char *path)
{
    char line[64];
    snprintf(line, sizeof line, "GET %s", path);
    asks(line, "");
    bool passed = served() != NULL;
    const char *got = client();
    if (!passed) {
        assert_int_equal(strncmp(got, "HTTP/1.1 429 Too Many Requests\r\n", 32), 0);
        assert_non_null(strstr(got, "\r\n\r\nlocal_rate_limited"));
    }
    return passed;
}

/* How many of 20 at once. */
static unsigned of_twenty(const char *path)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < 20; i++)
        passed += passes(path);
    return passed;
}

static void a_burst_then_the_rate(void **state)
{
    assert_int_equal(of_twenty("/"), 3);
    nu_loop_advance(&kit.loop, 499);
    assert_int_equal(of_twenty("/"), 0);
    nu_loop_advance(&kit.loop, 1);
    assert_int_equal(of_twenty("/"), 1);
    nu_loop_advance(&kit.loop, 1000);
    assert_int_equal(of_twenty("/"), 2);
    nu_loop_advance(&kit.loop, 100 * 1000);
    assert_int_equal(of_twenty("/"), 3);
    assert_int_equal(count(ENABLED), 100);
    assert_int_equal(count(ALLOWED), 9);
    assert_int_equal(count(RATE_LIMITED), 91);
    assert_int_equal(count(ENFORCED), 91);
}

/* Nothing is lost between the ticks of a clock: 4 in 2 s, however often it is looked. */
static void little_by_little(void **state)
{
    unsigned passed = 0;
    of_twenty("/");
    for (unsigned ms = 0; ms < 2000; ms += 7) {
        nu_loop_advance(&kit.loop, 7);
        passed += passes("/");
    }
    assert_int_equal(passed, 4);
}

static void each_route_its_own(void **state)
{
    assert_int_equal(of_twenty("/own"), 1);
    assert_int_equal(of_twenty("/off"), 20);
    assert_int_equal(of_twenty("/none"), 20);
    assert_int_equal(count(ENABLED), 20);
    assert_int_equal(of_twenty("/try"), 20);
    assert_int_equal(count(RATE_LIMITED), 19 + 19);
    assert_int_equal(count(ENFORCED), 19);
    assert_int_equal(of_twenty("/fast"), 20);
    assert_int_equal(of_twenty("/"), 3);
    assert_int_equal(of_twenty("/another"), 0);
}

static void other_client(void)
{
    kit_finish(&kit.client, NU_CAUSE_CLIENT_FIN);
    kit_turn();
    kit_client();
}

static void each_connection_its_own(void **state)
{
    assert_int_equal(of_twenty("/each"), 2);
    nu_loop_advance(&kit.loop, 10 * 1000);
    assert_int_equal(of_twenty("/each"), 1);
    assert_int_equal(of_twenty("/"), 3);
    other_client();
    assert_int_equal(of_twenty("/each"), 2);
    assert_int_equal(of_twenty("/"), 0);
}

static void assert_told(const char *status, const char *left, const char *reset)
{
    char want[256];
    const char *got = client();
    snprintf(want, sizeof want,
             "x-ratelimit-limit: 4\r\nx-ratelimit-remaining: %s\r\n"
             "x-ratelimit-reset: %s\r\n",
             left, reset);
    assert_int_equal(strncmp(got + 9, status, 3), 0);
    if (!strstr(got, want))
        fail_msg("\"%s\" has no \"%s\"", got, want);
    assert_int_equal(strstr(got, "\r\nretry-after: 9\r\n") != NULL, strcmp(status, "503") == 0);
}

static void what_clients_are_told(void **state)
{
    static const char *const left[] = {"3", "2", "1", "0"}, *const reset[] = {"3", "5", "8", "10"};
    for (unsigned i = 0; i < 4; i++) {
        asks("GET /told", "");
        assert_non_null(served());
        assert_told("200", left[i], reset[i]);
    }
    asks("GET /told", "");
    assert_null(served());
    assert_told("503", "0", "10");
    nu_loop_advance(&kit.loop, 2499);
    asks("GET /told", "");
    assert_told("503", "0", "8");
    assert_int_equal(figure_of(&nu_local_rate_limit_stats, "n.http_local_rate_limit", ENFORCED), 2);
}

static void mistakes(void **state)
{
    static const struct mistake rows[] = {
        {"[local_rate_limit]",                                         "t.yaml:1:11: filters[0].local_rate_limit: missing key \"tokens\"\n"
                               "    1 | filters: [local_rate_limit]\n"
                               "      |           ^^^^^^^^^^^^^^^^\n"},
        {"[{local_rate_limit: {tokens: 0, status: 200}}]",
         "t.yaml:1:39: filters[0].local_rate_limit.tokens: 0 is out of range, expected 1 to "
         "1000000000\n"
         "    1 | filters: [{local_rate_limit: {tokens: 0, status: 200}}]\n"
         "      |                                       ^\n"
         "t.yaml:1:50: filters[0].local_rate_limit.status: 200 is out of range, expected 400 to "
         "599\n"
         "    1 | filters: [{local_rate_limit: {tokens: 0, status: 200}}]\n"
         "      |                                                  ^^^\n"                          },
        {"[{local_rate_limit: {tokens: 1, per: 1d, burst: 1000000}}]",
         "t.yaml:1:58: filters[0].local_rate_limit.burst: at this rate that takes over three "
         "years\n"
         "    1 | filters: [{local_rate_limit: {tokens: 1, per: 1d, burst: 1000000}}]\n"
         "      |                                                          ^^^^^^^\n"              },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_filters(rows[i].text, rows[i].report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILTER_TEST(a_burst_then_the_rate), FILTER_TEST(little_by_little),
        FILTER_TEST(each_route_its_own),    FILTER_TEST(each_connection_its_own),
        FILTER_TEST(what_clients_are_told), FILTER_TEST(mistakes),
    };
    filter_registered(&nu_filter_local_rate_limit);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
