/* Streams of frames that may be, and those that may not: a row each, at every cut. */
#include "protocols/ws/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIMITS                                                                                     \
    {                                                                                              \
        .max_frame = 100, .max_message = 150, .validate = true                                     \
    }
#define TEN     "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define M       "\x00\x00\x00\x00" /* a mask that changes nothing */

enum { CLIENT = 1, DEFLATE = 2 };

static const struct row {
    const char *bytes;
    size_t len;
    unsigned flags;
    enum nu_ws_error error;
} rows[] = {
#define ROW(bytes, flags, error)                                                                   \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, flags, error                                                     \
    }
    ROW("\x81\x02hi\x82\x01\xff\x89\x00\x8a\x01x", 0, NU_WS_OK),
    ROW("\x81\x82" M "hi", CLIENT, NU_WS_OK),
    ROW("\x81\x02hi", CLIENT, NU_WS_BAD_MASK),
    ROW("\x81\x82" M "hi", 0, NU_WS_BAD_MASK),
    ROW("\x01\x01\xc3\x89\x00\x80\x01\xa9\x81\x01x", 0, NU_WS_OK),
    ROW("\x01\x01\xc3\x80\x01x", 0, NU_WS_BAD_TEXT),
    ROW("\x01\x00\x80\x00\x81\x00", 0, NU_WS_OK),
    ROW("\x81\x01\xc3", 0, NU_WS_BAD_TEXT),
    ROW("\x02\x01\xff\x80\x01\xff", 0, NU_WS_OK),
    ROW("\xc1\x01x", 0, NU_WS_BAD_RESERVED_BITS),
    ROW("\xc1\x01\xff", DEFLATE, NU_WS_OK),
    ROW("\x41\x01\xff\x80\x01\xfe", DEFLATE, NU_WS_OK),
    ROW("\x01\x01x\xc0\x01x", DEFLATE, NU_WS_BAD_RESERVED_BITS),
    ROW("\xc9\x00", DEFLATE, NU_WS_BAD_RESERVED_BITS),
    ROW("\xa1\x00", DEFLATE, NU_WS_BAD_RESERVED_BITS),
    ROW("\xc1\x01\xff\x81\x01\xff", DEFLATE, NU_WS_BAD_TEXT),
    ROW("\x83\x00", 0, NU_WS_BAD_RESERVED_OPCODE),
    ROW("\x8b\x00", 0, NU_WS_BAD_RESERVED_OPCODE),
    ROW("\x81\x7e\x00\x01x", 0, NU_WS_BAD_LENGTH),
    ROW("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 0, NU_WS_BAD_LENGTH),
    ROW("\x89\x7e\x00\x7e", 0, NU_WS_BAD_CONTROL_LONG),
    ROW("\x09\x00", 0, NU_WS_BAD_CONTROL_CUT),
    ROW("\x80\x00", 0, NU_WS_BAD_ORPHAN),
    ROW("\x81\x00\x80\x00", 0, NU_WS_BAD_ORPHAN),
    ROW("\x01\x00\x82\x00", 0, NU_WS_BAD_INTERLEAVED),
    ROW("\x88\x00", 0, NU_WS_OK),
    ROW("\x88\x01x", 0, NU_WS_BAD_CLOSE_SHORT),
    ROW("\x88\x05\x03\xe8"
        "bye",
        0, NU_WS_OK),
    ROW("\x88\x86" M "\x03\xe8\xe2\x82!!", CLIENT, NU_WS_BAD_CLOSE_TEXT),
    ROW("\x88\x03\x03\xe8\xc3", 0, NU_WS_BAD_CLOSE_TEXT),
    ROW("\x88\x02\x03\xe7", 0, NU_WS_BAD_CLOSE_CODE),
    ROW("\x88\x02\x03\xed", 0, NU_WS_BAD_CLOSE_CODE),
    ROW("\x88\x02\x13\x88", 0, NU_WS_BAD_CLOSE_CODE),
    ROW("\x82\x64" HUNDRED, 0, NU_WS_OK),
    ROW("\x82\x65" HUNDRED "x", 0, NU_WS_BAD_FRAME_LARGE),
    ROW("\x02\x64" HUNDRED "\x80\x32" TEN TEN TEN TEN TEN, 0, NU_WS_OK),
    ROW("\x02\x64" HUNDRED "\x80\x33", 0, NU_WS_BAD_MESSAGE_LARGE),
    ROW("\x82\x64" HUNDRED "\x82\x64" HUNDRED, 0, NU_WS_OK),
    ROW("\x02\x3c" TEN TEN TEN TEN TEN TEN "\x00\x3c" TEN TEN TEN TEN TEN TEN "\x80\x1f", 0,
        NU_WS_BAD_MESSAGE_LARGE),
    ROW("\x81\x84\x01\x82\x03\x04\xc2\x2b\x62\x25", CLIENT, NU_WS_OK), /* "\u00e9a!" */
#undef ROW
};

