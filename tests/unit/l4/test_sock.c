/* The socket filter on a real loop: two chains joined end to end between two socket pairs, once
 * relayed directly and once with a filter in between that sees every byte. */
#include "core/worker.h"
#include "l4/sock_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000 /* turns of at most 1 ms */

struct end {
    struct nu_filter filter;
    struct nu_joint joint;
};

static void end_close(struct nu_filter *f)
{
    nu_part(&((struct end *)f)->joint, nu_chain_result(f->chain));
}

static const struct nu_filter_type end_type = {
    .name = "end",
    .size = sizeof(struct end),
    .joint = offsetof(struct end, joint),
    .close = end_close,
};

static void look_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_forward(f, dir, ev);
}

/* Sees all, so that nothing is relayed directly. */
static const struct nu_filter_type look_type = {
    .name = "look",
    .size = sizeof(struct nu_filter),
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .event = look_event,
};

struct rig {
    struct nu_worker *worker;
    int client, server; /* the test's ends */
    struct nu_chain *left, *right;
    struct nu_result left_result, right_result;
    unsigned closed;
};

static struct rig rig;

static void on_closed(struct nu_chain *chain, void *ctx)
{
    struct rig *r = ctx;
    if (chain == r->left)
        r->left_result = nu_chain_result(chain);
    else
        r->right_result = nu_chain_result(chain);
    r->closed++;
}

static const struct nu_chain_owner owner = {.closed = on_closed};

