/* Reads PROXY headers, version 1 and 2; proxy_protocol_write.c makes them. Section numbers are
 * those of proxy-protocol.txt. See proxy_protocol.h for the contract. */
#include "protocols/proxy_protocol.h"

#include "core/arena.h"
#include "core/assert.h"
#include "protocols/proxy_protocol_priv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define V1_PREFIX       "PROXY "
#define OWN_FIRST_BYTES 256

const uint8_t nu_proxy_signature[PROXY_SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";
const uint8_t nu_proxy_address_bytes[4] = {0, 12, 36, 2 * PROXY_UNIX_BYTES};

static enum nu_err bad(struct nu_proxy_header *out, enum nu_err err, const char *reason)
{
    out->reason = reason;
    return err;
}

static enum nu_err syntax(struct nu_proxy_header *out, const char *reason)
{
    return bad(out, NU_ERR_SYNTAX, reason);
}

/* The next word of the line, NUL-terminated in `word`; words are parted by exactly one space. */
static bool next_word(const char **line, char *word, size_t cap)
{
    size_t len = strcspn(*line, " ");
    if (len == 0 || len >= cap)
        return false;
    memcpy(word, *line, len);
    word[len] = 0;
    *line += len;
    return true;
}

static bool skip_space(const char **line)
{
    return *(*line)++ == ' ';
}

/* Decimal without leading zeros, up to 65535 (2.1). */
static bool parse_port(const char *text, uint16_t *out)
{
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 5 || text[len] || (text[0] == '0' && len > 1))
        return false;
    unsigned long port = strtoul(text, NULL, 10);
    *out = (uint16_t)port;
    return port <= 65535;
}

static void set_ip(struct nu_addr *out, int family, const void *ip, uint16_t port)
{
    struct sockaddr_storage ss = {.ss_family = (sa_family_t)family};
    if (family == AF_INET) {
        struct sockaddr_in *in = (void *)&ss;
        memcpy(&in->sin_addr, ip, 4);
        in->sin_port = htons(port);
    } else {
        struct sockaddr_in6 *in6 = (void *)&ss;
        memcpy(&in6->sin6_addr, ip, 16);
        in6->sin6_port = htons(port);
    }
    nu_addr_from_sockaddr(out, &ss, sizeof ss);
}

/* "SRC DST SPORT DPORT", the whole rest of the line (2.1). */
static bool parse_v1_addresses(struct nu_proxy_header *out, int family, const char *line)
{
    char word[INET6_ADDRSTRLEN];
    uint8_t src[16], dst[16];
    uint16_t src_port, dst_port;
    if (!next_word(&line, word, sizeof word) || inet_pton(family, word, src) != 1 ||
        !skip_space(&line) || !next_word(&line, word, sizeof word) ||
        inet_pton(family, word, dst) != 1 || !skip_space(&line))
        return false;
    if (!next_word(&line, word, sizeof word) || !parse_port(word, &src_port) ||
        !skip_space(&line) || !next_word(&line, word, sizeof word) ||
        !parse_port(word, &dst_port) || *line)
        return false;
    set_ip(&out->src, family, src, src_port);
    set_ip(&out->dst, family, dst, dst_port);
    out->transport = NU_PROXY_STREAM;
    return true;
}

/* The line between "PROXY " and CRLF. */
static enum nu_err parse_v1_line(struct nu_proxy_header *out, const char *line)
{
    if (strcmp(line, "UNKNOWN") == 0 || strncmp(line, "UNKNOWN ", 8) == 0)
        return NU_OK; /* all up to the CRLF is to be ignored (2.1) */
    int family = strncmp(line, "TCP4 ", 5) == 0   ? AF_INET
                 : strncmp(line, "TCP6 ", 5) == 0 ? AF_INET6
                                                  : AF_UNSPEC;
    if (family == AF_UNSPEC)
        return syntax(out, "PROXY v1: family is not TCP4, TCP6 or UNKNOWN");
    if (!parse_v1_addresses(out, family, line + 5))
        return syntax(out, "PROXY v1: malformed addresses or ports");
    return NU_OK;
}

