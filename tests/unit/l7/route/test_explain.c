/* What people are told about routes and a request. */
#include "tests/unit/l7/route/route_help.h"

static const char config[] =
    "routes:\n"
    "- {name: tunnel, connect: true, cluster: a}\n"
    "- {match: {host: [a.test, b.test, c.test, d.test, e.test]}, cluster: a}\n"
    "- {match: {path: /exact}, cluster: a}\n"
    "- {match: {path_prefix: /pre/}, cluster: a}\n"
    "- {match: {path_regex: ^/r+$}, cluster: a}\n"
    "- {match: {method: [PUT, POST]}, cluster: a}\n"
    "- {match: {headers: {accept: {present: true}, x-v: \"2\"}}, cluster: a}\n"
    "- {match: {headers: {x-no: {prefix: a, invert: true}}, query: {q: {contains: z}}}, cluster: "
    "a}\n"
    "- {match: {path: /x}, cluster: b}\n"
    "- {match: {headers: {x-never: {present: false}}, path: /y}, cluster: a}\n";

static void assert_explained(const char *request, int route, const char *expected)
{
    struct made_routes m = good_routes(config);
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    const struct nu_http_head *head = request_of(m.arena, request);
    const struct nu_route *found = nu_routes_explain(m.routes, head, out);
    fclose(out);
    assert_string_equal(text, expected);
    assert_int_equal(found ? (int)((const struct route *)found)->index : -1, route);
    assert_int_equal(find_in(&m, head), route);
    free(text);
    routes_free(&m);
}

static void each_near_miss_has_its_first_reason(void **state)
{
    assert_explained("GET http://h.test:80/x?y=1\naccept: a\nx-v: 1\n", 8,
                     "tunnel: takes CONNECT alone\n"
                     "routes[1]: host h.test is not a.test, b.test, c.test and 2 more\n"
                     "routes[2]: path /x is not /exact\n"
                     "routes[3]: path /x does not begin with /pre/\n"
                     "routes[4]: path /x does not match ^/r+$\n"
                     "routes[5]: method GET is not PUT, POST\n"
                     "routes[6]: not so: header x-v is \"2\"\n"
                     "routes[7]: not so: parameter q contains \"z\"\n");
    assert_explained("GET http://a.test/", 1, "tunnel: takes CONNECT alone\n");
}

static void without_a_route_all_are_told(void **state)
{
    assert_explained("DELETE /y\nx-no: ab\nx-never: 1\n", -1,
                     "tunnel: takes CONNECT alone\n"
                     "routes[1]: host (none) is not a.test, b.test, c.test and 2 more\n"
                     "routes[2]: path /y is not /exact\n"
                     "routes[3]: path /y does not begin with /pre/\n"
                     "routes[4]: path /y does not match ^/r+$\n"
                     "routes[5]: method DELETE is not PUT, POST\n"
                     "routes[6]: not so: header accept\n"
                     "routes[7]: not so: no header x-no begins with \"a\"\n"
                     "routes[8]: path /y is not /x\n"
                     "routes[9]: not so: no header x-never\n");
}

static void what_a_route_does_is_a_line(void **state)
{
    static const struct {
        const char *route, *line;
    } rows[] = {
        {"cluster: a",                                                      "cluster a\n"                     },
        {"clusters: [{name: a, weight: 95}, {name: b, weight: 5}]",
         "clusters a (95 of 100), b (5 of 100)\n"                                                             },
        {"cluster: a, rewrite: {path: /n, host: h.x}",                      "cluster a as /n?q on h.x\n"      },
        {"cluster: a, match: {path_prefix: /p}, rewrite: {path_prefix: /}",
         "cluster a, but the path cannot be rewritten\n"                                                      },
        {"redirect: {scheme: https, status: 308}",                          "redirect 308 https://h/p../x?q\n"},
        {"respond: 418",                                                    "respond 418\n"                   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256], *line;
        size_t len;
        snprintf(text, sizeof text, "routes: {%s}\n", rows[i].route);
        struct made_routes m = good_routes(text);
        FILE *out = open_memstream(&line, &len);
        nu_route_tell(&m.routes->routes[0].route, request_of(m.arena, "GET http://h/p../x?q"),
                      false, out);
        fclose(out);
        assert_string_equal(line, rows[i].line);
        free(line);
        routes_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_near_miss_has_its_first_reason),
        cmocka_unit_test(without_a_route_all_are_told),
        cmocka_unit_test(what_a_route_does_is_a_line),
    };
    return cmocka_run_group_tests(tests, one_worker, no_worker);
}
