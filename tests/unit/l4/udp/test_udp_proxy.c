/* udp_proxy: from a session's chain to an endpoint's socket and back, and what it does when nobody
 * is there. The client is a probe, servers are sockets of the test. */
#include "l4/udp/batch.h"
#include "l4/udp/udp.h"
#include "l4/udp/udp_stats.h"
#include "tests/filters/filters.h"
#include "tests/filters/probe.h"
#include "tests/unit/l4/cluster_help.h"

#include "core/generation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define SERVERS 3
#define MOST    64 /* answers kept */

static struct {
    struct made clusters;
    struct nu_arena *arena;
    void *conf;
    struct nu_probe client, gate; /* the ends of the way between which it may be held */
    struct nu_chain *chain;       /* NULL once closed */
    struct nu_result result;
    char details[128];
    char answer[MOST][64];
    size_t answer_len[MOST];
    unsigned answers;
    int server[SERVERS];
    uint16_t port[SERVERS];
} t;

/* --- servers --- */

static int open_server(uint16_t *port)
{
    struct sockaddr_in any = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t len = sizeof any;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &len), 0);
    *port = ntohs(any.sin_port);
    return fd;
}

/* What a server got, "" for an empty one, "-" if there is none; *from can be answered. */
static const char *hears(int i, struct sockaddr_in *from)
{
    static char text[64];
    socklen_t len = sizeof *from;
    ssize_t n = recvfrom(t.server[i], text, sizeof text - 1, 0, (struct sockaddr *)from, &len);
    if (n < 0)
        return "-";
    text[n] = 0;
    return text;
}

static void answers(int i, const struct sockaddr_in *to, const char *text)
{
    assert_int_equal(
        sendto(t.server[i], text, strlen(text), 0, (const struct sockaddr *)to, sizeof *to),
        strlen(text));
}

/* --- the chain --- */

static void turns(void)
{
    for (int i = 0; i < 3; i++)
        event_base_loop(nu_worker_at(0)->base, EVLOOP_NONBLOCK);
    nu_loop_settle(&nu_worker_at(0)->loop);
}

static void client_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_END) {
        nu_done(f, NU_REV);
        if (!nu_bit(f, NU_B_ENDED, NU_FWD))
            nu_forward_end(f, NU_FWD, ev->u.end);
        return;
    }
    assert_true(ev->kind == NU_DGRAM && t.answers < MOST);
    if (ev->u.data.len < sizeof t.answer[0])
        memcpy(t.answer[t.answers], ev->u.data.data, ev->u.data.len);
    t.answer_len[t.answers++] = ev->u.data.len;
    nu_ev_free(ev);
}

static void closed(struct nu_chain *chain, void *ctx)
{
    t.result = nu_chain_result(chain);
    snprintf(t.details, sizeof t.details, "%s", nu_chain_details(chain));
    t.chain = NULL;
}

static struct nu_slice outgoing;

static void say_now(struct nu_filter *f)
{
    struct nu_ev ev = {.kind = NU_DGRAM, .u.data = outgoing};
    nu_forward(f, NU_FWD, &ev);
}

static void say_bytes(const void *data, size_t len)
{
    outgoing = nu_slice_copy(nu_worker_at(0)->loop.blocks, data, len);
    nu_call(t.client.self, say_now);
}

static void say(const char *text)
{
    say_bytes(text, strlen(text));
}

static void end_now(struct nu_filter *f)
{
    nu_forward_end(f, NU_FWD, nu_result_of(NU_CAUSE_SESSION_IDLE));
}

/* A session to a cluster with these keys; %N$u is the port of server
 * N. */
