/* Which route takes a request: hosts, paths, methods, headers, queries, CONNECT; first match wins.
 */
#include "tests/unit/l7/route/route_help.h"

/* A request, and the route that has it. */
struct row {
    const char *request;
    int route;
};

static void check_rows(const struct made_routes *m, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int got = find_line(m, rows[i].request);
        if (got != rows[i].route)
            fail_msg("%s: route %d, not %d", rows[i].request, got, rows[i].route);
    }
}
#define CHECK(m, rows) check_rows(m, rows, sizeof(rows) / sizeof *(rows))

static void hosts_are_compared_without_port_case_and_dot(void **state)
{
    struct made_routes m = good_routes("routes:\n"
                                       "- {match: {host: www.Test.}, cluster: a}\n"
                                       "- {match: {host: \"*.b.test\"}, cluster: a}\n"
                                       "- {match: {host: 10.0.0.1}, cluster: a}\n"
                                       "- {match: {host: \"[::1]\"}, cluster: a}\n"
                                       "- {match: {host: [c.test, \"*.c.test\"]}, cluster: a}\n"
                                       "- {match: {host: \"*\", path: /any}, cluster: a}\n"
                                       "- {match: {path: /none}, cluster: a}\n");
    static const struct row rows[] = {
        {"GET http://www.test/",            0 },
        {"GET http://WWW.TEST:8080/",       0 },
        {"GET http://www.test./",           0 },
        {"GET http://www.test.:80/",        0 },
        {"GET http://www.test../",          -1},
        {"GET http://x.www.test/",          -1},
        {"GET http://a.b.test/",            1 },
        {"GET http://A.a.B.test:1/",        1 },
        {"GET http://b.test/",              -1},
        {"GET http://.b.test/",             -1},
        {"GET http://xb.test/",             -1},
        {"GET http://10.0.0.1/",            2 },
        {"GET http://10.0.0.1:99/",         2 },
        {"GET http://10.0.0.2/",            -1},
        {"GET http://[::1]/",               3 },
        {"GET http://[0:0:0:0:0:0:0:1]:8/", 3 },
        {"GET http://[::2]/",               -1},
        {"GET http://c.test/",              4 },
        {"GET http://d.c.test/",            4 },
        {"GET http://e.test/any",           5 },
        {"GET /any",                        5 },
        {"GET /none",                       6 },
        {"GET /",                           -1},
    };
    CHECK(&m, rows);
    routes_free(&m);
}

static void paths_are_compared_without_the_query(void **state)
{
    struct made_routes m = good_routes("routes:\n"
                                       "- {match: {path: /a}, cluster: a}\n"
                                       "- {match: {path_prefix: /api/}, cluster: a}\n"
                                       "- {match: {path_prefix: /ap}, cluster: a}\n"
                                       "- {match: {path_regex: \"^/u/[0-9]+$\"}, cluster: a}\n"
                                       "- {match: {path_regex: secret}, cluster: a}\n"
                                       "- {match: {path: \"*\", method: OPTIONS}, cluster: a}\n"
                                       "- {match: {path_prefix: /}, cluster: a}\n");
    static const struct row rows[] = {
        {"GET http://h/a",          0},
        {"GET http://h/a?b=/c",     0},
        {"GET http://h/a/",         6},
        {"GET http://h/A",          6},
        {"GET http://h/api/x",      1},
        {"GET http://h/api/",       1},
        {"GET http://h/api",        2},
        {"GET http://h/apis",       2},
        {"GET http://h/u/1",        3},
        {"GET http://h/u/1?x",      3},
        {"GET http://h/u/1x",       6},
        {"GET http://h/x/secret/y", 4},
        {"GET http://h/x?secret",   6},
        {"OPTIONS http://*",        5},
        {"GET http://h/",           6},
    };
    CHECK(&m, rows);
    routes_free(&m);
}