static enum nu_err parse_v1(const uint8_t *data, size_t len, struct nu_proxy_header *out)
{
    char line[NU_PROXY_V1_MAX_BYTES + 1];
    size_t n = len < NU_PROXY_V1_MAX_BYTES ? len : NU_PROXY_V1_MAX_BYTES, at = 0;
    out->version = 1;
    while (at < n && data[at] != '\r' && data[at] != '\n' && data[at] != 0)
        at++;
    if (at == n || (at + 1 == n && data[at] == '\r')) {
        if (n < NU_PROXY_V1_MAX_BYTES)
            return NU_MORE;
        return bad(out, NU_ERR_LIMIT, "PROXY v1: no CRLF within 107 bytes");
    }
    if (data[at] != '\r' || data[at + 1] != '\n')
        return syntax(out, "PROXY v1: line does not end in CRLF");
    memcpy(line, data, at);
    line[at] = 0;
    out->bytes = at + 2;
    return parse_v1_line(out, line + strlen(V1_PREFIX));
}

uint32_t nu_proxy_crc32c(const uint8_t *data, size_t len, size_t crc_at)
{
    static const uint32_t by_nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= i - crc_at < PROXY_CRC_BYTES ? 0 : data[i];
        crc = crc >> 4 ^ by_nibble[crc & 15];
        crc = crc >> 4 ^ by_nibble[crc & 15];
    }
    return ~crc;
}

static unsigned get_u16(const uint8_t *p)
{
    return (unsigned)(p[0] << 8 | p[1]);
}

bool nu_proxy_tlv_next(struct nu_proxy_bytes *rest, struct nu_proxy_tlv *tlv)
{
    if (rest->len < PROXY_TLV_HEAD)
        return false;
    size_t len = get_u16(rest->data + 1);
    if (rest->len - PROXY_TLV_HEAD < len)
        return false;
    tlv->type = rest->data[0];
    tlv->value = (struct nu_proxy_bytes){rest->data + PROXY_TLV_HEAD, len};
    rest->data += PROXY_TLV_HEAD + len;
    rest->len -= PROXY_TLV_HEAD + len;
    return true;
}

bool nu_proxy_tlv_find(const struct nu_proxy_header *header, enum nu_proxy_tlv_type type,
                       struct nu_proxy_bytes *value)
{
    struct nu_proxy_bytes rest = header->tlvs;
    for (struct nu_proxy_tlv tlv; nu_proxy_tlv_next(&rest, &tlv);) {
        if (tlv.type == type) {
            *value = tlv.value;
            return true;
        }
    }
    *value = (struct nu_proxy_bytes){NULL, 0};
    return false;
}

/* Whether the TLVs fill their place exactly. */
static bool tlvs_whole(struct nu_proxy_bytes rest)
{
    struct nu_proxy_tlv tlv;
    while (nu_proxy_tlv_next(&rest, &tlv))
        ;
    return rest.len == 0;
}

/* 2.2.3: a checksum that is there must be right. */
static enum nu_err check_crc(const uint8_t *data, struct nu_proxy_header *out)
{
    struct nu_proxy_bytes crc;
    if (!nu_proxy_tlv_find(out, NU_PROXY_TLV_CRC32C, &crc))
        return NU_OK;
    if (crc.len != PROXY_CRC_BYTES)
        return syntax(out, "PROXY v2: CRC32c is not 4 bytes");
    uint32_t is = (uint32_t)get_u16(crc.data) << 16 | get_u16(crc.data + 2);
    if (is != nu_proxy_crc32c(data, out->bytes, (size_t)(crc.data - data)))
        return syntax(out, "PROXY v2: CRC32c does not match");
    return NU_OK;
}

