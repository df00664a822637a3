/* IP headers and fragments. */
#include "protocols/capture/ip.h"
#include "tests/unit/protocols/capture/packets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND 1000000000

static const struct packet text = {.bytes = "0123456789abcdefghijklmnopqrstuvwxyz", .len = 36};

static void test_ip4(void **state)
{
    struct packet p = ip4(1, 2, 6, &text, 0, 10, false);
    struct nu_ip ip;
    char from[NU_ADDR_TEXT_MAX];
    p.len += 6; /* Ethernet's padding */
    assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_OK);
    assert_string_equal(nu_addr_str_ip(&ip.from, from), "10.0.0.1");
    assert_int_equal(ip.protocol, 6);
    assert_int_equal(ip.payload.len, 10);
    assert_int_equal(ip.wire_len, 10);
    assert_false(ip.fragment);
    p.len = 25; /* cut by the snap length */
    assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_OK);
    assert_int_equal(ip.payload.len, 5);
    assert_int_equal(ip.wire_len, 10);
    put16(p.bytes + 2, 0); /* the network card is to cut it */
    assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_OK);
    assert_int_equal(ip.wire_len, 5);
    for (p.len = 0; p.len < 20; p.len++)
        assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_ERR_SYNTAX);
    p.bytes[0] = 0x44;
    p.len = 40;
    assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_ERR_SYNTAX);
    p.bytes[0] = 0x75;
    assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_NOT_THIS);
}

/* Hop by hop, routing, AH, destination options, then TCP. */
static void test_ip6_extensions(void **state)
{
    static const uint8_t in[] = "\x2b\0......"         /* 8 */
                                "\x33\1.............." /* 16 */
                                "\x3c\1.........."     /* AH, 12 */
                                "\6\0......"
                                "payload";
    struct packet p = ip6(1, 2, 0, in, sizeof in - 1);
    struct nu_ip ip;
    char to[NU_ADDR_TEXT_MAX];
    assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_OK);
    assert_int_equal(ip.protocol, 6);
    assert_int_equal(ip.payload.len, 7);
    assert_memory_equal(ip.payload.data, "payload", 7);
    assert_string_equal(nu_addr_str_ip(&ip.to, to), "fd00::2");
    for (p.len = 0; p.len < 40 + sizeof in - 1 - 7; p.len++)
        assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_ERR_SYNTAX);
}

static enum nu_err add(struct nu_ip_fragments *f, unsigned from, size_t at, size_t len, bool more,
                       int64_t ns, struct nu_ip *ip)
{
    struct packet p = ip4(from, 2, 6, &text, at, len, more);
    assert_int_equal(nu_ip_parse(piece_of(&p), ip), NU_OK);
    assert_true(ip->fragment);
    return nu_ip_fragments_add(f, ip, ns);
}

static void check_whole(const struct nu_ip *ip)
{
    assert_int_equal(ip->payload.len, 32);
    assert_int_equal(ip->wire_len, 32);
    assert_memory_equal(ip->payload.data, text.bytes, 32);
    assert_false(ip->fragment);
}

static void test_fragments_in_any_order(void **state)
{
    static const uint8_t orders[][4] = {
        {0, 1, 2, 3},
        {3, 2, 1, 0},
        {2, 0, 3, 1}
    };
    struct nu_ip_fragments *f = nu_ip_fragments_new();
    struct nu_ip ip;
    for (size_t i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            size_t at = orders[i][j] * 8u;
            assert_int_equal(add(f, 1, at, 8, at < 24, 0, &ip), j < 3 ? NU_MORE : NU_OK);
            if (j < 3) /* once more */
                assert_int_equal(add(f, 1, at, 8, at < 24, 0, &ip), NU_MORE);
        }
    check_whole(&ip);
    assert_int_equal(nu_ip_fragments_lost(f), 0);
    nu_ip_fragments_free(f);
}

static void test_fragments_that_lie(void **state)
{
    struct nu_ip_fragments *f = nu_ip_fragments_new();
    struct nu_ip ip;
    assert_int_equal(add(f, 1, 0, 16, true, 0, &ip), NU_MORE);
    assert_int_equal(add(f, 1, 8, 16, true, 0, &ip), NU_ERR_SYNTAX); /* overlaps */
    assert_int_equal(add(f, 1, 16, 16, false, 0, &ip), NU_MORE);     /* of nothing that is known */
    assert_int_equal(add(f, 1, 8, 8, false, 0, &ip), NU_ERR_SYNTAX); /* another end */
    assert_int_equal(nu_ip_fragments_lost(f), 2);
    nu_ip_fragments_free(f);
}

static void test_fragments_have_bounds(void **state)
{
    struct nu_ip_fragments *f = nu_ip_fragments_new();
    struct nu_ip ip;
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(add(f, i, 0, 8, true, i, &ip), NU_MORE);
    assert_int_equal(nu_ip_fragments_lost(f), 255 - NU_IP_FRAGMENTED);
    assert_true(nu_ip_fragments_memory(f) < 5 * 1024 * 1024);
    assert_int_equal(add(f, 254, 8, 24, false, 255, &ip), NU_OK);
    check_whole(&ip);
    assert_int_equal(add(f, 253, 8, 24, false, 31 * (int64_t)SECOND, &ip), NU_MORE); /* too late */
    nu_ip_fragments_free(f);
}

/* Options behind the fragment's header are the datagram's: read once that is whole. */
static void test_ip6_fragments(void **state)
{
    static const uint8_t one[] = "\x3c\0\0\1\0\0\0\7" /* more, at 0 */
                                 "\6\0......";
    static const uint8_t two[] = "\x3c\0\0\x08\0\0\0\7"
                                 "segment";
    struct nu_ip_fragments *f = nu_ip_fragments_new();
    struct packet p = ip6(1, 2, 44, one, sizeof one - 1), q = ip6(1, 2, 44, two, sizeof two - 1);
    struct nu_ip ip;
    assert_int_equal(nu_ip_parse(piece_of(&q), &ip), NU_OK);
    assert_int_equal(nu_ip_fragments_add(f, &ip, 0), NU_MORE);
    assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_OK);
    assert_int_equal(nu_ip_fragments_add(f, &ip, 0), NU_OK);
    assert_int_equal(ip.protocol, 6);
    assert_int_equal(ip.payload.len, 7);
    assert_memory_equal(ip.payload.data, "segment", 7);
    p.bytes[40 + 3] = 0; /* the only one: whole by itself */
    assert_int_equal(nu_ip_parse(piece_of(&p), &ip), NU_OK);
    assert_false(ip.fragment);
    nu_ip_fragments_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip4),
        cmocka_unit_test(test_ip6_extensions),
        cmocka_unit_test(test_fragments_in_any_order),
        cmocka_unit_test(test_fragments_that_lie),
        cmocka_unit_test(test_fragments_have_bounds),
        cmocka_unit_test(test_ip6_fragments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