static void headers_and_parameters_fit_with_any_of_their_values(void **state)
{
    struct made_routes m = good_routes(
        "routes:\n"
        "- {match: {headers: {X-V: \"2\"}}, cluster: a}\n"
        "- {match: {headers: {x-p: {prefix: ab}, accept: {contains: json}}}, cluster: a}\n"
        "- {match: {headers: {x-s: {suffix: z}}}, cluster: a}\n"
        "- {match: {headers: {x-r: {regex: \"^[0-9]+$\"}}}, cluster: a}\n"
        "- {match: {headers: {cookie: {present: true}}}, cluster: a}\n"
        "- {match: {query: {d: \"1\", e: {present: true}}}, cluster: a}\n"
        "- {match: {query: {f: \"\"}}, cluster: a}\n"
        "- {match: {headers: {x-no: {exact: bad, invert: true}}, method: [PUT, FOO]}, "
        "cluster: a}\n"
        "- {match: {headers: {x-no: {present: false}}}, cluster: a}\n");
    static const struct row rows[] = {
        {"GET http://h/\nx-v: 2\n",                        0 },
        {"GET http://h/\nx-v: 1\nX-V: 2\n",                0 },
        {"GET http://h/\nx-v: 22\n",                       8 },
        {"GET http://h/\nx-p: abc\naccept: a/json; q=1\n", 1 },
        {"GET http://h/\nx-p: abc\n",                      8 },
        {"GET http://h/\nx-p: a\naccept: json\n",          8 },
        {"GET http://h/\nx-s: xyz\n",                      2 },
        {"GET http://h/\nx-r: 12\n",                       3 },
        {"GET http://h/\nx-r: 12a\n",                      8 },
        {"GET http://h/\nCookie: \n",                      4 },
        {"GET http://h/?d=1&e",                            5 },
        {"GET http://h/?e=2&d=0&d=1",                      5 },
        {"GET http://h/?d=%31&e",                          8 },
        {"GET http://h/?d=1",                              8 },
        {"GET http://h/?f",                                6 },
        {"GET http://h/?f=",                               6 },
        {"GET http://h/?&&f&",                             6 },
        {"GET http://h/?f=1",                              8 },
        {"PUT http://h/\nx-no: good\n",                    7 },
        {"FOO http://h/\nx-no: good\n",                    7 },
        {"PUT http://h/\nx-no: bad\n",                     -1},
        {"PUT http://h/\nx-no: good\nx-no: bad\n",         -1},
        {"GET http://h/\nx-no: good\n",                    -1},
    };
    CHECK(&m, rows);
    routes_free(&m);
}

static void connect_goes_only_where_a_route_says_so(void **state)
{
    struct made_routes m =
        good_routes("routes:\n"
                    "- {match: {host: a.test}, cluster: a, connect: true}\n"
                    "- {match: {host: [a.test, b.test], method: GET}, cluster: b}\n");
    static const struct row rows[] = {
        {"CONNECT a.test:443",  0 },
        {"CONNECT b.test:443",  -1},
        {"GET http://a.test/x", 1 },
        {"GET http://b.test/",  1 },
    };
    CHECK(&m, rows);
    struct nu_http_head *head = request_of(m.arena, "CONNECT a.test");
    head->path = NU_TEXT("/chat"); /* RFC 8441: a WebSocket, as GET with Upgrade is */
    head->protocol = NU_TEXT("websocket");
    assert_int_equal(find_in(&m, head), 1);
    routes_free(&m);
}

static void the_first_in_the_config_wins(void **state)
{
    struct made_routes m =
        good_routes("routes:\n"
                    "- {match: {host: \"*.test\", path_prefix: /a, method: POST}, cluster: a}\n"
                    "- {match: {host: x.test, path: /ab, headers: {x: \"1\"}}, cluster: a}\n"
                    "- {match: {path_regex: /ab}, cluster: a}\n"
                    "- {match: {host: x.test, path: /ab}, cluster: a}\n"
                    "- {match: {host: x.test}, cluster: a}\n"
                    "- {match: {path_prefix: /a}, cluster: a}\n");
    static const struct row rows[] = {
        {"POST http://x.test/ab",         0 },
        {"POST http://x.test/ab\nx: 1\n", 0 },
        {"GET http://x.test/ab\nx: 1\n",  1 },
        {"GET http://x.test/ab",          2 },
        {"GET http://x.test/a",           4 },
        {"GET http://y.test/a",           5 },
        {"GET http://y.test/b",           -1},
    };
    CHECK(&m, rows);
    routes_free(&m);
}

/* Many on one path, told apart by a header, a parameter or a method. */
static void many_routes_on_one_path(void **state)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fputs("routes:\n", out);
    for (int i = 0; i < 300; i++)
        fprintf(out, "- {match: {%s: {x-%d: v%d}, method: [GET, M%d]}, cluster: a}\n",
                i % 2 ? "query" : "headers", i % 3 ? 0 : i, i, i % 40);
    fputs("- {match: {method: PUT}, cluster: a}\n- {cluster: b}\n", out);
    fclose(out);
    struct made_routes m = good_routes(text);
    static const struct row rows[] = {
        {"GET http://h/\nx-0: v100\n",          100},
        {"M20 http://h/\nx-0: v100\n",          100},
        {"M21 http://h/\nx-0: v100\n",          301},
        {"GET http://h/?x-0=v101",              101},
        {"GET http://h/?a&x-0=v9999&x-0=v101",  101},
        {"GET http://h/?x-0=v101\nx-0: v100\n", 100},
        {"GET http://h/\nx-150: v150\n",        150},
        {"PUT http://h/\nx-0: v100\n",          300},
        {"GET http://h/\nx-0: v101\n",          301},
    };
    CHECK(&m, rows);
    routes_free(&m);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_compared_without_port_case_and_dot),
        cmocka_unit_test(paths_are_compared_without_the_query),
        cmocka_unit_test(headers_and_parameters_fit_with_any_of_their_values),
        cmocka_unit_test(connect_goes_only_where_a_route_says_so),
        cmocka_unit_test(the_first_in_the_config_wins),
        cmocka_unit_test(many_routes_on_one_path),
    };
    return cmocka_run_group_tests(tests, one_worker, no_worker);
}
