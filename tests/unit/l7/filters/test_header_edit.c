/* header_edit: edits both ways, at its place among others, per route, and of answers of the proxy's
 * own. */
#include "tests/unit/l7/filters/filter_kit.h"

#include "l4/access_log.h"
#include "l7/log_ops.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "filters: [{header_edit: {request: {set: {x-a: 1}, remove: [x-secret]},"                       \
    " response: {add: {x-r: \"%REQ(:PATH)%\"}, remove: [x-powered-by]}}}]\n"                       \
    "routes: [{match: {path: /own}, respond: {status: 200, body: own}},"                           \
    " {match: {path: /off}, cluster: c, filters: {header_edit: off}},"                             \
    " {match: {path: /up}, cluster: c, filters: {header_edit: {request: {set: {x-b: 2}}}}},"       \
    " {cluster: c}]\n"

static void assert_has(const char *text, const char *part, bool has)
{
    assert_non_null(text);
    if (!strstr(text, part) == has)
        fail_msg("\"%s\" %s \"%s\"", text, has ? "has no" : "has", part);
}

static const char answer[] = "HTTP/1.1 200 OK\r\nX-Powered-By: y\r\nContent-Length: 2\r\n\r\nok";

static void both_ways(void **state)
{
    asks("GET /p", "X-A: 0\r\nX-Secret: s\r\n");
    const char *got = kit_heard(&kit.leg[0]);
    assert_has(got, "\r\nx-a: 1\r\n", true);
    assert_has(got, "X-A: 0", false);
    assert_has(got, "Secret", false);
    server_says(0, answer);
    got = client();
    assert_has(got, "\r\nx-r: /p\r\n", true);
    assert_has(got, "Powered", false);
}

static void of_answers_of_our_own(void **state)
{
    asks("GET /own", "");
    assert_has(client(), "\r\nx-r: /own\r\n", true);
}

static void by_route(void **state)
{
    asks("GET /off", "X-A: 0\r\n");
    assert_has(kit_heard(&kit.leg[0]), "\r\nX-A: 0\r\n", true);
    server_says(0, answer);
    assert_has(client(), "Powered", true);
    asks("GET /up", "X-A: 0\r\n");
    assert_has(kit_heard(&kit.leg[0]), "\r\nX-A: 0\r\nx-b: 2\r\n", false); /* others in between */
    server_says(0, answer);
    assert_has(client(), "x-r", false);
}

static void mistakes(void **state)
{
    static const struct mistake rows[] = {
        {"header_edit",
         "t.yaml:1:10: filters.header_edit: needs \"request\" or \"response\", edits of headers\n"
         "    1 | filters: header_edit\n"
         "      |          ^^^^^^^^^^^\n"                         },
        {"[{header_edit: {request: {set: {host: a}}}}]",
         "t.yaml:1:42: filters[0].header_edit.request.set: host: the host is changed by `rewrite: "
         "{host: ...}` of a route\n"
         "    1 | filters: [{header_edit: {request: {set: {host: a}}}}]\n"
         "      |                                          ^^^^\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_filters(rows[i].text, rows[i].report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILTER_TEST(both_ways),
        FILTER_TEST(of_answers_of_our_own),
        FILTER_TEST(by_route),
        FILTER_TEST(mistakes),
    };
    nu_log_ops_l4();
    nu_log_ops_l7();
    filter_registered(&nu_filter_header_edit);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
