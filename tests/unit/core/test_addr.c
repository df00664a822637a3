/* Addresses: text and kernel forms there and back, what is refused, prefixes. */
#include "core/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/seeded.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void parses_what_it_prints(void **state)
{
    static const char *const rows[][2] = {
  /* text, printed; default port 80 */
        {"1.2.3.4:8080",          "1.2.3.4:8080"         },
        {"1.2.3.4",               "1.2.3.4:80"           },
        {"0.0.0.0:0",             "0.0.0.0:0"            },
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"[::1]:443",             "[::1]:443"            },
        {"[::]",                  "[::]:80"              },
        {"2001:DB8::1",           "[2001:db8::1]:80"     },
        {"[::ffff:10.0.0.1]:1",   "10.0.0.1:1"           },
        {"[fe80::1%7]:1",         "[fe80::1%7]:1"        },
        {"[fe80::1%lo]:1",        "[fe80::1%1]:1"        },
        {"unix:/run/x.sock",      "unix:/run/x.sock"     },
        {"unix:relative",         "unix:relative"        },
    };
    char text[NU_ADDR_TEXT_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_addr addr, again;
        assert_int_equal(nu_addr_parse(&addr, rows[i][0], 80), NU_OK);
        assert_string_equal(nu_addr_str(&addr, text), rows[i][1]);
        assert_int_equal(nu_addr_parse(&again, text, -1), NU_OK);
        assert_true(nu_addr_equal(&addr, &again));
        assert_int_equal(nu_addr_hash(&addr), nu_addr_hash(&again));
    }
}

static void refuses_what_is_no_address(void **state)
{
    static const char *const rows[] = {
        "",
        "localhost:80",
        "1.2.3:80",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:+1",
        "1.2.3.4:8 ",
        "1.2.3.256:1",
        ":80",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[1.2.3.4]:80",
        "[]:80",
        "::1",
        "1.2.3.4",
        "unix:",
        "unix:@",
        "[::1%]:80",
        "[::1%none0]:1",
        "[::ffff:1.2.3.4%lo]:1",
        "1.2.3.4:99999999999999999999",
        "[1:2:3:4:5:6:7:8:9]:1",
    };
    struct nu_addr addr;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(nu_addr_parse(&addr, rows[i], -1), NU_ERR_SYNTAX);
        assert_int_equal(addr.kind, NU_ADDR_NONE);
    }
    char path[200] = "unix:/";
    memset(path + 6, 'x', 107);
    assert_int_equal(nu_addr_parse(&addr, path, -1), NU_ERR_SYNTAX);
    path[5 + 107] = 0; /* 107 bytes and a NUL are what the kernel takes */
    assert_int_equal(nu_addr_parse(&addr, path, -1), NU_OK);
    char text[NU_ADDR_TEXT_MAX];
    assert_string_equal(nu_addr_str(&addr, text), path);
}

/* Random addresses, most words of IPv6 ones zero or one digit. */
static void prints_as_the_c_library_does(void **state)
{
    struct seeded r = seeded_start("printed");
    for (int round = 0; round < 20000; round++) {
        struct nu_addr addr = {.kind = round % 4 ? NU_ADDR_IP6 : NU_ADDR_IP4};
        char expected[INET6_ADDRSTRLEN], text[NU_ADDR_TEXT_MAX];
        for (unsigned i = 0; i < 8; i++) {
            unsigned word = (unsigned)seeded_next(&r), kind = seeded_below(&r, 8);
            word = kind < 4 ? 0 : kind < 6 ? word & 15 : word;
            addr.ip[2 * i] = (uint8_t)(word >> 8);
            addr.ip[2 * i + 1] = (uint8_t)word;
        }
        addr.ip[10] &= 0x7f; /* an IPv4 address in IPv6's clothes is printed without them */
        inet_ntop(round % 4 ? AF_INET6 : AF_INET, addr.ip, expected, sizeof expected);
        assert_string_equal(nu_addr_str_ip(&addr, text), expected);
    }
}

