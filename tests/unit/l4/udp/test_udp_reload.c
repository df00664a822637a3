/* Listeners of datagrams over reloads: sessions keep their chain, sockets are carried over, what is
 * removed serves on until its sessions are over. */
#include "tests/unit/l4/udp/udp_help.h"

#define A "{name: a, bind: \"udp://127.0.0.1:0\", filters: [%s]}"

static void serve_a(const char *filters)
{
    char text[256];
    snprintf(text, sizeof text, "listeners: [" A "]", filters);
    serve(text);
}

/* The address is written out, so that it is the same whatever the listener is called. */
static void serve_at(const char *name, uint16_t port, const char *filters)
{
    char text[256];
    snprintf(text, sizeof text,
             "listeners: {name: %s, bind: \"udp://127.0.0.1:%u\", filters: [%s]}", name, port,
             filters);
    serve(text);
}

static void assert_answer(int fd, const char *answer)
{
    say(fd, "?");
    assert_string_equal(hear(fd), answer);
}

static void sessions_keep_the_chain_they_began_with(void **state)
{
    serve_a("witness, one");
    int old = client_of("a");
    assert_answer(old, "one");
    serve_a("two");
    assert_answer(old, "one");
    int new = client_of("a");
    assert_answer(new, "two");
    assert_int_equal(configs_gone, 0);
    close(old);
    later(60200);
    step();
    assert_int_equal(configs_gone, 1);
    close(new);
    serve_nothing();
}

/* Nothing on its way is lost: what was sent before the switch is served after it. */
static void queues_are_carried_over(void **state)
{
    serve_a("dback");
    int fd[CLIENT_MAX];
    for (int i = 0; i < CLIENT_MAX; i++) {
        fd[i] = client_of("a");
        assert_int_equal(send(fd[i], "hello", 5, 0), 5);
    }
    serve_a("one");
    for (int i = 0; i < CLIENT_MAX; i++) {
        assert_string_equal(hear(fd[i]), "one");
        close(fd[i]);
    }
    later(60200);
    serve_nothing();
}

/* The last ones of a removed listener get their answers, too, like connections that wait. */
static void what_was_sent_before_removal_is_served(void **state)
{
    serve_a("dback");
    int fd = client_of("a");
    assert_int_equal(send(fd, "late", 4, 0), 4);
    serve("listeners: {name: b, bind: \"udp://127.0.0.1:0\", filters: one}");
    later(0); /* the end of the turn in which that came */
    assert_string_equal(hear(fd), "late");
    assert_int_equal(drains, 1);
    close(fd);
    later(60200);
    serve_nothing();
}

static bool can_bind(const struct nu_addr *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(addr, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool free = bind(fd, (struct sockaddr *)&ss, len) == 0;
    close(fd);
    return free;
}

static void a_removed_listener_serves_its_sessions_only(void **state)
{
    serve_a("dback");
    struct nu_addr addr = bound("a", 0);
    int fd = client_of("a");
    assert_serves(fd);
    serve("listeners: {name: b, bind: \"udp://127.0.0.1:0\", filters: one}");
    int late = client_to(&addr);
    assert_silence(late);
    assert_serves(fd);
    assert_false(can_bind(&addr));
    later(1200); /* so quiet, it is over */
    step();
    assert_int_equal(connections(), 0);
    assert_true(can_bind(&addr));
    close(fd);
    close(late);
    serve_nothing();
}

/* While its last sessions live on, the address may come back: it is the same socket. */
static void a_lingering_address_can_be_had_again(void **state)
{
    serve_a("dback");
    struct nu_addr addr = bound("a", 0);
    serve_at("a", addr.port, "dback");
    int fd = client_to(&addr);
    assert_serves(fd);
    for (int round = 0; round < 3; round++) {
        serve("listeners: {name: b, bind: \"udp://127.0.0.1:0\", filters: one}");
        assert_serves(fd);
        serve_at(round == 1 ? "other" : "a", addr.port, "two");
        assert_serves(fd); /* still in its old chain */
        int new = client_to(&addr);
        assert_answer(new, "two");
        close(new);
    }
    close(fd);
    later(60200);
    serve_nothing();
    assert_true(can_bind(&addr));
}

/* As many sockets as before, so the kernel sends each client where its session is. */
static void no_client_comes_to_another_worker(void **state)
{
    int fd[CLIENT_MAX];
    serve_a("dback");
    for (int i = 0; i < CLIENT_MAX; i++) {
        fd[i] = client_of("a");
        assert_serves(fd[i]);
    }
    struct nu_addr addr = bound("a", 0);
    for (int round = 0; round < 3; round++) {
        serve_a(round & 1 ? "one" : "two");
        for (int i = 0; i < CLIENT_MAX; i++)
            assert_serves(fd[i]);
    }
    serve_nothing(); /* which is a drain: the sessions live on */
    for (int i = 0; i < CLIENT_MAX; i++)
        assert_serves(fd[i]);
    assert_int_equal(connections(), CLIENT_MAX);
    nu_listener_abort_all(nu_worker_at(0),
                          NU_CAUSE_DRAIN); /* one worker is ready before the other */
    later(0);
    unsigned left = connections(), served = 0;
    for (int i = 0; i < CLIENT_MAX; i++) {
        say(fd[i], "x");
        served += has_answer(fd[i]);
    }
    assert_int_equal(served, left);
    assert_in_range(left, 1, CLIENT_MAX - 1);
    nu_listener_abort_all(nu_worker_at(1), NU_CAUSE_DRAIN);
    later(0);
    step();
    assert_true(can_bind(&addr));
    for (int i = 0; i < CLIENT_MAX; i++)
        close(fd[i]);
}

static int bound_socket(int type, uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;
    in.sin_port = htons(*port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&in, len) || getsockname(fd, (struct sockaddr *)&in, &len)) {
        close(fd);
        return -1;
    }
    *port = ntohs(in.sin_port);
    return fd;
}

/* TCP and UDP of one port are told apart, and a port that somebody has is not shared. */
static void a_busy_port_is_told(void **state)
{
    char text[256];
    uint16_t port = 0;
    int udp = -1, tcp = bound_socket(SOCK_STREAM, &port);
    while ((udp = bound_socket(SOCK_DGRAM, &port)) < 0) { /* somebody's: another one */
        close(tcp);
        port = 0;
        tcp = bound_socket(SOCK_STREAM, &port);
    }
    snprintf(text, sizeof text, "listeners: {bind: \"udp://127.0.0.1:%u\", filters: one}", port);
    struct served next = build(text);
    assert_int_equal(nu_listeners_bind(next.listeners, now.listeners, next.conf), NU_ERR_CONFIG);
    assert_non_null(strstr(nu_conf_report(next.conf), "address already in use"));
    discard(&next);
    close(udp);
    close(tcp);
    snprintf(text, sizeof text,
             "listeners: [{bind: \"udp://127.0.0.1:%u\", filters: one}, {bind: \"127.0.0.1:%u\", "
             "filters: back}]",
             port, port);
    serve(text);
    serve_nothing();
}

#define TEST(fn) cmocka_unit_test_setup(fn, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sessions_keep_the_chain_they_began_with),
        TEST(queues_are_carried_over),
        TEST(what_was_sent_before_removal_is_served),
        TEST(a_removed_listener_serves_its_sessions_only),
        TEST(a_lingering_address_can_be_had_again),
        TEST(no_client_comes_to_another_worker),
        TEST(a_busy_port_is_told),
    };
    return cmocka_run_group_tests(tests, start_udp, stop_udp);
}
