/* Schedules and round robin: shares, evenness, priorities, what was tried. */
#include "tests/unit/l4/cluster_help.h"

#include "l4/balance/round_robin.h"
#include "l4/balance/schedule.h"
#include "l4/cluster_priv.h"
#include "tests/unit/seeded.h"

/* The schedule as letters: "abac". */
static const char *order(const uint32_t *weights, uint32_t count)
{
    static char text[256];
    uint32_t *turns, len = nu_schedule_make(weights, count, &turns);
    assert_in_range(len, count, sizeof text - 1);
    for (uint32_t i = 0; i < len; i++)
        text[i] = (char)('a' + turns[i]);
    text[len] = 0;
    free(turns);
    return text;
}

static void turns_are_even_and_in_order(void **state)
{
    static const struct {
        uint32_t weights[5], count;
        const char *order;
    } rows[] = {
        {{7},          1, "a"         },
        {{1, 1, 1},    3, "abc"       },
        {{9, 9, 9, 9}, 4, "abcd"      },
        {{2, 1},       2, "aba"       },
        {{10, 5},      2, "aba"       },
        {{1, 2},       2, "bab"       },
        {{5, 1, 1},    3, "abaaaca"   },
        {{3, 3, 1},    3, "abacbab"   },
        {{4, 3, 2, 1}, 4, "abcabdacba"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(order(rows[i].weights, rows[i].count), rows[i].order);
}

static void nothing_has_no_turns(void **state)
{
    uint32_t *turns = (void *)1;
    assert_int_equal(nu_schedule_make(NULL, 0, &turns), 0);
    assert_null(turns);
}

/* Every stretch of the schedule, round the corner too, gives each item its share within one turn of
 * those it shares its weight with. */
static void any_stretch_is_fair(void **state)
{
    struct seeded r = seeded_start("any_stretch_is_fair");
    for (int round = 0; round < 200; round++) {
        uint32_t weights[6], *turns, count = 1 + seeded_below(&r, 6), sum = 0;
        for (uint32_t i = 0; i < count; i++)
            sum += weights[i] = 1 + seeded_below(&r, 12);
        uint32_t len = nu_schedule_make(weights, count, &turns);
        uint32_t from = seeded_below(&r, len), n = 1 + seeded_below(&r, 2 * len);
        uint32_t got[6] = {0};
        for (uint32_t i = 0; i < n; i++)
            got[turns[(from + i) % len]]++;
        for (uint32_t i = 0; i < count; i++) {
            double due = (double)n * weights[i] / sum;
            assert_true(got[i] > due - 3 && got[i] < due + 3);
        }
        assert_int_equal(sum % len, 0);
        free(turns);
    }
}

static void many_heavy_ones_are_scaled_down(void **state)
{
    enum { N = 1000 };
    uint32_t weights[N], *turns, got[N] = {0};
    for (uint32_t i = 0; i < N; i++)
        weights[i] = i == 0 ? 1 : i % 2 ? NU_WEIGHT_MAX : NU_WEIGHT_MAX / 2;
    uint32_t len = nu_schedule_make(weights, N, &turns);
    assert_in_range(len, N, NU_SCHEDULE_TURNS + NU_SCHEDULE_PER_ITEM * N + N);
    for (uint32_t i = 0; i < len; i++)
        got[turns[i]]++;
    assert_int_equal(got[0], 1);
    assert_int_equal(got[1], got[999]);
    assert_in_range(got[1], 2 * got[2] - 1, 2 * got[2] + 1);
    free(turns);
}

/* A set of endpoints 10.0.0.1, .2, ... from "priority:weight" pairs. */
static struct nu_endpoint_set *set_of(const uint32_t (*pairs)[2], uint32_t count)
{
    struct cl_member *members = calloc(count + 1, sizeof *members);
    for (uint32_t i = 0; i < count; i++) {
        struct nu_addr addr = {
            .kind = NU_ADDR_IP4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}
        };
        struct nu_endpoint *e = nu_endpoint_get("test", &addr, "");
        members[i] = (struct cl_member){
            .endpoint = e, .weight = pairs[i][1], .priority = pairs[i][0], .order = i};
    }
    struct nu_endpoint_set *set = cl_set_new(members, count, 0.5);
    free(members);
    return set;
}

/* Tries all that can be had; their last bytes as letters. */
static const char *tries(const struct nu_endpoint_set *set, uint32_t *next)
{
    static char text[64];
    struct nu_endpoint *tried[32], *e;
    unsigned n = 0;
    while ((e = nu_round_robin(set, next, tried, n))) {
        text[n] = (char)('a' + e->addr.ip[3]);
        tried[n++] = e;
    }
    text[n] = 0;
    return text;
}

static void tries_go_on_in_the_order_and_then_to_the_next_priority(void **state)
{
    static const uint32_t pairs[][2] = {
        {1, 1},
        {0, 1},
        {0, 1},
        {7, 5},
        {1, 1},
        {0, 1}
    };
    struct nu_endpoint_set *set = set_of(pairs, 6);
    uint32_t next = 0;
    assert_int_equal(set->group_count, 3);
    assert_string_equal(tries(set, &next), "bcfead");
    assert_int_equal(next, 6);
    next = 1; /* the second group has its turns too */
    assert_string_equal(tries(set, &next), "cfbaed");
    cl_set_unref(set);
}

static void only_the_best_priority_gets_first_tries(void **state)
{
    static const uint32_t pairs[][2] = {
        {3, 9},
        {2, 1},
        {2, 3}
    };
    struct nu_endpoint_set *set = set_of(pairs, 3);
    uint32_t next = 0, got[3] = {0};
    for (int i = 0; i < 400; i++)
        got[nu_round_robin(set, &next, NULL, 0)->addr.ip[3]]++;
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], 100);
    assert_int_equal(got[2], 300);
    cl_set_unref(set);
}

