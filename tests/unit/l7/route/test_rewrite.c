/* What servers see, where clients are sent, and which cluster: rewrites, redirects, weights. */
#include "tests/unit/l7/route/route_help.h"

/* One route, a request, and what becomes of it. */
struct row {
    const char *route, *request, *result;
};

/* "authority path", or the error. */
static const char *rewritten(struct nu_arena *arena, const struct made_routes *m,
                             const char *request, size_t max)
{
    struct nu_http_head *head = request_of(arena, request);
    struct nu_text path = head->path, host = head->authority;
    const struct nu_route *route = nu_routes_find(m->routes, head);
    assert_non_null(route);
    enum nu_err err = nu_route_rewrite(route, head, max);
    if (err) {
        assert_ptr_equal(head->path.at, path.at);
        assert_ptr_equal(head->authority.at, host.at);
        return nu_err_str(err);
    }
    return nu_arena_printf(arena, "%.*s %.*s", (int)head->authority.len, head->authority.at,
                           (int)head->path.len, head->path.at);
}

static const char *location(struct nu_arena *arena, const struct made_routes *m,
                            const char *request)
{
    struct nu_http_head *head = request_of(arena, request);
    const struct nu_route *route = nu_routes_find(m->routes, head);
    struct nu_text to;
    assert_non_null(route);
    assert_int_equal(route->kind, NU_ROUTE_REDIRECT);
    unsigned status =
        nu_route_location(route, head, strncmp(strchr(request, ' '), " https", 6) == 0, &to);
    return nu_arena_printf(arena, "%u %.*s", status, (int)to.len, to.at);
}

static void check(const struct row *rows, size_t count, bool redirect)
{
    for (size_t i = 0; i < count; i++) {
        struct nu_arena *arena = nu_arena_new(1024);
        struct made_routes m =
            good_routes(nu_arena_printf(arena, "routes:\n- {%s}\n", rows[i].route));
        const char *got = redirect ? location(arena, &m, rows[i].request)
                                   : rewritten(arena, &m, rows[i].request, 8192);
        if (strcmp(got, rows[i].result) != 0)
            fail_msg("{%s} %s: %s, not %s", rows[i].route, rows[i].request, got, rows[i].result);
        routes_free(&m);
        nu_arena_free(arena);
    }
}
#define CHECK(rows, redirect) check(rows, sizeof(rows) / sizeof *(rows), redirect)

