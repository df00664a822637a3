/* Sessions of a listener in service: one for each client, with a chain of its own, as many as the
 * limits allow. */
#include "tests/unit/l4/udp/udp_help.h"

#include <time.h>

#define UDP "bind: \"udp://127.0.0.1:0\""

static void each_client_has_a_session_of_its_own(void **state)
{
    int fd[CLIENT_MAX];
    serve("listeners: {name: a, " UDP ", filters: [critic, dback]}");
    for (int i = 0; i < CLIENT_MAX; i++)
        fd[i] = client_of("a");
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < CLIENT_MAX; i++) {
            char text[16];
            snprintf(text, sizeof text, "%d of %d", round, i);
            say(fd[i], text);
            assert_string_equal(hear(fd[i]), text);
        }
    assert_int_equal(figure("a", NU_LISTENER_CX_TOTAL), CLIENT_MAX);
    assert_int_equal(connections(), CLIENT_MAX);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_true(nu_listener_connections(nu_worker_at(i)) > 0);
    for (int i = 0; i < CLIENT_MAX; i++)
        close(fd[i]);
    later(60000 + 200);
    assert_int_equal(connections(), 0);
    assert_int_equal(dropped("a"), 0);
    serve_nothing();
}

/* Neither joined, nor cut, nor skipped. */
static void datagrams_stay_as_they_are(void **state)
{
    static char data[65507];
    static const size_t lengths[] = {1, 0, 2048, 0, 65507, 1472, 9000, 1};
    serve("listeners: {name: a, " UDP ", filters: [critic, dback]}");
    int fd = client_of("a");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        assert_int_equal(send(fd, data, lengths[i], 0), lengths[i]);
    step();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), lengths[i]);
    close(fd);
    later(60200);
    serve_nothing();
}

static void quiet_sessions_end(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: dback}");
    int busy = client_of("a"), quiet = client_of("a");
    assert_serves(quiet);
    assert_serves(busy);
    later(40000);
    say(busy, "x");
    assert_int_equal(connections(), 2);
    nu_loop_advance(&nu_worker_at(0)->loop, 0);
    close(quiet);
    close(busy);
    later(70000);
    assert_int_equal(connections(), 0);
    assert_int_equal(figure("a", NU_LISTENER_CX_DESTROY), 2);
    serve_nothing();
}

static const char *log_text(const char *file)
{
    static char text[4096];
    char path[FOLDER_MAX + 32];
    for (unsigned i = 0; i <= WORKERS; i++)
        nu_access_log_flush(&nu_worker_at(i)->loop);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    fclose(in);
    return text;
}

static void the_log_tells_what_a_session_carried(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: dback, access_log: {path: one.log, format: "
          "\"%DATAGRAMS_RECEIVED% %DATAGRAMS_SENT% %BYTES_RECEIVED% %BYTES_SENT% %CLOSE_CAUSE% "
          "%CLOSE_HOW% %RESPONSE_FLAGS%\\n\"}}");
    int fd = client_of("a");
    say(fd, "four");
    hear(fd);
    assert_int_equal(send(fd, "", 0, 0), 0);
    hear(fd);
    close(fd);
    later(60200);
    assert_string_equal(log_text("one.log"), "2 2 4 4 session_idle clean -\n");
    serve_nothing();
}

/* At the limit newcomers are not heard, and nobody else notices. */
static void sessions_are_capped_over_all_workers(void **state)
{
    int fd[20];
    serve("listeners: {name: a, " UDP ", filters: dback, udp: {max_sessions: 5}}");
    for (int i = 0; i < 20; i++) {
        fd[i] = client_of("a");
        if (i >= 5) {
            assert_silence(fd[i]);
            continue;
        }
        assert_serves(fd[i]);
        assert_serves(fd[i]); /* no stranger any more */
    }
    assert_int_equal(connections(), 5);
    assert_int_equal(figure("a", NU_LISTENER_CX_OVERFLOW), 15);
    assert_int_equal(dropped("a"), 15);
    for (int i = 0; i < 5; i++)
        assert_serves(fd[i]);
    for (int i = 0; i < 20; i++)
        close(fd[i]);
    later(60200);
    int again = client_of("a");
    assert_serves(again); /* there is room again */
    close(again);
    later(60200);
    serve_nothing();
}

