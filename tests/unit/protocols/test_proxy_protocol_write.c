/* Writing PROXY headers: the exact bytes, and that the reader takes all that the writer makes. */
#include "core/arena.h"
#include "protocols/proxy_protocol.h"

#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct nu_addr addr(const char *text)
{
    struct nu_addr a = {0};
    if (text)
        assert_int_equal(nu_addr_parse(&a, text, -1), NU_OK);
    return a;
}

static const struct {
    const char *src, *dst, *line;
} v1_rows[] = {
    {"192.0.2.1:1",      "10.0.0.1:65535", "PROXY TCP4 192.0.2.1 10.0.0.1 1 65535\r\n"},
    {"[2001:db8::1]:80", "[::1]:0",        "PROXY TCP6 2001:db8::1 ::1 80 0\r\n"      },
    {"192.0.2.1:1",      "[::1]:2",        "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"  },
    {"[::1]:2",          "192.0.2.1:1",    "PROXY TCP6 ::1 ::ffff:192.0.2.1 2 1\r\n"  },
    {"unix:/a",          "unix:/b",        "PROXY UNKNOWN\r\n"                        },
    {"192.0.2.1:1",      "unix:/b",        "PROXY UNKNOWN\r\n"                        },
    {NULL,               "192.0.2.1:1",    "PROXY UNKNOWN\r\n"                        },
};

static void v1_lines(void **state)
{
    for (size_t i = 0; i < sizeof v1_rows / sizeof *v1_rows; i++) {
        uint8_t out[NU_PROXY_V1_MAX_BYTES];
        struct nu_addr src = addr(v1_rows[i].src), dst = addr(v1_rows[i].dst);
        size_t len = nu_proxy_write_v1(out, &src, &dst);
        assert_int_equal(len, strlen(v1_rows[i].line));
        assert_memory_equal(out, v1_rows[i].line, len);
    }
}

