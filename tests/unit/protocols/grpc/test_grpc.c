/* Fields of gRPC: whose requests these are, statuses, timeouts, messages. */
#include "protocols/grpc/grpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static struct nu_text text(const char *s)
{
    return nu_text(s, strlen(s));
}

static void content_types(void **state)
{
    static const struct {
        const char *type;
        bool grpc;
    } rows[] = {
        {"application/grpc",             true },
        {"application/grpc+proto",       true },
        {"APPLICATION/gRPC+json",        true },
        {"application/grpc; charset=x",  true },
        {"application/grpc;x",           true },
        {"application/grpc-web",         false},
        {"application/grpc-web+proto",   false},
        {"application/grpcx",            false},
        {"application/grp",              false},
        {"application/json",             false},
        {"text/plain; application/grpc", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_arena *arena = nu_arena_new(1024);
        struct nu_http_head *head = nu_http_head_new(arena);
        assert_false(nu_grpc_is(head));
        nu_http_add_known(head, NU_HDR_CONTENT_TYPE, text(rows[i].type));
        if (nu_grpc_is(head) != rows[i].grpc)
            fail_msg("%s", rows[i].type);
        nu_arena_free(arena);
    }
}

static void statuses(void **state)
{
    assert_int_equal(nu_grpc_status_read(text("0")), NU_GRPC_OK);
    assert_int_equal(nu_grpc_status_read(text("16")), NU_GRPC_UNAUTHENTICATED);
    assert_int_equal(nu_grpc_status_read(text("999")), 999);
    static const char *const bad[] = {"", "-1", "1000", "1 ", " 1", "1x", "OK", "+1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(nu_grpc_status_read(text(bad[i])), -1);
    assert_string_equal(nu_grpc_status_str(NU_GRPC_DEADLINE_EXCEEDED), "DeadlineExceeded");
    assert_string_equal(nu_grpc_status_snake(NU_GRPC_DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
    assert_int_equal(NU_GRPC_UNAUTHENTICATED, 16);

    static const unsigned http[][2] = {
        {400, 13},
        {401, 16},
        {403, 7 },
        {404, 12},
        {429, 14},
        {502, 14},
        {503, 14},
        {504, 14},
        {200, 2 },
        {301, 2 },
        {405, 2 },
        {408, 2 },
        {413, 2 },
        {500, 2 },
    };
    for (size_t i = 0; i < sizeof http / sizeof *http; i++)
        assert_int_equal(nu_grpc_status_of_http(http[i][0]), http[i][1]);
}

static void timeouts(void **state)
{
    static const struct {
        const char *value;
        int64_t ms;
    } rows[] = {
        {"0n",        0                       },
        {"1n",        1                       },
        {"1000000n",  1                       },
        {"1000001n",  2                       },
        {"99999999n", 100                     },
        {"1u",        1                       },
        {"1000u",     1                       },
        {"1001u",     2                       },
        {"250m",      250                     },
        {"3S",        3000                    },
        {"2M",        120000                  },
        {"1H",        3600000                 },
        {"00000001H", 3600000                 },
        {"99999999H", INT64_C(359999996400000)},
    };
    int64_t ms;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(nu_grpc_timeout_read(text(rows[i].value), &ms), NU_OK);
        if (ms != rows[i].ms)
            fail_msg("%s is %lld ms", rows[i].value, (long long)ms);
    }
    static const char *const bad[] = {"",    "m",   "1",   "1s",  "1h",   "-1m", "100000000m",
                                      "1 m", " 1m", "1m ", "1mm", "1.5S", "0x1S"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ms = 7;
        if (nu_grpc_timeout_read(text(bad[i]), &ms) != NU_ERR_SYNTAX || ms != 0)
            fail_msg("\"%s\" was read as %lld ms", bad[i], (long long)ms);
    }
}

static void timeouts_are_written(void **state)
{
    static const struct {
        int64_t ms;
        const char *value;
    } rows[] = {
        {0,                      "0m"       },
        {1,                      "1m"       },
        {99999999,               "99999999m"},
        {100000000,              "100000S"  },
        {INT64_C(99999999999),   "99999999S"},
        {INT64_C(100000000000),  "1666666M" },
        {INT64_C(6000000000000), "1666666H" },
        {INT64_MAX,              "99999999H"},
    };
    struct nu_arena *arena = nu_arena_new(1024);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_text value = nu_grpc_timeout_write(arena, rows[i].ms);
        if (!nu_text_is(value, rows[i].value))
            fail_msg("%lld ms is %.*s", (long long)rows[i].ms, (int)value.len, value.at);
        assert_true(value.len < NU_GRPC_TIMEOUT_MAX);
    }
    nu_arena_free(arena);
}

static void messages(void **state)
{
    static const char *const rows[][2] = {
        {"",                    ""                   },
        {"no healthy upstream", "no healthy upstream"},
        {"100%",                "100%25"             },
        {"a\r\nb: c",           "a%0D%0Ab: c"        },
        {"gr\xc3\xbc\xc3\x9f",  "gr%C3%BC%C3%9F"     },
        {" a ",                 "%20a%20"            },
        {"~\x7f\t",             "~%7F%09"            },
    };
    struct nu_arena *arena = nu_arena_new(1024);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_text value = nu_grpc_message_write(arena, text(rows[i][0]));
        if (!nu_text_is(value, rows[i][1]))
            fail_msg("%s became %.*s", rows[i][0], (int)value.len, value.at);
    }
    nu_arena_free(arena);
}

/* No character is cut in two. */
static void long_messages_are_cut(void **state)
{
    static char euros[3 * 400 + 1]; /* 1200 bytes, so 1024 lies within the 342nd */
    for (unsigned i = 0; i < 400; i++)
        memcpy(euros + (size_t)3 * i, "\xe2\x82\xac", 3);
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_text value = nu_grpc_message_write(arena, text(euros));
    assert_int_equal(value.len, 341 * 9);
    assert_memory_equal(value.at + value.len - 9, "%E2%82%AC", 9);
    memset(euros, 'a', 1200);
    assert_int_equal(nu_grpc_message_write(arena, text(euros)).len, NU_GRPC_MESSAGE_MAX_BYTES);
    memset(euros, 0x80, 1200); /* no UTF-8 at all */
    assert_int_equal(nu_grpc_message_write(arena, text(euros)).len,
                     (NU_GRPC_MESSAGE_MAX_BYTES - 3) * 3);
    nu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_types), cmocka_unit_test(statuses),
        cmocka_unit_test(timeouts),      cmocka_unit_test(timeouts_are_written),
        cmocka_unit_test(messages),      cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
