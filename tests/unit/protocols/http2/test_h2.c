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

#define MEASURE "measures" /* the PING that does */

static void put_body_of(struct kit *k, uint32_t id, size_t len)
{
    static struct kit_bytes b;
    static const char body[16384];
    for (size_t n; len > 0; len -= n) {
        n = len < sizeof body ? len : sizeof body;
        b.len = 0;
        kit_frame(&b, 0, 0, id, body, n);
        assert_int_equal(kit_read(k, b.at, b.len), NU_OK);
    }
}

static void put_body(struct kit *k, size_t len)
{
    put_body_of(k, 1, len);
}

static void put_ack(struct kit *k, const char *ping)
{
    static struct kit_bytes b;
    b.len = 0;
    kit_frame(&b, 6, 1, 0, ping, 8);
    assert_int_equal(kit_read(k, b.at, b.len), NU_OK);
}

static unsigned pings(const struct kit *k)
{
    unsigned n = 0;
    for (size_t at = 0; at + 8 <= k->out_len; at++)
        n += memcmp(k->out + at, MEASURE, 8) == 0;
    return n;
}

static struct kit *begin_upload(void)
{
    static struct kit_bytes b;
    struct kit *k = kit_new(KIT_NEVER);
    k->conf.window_max = 1 << 18;
    kit_begin(k);
    b.len = 0;
    kit_preface(&b);
    kit_frame(&b, 1, 4, 1, post, sizeof post - 1);
    assert_int_equal(kit_read(k, b.at, b.len), NU_OK);
    return k;
}

/* Its window, once a window's worth was taken in `ms` behind a PING whose ACK took `rtt`. */
static uint32_t window_after(int64_t rtt, int64_t ms)
{
    struct kit *k = begin_upload();
    put_body(k, 65535);
    assert_int_equal(pings(k), 0);
    put_body(k, 1);
    assert_int_equal(pings(k), 1);
    put_ack(k, "another.");
    k->now_ms += rtt;
    put_ack(k, MEASURE);
    put_body(k, 65535);
    k->now_ms += ms - rtt;
    assert_int_equal(k->streams[0]->window, 65536);
    put_body(k, 1);
    uint32_t window = k->streams[0]->window;
    kit_free(k);
    return window;
}

static void windows_grow_with_bandwidth_and_delay(void **state)
{
    assert_int_equal(window_after(50, 50), 131072);
    assert_int_equal(window_after(50, 150), 131072);
    assert_int_equal(window_after(50, 151), 65536);
    assert_int_equal(window_after(400, 1200), 131072);
    assert_int_equal(window_after(400, 1201), 65536);
    assert_int_equal(window_after(0, 3), 131072); /* a millisecond is the least */
    assert_int_equal(window_after(0, 4), 65536);
}

/* The ACK may come last, where all goes through a window at once. */
static void an_ack_behind_a_burst(void **state)
{
    struct kit *k = begin_upload();
    put_body(k, 65536);
    put_body(k, 65536);
    assert_int_equal(k->streams[0]->window, 65536);
    k->now_ms = 70;
    put_ack(k, MEASURE);
    assert_int_equal(k->streams[0]->window, 131072);
    kit_free(k);
}

/* One measure at a time, the first behind a window's worth, the next at once if that one changed
 * something; else behind ever more. Once there is no more to gain there is none. */
static void windows_are_measured_until_they_are_large_enough(void **state)
{
    struct kit *k = begin_upload();
    const struct nu_h2_stream *st = k->streams[0];
    put_body(k, 65536);
    k->now_ms = 10;
    put_ack(k, MEASURE);
    k->now_ms = 1000;
    put_body(k, 1); /* in no hurry */
    put_body(k, 131071);
    assert_int_equal(pings(k), 1);
    put_body(k, 1);
    assert_int_equal(pings(k), 2);
    for (unsigned i = 0; i < 2; i++) {
        put_ack(k, MEASURE);
        assert_int_equal(st->window, 65536u << i);
        put_body(k, st->window);
        assert_int_equal(pings(k), 3);
    }
    assert_int_equal(st->window, 1 << 18);
    put_ack(k, MEASURE);
    put_body(k, 1 << 18);
    assert_int_equal(pings(k), 3);
    kit_free(k);
}

/* What is not taken is no bandwidth. */
static void a_stuck_stream_does_not_grow(void **state)
{
    struct kit *k = begin_upload();
    put_body(k, 65536);
    k->keep = true;
    put_body(k, 65000);
    put_ack(k, MEASURE);
    assert_int_equal(k->streams[0]->window, 65536);
    k->now_ms = 1000;
    nu_h2_took(k->streams[0], k->kept);
    nu_h2_write(k->h2, 65536, k->now_ms);
    assert_int_equal(k->streams[0]->window, 65536);
    kit_free(k);
}

