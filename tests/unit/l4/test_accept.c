/* The accept loop on real sockets and a virtual clock: batches, descriptors running out, stopping
 * without resetting anybody. */
#include "l4/accept.h"

#include "core/log.h"
#include "l4/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define CLIENTS 200

static struct nu_loop loop;
static struct nu_accept_point point;
static int clients[CLIENTS], servers[CLIENTS];
static unsigned client_count, server_count;
static struct nu_addr last_peer;
static unsigned log_lines;

static void accepted(struct nu_accept_point *p, int fd, const struct nu_addr *peer)
{
    assert_ptr_equal(p->owner, &loop);
    servers[server_count++] = fd;
    last_peer = *peer;
}

static void count_line(const char *line, void *ctx)
{
    log_lines += strstr(line, "accepting paused: no descriptors") != NULL;
}

static void start_point(struct nu_accept_point *p)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, CLIENTS), 0);
    nu_accept_init(p, fd);
    p->stats = nu_stats_get(&nu_listener_stats, "listener.test");
    p->accepted = accepted;
    p->owner = &loop;
    assert_int_equal(nu_accept_start(p, &loop), 0);
}

static void start(void)
{
    client_count = server_count = log_lines = 0;
    nu_loop_init(&loop, 0);
    start_point(&point);
    nu_log_set_sink(count_line, NULL);
}

static void stop(void)
{
    nu_accept_stop(&point, false);
    for (unsigned i = 0; i < client_count; i++)
        close(clients[i]);
    for (unsigned i = 0; i < server_count; i++)
        close(servers[i]);
    nu_stats_put(point.stats);
    nu_loop_fini(&loop);
    nu_log_set_sink(NULL, NULL);
}

/* On loopback a connection is in the queue when connect returns. */
static int connect_one(void)
{
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    int fd = clients[client_count++] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(getsockname(point.io.fd, (struct sockaddr *)&in, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, len), 0);
    return fd;
}

static void connect_many(unsigned n)
{
    while (n--)
        connect_one();
}

static void ready(void)
{
    point.io.ready(&point.io, EPOLLIN);
}

static int64_t stat_of(enum nu_listener_stat stat)
{
    return nu_stat_read(point.stats, stat);
}

