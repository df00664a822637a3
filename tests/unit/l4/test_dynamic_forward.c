/* Which hosts a client may choose, and clusters of that kind: keys that exclude each other, names
 * that are no names, patterns, ports, families. */
#include "l4/dynamic_forward.h"
#include "l4/original_dst.h"
#include "tests/unit/l4/cluster_help.h"

static const struct nu_dynamic_forward *forward_of(struct made *m)
{
    return nu_cluster_at(m->clusters, 0)->dynamic_forward;
}

static struct made cluster_of(const char *keys)
{
    char text[1024];
    snprintf(text, sizeof text, "clusters: [{name: c, %s}]", keys);
    return build_from(text, strlen(text), NULL, NULL);
}

static void discard(struct made *m)
{
    nu_clusters_discard(m->clusters, NULL);
    nu_arena_free(m->arena);
}

static void names_pass_or_not(void **state)
{
    static const struct {
        const char *host, *why; /* NULL: it passes */
    } rows[] = {
        {"a.test",           NULL                      },
        {"A.Test.",          NULL                      },
        {"www.b.test",       NULL                      },
        {"x_y.z-1.b.test",   NULL                      },
        {"b.test",           "\"allow\" does not have" },
        {"no.b.test",        "\"deny\" has it"         },
        {"deep.no.b.test",   NULL                      },
        {"evil-a.test",      "\"allow\" does not have" },
        {"a.test.evil",      "\"allow\" does not have" },
        {"127.0.0.1",        "an IP address is no name"},
        {"127.0.0.1.",       "an IP address is no name"},
        {"::1",              "an IP address is no name"},
        {"[::1]",            "an IP address is no name"},
        {"",                 "that is no host name"    },
        {".",                "that is no host name"    },
        {".b.test",          "that is no host name"    },
        {"a..b.test",        "that is no host name"    },
        {"a b.test",         "that is no host name"    },
        {"a.test\n",         "that is no host name"    },
        {"w\xc3\xbc.b.test", "that is no host name"    },
        {"%41.b.test",       "that is no host name"    },
    };
    struct made m = cluster_of("dynamic_forward: {allow: [a.test, \"*.b.test\"], deny: no.b.test}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[NU_HOST_MAX + 1];
        const char *why = nu_dynamic_forward_refused(forward_of(&m), rows[i].host, name);
        if (!why != !rows[i].why || (why && !strstr(why, rows[i].why)))
            fail_msg("%s: %s", rows[i].host, why ? why : "passes");
        for (const char *c = name; !why && *c; c++)
            assert_false(*c >= 'A' && *c <= 'Z');
    }
    discard(&m);
}

static void the_longest_name_passes_and_one_more_does_not(void **state)
{
    char host[300], name[NU_HOST_MAX + 1];
    struct made m = cluster_of("dynamic_forward: {allow: \"*\"}");
    memset(host, 'a', sizeof host);
    for (size_t i = 50; i < 253; i += 51)
        host[i] = '.';
    host[253] = 0;
    assert_null(nu_dynamic_forward_refused(forward_of(&m), host, name));
    assert_int_equal(strlen(name), 253);
    host[253] = 'a';
    host[254] = 0;
    assert_string_equal(nu_dynamic_forward_refused(forward_of(&m), host, name),
                        "the name is too long");
    discard(&m);
}

static void addresses_of_the_family(void **state)
{
    static const char *const families[] = {"any", "v4", "v6"};
    static const bool want[3][2] = {
        {true,  true },
        {true,  false},
        {false, true }
    };
    for (int i = 0; i < 3; i++) {
        char keys[128];
        snprintf(keys, sizeof keys, "dynamic_forward: {allow: a.test, family: %s}", families[i]);
        struct made m = cluster_of(keys);
        assert_string_equal(nu_family_str((enum nu_family)i), families[i]);
        for (int k = 0; k < 2; k++)
            assert_int_equal(
                nu_dynamic_forward_family(forward_of(&m),
                                          &(struct nu_addr){.kind = k ? NU_ADDR_IP6 : NU_ADDR_IP4}),
                want[i][k]);
        discard(&m);
    }
}

