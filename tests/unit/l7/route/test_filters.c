/* The filters of a route's chain: the http filter's list, and what the route has instead. */
#include "tests/unit/l7/route/route_help.h"

struct trial_conf {
    const char *word;
};

static const struct nu_field trial_fields[] = {
    {.key = "word",                         .type = NU_STRING, .offset = offsetof(struct trial_conf, word)},
    {0}
};
static const struct nu_schema trial_schema = {
    .name = "trial", .size = sizeof(struct trial_conf), .fields = trial_fields, .scalar = "word"};

static const struct nu_filter_type cors = {ROUTE_TYPE("cors", NU_FACE_HTTP, NU_FACE_HTTP),
                                           .schema = &trial_schema};
static const struct nu_filter_type fault = {ROUTE_TYPE("fault", NU_FACE_HTTP, NU_FACE_HTTP),
                                            .schema = &trial_schema};
static const struct nu_filter_type bytes = {ROUTE_TYPE("bytes", NU_FACE_BYTES, NU_FACE_BYTES)};

/* "cors(a) fault(b)": what stands between the ends. */
static const char *filters_of(const struct made_routes *m, unsigned i)
{
    const struct nu_route *r = &m->routes->routes[i].route;
    const char *text = "";
    assert_ptr_equal(r->places[0].type, &stream_left);
    assert_ptr_equal(r->places[r->place_count - 1].type, &stream_right);
    for (unsigned p = 1; p + 1 < r->place_count; p++) {
        const struct trial_conf *conf = r->places[p].conf;
        text = nu_arena_printf(m->arena, "%s%s%s(%s)", text, *text ? " " : "",
                               r->places[p].type->name, conf->word ? conf->word : "");
    }
    return text;
}

static void routes_override_the_list(void **state)
{
    struct made_routes m =
        good_routes("filters: [{cors: {word: a}}, fault]\n"
                    "routes:\n"
                    "- {match: {path: /0}, cluster: a}\n"
                    "- {match: {path: /1}, cluster: a, filters: {cors: off}}\n"
                    "- {match: {path: /2}, cluster: a, filters: {cors: {word: b}}}\n"
                    "- {match: {path: /3}, cluster: a, filters: {fault: c, cors: no}}\n"
                    "- {match: {path: /4}, cluster: a, filters: {cors: \"off\"}}\n"
                    "- {match: {path: /5}, respond: 200, filters: }\n");
    nu_conf_free(m.conf);
    m.conf = NULL;
    assert_string_equal(filters_of(&m, 0), "cors(a) fault()");
    assert_string_equal(filters_of(&m, 1), "fault()");
    assert_string_equal(filters_of(&m, 2), "cors(b) fault()");
    assert_string_equal(filters_of(&m, 3), "fault(c)");
    assert_string_equal(filters_of(&m, 4), "cors(off) fault()");
    assert_string_equal(filters_of(&m, 5), "cors(a) fault()");
    const struct route *r = m.routes->routes;
    assert_ptr_equal(r[0].route.places, r[5].route.places);                 /* one list for all */
    assert_ptr_equal(r[0].route.places[2].conf, r[2].route.places[2].conf); /* and one config */
    routes_free(&m);
}

static void a_filter_may_be_one_routes_alone(void **state)
{
    struct made_routes m =
        good_routes("filters: cors\n"
                    "routes:\n"
                    "- {match: {path: /0}, cluster: a, filters: {fault: {word: a}}}\n"
                    "- {cluster: a}\n");
    assert_string_equal(filters_of(&m, 0), "cors() fault(a)");
    assert_string_equal(filters_of(&m, 1), "cors()");
    routes_free(&m);
}

