/* The HTTP/2 codec as its users see it: the same at every split point, windows, queues, ends. What
 * a peer may do wrong is tests/e2e/h2_must.tsv. */
#include "tests/unit/protocols/http2/h2_kit.h"

#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

/* :method POST, :scheme http, :path /, :authority a.test (not indexed). */
static const char post[] = "\x83\x86\x84\x01\x06"
                           "a.test";
static const char trailers[] = "\x00\x01x\x01y";

static void conversation(struct kit_bytes *b)
{
    kit_preface(b);
    kit_frame(b, 1, 0, 1, post, 5);                   /* HEADERS, cut */
    kit_frame(b, 9, 4, 1, post + 5, sizeof post - 6); /* CONTINUATION */
    kit_frame(b, 0, 0, 1, "abc", 3);
    kit_frame(b, 6, 0, 0, "12345678", 8);
    kit_frame(b, 0, 8, 1,
              "\x02"
              "de\0\0",
              5); /* padded */
    kit_frame(b, 1, 5, 1, trailers, sizeof trailers - 1);
    kit_frame(b, 1, 5, 3, post, sizeof post - 1);
}

/* DATA may come in more pieces; what it says is the same. */
static void check_split(const struct kit_bytes *b, size_t first, size_t step, const char *diary)
{
    struct kit *k = kit_new(KIT_AT_END);
    kit_begin(k);
    for (size_t at = 0, n = first; at < b->len; at += n, n = step) {
        n = n < b->len - at ? n : b->len - at;
        if (n > 0)
            assert_int_equal(kit_read(k, b->at + at, n), NU_OK);
    }
    assert_string_equal(k->diary, diary);
    assert_int_equal(k->sent, 2);
    kit_free(k);
}

static void every_split_reads_the_same(void **state)
{
    static struct kit_bytes b;
    b.len = 0;
    conversation(&b);
    const char *diary = "head 1 POST / \nabcde\ntrail 1 1\nend 1\nhead 3 POST / \n\nend 3\n";
    for (size_t at = 0; at < b.len; at++)
        check_split(&b, at, b.len - at, diary);
    check_split(&b, 1, 1, diary);
}

static bool has_frame(const struct kit *k, unsigned type, uint32_t stream)
{
    for (size_t at = 0; at + 9 <= k->out_len;) {
        const uint8_t *f = (const uint8_t *)k->out + at;
        size_t len = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        if (f[3] == type && ((uint32_t)f[7] << 8 | f[8]) == stream)
            return true;
        at += 9 + len;
        assert_true(at <= k->out_len);
    }
    return false;
}

/* The connection's window is given back at once, the stream's when its bytes were taken. */
static void a_stream_that_is_not_taken_holds_its_own_window_only(void **state)
{
    static struct kit_bytes b;
    static const char body[16384];
    struct kit *k = kit_new(KIT_NEVER);
    k->conf.conn_window = 65536;
    k->keep = true;
    kit_begin(k);
    b.len = 0;
    kit_preface(&b);
    kit_frame(&b, 1, 4, 1, post, sizeof post - 1);
    for (int i = 0; i < 3; i++)
        kit_frame(&b, 0, 0, 1, body, sizeof body);
    assert_int_equal(kit_read(k, b.at, b.len), NU_OK);
    assert_int_equal(k->kept, 3 * sizeof body);
    assert_true(has_frame(k, 8, 0));
    assert_false(has_frame(k, 8, 1));
    nu_h2_took(k->streams[0], k->kept);
    nu_h2_write(k->h2, 65536, 0);
    assert_true(has_frame(k, 8, 1));
    kit_free(k);
}

static void a_full_queue_says_so_and_when_there_is_room(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_AT_HEAD);
    k->body = 200000;
    kit_begin(k);
    b.len = 0;
    kit_preface(&b);
    kit_frame(&b, 1, 5, 1, post, sizeof post - 1);
    kit_read(k, b.at, b.len);
    assert_non_null(strstr(k->diary, "full 1"));
    assert_int_equal(k->room, 0);
    assert_int_equal(k->streams[0]->queued, 200000 - 65535);
    b.len = 0;
    kit_frame(&b, 8, 0, 0, "\0\x10\0\0", 4);
    kit_frame(&b, 8, 0, 1, "\0\x10\0\0", 4);
    kit_read(k, b.at, b.len);
    assert_int_equal(k->sent, 1);
    kit_free(k);
}

