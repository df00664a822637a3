/* source_limit: who is refused and what is said of it, what counts together, what a reload keeps,
 * and where a filter's place in the config is. */
#include "tests/unit/l4/filters/filter_help.h"

#include "l4/filters/filters_priv.h"

static struct nu_loop loops[2];

static int setup(void **state)
{
    nu_stats_init(2);
    nu_loop_init(&loops[0], 0);
    nu_loop_init(&loops[1], 1);
    return 0;
}

static int teardown(void **state)
{
    nu_loop_fini(&loops[0]);
    nu_loop_fini(&loops[1]);
    return 0;
}

static struct configured conf_of(const char *yaml)
{
    return configured(&nu_filter_source_limit, yaml);
}

static void open_from(struct rig *r, unsigned shard, const struct configured *c, const char *client)
{
    struct nu_facts facts = {0};
    if (*client)
        assert_int_equal(nu_addr_parse(&facts.client, client, 1234), NU_OK);
    rig_open(r, &loops[shard], c, &facts);
}

/* Whether it comes in; it goes again. */
static bool comes_in(const struct configured *c, const char *client)
{
    struct rig r;
    open_from(&r, 0, c, client);
    bool in = r.chain != NULL;
    rig_close(&r, &loops[0]);
    return in;
}

static void assert_refusal(const struct configured *c, const char *client, enum nu_cause cause,
                           const char *details)
{
    struct rig r;
    open_from(&r, 0, c, client);
    assert_null(r.chain);
    assert_int_equal(r.result.cause, cause);
    assert_int_equal(r.result.side, NU_SIDE_LOCAL);
    assert_string_equal(r.details, details);
    assert_int_equal(r.server.got, 0);
}

enum figure { ACTIVE, SOURCES, LIMITED, RATE_LIMITED, TABLE_FULL };

static int64_t figure(const char *name, enum figure index)
{
    struct nu_stats *stats = nu_stats_get(&nu_source_limit_stats, name);
    int64_t n = nu_stat_read(stats, index);
    nu_stats_put(stats);
    return n;
}

static void connections_count_over_workers(void **state)
{
    struct configured c = conf_of("{connections: 2, name: over}");
    struct rig a, b, other;
    open_from(&a, 0, &c, "192.0.2.1");
    open_from(&b, 1, &c, "192.0.2.1");
    open_from(&other, 1, &c, "192.0.2.2");
    assert_true(a.chain && b.chain && other.chain);
    assert_refusal(&c, "192.0.2.1", NU_CAUSE_LIMIT, "source_limit: 192.0.2.1/32 has 2 connections");
    assert_int_equal(figure("source_limit.over", ACTIVE), 3);
    assert_int_equal(figure("source_limit.over", SOURCES), 2);
    assert_int_equal(figure("source_limit.over", LIMITED), 1);
    rig_close(&b, &loops[1]);
    assert_true(comes_in(&c, "192.0.2.1"));
    rig_close(&a, &loops[0]);
    rig_close(&other, &loops[1]);
    assert_int_equal(figure("source_limit.over", ACTIVE), 0);
    assert_int_equal(figure("source_limit.over", SOURCES), 0);
    configured_free(&c);
}

static void a_rate_refills_with_time(void **state)
{
    struct configured c = conf_of("{rate: 10, per: 1s, burst: 3, ipv4_prefix: 24, name: fast}");
    for (int i = 0; i < 3; i++)
        assert_true(comes_in(&c, "192.0.2.1"));
    assert_refusal(&c, "192.0.2.77", NU_CAUSE_RATE,
                   "source_limit: 192.0.2.77/24 opens more than 10 in 1s");
    assert_true(comes_in(&c, "192.0.3.1"));
    nu_loop_advance(&loops[0], 99);
    assert_false(comes_in(&c, "192.0.2.1"));
    nu_loop_advance(&loops[0], 1);
    assert_true(comes_in(&c, "192.0.2.1"));
    assert_int_equal(figure("source_limit.fast", RATE_LIMITED), 2);
    configured_free(&c);
}

static void the_burst_is_the_rate_unless_it_is_said(void **state)
{
    struct configured c = conf_of("{rate: 4, per: 1h}");
    for (int i = 0; i < 4; i++)
        assert_true(comes_in(&c, "2001:db8::1"));
    assert_refusal(&c, "2001:db8::ffff:1", NU_CAUSE_RATE,
                   "source_limit: 2001:db8::ffff:1/64 opens more than 4 in 1h");
    assert_true(comes_in(&c, "2001:db8:0:1::1"));
    configured_free(&c);
}

/* A hundred sources for 64 places, all of them in debt. */
static void a_full_table_does_as_it_is_told(void **state)
{
    static const char *const confs[] = {
        "{rate: 1, per: 1h, sources: 64, name: open}",
        "{rate: 1, per: 1h, sources: 64, when_full: refuse, name: closed}"};
    for (int closed = 0; closed <= 1; closed++) {
        struct configured c = conf_of(confs[closed]);
        int in = 0;
        for (int i = 0; i < 100; i++) {
            char ip[32];
            snprintf(ip, sizeof ip, "10.0.0.%d", i);
            in += comes_in(&c, ip);
        }
        assert_int_equal(in, closed ? 64 : 100);
        assert_int_equal(figure(closed ? "source_limit.closed" : "source_limit.open", TABLE_FULL),
                         36);
        assert_false(comes_in(&c, "10.0.0.1")); /* known before */
        if (closed)
            assert_refusal(&c, "10.1.1.1", NU_CAUSE_LIMIT,
                           "source_limit: no place for 10.1.1.1/32 among 64 sources");
        configured_free(&c);
    }
}

