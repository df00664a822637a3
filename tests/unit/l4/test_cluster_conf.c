/* Clusters as they are written: what is understood, and what is said about mistakes. */
#include "tests/unit/l4/cluster_help.h"

#include "l4/cluster_priv.h"

static const char *printed(struct made *m)
{
    static char text[8192];
    FILE *out = fmemopen(text, sizeof text, "w");
    for (size_t i = 0; i < nu_clusters_count(m->clusters); i++)
        nu_cluster_print(nu_cluster_at(m->clusters, i), out);
    fclose(out);
    return text;
}

static void the_short_form_has_all_defaults(void **state)
{
    struct made m = commit_from("clusters: {name: web, endpoints: \"10.0.0.1:80\"}", NULL);
    struct nu_cluster *c = nu_cluster_find(m.clusters, "web");
    assert_int_equal(nu_clusters_count(m.clusters), 1);
    assert_ptr_equal(nu_cluster_at(m.clusters, 0), c);
    assert_string_equal(nu_clusters_names(m.clusters)[0], "web");
    assert_null(nu_cluster_find(m.clusters, "we"));
    assert_int_equal(c->connect_timeout_ms, 5000);
    assert_int_equal(c->max_connections, 0);
    assert_int_equal(c->proxy_header, NU_PROXY_NONE);
    assert_string_equal(picks(c, 0, 2), "1:80 1:80");
    retire(&m, NULL);
}

static void every_key_is_understood(void **state)
{
    struct made m = commit_from("clusters:\n"
                                "  - name: web\n"
                                "    endpoints:\n"
                                "      - 10.0.0.1:80\n"
                                "      - {address: \"[2001:db8::1]:80\", weight: 2}\n"
                                "      - {address: unix:app.sock, weight: 65535, priority: 3}\n"
                                "    balance: round_robin\n"
                                "    connect_timeout: 250ms\n"
                                "    proxy_protocol: v2\n"
                                "    limits: {connections: 7}\n",
                                NULL);
    struct nu_cluster *c = nu_cluster_find(m.clusters, "web");
    assert_int_equal(c->connect_timeout_ms, 250);
    assert_int_equal(c->max_connections, 7);
    assert_int_equal(c->proxy_header, NU_PROXY_V2);
    assert_string_equal(printed(&m), "web::observability_name::web\n"
                                     "web::default_priority::max_connections::7\n"
                                     "web::10.0.0.1:80::cx_active::0\n"
                                     "web::10.0.0.1:80::cx_connect_fail::0\n"
                                     "web::10.0.0.1:80::cx_total::0\n"
                                     "web::10.0.0.1:80::hostname::\n"
                                     "web::10.0.0.1:80::health_flags::healthy\n"
                                     "web::10.0.0.1:80::weight::1\n"
                                     "web::10.0.0.1:80::priority::0\n"
                                     "web::[2001:db8::1]:80::cx_active::0\n"
                                     "web::[2001:db8::1]:80::cx_connect_fail::0\n"
                                     "web::[2001:db8::1]:80::cx_total::0\n"
                                     "web::[2001:db8::1]:80::hostname::\n"
                                     "web::[2001:db8::1]:80::health_flags::healthy\n"
                                     "web::[2001:db8::1]:80::weight::2\n"
                                     "web::[2001:db8::1]:80::priority::0\n"
                                     "web::unix:/etc/app.sock::cx_active::0\n"
                                     "web::unix:/etc/app.sock::cx_connect_fail::0\n"
                                     "web::unix:/etc/app.sock::cx_total::0\n"
                                     "web::unix:/etc/app.sock::hostname::\n"
                                     "web::unix:/etc/app.sock::health_flags::healthy\n"
                                     "web::unix:/etc/app.sock::weight::65535\n"
                                     "web::unix:/etc/app.sock::priority::3\n");
    retire(&m, NULL);
}

static void no_clusters_are_fine(void **state)
{
    struct made m = commit_from("{}", NULL);
    assert_int_equal(nu_clusters_count(m.clusters), 0);
    assert_int_equal(nu_clusters_count(NULL), 0);
    assert_null(nu_cluster_find(NULL, "web"));
    retire(&m, NULL);
}