/* The ACK is for nobody then, but until it is there no other measure begins. */
static void a_stream_may_go_while_it_is_measured(void **state)
{
    static struct kit_bytes b;
    struct kit *k = begin_upload();
    put_body(k, 65536);
    b.len = 0;
    kit_frame(&b, 3, 0, 1, "\0\0\0\x08", 4);
    assert_int_equal(kit_read(k, b.at, b.len), NU_OK);
    b.len = 0;
    kit_frame(&b, 1, 4, 3, post, sizeof post - 1);
    assert_int_equal(kit_read(k, b.at, b.len), NU_OK);
    assert_int_equal(k->streams[0]->id, 3);
    put_body_of(k, 3, 65536);
    assert_int_equal(pings(k), 1);
    put_ack(k, MEASURE);
    assert_int_equal(k->streams[0]->window, 65536);
    put_body_of(k, 3, 1);
    assert_int_equal(pings(k), 2);
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

/* A request whose body is three frames, of that priority; NULL: without a word of it. */
static void put_asking(struct kit_bytes *b, uint32_t id, const char *priority)
{
    char block[64];
    size_t len = sizeof post - 1, n = priority ? strlen(priority) : 0;
    memcpy(block, post, len);
    if (priority) {
        memcpy(block + len, "\x00\x08priority", 10);
        block[len + 10] = (char)n;
        memcpy(block + len + 11, priority, n);
        len += 11 + n;
    }
    kit_frame(b, 1, 5, id, block, len);
}

static void put_update(struct kit_bytes *b, uint32_t id, const char *priority)
{
    char payload[64] = {0, 0, 0, (char)id};
    memcpy(payload + 4, priority, strlen(priority));
    kit_frame(b, 16, 0, 0, payload, 4 + strlen(priority));
}

/* The streams of the DATA that was sent, a digit for each frame; what was sent is forgotten. */
static void data_order(struct kit *k, char out[16])
{
    size_t n = 0;
    for (size_t at = 0; at + 9 <= k->out_len;) {
        const uint8_t *f = (const uint8_t *)k->out + at;
        if (f[3] == 0 && n < 15)
            out[n++] = (char)('0' + f[8]);
        at += 9 + ((size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2]);
    }
    out[n] = 0;
    k->out_len = 0;
}

/* Two requests at once: what they say, what is said of them by frames before and behind them, and
 * in which order their DATA goes. */
static const struct priority_row {
    const char *first, *second, *before, *behind, *order;
} priority_rows[] = {
    {"u=5",              "u=1",  NULL,  NULL,     "333111"},
    {"u=1",              "u=5",  NULL,  NULL,     "111333"},
    {"u=0, i",           "u=3",  NULL,  NULL,     "111333"},
    {"u=3",              "u=3",  NULL,  NULL,     "111333"},
    {"u=3, i",           "i",    NULL,  NULL,     "131313"},
    {NULL,               NULL,   NULL,  NULL,     "131313"},
    {NULL,               "u=2",  NULL,  NULL,     "333111"},
    {"u=4;x=\"y\", i;z", "u=3",  NULL,  NULL,     "333111"},
    {"u=9, i=1, abc",    "u=-1", NULL,  NULL,     "111333"},
    {"u=3",              "u=7",  "u=0", NULL,     "333111"},
    {NULL,               NULL,   "u=0", NULL,     "333111"},
    {"u=3",              "u=7",  NULL,  "u=0",    "333111"},
    {"i",                "u=7",  NULL,  "u=3, i", "131313"},
    {"u=2",              "u=1",  "u=0", "u=7",    "111333"},
};

/* Answers are three frames long. */
static struct kit *new_long(struct kit_bytes *b)
{
    struct kit *k = kit_new(KIT_AT_HEAD);
    k->body = 3 * 16384;
    kit_begin(k);
    b->len = 0;
    kit_preface(b);
    return k;
}

static void check_priority(const struct priority_row *row)
{
    static struct kit_bytes b;
    char order[16];
    struct kit *k = new_long(&b);
    kit_frame(&b, 8, 0, 0, "\0\x10\0\0", 4);
    if (row->before)
        put_update(&b, 3, row->before);
    put_asking(&b, 1, row->first);
    put_asking(&b, 3, row->second);
    if (row->behind)
        put_update(&b, 3, row->behind);
    assert_int_equal(kit_read(k, b.at, b.len), NU_OK);
    data_order(k, order);
    assert_string_equal(order, row->order);
    kit_free(k);
}

/* RFC 9218: urgency first, then one after the other, or in turns. */
static void the_urgent_go_first(void **state)
{
    for (size_t i = 0; i < sizeof priority_rows / sizeof *priority_rows; i++)
        check_priority(&priority_rows[i]);
}

/* What was begun gives way. */
static void an_update_in_mid_response(void **state)
{
    static struct kit_bytes b;
    char order[16];
    struct kit *k = new_long(&b);
    put_asking(&b, 1, "u=3");
    put_asking(&b, 3, "u=4");
    kit_read(k, b.at, b.len); /* the connection's window is 4 frames, less a byte */
    data_order(k, order);
    assert_string_equal(order, "1113");
    put_asking((b.len = 0, &b), 5, "u=5");
    put_update(&b, 5, "u=0");
    kit_frame(&b, 8, 0, 0, "\0\x10\0\0", 4);
    kit_read(k, b.at, b.len);
    data_order(k, order);
    assert_string_equal(order, "555333");
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
        cmocka_unit_test(windows_grow_with_bandwidth_and_delay),
        cmocka_unit_test(an_ack_behind_a_burst),
        cmocka_unit_test(a_stuck_stream_does_not_grow),
        cmocka_unit_test(windows_are_measured_until_they_are_large_enough),
        cmocka_unit_test(a_stream_may_go_while_it_is_measured),
        cmocka_unit_test(the_urgent_go_first),
        cmocka_unit_test(an_update_in_mid_response),
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
