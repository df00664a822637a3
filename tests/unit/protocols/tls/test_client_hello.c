/* The ClientHello reader: fields, splits over segments and records, everything malformed. */
#include "protocols/tls/client_hello.h"

#include "tests/unit/protocols/tls/hello_maker.h"
#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_text(const struct nu_client_hello *ch, struct nu_hello_span span,
                        const char *text)
{
    assert_int_equal(span.len, strlen(text));
    assert_memory_equal(nu_hello_bytes(ch, span), text, span.len);
}

static void assert_usual(const struct nu_client_hello *ch)
{
    struct nu_hello_span name;
    unsigned at = 0;
    assert_int_equal(ch->legacy_version, 0x0303);
    assert_int_equal(ch->record_version, 0x0301);
    assert_int_equal(ch->random.len, 32);
    assert_int_equal(nu_hello_bytes(ch, ch->random)[31], 31);
    assert_int_equal(ch->session_id.len, 0);
    assert_int_equal(ch->compressions.len, 1);
    assert_int_equal(ch->ciphers.len, 4);
    assert_int_equal(nu_hello_u16(ch, ch->ciphers, 1), 0xc02f);
    assert_text(ch, ch->sni, "a.Test");
    assert_true(ch->has_sni && !ch->sni_is_ip && !ch->sni_had_dot);
    assert_int_equal(nu_hello_u16(ch, ch->groups, 1), 0x1d);
    assert_int_equal(ch->groups.len, 6);
    assert_int_equal(nu_hello_u16(ch, ch->signatures, 1), 0x0804);
    assert_int_equal(ch->points.len, 1);
    assert_int_equal(nu_hello_u16(ch, ch->versions, 1), 0x0304);
    assert_true(nu_hello_alpn_next(ch, &at, &name));
    assert_text(ch, name, "h2");
    assert_true(nu_hello_alpn_next(ch, &at, &name));
    assert_text(ch, name, "http/1.1");
    assert_false(nu_hello_alpn_next(ch, &at, &name));
    assert_int_equal(ch->grease,
                     NU_HELLO_GREASE_EXTENSION | NU_HELLO_GREASE_GROUP | NU_HELLO_GREASE_VERSION);
    assert_null(ch->reason);
}

static void reads_every_field_in_place(void **state)
{
    static const unsigned types[] = {0x1a1a, 0, 10, 11, 13, 16, 43, 0xfe0d, 0x9a9a};
    struct nu_client_hello ch;
    struct nu_hello_ext ext;
    start();
    put_usual_extensions();
    make_wire();
    put(&wire, "bytes behind it", 15);
    nu_client_hello_init(&ch);
    assert_int_equal(nu_client_hello_feed(&ch, wire.data, wire.len), NU_OK);
    assert_usual(&ch);
    assert_ptr_equal(ch.msg, wire.data + 5);
    assert_null(ch.own);
    assert_int_equal(ch.wire_bytes, wire.len - 15);
    unsigned at = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_true(nu_hello_ext_next(&ch, &at, &ext));
        assert_int_equal(ext.type, types[i]);
    }
    assert_int_equal(ext.body.len, 1);
    assert_false(nu_hello_ext_next(&ch, &at, &ext));
    nu_client_hello_free(&ch);
}

/* Feeds the wire in pieces; all but the last must answer NU_MORE. */
static void feed_pieces(struct nu_client_hello *ch, size_t first, size_t each)
{
    nu_client_hello_init(ch);
    size_t at = 0;
    for (size_t len = first; at < wire.len; at += len, len = each) {
        len = len < wire.len - at ? len : wire.len - at;
        enum nu_err err = nu_client_hello_feed(ch, wire.data + at, len);
        assert_int_equal(err, at + len < wire.len ? NU_MORE : NU_OK);
    }
    assert_usual(ch);
    assert_int_equal(ch->wire_bytes, wire.len);
    nu_client_hello_free(ch);
}

static void any_split_and_any_record_size_read_the_same(void **state)
{
    struct nu_client_hello ch;
    start();
    put_usual_extensions();
    put_hello(&msg, exts.data, exts.len);
    for (size_t each = 1; each <= msg.len; each++) {
        wire.len = 0;
        put_records(&wire, msg.data, msg.len, each);
        feed_pieces(&ch, 1, 1);
        feed_pieces(&ch, 7, 13);
        for (size_t split = 1; split < wire.len; split += each < 8 ? 11 : 1)
            feed_pieces(&ch, split, wire.len);
    }
}

static void the_rest_of_the_record_is_not_looked_at(void **state)
{
    struct nu_client_hello ch;
    start();
    put_usual_extensions();
    put_hello(&msg, exts.data, exts.len);
    size_t whole = msg.len;
    put(&msg, "\xff\xff\xff", 3);
    put_records(&wire, msg.data, msg.len, 16384);
    for (size_t split = 1; split < wire.len; split++) {
        nu_client_hello_init(&ch);
        enum nu_err err = nu_client_hello_feed(&ch, wire.data, split);
        assert_int_equal(err, split < 5 + whole ? NU_MORE : NU_OK);
        nu_client_hello_feed(&ch, wire.data + split, wire.len - split);
        assert_usual(&ch);
        assert_int_equal(ch.wire_bytes, 5 + whole);
        nu_client_hello_free(&ch);
    }
}

