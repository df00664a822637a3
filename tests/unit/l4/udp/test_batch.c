/* Reading and sending in batches, on real sockets: every datagram stays one, with all its bytes,
 * from whom it came and to which address. */
#include "l4/udp/batch.h"
#include "l4/udp/out.h"
#include "l4/udp/point.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct nu_loop loop;

static struct nu_addr parse(const char *text)
{
    struct nu_addr addr;
    assert_int_equal(nu_addr_parse(&addr, text, -1), NU_OK);
    return addr;
}

static struct nu_addr name_of(int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    struct nu_addr addr;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    nu_addr_from_sockaddr(&addr, &ss, len);
    return addr;
}

static int bound_to(const char *text)
{
    struct sockaddr_storage ss;
    struct nu_addr addr = parse(text);
    socklen_t len = nu_addr_to_sockaddr(&addr, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), buffer = 4 << 20;
    assert_true(fd >= 0);
    assert_int_equal(nu_udp_socket_options(fd, &addr), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
    return fd;
}

static void connect_to(int fd, const struct nu_addr *to)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(to, &ss);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
}

static int setup(void **state)
{
    nu_loop_init(&loop, 0);
    return 0;
}

/* The loop's pool asserts that every block is back. */
static int teardown(void **state)
{
    nu_udp_batch_free(0);
    nu_loop_fini(&loop);
    return 0;
}

static uint8_t byte_at(size_t datagram, size_t i)
{
    return (uint8_t)(i * 31 + datagram);
}

static void say(int fd, size_t datagram, size_t len)
{
    uint8_t *data = malloc(len + 1);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(datagram, i);
    assert_int_equal(send(fd, data, len, 0), len);
    free(data);
}

