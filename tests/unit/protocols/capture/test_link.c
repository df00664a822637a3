/* Link headers: each kind in front of the same packet, cut anywhere. */
#include "protocols/capture/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PACKET     "\x45IPv4"
#define PACKET_6   "\x60IPv6"
#define MACS       "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc"
#define SNAP       "\xaa\xaa\x03\x00\x00\x00\x08\x00"
#define WLAN       "\1\2" MACS "\1\2\3\4\5\6\x10\0" /* behind the first two bytes */
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
    {"802.3 with SNAP",   1,   BYTES(MACS "\x00\x0d" SNAP PACKET),                                            PACKET  },
    {"802.3, STP",        1,   BYTES(MACS "\x00\x0d\x42\x42\x03\x00\x00\x00\x00\x00"),                        NULL    },
    {"Cisco HDLC itself", 104, BYTES("\x0f\x00\x08\x00" PACKET),                                              PACKET  },
    {"802.11",            105, BYTES("\x08\x01" WLAN SNAP PACKET),                                            PACKET  },
    {"802.11, QoS",       105, BYTES("\x88\x02" WLAN "\x00\x00" SNAP PACKET),                                 PACKET  },
    {"802.11, QoS, HT",   105, BYTES("\x88\x81" WLAN "\x00\x00\1\2\3\4" SNAP PACKET),                         PACKET  },
    {"802.11, 4 ends",    105, BYTES("\x08\x03" WLAN "\1\2\3\4\5\6" SNAP PACKET),                             PACKET  },
    {"802.11, A-MSDU",    105, BYTES("\x88\x01" WLAN "\x80\x00" MACS "\x00\x0d" SNAP PACKET),                 PACKET  },
    {"802.11, beacon",    105, BYTES("\x80\x00" WLAN SNAP PACKET),                                            NULL    },
    {"802.11, null",      105, BYTES("\x48\x01" WLAN SNAP PACKET),                                            NULL    },
    {"802.11, encrypted", 105, BYTES("\x08\x41" WLAN SNAP PACKET),                                            NULL    },
    {"802.11, in parts",  105, BYTES("\x08\x05" WLAN SNAP PACKET),                                            NULL    },
    {"radiotap",          127, BYTES("\0\0\x09\0\x02\0\0\0\x00\x08\x01" WLAN SNAP PACKET),                    PACKET  },
    {"radiotap, padded",  127,
     BYTES("\0\0\x19\0\x03\0\0\x80\0\0\0\0\0\0\0\0timetime\x20"
           "\x88\x01" WLAN "\x00\x00\0\0" SNAP PACKET),
     PACKET                                                                                                           },
    {"radiotap, of when", 127, BYTES("\1\0\x09\0\x02\0\0\0\x00\x08\x01" WLAN SNAP PACKET),                    NULL    },
    {"Prism",             119, BYTES("\x44\0\0\0\x0c\0\0\0head\x08\x01" WLAN SNAP PACKET),                    PACKET  },
    {"Prism, big end",    119, BYTES("\0\0\0\x44\0\0\0\x0chead\x08\x01" WLAN SNAP PACKET),                    PACKET  },
    {"AVS as Prism",      119, BYTES("\x80\x21\x10\1\0\0\0\x0chead\x08\x01" WLAN SNAP PACKET),                PACKET  },
    {"AVS",               163, BYTES("\x80\x21\x10\1\0\0\0\x0chead\x08\x01" WLAN SNAP PACKET),                PACKET  },
    {"PPI",               192, BYTES("\0\0\x0c\0\x69\0\0\0head\x08\x01" WLAN SNAP PACKET),                    PACKET  },
    {"PPI, Ethernet",     192, BYTES("\0\0\x08\0\1\0\0\0" MACS "\x08\x00" PACKET),                            PACKET  },
    {"PPI, what",         192, BYTES("\0\0\x08\0\2\0\0\0" PACKET),                                            NULL    },
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

/* Without a length, as the card fills it in. */
#define UDP(text) BYTES("\x99\x99" text)
#define OTHER     "\x00\x35\0\0\0\0"
#define GRE       "\x12\x92\0\0\0\0"
#define MPLS      "\x19\xeb\0\0\0\0"
#define VXLAN     "\x12\xb5\0\0\0\0"
#define VXLAN_2   "\x21\x18\0\0\0\0"
#define GPE       "\x12\xb6\0\0\0\0"
#define GENEVE    "\x17\xc1\0\0\0\0"
#define GTP       "\x08\x68\0\0\0\0"
#define L2TP      "\x06\xa5\0\0\0\0"
#define TEREDO    "\x0d\xd8\0\0\0\0"
#define AYIYA     "\x13\xd0\0\0\0\0"

