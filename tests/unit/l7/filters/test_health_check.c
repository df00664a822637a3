/* health_check: who is answered, and what; byte filters in an HTTP filter's list, which refuse by
 * an answer. */
#include "tests/unit/l7/filters/body_kit.h"

#include "core/serving.h"
#include "l4/filters/filters.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}, {name: none, endpoints: [10.0.0.2:80]}]\n"    \
    "filters: [health_check: {path: /up, headers: {x-who: lb}}]\n"                                 \
    "routes: [{match: {headers: {x-pass: y}}, cluster: c, filters: "                               \
    "{health_check: {path: /up, pass_through: true}}}, "                                           \
    "{match: {headers: {x-min: y}}, cluster: c, filters: "                                         \
    "{health_check: {path: /up, clusters: [{name: c, min_healthy: 50%}]}}}, "                      \
    "{match: {path: /denied}, cluster: c, filters: {ip_filter: {deny: 192.0.2.0/24}}}, "           \
    "{match: {path: /limited}, cluster: c, filters: {connection_limit: 1}}, {cluster: c}]\n"

enum { TOTAL, WELL, FAILED };

static int64_t figure(unsigned index)
{
    return figure_of(&nu_health_check_filter_stats, "http.ingress.health_check", index);
}

static void assert_status(const char *line, const char *fields, const char *status)
{
    asks(line, fields);
    if (kit.client.len == 0)
        fail_msg("%s: no answer", line);
    assert_memory_equal(kit.client.got + 9, status, 3);
    forget(&kit.client);
}

static void assert_passes(const char *line, const char *fields)
{
    asks(line, fields);
    assert_int_equal(kit.client.len, 0);
    assert_non_null(served());
    forget(&kit.client);
}

static void who_asks_is_answered(void **state)
{
    assert_status("GET /up", "x-who: lb\r\n", "200");
    assert_status("HEAD /up?a=b", "x-who: lb\r\n", "200");
    assert_int_equal(kit.legs, 0);
    assert_passes("GET /up", "");
    assert_passes("GET /up/", "x-who: lb\r\n");
    assert_passes("GET /u", "x-who: lb\r\n");
    assert_int_equal(figure(TOTAL), 2);
    assert_int_equal(figure(WELL), 2);
}

static void who_does_not_serve_says_so(void **state)
{
    assert_passes("GET /up", "x-pass: y\r\n");
    nu_serving_set_failed(true);
    assert_status("GET /up", "x-who: lb\r\n", "503"); /* with Connection: close, as all now */
    nu_serving_set_failed(false);
    assert_int_equal(figure(FAILED), 1);
}

static void who_does_not_serve_says_so_before_it_passes(void **state)
{
    nu_serving_set_failed(true);
    assert_status("GET /up", "x-pass: y\r\n", "503");
    nu_serving_set_failed(false);
    assert_int_equal(figure(FAILED), 1);
}

static void others_are_served_all_the_same(void **state)
{
    nu_serving_set_failed(true);
    assert_passes("GET /other", "x-pass: y\r\n");
    nu_serving_set_failed(false);
    assert_int_equal(figure(FAILED), 0);
}

static void clusters_that_have_to_be_well(void **state)
{
    struct nu_endpoint_set *set = nu_cluster_find(kit.gen.clusters, "c")->view[0].set;
    assert_status("GET /up", "x-min: y\r\n", "200");
    set->healthy = 0;
    assert_status("GET /up", "x-min: y\r\n", "503");
    set->healthy = set->count;
}

static void byte_filters_refuse_by_an_answer(void **state)
{
    assert_status("GET /denied", "", "403");
    assert_passes("GET /", "");
    assert_status("GET /denied", "", "403");
    assert_int_equal(kit_stat(NU_HTTP_RQ_4XX), 2);
    assert_int_equal(kit_stat(NU_HTTP_RQ_ACTIVE), 0);
    asks("GET /limited", "");
    assert_non_null(served());
    assert_string_equal(client(), OK);
}

static void mistakes_in_configs(void **state)
{
    assert_filters("[health_check: {path: up}]",
                   "t.yaml:1:32: filters[0].health_check.path: a path begins with \"/\"\n"
                   "    1 | filters: [health_check: {path: up}]\n"
                   "      |                                ^^\n");
}

int main(void)
{
    filter_registered(&nu_filter_health_check);
    filter_registered(&nu_filter_ip_filter);
    filter_registered(&nu_filter_connection_limit);
    const struct CMUnitTest tests[] = {
        FILTER_TEST(who_asks_is_answered),
        FILTER_TEST(who_does_not_serve_says_so),
        FILTER_TEST(who_does_not_serve_says_so_before_it_passes),
        FILTER_TEST(others_are_served_all_the_same),
        FILTER_TEST(clusters_that_have_to_be_well),
        FILTER_TEST(byte_filters_refuse_by_an_answer),
        FILTER_TEST(mistakes_in_configs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