/* What is no TLS handshake, and after how many bytes that must be known. */
static const struct {
    const char *what, *data;
    size_t len, known_after;
} strangers[] = {
    {"http",          "GET / HTTP/1.1\r\n",   16, 1},
    {"ssh",           "SSH-2.0-x\r\n",        11, 1},
    {"http2",         "PRI * HTTP/2.0",       14, 1},
    {"proxy v2",      "\r\n\r\n\0\r\nQUIT\n", 12, 1},
    {"a NUL",         "\0",                   1,  1},
    {"sslv2 hello",   "\x80\x2e\1\3\1",       5,  1},
    {"tls alert",     "\x15\3\1\0\2\2\x28",   7,  1},
    {"tls data",      "\x17\3\3\0\1x",        6,  1},
    {"dtls",          "\x16\xfe\xff\0\0",     5,  2},
    {"22 and text",   "\x16SMB",              4,  2},
    {"version 2",     "\x16\2\0\0\x20",       5,  2},
    {"version 3.5",   "\x16\3\5\0\x20",       5,  3},
    {"version 3.255", "\x16\3\xff\0\x20",     5,  3},
};

static void other_protocols_are_known_within_three_bytes(void **state)
{
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        struct nu_client_hello ch;
        const uint8_t *data = (const uint8_t *)strangers[i].data;
        nu_client_hello_init(&ch);
        for (size_t at = 0; at < strangers[i].len; at++) {
            bool known = at + 1 >= strangers[i].known_after;
            enum nu_err err = nu_client_hello_feed(&ch, data + at, 1);
            if (err != (known ? NU_NOT_THIS : NU_MORE))
                fail_msg("%s: %s after %zu bytes", strangers[i].what, nu_err_str(err), at + 1);
        }
        assert_non_null(ch.reason);
        nu_client_hello_init(&ch);
        assert_int_equal(nu_client_hello_feed(&ch, data, strangers[i].len), NU_NOT_THIS);
    }
}

/* Bytes on the wire, all of them, and how they end. */
static const struct {
    const char *data;
    size_t len;
    enum nu_err err;
    const char *reason;
} broken_records[] = {
    {"\x16\3\1\x40\1",             5,  NU_ERR_SYNTAX, "record longer than 16 KiB"                },
    {"\x16\3\1\0\4\2",             6,  NU_ERR_SYNTAX, "first handshake message is no ClientHello"},
    {"\x16\3\1\0\4\1\0\x40\1",     9,  NU_ERR_LIMIT,  "ClientHello longer than 16 KiB"           },
    {"\x16\3\1\0\4\1\xff\xff\xff", 9,  NU_ERR_LIMIT,  "ClientHello longer than 16 KiB"           },
    {"\x16\3\1\0\1\1\x15",         7,  NU_ERR_SYNTAX, "no TLS handshake record"                  },
    {"\x16\3\1\0\1\1\x17",         7,  NU_ERR_SYNTAX, "no TLS handshake record"                  },
    {"\x16\3\1\0\1\1\x14",         7,  NU_ERR_SYNTAX, "no TLS handshake record"                  },
    {"\x16\3\1\0\1\1\x16\2",       8,  NU_ERR_SYNTAX, "no TLS record version"                    },
    {"\x16\3\1\0\4\1\0\0\0",       9,  NU_ERR_SYNTAX, "truncated ClientHello"                    },
    {"\x16\3\1\0\6\1\0\0\2\3\3",   11, NU_ERR_SYNTAX, "truncated ClientHello"                    },
};

static void broken_records_end_it_at_their_last_byte(void **state)
{
    for (size_t i = 0; i < sizeof broken_records / sizeof *broken_records; i++) {
        struct nu_client_hello ch, once;
        const uint8_t *data = (const uint8_t *)broken_records[i].data;
        size_t last = broken_records[i].len - 1;
        nu_client_hello_init(&ch);
        for (size_t at = 0; at < last; at++)
            assert_int_equal(nu_client_hello_feed(&ch, data + at, 1), NU_MORE);
        assert_int_equal(nu_client_hello_feed(&ch, data + last, 1), broken_records[i].err);
        assert_string_equal(ch.reason, broken_records[i].reason);
        assert_int_equal(nu_client_hello_feed(&ch, data, 1), broken_records[i].err);
        nu_client_hello_init(&once);
        assert_int_equal(nu_client_hello_feed(&once, data, last + 1), broken_records[i].err);
        assert_string_equal(once.reason, broken_records[i].reason);
        nu_client_hello_free(&once);
        nu_client_hello_free(&ch);
    }
}