/* One cluster in one line, and what is said of it: the words up to the caret's line. */
static void assert_wrong(const char *cluster, const char *words)
{
    char text[1024], *report;
    snprintf(text, sizeof text, "clusters:\n  - %s\n", cluster);
    struct made m = build_from(text, strlen(text), NULL, &report);
    if (!strstr(report, words))
        fail_msg("%s\nsays\n%snot\n%s", text, report, words);
    free(report);
    nu_arena_free(m.arena);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *cluster, *words;
    } rows[] = {
        {"{endpoints: \"10.0.0.1:80\"}",                                      "t.yaml:2:5: clusters[0]: missing key \"name\""          },
        {"{name: \"\", endpoints: \"10.0.0.1:80\"}",                          "t.yaml:2:12: clusters[0].name: must not be"             },
        {"{name: \"a\\nb\", endpoints: \"10.0.0.1:80\"}",                     "clusters[0].name: control characters"                   },
        {"{name: a}",                                                         "t.yaml:2:5: clusters[0]: missing key \"endpoints\" (or \"dns\", "
                      "\"original_dst\", \"dynamic_forward\")"                                                    },
        {"{name: a, endpoints: []}",                                          "clusters[0].endpoints: the list must not be empty"      },
        {"{name: a, endpoint: \"10.0.0.1:80\"}",                              "did you mean \"endpoints\""                             },
        {"{name: a, endpoints: 10.0.0.1}",
         "\"10.0.0.1\" is no endpoint: the port is missing; expected an address like 10.0.0.1:80"                                      },
        {"{name: a, endpoints: web}",                                         "\"web\" is no endpoint: the port is missing"            },
        {"{name: a, endpoints: \"web:\"}",                                    "the port is no number from 1 to 65535"                  },
        {"{name: a, endpoints: \"web:http\"}",                                "the port is no number from 1 to 65535"                  },
        {"{name: a, endpoints: \"web:0\"}",                                   "the port is no number from 1 to 65535"                  },
        {"{name: a, endpoints: \"web:65536\"}",                               "the port is no number from 1 to 65535"                  },
        {"{name: a, endpoints: \"10.0.0.1:0\"}",                              "the port is no number from 1 to 65535"                  },
        {"{name: a, endpoints: \"10.0.0.300:80\"}",                           "neither an IP address nor a host name"                  },
        {"{name: a, endpoints: \"a..b:80\"}",                                 "neither an IP address nor a host name"                  },
        {"{name: a, endpoints: \"a b:80\"}",                                  "neither an IP address nor a host name"                  },
        {"{name: a, endpoints: \":80\"}",                                     "neither an IP address nor a host name"                  },
        {"{name: a, endpoints: \"::1:80\"}",                                  "stands in brackets"                                     },
        {"{name: a, endpoints: \"[x::1]:80\"}",                               "stands in brackets"                                     },
        {"{name: a, endpoints: \"http://web:80\"}",                           "without a scheme"                                       },
        {"{name: a, endpoints: \"unix:\"}",                                   "the socket's path is missing"                           },
        {"{name: a, endpoints: [[x]]}",                                       "found a list, expected an address like"                 },
        {"{name: a, endpoints: {address: [x]}}",                              "found a list, expected an address like"                 },
        {"{name: a, endpoints: {weight: 2}}",                                 "missing key \"address\""                                },
        {"{name: a, endpoints: {address: \"a:1\", weight: 0}}",               "expected 1 to 65535"                                    },
        {"{name: a, endpoints: {address: \"a:1\", priority: 128}}",           "expected 0 to 127"                                      },
        {"{name: a, endpoints: [\"10.0.0.1:80\", \"b:1\", \"10.0.0.1:80\"]}",
         "clusters[0].endpoints[2]: endpoint 10.0.0.1:80 stands on line 2 already"                                                     },
        {"{name: a, endpoints: [\"A.test:80\", \"a.test:80\"]}",              "endpoint a.test:80 stands on"                           },
        {"{name: a, dns: \"10.0.0.1:80\"}",                                   "addresses go to \"endpoints\""                          },
        {"{name: a, dns: \"a.test\"}",                                        "clusters[0].dns: \"a.test\" is no endpoint: the port is"},
        {"{name: a, dns: \"a.test:80\", endpoints: \"10.0.0.1:80\"}",         "exclude each other"                                     },
        {"{name: a, endpoints: \"a:1\", balance: maglev}",                    "\"maglev\" is not in this version"                      },
        {"{name: a, endpoints: \"a:1\", balance: {ring_hash: {key: x}}}",
         "\"ring_hash\" is not in this version"                                                                                        },
        {"{name: a, endpoints: \"a:1\", balance: round_robbin}",              "did you mean \"round_robin\""                           },
        {"{name: a, endpoints: \"a:1\", connect_timeout: 5}",                 "expected a duration"                                    },
        {"{name: a, endpoints: \"a:1\", proxy_protocol: v3}",                 "expected off, v1 or v2"                                 },
        {"{name: a, endpoints: \"a:1\", limits: {connections: -1}}",          "connections: -1 is out of"                              },
        {"{name: a, endpoints: \"a:1\", limits: {pending: 1}}",
         "\"pending\" is not in this version"                                                                                          },
        {"{name: a, endpoints: \"a:1\", outlier: {}}",                        "is not in this version"                                 },
        {"{name: a, endpoints: \"a:1\", panic_threshold: 101%}",              "panic_threshold: "                                      },
        {"just words",                                                        "clusters[0]: found \"just words\", expected a map"      },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_wrong(rows[i].cluster, rows[i].words);
}