static void mistakes(void **state)
{
    static const struct mistake rows[] = {
        {"filters: [cors]\nroutes: {cluster: a, filters: {corse: off}}\n",
         "t.yaml:2:32: routes.filters: \"corse\" is off already: it is not in the http filter's "
         "list\n"
         "    2 | routes: {cluster: a, filters: {corse: off}}\n"
         "      |                                ^^^^^ did you mean \"cors\"?\n"       },
        {"filters: [cors]\nroutes: {cluster: a, filters: {faults: {word: a}}}\n",
         "t.yaml:2:32: routes.filters: unknown filter \"faults\"\n"
         "    2 | routes: {cluster: a, filters: {faults: {word: a}}}\n"
         "      |                                ^^^^^^ did you mean \"fault\"?\n"     },
        {"filters: [cors]\nroutes: {cluster: a, filters: {cors: {wort: a}}}\n",
         "t.yaml:2:39: routes.filters.cors: unknown key \"wort\"\n"
         "    2 | routes: {cluster: a, filters: {cors: {wort: a}}}\n"
         "      |                                       ^^^^ did you mean \"word\"?\n" },
        {"filters: [cors]\nroutes: {cluster: a, filters: [fault]}\n",
         "t.yaml:2:31: routes.filters: expected a map of filters to options, or off\n"
         "    2 | routes: {cluster: a, filters: [fault]}\n"
         "      |                               ^\n"                                   },
        {"filters: [cors, bytes]\nroutes: {cluster: a}\n",
         "t.yaml:1:17: filters[1]: wrong chain order: bytes takes bytes, but it gets HTTP here\n"
         "    1 | filters: [cors, bytes]\n"
         "      |                 ^^^^^\n"                                             },
        {"filters: [cors]\nroutes: {cluster: a, filters: {bytes: {}}}\n",
         "t.yaml:2:31: routes.filters: wrong chain order: bytes takes bytes, but it gets HTTP "
         "here\n"
         "    2 | routes: {cluster: a, filters: {bytes: {}}}\n"
         "      |                               ^\n"                                   },
        {"filters: [cors, {fault: {x: 1}}]\nroutes: {cluster: b1, filters: {cors: off}}\n",
         "t.yaml:1:26: filters[1].fault: unknown key \"x\"\n"
         "    1 | filters: [cors, {fault: {x: 1}}]\n"
         "      |                          ^\n"
         "t.yaml:2:19: routes.cluster: no cluster is named \"b1\"\n"
         "    2 | routes: {cluster: b1, filters: {cors: off}}\n"
         "      |                   ^^\n"                                              },
        {"filters: [{fault: {x: 1}}]\nroutes: {cluster: a, filters: {faults: {}, corse: off}}\n",
         "t.yaml:1:20: filters[0].fault: unknown key \"x\"\n"
         "    1 | filters: [{fault: {x: 1}}]\n"
         "      |                    ^\n"
         "t.yaml:2:32: routes.filters: unknown filter \"faults\"\n"
         "    2 | routes: {cluster: a, filters: {faults: {}, corse: off}}\n"
         "      |                                ^^^^^^ did you mean \"fault\"?\n"
         "t.yaml:2:44: routes.filters: \"corse\" is off already: it is not in the http filter's "
         "list\n"
         "    2 | routes: {cluster: a, filters: {faults: {}, corse: off}}\n"
         "      |                                            ^^^^^\n"                  },
        {"filters: [{fault: {x: 1}, cors: {}}]\nroutes: {cluster: a, filters: {cors: off}}\n",
         "t.yaml:1:11: filters[0]: found 2 keys, expected one: a filter's name and its options\n"
         "    1 | filters: [{fault: {x: 1}, cors: {}}]\n"
         "      |           ^\n"                                                       },
        {"filters: [faults]\nroutes: {cluster: a, filters: {fault: {wort: a}}}\n",
         "t.yaml:1:11: filters[0]: unknown filter \"faults\"\n"
         "    1 | filters: [faults]\n"
         "      |           ^^^^^^ did you mean \"fault\"?\n"
         "t.yaml:2:40: routes.filters.fault: unknown key \"wort\"\n"
         "    2 | routes: {cluster: a, filters: {fault: {wort: a}}}\n"
         "      |                                        ^^^^ did you mean \"word\"?\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct made_routes m = made_from(rows[i].text);
        assert_report(m.conf, rows[i].report);
        routes_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_override_the_list),
        cmocka_unit_test(a_filter_may_be_one_routes_alone),
        cmocka_unit_test(mistakes),
    };
    nu_registry_add(&cors);
    nu_registry_add(&fault);
    nu_registry_add(&bytes);
    return cmocka_run_group_tests(tests, one_worker, no_worker);
}
