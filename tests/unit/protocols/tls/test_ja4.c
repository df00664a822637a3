/* JA4 against the examples of FoxIO's description, and each part of its readable half. */
#include "protocols/tls/ja4.h"

#include "tests/unit/protocols/tls/offer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT(text) .alpn = (text), .alpn_len = sizeof(text) - 1

/* The description's Chrome, with GREASE wherever Chrome has it. */
static const struct offer chrome = {
    .version = 0x0303,
    .ciphers = {0x3a3a,  0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035, -1},
    .extensions = {0x4a4a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005,
                0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0x5a5a, -1},
    .groups = {0x2a2a,  29,  23,  24,  -1},
    .points = {0, -1    },
    .signatures = {0x0403, 0x0804, 0x0401,           0x0503,            0x0805, 0x0501, 0x0806, 0x0601, -1},
    .versions = {0x6a6a, 0x0304, 0x0303, -1},
    TEXT("\2h2\x08http/1.1"),
};

static void print(const struct offer *offer, enum nu_ja4_carrier carrier, char *out)
{
    struct nu_client_hello ch;
    assert_int_equal(make_offer(offer, &ch), NU_OK);
    assert_true(nu_ja4(&ch, carrier, out));
    assert_int_equal(strlen(out), NU_JA4_BYTES - 1);
}