static void without_an_ip_address_all_pass(void **state)
{
    struct configured c = conf_of("{connections: 1}");
    struct rig a, b;
    open_from(&a, 0, &c, "unix:/run/a");
    open_from(&b, 0, &c, "unix:/run/a");
    assert_true(a.chain && b.chain && comes_in(&c, ""));
    rig_close(&a, &loops[0]);
    rig_close(&b, &loops[0]);
    configured_free(&c);
}

static void names_count_together_and_a_reload_goes_on(void **state)
{
    struct configured old = conf_of("{connections: 1, name: x}"), other = conf_of("1"), new;
    struct rig r;
    open_from(&r, 0, &old, "192.0.2.1");
    assert_true(comes_in(&other, "192.0.2.1"));
    new = conf_of("{connections: 2, name: x}");
    configured_free(&other);
    assert_true(comes_in(&new, "192.0.2.1"));
    assert_false(comes_in(&old, "192.0.2.1"));
    rig_close(&r, &loops[0]);
    configured_free(&old);
    struct configured last = conf_of("{rate: 1, per: 1h, name: x}");
    assert_true(comes_in(&last, "192.0.2.1"));
    configured_free(&new);
    new = conf_of("{rate: 1, per: 1h, name: x}");
    configured_free(&last);
    assert_false(comes_in(&new, "192.0.2.1"));
    configured_free(&new);
}

/* The key of the filter with `connections: 7` in a config; "" for none. */
static const char *place_of(struct nu_arena *arena, const struct nu_node *node)
{
    for (uint32_t i = 0; i < node->count; i++) {
        const struct nu_node *child = node->child[i];
        const struct nu_node *seven =
            child->kind == NU_NODE_MAP ? nu_node_get(child, "connections") : NULL;
        const char *place = seven ? nu_filter_place(arena, child) : place_of(arena, child);
        if (place && *place)
            return place;
    }
    return "";
}

static bool same_place(const char *one, const char *two)
{
    const char *place[2], *const yaml[] = {one, two};
    struct nu_arena *arena = nu_arena_new(1024);
    for (int i = 0; i < 2; i++) {
        struct nu_conf *conf = nu_conf_from_text("t.yaml", "/", yaml[i], strlen(yaml[i]));
        assert_string_equal(nu_conf_report(conf), "");
        place[i] = place_of(arena, nu_conf_root(conf));
        assert_true(*place[i]);
        nu_conf_free(conf);
    }
    bool same = strcmp(place[0], place[1]) == 0;
    nu_arena_free(arena);
    return same;
}

#define LIMIT "{source_limit: {connections: 7}}"

static void a_place_is_known_by_its_names(void **state)
{
    static const struct {
        const char *one, *two;
        bool same;
    } rows[] = {
        {"listeners: [{name: a, filters: [" LIMIT ", echo]}]",
         "listeners: [{name: b, filters: [echo]}, {name: a, filters: [throttle, " LIMIT "]}]",
         true                                                                                         },
        {"listeners: [{name: a, filters: [" LIMIT "]}]",
         "listeners: [{name: b, filters: [" LIMIT "]}]",                                         false},
        {"listeners: [{bind: 1.2.3.4:5, filters: [" LIMIT "]}]",
         "listeners: {bind: 1.2.3.4:5, filters: " LIMIT "}",                                     true },
        {"listeners: [{bind: 1.2.3.4:5, filters: [" LIMIT "]}]",
         "listeners: [{bind: 1.2.3.4:6, filters: [" LIMIT "]}]",                                 false},
        {"listeners: [{name: a, chains: [{match: {sni: x}, filters: [" LIMIT "]}]}]",
         "listeners: [{name: a, chains: [{name: y}, {match: {sni: x}, filters: [" LIMIT "]}]}]",
         true                                                                                         },
        {"listeners: [{name: a, chains: [{match: {sni: x}, filters: [" LIMIT "]}]}]",
         "listeners: [{name: a, chains: [{match: {sni: y}, filters: [" LIMIT "]}]}]",            false},
        {"listeners: [{name: a, filters: [{source_limit: 9}, " LIMIT "]}]",
         "listeners: [{name: a, filters: [" LIMIT ", {source_limit: 9}]}]",                      false},
        {"listeners: [{name: a, filters: [{connection_limit: 9}, " LIMIT "]}]",
         "listeners: [{name: a, filters: [" LIMIT "]}]",                                         true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (same_place(rows[i].one, rows[i].two) != rows[i].same)
            fail_msg("%s\n%s", rows[i].one, rows[i].two);
}

static void mistakes_are_named(void **state)
{
    assert_refused(&nu_filter_source_limit, "{}", "needs \"connections\" or \"rate\"");
    assert_refused(&nu_filter_source_limit, "{connections: 1, burst: 2}",
                   "is of a \"rate\", and there is none");
    assert_refused(&nu_filter_source_limit, "{rate: 1, per: 50ms}", "out of range");
    assert_refused(&nu_filter_source_limit, "{rate: 1, ipv4_prefix: 33}", "out of range");
    assert_refused(&nu_filter_source_limit, "{rate: 1, sources: 2000000}", "out of range");
    assert_refused(&nu_filter_source_limit, "{rate: 1, when_full: open}", "allow or refuse");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_count_over_workers),
        cmocka_unit_test(a_rate_refills_with_time),
        cmocka_unit_test(the_burst_is_the_rate_unless_it_is_said),
        cmocka_unit_test(a_full_table_does_as_it_is_told),
        cmocka_unit_test(without_an_ip_address_all_pass),
        cmocka_unit_test(names_count_together_and_a_reload_goes_on),
        cmocka_unit_test(a_place_is_known_by_its_names),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
