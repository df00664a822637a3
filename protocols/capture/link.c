/* Link headers; see link.h. Each kind is a function that strips its header and names what is next.
 */
#include "protocols/capture/link_priv.h"

#include <string.h>

/* EtherTypes; GRE and the cooked links use them as well. */
enum {
    ETHER_IPV4 = 0x0800,
    ETHER_IPV6 = 0x86dd,
    ETHER_VLAN = 0x8100,
    ETHER_QINQ = 0x88a8,
    ETHER_QINQ_OLD = 0x9100,
    ETHER_MPLS = 0x8847,
    ETHER_MPLS_MULTICAST = 0x8848,
    ETHER_PPPOE = 0x8864,
    ETHER_BRIDGED = 0x6558, /* GRE: an Ethernet frame */
    ETHER_PPP = 0x880b,     /* GRE of PPTP */
    ETHER_ERSPAN = 0x88be,  /* GRE: a switch's mirror port */
    ETHER_ERSPAN_3 = 0x22eb,
    ETHER_LEAST = 0x0600, /* below it is a length, and IEEE 802.2 follows */
};

/* The end: what remains begins with its own version. */
enum nu_err link_ip(struct peel *p)
{
    p->next = NULL;
    if (!p->rest.len)
        return NU_ERR_SYNTAX;
    uint8_t version = p->rest.data[0] >> 4;
    return version == 4 || version == 6 ? NU_OK : NU_NOT_THIS;
}

static link_step vlan, pppoe, erspan_3;

static const struct {
    uint16_t type;
    link_step *next;
} ether_types[] = {
    {ETHER_IPV4,           link_ip      },
    {ETHER_IPV6,           link_ip      },
    {ETHER_VLAN,           vlan         },
    {ETHER_QINQ,           vlan         },
    {ETHER_QINQ_OLD,       vlan         },
    {ETHER_MPLS,           link_mpls    },
    {ETHER_MPLS_MULTICAST, link_mpls    },
    {ETHER_PPPOE,          pppoe        },
    {ETHER_BRIDGED,        link_ethernet},
    {ETHER_PPP,            link_ppp     },
    {ETHER_ERSPAN,         link_ethernet},
    {ETHER_ERSPAN_3,       erspan_3     },
};

enum nu_err link_by_ether_type(struct peel *p, uint16_t type)
{
    for (size_t i = 0; i < sizeof ether_types / sizeof *ether_types; i++)
        if (ether_types[i].type == type) {
            p->next = ether_types[i].next;
            return NU_OK;
        }
    return NU_NOT_THIS;
}

enum nu_err link_ethernet(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 14);
    if (err)
        return err;
    uint16_t type = link_be16(b + 12);
    return type < ETHER_LEAST ? link_then(p, link_llc) : link_by_ether_type(p, type);
}

enum nu_err link_llc(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    if (p->rest.len >= 3 && (b[0] != 0xaa || b[1] != 0xaa || b[2] != 3))
        return NU_NOT_THIS;
    enum nu_err err = link_cut(p, 8);
    return err ? err : link_by_ether_type(p, link_be16(b + 6));
}

/* Behind the type that named it: a tag, and the type of what is tagged. */
static enum nu_err vlan(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 4);
    return err ? err : link_by_ether_type(p, link_be16(b + 2));
}

/* Labels up to the one that says it is the last (RFC 3032). Below them IP tells by its version;
 * else it is a pseudowire, with a control word (RFC 4385) or without. */
enum nu_err link_mpls(struct peel *p)
{
    bool last;
    do {
        if (p->rest.len < 4)
            return NU_ERR_SYNTAX;
        last = p->rest.data[2] & 1;
        link_cut(p, 4);
    } while (!last);
    if (!p->rest.len)
        return NU_ERR_SYNTAX;
    uint8_t first = p->rest.data[0] >> 4;
    p->next = first == 4 || first == 6 ? link_ip : link_ethernet;
    return first ? NU_OK : link_cut(p, 4);
}

static enum nu_err pppoe(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 6);
    if (err)
        return err;
    p->next = link_ppp;
    return b[0] == 0x11 && b[1] == 0 ? NU_OK : NU_NOT_THIS; /* 0: session data */
}

/* Address and control may be left out, and so may the first byte of the protocol (RFC 1661 6.5). */
enum nu_err link_ppp(struct peel *p)
{
    if (p->rest.len >= 2 && p->rest.data[0] == 0xff && p->rest.data[1] == 3)
        link_cut(p, 2);
    if (p->rest.len < 2)
        return NU_ERR_SYNTAX;
    bool small = p->rest.data[0] & 1;
    uint16_t protocol = small ? p->rest.data[0] : link_be16(p->rest.data);
    link_cut(p, small ? 1 : 2);
    if (protocol == 0x0281 || protocol == 0x0283) {
        p->next = link_mpls;
        return NU_OK;
    }
    p->next = link_ip;
    return protocol == 0x0021 || protocol == 0x0057 ? NU_OK : NU_NOT_THIS;
}

/* The address family in the order of the machine that captured; or, LOOP, in network order. The
 * number of IPv6 differs from system to system, so IP is left to say what it is. */
static enum nu_err null_or_loop(struct peel *p)
{
    p->next = link_ip;
    return link_cut(p, 4);
}

/* HDLC as Cisco has it, or PPP in it. */
static enum nu_err ppp_hdlc(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    if (p->rest.len < 4)
        return NU_ERR_SYNTAX;
    if (b[0] != 0x0f && b[0] != 0x8f) {
        p->next = link_ppp;
        return NU_OK;
    }
    link_cut(p, 4);
    return link_by_ether_type(p, link_be16(b + 2));
}

static enum nu_err sll(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 16);
    return err ? err : link_by_ether_type(p, link_be16(b + 14));
}

