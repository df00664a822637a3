/* Blocks of pcapng; see write.h. In this machine's byte order, as the section says. */
#include "protocols/capture/write.h"

#include "core/assert.h"
#include "protocols/capture/capture.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_LEAST 12 /* type, length, length */
#define PACKET_HEAD 20
#define NS_DIGITS   9 /* if_tsresol: 10^-9 */

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BLOCK_SECRETS = 10,
};

#define SECTION_MAGIC   0x1a2b3c4du
#define SECRETS_TLS_LOG 0x544c534bu

enum {
    OPTION_END = 0,
    OPTION_COMMENT = 1,
    OPTION_PACKET_FLAGS = 2,
    OPTION_INTERFACE_NAME = 2,
    OPTION_PROGRAM = 4,
    OPTION_TSRESOL = 9,
};

void nu_capture_out_free(struct nu_capture_out *out)
{
    free(out->data);
    *out = (struct nu_capture_out){0};
}

/* --- bytes --- */

static size_t padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}

/* Room for more, zeroed: padding is. */
static uint8_t *extend(struct nu_capture_out *out, size_t len)
{
    if (out->cap - out->len < len) {
        size_t cap = out->cap ? out->cap : 4096;
        while (cap - out->len < len)
            cap *= 2;
        out->data = realloc(out->data, cap);
        nu_assert(out->data != NULL);
        out->cap = cap;
    }
    uint8_t *at = out->data + out->len;
    memset(at, 0, len);
    out->len += len;
    return at;
}

static void put_bytes(struct nu_capture_out *out, const void *bytes, size_t len)
{
    uint8_t *at = extend(out, padded(len));
    if (len)
        memcpy(at, bytes, len);
}

static void put_u32(struct nu_capture_out *out, uint32_t value)
{
    put_bytes(out, &value, sizeof value);
}

static void put_u16s(struct nu_capture_out *out, uint16_t first, uint16_t second)
{
    uint16_t both[2] = {first, second};
    put_bytes(out, both, sizeof both);
}

static void put_option(struct nu_capture_out *out, uint16_t code, const void *value, size_t len)
{
    put_u16s(out, code, (uint16_t)len);
    put_bytes(out, value, len);
}

static void put_text(struct nu_capture_out *out, uint16_t code, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len && len <= UINT16_MAX)
        put_option(out, code, text, len);
}

/* --- blocks --- */

/* Where it begins; its length comes with the end. */
static size_t begin(struct nu_capture_out *out, uint32_t type)
{
    size_t at = out->len;
    put_u32(out, type);
    put_u32(out, 0);
    return at;
}

static void end(struct nu_capture_out *out, size_t at)
{
    uint32_t len = (uint32_t)(out->len - at + sizeof len);
    nu_assert(len <= NU_CAPTURE_BLOCK_MAX);
    put_u32(out, len);
    memcpy(out->data + at + 4, &len, sizeof len);
}

void nu_capture_put_section(struct nu_capture_out *out, const char *program)
{
    static const int64_t length_unknown = -1;
    size_t at = begin(out, BLOCK_SECTION);
    put_u32(out, SECTION_MAGIC);
    put_u16s(out, 1, 0); /* version */
    put_bytes(out, &length_unknown, sizeof length_unknown);
    put_text(out, OPTION_PROGRAM, program);
    put_option(out, OPTION_END, NULL, 0);
    end(out, at);
}

void nu_capture_put_interface(struct nu_capture_out *out, uint32_t link, uint32_t snaplen,
                              const char *name)
{
    uint8_t digits = NS_DIGITS;
    size_t at = begin(out, BLOCK_INTERFACE);
    put_u16s(out, (uint16_t)link, 0);
    put_u32(out, snaplen);
    put_text(out, OPTION_INTERFACE_NAME, name);
    put_option(out, OPTION_TSRESOL, &digits, 1);
    put_option(out, OPTION_END, NULL, 0);
    end(out, at);
}

void nu_capture_put_secrets(struct nu_capture_out *out, struct nu_piece lines)
{
    size_t at = begin(out, BLOCK_SECRETS);
    put_u32(out, SECRETS_TLS_LOG);
    put_u32(out, (uint32_t)lines.len);
    put_bytes(out, lines.data, lines.len);
    end(out, at);
}

/* What fits of a comment, without half a letter of UTF-8 at its end. */
static size_t comment_len(struct nu_piece comment)
{
    size_t len = comment.len;
    if (len <= NU_CAPTURE_COMMENT_MAX)
        return len;
    for (len = NU_CAPTURE_COMMENT_MAX; len && (comment.data[len] & 0xc0) == 0x80; len--)
        continue;
    return len;
}

static void put_packet_options(struct nu_capture_out *out, const struct nu_capture_packet *packet)
{
    uint32_t way = (uint32_t)packet->way;
    if (packet->comment.len)
        put_option(out, OPTION_COMMENT, packet->comment.data, comment_len(packet->comment));
    if (way)
        put_option(out, OPTION_PACKET_FLAGS, &way, sizeof way);
    if (packet->comment.len || way)
        put_option(out, OPTION_END, NULL, 0);
}

void nu_capture_put_packet(struct nu_capture_out *out, const struct nu_capture_packet *packet)
{
    uint64_t time = packet->time_ns > 0 ? (uint64_t)packet->time_ns : 0;
    nu_assert(packet->frame.len <= NU_CAPTURE_PACKET_MAX);
    size_t at = begin(out, BLOCK_PACKET);
    put_u32(out, packet->interface);
    put_u32(out, (uint32_t)(time >> 32));
    put_u32(out, (uint32_t)time);
    put_u32(out, (uint32_t)packet->frame.len);
    put_u32(out, packet->wire_len);
    put_bytes(out, packet->frame.data, packet->frame.len);
    put_packet_options(out, packet);
    end(out, at);
}

size_t nu_capture_packet_room(const struct nu_capture_packet *packet)
{
    size_t options = 4 + padded(comment_len(packet->comment)) + 8 + 4;
    return BLOCK_LEAST + PACKET_HEAD + padded(packet->frame.len) + options;
}
