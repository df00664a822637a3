/* connection_limit: who gets a place, over workers, names and reloads. */
#include "tests/unit/l4/filters/filter_help.h"

#include "l4/filters/filters_priv.h"

#include <pthread.h>

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
    return configured(&nu_filter_connection_limit, yaml);
}

static int64_t figure(const char *name, unsigned index)
{
    struct nu_stats *stats = nu_stats_get(&nu_connection_limit_stats, name);
    int64_t n = nu_stat_read(stats, index);
    nu_stats_put(stats);
    return n;
}

static void one_too_many_is_refused_whatever_the_worker(void **state)
{
    struct configured c = conf_of("2");
    struct rig a, b, third;
    rig_open(&a, &loops[0], &c, NULL);
    rig_open(&b, &loops[1], &c, NULL);
    assert_true(a.chain && b.chain);
    rig_open(&third, &loops[0], &c, NULL);
    assert_null(third.chain);
    assert_int_equal(third.result.cause, NU_CAUSE_LIMIT);
    assert_string_equal(third.details, "connection_limit: 2 connections at once");
    assert_int_equal(figure("connection_limit.default", 0), 2);
    assert_int_equal(figure("connection_limit.default", 1), 1);
    rig_close(&b, &loops[1]);
    rig_open(&third, &loops[1], &c, NULL); /* the refused one holds no place */
    assert_non_null(third.chain);
    rig_close(&third, &loops[1]);
    rig_close(&a, &loops[0]);
    assert_int_equal(figure("connection_limit.default", 0), 0);
    configured_free(&c);
}

/* Whether a config lets one more in; it is closed again. */
static bool has_room(const struct configured *c)
{
    struct rig r;
    rig_open(&r, &loops[0], c, NULL);
    bool room = r.chain != NULL;
    rig_close(&r, &loops[0]);
    return room;
}

static void names_share_a_count_and_others_do_not(void **state)
{
    struct configured a = conf_of("{max: 1, name: x}"), b = conf_of("{max: 1, name: x}");
    struct configured other = conf_of("{max: 1, name: y}"), mine = conf_of("1"),
                      yours = conf_of("1");
    struct rig r, s;
    rig_open(&r, &loops[0], &a, NULL);
    rig_open(&s, &loops[0], &mine, NULL);
    assert_false(has_room(&b));
    assert_true(has_room(&other));
    assert_false(has_room(&mine));
    assert_true(has_room(&yours));
    struct configured after = conf_of("{max: 2, name: x}"); /* a reload raises it */
    assert_true(has_room(&after));
    rig_close(&r, &loops[0]);
    rig_close(&s, &loops[0]);
    assert_true(has_room(&b));
    struct configured *const all[] = {&a, &b, &other, &mine, &yours, &after};
    for (int i = 0; i < 6; i++)
        configured_free(all[i]);
}

/* Never more at once than the limit, from two threads. */
static struct configured shared;
static _Atomic int inside, most;

static void *come_and_go(void *arg)
{
    struct nu_loop loop;
    nu_loop_init(&loop, arg ? 1 : 0);
    for (int i = 0; i < 2000; i++) {
        struct rig r;
        rig_open(&r, &loop, &shared, NULL);
        if (r.chain) {
            int now = atomic_fetch_add(&inside, 1) + 1;
            if (now > most)
                most = now;
            atomic_fetch_sub(&inside, 1);
        }
        rig_close(&r, &loop);
    }
    nu_loop_fini(&loop);
    return NULL;
}

static void threads_never_exceed_it(void **state)
{
    pthread_t threads[2];
    shared = conf_of("1");
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, come_and_go, i ? &shared : NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(most, 1);
    assert_true(has_room(&shared));
    configured_free(&shared);
}

static void mistakes_are_named(void **state)
{
    assert_refused(&nu_filter_connection_limit, "{}", "missing key \"max\"");
    assert_refused(&nu_filter_connection_limit, "0", "out of range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_too_many_is_refused_whatever_the_worker),
        cmocka_unit_test(names_share_a_count_and_others_do_not),
        cmocka_unit_test(threads_never_exceed_it),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
