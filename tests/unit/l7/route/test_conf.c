/* Routes in a config: what the keys become, and what is said about wrong ones. */
#include "tests/unit/folder.h"
#include "tests/unit/l7/route/route_help.h"

#include <unistd.h>

static void keys_become_a_route(void **state)
{
    struct made_routes m = good_routes("routes:\n"
                                       "- name: main\n"
                                       "  cluster: a\n"
                                       "  timeout: 3s\n"
                                       "  idle_timeout: 0\n"
                                       "  retry: {when: [connect-failure, 5xx], attempts: 2, "
                                       "per_try_timeout: 1s}\n"
                                       "  upgrade: [WebSocket, tls/1.3]\n"
                                       "  request_headers: {set: {x-edge: \"1\"}}\n"
                                       "- {clusters: [a, {name: b, weight: 3}], retry: reset, "
                                       "upgrade: [], match: {path: /b}}\n");
    nu_conf_free(m.conf); /* nothing of it is needed any more */
    m.conf = NULL;
    const struct nu_route *r = &m.routes->routes[0].route;
    assert_string_equal(r->name, "main");
    assert_int_equal(r->kind, NU_ROUTE_CLUSTER);
    assert_string_equal(nu_route_kind_str(r->kind), "cluster");
    assert_int_equal(r->timeout_ms, 3000);
    assert_int_equal(r->idle_timeout_ms, 0);
    assert_int_equal(r->retry.when, NU_RETRY_CONNECT_FAILURE | NU_RETRY_REFUSED_STREAM |
                                        NU_RETRY_RESET | NU_RETRY_5XX);
    assert_int_equal(r->retry.attempts, 2);
    assert_int_equal(r->retry.per_try_timeout_ms, 1000);
    assert_true(r->websocket);
    assert_string_equal(r->upgrades[0], "tls/1.3");
    assert_null(r->upgrades[1]);
    assert_non_null(r->request_headers);
    assert_null(r->response_headers);
    r = &m.routes->routes[1].route;
    assert_string_equal(r->name, "routes[1]");
    assert_int_equal(r->share_count, 2);
    assert_int_equal(r->weight_sum, 4);
    assert_string_equal(r->shares[1].cluster->name, "b");
    assert_int_equal(r->retry.when, NU_RETRY_RESET);
    assert_int_equal(r->retry.attempts, 1);
    assert_false(r->websocket);
    assert_null(r->upgrades[0]);
    routes_free(&m);
}

static void defaults_are_envoys(void **state)
{
    struct made_routes m = good_routes("routes: {cluster: a}\n");
    const struct nu_route *r = &m.routes->routes[0].route;
    assert_int_equal(r->timeout_ms, 15000);
    assert_int_equal(r->idle_timeout_ms, -1);
    assert_int_equal(r->retry.when, 0);
    assert_true(r->websocket);
    assert_null(r->upgrades[0]);
    assert_false(r->connect);
    assert_null(r->rewrite);
    assert_int_equal(r->place_count, 2);
    routes_free(&m);
}