static void servers_see_the_rewritten_request(void **state)
{
    static const struct row rows[] = {
        {"cluster: a",                                                                       "GET http://h/x?y",     "h /x?y"            },
        {"cluster: a, rewrite: {host: api.internal}",                                        "GET http://h/x?y",     "api.internal /x?y" },
        {"cluster: a, rewrite: {host: \"[::1]:80\"}",                                        "GET http://h/",        "[::1]:80 /"        },
        {"cluster: a, rewrite: {path: /new}",                                                "GET http://h/x?y=1",   "h /new?y=1"        },
        {"cluster: a, rewrite: {path: \"/new?z=1\"}",                                        "GET http://h/x?y=1",   "h /new?z=1&y=1"    },
        {"cluster: a, rewrite: {path: \"/new?z=1\"}",                                        "GET http://h/x",       "h /new?z=1"        },
        {"cluster: a, match: {path_prefix: /api/}, rewrite: {path_prefix: /}",
         "GET http://h/api/x?y",                                                                                     "h /x?y"            },
        {"cluster: a, match: {path_prefix: /api}, rewrite: {path_prefix: /}",                "GET http://h/api/x",
         "h /x"                                                                                                                          },
        {"cluster: a, match: {path_prefix: /api}, rewrite: {path_prefix: /}",                "GET http://h/api",
         "h /"                                                                                                                           },
        {"cluster: a, match: {path_prefix: /api}, rewrite: {path_prefix: /}",
         "GET http://h/api//x//y",                                                                                   "h /x//y"           },
        {"cluster: a, match: {path_prefix: /api}, rewrite: {path_prefix: /v1}",              "GET http://h/apis",
         "h /v1s"                                                                                                                        },
        {"cluster: a, match: {path_prefix: /api}, rewrite: {path_prefix: /}",
         "GET http://h/api../x",                                                                                     "malformed"         },
        {"cluster: a, match: {path_prefix: /api}, rewrite: {path_prefix: /b/}",              "GET http://h/api.",
         "malformed"                                                                                                                     },
        {"cluster: a, match: {path_prefix: /api}, rewrite: {path_prefix: /b}",
         "GET http://h/api../x",                                                                                     "h /b../x"          },
        {"cluster: a, rewrite: {path_regex: {pattern: '^/u/([0-9]+)', with: '/users/\\1'}}",
         "GET http://h/u/12/x?y",                                                                                    "h /users/12/x?y"   },
        {"cluster: a, rewrite: {path_regex: {pattern: '^/u/([0-9]+)$', with: '/u?id=\\1'}}",
         "GET http://h/u/12?y",                                                                                      "h /u?id=12&y"      },
        {"cluster: a, rewrite: {path_regex: {pattern: 'o', with: 0}}",                       "GET http://h/foo/o?o",
         "h /f00/0?o"                                                                                                                    },
        {"cluster: a, rewrite: {path_regex: {pattern: 'x*', with: '-'}}",                    "GET http://h/axxb",
         "h /-/-a-b-"                                                                                                                    },
        {"cluster: a, rewrite: {path_regex: {pattern: '^/a', with: 'http://e/'}}",
         "GET http://h/a/b",                                                                                         "h /http://e//b"    },
        {"cluster: a, rewrite: {path_regex: {pattern: '^/a', with: '//e'}}",                 "GET http://h/a",
         "h /e"                                                                                                                          },
        {"cluster: a, rewrite: {path_regex: {pattern: '^/a', with: \"/ #\\r\\n\\\\\\\\\"}}",
         "GET http://h/a",                                                                                           "h /%20%23%0D%0A%5C"},
        {"cluster: a, rewrite: {path_regex: {pattern: '(a)|(b)', with: '[\\1\\2]'}}",
         "GET http://h/ab",                                                                                          "h /[a][b]"         },
        {"cluster: a, connect: true, rewrite: {path: /x}",                                   "CONNECT h:1",          "h:1 "              },
        {"cluster: a, rewrite: {path: /x}",                                                  "OPTIONS *",            " *"                },
    };
    CHECK(rows, false);
}

static void clients_are_sent_elsewhere(void **state)
{
    static const struct row rows[] = {
        {"redirect: /new",                                             "GET http://h/x?y",            "301 /new?y"                   },
        {"redirect: {path: /new, status: 308}",                        "GET http://h/x",              "308 /new"                     },
        {"redirect: {path: /new, strip_query: true}",                  "GET http://h/x?y",            "301 /new"                     },
        {"redirect: \"/new?a=1#b\"",                                   "GET http://h/x?y",            "301 /new?a=1#b"               },
        {"redirect: \"/new#b\"",                                       "GET http://h/x?y",            "301 /new?y#b"                 },
        {"redirect: {strip_query: true, status: 302}",                 "GET http://h/x?y",            "302 /x"                       },
        {"redirect: {strip_query: true}",                              "GET http://h//evil.test/?y",  "301 /evil.test/"              },
        {"match: {path_prefix: /a}, redirect: {path_prefix: /}",       "GET http://h/a//evil.test/",
         "301 /evil.test/"                                                                                                           },
        {"match: {path_prefix: /a}, redirect: {path_prefix: /}",       "GET http://h/a/\\evil.test/",
         "301 /evil.test/"                                                                                                           },
        {"redirect: {path_regex: {pattern: '^/r/(.*)', with: '\\1'}}", "GET http://h/r///evil.test",
         "301 /evil.test"                                                                                                            },
        {"redirect: {path_regex: {pattern: '^/r/(.*)', with: '\\1'}}",
         "GET http://h/r/http://e.test",                                                              "301 /http://e.test"           },
        {"redirect: {scheme: https}",                                  "GET http://h/x?y",            "301 https://h/x?y"            },
        {"redirect: {scheme: https}",                                  "GET http://h:80/x",           "301 https://h/x"              },
        {"redirect: {scheme: https}",                                  "GET http://h:8080/x",         "301 https://h:8080/x"         },
        {"redirect: {scheme: https, port: 8443}",                      "GET http://h:8080/x",         "301 https://h:8443/x"         },
        {"redirect: {scheme: https, port: 443}",                       "GET http://h:8080/x",         "301 https://h/x"              },
        {"redirect: {scheme: http}",                                   "GET https://h:443/x",         "301 http://h/x"               },
        {"redirect: {host: b.test}",                                   "GET http://h:8080/x",         "301 http://b.test/x"          },
        {"redirect: {host: \"b.test:81\", path: /}",                   "GET https://h/x",             "301 https://b.test:81/"       },
        {"redirect: {port: 81}",                                       "GET http://[::1]:80/x",       "301 http://[::1]:81/x"        },
        {"redirect: {scheme: https}",                                  "GET /x",                      "301 /x"                       },
        {"redirect: {scheme: https}",                                  "GET http://h/x?\"<b>\\",      "301 https://h/x?%22%3Cb%3E%5C"},
        {"redirect: {scheme: https}",                                  "GET http://u@h/x",            "301 /x"                       },
    };
    CHECK(rows, true);
}