/* What asks for a tunnel, as a block of fields behind :scheme, :path and :authority of a.test. */
#define FOR_TUNNEL                                                                                 \
    "\x02\x07"                                                                                     \
    "CONNECT"                                                                                      \
    "\x86\x84\x01\x06"                                                                             \
    "a.test"                                                                                       \
    "\x00\x09"                                                                                     \
    ":protocol"                                                                                    \
    "\x09"                                                                                         \
    "websocket"

/* Extended CONNECT is GET with an upgrade; opened, each half ends by itself, and no header fields
 * have a place in it. */
static void a_tunnel(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin(k);
    b.len = 0;
    kit_preface(&b);
    kit_frame(&b, 1, 4, 1, FOR_TUNNEL, sizeof FOR_TUNNEL - 1);
    kit_read(k, b.at, b.len);
    struct nu_h2_stream *st = k->streams[0];
    assert_string_equal(k->diary, "head 1 GET / \n");
    assert_true(nu_text_is(st->head->upgrade, "websocket"));
    struct nu_http_head *head = nu_http_head_new(st->arena);
    head->status = 101;
    head->body = NU_BODY_TUNNEL;
    nu_h2_say_head(st, head);
    nu_h2_say_data(st, (struct nu_slice){(const uint8_t *)"ok", 2, NULL});
    nu_h2_write(k->h2, 65536, 0);
    assert_true(has_frame(k, 0, 1));
    b.len = 0;
    kit_frame(&b, 0, 0, 1, "abc", 3);
    kit_frame(&b, 1, 5, 1, FOR_TUNNEL, sizeof FOR_TUNNEL - 1);
    kit_read(k, b.at, b.len);
    assert_string_equal(k->diary, "head 1 GET / \nabc\nbad 1 http2.headers_in_tunnel\n"
                                  "cut 1 PROTOCOL_ERROR peer\n");
    assert_true(has_frame(k, 3, 1));
    kit_free(k);
}

static void who_leaves_resets(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_LEAVE);
    kit_begin(k);
    b.len = 0;
    kit_preface(&b);
    kit_frame(&b, 1, 5, 1, post, sizeof post - 1);
    kit_read(k, b.at, b.len);
    assert_true(has_frame(k, 3, 1));
    assert_int_equal(nu_h2_active(k->h2), 0);
    kit_free(k);
}

static void early(struct kit *k, struct kit_bytes *b)
{
    kit_begin(k);
    kit_preface(b);
    kit_frame(b, 1, 4, 1, post, sizeof post - 1);
    kit_read(k, b->at, b->len);
    b->len = 0;
    assert_int_equal(k->sent, 1);
    assert_int_equal(nu_h2_due(k->h2), NU_H2_REST_MS);
}

/* Behind an early answer the rest is let come, whatever it is, and the stream is over with it. */
static void the_rest_of_a_request_may_still_come(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_AT_HEAD);
    b.len = 0;
    early(k, &b);
    kit_frame(&b, 0, 0, 1, "abc", 3);
    kit_frame(&b, 1, 4, 1, trailers, sizeof trailers - 1); /* which do not end it */
    kit_frame(&b, 0, 1, 1, "", 0);
    kit_read(k, b.at, b.len);
    assert_string_equal(k->diary, "head 1 POST / \n");
    assert_true(has_frame(k, 6, 0)); /* curl is woken */
    assert_false(has_frame(k, 3, 1));
    assert_int_equal(nu_h2_active(k->h2), 0);
    assert_int_equal(nu_h2_due(k->h2), 0);
    kit_free(k);
}

/* As far as the stream's window goes, and not for ever. */
static void a_rest_without_end_is_reset(void **state)
{
    static struct kit_bytes b;
    static const char body[16384];
    struct kit *k = kit_new(KIT_AT_HEAD);
    b.len = 0;
    early(k, &b);
    for (unsigned i = 0; i < 3; i++)
        kit_frame(&b, 0, 0, 1, body, sizeof body);
    kit_read(k, b.at, b.len);
    assert_false(has_frame(k, 8, 1));
    nu_h2_expire(k->h2, NU_H2_REST_MS - 1);
    kit_read(k, "", 0);
    assert_false(has_frame(k, 3, 1));
    nu_h2_expire(k->h2, NU_H2_REST_MS);
    kit_read(k, "", 0);
    assert_true(has_frame(k, 3, 1));
    assert_int_equal(k->out[k->out_len - 1], NU_H2_CODE_NO_ERROR);
    assert_int_equal(nu_h2_active(k->h2), 0);
    kit_free(k);
}

