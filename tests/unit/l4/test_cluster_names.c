/* Host names of clusters over time: first answers, TTLs, failures, growing and shrinking sets, and
 * what reaches the workers. Time jumps; the name server is the test's own. */
#include "tests/unit/l4/cluster_help.h"
#include "tests/unit/l4/dns_help.h"

#include "core/log.h"
#include "l4/cluster_priv.h"

static struct dns_row rows[4];
static struct dns dns;
static char logged[4096];

static void keep_line(const char *line, void *ctx)
{
    size_t len = strlen(logged);
    snprintf(logged + len, sizeof logged - len, "%s\n", line);
}

static int start(void **state)
{
    static const struct dns_row first = {.name = "a.test", .a = {"10.0.0.1"}, .ttl = 60};
    memset(rows, 0, sizeof rows);
    rows[0] = first;
    dns = dns_start(rows);
    *logged = 0;
    nu_log_set_sink(keep_line, NULL);
    setenv("NUNCIO_DNS", dns.address, 1);
    nu_workers_init(2);
    return 0;
}

static int stop(void **state)
{
    nu_workers_free();
    nu_log_set_sink(NULL, NULL);
    dns_stop(&dns);
    return 0;
}

static struct nu_loop *loop(void)
{
    return &nu_worker_main()->loop;
}

/* Questions that have been answered, one way or another. */
static int64_t answers(struct nu_cluster *c)
{
    return stat_of(c, NU_CLUSTER_UPDATE_SUCCESS) + stat_of(c, NU_CLUSTER_UPDATE_FAILURE) +
           stat_of(c, NU_CLUSTER_UPDATE_EMPTY);
}

static int64_t turned_ms; /* when the last `until` began */

/* Turns until that many have been answered, and what comes of it is done. At most 5 s. */
static void until(struct nu_cluster *c, int64_t n)
{
    turned_ms = loop()->now_ms;
    for (int i = 0; i < 1000 && answers(c) < n; i++) {
        turn();
        dns_serve(&dns, 5);
    }
    turn();
    turn();
    assert_int_equal(answers(c), n);
}

/* Milliseconds until main does something by itself. */
static int64_t wait_ms(void)
{
    return nu_timers_next(&loop()->timers) - loop()->now_ms;
}

/* That was decided on within the last `until`, however long it took. */
static void assert_waits(int64_t min_ms, int64_t max_ms)
{
    int64_t due_ms = nu_timers_next(&loop()->timers);
    assert_true(due_ms - turned_ms >= min_ms);
    assert_true(wait_ms() <= max_ms);
}

static void nothing(struct nu_worker *w, void *arg)
{
}

/* What is due within `ms` happens now. */
static void jump(int64_t ms)
{
    int64_t ran_ms = loop()->timers.ran_ms;
    nu_timers_run(&loop()->timers, loop()->now_ms + ms);
    loop()->timers.ran_ms = ran_ms;                  /* the clock itself goes on as before */
    nu_worker_post(nu_worker_main(), nothing, NULL); /* wakes the loop */
}

static struct nu_cluster *only(struct made *m)
{
    return nu_cluster_at(m->clusters, 0);
}

#define A_TEST "clusters: {name: web, dns: \"A.test:80\"}"

static void an_answer_makes_it_ready(void **state)
{
    char why[128] = "";
    struct made m = commit_from(A_TEST, NULL);
    struct nu_cluster *web = only(&m);
    assert_false(nu_cluster_ready(web, why, sizeof why));
    assert_string_equal(why, "cluster web: resolving a.test since 0 s: no answer yet");
    assert_string_equal(picks(web, 0, 1), "none");
    until(web, 1);
    assert_true(nu_cluster_ready(web, why, sizeof why));
    for (unsigned shard = 0; shard < 3; shard++)
        assert_string_equal(picks(web, shard, 2), "1:80 1:80");
    assert_int_equal(stat_of(web, NU_CLUSTER_UPDATE_ATTEMPT), 1);
    assert_int_equal(stat_of(web, NU_CLUSTER_MEMBERSHIP_TOTAL), 1);
    assert_string_equal(logged, "");
    retire(&m, NULL);
}

