/* Frames cut out of bytes: headers, every split point, what comes whole. */
#include "protocols/ws/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void headers(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint64_t payload;
        uint8_t header;
        bool masked, minimal;
    } rows[] = {
        {"\x81\x00",                                                 2,  0,          2,  false, true },
        {"\x81\x7d",                                                 2,  125,        2,  false, true },
        {"\x81\x7e\x00\x7d",                                         4,  125,        4,  false, false},
        {"\x81\x7e\x00\x7e",                                         4,  126,        4,  false, true },
        {"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff",                 10, 65535,      10, false, false},
        {"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00",                 10, 65536,      10, false, true },
        {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04", 14, UINT64_MAX, 14, true,
         true                                                                                        },
        {"\x89\x81\x01\x02\x03\x04",                                 6,  1,          6,  true,  true },
    };
    struct nu_ws_header h;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint8_t *at = (const uint8_t *)rows[i].bytes;
        for (size_t len = 0; len < rows[i].len; len++)
            assert_false(nu_ws_read_header(at, len, &h));
        assert_true(nu_ws_read_header(at, rows[i].len, &h));
        assert_int_equal(h.len, rows[i].payload);
        assert_int_equal(h.bytes, rows[i].header);
        assert_int_equal(h.masked, rows[i].masked);
        assert_int_equal(h.minimal, rows[i].minimal);
        if (h.masked)
            assert_memory_equal(h.mask, "\x01\x02\x03\x04", 4);
    }
}

static void what_is_written_can_be_read(void **state)
{
    uint8_t out[NU_WS_HEADER_MAX + NU_WS_CONTROL_MAX];
    assert_int_equal(nu_ws_write(out, 0x89, (const uint8_t *)"ab", 2, NULL), 4);
    assert_memory_equal(out,
                        "\x89\x02"
                        "ab",
                        4);
    assert_int_equal(
        nu_ws_write(out, 0x88, (const uint8_t *)"abcde", 5, (const uint8_t *)"\x01\x02\x03\x04"),
        11);
    assert_memory_equal(out, "\x88\x85\x01\x02\x03\x04\x60\x60\x60\x60\x64", 11);
}

/* Frames of all kinds behind each other, the way they are sent. */
static size_t make_stream(uint8_t *out)
{
    size_t at = 0;
    memcpy(out,
           "\x01\x03"
           "abc"
           "\x89\x85\x01\x02\x03\x04"
           "hello"
           "\x80\x00"
           "\x82\x7e\x00\x80",
           22);
    at = 22;
    memset(out + 22, 'x', 128);
    at += 128;
    memcpy(out + at, "\x88\x02\x03\xe8", 4);
    return at + 4;
}

struct seen {
    uint8_t bytes[256];
    size_t len;
    unsigned begun, ended, controls_cut;
};

static void take(struct seen *seen, struct nu_msg *msg)
{
    memcpy(seen->bytes + seen->len, msg->data.data, msg->data.len);
    seen->len += msg->data.len;
    seen->begun += msg->head > 0;
    seen->ended += msg->last;
    if (nu_ws_is_control(msg->first) && (!msg->last || !msg->head))
        seen->controls_cut++;
    assert_true(msg->data.len > 0);
    nu_slice_drop(&msg->data);
}

static void feed(struct nu_ws_cutter *c, struct nu_block_pool *pool, const uint8_t *at, size_t len,
                 struct seen *seen)
{
    struct nu_slice in = nu_slice_copy(pool, at, len);
    struct nu_msg msg;
    while (nu_ws_cut(c, pool, &in, &msg))
        take(seen, &msg);
    assert_int_equal(in.len, 0);
}

/* Wherever reads cut, the same bytes come out, each frame begins and ends once, and control frames
 * are whole. */
static void every_two_cuts(void **state)
{
    struct nu_block_pool *pool = nu_block_pool_new();
    uint8_t stream[256];
    size_t len = make_stream(stream);
    for (size_t i = 0; i <= len; i++)
        for (size_t k = i; k <= len; k++) {
            struct nu_ws_cutter c = {0};
            struct seen seen = {.len = 0};
            feed(&c, pool, stream, i, &seen);
            feed(&c, pool, stream + i, k - i, &seen);
            feed(&c, pool, stream + k, len - k, &seen);
            assert_int_equal(seen.len, len);
            assert_memory_equal(seen.bytes, stream, len);
            assert_int_equal(seen.begun, 5);
            assert_int_equal(seen.ended, 5);
            assert_int_equal(seen.controls_cut, 0);
            nu_ws_cutter_free(&c);
        }
    assert_int_equal(nu_block_pool_lent(pool), 0);
    nu_block_pool_free(pool);
}

static void byte_by_byte(void **state)
{
    struct nu_block_pool *pool = nu_block_pool_new();
    uint8_t stream[256];
    size_t len = make_stream(stream);
    struct nu_ws_cutter c = {0};
    struct seen seen = {.len = 0};
    for (size_t i = 0; i < len; i++)
        feed(&c, pool, stream + i, 1, &seen);
    assert_memory_equal(seen.bytes, stream, len);
    assert_int_equal(seen.ended, 5);
    assert_int_equal(seen.controls_cut, 0);
    nu_block_pool_free(pool);
}

/* What is only looked at is what would be cut, and nothing is held of it. */
static void peeking_is_cutting(void **state)
{
    struct nu_block_pool *pool = nu_block_pool_new();
    uint8_t stream[256];
    size_t len = make_stream(stream);
    for (size_t upto = 0; upto <= len; upto++) {
        struct nu_ws_cutter looks = {0}, cuts = {0};
        struct nu_slice in = nu_slice_copy(pool, stream, upto);
        struct nu_msg seen, msg;
        size_t at = 0;
        for (; at < upto && nu_ws_peek(&looks, stream + at, upto - at, &seen);
             at += seen.data.len) {
            assert_true(nu_ws_cut(&cuts, pool, &in, &msg));
            assert_memory_equal(seen.data.data, msg.data.data, seen.data.len);
            assert_int_equal(seen.data.len, msg.data.len);
            assert_int_equal(seen.first, msg.first);
            assert_int_equal(seen.head, msg.head);
            assert_int_equal(seen.last, msg.last);
            assert_null(seen.data.block);
            nu_slice_drop(&msg.data);
        }
        assert_false(nu_ws_cut(&cuts, pool, &in, &msg));
        assert_int_equal(cuts.held.len, upto - at);
        assert_int_equal(looks.held.len, 0);
        assert_int_equal(looks.left, cuts.left);
        nu_ws_cutter_free(&cuts);
    }
    assert_int_equal(nu_block_pool_lent(pool), 0);
    nu_block_pool_free(pool);
}

/* A control frame that is longer than one may be is not waited for; nor is a stream that ends. */
static void what_is_not_held(void **state)
{
    struct nu_block_pool *pool = nu_block_pool_new();
    struct nu_ws_cutter c = {0};
    struct seen seen = {.len = 0};
    feed(&c, pool, (const uint8_t *)"\x89\x7e\x00\x7e", 4, &seen);
    assert_int_equal(seen.begun, 1);
    assert_int_equal(c.left, 126);
    c = (struct nu_ws_cutter){0};
    feed(&c, pool, (const uint8_t *)"\x89\x02x", 3, &seen);
    assert_int_equal(seen.begun, 1);
    assert_true(nu_block_pool_lent(pool) > 0);
    nu_ws_cutter_free(&c);
    assert_int_equal(nu_block_pool_lent(pool), 0);
    nu_block_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),          cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(every_two_cuts),   cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(what_is_not_held), cmocka_unit_test(peeking_is_cutting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