static void a_name_twice_is_said_at_the_second(void **state)
{
    static const char text[] = "clusters:\n"
                               "  - {name: web, endpoints: \"10.0.0.1:80\"}\n"
                               "  - {name: api, endpoints: \"10.0.0.1:80\"}\n"
                               "  - {name: web, endpoints: \"10.0.0.2:80\"}\n";
    char *report;
    struct made m = build_from(text, sizeof text - 1, NULL, &report);
    assert_string_equal(report, "t.yaml:4:12: clusters[2].name: the cluster on line 2 has this "
                                "name already\n"
                                "    4 |   - {name: web, endpoints: \"10.0.0.2:80\"}\n"
                                "      |            ^^^\n");
    free(report);
    nu_arena_free(m.arena);
}

static void all_mistakes_are_shown(void **state)
{
    static const char text[] = "clusters:\n"
                               "  - {name: a, endpoints: [x, \"10.0.0.1:80\", y]}\n"
                               "  - {name: b}\n"
                               "  - {name: c, endpoints: \"10.0.0.1:80\", weight: 1}\n";
    char *report;
    struct made m = build_from(text, sizeof text - 1, NULL, &report);
    static const char *const places[] = {
        "t.yaml:2:27: ", "t.yaml:2:45: ", "t.yaml:3:5: ", "t.yaml:4:41: "};
    for (int i = 0; i < 4; i++)
        if (!strstr(report, places[i]))
            fail_msg("%s\nlacks %s", report, places[i]);
    free(report);
    nu_arena_free(m.arena);
}

/* What a higher layer adds is parsed into its slot. */
struct extra {
    int64_t level;
};

static void a_layer_above_adds_a_key(void **state)
{
    static const struct nu_field fields[] = {
        {.key = "level",                   .type = NU_INT, .offset = offsetof(struct extra, level)},
        {0}
    };
    static const struct nu_schema schema = {
        .name = "extra", .size = sizeof(struct extra), .fields = fields};
    static struct nu_ext ext = {
        .field = {.key = "extra", .type = NU_OBJECT, .flags = NU_PTR, .sub = &schema}
    };
    nu_schema_extend(&nu_cluster_schema, &ext);
    struct made m = commit_from("clusters:\n"
                                "  - {name: a, endpoints: \"10.0.0.1:80\", extra: {level: 3}}\n"
                                "  - {name: b, endpoints: \"10.0.0.1:80\"}\n",
                                NULL);
    const struct extra *extra = nu_ext_get(nu_cluster_find(m.clusters, "a")->ext, &ext);
    assert_int_equal(extra->level, 3);
    assert_null(nu_ext_get(nu_cluster_find(m.clusters, "b")->ext, &ext));
    retire(&m, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_short_form_has_all_defaults),
        cmocka_unit_test(every_key_is_understood),
        cmocka_unit_test(no_clusters_are_fine),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_name_twice_is_said_at_the_second),
        cmocka_unit_test(all_mistakes_are_shown),
        cmocka_unit_test(a_layer_above_adds_a_key),
    };
    return cmocka_run_group_tests(tests, two_workers, no_workers);
}
