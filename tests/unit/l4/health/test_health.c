/* Checks over time, on the virtual clock: when each endpoint's turn is, what its verdicts do to the
 * sets of the workers, and what becomes of checks whose endpoint or cluster goes. The type of probe
 * is the test's own: it says what the test wrote down for the endpoint, at once, or stays silent.
 * The servers are UNIX sockets, to which a connection is made within the call. */
#include "tests/unit/l4/cluster_help.h"

#include "core/log.h"
#include "l4/cluster_priv.h"
#include "l4/health/health.h"
#include "l4/health/probe.h"
#include "tests/unit/folder.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVERS 9

/* What server N (from 1) says: '+', '-', or '?' for nothing; and how often it was asked. */
static char says[SERVERS + 1];
static unsigned asked[SERVERS + 1];
static int listening[SERVERS + 1];
static char folder[FOLDER_MAX], logged[8192];

static unsigned number_of(const struct nu_endpoint *e)
{
    if (e->addr.kind != NU_ADDR_UNIX)
        return 0;
    return (unsigned)(e->addr.path[strlen(e->addr.path) - 1] - '0');
}

static void oracle_start(struct nu_filter *f)
{
    unsigned n = number_of(nu_probe_endpoint(f));
    asked[n]++;
    if (says[n] == '+')
        nu_probe_pass(f);
    else if (says[n] == '-')
        nu_probe_refuse(f, "server %u says no", n);
}

static void oracle_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_probe_refuse(f, "closed");
    nu_ev_free(ev);
}

static const struct nu_filter_type oracle = {
    .name = "oracle",
    .doc = "Knows.",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES(NU_END)},
    .start = oracle_start,
    .event = oracle_event,
};

static void place(void *value, struct nu_arena *owner, struct nu_place *out)
{
    *out = (struct nu_place){&oracle, value};
}

static struct nu_ext oracle_ext = {
    .field = {.key = "oracle", .type = NU_STRING, .doc = "What the test knows."},
    .place = place,
};

static void keep_line(const char *line, void *ctx)
{
    size_t len = strlen(logged);
    snprintf(logged + len, sizeof logged - len, "%s\n", line);
}

static int start(void **state)
{
    nu_log_set_sink(keep_line, NULL);
    *logged = 0;
    memset(asked, 0, sizeof asked);
    memset(says, '+', sizeof says);
    nu_workers_init(2);
    return 0;
}

/* Generations that a test has made; also where it failed in the midst, they are taken down. */
static struct made *made[4];

static struct made *commit(const char *text, struct made *old)
{
    struct made **place = made;
    while (*place)
        place++;
    *place = malloc(sizeof **place);
    **place = commit_from(text, old);
    return *place;
}

static void drop(struct made *gone, struct made *next)
{
    retire(gone, next);
    for (unsigned i = 0; i < sizeof made / sizeof *made; i++)
        if (made[i] == gone)
            made[i] = NULL;
    free(gone);
}

static int stop(void **state)
{
    for (unsigned i = 0; i < sizeof made / sizeof *made; i++)
        if (made[i])
            drop(made[i], made[i + 1]);
    nu_workers_free();
    nu_log_set_sink(NULL, NULL);
    return 0;
}

/* The way to server N. */
static struct sockaddr_un way_to(unsigned n)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int len = snprintf(un.sun_path, sizeof un.sun_path, "%.100s/%u", folder, n);
    assert_in_range(len, 1, sizeof un.sun_path - 1);
    return un;
}