/* Up to the first NUL or the end of its field. */
static struct nu_proxy_bytes unix_path(const uint8_t *field)
{
    return (struct nu_proxy_bytes){field, strnlen((const char *)field, PROXY_UNIX_BYTES)};
}

static void set_v2_addresses(struct nu_proxy_header *out, unsigned family, const uint8_t *block)
{
    if (family == PROXY_FAMILY_UNIX) {
        out->src.kind = out->dst.kind = NU_ADDR_UNIX;
        out->src_path = unix_path(block);
        out->dst_path = unix_path(block + PROXY_UNIX_BYTES);
        return;
    }
    size_t ip = family == PROXY_FAMILY_IP4 ? 4 : 16;
    int af = family == PROXY_FAMILY_IP4 ? AF_INET : AF_INET6;
    set_ip(&out->src, af, block, (uint16_t)get_u16(block + 2 * ip));
    set_ip(&out->dst, af, block + ip, (uint16_t)get_u16(block + 2 * ip + 2));
}

/* LOCAL and UNSPEC: no address counts, and what follows need not be TLVs (2.2). Where it is some
 * they are kept: senders put a checksum or their own data there. */
static enum nu_err parse_v2_unspec(const uint8_t *data, struct nu_proxy_header *out)
{
    struct nu_proxy_bytes rest = {data + PROXY_V2_HEAD, out->bytes - PROXY_V2_HEAD};
    if (!tlvs_whole(rest))
        return NU_OK;
    out->tlvs = rest;
    return check_crc(data, out);
}

static enum nu_err parse_v2_block(const uint8_t *data, struct nu_proxy_header *out)
{
    unsigned family = data[13] >> 4, transport = data[13] & 15;
    if (out->local)
        return parse_v2_unspec(data, out);
    if (family > PROXY_FAMILY_UNIX || transport > NU_PROXY_DGRAM)
        return syntax(out, "PROXY v2: unknown address family or transport");
    if (family == PROXY_FAMILY_NONE)
        return parse_v2_unspec(data, out);
    size_t skip = PROXY_V2_HEAD + nu_proxy_address_bytes[family];
    if (out->bytes < skip)
        return syntax(out, "PROXY v2: too short for its addresses");
    if (transport != NU_PROXY_UNSPEC)
        set_v2_addresses(out, family, data + PROXY_V2_HEAD);
    out->transport = (uint8_t)transport;
    out->tlvs = (struct nu_proxy_bytes){data + skip, out->bytes - skip};
    if (!tlvs_whole(out->tlvs))
        return syntax(out, "PROXY v2: malformed TLV");
    return check_crc(data, out);
}

static enum nu_err parse_v2(const uint8_t *data, size_t len, struct nu_proxy_header *out)
{
    out->version = 2;
    if (len > 12 && data[12] >> 4 != 2)
        return syntax(out, "PROXY v2: signature with another version");
    if (len > 12 && (data[12] & 15) > PROXY_CMD_PROXY)
        return syntax(out, "PROXY v2: unknown command");
    if (len < PROXY_V2_HEAD)
        return NU_MORE;
    out->local = (data[12] & 15) == PROXY_CMD_LOCAL;
    size_t bytes = PROXY_V2_HEAD + get_u16(data + 14);
    if (bytes > NU_PROXY_MAX_BYTES)
        return bad(out, NU_ERR_LIMIT, "PROXY v2: header longer than 4 KiB");
    if (len < bytes)
        return NU_MORE;
    out->bytes = bytes;
    return parse_v2_block(data, out);
}

static bool begins(const uint8_t *data, size_t len, const void *mark, size_t mark_len)
{
    return memcmp(data, mark, len < mark_len ? len : mark_len) == 0;
}

/* Keeps only the verdict: a caller must not find half an answer. */
static enum nu_err verdict(enum nu_err err, struct nu_proxy_header *out)
{
    if (err != NU_OK)
        *out = (struct nu_proxy_header){.reason = out->reason};
    return err;
}

