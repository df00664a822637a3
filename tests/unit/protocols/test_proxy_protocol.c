/* Reading PROXY headers: both versions, at every split point, and all that is malformed. */
#include "protocols/proxy_protocol.h"

#include "core/arena.h"
#include "protocols/proxy_protocol_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Bytes of a literal and their count. */
#define B(text) (const uint8_t *)(text), sizeof(text) - 1
#define SIG     "\r\n\r\n\0\r\nQUIT\n"

/* A header, what follows from it, and how many bytes it is (0 = all). */
struct row {
    const uint8_t *data;
    size_t len;
    enum nu_err err;
    const char *src, *dst; /* for NU_OK; else src is the reason */
};

static void check_ok(const struct row *row, const struct nu_proxy_header *h, size_t bytes)
{
    char text[NU_ADDR_TEXT_MAX];
    assert_string_equal(nu_addr_str(&h->src, text), row->src);
    assert_string_equal(nu_addr_str(&h->dst, text), row->dst);
    assert_int_equal(h->bytes, bytes);
    assert_null(h->reason);
}

static void check_verdict(const struct row *row, enum nu_err err, const struct nu_proxy_header *h)
{
    if (err != row->err || (err != NU_OK && strcmp(h->reason, row->src) != 0))
        fail_msg("%.*s: %s, %s", (int)row->len, (const char *)row->data, nu_err_str(err),
                 h->reason ? h->reason : "-");
    if (err == NU_OK)
        check_ok(row, h, row->len);
}

/* One shot, one byte at a time, and every split into two, each with bytes of the stream behind.
 * The row's header must be known at its last byte and not before. */
static void check_row(const struct row *row)
{
    uint8_t wire[NU_PROXY_MAX_BYTES + 16];
    struct nu_proxy_reader r;
    struct nu_proxy_header h;
    memcpy(wire, row->data, row->len);
    memset(wire + row->len, 'P', 8);
    check_verdict(row, nu_proxy_parse(wire, row->len + 8, &h), &h);
    nu_proxy_reader_init(&r);
    for (size_t i = 0; i < row->len; i++) {
        assert_int_equal(r.result, NU_MORE);
        nu_proxy_reader_feed(&r, wire + i, 1);
    }
    check_verdict(row, r.result, &r.header);
    nu_proxy_reader_free(&r);
    for (size_t split = 0; split < row->len; split++) {
        nu_proxy_reader_init(&r);
        assert_int_equal(nu_proxy_reader_feed(&r, wire, split), NU_MORE);
        nu_proxy_reader_feed(&r, wire + split, row->len + 8 - split);
        check_verdict(row, r.result, &r.header);
        nu_proxy_reader_free(&r);
    }
}

#define V1_ADDR "PROXY v1: malformed addresses or ports"
#define V1_FAM  "PROXY v1: family is not TCP4, TCP6 or UNKNOWN"
#define V1_END  "PROXY v1: line does not end in CRLF"