/* The share of one that is down goes to all others, not to its neighbour. */
static void failures_spread(void **state)
{
    static const uint32_t pairs[][2] = {
        {0, 1},
        {0, 1},
        {0, 1}
    };
    struct nu_endpoint_set *set = set_of(pairs, 3);
    uint32_t next = 0, got[3] = {0};
    for (int i = 0; i < 300; i++) {
        struct nu_endpoint *e = nu_round_robin(set, &next, NULL, 0);
        if (e->addr.ip[3] == 0)
            e = nu_round_robin(set, &next, &e, 1);
        got[e->addr.ip[3]]++;
    }
    assert_int_equal(got[0], 0);
    assert_int_equal(got[1], 150);
    assert_int_equal(got[2], 150);
    cl_set_unref(set);
}

/* Behind thousands of turns of a heavy one the light one is still found. */
static void a_light_one_is_found_behind_a_heavy_one(void **state)
{
    static const uint32_t pairs[][2] = {
        {0, NU_WEIGHT_MAX},
        {0, 1            }
    };
    struct nu_endpoint_set *set = set_of(pairs, 2);
    struct nu_endpoint *heavy = set->item[0];
    uint32_t next = 0;
    assert_in_range(set->schedule_len, 8000, 9000);
    for (int i = 0; i < 100; i++)
        assert_ptr_equal(nu_round_robin(set, &next, &heavy, 1), set->item[1]);
    cl_set_unref(set);
}

static void every_one_is_tried_once_whatever_the_weights(void **state)
{
    struct seeded r = seeded_start("every_one_is_tried_once");
    for (int round = 0; round < 100; round++) {
        uint32_t pairs[20][2], count = 1 + seeded_below(&r, 20), next = (uint32_t)seeded_next(&r);
        for (uint32_t i = 0; i < count; i++) {
            pairs[i][0] = seeded_below(&r, 3);
            pairs[i][1] = 1 + seeded_below(&r, round % 2 ? 3 : NU_WEIGHT_MAX);
        }
        struct nu_endpoint_set *set = set_of(pairs, count);
        const char *all = tries(set, &next);
        assert_int_equal(strlen(all), count);
        for (uint32_t i = 1; i < count; i++)
            assert_true(pairs[all[i] - 'a'][0] >= pairs[all[i - 1] - 'a'][0]);
        cl_set_unref(set);
    }
}

static void an_empty_set_has_nobody(void **state)
{
    struct nu_endpoint_set *set = cl_set_empty();
    uint32_t next = 5;
    assert_null(nu_round_robin(set, &next, NULL, 0));
    cl_set_unref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_even_and_in_order),
        cmocka_unit_test(nothing_has_no_turns),
        cmocka_unit_test(any_stretch_is_fair),
        cmocka_unit_test(many_heavy_ones_are_scaled_down),
        cmocka_unit_test(tries_go_on_in_the_order_and_then_to_the_next_priority),
        cmocka_unit_test(only_the_best_priority_gets_first_tries),
        cmocka_unit_test(failures_spread),
        cmocka_unit_test(a_light_one_is_found_behind_a_heavy_one),
        cmocka_unit_test(every_one_is_tried_once_whatever_the_weights),
        cmocka_unit_test(an_empty_set_has_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
