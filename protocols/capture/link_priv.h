/* Between the files that take headers off frames; see link.h. */
#ifndef NU_PROTOCOLS_CAPTURE_LINK_PRIV_H
#define NU_PROTOCOLS_CAPTURE_LINK_PRIV_H

#include "protocols/capture/link.h"

#include <stdbool.h>

struct peel;
/* Strips a header off the front and says what is next; NULL: nothing, it is IP. */
typedef enum nu_err link_step(struct peel *p);

/* What is in hand while headers are taken off. */
struct peel {
    struct nu_piece rest;
    link_step *next;
};

static inline uint16_t link_be16(const uint8_t *b)
{
    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint16_t link_le16(const uint8_t *b)
{
    return (uint16_t)(b[1] << 8 | b[0]);
}

static inline enum nu_err link_cut(struct peel *p, size_t n)
{
    if (p->rest.len < n)
        return NU_ERR_SYNTAX;
    p->rest.data += n;
    p->rest.len -= n;
    return NU_OK;
}

static inline enum nu_err link_then(struct peel *p, link_step *next)
{
    p->next = next;
    return NU_OK;
}

/* --- link.c --- */

enum nu_err link_by_ether_type(struct peel *p, uint16_t type);
link_step link_ip, link_ethernet, link_ppp, link_mpls, link_gre;
/* IEEE 802.2 with SNAP's five bytes, in front of an EtherType. */
link_step link_llc;

/* --- wlan.c: IEEE 802.11 by itself and behind the heads that drivers put before it --- */

link_step link_wlan, link_radiotap, link_prism, link_avs, link_ppi;

/* --- udp_tunnel.c --- */

link_step link_udp;

#endif