static void parses_prefixes(void **state)
{
    static const struct {
        const char *text;
        int kind, prefix; /* -1: refused */
    } rows[] = {
        {"10.0.0.0/8",          NU_ADDR_IP4, 8  },
        {"0.0.0.0/0",           NU_ADDR_IP4, 0  },
        {"1.2.3.4",             NU_ADDR_IP4, 32 },
        {"1.2.3.4/32",          NU_ADDR_IP4, 32 },
        {"::/0",                NU_ADDR_IP6, 0  },
        {"2001:db8::/33",       NU_ADDR_IP6, 33 },
        {"::1",                 NU_ADDR_IP6, 128},
        {"::ffff:10.0.0.0/104", NU_ADDR_IP4, 8  },
        {"::ffff:0.0.0.0/96",   NU_ADDR_IP4, 0  },
        {"10.0.0.1/8",          0,           -1 },
        {"10.128.0.0/8",        0,           -1 },
        {"2001:db8::1/64",      0,           -1 },
        {"1.2.3.4/33",          0,           -1 },
        {"::/129",              0,           -1 },
        {"::ffff:0.0.0.0/90",   0,           -1 },
        {"1.2.3.4/",            0,           -1 },
        {"1.2.3.4/-1",          0,           -1 },
        {"/8",                  0,           -1 },
        {"",                    0,           -1 },
        {"fe80::%lo/64",        0,           -1 },
        {"fe80::1%1",           0,           -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_addr addr;
        enum nu_err err = nu_addr_parse_cidr(&addr, rows[i].text);
        assert_int_equal(err, rows[i].prefix < 0 ? NU_ERR_SYNTAX : NU_OK);
        assert_int_equal(addr.kind, rows[i].kind);
        assert_int_equal(addr.prefix, rows[i].prefix < 0 ? 0 : rows[i].prefix);
    }
}

/* nu_addr_in against bit by bit comparison. */
static void finds_addresses_in_prefixes(void **state)
{
    struct seeded r = seeded_start("cidr");
    for (int round = 0; round < 5000; round++) {
        unsigned bits = round % 2 ? 128 : 32;
        struct nu_addr net = {.kind = bits == 32 ? NU_ADDR_IP4 : NU_ADDR_IP6};
        for (unsigned i = 0; i < bits / 8; i++)
            net.ip[i] = (uint8_t)seeded_next(&r);
        net.prefix = (uint8_t)seeded_below(&r, bits + 1);
        struct nu_addr addr = net;
        unsigned flip = seeded_below(&r, bits);
        addr.ip[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
        assert_int_equal(nu_addr_in(&addr, &net), flip >= net.prefix);
        addr.kind ^= NU_ADDR_IP4 ^ NU_ADDR_IP6;
        assert_false(nu_addr_in(&addr, &net));
    }
    struct nu_addr none = {0};
    assert_false(nu_addr_in(&none, &none));
}

static void goes_through_the_kernels_form(void **state)
{
    static const char *const rows[] = {"1.2.3.4:5", "[2001:db8::9]:6", "[fe80::1%3]:7", "unix:/x"};
    struct sockaddr_storage ss;
    struct nu_addr addr, back;
    for (size_t i = 0; i < 4; i++) {
        nu_addr_parse(&addr, rows[i], -1);
        socklen_t len = nu_addr_to_sockaddr(&addr, &ss);
        assert_true(len > 0);
        nu_addr_from_sockaddr(&back, &ss, len);
        assert_int_equal(back.kind, addr.kind);
        if (addr.kind != NU_ADDR_UNIX)
            assert_true(nu_addr_equal(&addr, &back));
    }
    struct sockaddr_in6 *in6 = (void *)&ss;
    memset(&ss, 0, sizeof ss);
    in6->sin6_family = AF_INET6;
    memcpy(&in6->sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01", 16);
    nu_addr_from_sockaddr(&back, &ss, sizeof *in6);
    assert_int_equal(back.kind, NU_ADDR_IP4);
    nu_addr_from_sockaddr(&back, &ss, 0);
    assert_int_equal(back.kind, NU_ADDR_NONE);
    assert_int_equal(nu_addr_to_sockaddr(&back, &ss), 0);
}

/* "@" stands for a NUL, and only so many bytes are the name (unix(7)). */
static void makes_abstract_names(void **state)
{
    struct sockaddr_storage ss;
    const struct sockaddr_un *un = (const void *)&ss;
    struct nu_addr addr;
    char text[NU_ADDR_TEXT_MAX];
    assert_int_equal(nu_addr_parse(&addr, "unix:@name", -1), NU_OK);
    assert_int_equal(nu_addr_to_sockaddr(&addr, &ss), offsetof(struct sockaddr_un, sun_path) + 5);
    assert_memory_equal(un->sun_path, "\0name", 5);
    assert_string_equal(nu_addr_str(&addr, text), "unix:@name");
}

static void tells_addresses_apart(void **state)
{
    static const char *const rows[] = {"1.2.3.4:5",     "1.2.3.4:6",     "1.2.3.5:5",
                                       "[::1]:5",       "[fe80::1%1]:5", "[fe80::1%2]:5",
                                       "[102:304::]:5", "unix:/a",       "unix:/b"};
    struct nu_addr a, b;
    for (size_t i = 0; i < 9; i++)
        for (size_t k = 0; k < 9; k++) {
            nu_addr_parse(&a, rows[i], -1);
            nu_addr_parse(&b, rows[k], -1);
            assert_int_equal(nu_addr_equal(&a, &b), i == k);
        }
    nu_addr_parse(&a, "1.2.3.4:5", -1);
    nu_addr_parse(&b, "1.2.3.4:6", -1);
    assert_int_not_equal(nu_addr_hash(&a), nu_addr_hash(&b));
    char text[NU_ADDR_TEXT_MAX];
    assert_string_equal(nu_addr_str_ip(&a, text), "1.2.3.4");
    assert_string_equal(nu_addr_str(&(struct nu_addr){0}, text), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_what_it_prints),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(prints_as_the_c_library_does),
        cmocka_unit_test(parses_prefixes),
        cmocka_unit_test(finds_addresses_in_prefixes),
        cmocka_unit_test(goes_through_the_kernels_form),
        cmocka_unit_test(makes_abstract_names),
        cmocka_unit_test(tells_addresses_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