static const struct row v1_rows[] = {
    {B("PROXY TCP4 192.0.2.1 10.0.0.1 65535 443\r\n"),                           NU_OK,         "192.0.2.1:65535", "10.0.0.1:443"     },
    {B("PROXY TCP4 0.0.0.0 255.255.255.255 0 1\r\n"),                            NU_OK,         "0.0.0.0:0",       "255.255.255.255:1"},
    {B("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),                                    NU_OK,         "[2001:db8::1]:1", "[::1]:2"          },
    {B("PROXY TCP6 ::ffff:10.0.0.1 ::ffff:a00:2 1 2\r\n"),                       NU_OK,         "10.0.0.1:1",      "10.0.0.2:2"       },
    {B("PROXY UNKNOWN\r\n"),                                                     NU_OK,         "-",               "-"                },
    {B("PROXY UNKNOWN ffff::1 what\tever 1 2\r\n"),                              NU_OK,         "-",               "-"                },
    {B("PROXY \r\n"),                                                            NU_ERR_SYNTAX, V1_FAM,            NULL               },
    {B("PROXY UNKNOWNX\r\n"),                                                    NU_ERR_SYNTAX, V1_FAM,            NULL               },
    {B("PROXY unknown\r\n"),                                                     NU_ERR_SYNTAX, V1_FAM,            NULL               },
    {B("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n"),                                    NU_ERR_SYNTAX, V1_FAM,            NULL               },
    {B("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),                                   NU_ERR_SYNTAX, V1_FAM,            NULL               },
    {B("PROXY TCP4\r\n"),                                                        NU_ERR_SYNTAX, V1_FAM,            NULL               },
    {B("PROXY TCP4 \r\n"),                                                       NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1\r\n"),                                                NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2\r\n"),                                        NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"),                                      NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n"),                                     NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"),                                   NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"),                                  NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n"),                                   NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"),                                   NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 00\r\n"),                                   NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n"),                                NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 100000\r\n"),                               NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"),                                   NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n"),                                   NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 2x\r\n"),                                   NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n"),                                   NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n"),                                  NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n"),                                      NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP4 ::1 ::2 1 2\r\n"),                                            NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"),                                    NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP6 fe80::1%1 ::2 1 2\r\n"),                                      NU_ERR_SYNTAX, V1_ADDR,           NULL               },
    {B("PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:00000000001 ::2 1 2\r\n"), NU_ERR_SYNTAX,
     V1_ADDR,                                                                                                      NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n"),                                      NU_ERR_SYNTAX, V1_END,            NULL               },
    {B("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rx"),                                     NU_ERR_SYNTAX, V1_END,            NULL               },
    {B("PROXY UNKNOWN \0"),                                                      NU_ERR_SYNTAX, V1_END,            NULL               },
};

static void v1_lines(void **state)
{
    for (size_t i = 0; i < sizeof v1_rows / sizeof *v1_rows; i++)
        check_row(&v1_rows[i]);
}

static void a_v1_line_ends_within_107_bytes(void **state)
{
    uint8_t line[112];
    struct nu_proxy_header h;
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(nu_proxy_parse(line, 106, &h), NU_MORE);
    assert_int_equal(nu_proxy_parse(line, 107, &h), NU_ERR_LIMIT);
    memcpy(line + 105, "\r\n", 2);
    check_row(&(struct row){line, 107, NU_OK, "-", "-"});
    memcpy(line + 105, "x\r\n", 3);
    check_row(&(struct row){line, 107, NU_ERR_LIMIT, "PROXY v1: no CRLF within 107 bytes", NULL});
}

/* What is no PROXY header, and the byte that tells. */
static const struct {
    const uint8_t *data;
    size_t len, known_after;
} strangers[] = {
    {B("GET / HTTP/1.1\r\n"),      1 },
    {B("POST / HTTP/1.1\r\n"),     2 },
    {B("PROPFIND / HTTP/1.1\r\n"), 4 },
    {B("PROXYTCP4 1.1.1.1"),       6 },
    {B("proxy tcp4"),              1 },
    {B("\x16\3\1\2\0"),            1 },
    {B("\r\nGET / HTTP/1.1"),      3 },
    {B("\r\n\r\n\0\r\nQUIT\r\n"),  12},
    {B("\0"),                      1 },
};

static void strangers_are_known_at_the_first_byte_that_differs(void **state)
{
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        struct nu_proxy_reader r;
        nu_proxy_reader_init(&r);
        for (size_t at = 0; at < strangers[i].len; at++) {
            enum nu_err err = nu_proxy_reader_feed(&r, strangers[i].data + at, 1);
            assert_int_equal(err, at + 1 < strangers[i].known_after ? NU_MORE : NU_NOT_THIS);
        }
        assert_non_null(r.header.reason);
        nu_proxy_reader_free(&r);
    }
}

