/* Clusters over generations: what is carried over, when objects go, how sets reach the views. */
#include "tests/unit/l4/cluster_help.h"

#include "l4/cluster_priv.h"
#include "tests/unit/cost.h"

#define WEB "clusters:\n  - {name: web, endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\"]}\n"

static void an_unchanged_cluster_is_the_same_object(void **state)
{
    struct made one = commit_from(WEB, NULL);
    struct nu_cluster *web = nu_cluster_find(one.clusters, "web");
    struct made two = commit_from("workers: 3\n"
                                  "clusters:\n"
                                  "  - {name: api, endpoints: \"10.0.0.9:80\"}\n"
                                  "  - name: web   # another layout, the same text\n"
                                  "    endpoints:\n"
                                  "      - \"10.0.0.1:80\"\n"
                                  "      - \"10.0.0.2:80\"\n",
                                  &one);
    struct made three = commit_from(WEB, &two);
    assert_ptr_equal(nu_cluster_find(two.clusters, "web"), web);
    assert_ptr_equal(nu_cluster_find(three.clusters, "web"), web);
    retire(&one, &two);
    retire(&two, &three);
    assert_null(nu_cluster_find(three.clusters, "api"));
    assert_string_equal(picks(web, 0, 2), "1:80 2:80");
    retire(&three, NULL);
}

static void a_changed_one_keeps_endpoints_and_figures(void **state)
{
    struct made one = commit_from(WEB, NULL);
    struct nu_cluster *web = nu_cluster_find(one.clusters, "web");
    struct nu_endpoint *e = nu_cluster_pick(web, 0, NULL, 0);
    assert_int_equal(e->addr.ip[3], 1);
    e->cx_connect_fail = 5;
    nu_stat_add(web->stats, 0, NU_CLUSTER_CX_TOTAL, 4);
    nu_endpoint_unref(e);

    struct made two = commit_from("clusters:\n  - {name: web, endpoints: [\"10.0.0.3:80\", "
                                  "\"10.0.0.1:80\"], connect_timeout: 1s}\n",
                                  &one);
    struct nu_cluster *next = nu_cluster_find(two.clusters, "web");
    assert_ptr_not_equal(next, web);
    retire(&one, &two);
    assert_int_equal(next->connect_timeout_ms, 1000);
    assert_string_equal(picks(next, 0, 3), "3:80 1:80 3:80");
    e = nu_cluster_pick(next, 0, NULL, 0);
    assert_int_equal(e->cx_connect_fail, 5);
    nu_endpoint_unref(e);
    assert_int_equal(stat_of(next, NU_CLUSTER_CX_TOTAL), 4);
    assert_int_equal(stat_of(next, NU_CLUSTER_MEMBERSHIP_TOTAL), 2);
    assert_int_equal(stat_of(next, NU_CLUSTER_MEMBERSHIP_HEALTHY), 2);
    assert_int_equal(stat_of(next, NU_CLUSTER_MEMBERSHIP_CHANGE), 2);
    retire(&two, NULL);
}

static void a_pinned_one_outlives_its_generation(void **state)
{
    struct made one = commit_from(WEB, NULL), two = commit_from("{}", &one);
    struct nu_cluster *web = nu_cluster_find(one.clusters, "web");
    nu_pin(&web->counted, 1);
    retire(&one, &two);
    assert_string_equal(web->name, "web");
    assert_string_equal(picks(web, 1, 1) + 1, ":80");
    nu_unpin(&web->counted, 1);
    turn(); /* the leak checker sees whether it went */
    retire(&two, NULL);
}

static void a_build_can_be_thrown_away(void **state)
{
    static const char next[] = "clusters:\n"
                               "  - {name: web, endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\"]}\n"
                               "  - {name: api, endpoints: [\"10.0.0.1:80\", \"a.test:80\"]}\n";
    struct made one = commit_from(WEB, NULL);
    struct made two = build_from(next, sizeof next - 1, one.clusters, NULL);
    nu_clusters_discard(two.clusters, one.clusters);
    nu_arena_free(two.arena);
    assert_string_equal(picks(nu_cluster_find(one.clusters, "web"), 0, 2), "1:80 2:80");
    retire(&one, NULL);
}

/* A mistake in one cluster leaves those of the old generation as they are. */
static void a_failed_build_changes_nothing(void **state)
{
    static const char next[] = "clusters:\n"
                               "  - {name: web, endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\"]}\n"
                               "  - {name: api, endpoints: [\"10.0.0.1:80\"]}\n"
                               "  - {name: bad}\n";
    struct made one = commit_from(WEB, NULL);
    char *report;
    struct made two = build_from(next, sizeof next - 1, one.clusters, &report);
    free(report);
    nu_arena_free(two.arena);
    assert_string_equal(picks(nu_cluster_find(one.clusters, "web"), 0, 2), "1:80 2:80");
    retire(&one, NULL);
}

