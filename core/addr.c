/* Socket addresses in their short form; see addr.h. */
#include "core/addr.h"

#include "core/assert.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

static void set_ip4(struct nu_addr *out, const void *four_bytes)
{
    out->kind = NU_ADDR_IP4;
    out->prefix = 32;
    memcpy(out->ip, four_bytes, 4);
}

static void set_ip6(struct nu_addr *out, const uint8_t *bytes)
{
    if (memcmp(bytes, v4_mapped, sizeof v4_mapped) == 0) {
        set_ip4(out, bytes + 12);
        return;
    }
    out->kind = NU_ADDR_IP6;
    out->prefix = 128;
    memcpy(out->ip, bytes, 16);
}

/* Decimal digits only, up to max; -1 otherwise. */
static long digits(const char *s, long max)
{
    long n = 0;
    if (!*s || strlen(s) > 5)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -1;
        n = n * 10 + (*s - '0');
    }
    return n <= max ? n : -1;
}

static enum nu_err set_port(struct nu_addr *out, const char *text)
{
    long port = digits(text, 65535);
    if (port < 0)
        return NU_ERR_SYNTAX;
    out->port = (uint16_t)port;
    return NU_OK;
}

static enum nu_err parse_ip(struct nu_addr *out, const char *text, size_t len)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
    uint8_t bytes[16];
    if (len == 0 || len >= sizeof host)
        return NU_ERR_SYNTAX;
    memcpy(host, text, len);
    host[len] = 0;
    if (inet_pton(AF_INET, host, bytes) == 1) {
        set_ip4(out, bytes);
        return NU_OK;
    }
    char *zone = strchr(host, '%');
    if (zone)
        *zone++ = 0;
    if (inet_pton(AF_INET6, host, bytes) != 1)
        return NU_ERR_SYNTAX;
    set_ip6(out, bytes);
    if (zone && out->kind != NU_ADDR_IP6)
        return NU_ERR_SYNTAX; /* IPv4 in IPv6's clothes has no zones */
    if (zone) {
        long id = digits(zone, 65535);
        out->scope = id > 0 ? (uint32_t)id : if_nametoindex(zone);
        if (out->scope == 0)
            return NU_ERR_SYNTAX;
    }
    return NU_OK;
}

enum nu_err nu_addr_parse(struct nu_addr *out, const char *text, int default_port)
{
    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un un;
        bool nameless = !text[5] || strcmp(text + 5, "@") == 0;
        if (nameless || strlen(text + 5) >= sizeof un.sun_path)
            return NU_ERR_SYNTAX;
        out->kind = NU_ADDR_UNIX;
        out->path = text + 5;
        return NU_OK;
    }
    const char *host = text, *end, *port = NULL;
    if (*text == '[') {
        host = text + 1;
        end = strchr(host, ']');
        if (!end || (end[1] && end[1] != ':'))
            return NU_ERR_SYNTAX;
        port = end[1] ? end + 2 : NULL;
        if (!memchr(host, ':', (size_t)(end - host)))
            return NU_ERR_SYNTAX;
    } else {
        end = strchr(text, ':');
        if (end && strchr(end + 1, ':'))
            end = NULL; /* a bare IPv6 address: it cannot carry a port */
        else if (end)
            port = end + 1;
        if (!end)
            end = text + strlen(text);
    }
    enum nu_err err = parse_ip(out, host, (size_t)(end - host));
    if (!err && port)
        err = set_port(out, port);
    else if (!err && default_port < 0)
        err = NU_ERR_SYNTAX;
    else if (!err)
        out->port = (uint16_t)default_port;
    if (err)
        memset(out, 0, sizeof *out);
    return err;
}