enum nu_err nu_proxy_parse(const uint8_t *data, size_t len, struct nu_proxy_header *out)
{
    memset(out, 0, sizeof *out);
    if (len == 0)
        return NU_MORE;
    if (begins(data, len, V1_PREFIX, strlen(V1_PREFIX)))
        return verdict(parse_v1(data, len, out), out);
    if (begins(data, len, nu_proxy_signature, PROXY_SIGNATURE))
        return verdict(parse_v2(data, len, out), out);
    return bad(out, NU_NOT_THIS, "no PROXY header");
}

void nu_proxy_reader_init(struct nu_proxy_reader *reader)
{
    memset(reader, 0, sizeof *reader);
    reader->result = NU_MORE;
}

void nu_proxy_reader_free(struct nu_proxy_reader *reader)
{
    free(reader->own);
    reader->own = NULL;
    reader->own_len = reader->own_cap = 0;
}

/* Appends as much as a header can need. */
static void gather(struct nu_proxy_reader *reader, const uint8_t *data, size_t len)
{
    size_t room = NU_PROXY_MAX_BYTES - reader->own_len;
    len = len < room ? len : room;
    size_t need = reader->own_len + len, cap = reader->own_cap ? reader->own_cap : OWN_FIRST_BYTES;
    while (cap < need)
        cap *= 2;
    if (cap != reader->own_cap) {
        reader->own = realloc(reader->own, cap);
        nu_assert(reader->own != NULL);
        reader->own_cap = cap;
    }
    memcpy(reader->own + reader->own_len, data, len);
    reader->own_len = need;
}

enum nu_err nu_proxy_reader_feed(struct nu_proxy_reader *reader, const uint8_t *data, size_t len)
{
    if (reader->result != NU_MORE || len == 0)
        return reader->result;
    if (reader->own_len == 0) {
        reader->result = nu_proxy_parse(data, len, &reader->header);
        if (reader->result == NU_MORE)
            gather(reader, data, len);
        return reader->result;
    }
    gather(reader, data, len);
    return reader->result = nu_proxy_parse(reader->own, reader->own_len, &reader->header);
}

static struct nu_proxy_bytes keep(struct nu_proxy_bytes bytes, struct nu_arena *arena)
{
    if (bytes.len > 0)
        bytes.data = (const uint8_t *)nu_arena_strndup(arena, (const char *)bytes.data, bytes.len);
    return bytes;
}

static void keep_path(struct nu_addr *addr, struct nu_proxy_bytes *path, struct nu_arena *arena)
{
    *path = keep(*path, arena);
    if (addr->kind == NU_ADDR_UNIX && path->len > 0)
        addr->path = (const char *)path->data;
}

void nu_proxy_keep(struct nu_proxy_header *header, struct nu_arena *arena)
{
    header->tlvs = keep(header->tlvs, arena);
    keep_path(&header->src, &header->src_path, arena);
    keep_path(&header->dst, &header->dst_path, arena);
}

const char *nu_proxy_transport_str(enum nu_proxy_transport transport)
{
    static const char *const names[] = {"unspec", "stream", "dgram"};
    return transport < sizeof names / sizeof *names ? names[transport] : "unknown";
}

const char *nu_proxy_tlv_type_str(enum nu_proxy_tlv_type type)
{
    static const char *const names[] = {
        [NU_PROXY_TLV_ALPN] = "alpn",           [NU_PROXY_TLV_AUTHORITY] = "authority",
        [NU_PROXY_TLV_CRC32C] = "crc32c",       [NU_PROXY_TLV_NOOP] = "noop",
        [NU_PROXY_TLV_UNIQUE_ID] = "unique_id", [NU_PROXY_TLV_SSL] = "ssl",
        [NU_PROXY_TLV_NETNS] = "netns",
    };
    if (type >= sizeof names / sizeof *names || !names[type])
        return "unknown";
    return names[type];
}