static void open_session(const char *options, const char *cluster)
{
    static const struct nu_chain_owner owner = {.closed = closed};
    char text[512], keys[256];
    struct nu_generation gen = {0};
    // cppcheck-suppress wrongPrintfScanfArgNum
    snprintf(keys, sizeof keys, cluster, t.port[0], t.port[1], t.port[2]);
    snprintf(text, sizeof text, "clusters: {name: c, %s}", keys);
    t.clusters = commit_from(text, NULL);
    turn();
    gen.clusters = t.clusters.clusters;
    t.arena = nu_arena_new(512);
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/", options, strlen(options));
    t.conf = nu_arena_alloc(t.arena, nu_filter_udp_proxy.schema->size);
    const struct nu_node *root = nu_conf_root(conf);
    if (nu_schema_parse(nu_filter_udp_proxy.schema, conf, t.arena, root, t.conf) ||
        nu_filter_udp_proxy.prepare(&gen, conf, t.arena, root, t.conf))
        fail_msg("%s", nu_conf_report(conf));
    nu_conf_free(conf);
    t.client = (struct nu_probe){.name = "client", .event = client_event};
    t.gate = (struct nu_probe){.name = "gate"};
    static struct nu_filter_type left;
    left = nu_probe_left;
    left.face[1] = NU_FACE_DGRAM;
    const struct nu_place places[] = {
        {&left,                &t.client},
        {&nu_probe,            &t.gate  },
        {&nu_pedant,           NULL     },
        {&nu_filter_udp_proxy, t.conf   },
    };
    struct nu_facts facts = {
        .client = {.kind = NU_ADDR_IP4, .ip = {127, 0, 0, 1}}
    };
    t.chain = nu_chain_new(&nu_worker_at(0)->loop, places, 4, &facts, &owner, NULL);
    turns();
}

static int64_t udp_stat(enum nu_udp_proxy_stat stat)
{
    struct nu_stats *s = nu_stats_get(&nu_udp_proxy_stats, "udp.c");
    int64_t value = nu_stat_read(s, stat);
    nu_stats_put(s);
    return value;
}

static int64_t cluster_stat(enum nu_udp_cluster_stat stat)
{
    struct nu_stats *s = nu_stats_get(&nu_udp_cluster_stats, "cluster.c.udp");
    int64_t value = nu_stat_read(s, stat);
    nu_stats_put(s);
    return value;
}

static int setup(void **state)
{
    memset(&t, 0, sizeof t);
    nu_workers_init(1);
    for (int i = 0; i < SERVERS; i++)
        t.server[i] = open_server(&t.port[i]);
    return 0;
}

static int teardown(void **state)
{
    if (t.chain)
        nu_chain_abort(t.chain, NU_CAUSE_DRAIN);
    turns();
    assert_null(t.chain);
    assert_int_equal(udp_stat(NU_UDP_PROXY_ACTIVE), 0);
    nu_arena_free(t.arena);
    retire(&t.clusters, NULL);
    nu_udp_batch_free(0);
    nu_workers_free();
    for (int i = 0; i < SERVERS; i++)
        if (t.server[i] >= 0)
            close(t.server[i]);
    return 0;
}

/* --- stories --- */

static void datagrams_go_there_and_back(void **state)
{
    struct sockaddr_in from;
    open_session("cluster: c", "endpoints: \"127.0.0.1:%u\"");
    say("one");
    say("");
    say("three");
    assert_string_equal(hears(0, &from), "one");
    assert_string_equal(hears(0, &from), "");
    assert_string_equal(hears(0, &from), "three");
    answers(0, &from, "1");
    answers(0, &from, "");
    answers(0, &from, "22");
    turns();
    assert_int_equal(t.answers, 3);
    assert_int_equal(t.answer_len[0], 1);
    assert_int_equal(t.answer_len[1], 0);
    assert_memory_equal(t.answer[2], "22", 2);
    assert_int_equal(udp_stat(NU_UDP_PROXY_RX_BYTES), 8);
    assert_int_equal(udp_stat(NU_UDP_PROXY_TX_DATAGRAMS), 3);
    assert_int_equal(cluster_stat(NU_UDP_SESS_TX_DATAGRAMS), 3);
    nu_call(t.client.self, end_now);
    turns();
    assert_null(t.chain);
    assert_int_equal(t.result.how, NU_CLEAN);
    assert_int_equal(udp_stat(NU_UDP_PROXY_IDLE_TIMEOUT), 1);
}