static void listen_all(void)
{
    assert_true(folder_make(folder));
    for (unsigned i = 1; i <= SERVERS; i++) {
        struct sockaddr_un un = way_to(i);
        listening[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_return_code(bind(listening[i], (struct sockaddr *)&un, sizeof un), 0);
        assert_return_code(listen(listening[i], 128), 0);
    }
}

static void close_all(void)
{
    for (unsigned i = 1; i <= SERVERS; i++)
        close(listening[i]);
    folder_remove(folder);
}

/* "web" with servers 1 to `count` and these keys; `check` is what stands in health_check. */
static const char *config(unsigned count, const char *check, const char *keys)
{
    static char text[2048];
    size_t len = (size_t)snprintf(text, sizeof text, "clusters: [{name: web, endpoints: [");
    for (unsigned i = 1; i <= count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "\"unix:%s/%u\",", folder, i);
    if (check)
        snprintf(text + len, sizeof text - len,
                 "], %s health_check: {oracle: x, jitter: 0%%, %s}}]", keys, check);
    else
        snprintf(text + len, sizeof text - len, "], %s}]", keys);
    return text;
}

/* Time goes by; who waits in a listening socket's queue is let go. */
static void pass_ms(int64_t ms)
{
    for (unsigned i = 0; i < 2; i++)
        nu_loop_advance(&nu_worker_main()->loop, i ? 0 : ms);
    for (unsigned i = 1; i <= SERVERS; i++)
        for (int fd; (fd = accept4(listening[i], NULL, NULL, SOCK_NONBLOCK)) >= 0;)
            close(fd);
    for (unsigned i = 0; i < 2; i++)
        nu_loop_advance(&nu_worker_main()->loop, 0);
}

static struct nu_cluster *web(struct made *m)
{
    return nu_cluster_find(m->clusters, "web");
}

/* Six picks from the beginning of the order, as the servers' numbers: "121212"; '-' = none. */
static const char *picked(struct made *m)
{
    static char text[7];
    web(m)->view[0].next = 0;
    for (unsigned i = 0; i < 6; i++) {
        struct nu_endpoint *e = nu_cluster_pick(web(m), 0, NULL, 0);
        text[i] = e ? (char)('0' + number_of(e)) : '-';
        nu_endpoint_unref(e);
    }
    return text;
}

static int64_t figure(const char *name)
{
    struct nu_stats *stats = nu_stats_get(&nu_health_stat_group, "cluster.web.health_check");
    int64_t value = -1;
    for (unsigned i = 0; i < nu_health_stat_group.count; i++)
        if (strcmp(nu_health_stat_group.defs[i].name, name) == 0)
            value = nu_stat_read(stats, i);
    nu_stats_put(stats);
    return value;
}

static bool is_ready(struct made *m, char why[static 256])
{
    *why = 0;
    return nu_cluster_ready(web(m), why, 256);
}

static void the_first_check_decides_at_once(void **state)
{
    char why[256];
    says[2] = '-';
    struct made *m = commit(config(3, "interval: 1s", ""), NULL);
    assert_false(is_ready(m, why));
    assert_string_equal(why, "cluster web: first health check of 3 of 3 endpoints since 0 s");
    assert_string_equal(picked(m), "123123"); /* nobody is known to be well: panic */
    assert_int_equal(stat_of(web(m), NU_CLUSTER_LB_HEALTHY_PANIC), 6);
    pass_ms(0);
    assert_true(is_ready(m, why));
    assert_string_equal(picked(m), "131313");
    assert_int_equal(stat_of(web(m), NU_CLUSTER_LB_HEALTHY_PANIC), 6);
    assert_int_equal(stat_of(web(m), NU_CLUSTER_MEMBERSHIP_HEALTHY), 2);
    assert_int_equal(figure("attempt"), 3);
    assert_int_equal(figure("success"), 2);
    assert_int_equal(figure("failure"), 1);
    assert_int_equal(figure("network_failure"), 0);
    assert_int_equal(figure("healthy"), 2);
    assert_non_null(strstr(logged, "an endpoint is unhealthy cluster=web endpoint=unix:"));
    assert_non_null(strstr(logged, "/2 reason=\"server 2 says no\" checks=1"));
}

static void later_ones_count_in_a_row(void **state)
{
    struct made *m = commit(config(3, "interval: 1s, healthy: 2, unhealthy: 3", ""), NULL);
    pass_ms(0);
    says[1] = '-';
    pass_ms(1000);
    pass_ms(1000);
    assert_string_equal(picked(m), "123123");
    says[1] = '+';
    pass_ms(1000); /* the row is broken */
    says[1] = '-';
    pass_ms(1000);
    pass_ms(1000);
    assert_string_equal(picked(m), "123123");
    pass_ms(1000);
    assert_string_equal(picked(m), "232323");
    assert_non_null(strstr(logged, "reason=\"server 1 says no\" checks=3"));
    says[1] = '+';
    pass_ms(1000);
    assert_string_equal(picked(m), "232323");
    pass_ms(1000);
    assert_string_equal(picked(m), "123123");
    assert_non_null(strstr(logged, "/1 checks=2"));
    assert_int_equal(stat_of(web(m), NU_CLUSTER_MEMBERSHIP_CHANGE), 1);
}

static void silence_is_a_failure(void **state)
{
    struct made *m = commit(config(3, "interval: 1s, timeout: 300ms, unhealthy: 1", ""), NULL);
    says[1] = '?';
    pass_ms(0);
    assert_int_equal(asked[1], 1);
    pass_ms(299);
    assert_int_equal(figure("failure"), 0);
    pass_ms(1);
    assert_int_equal(figure("failure"), 1);
    assert_int_equal(figure("network_failure"), 1);
    assert_non_null(strstr(logged, "reason=\"no answer within 300 ms\""));
    assert_string_equal(picked(m), "232323");
    assert_int_equal(asked[1], 1); /* one at a time */
    pass_ms(1000);
    assert_int_equal(asked[1], 2);
}

static void each_state_has_its_interval(void **state)
{
    struct made *m =
        commit(config(1,
                      "interval: 1s, unhealthy: 2, healthy: 2, no_traffic_interval: 10s, "
                      "unhealthy_interval: 4s, edge_interval: 100ms",
                      ""),
               NULL);
    static const struct {
        char says;
        int64_t after_ms;
        bool traffic;
    } rows[] = {
        {'+', 0,     false}, /* the first */
        {'+', 10000, false},
        {'+', 10000, true }, /* from here on there is traffic */
        {'+', 1000,  true },
        {'-', 1000,  true },
        {'-', 100,   true }, /* the second in a row: unhealthy */
        {'-', 4000,  true },
        {'+', 4000,  true },
        {'+', 100,   true }, /* healthy again */
        {'+', 1000,  true },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        says[1] = rows[i].says;
        if (rows[i].traffic)
            nu_stat_add(web(m)->stats, 2, NU_CLUSTER_CX_TOTAL, 1);
        if (rows[i].after_ms)
            pass_ms(rows[i].after_ms - 1);
        assert_int_equal(asked[1], i);
        pass_ms(rows[i].after_ms ? 1 : 0);
        assert_int_equal(asked[1], i + 1);
    }
}

/* A hundred waits with jitter lie between the interval and that much more, and not all in one
 * place. */
static void jitter_spreads(void **state)
{
    static char text[1024];
    int64_t least = INT64_MAX, most = 0;
    snprintf(text, sizeof text,
             "clusters: {name: web, endpoints: \"unix:%s/1\", health_check: {oracle: x, interval: "
             "1s, jitter: 500ms}}",
             folder);
    commit(text, NULL);
    pass_ms(0);
    for (unsigned i = 0; i < 100; i++) {
        struct nu_loop *loop = &nu_worker_main()->loop;
        int64_t wait = nu_timers_next(&loop->timers) - loop->now_ms;
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
        pass_ms(wait);
    }
    assert_int_equal(asked[1], 101);
    assert_in_range(least, 1000, 1100);
    assert_in_range(most, 1400, 1500);
}

static void below_the_threshold_all_are_used(void **state)
{
    struct made *m = commit(config(4, "interval: 1s, unhealthy: 1, healthy: 1", ""), NULL);
    says[1] = says[2] = '-';
    pass_ms(0);
    assert_string_equal(picked(m), "343434"); /* a half is enough */
    says[3] = '-';
    pass_ms(1000);
    assert_string_equal(picked(m), "412341"); /* whom it counts as well comes first */
    assert_int_equal(stat_of(web(m), NU_CLUSTER_LB_HEALTHY_PANIC), 6);
    assert_non_null(strstr(
        logged, "too few endpoints are healthy, all are used cluster=web healthy=1 endpoints=4"));
    says[1] = '+';
    pass_ms(1000);
    assert_string_equal(picked(m), "141414");
    assert_non_null(strstr(logged, "enough endpoints are healthy"));
}

static void without_a_threshold_nobody_is_used(void **state)
{
    struct made *m = commit(config(2, "interval: 1s, unhealthy: 1", "panic_threshold: 0%,"), NULL);
    assert_string_equal(picked(m), "------"); /* not before the first check */
    says[2] = '-';
    pass_ms(0);
    assert_string_equal(picked(m), "111111");
    says[1] = '-';
    pass_ms(1000);
    assert_string_equal(picked(m), "------");
    assert_int_equal(stat_of(web(m), NU_CLUSTER_LB_HEALTHY_PANIC), 0);
}

static void priorities_take_over(void **state)
{
    static char text[1024];
    snprintf(text, sizeof text,
             "clusters: {name: web, endpoints: [\"unix:%s/1\", \"unix:%s/2\", {address: "
             "\"unix:%s/3\", priority: 1}, {address: \"unix:%s/4\", priority: 1}], health_check: "
             "{oracle: x, interval: 1s, unhealthy: 1, healthy: 1, jitter: 0%%}}",
             folder, folder, folder, folder);
    struct made *m = commit(text, NULL);
    pass_ms(0);
    assert_string_equal(picked(m), "121212");
    says[1] = '-';
    pass_ms(1000);
    assert_string_equal(picked(m), "222222");
    says[2] = '-';
    pass_ms(1000);
    assert_string_equal(picked(m), "343434");
    says[3] = '-'; /* together they cannot carry it: the second priority is half well */
    pass_ms(1000);
    assert_string_equal(picked(m), "121212");
    assert_int_equal(stat_of(web(m), NU_CLUSTER_LB_HEALTHY_PANIC), 6);
}

/* As names bring and take them: the process stays ready, and who comes back is unknown again. */
static void endpoints_come_and_go(void **state)
{
    char why[256];
    struct made *m = commit(config(2, "interval: 1h", ""), NULL);
    struct nu_health *health = cl_of(web(m))->health;
    struct nu_endpoint_set *set = cl_of(web(m))->set;
    struct nu_addr addr = set->item[0]->addr;
    addr.path = nu_arena_printf(m->arena, "%s/3", folder);
    struct nu_endpoint *all[3] = {set->item[0], set->item[1],
                                  nu_endpoint_get("web", &addr, "later")};
    pass_ms(0);
    assert_true(is_ready(m, why));
    nu_health_sync(health, all, 3);
    assert_int_equal(all[2]->health, NU_ENDPOINT_FAILED | NU_ENDPOINT_PENDING);
    assert_int_equal(nu_health_waits(health), 0);
    pass_ms(0);
    assert_int_equal(all[2]->health, 0);
    says[3] = '-';
    nu_health_sync(health, all, 2);
    assert_null(nu_health_last(all[2]));
    nu_health_sync(health, all, 3);
    assert_int_equal(all[2]->health, NU_ENDPOINT_FAILED | NU_ENDPOINT_PENDING);
    pass_ms(0);
    assert_int_equal(all[2]->health, NU_ENDPOINT_FAILED);
    assert_int_equal(asked[3], 2);
    assert_int_equal(asked[1], 1);
    nu_endpoint_unref(all[2]);
}

static void a_reload_remembers(void **state)
{
    char why[256];
    says[1] = '-';
    struct made *one = commit(config(3, "interval: 1s", ""), NULL);
    pass_ms(0);
    struct made *two = commit(config(4, "interval: 2s", ""), one);
    assert_false(is_ready(two, why));
    assert_string_equal(why, "cluster web: first health check of 1 of 4 endpoints since 0 s");
    assert_string_equal(picked(two), "232323"); /* 4 is new */
    drop(one, two);
    pass_ms(0);
    assert_string_equal(picked(two), "234234");
    assert_int_equal(asked[4], 1);
    assert_int_equal(asked[1] + asked[2] + asked[3], 3); /* the others wait for their turn */
    pass_ms(2000);
    assert_int_equal(asked[1] + asked[2] + asked[3], 6);
}

static void checks_that_go_leave_nothing(void **state)
{
    says[1] = '-';
    struct made *one = commit(config(2, "interval: 1s", ""), NULL);
    pass_ms(0);
    assert_string_equal(picked(one), "222222");
    struct made *two = commit(config(2, NULL, ""), one);
    drop(one, two);
    assert_string_equal(picked(two), "121212");
    pass_ms(5000);
    assert_int_equal(asked[1] + asked[2], 2);
}

/* Who was in use without checks stays so until the first one. */
static void checks_that_come_interrupt_nobody(void **state)
{
    struct made *one = commit(config(2, NULL, "panic_threshold: 0%,"), NULL);
    struct made *two = commit(config(2, "interval: 1s", "panic_threshold: 0%,"), one);
    assert_string_equal(picked(two), "121212");
    says[1] = '-';
    drop(one, two);
    pass_ms(0);
    assert_string_equal(picked(two), "222222");
}

/* A reload in the midst of the first check does not make anybody usable. */
static void unknown_stays_unknown(void **state)
{
    memset(says, '?', sizeof says);
    struct made *one = commit(config(2, "interval: 1s", "panic_threshold: 0%,"), NULL);
    pass_ms(0);
    struct made *two = commit(config(2, "interval: 2s", "panic_threshold: 0%,"), one);
    assert_string_equal(picked(two), "------");
    memset(says, '+', sizeof says);
    drop(one, two);
    pass_ms(0);
    assert_string_equal(picked(two), "121212");
}

static void probes_in_flight_end_with_their_cluster(void **state)
{
    memset(says, '?', sizeof says);
    struct made *m = commit(config(SERVERS, "interval: 1s", ""), NULL);
    pass_ms(0);
    assert_int_equal(nu_worker_main()->loop.chain_count, SERVERS);
    drop(m, NULL);
    pass_ms(0);
    assert_int_equal(nu_worker_main()->loop.chain_count, 0);
    assert_int_equal(figure("failure"), 0);
}

static void a_server_that_closes_is_told(void **state)
{
    says[1] = '?';
    struct made *m = commit(config(1, "interval: 1s", ""), NULL);
    close(listening[1]); /* nobody listens, though the path is there */
    pass_ms(0);
    assert_int_equal(figure("network_failure"), 1);
    assert_non_null(strstr(logged, "reason=\"Connection refused\" checks=1"));
    drop(m, NULL);
    struct sockaddr_un un = way_to(1);
    unlink(un.sun_path);
    listening[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_return_code(bind(listening[1], (struct sockaddr *)&un, sizeof un), 0);
    assert_return_code(listen(listening[1], 128), 0);
}

/* More endpoints than places for probes: the rest waits until one is free. */
static void probes_at_once_are_capped(void **state)
{
    enum { N = NU_PROBES_MAX + 40 };
    char *text = malloc(64u * N + 256);
    size_t len = (size_t)sprintf(text, "clusters: [{name: web, endpoints: [");
    for (unsigned i = 1; i <= N; i++) /* all lead to nowhere, and nobody answers */
        len += (size_t)sprintf(text + len, "\"192.0.2.%u:%u\",", i % 250 + 1, i / 250 + 1);
    sprintf(text + len, "], health_check: {oracle: x, interval: 1s, timeout: 1s}}]");
    memset(says, '?', sizeof says);
    commit(text, NULL);
    free(text);
    struct nu_loop *loop = &nu_worker_main()->loop;
    nu_loop_advance(loop, 0);
    int64_t begun = figure("attempt");
    assert_in_range(loop->chain_count, 0, NU_PROBES_MAX); /* or there is no way there at all */
    if (loop->chain_count) {
        assert_int_equal(begun, NU_PROBES_MAX);
        nu_loop_advance(loop, 1000);
        assert_int_equal(figure("attempt"), N);
    }
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *check, *words;
    } rows[] = {
        {"{}",                           "what is to be asked? Expected \"http\", \"grpc\" or \"tcp\""},
        {"{interval: 1s}",               "what is to be asked?"                                       },
        {"{tcp: {}, oracle: x}",         "one of \"http\", \"grpc\" and \"tcp\" is enough"            },
        {"{tpc: {}}",                    "did you mean \"tcp\""                                       },
        {"{tcp: {}, interval: 0}",       "interval: 0 is out of range"                                },
        {"{tcp: {}, timeout: 0}",        "timeout: 0 is out of range"                                 },
        {"{tcp: {}, healthy: 0}",        "expected 1 to 1000"                                         },
        {"{tcp: {}, unhealthy: 1001}",   "expected 1 to 1000"                                         },
        {"{tcp: {}, jitter: 10}",        "jitter: found \"10\", expected a duration"                  },
        {"{tcp: {}, jitter: 200%}",      "jitter: "                                                   },
        {"{tcp: {}, jitter: [1s]}",      "expected a share like 10%"                                  },
        {"{tcp: {}, port: 65536}",       "port: "                                                     },
        {"{tcp: {send: x}}",             "\"send\" without \"receive\""                               },
        {"{tcp: {receive: \"\"}}",       "expected 1 to 4096 bytes as text, or like hex:"             },
        {"{tcp: {receive: \"hex:0\"}}",  "expected 1 to 4096 bytes"                                   },
        {"{tcp: {receive: \"hex:0g\"}}", "expected 1 to 4096 bytes"                                   },
        {"{tcp: {receive: [[a]]}}",      "expected 1 to 4096 bytes"                                   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "clusters:\n  - {name: a, endpoints: \"10.0.0.1:80\", health_check: %s}\n",
                 rows[i].check);
        assert_clusters_say(text, rows[i].words);
    }
}

static void only_known_endpoints_are_checked(void **state)
{
    static const char text[] =
        "clusters:\n  - {name: a, original_dst: true, health_check: {oracle: x}}\n";
    char *report;
    struct made m = build_from(text, strlen(text), NULL, &report);
    assert_non_null(strstr(report, "\"health_check\" is for clusters that know their endpoints"));
    free(report);
    nu_arena_free(m.arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_check_decides_at_once),
        TEST(later_ones_count_in_a_row),
        TEST(silence_is_a_failure),
        TEST(each_state_has_its_interval),
        TEST(jitter_spreads),
        TEST(below_the_threshold_all_are_used),
        TEST(without_a_threshold_nobody_is_used),
        TEST(priorities_take_over),
        TEST(endpoints_come_and_go),
        TEST(a_reload_remembers),
        TEST(checks_that_go_leave_nothing),
        TEST(checks_that_come_interrupt_nobody),
        TEST(unknown_stays_unknown),
        TEST(probes_in_flight_end_with_their_cluster),
        TEST(a_server_that_closes_is_told),
        TEST(probes_at_once_are_capped),
        TEST(what_is_wrong_is_said),
        TEST(only_known_endpoints_are_checked),
    };
    nu_cluster_register();
    nu_schema_extend(&nu_health_schema, &oracle_ext);
    listen_all();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_all();
    return failed;
}
