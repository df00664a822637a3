/* Kept connections: the last one first, no more than so many, none of a cluster that is gone. */
#include "tests/unit/l4/cluster_help.h"

#include "l4/endpoint.h"
#include "l7/pool.h"

#define KEPT 8

static struct kept {
    struct nu_pooled pooled;
    unsigned evicted;
} kept[KEPT];

static struct made made;
static struct nu_cluster *cluster;
static struct nu_endpoint *a, *b;

static void on_evict(struct nu_pooled *pooled)
{
    nu_container(pooled, struct kept, pooled)->evicted++;
}

static void use(const char *pool)
{
    char text[256];
    snprintf(text, sizeof text,
             "clusters: [{name: c, endpoints: [10.0.0.1:80, 10.0.0.2:80], pool: {%s}}]", pool);
    memset(kept, 0, sizeof kept);
    made = commit_from(text, NULL);
    cluster = nu_cluster_at(made.clusters, 0);
    a = cluster->view[0].set->item[0];
    b = cluster->view[0].set->item[1];
}

static bool put(unsigned i, const struct nu_endpoint *endpoint)
{
    kept[i].pooled.endpoint = endpoint;
    kept[i].pooled.evict = on_evict;
    return nu_pool_put(cluster, 0, &kept[i].pooled);
}

static void assert_taken(const struct nu_endpoint *endpoint, int i)
{
    assert_ptr_equal(nu_pool_take(cluster, 0, endpoint), i < 0 ? NULL : &kept[i].pooled);
}

static void the_last_comes_first(void **state)
{
    use("max_idle: 8");
    assert_taken(a, -1);
    for (unsigned i = 0; i < 4; i++)
        assert_true(put(i, i % 2 ? b : a));
    assert_taken(a, 2);
    assert_taken(b, 3);
    assert_taken(a, 0);
    assert_taken(a, -1);
    assert_true(put(0, a));
    assert_taken(b, 1);
    assert_taken(a, 0);
    retire(&made, NULL);
}

static void the_oldest_goes(void **state)
{
    use("max_idle: 2");
    put(0, a);
    put(1, b);
    put(2, a);
    assert_int_equal(kept[0].evicted, 1);
    assert_taken(a, 2);
    assert_taken(a, -1);
    assert_taken(b, 1);
    retire(&made, NULL);
}

static void who_leaves_is_not_found(void **state)
{
    use("max_idle: 8");
    put(0, a);
    put(1, a);
    nu_pool_drop(cluster, 0, &kept[1].pooled);
    assert_taken(a, 0);
    assert_taken(a, -1);
    assert_int_equal(kept[0].evicted + kept[1].evicted, 0);
    retire(&made, NULL);
}

static void none_are_kept(void **state)
{
    use("max_idle: 0");
    assert_false(put(0, a));
    assert_taken(a, -1);
    retire(&made, NULL);
}

/* Of one worker alone: the others have pools of their own. */
static void a_cluster_that_goes(void **state)
{
    use("max_idle: 8");
    put(0, a);
    put(1, b);
    nu_clusters_retire_on(made.clusters, NULL, 0);
    assert_int_equal(kept[0].evicted + kept[1].evicted, 2);
    assert_false(put(2, a));
    for (unsigned i = 1; i <= nu_workers_count(); i++)
        nu_clusters_retire_on(made.clusters, NULL, i);
    turn();
    nu_arena_free(made.arena);
}

/* Another set for the worker, as when checks or a name's addresses have changed. */
static void another_set(void)
{
    cluster->view[0].number++;
    nu_pool_look_through(cluster, 0);
}

static void endpoints_that_fail(void **state)
{
    use("max_idle: 8");
    put(0, a);
    put(1, b);
    put(2, a);
    another_set();
    assert_int_equal(kept[0].evicted + kept[1].evicted + kept[2].evicted, 0);
    atomic_store(&a->health, NU_ENDPOINT_FAILED);
    another_set();
    assert_int_equal(kept[0].evicted, 1);
    assert_int_equal(kept[1].evicted, 0);
    assert_int_equal(kept[2].evicted, 1);
    assert_false(put(3, a)); /* it was in use meanwhile */
    assert_taken(a, -1);
    assert_taken(b, 1);
    atomic_store(&a->health, 0);
    retire(&made, NULL);
}

static void endpoints_that_are_gone(void **state)
{
    use("max_idle: 8");
    static struct nu_endpoint other; /* not on the stack: its cache lines are its own */
    other = *a;
    put(0, a);
    assert_false(put(1, &other));
    assert_taken(a, 0);
    assert_true(put(0, a));
    retire(&made, NULL);
}

static bool share(unsigned i, const struct nu_endpoint *endpoint)
{
    kept[i].pooled.endpoint = endpoint;
    kept[i].pooled.evict = on_evict;
    return nu_pool_share(cluster, 0, &kept[i].pooled);
}

static const struct nu_pooled *full;

static bool has_room(const struct nu_pooled *pooled)
{
    return pooled != full;
}

static void assert_found(const struct nu_endpoint *endpoint, int i)
{
    assert_ptr_equal(nu_pool_find(cluster, 0, endpoint, has_room), i < 0 ? NULL : &kept[i].pooled);
}

/* Those that requests share stay where they are, apart from those that are kept. */
static void the_oldest_that_fits_is_shared(void **state)
{
    use("max_idle: 3");
    full = NULL;
    assert_found(a, -1);
    assert_true(share(0, a) && share(1, b) && share(2, a));
    assert_found(a, 0);
    assert_found(a, 0);
    full = &kept[0].pooled;
    assert_found(a, 2);
    assert_taken(a, -1);
    assert_true(put(3, a));
    nu_pool_drop(cluster, 0, &kept[2].pooled);
    assert_found(a, -1);
    assert_true(share(4, a) && share(5, a));
    assert_int_equal(kept[0].evicted, 1);
    assert_found(a, 4);
    atomic_store(&b->health, NU_ENDPOINT_FAILED);
    another_set();
    assert_int_equal(kept[1].evicted, 1);
    assert_false(share(1, b));
    atomic_store(&b->health, 0);
    retire(&made, NULL);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(kept[i].evicted, i != 2);
}

static int start(void **state)
{
    nu_pool_register();
    return two_workers(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_comes_first),
        cmocka_unit_test(the_oldest_goes),
        cmocka_unit_test(the_oldest_that_fits_is_shared),
        cmocka_unit_test(who_leaves_is_not_found),
        cmocka_unit_test(none_are_kept),
        cmocka_unit_test(a_cluster_that_goes),
        cmocka_unit_test(endpoints_that_fail),
        cmocka_unit_test(endpoints_that_are_gone),
    };
    return cmocka_run_group_tests(tests, start, no_workers);
}
