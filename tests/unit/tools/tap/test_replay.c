/* Replays without a server that answers: paces, and what a connection says of one that is silent.
 */
#include "tools/tap/replay_parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_paces(void **state)
{
    static const struct {
        const char *text;
        double times, per_s;
    } rows[] = {
        {"1x",    1,   0  },
        {"0.5x",  0.5, 0  },
        {"100/s", 0,   100},
        {"max",   0,   0  },
    };
    static const char *const wrong[] = {"", "0x", "x", "-1x", "1", "5/m", "nanx", "1e9x", "1x "};
    struct tap_pace pace;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(tap_pace_read(rows[i].text, &pace));
        assert_true(pace.times == rows[i].times);
        assert_int_equal((int)(pace.per_ns * 1e9 + 0.5), (int)rows[i].per_s);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(tap_pace_read(wrong[i], &pace));
}

/* A socket that listens and never accepts. */
static int silent(struct replay_target *target)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    memcpy(&target->addr, &addr, sizeof addr);
    target->addr_len = sizeof addr;
    return fd;
}

static struct replay_item *item_for(const char *path)
{
    struct replay_item *item = calloc(1, sizeof *item);
    assert_non_null(item);
    item->arena = nu_arena_new(1024);
    item->head = nu_http_head_new(item->arena);
    item->head->method = NU_TEXT("GET");
    item->head->method_id = (uint8_t)nu_method_find("GET", 3);
    item->head->authority = NU_TEXT("a.test");
    item->head->path = nu_text(path, strlen(path));
    return item;
}

static void free_item(struct replay_item *item)
{
    nu_arena_free(item->arena);
    free(item);
}

static void test_who_does_not_answer_is_given_up(void **state)
{
    struct replay_target target = {0};
    int listener = silent(&target);
    struct tap *tap = tap_new(TAP_MEMORY_LEAST);
    struct replay_conns *all = replay_conns_new(&target, tap);
    struct replay_conn *conn = replay_conn_new(all);
    struct replay_item *item = item_for("/");
    struct pollfd one;
    int64_t now = replay_now_ns();
    replay_conn_send(conn, item, now);
    assert_int_equal(replay_conn_deadline(conn), now + TAP_REPLAY_MS * INT64_C(1000000));
    one.fd = replay_conn_fd(conn, &one.events);
    assert_int_equal(poll(&one, 1, -1), 1);
    replay_conn_step(conn, one.revents, now); /* it is connected, and sends */
    assert_false(item->done);
    replay_conn_expire(conn, now + 7);
    assert_true(item->done);
    assert_string_equal(item->error, "no answer in time");
    assert_int_equal(item->now_ns, 7);
    assert_null(replay_conn_item(conn));
    assert_int_equal(replay_conn_fd(conn, &one.events), -1);
    replay_conn_free(conn);
    replay_conns_free(all);
    tap_free(tap);
    free_item(item);
    close(listener);
}

static void test_what_cannot_be_said_is_not_sent(void **state)
{
    struct replay_target target = {0};
    int listener = silent(&target);
    struct tap *tap = tap_new(TAP_MEMORY_LEAST);
    struct replay_conns *all = replay_conns_new(&target, tap);
    struct replay_conn *conn = replay_conn_new(all);
    struct replay_item *item = item_for("/a b");
    short events;
    replay_conn_send(conn, item, 0);
    assert_true(item->done);
    assert_string_equal(item->error, "cannot be said in HTTP/1.1");
    assert_int_equal(replay_conn_fd(conn, &events), -1);
    replay_conn_free(conn);
    replay_conns_free(all);
    tap_free(tap);
    free_item(item);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paces),
        cmocka_unit_test(test_who_does_not_answer_is_given_up),
        cmocka_unit_test(test_what_cannot_be_said_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