static int64_t evicted(const char *name)
{
    return udp_figure(name, NU_UDP_EVICTED);
}

/* Forged senders never speak again behind an answer: they make room, known clients do not. */
static void strangers_make_room_for_new_clients(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: dback, udp: {max_sessions: 24}}");
    int known[8], forged[16], fresh[8];
    for (int i = 0; i < 8; i++) {
        known[i] = client_of("a");
        assert_serves(known[i]);
        assert_serves(known[i]); /* the second one behind an answer */
    }
    for (int i = 0; i < 16; i++) {
        forged[i] = client_of("a");
        say(forged[i], "x");
    }
    assert_int_equal(connections(), 24);
    poll(NULL, 0, 20); /* the forged ones had their time */
    for (int i = 0; i < 8; i++) {
        int64_t before = evicted("a");
        fresh[i] = client_of("a");
        say(fresh[i], "hello");
        bool heard = has_answer(fresh[i]); /* unless all forged ones were the other worker's */
        assert_int_equal(heard, evicted("a") > before);
        if (heard)
            assert_string_equal(hear(fresh[i]), "hello");
    }
    assert_in_range(evicted("a"), 1, 8);
    assert_int_equal(evicted("a") + figure("a", NU_LISTENER_CX_OVERFLOW), 8);
    assert_int_equal(connections(), 24);
    for (int i = 0; i < 8; i++)
        assert_serves(known[i]); /* in the sessions that they had */
    assert_int_equal(figure("a", NU_LISTENER_CX_TOTAL), 24 + evicted("a"));
    assert_in_range(evicted("a"), 1, 8);
    for (int i = 0; i < 8; i++) {
        close(known[i]);
        close(fresh[i]);
    }
    for (int i = 0; i < 16; i++)
        close(forged[i]);
    later(60200);
    serve_nothing();
}

static void a_source_has_its_own_limit(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: dback, udp: {max_sessions_per_source: 2}}");
    int fd[3] = {client_of("a"), client_of("a"), client_of("a")};
    assert_serves(fd[0]);
    assert_serves(fd[1]);
    assert_silence(fd[2]);
    assert_serves(fd[0]);
    assert_int_equal(dropped("a"), 1);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    later(60200);
    fd[0] = client_of("a");
    assert_serves(fd[0]);
    close(fd[0]);
    later(60200);
    serve_nothing();
}

/* Whom max_sessions keeps out has nothing that its source could be charged with. */
static void who_finds_no_room_does_not_count_for_its_source(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: dback, "
          "udp: {max_sessions: 1, max_sessions_per_source: 2}}");
    int in = client_of("a"), out = client_of("a");
    assert_serves(in);
    assert_serves(in);
    for (int i = 0; i < 3; i++)
        assert_silence(out);
    assert_int_equal(figure("a", NU_LISTENER_CX_OVERFLOW), 3);
    later(60200);
    assert_serves(out);
    close(in);
    close(out);
    later(60200);
    serve_nothing();
}

/* Answers that are more than the queue has places leave on the way. */
static void a_burst_of_answers_is_sent(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: shout}");
    int fd = client_of("a");
    say(fd, "x");
    assert_string_equal(hear(fd), "!");
    assert_int_equal(udp_figure("a", NU_UDP_TX_DROPPED), 0);
    close(fd);
    later(60200);
    serve_nothing();
}

/* Refusing costs a chain and a log line: not for each datagram. */
static void who_is_refused_is_not_looked_at_for_a_while(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: [deny, dback]}");
    int fd = client_of("a");
    for (int i = 0; i < 10; i++)
        assert_silence(fd);
    assert_int_equal(figure("a", NU_LISTENER_CX_TOTAL), 1);
    assert_int_equal(dropped("a"), 10);
    assert_int_equal(connections(), 0);
    later(1200);
    assert_silence(fd);
    assert_int_equal(figure("a", NU_LISTENER_CX_TOTAL), 2);
    close(fd);
    serve_nothing(); /* also what is remembered of it */
}