enum nu_err nu_addr_parse_cidr(struct nu_addr *out, const char *text)
{
    const char *slash = strchr(text, '/');
    memset(out, 0, sizeof *out);
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    uint8_t bytes[4];
    char host[INET6_ADDRSTRLEN];
    if (len >= sizeof host || memchr(text, '%', len))
        return NU_ERR_SYNTAX;
    memcpy(host, text, len);
    host[len] = 0;
    bool v4 = inet_pton(AF_INET, host, bytes) == 1;
    if (parse_ip(out, host, len))
        return NU_ERR_SYNTAX;
    long bits = slash ? digits(slash + 1, v4 ? 32 : 128) : (v4 ? 32 : 128);
    bool mapped = !v4 && out->kind == NU_ADDR_IP4;
    if (mapped)
        bits -= 96;
    if (bits < 0)
        return memset(out, 0, sizeof *out), NU_ERR_SYNTAX;
    for (long bit = bits; bit < (out->kind == NU_ADDR_IP4 ? 32 : 128); bit++)
        if (out->ip[bit / 8] & (0x80 >> bit % 8))
            return memset(out, 0, sizeof *out), NU_ERR_SYNTAX;
    out->prefix = (uint8_t)bits;
    return NU_OK;
}

/* Addresses go into every log line and many headers, so they are written without printf. Each
 * writer returns the end of what it wrote. */
static char *write_u8(char *at, unsigned n)
{
    unsigned hundreds = n >= 200 ? 2 : n >= 100;
    unsigned rest = n - 100 * hundreds, tens = rest / 10;
    if (hundreds)
        *at++ = (char)('0' + hundreds);
    if (hundreds | tens)
        *at++ = (char)('0' + tens);
    *at++ = (char)('0' + rest - 10 * tens);
    return at;
}

static char *write_ip4(char *at, const uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        if (i)
            *at++ = '.';
        at = write_u8(at, ip[i]);
    }
    return at;
}

static char *write_hex(char *at, unsigned n)
{
    for (int shift = n > 0xfff ? 12 : n > 0xff ? 8 : n > 0xf ? 4 : 0; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[n >> shift & 15];
    return at;
}

/* The first of the longest runs of zero words, two at least, is "::" (RFC 5952 4.2). */
static int longest_zeros(const uint8_t *ip, int *len)
{
    int best = -1, run = 0;
    *len = 1;
    for (int i = 0; i < 8; i++) {
        run = ip[2 * i] || ip[2 * i + 1] ? 0 : run + 1;
        if (run > *len) {
            *len = run;
            best = i - run + 1;
        }
    }
    return best;
}

static char *write_ip6(char *at, const uint8_t *ip)
{
    int len, zeros = longest_zeros(ip, &len);
    for (int i = 0; i < 8; i++) {
        if (i == zeros) {
            *at++ = ':';
            *at++ = ':';
            i += len - 1;
            continue;
        }
        if (i && i != zeros + len)
            *at++ = ':';
        if (i == 6 && zeros == 0 && len == 6) /* as inet_ntop: "::1.2.3.4" */
            return write_ip4(at, ip + 12);
        at = write_hex(at, (unsigned)ip[2 * i] << 8 | ip[2 * i + 1]);
    }
    return at;
}

const char *nu_addr_str_ip(const struct nu_addr *addr, char buf[static NU_ADDR_TEXT_MAX])
{
    switch ((enum nu_addr_kind)addr->kind) {
    case NU_ADDR_IP4:
        *write_ip4(buf, addr->ip) = 0;
        return buf;
    case NU_ADDR_IP6:
        *write_ip6(buf, addr->ip) = 0;
        if (addr->scope)
            sprintf(buf + strlen(buf), "%%%u", addr->scope);
        return buf;
    case NU_ADDR_UNIX:
        snprintf(buf, NU_ADDR_TEXT_MAX, "unix:%s", addr->path ? addr->path : "");
        return buf;
    case NU_ADDR_NONE:
        break;
    }
    strcpy(buf, "-");
    return buf;
}

const char *nu_addr_str(const struct nu_addr *addr, char buf[static NU_ADDR_TEXT_MAX])
{
    char ip[NU_ADDR_TEXT_MAX];
    nu_addr_str_ip(addr, ip);
    if (addr->kind == NU_ADDR_IP4)
        snprintf(buf, NU_ADDR_TEXT_MAX, "%.64s:%u", ip, addr->port);
    else if (addr->kind == NU_ADDR_IP6)
        snprintf(buf, NU_ADDR_TEXT_MAX, "[%.64s]:%u", ip, addr->port);
    else
        memcpy(buf, ip, sizeof ip);
    return buf;
}

void nu_addr_from_sockaddr(struct nu_addr *out, const struct sockaddr_storage *ss, socklen_t len)
{
    memset(out, 0, sizeof *out);
    if (len < sizeof ss->ss_family)
        return; /* a kernel that knows no address leaves the memory as it was */
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)ss;
        set_ip4(out, &in->sin_addr);
        out->port = ntohs(in->sin_port);
    } else if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)ss;
        set_ip6(out, in6->sin6_addr.s6_addr);
        out->port = ntohs(in6->sin6_port);
        out->scope = in6->sin6_scope_id;
    } else if (ss->ss_family == AF_UNIX) {
        out->kind = NU_ADDR_UNIX;
    }
}

