/* Link headers; see link.h. Each kind is a function that strips its header and names what is next.
 */
#include "protocols/capture/link.h"

#include <stdbool.h>
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
};

/* What is in hand while headers are taken off. */
struct peel {
    struct nu_piece rest;
    enum nu_err (*next)(struct peel *p);
};

static uint16_t be16(const uint8_t *b)
{
    return (uint16_t)(b[0] << 8 | b[1]);
}

static enum nu_err cut(struct peel *p, size_t n)
{
    if (p->rest.len < n)
        return NU_ERR_SYNTAX;
    p->rest.data += n;
    p->rest.len -= n;
    return NU_OK;
}

/* The end: what remains begins with its own version. */
static enum nu_err ip(struct peel *p)
{
    p->next = NULL;
    if (!p->rest.len)
        return NU_ERR_SYNTAX;
    uint8_t version = p->rest.data[0] >> 4;
    return version == 4 || version == 6 ? NU_OK : NU_NOT_THIS;
}

static enum nu_err ethernet(struct peel *p);
static enum nu_err vlan(struct peel *p);
static enum nu_err mpls(struct peel *p);
static enum nu_err pppoe(struct peel *p);
static enum nu_err ppp(struct peel *p);

static const struct {
    uint16_t type;
    enum nu_err (*next)(struct peel *p);
} ether_types[] = {
    {ETHER_IPV4,           ip      },
    {ETHER_IPV6,           ip      },
    {ETHER_VLAN,           vlan    },
    {ETHER_QINQ,           vlan    },
    {ETHER_QINQ_OLD,       vlan    },
    {ETHER_MPLS,           mpls    },
    {ETHER_MPLS_MULTICAST, mpls    },
    {ETHER_PPPOE,          pppoe   },
    {ETHER_BRIDGED,        ethernet},
    {ETHER_PPP,            ppp     },
};

static enum nu_err by_ether_type(struct peel *p, uint16_t type)
{
    for (size_t i = 0; i < sizeof ether_types / sizeof *ether_types; i++)
        if (ether_types[i].type == type) {
            p->next = ether_types[i].next;
            return NU_OK;
        }
    return NU_NOT_THIS;
}

static enum nu_err ethernet(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = cut(p, 14);
    return err ? err : by_ether_type(p, be16(b + 12));
}

/* Behind the type that named it: a tag, and the type of what is tagged. */
static enum nu_err vlan(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = cut(p, 4);
    return err ? err : by_ether_type(p, be16(b + 2));
}

/* Labels up to the one that says it is the last (RFC 3032). Below them IP tells by its version;
 * else it is a pseudowire, with a control word (RFC 4385) or without. */
static enum nu_err mpls(struct peel *p)
{
    bool last;
    do {
        if (p->rest.len < 4)
            return NU_ERR_SYNTAX;
        last = p->rest.data[2] & 1;
        cut(p, 4);
    } while (!last);
    if (!p->rest.len)
        return NU_ERR_SYNTAX;
    uint8_t first = p->rest.data[0] >> 4;
    p->next = first == 4 || first == 6 ? ip : ethernet;
    return first ? NU_OK : cut(p, 4);
}

static enum nu_err pppoe(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = cut(p, 6);
    if (err)
        return err;
    p->next = ppp;
    return b[0] == 0x11 && b[1] == 0 ? NU_OK : NU_NOT_THIS; /* 0: session data */
}

/* Address and control may be left out, and so may the first byte of the protocol (RFC 1661 6.5). */
static enum nu_err ppp(struct peel *p)
{
    if (p->rest.len >= 2 && p->rest.data[0] == 0xff && p->rest.data[1] == 3)
        cut(p, 2);
    if (p->rest.len < 2)
        return NU_ERR_SYNTAX;
    bool small = p->rest.data[0] & 1;
    uint16_t protocol = small ? p->rest.data[0] : be16(p->rest.data);
    cut(p, small ? 1 : 2);
    if (protocol == 0x0281 || protocol == 0x0283) {
        p->next = mpls;
        return NU_OK;
    }
    p->next = ip;
    return protocol == 0x0021 || protocol == 0x0057 ? NU_OK : NU_NOT_THIS;
}