static void nothing_inside_is_reached_by_default(void **state)
{
    struct nu_addr inside, outside;
    nu_addr_parse(&inside, "169.254.169.254:80", -1);
    nu_addr_parse(&outside, "8.8.8.8:443", -1);
    struct made m = cluster_of("dynamic_forward: a.test");
    assert_string_equal(nu_reach_denied(forward_of(&m)->reach, &inside), "metadata");
    assert_null(nu_reach_denied(forward_of(&m)->reach, &outside));
    discard(&m);
    m = cluster_of("original_dst: true"); /* a sidecar's servers are inside */
    assert_null(nu_reach_denied(nu_cluster_at(m.clusters, 0)->original_dst->reach, &inside));
    discard(&m);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *keys, *why;
    } rows[] = {
        {"dynamic_forward: {}",                                          "missing key \"allow\""     },
        {"dynamic_forward: {allow: []}",                                 "the list must not be empty"},
        {"dynamic_forward: {allow: 10.0.0.1}",                           "no host name"              },
        {"dynamic_forward: {allow: \"a.*.test\"}",                       "no host name"              },
        {"dynamic_forward: {allow: a.test, deny: a.test}",               "stands in \"allow\" and"   },
        {"dynamic_forward: {allow: a.test, port: 0}",                    "\"original\" or a port"    },
        {"dynamic_forward: {allow: a.test, port: https}",                "\"original\" or a port"    },
        {"dynamic_forward: {allow: a.test, max_hosts: 0}",               "expected 1 to"             },
        {"dynamic_forward: {allow: a, addresses: {deny: lan}}",          "expected a network like"   },
        {"original_dst: {source: header}",                               "socket or proxy_protocol"  },
        {"original_dst: {deny: pirvate}",                                "did you mean \"private\"?" },
        {"original_dst: false",                                          "missing key \"endpoints\"" },
        {"original_dst: true, endpoints: \"10.0.0.1:80\"",               "exclude each other"        },
        {"original_dst: true, dynamic_forward: a.test",                  "exclude each other"        },
        {"dns: \"a.test:1\", dynamic_forward: a.test",                   "exclude each other"        },
        {"endpoints: \"unix:/x\", bind_source: 10.0.0.1",                "/x is a UNIX socket"       },
        {"endpoints: [\"10.0.0.1:1\", \"unix:@x\"], transparent: true",  "@x is a UNIX socket"       },
        {"original_dst: true, transparent: true, bind_source: 10.0.0.1", "one of them"               },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512], *report;
        snprintf(text, sizeof text, "clusters: [{name: c, %s}]", rows[i].keys);
        struct made m = build_from(text, strlen(text), NULL, &report);
        if (!strstr(report, rows[i].why))
            fail_msg("%s says\n%snot %s", rows[i].keys, report, rows[i].why);
        free(report);
        nu_arena_free(m.arena);
    }
}

static void a_cluster_turns_into_one_of_another_kind(void **state)
{
    struct made one = commit_from("clusters: [{name: c, endpoints: \"10.0.0.1:80\"}]", NULL);
    struct made two = commit_from("clusters: [{name: c, original_dst: true}]", &one);
    retire(&one, &two);
    struct nu_cluster *c = nu_cluster_find(two.clusters, "c");
    assert_int_equal(stat_of(c, NU_CLUSTER_MEMBERSHIP_TOTAL), 0);
    assert_null(nu_cluster_pick(c, 0, NULL, 0));
    struct made three = commit_from("clusters: [{name: c, dynamic_forward: a.test}]", &two);
    retire(&two, &three);
    struct made four = commit_from("clusters: [{name: c, endpoints: \"10.0.0.1:80\"}]", &three);
    retire(&three, &four);
    assert_string_equal(picks(nu_cluster_find(four.clusters, "c"), 0, 1), "1:80");
    assert_int_equal(stat_of(nu_cluster_find(four.clusters, "c"), NU_CLUSTER_MEMBERSHIP_TOTAL), 1);
    retire(&four, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_pass_or_not, two_workers, no_workers),
        cmocka_unit_test_setup_teardown(the_longest_name_passes_and_one_more_does_not, two_workers,
                                        no_workers),
        cmocka_unit_test_setup_teardown(addresses_of_the_family, two_workers, no_workers),
        cmocka_unit_test_setup_teardown(nothing_inside_is_reached_by_default, two_workers,
                                        no_workers),
        cmocka_unit_test_setup_teardown(mistakes_are_named, two_workers, no_workers),
        cmocka_unit_test_setup_teardown(a_cluster_turns_into_one_of_another_kind, two_workers,
                                        no_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