static void a_body_is_text_or_a_file(void **state)
{
    char folder[FOLDER_MAX], path[FOLDER_MAX + 8], text[512];
    assert_true(folder_make(folder));
    snprintf(path, sizeof path, "%s/body", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fwrite("a\0b", 1, 3, file);
    fclose(file);
    snprintf(
        text, sizeof text,
        "routes: [{respond: {status: 404, body_file: %s, content_type: a/b}, match: {path: /}}, "
        "{respond: {body: \"ok\\n\"}}]\n",
        path);
    struct made_routes m = good_routes(text);
    const struct nu_route_respond *r = m.routes->routes[0].route.respond;
    assert_int_equal(m.routes->routes[0].route.kind, NU_ROUTE_RESPOND);
    assert_int_equal(r->status, 404);
    assert_int_equal(r->body.len, 3);
    assert_memory_equal(r->body.at, "a\0b", 3);
    assert_true(nu_text_is(r->content_type, "a/b"));
    r = m.routes->routes[1].route.respond;
    assert_int_equal(r->status, 200);
    assert_true(nu_text_is(r->body, "ok\n"));
    assert_true(nu_text_is(r->content_type, "text/plain"));
    routes_free(&m);
    assert_int_equal(truncate(path, 256 * 1024 + 1), 0);
    m = made_from(text);
    assert_non_null(strstr(nu_conf_report(m.conf), "is larger than 256 KiB"));
    routes_free(&m);
    folder_remove(folder);
}

/* One route, what is said of it, and what was meant. */
static const struct {
    const char *route, *report, *guess;
} mistakes_of_routes[] = {
    {"{match: {hosts: a.test}, cluster: a}",                                  "2:12 routes[0].match: unknown key \"hosts\"",                        "host"   },
    {"{match: {host: \"a.test:80\"}, cluster: a}",
     "2:18 routes[0].match.host: \"a.test:80\" is no host: leave the port away: it does not count",                                                 NULL     },
    {"{match: {host: \"::1\"}, cluster: a}",
     "2:18 routes[0].match.host: \"::1\" is no host: an IPv6 address stands in brackets here",                                                      NULL     },
    {"{match: {host: \"a*.test\"}, cluster: a}",
     "2:18 routes[0].match.host: \"a*.test\" is no host: \"*\" may only be the whole first label",                                                  NULL     },
    {"{match: {host: []}, cluster: a}",                                       "2:18 routes[0].match.host: the list must not be empty",
     NULL                                                                                                                                                    },
    {"{match: {path: a}, cluster: a}",
     "2:18 routes[0].match.path: expected a path, it begins with \"/\"",                                                                            NULL     },
    {"{match: {path: /a?x=1}, cluster: a}",
     "2:18 routes[0].match.path: the query is no part of the path: see match.query",                                                                NULL     },
    {"{match: {path: \"/a b\"}, cluster: a}",
     "2:18 routes[0].match.path: a path has a space only as its escape, %20",                                                                       NULL     },
    {"{match: {path: \"/a#b\"}, cluster: a}",
     "2:18 routes[0].match.path: a path has \"#\" only as its escape, %23",                                                                         NULL     },
    {"{match: {path: /ä}, cluster: a}",
     "2:18 routes[0].match.path: a path has this byte only as its escape, %C3",                                                                     NULL     },
    {"{match: {path: /a/../b}, cluster: a}",
     "2:18 routes[0].match.path: no request has this in its path: dot segments and needless "
     "escapes are taken out before",                                                                                                                "/b"     },
    {"{match: {path: /a%2}, cluster: a}",
     "2:18 routes[0].match.path: no request has this in its path: behind \"%\" stand two "
     "hexadecimal digits",                                                                                                                          NULL     },
    {"{match: {path_prefix: /%7euser/}, cluster: a}",
     "2:25 routes[0].match.path_prefix: no request has this in its path: dot segments and needless "
     "escapes are taken out before",                                                                                                                "/~user/"},
    {"{match: {path: /a, path_prefix: /b}, cluster: a}",
     "2:11 routes[0].match: give only one of path, path_prefix and path_regex",                                                                     NULL     },
    {"{match: {path_regex: \"^/(a\"}, cluster: a}",
     "2:24 routes[0].match.path_regex: bad regular expression: missing closing parenthesis (offset "
     "4)",                                                                                                                                          NULL     },
    {"{match: {path_regex: \"\"}, cluster: a}",
     "2:24 routes[0].match.path_regex: expected a regular expression",                                                                              NULL     },
    {"{match: {method: get}, cluster: a}",
     "2:20 routes[0].match.method: capital letters count in methods",                                                                               "GET"    },
    {"{match: {method: \"G T\"}, cluster: a}",
     "2:20 routes[0].match.method: expected a method like GET",                                                                                     NULL     },
    {"{match: {headers: {host: a.test}}, cluster: a}",
     "2:22 routes[0].match.headers: \"host\" has a condition of its own, match.host",                                                               NULL     },
    {"{match: {headers: {\"a b\": x}}, cluster: a}",
     "2:22 routes[0].match.headers: \"a b\" is no name of a header",                                                                                NULL     },
    {"{match: {headers: {x: {exact: a, prefix: b}}}, cluster: a}",
     "2:25 routes[0].match.headers.x: give only one of exact, prefix, suffix, contains, regex and "
     "present",                                                                                                                                     NULL     },
    {"{match: {headers: {x: {exat: a}}}, cluster: a}",
     "2:26 routes[0].match.headers.x: unknown key \"exat\"",                                                                                        "exact"  },
    {"{match: {headers: {x: {regex: \"[a\"}}}, cluster: a}",
     "2:33 routes[0].match.headers.x.regex: bad regular expression: missing terminating ] for "
     "character class (offset 2)",                                                                                                                  NULL     },
    {"{match: {headers: {x: }}, cluster: a}",
     "2:25 routes[0].match.headers.x: expected a value, or one of exact, prefix, suffix, contains, "
     "regex and present",                                                                                                                           NULL     },
    {"{match: {headers: x}, cluster: a}",
     "2:21 routes[0].match.headers: expected a map of names to values",                                                                             NULL     },
    {"{match: {query: {\"a=b\": x}}, cluster: a}",
     "2:20 routes[0].match.query: \"a=b\" is no name of a parameter",                                                                               NULL     },
    {"{match: {path: /a}}",
     "2:3 routes[0]: the route does nothing: give cluster, clusters, redirect or respond",                                                          NULL     },
    {"{cluster: a, respond: 200}",
     "2:16 routes[0]: \"respond\" stands beside \"cluster\": a route does one thing",                                                               NULL     },
    {"{cluster: aa}",                                                         "2:13 routes[0].cluster: no cluster is named \"aa\"",                 NULL     },
    {"{clusters: [{name: a, weight: 1}, {name: bb}]}",
     "2:44 routes[0].clusters[1].name: no cluster is named \"bb\"",                                                                                 NULL     },
    {"{clusters: [{name: a, weight: 0}]}",
     "2:14 routes[0].clusters: all weights are 0: nobody gets a request",                                                                           NULL     },
    {"{redirect: {}}",
     "2:14 routes[0].redirect: redirect to where? path, path_prefix, path_regex, scheme, host, "
     "port or strip_query",                                                                                                                         NULL     },
    {"{redirect: {path: /x, status: 300}}",
     "2:33 routes[0].redirect.status: found \"300\", expected 301, 302, 303, 307 or 308",                                                           "301"    },
    {"{redirect: {host: \"a.test:80\", port: 81}}",
     "2:14 routes[0].redirect: the port stands in host and in port",                                                                                NULL     },
    {"{redirect: {host: \"http://a.test\"}}",
     "2:21 routes[0].redirect.host: expected a host, with or without a port",                                                                       NULL     },
    {"{redirect: {path_prefix: /x}}",
     "2:15 routes[0].redirect: \"path_prefix\" replaces what match.path_prefix matched: there is "
     "none",                                                                                                                                        NULL     },
    {"{redirect: {path: /x, path_regex: {pattern: a, with: b}}}",
     "2:14 routes[0].redirect: give only one of path, path_prefix and path_regex",                                                                  NULL     },
    {"{redirect: /x, rewrite: {path: /y}}",
     "2:18 routes[0]: \"rewrite\" goes with a cluster: this route has none",                                                                        NULL     },
    {"{respond: 100}",                                                        "2:13 routes[0].respond: 100 is out of range, expected 200 to 599",   NULL     },
    {"{respond: {status: 204, body: x}}",
     "2:13 routes[0].respond: a response with status 204 has no body",                                                                              NULL     },
    {"{respond: {body: x, body_file: passwd}}",
     "2:13 routes[0].respond: give either body or body_file, not both",                                                                             NULL     },
    {"{respond: {body_file: nowhere}}",
     "2:25 routes[0].respond.body_file: cannot read /etc/nowhere: No such file or directory",                                                       NULL     },
    {"{respond: {body: x, content_type: \"a\\nb\"}}",
     "2:37 routes[0].respond.content_type: not the value of a header",                                                                              NULL     },
    {"{cluster: a, rewrite: {}}",
     "2:25 routes[0].rewrite: rewrite what? path, path_prefix, path_regex or host",                                                                 NULL     },
    {"{cluster: a, rewrite: {path: x}}",
     "2:32 routes[0].rewrite.path: expected a path, it begins with \"/\"",                                                                          NULL     },
    {"{cluster: a, rewrite: {path: /a, path_prefix: /b}}",
     "2:25 routes[0].rewrite: give only one of path, path_prefix and path_regex",                                                                   NULL     },
    {"{cluster: a, rewrite: {path_prefix: /b}}",
     "2:26 routes[0].rewrite: \"path_prefix\" replaces what match.path_prefix matched: there is "
     "none",                                                                                                                                        NULL     },
    {"{cluster: a, rewrite: {path_regex: {pattern: \"a(b)\", with: '\\2'}}}",
     "2:62 routes[0].rewrite.path_regex.with: \\2: the pattern has 1 group",                                                                        NULL     },
    {"{cluster: a, rewrite: {path_regex: {pattern: \"a(b)\", with: '$1'}}}",
     "2:62 routes[0].rewrite.path_regex.with: groups are written \\1, not $1",                                                                      NULL     },
    {"{cluster: a, rewrite: {path_regex: {pattern: \"a(b)\", with: 'a\\'}}}",
     "2:62 routes[0].rewrite.path_regex.with: behind \"\\\" stands a digit, the number of a group, "
     "or another \"\\\"",                                                                                                                           NULL     },
    {"{cluster: a, rewrite: {host: \"*.a.test\"}}",
     "2:32 routes[0].rewrite.host: expected a host, with or without a port",                                                                        NULL     },
    {"{cluster: a, rewrite: {host: \"a.test:\"}}",
     "2:32 routes[0].rewrite.host: expected a host, with or without a port",                                                                        NULL     },
    {"{cluster: a, retry: {attempts: 2}}",                                    "2:16 routes[0].retry: missing key \"when\"",                         NULL     },
    {"{cluster: a, retry: {when: reste}}",
     "2:30 routes[0].retry.when: found \"reste\", expected connect-failure, refused-stream, reset, "
     "5xx, gateway-error, retriable-4xx, cancelled, deadline-exceeded, internal, "
     "resource-exhausted or unavailable",                                                                                                           "reset"  },
    {"{cluster: a, retry: {when: reset, attempts: 21}}",
     "2:47 routes[0].retry.attempts: 21 is out of range, expected 1 to 20",                                                                         NULL     },
    {"{cluster: a, upgrade: h2c}",
     "2:25 routes[0].upgrade: \"h2c\" cannot pass: HTTP/2 is spoken by each side for itself",                                                       NULL     },
    {"{cluster: a, upgrade: \"a b\"}",
     "2:25 routes[0].upgrade: \"a b\" is no protocol to change to",                                                                                 NULL     },
    {"{cluster: a, connect: true, match: {path: /a}}",
     "2:39 routes[0].match: \"path\" can't be told of CONNECT, which names a host alone",                                                           NULL     },
    {"{cluster: a, timeuot: 1s}",                                             "2:16 routes[0]: unknown key \"timeuot\"",                            "timeout"},
    {"x",                                                                     "2:3 routes[0]: found \"x\", expected a map with keys like \"name\"", NULL     },
};

static void mistakes_name_their_place(void **state)
{
    for (size_t i = 0; i < sizeof mistakes_of_routes / sizeof *mistakes_of_routes; i++) {
        char text[512], expected[512], guess[64];
        snprintf(text, sizeof text, "routes:\n- %s\n", mistakes_of_routes[i].route);
        struct made_routes m = made_from(text);
        const char *report = nu_conf_report(m.conf);
        int place = (int)strcspn(mistakes_of_routes[i].report, " ");
        snprintf(expected, sizeof expected, "t.yaml:%.*s:%s\n", place, mistakes_of_routes[i].report,
                 mistakes_of_routes[i].report + place);
        if (strncmp(report, expected, strlen(expected)) != 0)
            fail_msg("%s: %s, not %s", mistakes_of_routes[i].route, report, expected);
        if (mistakes_of_routes[i].guess)
            snprintf(guess, sizeof guess, "did you mean \"%s\"?", mistakes_of_routes[i].guess);
        else
            snprintf(guess, sizeof guess, "^");
        assert_non_null(strstr(report, guess));
        assert_int_equal(nu_conf_error_count(m.conf), 1);
        routes_free(&m);
    }
}

static void unreachable_routes_are_warned_of(void **state)
{
    struct made_routes m = good_routes(
        "routes:\n"
        "- {name: x, match: {host: [b.test, A.test], method: [PUT, GET], query: {q: \"1\"}}, "
        "cluster: a}\n"
        "- {match: {method: [GET, PUT], host: [a.test, B.test], query: {q: \"1\"}}, cluster: b}\n"
        "- {match: {method: [GET, PUT], host: [a.test, B.test], query: {q: \"2\"}}, cluster: b}\n"
        "- {match: {path_prefix: /}, cluster: a}\n"
        "- {match: {path: \"*\"}, cluster: a}\n"
        "- {match: {path: /y}, cluster: a}\n"
        "- {connect: true, cluster: a}\n"
        "- {connect: true, cluster: a, match: {host: z.test}}\n");
    const char *report = nu_conf_report(m.conf);
    unsigned lines = 0;
    for (const char *at = report; (at = strstr(at, "warning")); at++)
        lines++;
    assert_int_equal(lines, 3);
    assert_non_null(strstr(report, "routes[1]: no request gets here: x before takes them"));
    assert_non_null(strstr(report, "routes[5]: no request gets here: routes[3] before"));
    assert_non_null(strstr(report, "routes[7]: no request gets here: routes[6] before"));
    routes_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_become_a_route),
        cmocka_unit_test(defaults_are_envoys),
        cmocka_unit_test(a_body_is_text_or_a_file),
        cmocka_unit_test(mistakes_name_their_place),
        cmocka_unit_test(unreachable_routes_are_warned_of),
    };
    return cmocka_run_group_tests(tests, one_worker, no_worker);
}
