/* Link headers: each kind in front of the same packet, cut anywhere. */
#include "protocols/capture/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PACKET     "\x45IPv4"
#define PACKET_6   "\x60IPv6"
#define MACS       "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc"
#define BYTES(lit) lit, sizeof(lit) - 1

static const struct {
    const char *what;
    uint32_t link;
    const char *frame;
    size_t len;
    const char *ip; /* NULL: not this */
} frames[] = {
    {"Ethernet",          1,   BYTES(MACS "\x08\x00" PACKET),                                                 PACKET  },
    {"Ethernet, IPv6",    1,   BYTES(MACS "\x86\xdd" PACKET_6),                                               PACKET_6},
    {"ARP",               1,   BYTES(MACS "\x08\x06" PACKET),                                                 NULL    },
    {"VLAN",              1,   BYTES(MACS "\x81\x00\x00\x05\x08\x00" PACKET),                                 PACKET  },
    {"QinQ",              1,   BYTES(MACS "\x88\xa8\x00\x07\x81\x00\x00\x05\x08\x00" PACKET),                 PACKET  },
    {"MPLS",              1,   BYTES(MACS "\x88\x47\x00\x01\x00\xff\x00\x02\x01\xff" PACKET),                 PACKET  },
    {"pseudowire",        1,   BYTES(MACS "\x88\x47\x00\x01\x01\xff\x00\x00\x00\x00" MACS "\x08\x00" PACKET),
     PACKET                                                                                                           },
    {"PPPoE",             1,   BYTES(MACS "\x88\x64\x11\x00\x00\x01\x00\x07\x00\x21" PACKET),                 PACKET  },
    {"PPPoE, IPv6",       1,   BYTES(MACS "\x88\x64\x11\x00\x00\x01\x00\x07\x00\x57" PACKET_6),               PACKET_6},
    {"PPPoE, its own",    1,   BYTES(MACS "\x88\x64\x11\x09\x00\x01\x00\x07\x00\x21" PACKET),                 NULL    },
    {"PPP",               9,   BYTES("\xff\x03\x00\x21" PACKET),                                              PACKET  },
    {"PPP, short",        9,   BYTES("\x21" PACKET),                                                          PACKET  },
    {"PPP, LCP",          9,   BYTES("\xff\x03\xc0\x21" PACKET),                                              NULL    },
    {"PPP in HDLC",       50,  BYTES("\xff\x03\x00\x21" PACKET),                                              PACKET  },
    {"Cisco HDLC",        50,  BYTES("\x0f\x00\x08\x00" PACKET),                                              PACKET  },
    {"PPPoE by itself",   51,  BYTES("\x11\x00\x00\x01\x00\x07\x00\x21" PACKET),                              PACKET  },
    {"NULL, little end",  0,   BYTES("\x02\x00\x00\x00" PACKET),                                              PACKET  },
    {"NULL, big end, v6", 0,   BYTES("\x00\x00\x00\x1e" PACKET_6),                                            PACKET_6},
    {"LOOP",              108, BYTES("\x00\x00\x00\x02" PACKET),                                              PACKET  },
    {"cooked v1",         113,
     BYTES("\x00\x00\x00\x01\x00\x06"
           "\1\2\3\4\5\6\7\x8"
           "\x08\x00" PACKET),
     PACKET                                                                                                           },
    {"cooked v1, VLAN",   113,
     BYTES("\x00\x00\x00\x01\x00\x06"
           "\1\2\3\4\5\6\7\x8"
           "\x81\x00\x00\x05\x08\x00" PACKET),
     PACKET                                                                                                           },
    {"cooked v2",         276, BYTES("\x08\x00\x00\x00" MACS "\1\2\3\4" PACKET),                              PACKET  },
    {"raw",               101, BYTES(PACKET),                                                                 PACKET  },
    {"raw, IPv6",         101, BYTES(PACKET_6),                                                               PACKET_6},
    {"raw, neither",      101, BYTES("\x55what"),                                                             NULL    },
    {"IPv4",              228, BYTES(PACKET),                                                                 PACKET  },
    {"IPv6",              229, BYTES(PACKET_6),                                                               PACKET_6},
    {"netfilter log",     239, BYTES("\x02\x00\x00\x00\x05\x00\x0a\x00x\0\0\0\x09\x00\x09\x00" PACKET),
     PACKET                                                                                                           },
    {"not known",         147, BYTES(PACKET),                                                                 NULL    },
};

static void check_is(struct nu_piece out, const char *ip)
{
    assert_int_equal(out.len, strlen(ip));
    assert_memory_equal(out.data, ip, out.len);
}

static void test_each_kind(void **state)
{
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct nu_piece out, frame = {(const uint8_t *)frames[i].frame, frames[i].len};
        enum nu_err err = nu_link_open(frames[i].link, frame, &out);
        if (err != (frames[i].ip ? NU_OK : NU_NOT_THIS))
            fail_msg("%s: %s", frames[i].what, nu_err_str(err));
        if (frames[i].ip)
            check_is(out, frames[i].ip);
    }
}

/* What is cut within the headers is said to be; behind them, less is left of the packet. */
static void test_cut_anywhere(void **state)
{
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        size_t head = frames[i].ip ? frames[i].len - strlen(frames[i].ip) : 0;
        for (size_t len = 0; frames[i].ip && len <= head; len++) {
            struct nu_piece out, frame = {(const uint8_t *)frames[i].frame, len};
            enum nu_err err = nu_link_open(frames[i].link, frame, &out);
            if (err != NU_ERR_SYNTAX && err != NU_NOT_THIS)
                fail_msg("%s, %zu bytes: %s", frames[i].what, len, nu_err_str(err));
        }
    }
}

static void test_tunnels(void **state)
{
    static const struct {
        uint8_t protocol;
        const char *bytes;
        size_t len;
        const char *ip;
    } cases[] = {
        {47, BYTES("\x00\x00\x08\x00" PACKET),                 PACKET  },
        {47,
         BYTES("\x20\x00\x86\xdd"
               "\0\0\0\1" PACKET_6),
         PACKET_6                                                      },
        {47,
         BYTES("\xb0\x00\x08\x00"
               "\1\2\0\0"
               "\0\0\0\1"
               "\0\0\0\2" PACKET),
         PACKET                                                        },
        {47, BYTES("\x00\x00\x65\x58" MACS "\x08\x00" PACKET), PACKET  },
        {47,
         BYTES("\x30\x81\x88\x0b"
               "\0\x9\0\1"
               "\0\0\0\2"
               "\0\0\0\1"
               "\xff\x03\x00\x21" PACKET),
         PACKET                                                        },
        {4,  BYTES(PACKET),                                    PACKET  },
        {41, BYTES(PACKET_6),                                  PACKET_6},
        {47, BYTES("\x40\x00\x08\x00" PACKET),                 NULL    },
        {17, BYTES(PACKET),                                    NULL    },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nu_piece out, in = {(const uint8_t *)cases[i].bytes, cases[i].len};
        assert_int_equal(nu_link_tunnel(cases[i].protocol, in, &out),
                         cases[i].ip ? NU_OK : NU_NOT_THIS);
        if (cases[i].ip)
            check_is(out, cases[i].ip);
    }
}

/* Tags without end. */
static void test_depth(void **state)
{
    uint8_t frame[14 + 4 * 40 + 5] = {[12] = 0x81};
    for (int i = 0; i < 40; i++)
        frame[14 + 4 * i + 2] = 0x81;
    struct nu_piece out;
    assert_int_equal(nu_link_open(1, (struct nu_piece){frame, sizeof frame}, &out), NU_NOT_THIS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_tunnels),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