/* The second GOAWAY waits for the answer to the PING of the first, and takes no other for it. */
static void a_drain_knows_its_ping(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin(k);
    b.len = 0;
    kit_preface(&b);
    kit_frame(&b, 1, 5, 1, post, sizeof post - 1);
    kit_read(k, b.at, b.len);
    nu_h2_ping(k->h2);
    nu_h2_drain(k->h2);
    kit_read(k, "", 0);
    size_t before = k->out_len;
    assert_memory_equal(k->out + before - 8, "draining", 8);
    b.len = 0;
    kit_frame(&b, 6, 1, 0, "\0\0\0\0\0\0\0", 8);
    kit_read(k, b.at, b.len);
    assert_int_equal(k->out_len, before);
    b.len = 0;
    kit_frame(&b, 6, 1, 0, "draining", 8);
    kit_read(k, b.at, b.len);
    assert_int_equal(k->out_len, before + 17);
    assert_int_equal(k->out[before + 3], 7);
    assert_int_equal(k->out[before + 12], 1); /* the last stream */
    kit_free(k);
}

/* A stream's user may outlive the connection: what it says goes nowhere. */
static void users_may_outlive_the_codec(void **state)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    kit_begin(k);
    b.len = 0;
    kit_preface(&b);
    kit_frame(&b, 1, 4, 1, post, sizeof post - 1);
    kit_read(k, b.at, b.len);
    nu_h2_free(k->h2);
    k->h2 = NULL;
    struct nu_h2_stream *st = k->streams[0];
    assert_false(st->open);
    nu_h2_took(st, 1);
    kit_respond(k, st);
    kit_free(k);
}

static void buckets_refill(void **state)
{
    struct nu_h2_buckets b = {0};
    for (unsigned i = 0; i < 100; i++)
        assert_true(nu_h2_flood_take(&b, NU_H2_FLOOD_EMPTY, 1000));
    assert_false(nu_h2_flood_take(&b, NU_H2_FLOOD_EMPTY, 1000));
    assert_true(nu_h2_flood_take(&b, NU_H2_FLOOD_EMPTY, 1050)); /* 20 a second */
    assert_false(nu_h2_flood_take(&b, NU_H2_FLOOD_EMPTY, 1050));
    nu_h2_flood_allow(&b, NU_H2_FLOOD_EMPTY, 1);
    assert_true(nu_h2_flood_take(&b, NU_H2_FLOOD_EMPTY, 1050));
    assert_true(nu_h2_flood_take(&b, NU_H2_FLOOD_EMPTY, INT64_C(1) << 40));
    for (int i = 0; i < NU_H2_FLOODS; i++)
        assert_true(*nu_h2_flood_str((enum nu_h2_flood)i));
}

static void the_preface_is_known_by_its_first_bytes(void **state)
{
    assert_int_equal(nu_h2_is_preface("P", 1), NU_MORE);
    assert_int_equal(nu_h2_is_preface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", 23), NU_MORE);
    assert_int_equal(nu_h2_is_preface(NU_H2_PREFACE "more", 28), NU_OK);
    assert_int_equal(nu_h2_is_preface("PUT", 3), NU_NOT_THIS);
    assert_int_equal(nu_h2_is_preface("PRI * HTTP/1.1", 14), NU_NOT_THIS);
    assert_string_equal(nu_h2_code_str(NU_H2_CODE_CANCEL), "CANCEL");
    assert_string_equal(nu_h2_code_str(99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_reads_the_same),
        cmocka_unit_test(a_stream_that_is_not_taken_holds_its_own_window_only),
        cmocka_unit_test(a_full_queue_says_so_and_when_there_is_room),
        cmocka_unit_test(a_tunnel),
        cmocka_unit_test(who_leaves_resets),
        cmocka_unit_test(the_rest_of_a_request_may_still_come),
        cmocka_unit_test(a_rest_without_end_is_reset),
        cmocka_unit_test(a_drain_knows_its_ping),
        cmocka_unit_test(users_may_outlive_the_codec),
        cmocka_unit_test(buckets_refill),
        cmocka_unit_test(the_preface_is_known_by_its_first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