socklen_t nu_addr_to_sockaddr(const struct nu_addr *addr, struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    switch ((enum nu_addr_kind)addr->kind) {
    case NU_ADDR_IP4: {
        struct sockaddr_in *in = (void *)ss;
        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip, 4);
        return sizeof *in;
    }
    case NU_ADDR_IP6: {
        struct sockaddr_in6 *in6 = (void *)ss;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        in6->sin6_scope_id = addr->scope;
        memcpy(&in6->sin6_addr, addr->ip, 16);
        return sizeof *in6;
    }
    case NU_ADDR_UNIX: {
        struct sockaddr_un *un = (void *)ss;
        nu_assert(addr->path && strlen(addr->path) < sizeof un->sun_path);
        un->sun_family = AF_UNIX;
        strcpy(un->sun_path, addr->path);
        if (*addr->path != '@')
            return sizeof *un;
        un->sun_path[0] = 0; /* an abstract name ends where its length says (unix(7)) */
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(addr->path));
    }
    case NU_ADDR_NONE:
        break;
    }
    return 0;
}

static size_t ip_len(const struct nu_addr *addr)
{
    return addr->kind == NU_ADDR_IP4 ? 4 : 16;
}

bool nu_addr_equal(const struct nu_addr *a, const struct nu_addr *b)
{
    if (a->kind != b->kind || a->port != b->port)
        return false;
    if (a->kind == NU_ADDR_UNIX)
        return a->path && b->path && strcmp(a->path, b->path) == 0;
    if (a->kind == NU_ADDR_NONE)
        return true;
    return a->scope == b->scope && memcmp(a->ip, b->ip, ip_len(a)) == 0;
}

uint64_t nu_addr_hash(const struct nu_addr *addr)
{
    const uint8_t *bytes = addr->ip;
    size_t len = ip_len(addr);
    if (addr->kind == NU_ADDR_UNIX) {
        bytes = (const uint8_t *)(addr->path ? addr->path : "");
        len = strlen((const char *)bytes);
    }
    uint64_t h = 0xcbf29ce484222325u ^ addr->kind ^ (uint64_t)addr->port << 8;
    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return h * 0x9e3779b97f4a7c15u;
}

bool nu_addr_in(const struct nu_addr *addr, const struct nu_addr *cidr)
{
    if (addr->kind != cidr->kind || (addr->kind != NU_ADDR_IP4 && addr->kind != NU_ADDR_IP6))
        return false;
    unsigned whole = cidr->prefix / 8, rest = cidr->prefix % 8;
    if (memcmp(addr->ip, cidr->ip, whole) != 0)
        return false;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return rest == 0 || ((addr->ip[whole] ^ cidr->ip[whole]) & mask) == 0;
}