/* A connected pair of TCP sockets on loopback: RST and FIN as on the wire. */
static void tcp_pair(int out[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    assert_int_equal(bind(l, (void *)&a, sizeof a), 0);
    assert_int_equal(listen(l, 1), 0);
    getsockname(l, (void *)&a, &len);
    out[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(out[0], (void *)&a, sizeof a), 0);
    out[1] = accept(l, NULL, NULL);
    assert_true(out[1] >= 0);
    close(l);
    for (int i = 0; i < 2; i++) {
        setsockopt(out[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        fcntl(out[i], F_SETFL, O_NONBLOCK);
    }
}

static int setup(void **state)
{
    bool direct = *state != NULL;
    int c[2], s[2];
    nu_workers_init(1);
    rig = (struct rig){.worker = nu_worker_at(0)};
    tcp_pair(c);
    tcp_pair(s);
    rig.client = c[0];
    rig.server = s[0];
    struct nu_sock_conf left = {.fd = c[1], .side = NU_SIDE_CLIENT};
    struct nu_sock_conf right = {.fd = s[1], .side = NU_SIDE_UPSTREAM};
    struct nu_place l[] = {
        {&nu_sock,   &left},
        {&look_type, NULL },
        {&end_type,  NULL }
    };
    struct nu_place r[] = {
        {&end_type, NULL  },
        {&nu_sock,  &right}
    };
    if (direct)
        l[1] = l[2];
    rig.left = nu_chain_new(&rig.worker->loop, l, direct ? 2 : 3, NULL, &owner, &rig);
    rig.right = nu_chain_new(&rig.worker->loop, r, 2, NULL, &owner, &rig);
    nu_join(nu_chain_end(rig.left, NU_FWD), nu_chain_end(rig.right, NU_REV));
    return 0;
}

static int teardown(void **state)
{
    close(rig.client);
    close(rig.server);
    for (int i = 0; i < 1000 && rig.worker->loop.chain_count; i++)
        event_base_loop(rig.worker->base, EVLOOP_NONBLOCK);
    assert_int_equal(rig.worker->loop.chain_count, 0);
    assert_int_equal(nu_block_pool_lent(rig.worker->loop.blocks), 0);
    nu_workers_free();
    return 0;
}

/* One turn of the proxy; sleeps in poll at most 1 ms, so that a deadline in turns is one in time
 * too. */
static void turn(void)
{
    struct pollfd p = {rig.worker->loop.epoll_fd, POLLIN, 0};
    poll(&p, 1, 1);
    event_base_loop(rig.worker->base, EVLOOP_NONBLOCK);
}

#define until(condition)                                                                           \
    do {                                                                                           \
        int left_ = DEADLINE_MS;                                                                   \
        bool yes_;                                                                                 \
        while (!(yes_ = (condition)) && left_-- > 0)                                               \
            turn();                                                                                \
        if (!yes_)                                                                                 \
            fail_msg("never came true: %s", #condition);                                           \
    } while (0)

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

struct flow {
    int from, to;
    size_t total, sent, got;
    bool fin_sent, fin_seen;
};

static void push_some(struct flow *f)
{
    uint8_t buf[48 * 1024];
    size_t n = 0;
    while (n < sizeof buf && f->sent + n < f->total) {
        buf[n] = pattern(f->sent + n);
        n++;
    }
    ssize_t w = n ? send(f->from, buf, n, MSG_NOSIGNAL) : 0;
    if (w > 0)
        f->sent += (size_t)w;
    if (f->sent == f->total && !f->fin_sent) {
        shutdown(f->from, SHUT_WR);
        f->fin_sent = true;
    }
}

static void pull_some(struct flow *f)
{
    uint8_t buf[64 * 1024];
    ssize_t n = recv(f->to, buf, sizeof buf, 0);
    for (ssize_t i = 0; i < n; i++)
        if (buf[i] != pattern(f->got + (size_t)i))
            fail_msg("byte %zu differs", f->got + (size_t)i);
    if (n > 0)
        f->got += (size_t)n;
    if (n == 0)
        f->fin_seen = true;
}

static void test_bytes_and_fin_both_ways(void **state)
{
    struct flow up = {.from = rig.client, .to = rig.server, .total = 9u << 20};
    struct flow down = {.from = rig.server, .to = rig.client, .total = 5u << 20};
    int turns = DEADLINE_MS;
    while ((!up.fin_seen || !down.fin_seen) && turns-- > 0) {
        push_some(&up);
        push_some(&down);
        turn();
        pull_some(&up);
        pull_some(&down);
    }
    assert_int_equal(up.got, up.total);
    assert_int_equal(down.got, down.total);
    until(rig.closed == 2);
    assert_int_equal(rig.left_result.how, NU_CLEAN);
    assert_int_equal(rig.right_result.how, NU_CLEAN);
}

static void test_half_close_leaves_the_other_way_open(void **state)
{
    char buf[16];
    shutdown(rig.client, SHUT_WR);
    until(recv(rig.server, buf, sizeof buf, 0) == 0);
    assert_int_equal(send(rig.server, "late", 4, 0), 4);
    until(recv(rig.client, buf, sizeof buf, 0) == 4);
    assert_int_equal(rig.closed, 0);
    shutdown(rig.server, SHUT_WR);
    until(rig.closed == 2);
    assert_int_equal(rig.left_result.cause, NU_CAUSE_CLIENT_FIN);
}

static unsigned segments_in(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_segs_in;
}

static void test_fin_comes_with_the_last_bytes(void **state)
{
    char buf[16];
    unsigned before = segments_in(rig.client);
    assert_int_equal(send(rig.server, "goodbye", 7, 0), 7);
    shutdown(rig.server, SHUT_WR);
    until(recv(rig.client, buf, sizeof buf, 0) == 7);
    assert_int_equal(recv(rig.client, buf, sizeof buf, 0), 0);
    assert_int_equal(segments_in(rig.client) - before, 1);
}

static void reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static bool was_reset(int fd)
{
    char buf[4096];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
        ;
    return n < 0 && errno == ECONNRESET;
}

static void test_reset_of_the_client_reaches_the_server(void **state)
{
    char buf[16];
    assert_int_equal(send(rig.client, "hi", 2, 0), 2);
    until(recv(rig.server, buf, sizeof buf, 0) == 2);
    reset(rig.client);
    close(rig.client);
    until(was_reset(rig.server));
    until(rig.closed == 2);
    assert_int_equal(rig.left_result.cause, NU_CAUSE_CLIENT_RST);
    rig.client = -1;
}

static void test_reset_of_the_server_reaches_the_client(void **state)
{
    reset(rig.server);
    close(rig.server);
    until(was_reset(rig.client));
    until(rig.closed == 2);
    assert_int_equal(rig.left_result.cause, NU_CAUSE_UPSTREAM_RST);
    rig.server = -1;
}

static void run_read_task(struct nu_chain *chain, enum nu_dir end)
{
    struct sock *s = sock_of(nu_chain_end(chain, end));
    s->mask |= SOCK_IN;
    sock_read_soon(s);
}

/* The kernel tells of a reset once. Here writing hears of it before reading does. */
static void test_reset_that_a_write_finds_is_no_fin(void **state)
{
    turn();
    assert_int_equal(send(rig.client, "hi", 2, 0), 2);
    reset(rig.server);
    close(rig.server);
    rig.server = -1;
    run_read_task(rig.left, NU_REV);
    run_read_task(rig.right, NU_FWD);
    nu_loop_settle(&rig.worker->loop);
    until(was_reset(rig.client));
    until(rig.closed == 2);
    assert_int_equal(rig.left_result.cause, NU_CAUSE_UPSTREAM_RST);
}

static size_t took(int fd, char *buf, size_t room)
{
    ssize_t n = recv(fd, buf, room, 0);
    return n > 0 ? (size_t)n : 0;
}

/* A read stops in front of an urgent byte, and splice there as if the stream had ended. Our pairs
 * leave such a byte out. */
static void urgent_between(size_t before, size_t behind)
{
    static char bytes[100000];
    size_t want = before + behind, got = 0;
    assert_int_equal(send(rig.client, bytes, before, 0), before);
    assert_int_equal(send(rig.client, "!", 1, MSG_OOB), 1);
    assert_int_equal(send(rig.client, bytes, behind, 0), behind);
    until((got += took(rig.server, bytes, want - got)) == want);
}

static void test_urgent_byte_stops_nothing(void **state)
{
    urgent_between(2, 3000);
    urgent_between(50000, 40000);
}

/* What was sent before a reset that both sides survive to read: data and RST in one wake-up. */
static void test_data_before_a_reset_is_delivered(void **state)
{
    char buf[16];
    assert_int_equal(send(rig.server, "last words", 10, 0), 10);
    reset(rig.server);
    close(rig.server);
    rig.server = -1;
    int n = 0;
    until((n = (int)recv(rig.client, buf, sizeof buf, 0)) == 10 || errno == ECONNRESET);
    assert_int_equal(n, 10);
    until(rig.closed == 2);
}

static void test_slow_reader_pauses_and_nothing_is_lost(void **state)
{
    struct flow up = {.from = rig.client, .to = rig.server, .total = 24u << 20};
    size_t stuck = 0;
    for (int same = 0; same < 50; same = up.sent == stuck ? same + 1 : 0) {
        stuck = up.sent;
        push_some(&up);
        turn();
    }
    assert_true(up.sent < up.total);
    assert_true(nu_block_pool_lent(rig.worker->loop.blocks) <= NU_SOCK_HIGH + NU_BLOCK_LARGE);
    int turns = DEADLINE_MS;
    while (!up.fin_seen && turns-- > 0) {
        push_some(&up);
        turn();
        pull_some(&up);
    }
    assert_int_equal(up.got, up.total);
}

static void test_client_that_vanishes_while_paused_is_noticed(void **state)
{
    struct flow up = {.from = rig.client, .to = rig.server, .total = 64u << 20};
    size_t stuck = 0;
    for (int same = 0; same < 50; same = up.sent == stuck ? same + 1 : 0) {
        stuck = up.sent;
        push_some(&up);
        turn();
    }
    reset(rig.client);
    close(rig.client);
    rig.client = -1;
    until(rig.closed == 1); /* the other chain is stuck: its owner's timer would end it */
    assert_int_equal(rig.left_result.cause, NU_CAUSE_CLIENT_RST);
}

static void test_reset_after_fin_cuts_the_rest(void **state)
{
    char buf[16];
    shutdown(rig.client, SHUT_WR);
    until(recv(rig.server, buf, sizeof buf, 0) == 0);
    reset(rig.client);
    close(rig.client);
    rig.client = -1;
    until(poll(&(struct pollfd){.fd = rig.server}, 1, 0) == 1); /* POLLERR: EPIPE behind a FIN */
    until(rig.closed == 2);
    assert_int_equal(rig.left_result.cause, NU_CAUSE_CLIENT_RST);
}

/* Many idle wake-ups must not keep memory: a socket with nothing unsent has no buffer. */
static void test_round_trips_hold_no_blocks(void **state)
{
    char buf[64];
    for (int i = 0; i < 200; i++) {
        assert_int_equal(send(rig.client, "ping", 4, 0), 4);
        until(recv(rig.server, buf, sizeof buf, 0) == 4);
        assert_int_equal(send(rig.server, "pong", 4, 0), 4);
        until(recv(rig.client, buf, sizeof buf, 0) == 4);
        assert_int_equal(nu_block_pool_lent(rig.worker->loop.blocks), 0);
    }
}

static void test_one_byte_writes_are_bounded_in_memory(void **state)
{
    struct flow up = {.from = rig.client, .to = rig.server, .total = 64u << 20};
    size_t stuck = 0;
    for (int same = 0; same < 50;
         same = up.sent == stuck ? same + 1 : 0) { /* fill the kernel's buffers */
        stuck = up.sent;
        push_some(&up);
        turn();
    }
    struct nu_block_pool *blocks = rig.worker->loop.blocks;
    assert_true(nu_block_pool_lent(blocks) <= NU_SOCK_HIGH + NU_BLOCK_LARGE);
}

static int direct_yes = 1;
#define BOTH(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, setup, teardown),                                        \
    {                                                                                              \
#test "_direct", test, setup, teardown, &direct_yes                                        \
    }

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        BOTH(test_bytes_and_fin_both_ways),
        BOTH(test_half_close_leaves_the_other_way_open),
        cmocka_unit_test_setup_teardown(test_fin_comes_with_the_last_bytes, setup, teardown),
        BOTH(test_reset_of_the_client_reaches_the_server),
        BOTH(test_reset_of_the_server_reaches_the_client),
        BOTH(test_reset_that_a_write_finds_is_no_fin),
        BOTH(test_urgent_byte_stops_nothing),
        BOTH(test_data_before_a_reset_is_delivered),
        BOTH(test_slow_reader_pauses_and_nothing_is_lost),
        BOTH(test_client_that_vanishes_while_paused_is_noticed),
        BOTH(test_reset_after_fin_cuts_the_rest),
        BOTH(test_round_trips_hold_no_blocks),
        BOTH(test_one_byte_writes_are_bounded_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