static void workers_start_at_different_places(void **state)
{
    struct made m = commit_from("clusters:\n  - {name: web, endpoints: [\"10.0.0.1:80\", "
                                "\"10.0.0.2:80\", \"10.0.0.3:80\"]}\n",
                                NULL);
    struct nu_cluster *web = nu_cluster_find(m.clusters, "web");
    assert_string_equal(picks(web, 0, 4), "1:80 2:80 3:80 1:80");
    assert_string_equal(picks(web, 1, 3), "2:80 3:80 1:80");
    assert_string_equal(picks(web, 2, 3), "3:80 1:80 2:80");
    retire(&m, NULL);
}

static void tried_ones_are_not_picked_again(void **state)
{
    struct made m = commit_from(WEB, NULL);
    struct nu_cluster *web = nu_cluster_find(m.clusters, "web");
    struct nu_endpoint *tried[2];
    tried[0] = nu_cluster_pick(web, 0, NULL, 0);
    tried[1] = nu_cluster_pick(web, 0, tried, 1);
    assert_ptr_not_equal(tried[0], tried[1]);
    assert_int_equal(tried[0]->refs, 2);
    assert_null(nu_cluster_pick(web, 0, tried, 2));
    nu_endpoint_unref(tried[0]);
    nu_endpoint_unref(tried[1]);
    retire(&m, NULL);
}

static double now_ms(void)
{
    return cost_seconds() * 1e3;
}

/* One generation of a text, its time by steps. */
static struct made timed(const char *what, const char *text, struct made *old)
{
    struct made m = {.arena = nu_arena_new(1024)};
    struct nu_clusters *before = old ? old->clusters : NULL;
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/etc", text, strlen(text));
    const struct nu_node *list = nu_node_get(nu_conf_root(conf), "clusters");
    double start = now_ms();
    assert_int_equal(nu_clusters_build(conf, m.arena, list, before, &m.clusters), NU_OK);
    double built = now_ms();
    nu_clusters_commit(m.clusters, before);
    double done = now_ms();
    if (old)
        retire(old, &m);
    printf("%s: build %.1f ms, commit %.1f ms, retire %.1f ms\n", what, built - start, done - built,
           now_ms() - done);
    assert_true(now_ms() - start < cost_bound(3000)); /* only what is quadratic misses that */
    nu_conf_free(conf);
    return m;
}

/* A new generation, the same again, and one with `more` behind it. */
static void assert_quick(const char *text, const char *more)
{
    char *next;
    assert_true(asprintf(&next, "%s%s", text, more) > 0);
    struct made one = timed("new", text, NULL);
    struct made two = timed("unchanged", text, &one);
    struct made three = timed("changed", next, &two);
    retire(&three, NULL);
    free(next);
}

static void ten_thousand_endpoints_are_quick(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fputs("clusters:\n  - name: many\n    endpoints:\n", out);
    for (int i = 0; i < 10000; i++)
        fprintf(out, "      - {address: \"10.0.%d.%d:80\", weight: %d}\n", i / 250, i % 250 + 1,
                i % 100 + 1);
    fclose(out);
    assert_quick(text, "    connect_timeout: 1s\n");
    free(text);
}

static void ten_thousand_clusters_are_quick(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fputs("clusters:\n", out);
    for (int i = 0; i < 10000; i++)
        fprintf(out, "  - {name: cluster%d, endpoints: [\"10.0.%d.%d:80\", \"10.1.0.1:%d\"]}\n", i,
                i / 250, i % 250 + 1, i + 1);
    fclose(out);
    assert_quick(text, "  - {name: one, endpoints: \"10.0.0.1:1\"}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unchanged_cluster_is_the_same_object),
        cmocka_unit_test(a_changed_one_keeps_endpoints_and_figures),
        cmocka_unit_test(a_pinned_one_outlives_its_generation),
        cmocka_unit_test(a_build_can_be_thrown_away),
        cmocka_unit_test(a_failed_build_changes_nothing),
        cmocka_unit_test(workers_start_at_different_places),
        cmocka_unit_test(tried_ones_are_not_picked_again),
        cmocka_unit_test(ten_thousand_endpoints_are_quick),
        cmocka_unit_test(ten_thousand_clusters_are_quick),
    };
    return cmocka_run_group_tests(tests, two_workers, no_workers);
}