/* A worker that has not heard of them would refuse the first connections. */
static void it_is_ready_when_every_worker_has_them(void **state)
{
    char why[128] = "";
    struct made m = commit_from(A_TEST, NULL);
    nu_worker_at(0)->threaded = true; /* its posts wait for the test */
    until(only(&m), 1);
    assert_false(nu_cluster_ready(only(&m), why, sizeof why));
    assert_string_equal(why, "cluster web: its endpoints are on their way to the workers");
    assert_string_equal(picks(only(&m), 0, 1), "none");
    event_base_loop(nu_worker_at(0)->base, EVLOOP_NONBLOCK);
    turn();
    nu_worker_at(0)->threaded = false;
    assert_true(nu_cluster_ready(only(&m), why, sizeof why));
    assert_string_equal(picks(only(&m), 0, 1), "1:80");
    retire(&m, NULL);
}

static void it_is_asked_again_at_its_ttl(void **state)
{
    static const struct {
        uint32_t ttl_s;
        int64_t min_ms, max_ms;
    } cases[] = {
        {0,     900,    1000  },
        {1,     900,    1000  },
        {60,    59900,  60000 },
        {86400, 299900, 300000}
    };
    struct made m = commit_from(A_TEST, NULL);
    int n = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rows[0].ttl = cases[i].ttl_s;
        until(only(&m), ++n);
        assert_waits(cases[i].min_ms, cases[i].max_ms);
        jump(wait_ms());
    }
    until(only(&m), ++n);
    assert_int_equal(stat_of(only(&m), NU_CLUSTER_MEMBERSHIP_CHANGE), 2); /* commit, answer */
    retire(&m, NULL);
}

static void a_local_name_is_looked_at_every_few_seconds(void **state)
{
    struct made m = commit_from("clusters: {name: web, endpoints: \"localhost:80\"}", NULL);
    until(only(&m), 1);
    assert_waits(4900, 5000);
    assert_true(strstr(picks(only(&m), 0, 2), "127.0.0.1:80") != NULL);
    assert_int_equal(dns.asked, 0);
    retire(&m, NULL);
}

static void failures_wait_longer_and_keep_the_last_good(void **state)
{
    static const int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct made m = commit_from(A_TEST, NULL);
    struct nu_cluster *web = only(&m);
    int n = 1;
    until(web, n);
    rows[0].rcode = DNS_NXDOMAIN;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        jump(i ? wait_ms() : 60000);
        until(web, ++n);
        assert_waits(waits[i] - 100, waits[i]);
    }
    assert_string_equal(picks(web, 1, 1), "1:80");
    assert_int_equal(stat_of(web, NU_CLUSTER_UPDATE_FAILURE), 7);
    assert_non_null(strstr(logged, "a host name cannot be resolved cluster=web host=a.test "
                                   "error=\"no such name\" kept=1 retry_ms=1000\n"));
    assert_null(strstr(strchr(logged, '\n') + 1, "cannot")); /* said once */
    rows[0].rcode = 0;
    jump(30000);
    until(web, ++n);
    assert_waits(59900, 60000);
    assert_non_null(strstr(logged, "a host name resolves again cluster=web host=a.test "
                                   "addresses=1\n"));
    retire(&m, NULL);
}

static void an_empty_answer_keeps_the_last_good_too(void **state)
{
    struct made m = commit_from(A_TEST, NULL);
    until(only(&m), 1);
    rows[0].a[0] = NULL;
    jump(60000);
    until(only(&m), 2);
    assert_int_equal(stat_of(only(&m), NU_CLUSTER_UPDATE_EMPTY), 1);
    assert_string_equal(picks(only(&m), 0, 1), "1:80");
    retire(&m, NULL);
}

