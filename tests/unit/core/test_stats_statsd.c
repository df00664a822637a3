/* Lines of statsd: what each round says of figures, and what it does not say again. */
#include "core/stats_statsd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { TOTAL, CLASS, NOW, TIME };
static const struct nu_stat_def defs[] = {
    {"rq_total", NU_COUNTER,   NULL, "All"  },
    {"rq_2xx",   NU_COUNTER,   NULL, "Class"},
    {"rq_now",   NU_GAUGE,     NULL, "Now"  },
    {"rq_time",  NU_HISTOGRAM, "ms", "Time" },
};
static const struct nu_stat_group group = NU_STAT_GROUP("cluster.<name>", "Clusters.", defs);

static char said[8192];

static void put(const char *line, size_t len, void *ctx)
{
    size_t at = strlen(said);
    assert_true(at + len + 2 < sizeof said);
    snprintf(said + at, sizeof said - at, "%.*s\n", (int)len, line);
}

static const char *round_of(struct nu_statsd_lines *lines)
{
    said[0] = 0;
    while (nu_statsd_lines_more(lines, put, NULL))
        ;
    return said;
}

static void tells_what_changed(void **state)
{
    struct nu_statsd_lines *lines = nu_statsd_lines_new("p", false, false);
    struct nu_stats *a = nu_stats_get(&group, "cluster.a:1|c");
    assert_string_equal(round_of(lines), "");
    nu_stat_add(a, 0, TOTAL, 3);
    nu_stat_add(a, 1, TOTAL, 2);
    nu_stat_add(a, 0, CLASS, 1);
    nu_stat_add(a, 0, NOW, 4);
    assert_string_equal(round_of(lines), "p.cluster.a_1_c.rq_total:5|c\n"
                                         "p.cluster.a_1_c.rq_2xx:1|c\n"
                                         "p.cluster.a_1_c.rq_now:4|g\n");
    nu_stat_add(a, 0, TOTAL, 1);
    nu_stat_add(a, 0, NOW, -4);
    assert_string_equal(round_of(lines), "p.cluster.a_1_c.rq_total:1|c\n"
                                         "p.cluster.a_1_c.rq_now:0|g\n");
    nu_stat_add(a, 0, NOW, -2);
    assert_string_equal(round_of(lines), "p.cluster.a_1_c.rq_now:0|g\n"
                                         "p.cluster.a_1_c.rq_now:-2|g\n");
    nu_statsd_lines_free(lines);
    nu_stats_put(a);
}

/* A few values are told one by one, many by a sample rate. */
static void tells_values(void **state)
{
    struct nu_statsd_lines *lines = nu_statsd_lines_new("", false, false);
    struct nu_stats *a = nu_stats_get(&group, "cluster.a");
    nu_stat_record(a, 0, TIME, 3);
    nu_stat_record(a, 1, TIME, 3);
    assert_string_equal(round_of(lines), "cluster.a.rq_time:3|ms\ncluster.a.rq_time:3|ms\n");
    for (int i = 0; i < 40; i++)
        nu_stat_record(a, 0, TIME, 3);
    nu_stat_record(a, 0, TIME, 7);
    assert_string_equal(round_of(lines), "cluster.a.rq_time:3|ms|@0.025\ncluster.a.rq_time:7|ms\n");
    assert_string_equal(round_of(lines), "");
    nu_statsd_lines_free(lines);
    nu_stats_put(a);
}

static void names_become_tags(void **state)
{
    struct nu_statsd_lines *lines = nu_statsd_lines_new("p", true, false);
    struct nu_stats *a = nu_stats_get(&group, "cluster.10.0.0.1:80,x|y");
    nu_stat_add(a, 0, TOTAL, 1);
    nu_stat_add(a, 0, CLASS, 1);
    assert_string_equal(round_of(lines),
                        "p.cluster.rq_total:1|c|#cluster:10.0.0.1:80_x_y\n"
                        "p.cluster.rq_xx:1|c|#cluster:10.0.0.1:80_x_y,response_code_class:2\n");
    nu_statsd_lines_free(lines);
    nu_stats_put(a);
}

/* Sets that come, go, and come back; more of them than a piece of a round has. */
static void sets_come_and_go(void **state)
{
    enum { SETS = 250 };
    struct nu_stats *sets[SETS];
    struct nu_stats *old = nu_stats_get(&group, "cluster.old");
    nu_stat_add(old, 0, TOTAL, 7);
    struct nu_statsd_lines *lines = nu_statsd_lines_new("", false, true);
    assert_string_equal(round_of(lines), "");
    for (int i = 0; i < SETS; i++) {
        char name[32];
        snprintf(name, sizeof name, "cluster.n%d", i);
        sets[i] = nu_stats_get(&group, name);
        nu_stat_add(sets[i], 0, TOTAL, 5);
    }
    round_of(lines);
    assert_non_null(strstr(said, "cluster.n0.rq_total:5|c\n"));
    assert_non_null(strstr(said, "cluster.n249.rq_total:5|c\n"));
    assert_null(strstr(said, "old"));
    for (int i = 0; i < SETS; i++)
        nu_stats_put(sets[i]);
    assert_string_equal(round_of(lines), "");
    sets[0] = nu_stats_get(&group, "cluster.n0");
    nu_stat_add(sets[0], 0, TOTAL, 2);
    assert_string_equal(round_of(lines), "cluster.n0.rq_total:2|c\n");
    nu_statsd_lines_free(lines);
    nu_stats_put(sets[0]);
    nu_stats_put(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_changed),
        cmocka_unit_test(tells_values),
        cmocka_unit_test(names_become_tags),
        cmocka_unit_test(sets_come_and_go),
    };
    nu_stats_init(2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
