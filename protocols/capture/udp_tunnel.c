/* Tunnels in UDP. Nothing in a datagram says that it is one, so here, and only here, a port is
 * asked; what stands there must then look like it. See link_priv.h. */
#include "protocols/capture/link_priv.h"

/* RFC 7348; Linux' kernel began with a port of its own. */
static enum nu_err vxlan(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 8);
    if (err)
        return err;
    return b[0] & 0x08 ? link_then(p, link_ethernet) : NU_NOT_THIS;
}

/* draft-ietf-nvo3-vxlan-gpe */
static enum nu_err vxlan_gpe(struct peel *p)
{
    static link_step *const protocols[] = {NULL, link_ip, link_ip, link_ethernet, NULL, link_mpls};
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 8);
    if (err)
        return err;
    bool known = (b[0] & 0x0c) == 0x0c && b[3] < sizeof protocols / sizeof *protocols;
    p->next = known ? protocols[b[3]] : NULL;
    return p->next ? NU_OK : NU_NOT_THIS;
}

/* RFC 8926 */
static enum nu_err geneve(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 8);
    if (!err)
        err = b[0] >> 6 ? NU_NOT_THIS : link_cut(p, (b[0] & 0x3fu) * 4);
    return err ? err : link_by_ether_type(p, link_be16(b + 2));
}

/* 3GPP TS 29.281 5: a user's packet, behind extension headers that each name the next. */
static enum nu_err gtp(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 8);
    if (err || (b[0] & 0xf0) != 0x30 || b[1] != 255)
        return err ? err : NU_NOT_THIS;
    if (b[0] & 7)
        err = link_cut(p, 4);
    uint8_t type = err || !(b[0] & 4) ? 0 : b[11];
    while (!err && type) {
        size_t len = p->rest.len ? p->rest.data[0] * 4u : 0;
        if (!len || link_cut(p, len))
            return NU_ERR_SYNTAX;
        type = p->rest.data[-1];
    }
    return err ? err : link_then(p, link_ip);
}

/* SixXS' tunnels; draft-massar-v6ops-ayiya. */
static enum nu_err ayiya(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 8);
    if (err || (b[2] & 0x0f) != 1 || (b[3] != 41 && b[3] != 4)) /* 1: forward it */
        return err ? err : NU_NOT_THIS;
    err = link_cut(p, ((size_t)1 << (b[0] >> 4)) + (b[1] >> 4) * 4u);
    return err ? err : link_then(p, link_ip);
}

/* RFC 2661 3.1; data only. */
static enum nu_err l2tp(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    if (p->rest.len < 2)
        return NU_ERR_SYNTAX;
    bool control = b[0] & 0x80, length = b[0] & 0x40, sequence = b[0] & 0x08, offset = b[0] & 0x02;
    if (control || (b[1] & 0x0f) != 2)
        return NU_NOT_THIS;
    enum nu_err err = link_cut(p, 6u + (length ? 2 : 0) + (sequence ? 4 : 0));
    b = p->rest.data;
    if (!err && offset)
        err = p->rest.len < 2 ? NU_ERR_SYNTAX : link_cut(p, 2u + link_be16(b));
    return err ? err : link_then(p, link_ppp);
}

/* RFC 4380 5.1.1: IPv6, behind what proves who sends and what tells where from. */
static enum nu_err teredo(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = NU_OK;
    if (p->rest.len >= 4 && link_be16(b) == 1)
        err = link_cut(p, 13u + b[2] + b[3]);
    if (!err && p->rest.len >= 2 && link_be16(p->rest.data) == 0)
        err = link_cut(p, 8);
    return err ? err : link_then(p, link_ip);
}

static const struct {
    uint16_t port;
    link_step *first;
} tunnels[] = {
    {4789, vxlan    },
    {8472, vxlan    },
    {4790, vxlan_gpe},
    {6081, geneve   },
    {2152, gtp      },
    {4754, link_gre },
    {6635, link_mpls},
    {1701, l2tp     },
    {3544, teredo   },
    {5072, ayiya    },
};

enum nu_err link_udp(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 8);
    if (err)
        return err;
    uint16_t from = link_be16(b), to = link_be16(b + 2), len = link_be16(b + 4);
    if (len >= 8 && len - 8u < p->rest.len)
        p->rest.len = len - 8u;
    for (size_t i = 0; i < sizeof tunnels / sizeof *tunnels; i++)
        if (tunnels[i].port == to || tunnels[i].port == from)
            return link_then(p, tunnels[i].first);
    return NU_NOT_THIS;
}