static void the_longest_v1_line_fits(void **state)
{
    uint8_t out[NU_PROXY_V1_MAX_BYTES];
    struct nu_addr a = addr("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    assert_true(nu_proxy_write_v1(out, &a, &a) <= sizeof out);
}

static void v2_bytes(void **state)
{
    static const uint8_t want[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x27"
                                  "\xc0\0\2\1\x0a\0\0\1\0\1\1\xbb"
                                  "\1\0\2h2\2\0\6a.test\5\0\3\0\1\2"
                                  "\3\0";
    uint8_t out[NU_PROXY_MAX_BYTES];
    struct nu_addr src = addr("192.0.2.1:1"), dst = addr("10.0.0.1:443");
    struct nu_proxy_v2 what = {
        .src = &src,
        .dst = &dst,
        .authority = {(const uint8_t *)"a.test", 6},
        .alpn = {(const uint8_t *)"h2",     2},
        .unique_id = {(const uint8_t *)"\0\1\2", 3},
    };
    size_t len = nu_proxy_write_v2(out, sizeof out, &what);
    assert_int_equal(len, 16 + 12 + 5 + 9 + 6);
    assert_int_equal(out[15], 12 + 5 + 9 + 6);
    out[15] = want[15];
    assert_memory_equal(out, want, len);
    what.crc32c = true;
    assert_int_equal(nu_proxy_write_v2(out, sizeof out, &what), len + 7);
    assert_memory_equal(out, want, len);
}

static void local_has_no_addresses(void **state)
{
    uint8_t out[64];
    struct nu_addr src = addr("192.0.2.1:1"), dst = addr("10.0.0.1:443");
    struct nu_proxy_v2 what = {.local = true, .src = &src, .dst = &dst};
    assert_int_equal(nu_proxy_write_v2(out, sizeof out, &what), 16);
    assert_memory_equal(out + 12, "\x20\0\0\0", 4);
    what = (struct nu_proxy_v2){.src = &src};
    assert_int_equal(nu_proxy_write_v2(out, sizeof out, &what), 16);
    assert_memory_equal(out + 12, "\x21\0\0\0", 4);
}

static void what_does_not_fit_is_not_written(void **state)
{
    static uint8_t out[2 * NU_PROXY_MAX_BYTES], big[NU_PROXY_MAX_BYTES];
    struct nu_addr src = addr("192.0.2.1:1"), dst = addr("10.0.0.1:443");
    struct nu_proxy_v2 what = {.src = &src, .dst = &dst, .crc32c = true};
    size_t whole = nu_proxy_write_v2(out, sizeof out, &what);
    assert_int_equal(whole, 16 + 12 + 7);
    for (size_t cap = 0; cap < whole; cap++)
        assert_int_equal(nu_proxy_write_v2(out, cap, &what), 0);
    assert_int_equal(nu_proxy_write_v2(out, whole, &what), whole);
    what.unique_id = (struct nu_proxy_bytes){big, NU_PROXY_ID_MAX_BYTES + 1};
    assert_int_equal(nu_proxy_write_v2(out, sizeof out, &what), 0);
    what.unique_id.len = 0;
    what.authority = (struct nu_proxy_bytes){big, NU_PROXY_MAX_BYTES - whole - 3};
    assert_int_equal(nu_proxy_write_v2(out, sizeof out, &what), NU_PROXY_MAX_BYTES);
    what.authority.len++;
    assert_int_equal(nu_proxy_write_v2(out, sizeof out, &what), 0);
}

static struct nu_addr random_addr(struct seeded *r, unsigned kind)
{
    static const uint8_t bits[] = {0, 32, 128, 0};
    struct nu_addr a = {.kind = (uint8_t)kind, .prefix = bits[kind]};
    if (kind == NU_ADDR_UNIX) {
        a.path = seeded_below(r, 4) ? "/run/some.sock" : NULL;
        return a;
    }
    for (unsigned i = 0; i < bits[kind] / 8u; i++)
        a.ip[i] = (uint8_t)seeded_next(r);
    if (kind != NU_ADDR_NONE)
        a.port = (uint16_t)seeded_next(r);
    return a;
}

static void assert_addr(const struct nu_addr *got, const struct nu_addr *sent)
{
    if (sent->kind == NU_ADDR_UNIX && !sent->path) {
        assert_int_equal(got->kind, NU_ADDR_UNIX);
        assert_null(got->path);
    } else {
        assert_true(nu_addr_equal(got, sent));
    }
}

static void assert_tlv(const struct nu_proxy_header *h, enum nu_proxy_tlv_type type,
                       struct nu_proxy_bytes sent)
{
    struct nu_proxy_bytes value;
    assert_int_equal(nu_proxy_tlv_find(h, type, &value), sent.len > 0);
    assert_int_equal(value.len, sent.len);
    if (sent.len > 0)
        assert_memory_equal(value.data, sent.data, sent.len);
}

/* Any pair of addresses and any TLVs come back as they were; any flipped bit behind the fixed part
 * is noticed where a checksum stands. */
static void the_reader_reads_what_the_writer_wrote(void **state)
{
    static const uint8_t text[300] = "some.authority.test";
    static uint8_t out[NU_PROXY_MAX_BYTES];
    struct seeded r = seeded_start("PROXY v2 round trip");
    struct nu_proxy_header h;
    for (unsigned round = 0; round < 5000; round++) {
        struct nu_arena *arena = nu_arena_new(512);
        struct nu_addr src = random_addr(&r, seeded_below(&r, 4));
        struct nu_addr dst = random_addr(&r, seeded_below(&r, 4));
        bool ip = src.kind % 3 && dst.kind % 3, paths = src.kind == 3 && dst.kind == 3;
        struct nu_proxy_v2 what = {
            .src = &src,
            .dst = &dst,
            .transport = (uint8_t)(1 + seeded_below(&r, 2)),
            .authority = {text,     seeded_below(&r, 254)                      },
            .alpn = {text + 1, seeded_below(&r, 9)                        },
            .unique_id = {text + 2, seeded_below(&r, NU_PROXY_ID_MAX_BYTES + 1)},
            .crc32c = true,
        };
        size_t len = nu_proxy_write_v2(out, sizeof out, &what);
        assert_int_equal(nu_proxy_parse(out, len, &h), NU_OK);
        nu_proxy_keep(&h, arena);
        assert_int_equal(h.bytes, len);
        assert_int_equal(h.transport, ip || paths ? what.transport : NU_PROXY_UNSPEC);
        assert_addr(&h.src, ip || paths ? &src : &(struct nu_addr){0});
        assert_addr(&h.dst, ip || paths ? &dst : &(struct nu_addr){0});
        assert_tlv(&h, NU_PROXY_TLV_AUTHORITY, what.authority);
        assert_tlv(&h, NU_PROXY_TLV_ALPN, what.alpn);
        assert_tlv(&h, NU_PROXY_TLV_UNIQUE_ID, what.unique_id);
        size_t checksum = len - 4;
        out[checksum + seeded_below(&r, 4)] ^= (uint8_t)(1u << seeded_below(&r, 8));
        assert_int_equal(nu_proxy_parse(out, len, &h), NU_ERR_SYNTAX);
        nu_arena_free(arena);
    }
}

static void a_changed_address_breaks_the_checksum(void **state)
{
    uint8_t out[64];
    struct nu_proxy_header h;
    struct nu_addr src = addr("192.0.2.1:1"), dst = addr("10.0.0.1:443");
    struct nu_proxy_v2 what = {.src = &src, .dst = &dst, .crc32c = true};
    size_t len = nu_proxy_write_v2(out, sizeof out, &what);
    for (size_t bit = 16 * 8; bit < 28 * 8; bit++) {
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(nu_proxy_parse(out, len, &h), NU_ERR_SYNTAX);
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(nu_proxy_parse(out, len, &h), NU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_lines),
        cmocka_unit_test(the_longest_v1_line_fits),
        cmocka_unit_test(v2_bytes),
        cmocka_unit_test(local_has_no_addresses),
        cmocka_unit_test(what_does_not_fit_is_not_written),
        cmocka_unit_test(the_reader_reads_what_the_writer_wrote),
        cmocka_unit_test(a_changed_address_breaks_the_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