/* The first error of the stream, cut at one place. */
static enum nu_ws_error judge(struct nu_block_pool *pool, const struct row *row, size_t cut)
{
    static const struct nu_ws_rules rules = LIMITS;
    struct nu_ws_check check = {.masked = row->flags & CLIENT, .deflate = row->flags & DEFLATE};
    struct nu_ws_cutter cutter = {0};
    enum nu_ws_error error = NU_WS_OK;
    for (size_t part = 0; part < 2; part++) {
        struct nu_slice in =
            nu_slice_copy(pool, row->bytes + (part ? cut : 0), part ? row->len - cut : cut);
        struct nu_msg msg;
        while (nu_ws_cut(&cutter, pool, &in, &msg)) {
            if (!error)
                error = nu_ws_check(&check, &rules, &msg);
            nu_slice_drop(&msg.data);
        }
    }
    nu_ws_cutter_free(&cutter);
    return error;
}

static void rows_at_every_cut(void **state)
{
    struct nu_block_pool *pool = nu_block_pool_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t cut = 0; cut <= rows[i].len; cut++) {
            enum nu_ws_error error = judge(pool, &rows[i], cut);
            if (error != rows[i].error)
                fail_msg("row %zu, cut %zu: %s", i, cut, nu_ws_error_str(error));
        }
    assert_int_equal(nu_block_pool_lent(pool), 0);
    nu_block_pool_free(pool);
}

static void without_rules_only_sizes_count(void **state)
{
    static const struct nu_ws_rules rules = {.max_frame = 4};
    static const char odd[] = "\xf3\x02\xff\xff\x80\x00\x88\x01x\x89\x00";
    struct nu_block_pool *pool = nu_block_pool_new();
    struct nu_ws_check check = {.masked = true};
    struct nu_ws_cutter cutter = {0};
    struct nu_slice in = nu_slice_copy(pool, odd, sizeof odd - 1);
    struct nu_msg msg;
    while (nu_ws_cut(&cutter, pool, &in, &msg)) {
        assert_int_equal(nu_ws_check(&check, &rules, &msg), NU_WS_OK);
        nu_slice_drop(&msg.data);
    }
    assert_int_equal(check.code, NU_WS_CLOSE_NO_CODE);
    in = nu_slice_copy(pool, "\x82\x05", 2);
    assert_true(nu_ws_cut(&cutter, pool, &in, &msg));
    assert_int_equal(nu_ws_check(&check, &rules, &msg), NU_WS_BAD_FRAME_LARGE);
    nu_slice_drop(&msg.data);
    nu_slice_drop(&in);
    nu_block_pool_free(pool);
}

static void codes_that_may_be_sent(void **state)
{
    static const uint16_t good[] = {1000, 1003, 1007, 1011, 1014, 3000, 4999};
    static const uint16_t bad[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(nu_ws_code_ok(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(nu_ws_code_ok(bad[i]));
}

/* Reasons go into a Close, and details into the log. */
static void every_error_can_be_told(void **state)
{
    for (enum nu_ws_error e = NU_WS_OK + 1; e < NU_WS_ERROR_COUNT; e++) {
        assert_true(strncmp(nu_ws_error_str(e), "websocket_", 10) == 0);
        assert_true(strlen(nu_ws_error_reason(e)) <= NU_WS_CONTROL_MAX - 2);
        assert_true(nu_ws_code_ok(nu_ws_error_code(e)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_at_every_cut),
        cmocka_unit_test(without_rules_only_sizes_count),
        cmocka_unit_test(codes_that_may_be_sent),
        cmocka_unit_test(every_error_can_be_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
