/* ip_filter: which addresses come in, and what is said of the others. */
#include "tests/unit/l4/filters/filter_help.h"

#include "l4/filters/filters_priv.h"

static struct nu_loop loop;

static int setup(void **state)
{
    nu_stats_init(1);
    nu_loop_init(&loop, 0);
    return 0;
}

static int teardown(void **state)
{
    nu_loop_fini(&loop);
    return 0;
}

/* Details of the refusal of a client, "" if it was let in. */
static const char *refusal(const struct configured *c, const char *client)
{
    static char details[128];
    struct nu_facts facts = {0};
    struct rig r;
    if (*client)
        assert_int_equal(nu_addr_parse(&facts.client, client, 1234), NU_OK);
    rig_open(&r, &loop, c, &facts);
    bool open = r.chain != NULL;
    rig_close(&r, &loop);
    strcpy(details, open ? "" : r.details);
    if (!open) {
        assert_int_equal(r.result.cause, NU_CAUSE_FILTER);
        assert_int_equal(r.result.side, NU_SIDE_LOCAL);
    }
    return details;
}

static void the_longest_prefix_decides(void **state)
{
    static const struct {
        const char *conf, *client, *refusal;
    } rows[] = {
        {"deny: 10.0.0.0/8",                                                "10.0.0.1",    "ip_filter: 10.0.0.1 denied by 10.0.0.0/8"},
        {"deny: 10.0.0.0/8",                                                "11.0.0.1",    ""                                        },
        {"deny: 10.0.0.0/8",                                                "::1",         ""                                        },
        {"deny: 10.0.0.0/8",                                                "",            ""                                        },
        {"allow: 10.0.0.0/8",                                               "10.0.0.1",    ""                                        },
        {"allow: 10.0.0.0/8",                                               "11.0.0.1",    "ip_filter: 11.0.0.1 is on no allow list" },
        {"allow: 10.0.0.0/8",                                               "",            "ip_filter: - is on no allow list"        },
        {"{allow: 10.0.0.0/8, deny: 10.1.0.0/16}",                          "10.1.2.3",
         "ip_filter: 10.1.2.3 denied by 10.1.0.0/16"                                                                                 },
        {"{allow: 10.0.0.0/8, deny: 10.1.0.0/16}",                          "10.2.2.3",    ""                                        },
        {"{allow: 10.0.0.0/8, deny: 0.0.0.0/0}",                            "10.2.2.3",    ""                                        },
        {"{allow: 10.0.0.0/8, deny: 0.0.0.0/0}",                            "9.2.2.3",
         "ip_filter: 9.2.2.3 denied by 0.0.0.0/0"                                                                                    },
        {"{allow: 10.0.0.0/8, deny: 10.0.0.0/8}",                           "10.2.2.3",
         "ip_filter: 10.2.2.3 denied by 10.0.0.0/8"                                                                                  },
        {"{deny: [10.0.0.0/8, \"2001:db8::/32\"], allow: \"2001:db8::1\"}", "2001:db8::1", ""                                        },
        {"{deny: [10.0.0.0/8, \"2001:db8::/32\"], allow: \"2001:db8::1\"}", "2001:db8::2",
         "ip_filter: 2001:db8::2 denied by 2001:db8::/32"                                                                            },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct configured c = configured(&nu_filter_ip_filter, rows[i].conf);
        assert_string_equal(refusal(&c, rows[i].client), rows[i].refusal);
        configured_free(&c);
    }
}

static int64_t figure(const char *name, unsigned index)
{
    struct nu_stats *stats = nu_stats_get(&nu_ip_filter_stats, name);
    int64_t n = nu_stat_read(stats, index);
    nu_stats_put(stats);
    return n;
}

static void both_answers_are_counted(void **state)
{
    struct configured c = configured(&nu_filter_ip_filter, "{deny: 10.0.0.0/8, name: edge}");
    refusal(&c, "10.0.0.1");
    refusal(&c, "11.0.0.1");
    refusal(&c, "12.0.0.1");
    assert_int_equal(figure("ip_filter.edge", 0), 2);
    assert_int_equal(figure("ip_filter.edge", 1), 1);
    configured_free(&c);
}

static void bytes_pass_it_by(void **state)
{
    struct configured c = configured(&nu_filter_ip_filter, "deny: 10.0.0.0/8");
    struct rig r;
    rig_open(&r, &loop, &c, NULL);
    nu_endpoint_send(&r.client, 5000);
    nu_endpoint_finish(&r.client, NU_CAUSE_CLIENT_FIN);
    nu_endpoint_finish(&r.server, NU_CAUSE_UPSTREAM_FIN);
    nu_loop_advance(&loop, 0);
    assert_int_equal(r.server.got_hash, r.client.sent_hash);
    assert_null(r.chain);
    configured_free(&c);
}

static void mistakes_are_named(void **state)
{
    assert_refused(
        &nu_filter_ip_filter,
        "{deny_file: [/dev/null, /dev/null, /dev/null, /dev/null, /dev/null, /dev/null, "
        "/dev/null, /dev/null, /dev/null], allow_file: [/dev/null, /dev/null, /dev/null, "
        "/dev/null, /dev/null, /dev/null, /dev/null, /dev/null]}",
        "a filter has at most 16 list files, this one has 17");
    assert_refused(&nu_filter_ip_filter, "{}", "needs \"allow\" or \"deny\"");
    assert_refused(&nu_filter_ip_filter, "allow: []", "the list must not be empty");
    assert_refused(&nu_filter_ip_filter, "deny: 10.0.0.0/33", "a network like 10.0.0.0/8");
    assert_refused(&nu_filter_ip_filter, "denny: 10.0.0.0/8", "did you mean \"deny\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_decides),
        cmocka_unit_test(both_answers_are_counted),
        cmocka_unit_test(bytes_pass_it_by),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