#define IP4 "\xc0\0\2\1\x0a\0\0\1\xff\xff\1\xbb"
#define IP6                                                                                        \
    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"                                                       \
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1\0\2"

static const struct row v2_rows[] = {
    {B(SIG "\x21\x11\0\x0c" IP4),                           NU_OK,         "192.0.2.1:65535",                               "10.0.0.1:443"},
    {B(SIG "\x21\x12\0\x0c" IP4),                           NU_OK,         "192.0.2.1:65535",                               "10.0.0.1:443"},
    {B(SIG "\x21\x21\0\x24" IP6),                           NU_OK,         "[2001:db8::1]:1",                               "[::1]:2"     },
    {B(SIG "\x21\x10\0\x0c" IP4),                           NU_OK,         "-",                                             "-"           },
    {B(SIG "\x21\0\0\0"),                                   NU_OK,         "-",                                             "-"           },
    {B(SIG "\x21\0\0\5\xff\xff\xff\xff\xff"),               NU_OK,         "-",                                             "-"           },
    {B(SIG "\x20\0\0\0"),                                   NU_OK,         "-",                                             "-"           },
    {B(SIG "\x20\xff\0\3xyz"),                              NU_OK,         "-",                                             "-"           },
    {B(SIG "\x20\x11\0\x0c" IP4),                           NU_OK,         "-",                                             "-"           },
    {B(SIG "\x21\x11\0\x0f" IP4 "\4\0\0"),                  NU_OK,         "192.0.2.1:65535",                               "10.0.0.1:443"},
    {B(SIG "\x21\x11\0\x12" IP4 "\4\0\1x\xea\0"),           NU_ERR_SYNTAX, "PROXY v2: malformed TLV",                       NULL          },
    {B(SIG "\x21\x11\0\x0d" IP4 "\4"),                      NU_ERR_SYNTAX, "PROXY v2: malformed TLV",                       NULL          },
    {B(SIG "\x21\x11\0\x0f" IP4 "\4\0\1"),                  NU_ERR_SYNTAX, "PROXY v2: malformed TLV",                       NULL          },
    {B(SIG "\x21\x11\0\x0f" IP4 "\4\xff\xff"),              NU_ERR_SYNTAX, "PROXY v2: malformed TLV",                       NULL          },
    {B(SIG "\x21\x11\0\x0f" IP4 "\3\0\0"),                  NU_ERR_SYNTAX, "PROXY v2: CRC32c is not 4 bytes",               NULL          },
    {B(SIG "\x21\x11\0\x13" IP4 "\3\0\4aaaa"),              NU_ERR_SYNTAX, "PROXY v2: CRC32c does not match",
     NULL                                                                                                                                 },
    {B(SIG "\x20\0\0\7\3\0\4aaaa"),                         NU_ERR_SYNTAX, "PROXY v2: CRC32c does not match",               NULL          },
    {B(SIG "\x21\x11\0\x0b\xc0\0\2\1\x0a\0\0\1\xff\xff\1"), NU_ERR_SYNTAX,
     "PROXY v2: too short for its addresses",                                                                               NULL          },
    {B(SIG "\x21\x21\0\x0c" IP4),                           NU_ERR_SYNTAX, "PROXY v2: too short for its addresses",         NULL          },
    {B(SIG "\x21\x31\0\x0c" IP4),                           NU_ERR_SYNTAX, "PROXY v2: too short for its addresses",         NULL          },
    {B(SIG "\x21\x41\0\x0c" IP4),                           NU_ERR_SYNTAX, "PROXY v2: unknown address family or transport",
     NULL                                                                                                                                 },
    {B(SIG "\x21\x13\0\x0c" IP4),                           NU_ERR_SYNTAX, "PROXY v2: unknown address family or transport",
     NULL                                                                                                                                 },
    {B(SIG "\x11"),                                         NU_ERR_SYNTAX, "PROXY v2: signature with another version",      NULL          },
    {B(SIG "\x22"),                                         NU_ERR_SYNTAX, "PROXY v2: unknown command",                     NULL          },
    {B(SIG "\x21\x11\x0f\xf1"),                             NU_ERR_LIMIT,  "PROXY v2: header longer than 4 KiB",            NULL          },
    {B(SIG "\x21\x11\xff\xff"),                             NU_ERR_LIMIT,  "PROXY v2: header longer than 4 KiB",            NULL          },
};

