/* pcapng as it is written: what the reader makes of it, and what only other readers see. */
#include "protocols/capture/capture.h"
#include "protocols/capture/write.h"
#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nu_piece piece(const char *text)
{
    return (struct nu_piece){(const uint8_t *)text, strlen(text)};
}

static void test_what_is_written_is_read(void **state)
{
    struct seeded random = seeded_start("test_what_is_written_is_read");
    struct nu_capture_out out = {0};
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    uint8_t bytes[300];
    size_t at = 0, used;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)seeded_next(&random);
    nu_capture_put_section(&out, "test");
    nu_capture_put_interface(&out, 1, 0, "eth0");
    nu_capture_put_interface(&out, 101, 65535, NULL);
    for (uint32_t len = 0; len <= sizeof bytes; len++) {
        struct nu_capture_packet p = {
            .interface = len % 2,
            .frame = {bytes, len},
            .wire_len = len + 7,
            .time_ns = 1700000000123456789 + len,
            .way = (enum nu_capture_way)(len % 3)
        };
        p.comment = len % 5 ? piece("") : piece("a story");
        nu_capture_put_packet(&out, &p);
    }
    for (uint32_t len = 0; len <= sizeof bytes; len++, at += used) {
        assert_int_equal(nu_capture_next(c, out.data + at, out.len - at, &used, &ev), NU_OK);
        assert_int_equal(ev.kind, NU_CAPTURE_PACKET);
        assert_int_equal(ev.len, len);
        assert_memory_equal(ev.data, bytes, len);
        assert_int_equal(ev.wire_len, len + 7);
        assert_int_equal(ev.link, len % 2 ? 101 : 1);
        assert_int_equal(ev.time_ns, 1700000000123456789 + len);
    }
    assert_int_equal(nu_capture_next(c, out.data + at, out.len - at, &used, &ev), NU_MORE);
    assert_true(nu_capture_may_end(c, out.len - at - used));
    nu_capture_free(c);
    nu_capture_out_free(&out);
}

static void test_secrets(void **state)
{
    static const char log[] = "CLIENT_RANDOM 00 11\n";
    struct nu_capture_out out = {0};
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t used;
    nu_capture_put_section(&out, NULL);
    nu_capture_put_secrets(&out, piece(log));
    assert_int_equal(nu_capture_next(c, out.data, out.len, &used, &ev), NU_OK);
    assert_int_equal(ev.kind, NU_CAPTURE_SECRETS);
    assert_int_equal(ev.len, sizeof log - 1);
    assert_memory_equal(ev.data, log, ev.len);
    assert_int_equal(used, out.len);
    nu_capture_free(c);
    nu_capture_out_free(&out);
}

static void test_options_of_a_packet(void **state)
{
    static const uint8_t end[] = {
        1,           0, 5, 0, 'h', 'e', 'l', 'l', 'o', 0, 0, 0, /* opt_comment, padded */
        2,           0, 4, 0, 2,   0,   0,   0,   0,   0, 0, 0, /* epb_flags: outbound; the end */
        32 + 4 + 24, 0, 0, 0,                                   /* the block's length again */
    };
    struct nu_capture_out out = {0};
    nu_capture_put_packet(&out, &(struct nu_capture_packet){.frame = piece("abc"),
                                                            .wire_len = 3,
                                                            .comment = piece("hello"),
                                                            .way = NU_CAPTURE_OUT});
    assert_int_equal(out.len, 32 + 4 + 24);
    assert_memory_equal(out.data + out.len - sizeof end, end, sizeof end);
    nu_capture_out_free(&out);
}

static void test_a_long_comment_ends_between_letters(void **state)
{
    struct nu_capture_out out = {0};
    struct nu_capture_packet p = {.comment.len = NU_CAPTURE_COMMENT_MAX + 1};
    char *text = malloc(p.comment.len);
    uint16_t len;
    assert_non_null(text);
    for (size_t i = 0; i < p.comment.len; i++)
        text[i] = i % 2 ? '\xc3' : '\xa9'; /* the cap falls between the two bytes of a letter */
    p.comment.data = (uint8_t *)text;
    size_t room = nu_capture_packet_room(&p);
    nu_capture_put_packet(&out, &p);
    assert_true(out.len <= room);
    memcpy(&len, out.data + 28 + 2, sizeof len);
    assert_int_equal(len, NU_CAPTURE_COMMENT_MAX - 1);
    free(text);
    nu_capture_out_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_options_of_a_packet),
        cmocka_unit_test(test_a_long_comment_ends_between_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