static void chains_are_chosen_by_addresses_and_ports(void **state)
{
    struct nu_addr source = {.kind = NU_ADDR_NONE};
    serve("listeners: {name: a, bind: \"udp://0.0.0.0:0\", chains: [{match: {destination: "
          "127.0.0.2/32}, filters: two}, {match: {destination: 127.0.0.1/32}, filters: one}]}");
    struct nu_addr to = bound("a", 0);
    to.ip[0] = 127;
    for (uint8_t last = 1; last <= 3; last++) {
        to.ip[3] = last;
        int fd = client_to(&to);
        if (last == 3)
            assert_silence(fd);
        else
            say(fd, "?");
        if (last != 3)
            assert_string_equal(hear(fd), last == 1 ? "one" : "two");
        close(fd);
    }
    assert_int_equal(source.kind, NU_ADDR_NONE);
    assert_int_equal(figure("a", NU_LISTENER_NO_FILTER_CHAIN_MATCH), 1);
    later(60200);
    serve_nothing();
}

/* One socket of a client that speaks to two of our addresses has a session with each. */
static void our_address_tells_sessions_apart(void **state)
{
    serve("listeners: {name: a, bind: [\"udp://0.0.0.0:0\", \"udp://[::]:0\"], filters: dback}");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(bound("a", 0).port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (uint32_t i = 1; i <= 2; i++) {
        struct sockaddr_in from = {0};
        socklen_t len = sizeof from;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
        assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
        assert_true(has_answer(fd));
        char data[8];
        assert_int_equal(recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &len), 1);
        assert_int_equal(from.sin_addr.s_addr, to.sin_addr.s_addr);
        assert_int_equal(from.sin_port, to.sin_port);
    }
    assert_int_equal(connections(), 2);
    struct nu_addr six = bound("a", 1);
    six.ip[15] = 1;
    int fd6 = client_to(&six);
    assert_serves(fd6);
    close(fd);
    close(fd6);
    later(60200);
    serve_nothing();
}

/* A chain that holds stops nobody but itself: what comes meanwhile is dropped (B7). */
static void what_a_chain_will_not_take_is_dropped(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: [critic, stuck, dback]}");
    int fd = client_of("a"), other = client_of("a");
    say(fd, "first");
    assert_string_equal(hear(fd), "first");
    for (int i = 0; i < 100; i++)
        say(fd, "more");
    assert_false(has_answer(fd));
    assert_int_equal(dropped("a"), 100);
    say(other, "mine");
    assert_string_equal(hear(other), "mine");
    close(fd);
    close(other);
    later(60200); /* END waits at the filter that holds */
    later(60200 + 1200);
    assert_int_equal(connections(), 0);
    serve_nothing();
}

/* A throttle lets datagrams through whole, and what comes while one waits is dropped. */
static void a_throttle_polices(void **state)
{
    static char data[1500];
    serve("listeners: {name: a, " UDP ", filters: [critic, {throttle: {rate: 1kB, burst: 2kB, "
          "direction: upload}}, dback]}");
    int fd = client_of("a");
    for (int i = 0; i < 5; i++)
        assert_int_equal(send(fd, data, i == 3 ? 0 : 1500, 0), i == 3 ? 0 : 1500);
    step();
    assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), 1500);
    assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), -1); /* 1000 lack */
    assert_int_equal(dropped("a"), 3);
    later(990);
    assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), -1);
    later(1010);
    assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), 1500);
    assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), -1);
    close(fd);
    later(70000);
    serve_nothing();
}

/* Longer than the burst: when the bucket is full. */
static void one_longer_than_the_burst_goes_in_the_end(void **state)
{
    static char data[5000];
    serve("listeners: {name: a, " UDP ", filters: [{throttle: {rate: 1MB, burst: 1kB}}, dback]}");
    int fd = client_of("a");
    assert_int_equal(send(fd, data, sizeof data, 0), sizeof data);
    step();
    later(20); /* the way back waits for its own bucket */
    assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), sizeof data);
    close(fd);
    later(60200);
    serve_nothing();
}

/* Another client of the worker that has the only one so far. */
static int client_beside(const char *name)
{
    const struct nu_worker *first = nu_worker_at(nu_listener_connections(nu_worker_at(0)) == 0);
    for (;;) {
        unsigned before = nu_listener_connections(first);
        int fd = client_of(name);
        assert_serves(fd);
        if (nu_listener_connections(first) > before)
            return fd;
        close(fd);
    }
}