/* A hello of exactly NU_HELLO_MAX_BYTES + over, filled up with an unknown extension. */
static void make_huge(size_t over)
{
    static uint8_t filler[NU_HELLO_MAX_BYTES];
    start();
    put_usual_extensions();
    put_ext(&exts, 0x4444, filler, NU_HELLO_MAX_BYTES + over - 45 - exts.len - 4);
    put_hello(&msg, exts.data, exts.len);
    assert_int_equal(msg.len, 4 + NU_HELLO_MAX_BYTES + over);
}

static void sixteen_kib_in_records_of_one_byte_are_fine_and_more_is_not(void **state)
{
    struct nu_client_hello ch;
    make_huge(0);
    put_records(&wire, msg.data, msg.len, 1);
    assert_true(wire.len <= NU_HELLO_MAX_WIRE_BYTES);
    feed_pieces(&ch, 1, 1);
    feed_pieces(&ch, 4096, 4096);
    wire.len = 0;
    put_records(&wire, msg.data, msg.len, 16384);
    feed_pieces(&ch, wire.len, 1);
    make_huge(1);
    put_records(&wire, msg.data, msg.len, 16384);
    nu_client_hello_init(&ch);
    assert_int_equal(nu_client_hello_feed(&ch, wire.data, wire.len), NU_ERR_LIMIT);
    assert_null(ch.own);
}

/* RFC 8446 5.1: legacy_record_version is to be ignored; the first one only tells the protocol. */
static void versions_of_later_records_are_ignored(void **state)
{
    struct nu_client_hello ch;
    start();
    put_usual_extensions();
    put_hello(&msg, exts.data, exts.len);
    put_record(&wire, 22, msg.data, 10);
    size_t second = wire.len;
    put_record(&wire, 22, msg.data + 10, msg.len - 10);
    wire.data[second + 2] = 9;
    nu_client_hello_init(&ch);
    assert_int_equal(nu_client_hello_feed(&ch, wire.data, wire.len), NU_OK);
    assert_usual(&ch);
    nu_client_hello_free(&ch);
}

static void empty_records_are_counted(void **state)
{
    for (unsigned n = NU_HELLO_MAX_EMPTY_RECORDS - 1; n < NU_HELLO_MAX_EMPTY_RECORDS + 2; n++) {
        struct nu_client_hello ch;
        start();
        put_usual_extensions();
        put_hello(&msg, exts.data, exts.len);
        put_record(&wire, 22, msg.data, 10);
        for (unsigned i = 0; i < n; i++)
            put_record(&wire, 22, "", 0);
        put_record(&wire, 22, msg.data + 10, msg.len - 10);
        nu_client_hello_init(&ch);
        enum nu_err err = nu_client_hello_feed(&ch, wire.data, wire.len);
        assert_int_equal(err, n <= NU_HELLO_MAX_EMPTY_RECORDS ? NU_OK : NU_ERR_LIMIT);
        nu_client_hello_free(&ch);
    }
}

/* Flipped bytes: whatever they do, the answer must not depend on how the bytes were cut. */
static void damaged_hellos_read_the_same_at_any_cut(void **state)
{
    struct seeded r = seeded_start("damaged hellos");
    for (unsigned round = 0; round < 20000; round++) {
        struct nu_client_hello once, cut;
        start();
        put_usual_extensions();
        put_hello(&msg, exts.data, exts.len);
        put_records(&wire, msg.data, msg.len, 1 + seeded_below(&r, (unsigned)msg.len));
        for (unsigned flips = seeded_below(&r, 4); flips-- > 0;)
            wire.data[seeded_below(&r, (unsigned)wire.len)] ^= (uint8_t)(1u << seeded_below(&r, 8));
        nu_client_hello_init(&once);
        nu_client_hello_init(&cut);
        nu_client_hello_feed(&once, wire.data, wire.len);
        for (size_t at = 0, len; at < wire.len; at += len) {
            len = 1 + seeded_below(&r, 40);
            len = len < wire.len - at ? len : wire.len - at;
            nu_client_hello_feed(&cut, wire.data + at, len);
        }
        assert_int_equal(once.result, cut.result);
        assert_true((once.reason == NULL) == (cut.reason == NULL));
        if (once.reason)
            assert_string_equal(once.reason, cut.reason);
        if (once.result == NU_OK) {
            assert_int_equal(once.wire_bytes, cut.wire_bytes);
            assert_memory_equal(&once.random, &cut.random,
                                offsetof(struct nu_client_hello, reason) -
                                    offsetof(struct nu_client_hello, random));
        }
        nu_client_hello_free(&once);
        nu_client_hello_free(&cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_field_in_place),
        cmocka_unit_test(any_split_and_any_record_size_read_the_same),
        cmocka_unit_test(the_rest_of_the_record_is_not_looked_at),
        cmocka_unit_test(other_protocols_are_known_within_three_bytes),
        cmocka_unit_test(broken_records_end_it_at_their_last_byte),
        cmocka_unit_test(sixteen_kib_in_records_of_one_byte_are_fine_and_more_is_not),
        cmocka_unit_test(versions_of_later_records_are_ignored),
        cmocka_unit_test(empty_records_are_counted),
        cmocka_unit_test(damaged_hellos_read_the_same_at_any_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