/* The address family in the order of the machine that captured; or, LOOP, in network order. The
 * number of IPv6 differs from system to system, so IP is left to say what it is. */
static enum nu_err null_or_loop(struct peel *p)
{
    p->next = ip;
    return cut(p, 4);
}

/* HDLC as Cisco has it, or PPP in it. */
static enum nu_err ppp_hdlc(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    if (p->rest.len < 4)
        return NU_ERR_SYNTAX;
    if (b[0] != 0x0f && b[0] != 0x8f) {
        p->next = ppp;
        return NU_OK;
    }
    cut(p, 4);
    return by_ether_type(p, be16(b + 2));
}

static enum nu_err sll(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = cut(p, 16);
    return err ? err : by_ether_type(p, be16(b + 14));
}

static enum nu_err sll2(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = cut(p, 20);
    return err ? err : by_ether_type(p, be16(b));
}

/* Netfilter's log: a head, then attributes in the capturing machine's order, of which number 9 is
 * the packet. */
static enum nu_err nflog(struct peel *p)
{
    enum nu_err err = cut(p, 4);
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
            p->next = ip;
            return cut(p, 4);
        }
        size_t step = (len + 3u) & ~3u;
        err = cut(p, step < p->rest.len ? step : p->rest.len);
    }
    return err ? err : NU_NOT_THIS;
}

/* RFC 2784 and 2890; version 1 is PPTP's (RFC 2637). */
static enum nu_err gre(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = cut(p, 4);
    if (err)
        return err;
    bool sum = b[0] & 0x80, routes = b[0] & 0x40, key = b[0] & 0x20, seq = b[0] & 0x10;
    bool ack = b[1] & 0x80 && (b[1] & 7) == 1;
    if (routes)
        return NU_NOT_THIS;
    err = cut(p, 4u * ((unsigned)sum + key + seq + ack));
    return err ? err : by_ether_type(p, be16(b + 2));
}

static const struct {
    uint32_t link;
    const char *name;
    enum nu_err (*first)(struct peel *p);
} links[] = {
    {NU_LINK_ETHERNET,  "Ethernet",        ethernet    },
    {NU_LINK_SLL,       "Linux cooked v1", sll         },
    {NU_LINK_SLL2,      "Linux cooked v2", sll2        },
    {NU_LINK_RAW,       "raw IP",          ip          },
    {NU_LINK_IPV4,      "IPv4",            ip          },
    {NU_LINK_IPV6,      "IPv6",            ip          },
    {12,                "raw IP",          ip          }, /* DLT_RAW of most systems, and of OpenBSD: */
    {14,                "raw IP",          ip          }, /* no LINKTYPE, but found in files */
    {NU_LINK_NULL,      "BSD loopback",    null_or_loop},
    {NU_LINK_LOOP,      "OpenBSD loop",    null_or_loop},
    {NU_LINK_PPP,       "PPP",             ppp         },
    {NU_LINK_PPP_HDLC,  "PPP in HDLC",     ppp_hdlc    },
    {NU_LINK_PPP_ETHER, "PPPoE",           pppoe       },
    {NU_LINK_NFLOG,     "netfilter log",   nflog       },
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

enum nu_err nu_link_tunnel(uint8_t protocol, struct nu_piece payload, struct nu_piece *out)
{
    struct peel p = {payload, protocol == 47 ? gre : protocol == 4 || protocol == 41 ? ip : NULL};
    *out = (struct nu_piece){0};
    return p.next ? run(&p, out) : NU_NOT_THIS;
}

const char *nu_link_str(uint32_t link)
{
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (links[i].link == link)
            return links[i].name;
    return "?";
}