static void what_went_wrong_is_told_while_it_is_not_ready(void **state)
{
    char why[128];
    rows[0].rcode = DNS_NXDOMAIN;
    struct made m = commit_from(A_TEST, NULL);
    until(only(&m), 1);
    assert_false(nu_cluster_ready(only(&m), why, sizeof why));
    assert_string_equal(why, "cluster web: resolving a.test since 0 s: no such name");
    rows[0].rcode = 0;
    jump(1000);
    until(only(&m), 2);
    assert_true(nu_cluster_ready(only(&m), why, sizeof why));
    retire(&m, NULL);
}

static void sets_grow_and_shrink_and_keep_their_endpoints(void **state)
{
    struct made m = commit_from(A_TEST, NULL);
    struct nu_cluster *web = only(&m);
    until(web, 1);
    struct nu_endpoint *one = nu_cluster_pick(web, 0, NULL, 0);
    one->cx_total = 9;
    rows[0].a[1] = "10.0.0.2";
    rows[0].aaaa[0] = "2001:db8::1";
    jump(60000);
    until(web, 2);
    assert_string_equal(picks(web, 0, 3), "2:80 [2001:db8::1]:80 1:80");
    assert_int_equal(stat_of(web, NU_CLUSTER_MEMBERSHIP_TOTAL), 3);
    assert_int_equal(stat_of(web, NU_CLUSTER_MEMBERSHIP_CHANGE), 3);

    rows[0].a[0] = "10.0.0.2"; /* another order, the same addresses */
    rows[0].a[1] = "10.0.0.1";
    jump(60000);
    until(web, 3);
    assert_int_equal(stat_of(web, NU_CLUSTER_MEMBERSHIP_CHANGE), 3);

    rows[0].a[0] = "10.0.0.1";
    rows[0].a[1] = NULL;
    rows[0].aaaa[0] = NULL;
    jump(60000);
    until(web, 4);
    struct nu_endpoint *again = nu_cluster_pick(web, 0, NULL, 0);
    assert_ptr_equal(again, one);
    assert_int_equal(again->cx_total, 9);
    assert_int_equal(again->refs, 3); /* the set's, and the two picks' */
    nu_endpoint_unref(one);
    nu_endpoint_unref(again);
    retire(&m, NULL);
}

static void addresses_share_their_names_weight_and_count_once(void **state)
{
    rows[0].a[1] = "10.0.0.2";
    rows[1] = (struct dns_row){
        .name = "b.test", .a = {"10.0.0.2", "10.0.0.3"},
             .ttl = 60
    };
    struct made m = commit_from("clusters:\n  - name: web\n    endpoints:\n"
                                "      - {address: \"a.test:80\", weight: 2}\n"
                                "      - \"b.test:80\"\n"
                                "      - {address: \"10.0.0.4:80\", priority: 1}\n",
                                NULL);
    struct nu_cluster *web = only(&m);
    assert_string_equal(picks(web, 0, 2), "4:80 4:80"); /* the literal serves meanwhile */
    until(web, 2);
    struct nu_endpoint_set *set = web->view[0].set;
    assert_int_equal(set->count, 4);
    assert_int_equal(set->group[0].count, 3);
    assert_int_equal(set->weight[0] * 100 + set->weight[1] * 10 + set->weight[2], 221);
    assert_string_equal(set->item[1]->host, "a.test:80");
    retire(&m, NULL);
}

static void reloads_keep_what_is_known(void **state)
{
    struct made one = commit_from(A_TEST, NULL);
    until(only(&one), 1);
    struct made same = commit_from(A_TEST, &one);
    retire(&one, &same);
    assert_int_equal(stat_of(only(&same), NU_CLUSTER_UPDATE_ATTEMPT), 1);

    rows[0].silent = true;
    struct made next = commit_from("clusters: {name: web, connect_timeout: 1s, endpoints: "
                                   "[\"a.test:80\", \"10.0.0.7:80\"]}",
                                   &same);
    retire(&same, &next);
    assert_int_equal(stat_of(only(&next), NU_CLUSTER_UPDATE_ATTEMPT), 2);
    char why[64];
    assert_true(nu_cluster_ready(only(&next), why, sizeof why));
    assert_string_equal(picks(only(&next), 0, 2), "1:80 7:80");
    retire(&next, NULL); /* while it is being asked */
    assert_int_equal(loop()->timers.count, 0);
}

