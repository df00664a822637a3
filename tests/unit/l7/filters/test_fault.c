/* fault: delays, errors, slow responses; how many of each; what a request may ask for. */
#include "tests/unit/l7/filters/body_kit.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "routes: [{match: {path: /delay}, cluster: c, filters: {fault: {delay: 500ms}}}, "             \
    "{match: {path: /abort}, cluster: c, filters: {fault: {abort: 418}}}, "                        \
    "{match: {path: /both}, cluster: c, filters: {fault: {abort: 503, delay: 100ms}}}, "           \
    "{match: {path: /some}, cluster: c, filters: {fault: {abort: {status: 500, share: 30%}, "      \
    "share: 0%}}}, "                                                                               \
    "{match: {path: /never}, cluster: c, filters: {fault: {abort: {status: 500, share: 0%}, "      \
    "delay: {time: 1s, share: 0%}}}}, "                                                            \
    "{match: {path: /slow}, cluster: c, filters: {fault: {response_rate: 10kB}}}, "                \
    "{match: {path: /asked}, cluster: c, filters: {fault: {headers: true}}}, "                     \
    "{match: {path: /one}, cluster: c, filters: {fault: {delay: 1s, max_active_faults: 1}}}, "     \
    "{match: {path: /none}, cluster: c, filters: {fault: {}}}, {cluster: c}]\n"

enum { DELAYS, ABORTS, RATES, OVERFLOW, ACTIVE };

static int64_t figure(unsigned index)
{
    return figure_of(&nu_fault_stats, "http.ingress.fault", index);
}

static bool has_reached_a_server(void)
{
    return kit.legs > 0 && kit.leg[kit.legs - 1].len > 0;
}

static void a_delay_lasts_as_long_as_it_says(void **state)
{
    client_says("PUT /delay HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(figure(ACTIVE), 1);
    nu_loop_advance(&kit.loop, 499);
    assert_false(has_reached_a_server());
    nu_loop_advance(&kit.loop, 1);
    struct heard h = heard_by(&kit.leg[0]);
    assert_memory_equal(h.body, "abc", 3);
    server_says(0, OK);
    assert_string_equal(client(), OK);
    assert_int_equal(figure(DELAYS), 1);
    assert_int_equal(figure(ACTIVE), 0);
}

static void an_error_is_answered_at_once(void **state)
{
    asks("GET /abort", "");
    struct heard h = heard_by(&kit.client);
    assert_memory_equal(h.head, "HTTP/1.1 418 ", 13);
    assert_memory_equal(h.body, "fault filter abort", 18);
    assert_int_equal(kit.legs, 0);
    assert_int_equal(figure(ABORTS), 1);
    assert_int_equal(figure(ACTIVE), 0);
    forget(&kit.client);
    asks("GET /none", "");
    assert_non_null(served());
    assert_string_equal(client(), OK);
}

static void an_error_comes_after_its_delay(void **state)
{
    asks("GET /both", "");
    nu_loop_advance(&kit.loop, 99);
    assert_int_equal(kit.client.len, 0);
    nu_loop_advance(&kit.loop, 1);
    assert_memory_equal(kit.client.got, "HTTP/1.1 503 ", 13);
    assert_int_equal(kit.legs, 0);
}

static void shares_are_met(void **state)
{
    unsigned refused = 0;
    for (int i = 0; i < 400; i++) {
        asks("GET /some", "");
        if (kit.client.len == 0)
            assert_non_null(served());
        refused += strncmp(client(), "HTTP/1.1 500 ", 13) == 0;
        asks("GET /never", "");
        assert_non_null(served());
        assert_string_equal(client(), OK);
    }
    assert_in_range(refused, 70, 170); /* 120; five deviations of 9 */
    assert_int_equal(figure(ABORTS), refused);
}

static void a_slow_response(void **state)
{
    static char words[5000];
    asks("GET /slow", "");
    body_say(&kit.leg[0], "HTTP/1.1 200 x\r\nContent-Length: 5000\r\n\r\n", words, 5000, 5000);
    nu_loop_advance(&kit.loop, 100);
    assert_true(heard_by(&kit.client).len < 2500);
    for (int i = 0; i < 500; i++)
        nu_loop_advance(&kit.loop, 1);
    assert_int_equal(heard_by(&kit.client).len, 5000);
    assert_int_equal(figure(RATES), 1);
}

/* Not those of strangers, whose x-envoy-* are taken off before any filter sees them. */
static void requests_may_ask(void **state)
{
    asks("GET /asked", "x-envoy-fault-abort-request: 429\r\n");
    assert_non_null(served());
    assert_string_equal(client(), OK);
    kit.conf.forwarded.trusted_hops = 1;
    asks("GET /asked", "x-envoy-fault-abort-request: 429\r\n");
    assert_int_equal(strncmp(client(), "HTTP/1.1 429 ", 13), 0);
    asks("GET /asked", "x-envoy-fault-delay-request: 50\r\n");
    nu_loop_advance(&kit.loop, 49);
    assert_false(has_reached_a_server());
    nu_loop_advance(&kit.loop, 1);
    assert_non_null(served());
    assert_string_equal(client(), OK);
    static const char *const nonsense[] = {"",
                                           "x-envoy-fault-abort-request: 100\r\n",
                                           "x-envoy-fault-abort-request: 600\r\n",
                                           "x-envoy-fault-abort-request: -500\r\n",
                                           "x-envoy-fault-delay-request: 1s\r\n",
                                           "x-envoy-fault-delay-request: 9999999999\r\n"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        asks("GET /asked", nonsense[i]);
        assert_non_null(served());
        assert_string_equal(client(), OK);
    }
    asks("GET /", "x-envoy-fault-abort-request: 429\r\n");
    assert_non_null(served());
    assert_string_equal(client(), OK);
    asks("GET /asked", "x-envoy-fault-delay-request: 999999999\r\n");
    nu_loop_advance(&kit.loop, 60 * 1000);
    assert_non_null(served());
}

/* Somebody else's fault stands in the same figure. */
static void no_more_at_once_than_allowed(void **state)
{
    struct nu_stats *stats = nu_stats_get(&nu_fault_stats, "http.ingress.fault");
    nu_stat_add(stats, 0, ACTIVE, 1);
    asks("GET /one", "");
    assert_non_null(served());
    assert_int_equal(figure(OVERFLOW), 1);
    nu_stat_add(stats, 0, ACTIVE, -1);
    nu_stats_put(stats);
    client();
    asks("GET /one", "");
    assert_false(has_reached_a_server());
    assert_int_equal(figure(ACTIVE), 1);
}

static void who_leaves_while_it_waits(void **state)
{
    asks("GET /delay", "");
    kit_finish(&kit.client, NU_CAUSE_CLIENT_RST);
    nu_loop_advance(&kit.loop, 1000);
    assert_int_equal(kit.loop.chain_count, 0);
    assert_int_equal(kit.legs, 0);
    assert_int_equal(figure(ACTIVE), 0);
}

int main(void)
{
    filter_registered(&nu_filter_fault);
    const struct CMUnitTest tests[] = {
        FILTER_TEST(a_delay_lasts_as_long_as_it_says),
        FILTER_TEST(an_error_is_answered_at_once),
        FILTER_TEST(an_error_comes_after_its_delay),
        FILTER_TEST(shares_are_met),
        FILTER_TEST(a_slow_response),
        FILTER_TEST(requests_may_ask),
        FILTER_TEST(no_more_at_once_than_allowed),
        FILTER_TEST(who_leaves_while_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