static const struct {
    uint8_t protocol;
    const char *bytes;
    size_t len;
    const char *ip;
} tunnels[] = {
    {47,  BYTES("\x00\x00\x08\x00" PACKET),                                              PACKET  },
    {47,  BYTES("\x20\x00\x86\xdd\0\0\0\1" PACKET_6),                                    PACKET_6},
    {47,  BYTES("\xb0\x00\x08\x00\1\2\0\0\0\0\0\1\0\0\0\2" PACKET),                      PACKET  },
    {47,  BYTES("\x00\x00\x65\x58" MACS "\x08\x00" PACKET),                              PACKET  },
    {47,  BYTES("\x30\x81\x88\x0b\0\x9\0\1\0\0\0\2\0\0\0\1\xff\x03\x00\x21" PACKET),     PACKET  },
    {47,  BYTES("\x40\x00\x08\x00" PACKET),                                              NULL    },
    {47,  BYTES("\x00\x00\x88\xbe" MACS "\x08\x00" PACKET),                              PACKET  },
    {47,  BYTES("\x10\x00\x88\xbe\0\0\0\1ERSPAN-2" MACS "\x08\x00" PACKET),              PACKET  },
    {47,  BYTES("\x10\x00\x22\xeb\0\0\0\1ERSPAN-3...\1platform" MACS "\x08\x00" PACKET), PACKET  },
    {47,  BYTES("\x10\x00\x22\xeb\0\0\0\1ERSPAN-3...\0" MACS "\x08\x00" PACKET),         PACKET  },
    {4,   BYTES(PACKET),                                                                 PACKET  },
    {41,  BYTES(PACKET_6),                                                               PACKET_6},
    {50,  BYTES(PACKET),                                                                 NULL    },
    {97,  BYTES("\x30\x00" MACS "\x08\x00" PACKET),                                      PACKET  },
    {97,  BYTES("\x40\x00" MACS "\x08\x00" PACKET),                                      NULL    },
    {137, BYTES("\x00\x02\x01\xff" PACKET),                                              PACKET  },
    {17,  UDP(VXLAN "\x08\0\0\0\0\0\7\0" MACS "\x08\x00" PACKET),                        PACKET  },
    {17,  UDP(VXLAN_2 "\x08\0\0\0\0\0\7\0" MACS "\x08\x00" PACKET),                      PACKET  },
    {17,  UDP(VXLAN "\x00\0\0\0\0\0\7\0" MACS "\x08\x00" PACKET),                        NULL    },
    {17,  UDP(GPE "\x0c\0\0\1\0\0\7\0" PACKET),                                          PACKET  },
    {17,  UDP(GPE "\x0c\0\0\3\0\0\7\0" MACS "\x08\x00" PACKET),                          PACKET  },
    {17,  UDP(GPE "\x0c\0\0\4\0\0\7\0" PACKET),                                          NULL    },
    {17,  UDP(GENEVE "\x02\0\x65\x58\0\0\7\0options." MACS "\x08\x00" PACKET),           PACKET  },
    {17,  UDP(GENEVE "\x00\0\x08\x00\0\0\7\0" PACKET),                                   PACKET  },
    {17,  UDP(GENEVE "\x40\0\x08\x00\0\0\7\0" PACKET),                                   NULL    },
    {17,  UDP(GTP "\x30\xff\0\5teid" PACKET),                                            PACKET  },
    {17,  UDP(GTP "\x34\xff\0\x11teid\0\1\0\x85\1\1\2\x40\1\1\2\0" PACKET),              PACKET  },
    {17,  UDP(GTP "\x32\xff\0\x09teid\0\1\0\0" PACKET),                                  PACKET  },
    {17,  UDP(GTP "\x32\1\0\4teid\0\1\0\0" PACKET),                                      NULL    },
    {17,  UDP(GRE "\x20\x00\x08\x00\0\0\0\1" PACKET),                                    PACKET  },
    {17,  UDP(MPLS "\x00\x02\x01\xff" PACKET),                                           PACKET  },
    {17,  UDP(L2TP "\x40\2\0\x10tunl\xff\3\0\x21" PACKET),                               PACKET  },
    {17,  UDP(L2TP "\x0a\2tunlnsnr\0\3pad\0\x21" PACKET),                                PACKET  },
    {17,  UDP(L2TP "\xc8\2\0\x0ctunl\0\0\0\0"),                                          NULL    },
    {17,  UDP(TEREDO PACKET_6),                                                          PACKET_6},
    {17,  UDP(TEREDO "\0\1\1\2iaunonce...\0\0\0\1\2\3\4\5\6" PACKET_6),                  PACKET_6},
    {17,  UDP(AYIYA "\x22\x12\x01\x29timeididsign" PACKET_6),                            PACKET_6},
    {17,  UDP(AYIYA "\x22\x12\x00\x29timeididsign" PACKET_6),                            NULL    },
    {17,  UDP(OTHER "what is no tunnel"),                                                NULL    },
};

static void test_tunnels(void **state)
{
    for (size_t i = 0; i < sizeof tunnels / sizeof *tunnels; i++) {
        const char *ip = tunnels[i].ip;
        struct nu_piece out, in = {(const uint8_t *)tunnels[i].bytes, tunnels[i].len};
        enum nu_err err = nu_link_tunnel(tunnels[i].protocol, in, &out);
        if (err != (ip ? NU_OK : NU_NOT_THIS))
            fail_msg("row %zu: %s", i, nu_err_str(err));
        if (!ip)
            continue;
        check_is(out, ip);
        for (in.len = 0; in.len <= tunnels[i].len - strlen(ip); in.len++)
            assert_int_not_equal(nu_link_tunnel(tunnels[i].protocol, in, &out), NU_OK);
    }
}

/* What the link added behind a datagram is not its. */
static void test_length_of_udp(void **state)
{
    static const char datagram[] = "\x99\x99\x12\x92\0\x11\0\0"
                                   "\0\0\x08\0" PACKET "rest";
    struct nu_piece out, in = {(const uint8_t *)datagram, sizeof datagram - 1};
    assert_int_equal(nu_link_tunnel(17, in, &out), NU_OK);
    check_is(out, PACKET);
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
        cmocka_unit_test(test_each_kind), cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_tunnels),   cmocka_unit_test(test_length_of_udp),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
