/* All figures in the order of their names, whatever sets they are in. */
#include "core/stats_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const struct nu_stat_def few_defs[] = {
    {"z", NU_COUNTER, NULL, ""},
    {"b", NU_COUNTER, NULL, ""},
};
static const struct nu_stat_def some_defs[] = {
    {"m",     NU_COUNTER,   NULL, ""},
    {"a-a",   NU_GAUGE,     NULL, ""},
    {"b.c",   NU_COUNTER,   NULL, ""},
    {"times", NU_HISTOGRAM, "ms", ""},
};
static const struct nu_stat_group few = NU_STAT_GROUP("x.<name>", "", few_defs);
static const struct nu_stat_group some = NU_STAT_GROUP("x.<name>.y", "", some_defs);

static const char *const prefixes[] = {"x", "x.b", "x.b.b", "x-b", "x.a", "x.m", "w", "x.times"};
#define PREFIXES (sizeof prefixes / sizeof *prefixes)

static void names_come_sorted_and_each_once(void **state)
{
    struct nu_stats *sets[2 * PREFIXES];
    struct nu_stats_row row;
    char *last = strdup("");
    unsigned rows = 0;
    for (size_t i = 0; i < PREFIXES; i++) {
        sets[2 * i] = nu_stats_get(&few, prefixes[i]);
        sets[2 * i + 1] = nu_stats_get(&some, prefixes[i]);
    }
    struct nu_stats_walk *walk = nu_stats_walk_new();
    for (size_t i = 0; i < 2 * PREFIXES; i++) /* it keeps them */
        nu_stats_put(sets[i]);
    for (; nu_stats_walk_next(walk, &row); rows++) {
        char *name = nu_stats_row_name(&row);
        assert_true(strcmp(last, name) <= 0); /* two groups may have the same name */
        free(last);
        last = name;
    }
    assert_int_equal(rows, PREFIXES * 6);
    assert_string_equal(last, "x.z");
    nu_stats_walk_free(walk);
    free(last);
}

static void knows_what_was_used(void **state)
{
    struct nu_stats *used = nu_stats_get(&some, "used"), *idle = nu_stats_get(&some, "idle");
    struct nu_stats_row row;
    char got[64] = "";
    nu_stat_add(used, 0, 2, 1);
    struct nu_stats_walk *walk = nu_stats_walk_new();
    while (nu_stats_walk_next(walk, &row))
        if (nu_stats_row_used(&row))
            strcat(strcat(got, nu_stats_row_def(&row)->name), " ");
    nu_stats_walk_free(walk);
    assert_string_equal(got, "a-a b.c "); /* a gauge may well be 0 */
    nu_stats_put(used);
    nu_stats_put(idle);
}

static void sums_up_a_histogram(void **state)
{
    struct nu_stats *set = nu_stats_get(&some, "h");
    struct nu_stat_summary sum;
    nu_stat_summarize(set, 3, &sum);
    assert_int_equal(sum.count, 0);
    for (unsigned i = 1; i <= 7; i++)
        nu_stat_record(set, i % 2, 3, i);
    nu_stat_summarize(set, 3, &sum);
    assert_int_equal(sum.count, 7);
    assert_int_equal(sum.sum, 28);
    assert_int_equal(sum.value[0], 1);
    assert_int_equal(sum.value[2], 4);
    assert_string_equal(nu_stat_marks[2].name, "P50");
    assert_int_equal(sum.value[NU_STAT_MARKS - 1], 7);
    nu_stats_put(set);
}

static void nothing_at_all(void **state)
{
    struct nu_stats_row row;
    struct nu_stats_walk *walk = nu_stats_walk_new();
    assert_false(nu_stats_walk_next(walk, &row));
    nu_stats_walk_free(walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_sorted_and_each_once),
        cmocka_unit_test(knows_what_was_used),
        cmocka_unit_test(sums_up_a_histogram),
        cmocka_unit_test(nothing_at_all),
    };
    nu_stats_init(2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