static void assert_said(const struct nu_slice *s, size_t datagram, size_t len)
{
    assert_int_equal(s->len, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(s->data[i], byte_at(datagram, i));
}

/* Of any length, also none; the slices live on when others are read. */
static void lengths_are_kept(void **state)
{
    static const size_t lengths[] = {0,    1,    2,    63,    1200,  1472, 2047,
                                     2048, 2049, 4096, 16384, 65507, 0,    7};
    enum { COUNT = sizeof lengths / sizeof *lengths };
    struct nu_udp_got got[COUNT];
    struct nu_udp_batch *batch;
    int server = bound_to("127.0.0.1:0"), client = bound_to("127.0.0.1:0");
    struct nu_addr to = name_of(server), from = name_of(client);
    connect_to(client, &to);
    for (size_t i = 0; i < COUNT; i++)
        say(client, i, lengths[i]);
    assert_int_equal(nu_udp_read(&loop, server, true, &batch), COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(nu_udp_take(batch, i, &got[i]));
    nu_udp_done(batch);
    say(client, 99, 2048);
    assert_int_equal(nu_udp_read(&loop, server, true, &batch), 1);
    nu_udp_done(batch);
    for (size_t i = 0; i < COUNT; i++) {
        assert_said(&got[i].data, i, lengths[i]);
        assert_true(nu_addr_equal(&got[i].peer, &from));
        assert_int_equal(got[i].local.kind, NU_ADDR_NONE);
        nu_slice_drop(&got[i].data);
    }
    close(server);
    close(client);
}

static void a_batch_ends_where_it_is_full(void **state)
{
    struct nu_udp_batch *batch;
    struct nu_udp_got got;
    int server = bound_to("127.0.0.1:0"), client = bound_to("127.0.0.1:0");
    struct nu_addr to = name_of(server);
    size_t seen = 0;
    connect_to(client, &to);
    for (size_t i = 0; i < 2 * NU_UDP_BATCH + 1; i++)
        say(client, i, i);
    for (int expected = NU_UDP_BATCH; expected > 0;
         expected = seen == 2 * NU_UDP_BATCH ? 1 : expected) {
        int n = nu_udp_read(&loop, server, true, &batch);
        if (n < 0)
            break;
        assert_int_equal(n, expected);
        for (int i = 0; i < n; i++, seen++) {
            assert_true(nu_udp_take(batch, (unsigned)i, &got));
            assert_said(&got.data, seen, seen);
            nu_slice_drop(&got.data);
        }
        nu_udp_done(batch);
    }
    assert_int_equal(seen, 2 * NU_UDP_BATCH + 1);
    assert_int_equal(errno, EAGAIN);
    close(server);
    close(client);
}

/* On all addresses at once, it is known which one was meant, and answers come from there. */
static void answers_from(const char *any, const char *ours, const char *client_at)
{
    struct nu_udp_batch *batch;
    struct nu_udp_got got;
    struct nu_udp_out out = {0};
    unsigned failed = 0;
    int server = bound_to(any), client = bound_to(client_at);
    struct nu_addr to = parse(ours);
    to.port = name_of(server).port;
    connect_to(client, &to); /* which hears that address only */
    say(client, 0, 10);
    assert_int_equal(nu_udp_read(&loop, server, true, &batch), 1);
    assert_true(nu_udp_take(batch, 0, &got));
    nu_udp_done(batch);
    to.port = 0;
    assert_true(nu_addr_equal(&got.local, &to));
    nu_udp_out_push(&out, got.data, &got.peer, &got.local);
    assert_int_equal(nu_udp_out_flush(&out, server, loop.blocks, &failed), NU_UDP_ALL_SENT);
    assert_int_equal(failed, 0);
    assert_int_equal(nu_udp_read(&loop, client, false, &batch), 1);
    assert_true(nu_udp_take(batch, 0, &got));
    nu_udp_done(batch);
    assert_said(&got.data, 0, 10);
    nu_slice_drop(&got.data);
    nu_udp_out_free(&out);
    close(server);
    close(client);
}

static void answers_come_from_where_the_client_sent_to(void **state)
{
    answers_from("0.0.0.0:0", "127.0.0.77:1", "127.0.0.1:0");
    answers_from("0.0.0.0:0", "127.1.2.3:1", "127.0.0.5:0");
    answers_from("[::]:0", "[::1]:1", "[::1]:0");
}

/* What the kernel had no room for is counted by it, and told with the next one. */
static void lost_ones_are_told(void **state)
{
    struct nu_udp_batch *batch;
    struct nu_udp_got got = {0};
    int server = bound_to("127.0.0.1:0"), client = bound_to("127.0.0.1:0"), small = 4096, n;
    struct nu_addr to = name_of(server);
    setsockopt(server, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    connect_to(client, &to);
    for (size_t i = 0; i < 100; i++)
        say(client, i, 1000);
    unsigned seen = 0;
    while ((n = nu_udp_read(&loop, server, true, &batch)) > 0) {
        for (int i = 0; i < n; i++, seen++) {
            assert_true(nu_udp_take(batch, (unsigned)i, &got));
            nu_slice_drop(&got.data);
        }
        nu_udp_done(batch);
    }
    assert_in_range(seen, 1, 99);
    say(client, 0, 1);
    assert_int_equal(nu_udp_read(&loop, server, true, &batch), 1);
    assert_true(nu_udp_take(batch, 0, &got));
    nu_udp_done(batch);
    assert_int_equal(got.lost, 100 - seen);
    nu_slice_drop(&got.data);
    close(server);
    close(client);
}

/* One that cannot be sent takes no other with it. */
static void a_datagram_that_is_refused_is_dropped_alone(void **state)
{
    struct nu_udp_out out = {0};
    unsigned failed = 0;
    int server = bound_to("127.0.0.1:0"), client = bound_to("127.0.0.1:0");
    struct nu_addr to = name_of(client), none = {0};
    char text[8];
    static const char long_one[65508];
    for (int i = 0; i < 100; i++) {
        size_t len = i % 10 == 3 ? sizeof long_one : 1;
        nu_udp_out_push(&out, nu_slice_copy(loop.blocks, len > 1 ? long_one : "x", len), &to,
                        &none);
    }
    assert_int_equal(nu_udp_out_flush(&out, server, loop.blocks, &failed), NU_UDP_ALL_SENT);
    assert_int_equal(failed, 10);
    for (int i = 0; i < 90; i++)
        assert_int_equal(recv(client, text, sizeof text, MSG_DONTWAIT), 1);
    assert_int_equal(recv(client, text, sizeof text, MSG_DONTWAIT), -1);
    nu_udp_out_free(&out);
    close(server);
    close(client);
}

/* The queue goes round: what is pushed after some left comes last. */
static void the_queue_keeps_its_order(void **state)
{
    struct nu_udp_out out = {0};
    unsigned failed = 0;
    int server = bound_to("127.0.0.1:0"), client = bound_to("127.0.0.1:0");
    struct nu_addr to = name_of(client), none = {0};
    int next = 0, seen = 0, got;
    for (int round = 0; round < 7; round++) {
        for (int i = 0; i < 20 + round * 31; i++, next++)
            nu_udp_out_push(&out, nu_slice_copy(loop.blocks, &next, sizeof next), &to, &none);
        nu_udp_out_flush(&out, server, loop.blocks, &failed);
        while (recv(client, &got, sizeof got, MSG_DONTWAIT) == sizeof got)
            assert_int_equal(got, seen++);
    }
    assert_int_equal(seen, next);
    nu_udp_out_free(&out);
    close(server);
    close(client);
}

/* Where the kernel's buffer is full the rest waits, copied out of the batch that it came in. */
static void what_the_kernel_has_no_room_for_waits(void **state)
{
    struct nu_udp_out out = {0};
    unsigned failed = 0;
    int server = bound_to("127.0.0.1:0"), client = bound_to("127.0.0.1:0"), small = 1,
        big = 64 << 20;
    struct nu_addr to = name_of(client), none = {0};
    setsockopt(server, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(client, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big);
    struct nu_block *block = nu_block_get(loop.blocks, NU_BLOCK_MEDIUM);
    for (int i = 0; i < 60; i++)
        nu_udp_out_push(&out, nu_block_freeze(block, 1000), &to, &none);
    nu_block_unref(block);
    enum nu_udp_sent sent = nu_udp_out_flush(&out, server, loop.blocks, &failed);
    if (sent == NU_UDP_MUST_WAIT) {
        assert_in_range(out.count, 1, 59);
        assert_true(nu_block_pool_lent(loop.blocks) <= out.count * 1000);
        char data[1000];
        for (int i = 0; i < 1000 && sent == NU_UDP_MUST_WAIT; i++) {
            while (recv(client, data, sizeof data, MSG_DONTWAIT) > 0)
                ;
            sent = nu_udp_out_flush(&out, server, loop.blocks, &failed);
        }
    }
    assert_int_equal(sent, NU_UDP_ALL_SENT);
    assert_int_equal(failed, 0);
    nu_udp_out_free(&out);
    close(server);
    close(client);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lengths_are_kept),
        TEST(a_batch_ends_where_it_is_full),
        TEST(answers_come_from_where_the_client_sent_to),
        TEST(lost_ones_are_told),
        TEST(a_datagram_that_is_refused_is_dropped_alone),
        TEST(the_queue_keeps_its_order),
        TEST(what_the_kernel_has_no_room_for_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