static void v2_headers(void **state)
{
    for (size_t i = 0; i < sizeof v2_rows / sizeof *v2_rows; i++)
        check_row(&v2_rows[i]);
}

static void a_v2_header_has_4_kib_at_most(void **state)
{
    static uint8_t wire[NU_PROXY_MAX_BYTES];
    memcpy(wire, SIG "\x21\x11\x0f\xf0" IP4 "\4\x0f\xe1", 31);
    struct nu_proxy_header h;
    assert_int_equal(nu_proxy_parse(wire, sizeof wire - 1, &h), NU_MORE);
    check_row(&(struct row){wire, sizeof wire, NU_OK, "192.0.2.1:65535", "10.0.0.1:443"});
}

static void fields_of_both_versions(void **state)
{
    struct nu_proxy_header h;
    assert_int_equal(nu_proxy_parse(v1_rows[0].data, v1_rows[0].len, &h), NU_OK);
    assert_int_equal(h.version, 1);
    assert_int_equal(h.transport, NU_PROXY_STREAM);
    assert_false(h.local);
    assert_int_equal(nu_proxy_parse(B(SIG "\x21\x12\0\x0c" IP4), &h), NU_OK);
    assert_int_equal(h.version, 2);
    assert_int_equal(h.transport, NU_PROXY_DGRAM);
    assert_false(h.local);
    assert_int_equal(nu_proxy_parse(B(SIG "\x20\x11\0\x0c" IP4), &h), NU_OK);
    assert_true(h.local);
    assert_int_equal(h.transport, NU_PROXY_UNSPEC);
    assert_int_equal(nu_proxy_parse(B(SIG "\x21\x11\0\x0c"), &h), NU_MORE);
    assert_int_equal(h.version, 0);
    assert_null(h.reason);
}

static void tlvs_are_kept_in_order(void **state)
{
    struct nu_proxy_header h;
    struct nu_proxy_tlv tlv;
    struct nu_proxy_bytes value;
    assert_int_equal(nu_proxy_parse(B(SIG "\x21\x11\0\x1c" IP4 "\2\0\4a.bc\xea\0\0\1\0\2h2\4"), &h),
                     NU_ERR_SYNTAX);
    assert_int_equal(nu_proxy_parse(B(SIG "\x21\x11\0\x1b" IP4 "\2\0\4a.bc\xea\0\0\1\0\2h2"), &h),
                     NU_OK);
    struct nu_proxy_bytes rest = h.tlvs;
    assert_true(nu_proxy_tlv_next(&rest, &tlv));
    assert_int_equal(tlv.type, NU_PROXY_TLV_AUTHORITY);
    assert_memory_equal(tlv.value.data, "a.bc", 4);
    assert_true(nu_proxy_tlv_next(&rest, &tlv));
    assert_int_equal(tlv.type, 0xea);
    assert_int_equal(tlv.value.len, 0);
    assert_true(nu_proxy_tlv_next(&rest, &tlv));
    assert_false(nu_proxy_tlv_next(&rest, &tlv));
    assert_true(nu_proxy_tlv_find(&h, NU_PROXY_TLV_ALPN, &value));
    assert_int_equal(value.len, 2);
    assert_false(nu_proxy_tlv_find(&h, NU_PROXY_TLV_UNIQUE_ID, &value));
    assert_int_equal(value.len, 0);
}