static void a_rewritten_path_has_a_limit(void **state)
{
    struct made_routes m = good_routes(
        "routes: {cluster: a, rewrite: {path_regex: {pattern: 'x', with: '\\0\\0\\0\\0'}}}\n");
    struct nu_arena *arena = nu_arena_new(1024);
    char many[600];
    assert_string_equal(rewritten(arena, &m, "GET http://h/xx", 9), "h /xxxxxxxx");
    assert_string_equal(rewritten(arena, &m, "GET http://h/xx", 8), nu_err_str(NU_ERR_LIMIT));
    assert_string_equal(rewritten(arena, &m, "GET http://h/xx?q", 10), nu_err_str(NU_ERR_LIMIT));
    snprintf(many, sizeof many, "GET http://h/%0*d", NU_REGEX_REPLACE_MAX + 1, 0);
    for (char *c = strchr(many, '0'); *c; c++)
        *c = 'x';
    assert_string_equal(rewritten(arena, &m, many, 8192), nu_err_str(NU_ERR_LIMIT));
    many[strlen(many) - 1] = 0;
    assert_string_not_equal(rewritten(arena, &m, many, 8192), nu_err_str(NU_ERR_LIMIT));
    nu_arena_free(arena);
    routes_free(&m);
}

static void a_location_is_empty_where_there_can_be_none(void **state)
{
    struct made_routes m =
        good_routes("routes: {redirect: {path_regex: {pattern: '(a+)+$', with: /}}}\n");
    struct nu_arena *arena = nu_arena_new(1024);
    assert_string_equal(location(arena, &m, "GET http://h/aaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), "400 ");
    nu_arena_free(arena);
    routes_free(&m);
}

static void clusters_share_by_weight(void **state)
{
    struct made_routes m = good_routes("routes:\n"
                                       "- clusters: [{name: a, weight: 95}, {name: b, weight: 5}, "
                                       "{name: c, weight: 0}]\n"
                                       "- {cluster: c, match: {path: /c}}\n");
    const struct nu_route *route = &m.routes->routes[0].route;
    unsigned counts[3] = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        const char *name = nu_route_cluster(route, i)->name;
        counts[*name - 'a']++;
    }
    assert_int_equal(counts[0], 950);
    assert_int_equal(counts[1], 50);
    assert_int_equal(counts[2], 0);
    assert_non_null(nu_route_cluster(route, UINT64_MAX));
    assert_string_equal(nu_route_cluster(&m.routes->routes[1].route, 7)->name, "c");
    routes_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_see_the_rewritten_request),
        cmocka_unit_test(clients_are_sent_elsewhere),
        cmocka_unit_test(a_rewritten_path_has_a_limit),
        cmocka_unit_test(a_location_is_empty_where_there_can_be_none),
        cmocka_unit_test(clusters_share_by_weight),
    };
    return cmocka_run_group_tests(tests, one_worker, no_worker);
}
