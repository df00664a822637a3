/* From a captured frame to the IP packet in it: link headers, tags and tunnels, by the frame's own
 * words alone. Nothing is kept; any thread. */
#ifndef NU_PROTOCOLS_CAPTURE_LINK_H
#define NU_PROTOCOLS_CAPTURE_LINK_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NU_LINK_DEPTH 16 /* headers, one in the other, before a frame is taken for a bad joke */

/* Some bytes of a frame: what was captured of them. */
struct nu_piece {
    const uint8_t *data;
    size_t len;
};

/* LINKTYPE_* numbers that are understood. */
enum nu_link {
    NU_LINK_NULL = 0,
    NU_LINK_ETHERNET = 1,
    NU_LINK_PPP = 9,
    NU_LINK_PPP_HDLC = 50,
    NU_LINK_PPP_ETHER = 51,
    NU_LINK_RAW = 101,
    NU_LINK_CISCO_HDLC = 104,
    NU_LINK_WLAN = 105,
    NU_LINK_LOOP = 108,
    NU_LINK_SLL = 113,
    NU_LINK_PRISM = 119,
    NU_LINK_RADIOTAP = 127,
    NU_LINK_AVS = 163,
    NU_LINK_PPI = 192,
    NU_LINK_IPV4 = 228,
    NU_LINK_IPV6 = 229,
    NU_LINK_NFLOG = 239,
    NU_LINK_SLL2 = 276,
};

/* The IPv4 or IPv6 packet of a frame (its first byte says which): NU_OK, *out within the frame.
 * NU_NOT_THIS: it carries something else, or the link type is not known. NU_ERR_SYNTAX: cut within
 * its headers. */
enum nu_err nu_link_open(uint32_t link, struct nu_piece frame, struct nu_piece *out);
/* The same for what an IP packet carries, where that is a tunnel: IP, GRE, Ethernet and MPLS by
 * their `protocol`; VXLAN, GENEVE, GTP and others in UDP. */
enum nu_err nu_link_tunnel(uint8_t protocol, struct nu_piece payload, struct nu_piece *out);
bool nu_link_is_read(uint32_t link);
/* "Ethernet"; "?" where not understood. */
const char *nu_link_str(uint32_t link);

#endif