/* A UNIX header with paths of that many bytes. */
static size_t make_unix(uint8_t *wire, size_t src_len, size_t dst_len)
{
    memset(wire, 0, 16 + 216);
    memcpy(wire, SIG "\x21\x31\0\xd8", 16);
    memset(wire + 16, 's', src_len);
    memset(wire + 16 + 108, 'd', dst_len);
    return 16 + 216;
}

static void unix_paths_outlive_the_bytes_once_kept(void **state)
{
    uint8_t wire[16 + 216];
    struct nu_proxy_header h;
    struct nu_arena *arena = nu_arena_new(64);
    size_t len = make_unix(wire, 108, 3);
    assert_int_equal(nu_proxy_parse(wire, len, &h), NU_OK);
    assert_int_equal(h.src.kind, NU_ADDR_UNIX);
    assert_null(h.src.path);
    assert_int_equal(h.src_path.len, 108);
    nu_proxy_keep(&h, arena);
    memset(wire, 'x', sizeof wire);
    assert_int_equal(strlen(h.src.path), 108);
    assert_string_equal(h.dst.path, "ddd");
    assert_int_equal(h.tlvs.len, 0);
    len = make_unix(wire, 0, 1);
    assert_int_equal(nu_proxy_parse(wire, len, &h), NU_OK);
    nu_proxy_keep(&h, arena);
    assert_null(h.src.path);
    assert_string_equal(h.dst.path, "d");
    nu_arena_free(arena);
}

static void tlvs_outlive_the_bytes_once_kept(void **state)
{
    uint8_t wire[] = SIG "\x21\x11\0\x13" IP4 "\2\0\4a.bc";
    struct nu_proxy_header h;
    struct nu_proxy_bytes value;
    struct nu_arena *arena = nu_arena_new(64);
    assert_int_equal(nu_proxy_parse(wire, sizeof wire - 1, &h), NU_OK);
    nu_proxy_keep(&h, arena);
    memset(wire, 0, sizeof wire);
    assert_true(nu_proxy_tlv_find(&h, NU_PROXY_TLV_AUTHORITY, &value));
    assert_memory_equal(value.data, "a.bc", 4);
    nu_arena_free(arena);
}

static void crc32c_is_castagnoli(void **state)
{
    assert_int_equal(nu_proxy_crc32c(B("123456789"), 9), 0xe3069283); /* RFC 3720 B.4's check */
    assert_int_equal(nu_proxy_crc32c(B("12345\0\0\0\0"
                                       "6789"),
                                     13),
                     nu_proxy_crc32c(B("12345abcd"
                                       "6789"),
                                     5));
}

static void names_of_enums(void **state)
{
    assert_string_equal(nu_proxy_transport_str(NU_PROXY_DGRAM), "dgram");
    assert_string_equal(nu_proxy_transport_str((enum nu_proxy_transport)3), "unknown");
    assert_string_equal(nu_proxy_tlv_type_str(NU_PROXY_TLV_NETNS), "netns");
    assert_string_equal(nu_proxy_tlv_type_str((enum nu_proxy_tlv_type)0x21), "unknown");
    assert_string_equal(nu_proxy_tlv_type_str((enum nu_proxy_tlv_type)0xff), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_lines),
        cmocka_unit_test(a_v1_line_ends_within_107_bytes),
        cmocka_unit_test(strangers_are_known_at_the_first_byte_that_differs),
        cmocka_unit_test(v2_headers),
        cmocka_unit_test(a_v2_header_has_4_kib_at_most),
        cmocka_unit_test(fields_of_both_versions),
        cmocka_unit_test(tlvs_are_kept_in_order),
        cmocka_unit_test(unix_paths_outlive_the_bytes_once_kept),
        cmocka_unit_test(tlvs_outlive_the_bytes_once_kept),
        cmocka_unit_test(crc32c_is_castagnoli),
        cmocka_unit_test(names_of_enums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
