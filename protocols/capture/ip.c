/* Headers of IPv4 (RFC 791) and IPv6 (RFC 8200); see ip.h. */
#include "protocols/capture/ip.h"

#include <string.h>

/* IPv6's extension headers, and what else stands before the payload. */
enum {
    EXT_HOP_BY_HOP = 0,
    EXT_ROUTING = 43,
    EXT_FRAGMENT = 44,
    EXT_AUTHENTICATION = 51, /* IPv4 has it, too */
    EXT_DESTINATION = 60,
    EXT_MOBILITY = 135,
    EXT_HIP = 139,
    EXT_SHIM6 = 140,
};

#define EXTENSIONS_MOST 16

static uint16_t be16(const uint8_t *b)
{
    return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t be32(const uint8_t *b)
{
    return (uint32_t)be16(b) << 16 | be16(b + 2);
}

static struct nu_addr address(enum nu_addr_kind kind, const uint8_t *bytes)
{
    bool four = kind == NU_ADDR_IP4;
    struct nu_addr a = {.kind = (uint8_t)kind, .prefix = four ? 32 : 128};
    memcpy(a.ip, bytes, four ? 4 : 16);
    return a;
}

/* The rest of the packet, without what the link added behind it. A length of 0 is what the kernel
 * sees of segments that the network card cuts later. */
static void set_payload(struct nu_ip *ip, struct nu_piece packet, size_t head, size_t total)
{
    if (total <= head)
        total = packet.len;
    ip->wire_len = total - head;
    ip->payload = (struct nu_piece){packet.data + head, packet.len - head};
    if (ip->payload.len > ip->wire_len)
        ip->payload.len = ip->wire_len;
}

/* Takes `n` bytes off the payload; false: not there. */
static bool take(struct nu_ip *ip, size_t n)
{
    if (ip->payload.len < n)
        return false;
    ip->payload.data += n;
    ip->payload.len -= n;
    ip->wire_len -= n;
    return true;
}

static bool fragment_header(struct nu_ip *ip)
{
    const uint8_t *b = ip->payload.data;
    if (!take(ip, 8))
        return false;
    ip->protocol = b[0];
    ip->more = b[3] & 1;
    ip->at = be16(b + 2) & 0xfff8u;
    ip->id = be32(b + 4);
    ip->fragment = ip->more || ip->at; /* else it is whole by itself (RFC 6946) */
    return true;
}

/* Length in units of 8 bytes beyond the first; AH has units of 4 beyond the first two. */
static bool plain_header(struct nu_ip *ip, unsigned unit, unsigned more)
{
    const uint8_t *b = ip->payload.data;
    if (ip->payload.len < 2 || !take(ip, ((size_t)b[1] + more) * unit))
        return false;
    ip->protocol = b[0];
    return true;
}

enum { STRIPPED, PAYLOAD, CUT };

static int strip(struct nu_ip *ip)
{
    switch (ip->protocol) {
    case EXT_FRAGMENT:
        return fragment_header(ip) ? STRIPPED : CUT;
    case EXT_AUTHENTICATION:
        return plain_header(ip, 4, 2) ? STRIPPED : CUT;
    case EXT_HOP_BY_HOP:
    case EXT_ROUTING:
    case EXT_DESTINATION:
    case EXT_MOBILITY:
    case EXT_HIP:
    case EXT_SHIM6:
        return plain_header(ip, 8, 1) ? STRIPPED : CUT;
    default:
        return PAYLOAD;
    }
}

enum nu_err nu_ip_strip(struct nu_ip *ip)
{
    int found = STRIPPED;
    for (int i = 0; found == STRIPPED && !ip->fragment; i++) {
        if (i == EXTENSIONS_MOST)
            return NU_ERR_SYNTAX;
        found = strip(ip);
    }
    return found == CUT ? NU_ERR_SYNTAX : NU_OK;
}

static enum nu_err parse4(struct nu_piece packet, struct nu_ip *ip)
{
    const uint8_t *b = packet.data;
    size_t head = (b[0] & 0x0fu) * 4;
    if (packet.len < 20 || head < 20 || packet.len < head)
        return NU_ERR_SYNTAX;
    ip->from = address(NU_ADDR_IP4, b + 12);
    ip->to = address(NU_ADDR_IP4, b + 16);
    ip->protocol = b[9];
    ip->id = be16(b + 4);
    ip->more = b[6] & 0x20;
    ip->at = (be16(b + 6) & 0x1fffu) * 8;
    ip->fragment = ip->more || ip->at;
    set_payload(ip, packet, head, be16(b + 2));
    if (ip->protocol == EXT_AUTHENTICATION && !ip->at && !plain_header(ip, 4, 2))
        return NU_ERR_SYNTAX;
    return NU_OK;
}

static enum nu_err parse6(struct nu_piece packet, struct nu_ip *ip)
{
    const uint8_t *b = packet.data;
    if (packet.len < 40)
        return NU_ERR_SYNTAX;
    ip->from = address(NU_ADDR_IP6, b + 8);
    ip->to = address(NU_ADDR_IP6, b + 24);
    ip->protocol = b[6];
    uint16_t len = be16(b + 4);
    set_payload(ip, packet, 40, len ? 40u + len : 0);
    return nu_ip_strip(ip);
}

enum nu_err nu_ip_parse(struct nu_piece packet, struct nu_ip *out)
{
    *out = (struct nu_ip){0};
    if (!packet.len)
        return NU_ERR_SYNTAX;
    uint8_t version = packet.data[0] >> 4;
    return version == 4 ? parse4(packet, out) : version == 6 ? parse6(packet, out) : NU_NOT_THIS;
}