/* Who is not the endpoint is not heard. */
static void strangers_are_not_heard(void **state)
{
    struct sockaddr_in from;
    open_session("cluster: c", "endpoints: \"127.0.0.1:%u\"");
    say("x");
    hears(0, &from);
    answers(1, &from, "I am another");
    turns();
    assert_int_equal(t.answers, 0);
}

/* `responses: 2`: over once each of the client's was answered twice. */
static void it_ends_when_all_is_answered(void **state)
{
    struct sockaddr_in from;
    open_session("{cluster: c, responses: 2}", "endpoints: \"127.0.0.1:%u\"");
    say("a");
    hears(0, &from);
    answers(0, &from, "1");
    turns();
    say("b");
    for (int i = 0; i < 2; i++)
        answers(0, &from, "2");
    turns();
    assert_non_null(t.chain);
    for (int i = 0; i < 3; i++)
        answers(0, &from, "3"); /* two more than asked for, in the same turn */
    turns();
    assert_int_equal(t.answers, 4);
    assert_null(t.chain);
    assert_int_equal(t.result.cause, NU_CAUSE_SESSION_DONE);
    assert_int_equal(t.result.how, NU_CLEAN);
}

static void server_goes(int i)
{
    close(t.server[i]);
    t.server[i] = -1;
}

/* An ICMP answer before any other one: the next endpoint gets what the client said. */
static void a_dead_endpoint_is_passed_over(void **state)
{
    struct sockaddr_in from;
    server_goes(0);
    server_goes(1);
    open_session("cluster: c",
                 "endpoints: [\"127.0.0.1:%u\", {address: \"127.0.0.1:%u\", priority: 1}, "
                 "{address: \"127.0.0.1:%u\", priority: 2}]");
    say("question");
    turns();
    assert_string_equal(hears(2, &from), "question");
    assert_string_equal(hears(2, &from), "-");
    answers(2, &from, "yes");
    turns();
    assert_int_equal(t.answers, 1);
    assert_int_equal(nu_chain_facts(t.chain)->exchange->attempts, 3);
    assert_int_equal(nu_chain_facts(t.chain)->exchange->upstream->port, t.port[2]);
    assert_int_equal(cluster_stat(NU_UDP_SESS_RX_ERRORS) + cluster_stat(NU_UDP_SESS_TX_ERRORS), 2);
}

/* The same, learnt when the client speaks again: both datagrams arrive. */
static void a_refusal_told_by_the_next_send_is_one(void **state)
{
    struct sockaddr_in from;
    server_goes(0);
    open_session("cluster: c",
                 "endpoints: [\"127.0.0.1:%u\", {address: \"127.0.0.1:%u\", priority: 1}]");
    say("one");
    say("two"); /* no turn in between: the send itself says so */
    assert_string_equal(hears(1, &from), "one");
    assert_string_equal(hears(1, &from), "two");
    assert_string_equal(hears(1, &from), "-");
}

static void nobody_left_ends_the_session(void **state)
{
    server_goes(0);
    server_goes(1);
    open_session("cluster: c", "endpoints: [\"127.0.0.1:%u\", \"127.0.0.1:%u\"]");
    say("x");
    turns();
    assert_null(t.chain);
    assert_int_equal(t.result.cause, NU_CAUSE_REFUSED);
    assert_int_equal(t.result.side, NU_SIDE_UPSTREAM);
    assert_non_null(strstr(t.details, "2 tried"));
}

/* Who has answered once takes the session with it: another server would not know it. */
static void a_server_that_goes_takes_its_sessions_along(void **state)
{
    struct sockaddr_in from;
    open_session("cluster: c",
                 "endpoints: [\"127.0.0.1:%u\", {address: \"127.0.0.1:%u\", priority: 1}]");
    say("x");
    hears(0, &from);
    answers(0, &from, "y");
    turns();
    server_goes(0);
    say("z");
    turns();
    assert_null(t.chain);
    assert_int_equal(t.result.cause, NU_CAUSE_UPSTREAM_RST);
    assert_string_equal(hears(1, &from), "-");
}