/* From now on no descriptor can be had. Returns the limit before. */
static struct rlimit use_up_descriptors(void)
{
    struct rlimit before, now;
    getrlimit(RLIMIT_NOFILE, &before);
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    now = before;
    now.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

static void hands_out_what_a_filter_wants(void **state)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct nu_addr own;
    start();
    int fd = connect_one();
    ready();
    assert_int_equal(server_count, 1);
    assert_true(fcntl(servers[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(servers[0], F_GETFD) & FD_CLOEXEC);
    getsockname(fd, (struct sockaddr *)&ss, &len);
    nu_addr_from_sockaddr(&own, &ss, len);
    assert_true(nu_addr_equal(&own, &last_peer));
    ready(); /* an empty queue is nothing */
    assert_int_equal(server_count, 1);
    stop();
}

static void batches_leave_others_a_turn(void **state)
{
    start();
    connect_many(NU_ACCEPT_BATCH + 10);
    ready();
    assert_int_equal(server_count, NU_ACCEPT_BATCH);
    assert_true(nu_loop_pending(&loop));
    nu_loop_advance(&loop, 0);
    assert_int_equal(server_count, NU_ACCEPT_BATCH + 10);
    assert_false(nu_loop_pending(&loop));
    stop();
}

static void pauses_without_descriptors(void **state)
{
    start();
    connect_many(3);
    struct rlimit before = use_up_descriptors();
    ready();
    ready(); /* an edge meanwhile changes nothing */
    assert_int_equal(server_count, 0);
    assert_int_equal(stat_of(NU_LISTENER_CX_ACCEPT_PAUSED), 1);
    assert_int_equal(log_lines, 1);
    assert_false(nu_loop_pending(&loop)); /* no spin */
    for (int i = 0; i < 5; i++)
        nu_loop_advance(&loop, NU_ACCEPT_PAUSE_MS);
    assert_int_equal(server_count, 0);
    assert_int_equal(stat_of(NU_LISTENER_CX_ACCEPT_PAUSED), 1); /* one episode */
    assert_int_equal(stat_of(NU_LISTENER_CX_ACCEPT_FAILED), 1); /* room is looked for first */
    assert_int_equal(log_lines, 1);
    setrlimit(RLIMIT_NOFILE, &before);
    nu_loop_advance(&loop, NU_ACCEPT_PAUSE_MS - 1);
    assert_int_equal(server_count, 0);
    nu_loop_advance(&loop, 1);
    assert_int_equal(server_count, 3);
    stop();
}

static void resume(void)
{
    nu_accept_resume(&loop);
    nu_loop_advance(&loop, 0);
    nu_loop_advance(&loop, 0);
}

static void goes_on_when_a_connection_closes(void **state)
{
    start();
    connect_many(5);
    int spare = dup(0), another = dup(0);
    struct rlimit before = use_up_descriptors();
    ready();
    assert_int_equal(server_count, 0);
    close(spare);
    resume();
    assert_int_equal(server_count, 0); /* it would have no server */
    close(another);
    nu_accept_resume(&loop);
    assert_int_equal(server_count, 0); /* in the next turn: here a filter may still be closing */
    nu_loop_advance(&loop, 0);
    nu_loop_advance(&loop, 0);
    assert_int_equal(server_count, 2);
    close(servers[--server_count]);
    close(servers[--server_count]);
    resume();
    assert_int_equal(server_count, 2);
    assert_int_equal(stat_of(NU_LISTENER_CX_ACCEPT_PAUSED), 1);
    setrlimit(RLIMIT_NOFILE, &before);
    resume();
    assert_int_equal(server_count, 3);
    connect_one();
    ready(); /* as ever */
    assert_int_equal(server_count, 4);
    stop();
}

static void a_second_shortage_is_a_second_pause(void **state)
{
    start();
    for (int i = 1; i <= 2; i++) {
        connect_one();
        struct rlimit before = use_up_descriptors();
        ready();
        setrlimit(RLIMIT_NOFILE, &before);
        nu_loop_advance(&loop, NU_ACCEPT_PAUSE_MS);
        assert_int_equal(stat_of(NU_LISTENER_CX_ACCEPT_PAUSED), i);
        assert_int_equal(server_count, i);
    }
    stop();
}

static void another_empty_queue_does_not_end_the_pause(void **state)
{
    struct nu_accept_point other;
    start();
    start_point(&other);
    connect_one();
    struct rlimit before = use_up_descriptors();
    ready();
    setrlimit(RLIMIT_NOFILE, &before);
    other.io.ready(&other.io, EPOLLIN);
    assert_int_equal(server_count, 0);
    nu_loop_advance(&loop, NU_ACCEPT_PAUSE_MS);
    assert_int_equal(server_count, 1);
    nu_accept_stop(&other, false);
    nu_stats_put(other.stats);
    stop();
}

static void stopping_accepts_what_is_queued(void **state)
{
    start();
    connect_many(NU_ACCEPT_BATCH + 5);
    nu_accept_stop(&point, true);
    assert_int_equal(server_count, NU_ACCEPT_BATCH + 5);
    assert_int_equal(point.io.fd, -1);
    assert_false(nu_loop_pending(&loop));
    nu_accept_stop(&point, true);
    stop();
}

static void stopping_while_paused(void **state)
{
    start();
    connect_many(1);
    struct rlimit before = use_up_descriptors();
    ready();
    nu_accept_stop(&point, true);
    setrlimit(RLIMIT_NOFILE, &before);
    nu_loop_advance(&loop, 10 * NU_ACCEPT_PAUSE_MS);
    assert_int_equal(server_count, 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_what_a_filter_wants),
        cmocka_unit_test(batches_leave_others_a_turn),
        cmocka_unit_test(pauses_without_descriptors),
        cmocka_unit_test(goes_on_when_a_connection_closes),
        cmocka_unit_test(a_second_shortage_is_a_second_pause),
        cmocka_unit_test(another_empty_queue_does_not_end_the_pause),
        cmocka_unit_test(stopping_accepts_what_is_queued),
        cmocka_unit_test(stopping_while_paused),
    };
    nu_stats_init(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