/* Posts to workers are on their way when the cluster is retired. */
static void a_retired_cluster_waits_for_its_posts(void **state)
{
    struct made m = commit_from(A_TEST, NULL);
    struct nu_cluster *web = only(&m);
    nu_worker_at(0)->threaded = true; /* as if it ran */
    until(web, 1);
    assert_string_equal(picks(web, 0, 1), "none");
    assert_int_equal(nu_counted_pins(&web->counted), 1);
    retire(&m, NULL);
    event_base_loop(nu_worker_at(0)->base, EVLOOP_NONBLOCK);
    nu_worker_at(0)->threaded = false;
    assert_string_equal(picks(web, 0, 1), "1:80");
    turn(); /* unpinned */
    turn(); /* released */
}

/* Workers pick as fast as they can while the set changes under way. */
static void pick_on(struct nu_worker *w, void *arg)
{
    struct nu_cluster *c = arg;
    for (int i = 0; i < 50; i++) {
        struct nu_endpoint *e = nu_cluster_pick(c, w->loop.shard, NULL, 0);
        if (e)
            atomic_fetch_add_explicit(&e->cx_total, 1, memory_order_relaxed);
        nu_endpoint_unref(e);
    }
}

static void run_for_a_change(struct nu_cluster *web, int n)
{
    while (stat_of(web, NU_CLUSTER_MEMBERSHIP_CHANGE) < n) {
        for (unsigned i = 0; i < 2; i++)
            nu_worker_post(nu_worker_at(i), pick_on, web);
        turn();
        dns_serve(&dns, 1);
    }
}

static void note(void *ctx)
{
    *(bool *)ctx = true;
}

static void retire_there(struct nu_worker *w, void *arg)
{
    nu_clusters_retire_on(arg, NULL, w->loop.shard);
}

static void everybody(void (*fn)(struct nu_worker *, void *), void *arg)
{
    bool done = false;
    nu_workers_all(fn, arg, note, &done);
    while (!done)
        event_base_loop(nu_worker_main()->base, EVLOOP_ONCE);
}

static void running_workers_get_new_sets(void **state)
{
    static const char *const last[] = {"10.0.0.2", "10.0.0.3", "10.0.0.4", NULL};
    struct made m = commit_from(A_TEST, NULL);
    struct nu_cluster *web = only(&m);
    nu_workers_start();
    run_for_a_change(web, 2);
    for (int i = 0; i < 4; i++) {
        rows[0].a[1] = last[i];
        jump(60000);
        run_for_a_change(web, 3 + i);
    }
    everybody(nothing, NULL); /* all posts have been */
    everybody(retire_there, m.clusters);
    nu_workers_join();
    turn();
    turn();
    nu_arena_free(m.arena);
    assert_int_equal(loop()->timers.count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_makes_it_ready),
        TEST(it_is_ready_when_every_worker_has_them),
        TEST(it_is_asked_again_at_its_ttl),
        TEST(a_local_name_is_looked_at_every_few_seconds),
        TEST(failures_wait_longer_and_keep_the_last_good),
        TEST(an_empty_answer_keeps_the_last_good_too),
        TEST(what_went_wrong_is_told_while_it_is_not_ready),
        TEST(sets_grow_and_shrink_and_keep_their_endpoints),
        TEST(addresses_share_their_names_weight_and_count_once),
        TEST(reloads_keep_what_is_known),
        TEST(a_retired_cluster_waits_for_its_posts),
        TEST(running_workers_get_new_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
