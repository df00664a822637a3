/* Writes PROXY headers, version 1 and 2, for legs with `proxy_protocol: v1 | v2`. Section numbers
 * are those of proxy-protocol.txt. */
#include "core/assert.h"
#include "protocols/proxy_protocol_priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool is_ip(const struct nu_addr *addr)
{
    return addr && (addr->kind == NU_ADDR_IP4 || addr->kind == NU_ADDR_IP6);
}

/* The address family that can hold both, or none. */
static unsigned family_of(const struct nu_addr *src, const struct nu_addr *dst)
{
    if (is_ip(src) && is_ip(dst)) {
        bool v4 = src->kind == NU_ADDR_IP4 && dst->kind == NU_ADDR_IP4;
        return v4 ? PROXY_FAMILY_IP4 : PROXY_FAMILY_IP6;
    }
    if (src && dst && src->kind == NU_ADDR_UNIX && dst->kind == NU_ADDR_UNIX)
        return PROXY_FAMILY_UNIX;
    return PROXY_FAMILY_NONE;
}

/* The address in 16 bytes; IPv4 becomes IPv4-mapped. */
static void put_ip6(uint8_t out[static 16], const struct nu_addr *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (addr->kind == NU_ADDR_IP4) {
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + sizeof mapped, addr->ip, 4);
    } else {
        memcpy(out, addr->ip, 16);
    }
}

static void ip_text(char out[static INET6_ADDRSTRLEN], unsigned family, const struct nu_addr *addr)
{
    uint8_t ip[16];
    if (family == PROXY_FAMILY_IP4) {
        inet_ntop(AF_INET, addr->ip, out, INET6_ADDRSTRLEN);
        return;
    }
    put_ip6(ip, addr);
    inet_ntop(AF_INET6, ip, out, INET6_ADDRSTRLEN);
}

size_t nu_proxy_write_v1(uint8_t out[static NU_PROXY_V1_MAX_BYTES], const struct nu_addr *src,
                         const struct nu_addr *dst)
{
    char line[NU_PROXY_V1_MAX_BYTES + 1], a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
    unsigned family = family_of(src, dst);
    int len;
    if (family == PROXY_FAMILY_IP4 || family == PROXY_FAMILY_IP6) {
        ip_text(a, family, src);
        ip_text(b, family, dst);
        len = snprintf(line, sizeof line, "PROXY TCP%c %s %s %u %u\r\n",
                       family == PROXY_FAMILY_IP4 ? '4' : '6', a, b, src->port, dst->port);
    } else {
        len = snprintf(line, sizeof line, "PROXY UNKNOWN\r\n");
    }
    nu_assert(len > 0 && len <= NU_PROXY_V1_MAX_BYTES);
    memcpy(out, line, (size_t)len);
    return (size_t)len;
}

/* Output that remembers whether all of it fitted. */
struct sink {
    uint8_t *out;
    size_t len, cap;
    bool full;
};

static void put(struct sink *s, const void *data, size_t len)
{
    if (s->full || s->cap - s->len < len) {
        s->full = true;
        return;
    }
    if (len > 0)
        memcpy(s->out + s->len, data, len);
    s->len += len;
}

static void put_u16(struct sink *s, unsigned value)
{
    put(s, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put_tlv(struct sink *s, enum nu_proxy_tlv_type type, struct nu_proxy_bytes value,
                    size_t max)
{
    if (value.len == 0)
        return;
    s->full |= value.len > max;
    put(s, (uint8_t[]){(uint8_t)type}, 1);
    put_u16(s, (unsigned)value.len);
    put(s, value.data, value.len);
}

static void put_path(struct sink *s, const struct nu_addr *addr)
{
    char field[PROXY_UNIX_BYTES] = {0};
    size_t len = addr->path ? strnlen(addr->path, sizeof field) : 0;
    if (len > 0)
        memcpy(field, addr->path, len);
    put(s, field, sizeof field);
}

static void put_ip(struct sink *s, unsigned family, const struct nu_addr *addr)
{
    uint8_t ip[16];
    if (family == PROXY_FAMILY_IP4) {
        put(s, addr->ip, 4);
        return;
    }
    put_ip6(ip, addr);
    put(s, ip, sizeof ip);
}

static void put_addresses(struct sink *s, unsigned family, const struct nu_proxy_v2 *what)
{
    if (family == PROXY_FAMILY_NONE)
        return;
    if (family == PROXY_FAMILY_UNIX) {
        put_path(s, what->src);
        put_path(s, what->dst);
        return;
    }
    put_ip(s, family, what->src);
    put_ip(s, family, what->dst);
    put_u16(s, what->src->port);
    put_u16(s, what->dst->port);
}

/* The two bytes behind the signature. LOCAL carries no family (2.2). */
static void put_command(struct sink *s, unsigned family, const struct nu_proxy_v2 *what)
{
    unsigned transport = what->transport == NU_PROXY_DGRAM ? NU_PROXY_DGRAM : NU_PROXY_STREAM;
    if (family == PROXY_FAMILY_NONE)
        transport = NU_PROXY_UNSPEC;
    unsigned command = what->local ? PROXY_CMD_LOCAL : PROXY_CMD_PROXY;
    put(s, (uint8_t[]){(uint8_t)(2 << 4 | command), (uint8_t)(family << 4 | transport)}, 2);
}

static void set_length(struct sink *s)
{
    size_t len = s->len - PROXY_V2_HEAD;
    s->out[14] = (uint8_t)(len >> 8);
    s->out[15] = (uint8_t)len;
}

static void put_crc(struct sink *s)
{
    static const uint8_t zeros[PROXY_CRC_BYTES];
    put_tlv(s, NU_PROXY_TLV_CRC32C, (struct nu_proxy_bytes){zeros, sizeof zeros}, sizeof zeros);
    if (s->full)
        return;
    set_length(s);
    size_t at = s->len - PROXY_CRC_BYTES;
    uint32_t crc = htonl(nu_proxy_crc32c(s->out, s->len, at));
    memcpy(s->out + at, &crc, sizeof crc);
}

size_t nu_proxy_write_v2(uint8_t *out, size_t cap_bytes, const struct nu_proxy_v2 *what)
{
    size_t cap = cap_bytes < NU_PROXY_MAX_BYTES ? cap_bytes : NU_PROXY_MAX_BYTES;
    struct sink s = {.out = out, .cap = cap};
    unsigned family = what->local ? PROXY_FAMILY_NONE : family_of(what->src, what->dst);
    put(&s, nu_proxy_signature, PROXY_SIGNATURE);
    put_command(&s, family, what);
    put_u16(&s, 0);
    put_addresses(&s, family, what);
    put_tlv(&s, NU_PROXY_TLV_ALPN, what->alpn, NU_PROXY_MAX_BYTES);
    put_tlv(&s, NU_PROXY_TLV_AUTHORITY, what->authority, NU_PROXY_MAX_BYTES);
    put_tlv(&s, NU_PROXY_TLV_UNIQUE_ID, what->unique_id, NU_PROXY_ID_MAX_BYTES);
    if (what->crc32c)
        put_crc(&s);
    if (s.full)
        return 0;
    set_length(&s);
    return s.len;
}