/* Its name is not known yet. */
static void an_empty_cluster_says_so(void **state)
{
    setenv("NUNCIO_DNS", "127.0.0.1:9", 1);
    open_session("cluster: c", "endpoints: \"nobody.test:1\"");
    assert_null(t.chain);
    assert_int_equal(t.result.cause, NU_CAUSE_NO_ENDPOINT);
    assert_int_equal(udp_stat(NU_UDP_PROXY_NO_ROUTE), 1);
}

/* A datagram that cannot go on is lost alone. */
static void too_long_ones_are_dropped_and_counted(void **state)
{
    struct sockaddr_in from;
    static char data[65520];
    open_session("cluster: c", "endpoints: \"127.0.0.1:%u\"");
    say_bytes(data, sizeof data); /* IPv6 takes it, IPv4 does not */
    say("next");
    assert_int_equal(cluster_stat(NU_UDP_SESS_TX_ERRORS), 1);
    assert_string_equal(hears(0, &from), "next");
    assert_non_null(t.chain);
}

/* A way back that is held is not read for; the kernel keeps what it has room for, in order. */
static void answers_wait_while_the_way_back_is_held(void **state)
{
    struct sockaddr_in from;
    open_session("cluster: c", "endpoints: \"127.0.0.1:%u\"");
    say("x");
    hears(0, &from);
    nu_outside_hold(t.gate.self, NU_REV, true);
    for (int i = 0; i < 40; i++)
        answers(0, &from, "y");
    turns();
    assert_int_equal(t.answers, 0);
    nu_outside_hold(t.gate.self, NU_REV, false);
    turns();
    assert_int_equal(t.answers, 40);
}

/* What the kernel had no room for meanwhile is counted in the end. */
static void lost_answers_are_counted(void **state)
{
    struct sockaddr_in from;
    static const char data[1400];
    open_session("cluster: c", "endpoints: \"127.0.0.1:%u\"");
    say("x");
    hears(0, &from);
    nu_outside_hold(t.gate.self, NU_REV, true);
    answers(0, &from, "y");
    turns(); /* from now on it knows */
    for (int i = 0; i < 20000; i++)
        sendto(t.server[0], data, sizeof data, 0, (struct sockaddr *)&from, sizeof from);
    nu_chain_abort(t.chain, NU_CAUSE_DRAIN);
    turns();
    assert_in_range(cluster_stat(NU_UDP_SESS_RX_DROPPED), 1, 20000);
}

static void the_clusters_limit_counts_sessions(void **state)
{
    struct sockaddr_in from;
    open_session("cluster: c", "endpoints: \"127.0.0.1:%u\", limits: {connections: 1}");
    struct nu_cluster *c = nu_cluster_find(t.clusters.clusters, "c");
    assert_int_equal(c->cx_active, 1);
    const struct nu_place second[] = {
        {&nu_probe_left,       &(struct nu_probe){.name = "second"}},
        {&nu_filter_udp_proxy, t.conf                              },
    };
    nu_chain_new(&nu_worker_at(0)->loop, second, 2, NULL, NULL, NULL);
    turns();
    assert_int_equal(stat_of(c, NU_CLUSTER_CX_OVERFLOW), 1);
    assert_int_equal(c->cx_active, 1);
    say("x");
    assert_string_equal(hears(0, &from), "x");
    nu_chain_abort(t.chain, NU_CAUSE_DRAIN);
    turns();
    assert_int_equal(c->cx_active, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(datagrams_go_there_and_back),
        TEST(strangers_are_not_heard),
        TEST(it_ends_when_all_is_answered),
        TEST(a_dead_endpoint_is_passed_over),
        TEST(a_refusal_told_by_the_next_send_is_one),
        TEST(nobody_left_ends_the_session),
        TEST(a_server_that_goes_takes_its_sessions_along),
        TEST(an_empty_cluster_says_so),
        TEST(too_long_ones_are_dropped_and_counted),
        TEST(answers_wait_while_the_way_back_is_held),
        TEST(lost_answers_are_counted),
        TEST(the_clusters_limit_counts_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