static void the_description_s_example(void **state)
{
    char ja4[NU_JA4_BYTES];
    print(&chrome, NU_JA4_TCP, ja4);
    assert_string_equal(ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    print(&chrome, NU_JA4_QUIC, ja4);
    assert_string_equal(ja4, "q13d1516h2_8daaf6152771_e5627efa2ab1");
    print(&chrome, NU_JA4_DTLS, ja4);
    assert_string_equal(ja4, "d13d1516h2_8daaf6152771_e5627efa2ab1");
}

/* GREASE among the signature algorithms too; another order of ciphers and extensions. */
static void order_and_grease_do_not_show(void **state)
{
    char ja4[NU_JA4_BYTES];
    struct offer o = chrome;
    const int signatures[] = {0x0403, 0x0804, 0x0401, 0x9a9a, 0x0503,
                              0x0805, 0x0501, 0x0806, 0x0601, -1};
    memcpy(o.signatures, signatures, sizeof signatures);
    for (int i = 0; i < 8; i++) {
        int cipher = o.ciphers[i], extension = o.extensions[i];
        o.ciphers[i] = o.ciphers[15 - i];
        o.ciphers[15 - i] = cipher;
        o.extensions[i] = o.extensions[17 - i];
        o.extensions[17 - i] = extension;
    }
    print(&o, NU_JA4_TCP, ja4);
    assert_string_equal(ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    o.signatures[0] = 0x0804; /* their order does */
    o.signatures[1] = 0x0403;
    print(&o, NU_JA4_TCP, ja4);
    assert_string_not_equal(ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

/* What stands in front, by the parts of the description. */
static const struct {
    const char *front;
    struct offer offer;
} fronts[] = {
    {"t12i010000_", {.version = 0x0303, .ciphers = {1, -1}, .extensions = {-1}}      },
    {"t11i010000_", {.version = 0x0302, .ciphers = {1, -1}, .extensions = {-1}}      },
    {"t10d010100_", {.version = 0x0301, .ciphers = {1, -1}, .extensions = {0, -1}}   },
    {"ts3i010000_", {.version = 0x0300, .ciphers = {1, -1}, .extensions = {-1}}      },
    {"t00i010000_", {.version = 0x03ff, .ciphers = {1, -1}, .extensions = {-1}}      },
 /* only GREASE: neither ciphers nor a version */
    {"t00i000100_",
     {.version = 0x0303,
      .ciphers = {0x1a1a, -1},
      .extensions = {43, -1},
      .versions = {0x2a2a, -1}}                                                      },
 /* SCSVs are counted */
    {"t12i030000_",
     {.version = 0x0303, .ciphers = {0x00ff, 0x5600, 0xfe01, -1}, .extensions = {-1}}},
};

static void what_stands_in_front(void **state)
{
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
        char ja4[NU_JA4_BYTES];
        print(&fronts[i].offer, NU_JA4_TCP, ja4);
        ja4[11] = 0;
        assert_string_equal(ja4, fronts[i].front);
    }
}

static const struct {
    const char *name;
    size_t len;
    const char *shown;
} alpns[] = {
    {"\2h2",               3,  "h2"},
    {"\x08http/1.1\2h2",   12, "h1"},
    {"\1x",                2,  "xx"},
    {"\1\xab",             2,  "ab"},
    {"\2\xab\xcd",         3,  "ad"},
    {"\2\x30\xab",         3,  "3b"},
    {"\4\x30\x31\xab\xcd", 5,  "3d"},
    {"\4\x30\xab\xcd\x31", 5,  "01"},
    {"\2\x1a\x1a\2h2",     6,  "h2"},
    {"\2\x1a\x1a",         3,  "00"},
    {"\3-h-",              4,  "2d"},
};

static void the_first_protocol_s_ends(void **state)
{
    for (size_t i = 0; i < sizeof alpns / sizeof *alpns; i++) {
        char ja4[NU_JA4_BYTES];
        const struct offer offer = {
            .version = 0x0303,
            .ciphers = {1,  -1},
            .extensions = {16, -1},
            .alpn = alpns[i].name,
            .alpn_len = alpns[i].len
        };
        print(&offer, NU_JA4_TCP, ja4);
        assert_memory_equal(ja4 + 8, alpns[i].shown, 2);
    }
}

static void of_nothing_there_are_zeros(void **state)
{
    char ja4[NU_JA4_BYTES];
    const struct offer offer = {
        .version = 0x0303,
        .ciphers = {0x1a1a,  -1},
        .extensions = { 0, 16, 0x2a2a, -1},
        TEXT("\2h2")
    };
    print(&offer, NU_JA4_TCP, ja4);
    assert_string_equal(ja4, "t12d0002h2_000000000000_000000000000");
}

/* As many as a hello has room for: shown as 99. */
static void a_hello_full_of_ciphers(void **state)
{
    static struct bytes body;
    struct nu_client_hello ch;
    char ja4[NU_JA4_BYTES];
    start();
    body.len = 0;
    put_n(&body, 2, 0x0303);
    for (unsigned i = 0; i < 32; i++)
        put_n(&body, 1, i);
    put_vec(&body, 1, "", 0);
    unsigned count = (NU_HELLO_MAX_BYTES - 2 - 32 - 1 - 2 - 2) / 2;
    put_n(&body, 2, count * 2);
    for (unsigned i = 0; i < count; i++)
        put_n(&body, 2, count - i);
    put_vec(&body, 1, "", 1);
    put_message(&msg, 1, body.data, body.len);
    assert_int_equal(nu_client_hello_message(&ch, msg.data, msg.len), NU_OK);
    assert_true(nu_ja4(&ch, NU_JA4_TCP, ja4));
    assert_memory_equal(ja4, "t12i9900", 8);
}

/* A message that another reader has gathered. */
static void a_message_is_read_whole_or_not(void **state)
{
    struct nu_client_hello ch;
    assert_int_equal(make_offer(&chrome, &ch), NU_OK);
    for (size_t len = 0; len < msg.len; len++)
        assert_int_equal(nu_client_hello_message(&ch, msg.data, len), NU_ERR_SYNTAX);
    msg.data[0] = 2;
    assert_int_equal(nu_client_hello_message(&ch, msg.data, msg.len), NU_ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_description_s_example),
        cmocka_unit_test(order_and_grease_do_not_show),
        cmocka_unit_test(what_stands_in_front),
        cmocka_unit_test(the_first_protocol_s_ends),
        cmocka_unit_test(of_nothing_there_are_zeros),
        cmocka_unit_test(a_hello_full_of_ciphers),
        cmocka_unit_test(a_message_is_read_whole_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