static enum nu_err sll2(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 20);
    return err ? err : link_by_ether_type(p, link_be16(b));
}

/* Netfilter's log: a head, then attributes in the capturing machine's order, of which number 9 is
 * the packet. */
static enum nu_err nflog(struct peel *p)
{
    enum nu_err err = link_cut(p, 4);
    while (!err && p->rest.len >= 4) {
        uint16_t len, type;
        memcpy(&len, p->rest.data, 2);
        memcpy(&type, p->rest.data + 2, 2);
        if (len > p->rest.len && __builtin_bswap16(len) <= p->rest.len) {
            len = __builtin_bswap16(len);
            type = __builtin_bswap16(type);
        }
        if (len < 4 || len > p->rest.len)
            return NU_ERR_SYNTAX;
        if ((type & 0x7fff) == 9) {
            p->rest.len = len;
            p->next = link_ip;
            return link_cut(p, 4);
        }
        size_t step = (len + 3u) & ~3u;
        err = link_cut(p, step < p->rest.len ? step : p->rest.len);
    }
    return err ? err : NU_NOT_THIS;
}

/* RFC 2784 and 2890; version 1 is PPTP's (RFC 2637). */
enum nu_err link_gre(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 4);
    if (err)
        return err;
    bool sum = b[0] & 0x80, routes = b[0] & 0x40, key = b[0] & 0x20, seq = b[0] & 0x10;
    bool ack = b[1] & 0x80 && (b[1] & 7) == 1;
    if (routes)
        return NU_NOT_THIS;
    err = link_cut(p, 4u * ((unsigned)sum + key + seq + ack));
    if (!err && link_be16(b + 2) == ETHER_ERSPAN &&
        seq) /* its first version has no head, no number */
        err = link_cut(p, 8);
    return err ? err : link_by_ether_type(p, link_be16(b + 2));
}

/* draft-foschiano-erspan: 12 bytes, and 8 more where the last bit says so. */
static enum nu_err erspan_3(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 12);
    if (!err && b[11] & 1)
        err = link_cut(p, 8);
    return err ? err : link_then(p, link_ethernet);
}

/* RFC 3378: Ethernet in IP. */
static enum nu_err ether_ip(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 2);
    if (err)
        return err;
    return b[0] == 0x30 ? link_then(p, link_ethernet) : NU_NOT_THIS;
}

static const struct {
    uint32_t link;
    const char *name;
    link_step *first;
} links[] = {
    {NU_LINK_ETHERNET,   "Ethernet",              link_ethernet},
    {NU_LINK_SLL,        "Linux cooked v1",       sll          },
    {NU_LINK_SLL2,       "Linux cooked v2",       sll2         },
    {NU_LINK_RAW,        "raw IP",                link_ip      },
    {NU_LINK_IPV4,       "IPv4",                  link_ip      },
    {NU_LINK_IPV6,       "IPv6",                  link_ip      },
    {12,                 "raw IP",                link_ip      }, /* DLT_RAW of most systems, and of OpenBSD: */
    {14,                 "raw IP",                link_ip      }, /* no LINKTYPE, but found in files */
    {NU_LINK_NULL,       "BSD loopback",          null_or_loop },
    {NU_LINK_LOOP,       "OpenBSD loop",          null_or_loop },
    {NU_LINK_PPP,        "PPP",                   link_ppp     },
    {NU_LINK_PPP_HDLC,   "PPP in HDLC",           ppp_hdlc     },
    {NU_LINK_PPP_ETHER,  "PPPoE",                 pppoe        },
    {NU_LINK_NFLOG,      "netfilter log",         nflog        },
    {NU_LINK_CISCO_HDLC, "Cisco HDLC",            ppp_hdlc     },
    {NU_LINK_WLAN,       "IEEE 802.11",           link_wlan    },
    {NU_LINK_RADIOTAP,   "IEEE 802.11, radiotap", link_radiotap},
    {NU_LINK_PRISM,      "IEEE 802.11, Prism",    link_prism   },
    {NU_LINK_AVS,        "IEEE 802.11, AVS",      link_avs     },
    {NU_LINK_PPI,        "PPI",                   link_ppi     },
};

static enum nu_err run(struct peel *p, struct nu_piece *out)
{
    enum nu_err err = NU_OK;
    unsigned depth = 0;
    while (!err && p->next)
        err = depth++ < NU_LINK_DEPTH ? p->next(p) : NU_NOT_THIS;
    if (!err)
        *out = p->rest;
    return err;
}

enum nu_err nu_link_open(uint32_t link, struct nu_piece frame, struct nu_piece *out)
{
    struct peel p = {frame, NULL};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (links[i].link == link)
            p.next = links[i].first;
    *out = (struct nu_piece){0};
    return p.next ? run(&p, out) : NU_NOT_THIS;
}

static const struct {
    uint8_t protocol;
    link_step *first;
} tunnels[] = {
    {4,   link_ip  },
    {17,  link_udp },
    {41,  link_ip  },
    {47,  link_gre },
    {97,  ether_ip },
    {137, link_mpls},
};

enum nu_err nu_link_tunnel(uint8_t protocol, struct nu_piece payload, struct nu_piece *out)
{
    struct peel p = {payload, NULL};
    for (size_t i = 0; i < sizeof tunnels / sizeof *tunnels; i++)
        if (tunnels[i].protocol == protocol)
            p.next = tunnels[i].first;
    *out = (struct nu_piece){0};
    return p.next ? run(&p, out) : NU_NOT_THIS;
}

bool nu_link_is_read(uint32_t link)
{
    return *nu_link_str(link) != '?';
}

const char *nu_link_str(uint32_t link)
{
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (links[i].link == link)
            return links[i].name;
    return "?";
}