/* While the kernel drops, who sends most loses, and nobody else does. */
static void a_flood_costs_its_sender_only(void **state)
{
    serve("listeners: {name: a, " UDP ", filters: dback, udp: {receive_buffer: 32KiB}}");
    int loud = client_of("a"), room = 4 << 20;
    setsockopt(loud, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    assert_serves(loud);
    int calm = client_beside("a");
    int64_t lost = 0, answered = 0;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 60; i++) /* fits the buffer, with the calm one */
            assert_int_equal(send(loud, "x", 1, 0), 1);
        assert_int_equal(send(calm, "y", 1, 0), 1);
        bool flood = round >= 10 && round % 5 == 0;
        if (flood)
            for (int i = 0; i < 300; i++) /* does not */
                assert_int_equal(send(loud, "x", 1, 0), 1);
        step();
        char data[8];
        bool heard = recv(calm, data, sizeof data, MSG_DONTWAIT) == 1;
        assert_true(heard || flood);
        answered += heard;
        while (recv(loud, data, sizeof data, MSG_DONTWAIT) == 1)
            answered++;
        lost = dropped("a");
        assert_true(lost == 0 || round >= 10);
    }
    assert_int_equal(answered + lost, 40 * (60 + 1) + 6 * 300);
    assert_true(udp_figure("a", NU_UDP_RX_DISCARDED) > 0); /* so that the calm one had its way */
    close(loud);
    close(calm);
    later(60200);
    serve_nothing();
}

/* Beginning sessions costs most: while the kernel drops, few newcomers of a full batch get in. */
static void a_flood_of_newcomers_is_let_in_slowly(void **state)
{
    enum { FRESH = 40 };
    int fresh[FRESH];
    serve("listeners: {name: a, " UDP ", filters: dback, udp: {receive_buffer: 32KiB}}");
    int loud = client_of("a");
    assert_serves(loud);
    for (int i = 0; i < FRESH; i++)
        fresh[i] = client_of("a");
    for (int i = 0; i < 400; i++)
        assert_int_equal(send(loud, "x", 1, 0), 1);
    step();
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(send(loud, "x", 1, 0), 1); /* by which the kernel tells that it dropped */
    step();
    for (int i = 0; i < 56; i++) /* a full batch, and a part of one that newcomers fill */
        assert_int_equal(send(loud, "x", 1, 0), 1);
    for (int i = 0; i < FRESH; i++)
        assert_int_equal(send(fresh[i], "x", 1, 0), 1);
    step();
    clock_gettime(CLOCK_MONOTONIC, &to);
    bool quick = to.tv_sec - from.tv_sec + (double)(to.tv_nsec - from.tv_nsec) / 1e9 < 0.15;
    assert_in_range(connections(), 2, quick ? FRESH : FRESH + 1); /* it forgives in 0.2 s */
    for (int i = 0; i < FRESH; i++)
        close(fresh[i]);
    close(loud);
    later(60200);
    serve_nothing();
}

#define TEST(fn) cmocka_unit_test_setup(fn, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_client_has_a_session_of_its_own),
        TEST(datagrams_stay_as_they_are),
        TEST(quiet_sessions_end),
        TEST(the_log_tells_what_a_session_carried),
        TEST(sessions_are_capped_over_all_workers),
        TEST(strangers_make_room_for_new_clients),
        TEST(a_source_has_its_own_limit),
        TEST(who_finds_no_room_does_not_count_for_its_source),
        TEST(a_burst_of_answers_is_sent),
        TEST(who_is_refused_is_not_looked_at_for_a_while),
        TEST(chains_are_chosen_by_addresses_and_ports),
        TEST(our_address_tells_sessions_apart),
        TEST(what_a_chain_will_not_take_is_dropped),
        TEST(a_throttle_polices),
        TEST(one_longer_than_the_burst_goes_in_the_end),
        TEST(a_flood_costs_its_sender_only),
        TEST(a_flood_of_newcomers_is_let_in_slowly),
    };
    return cmocka_run_group_tests(tests, start_udp, stop_udp);
}
