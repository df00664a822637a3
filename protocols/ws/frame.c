/* Frames of WebSocket; see frame.h. */
#include "protocols/ws/frame.h"

#include "core/assert.h"

#include <string.h>

#define HELD_MAX (NU_WS_HEADER_MAX + NU_WS_CONTROL_MAX)

/* Bytes that follow the second one: the longer length, the mask. */
static size_t header_bytes(uint8_t second)
{
    unsigned len = second & 127;
    return 2u + (len == 126 ? 2 : len == 127 ? 8 : 0) + (second & 128 ? 4 : 0);
}

static uint64_t big_endian(const uint8_t *at, unsigned bytes)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < bytes; i++)
        n = n << 8 | at[i];
    return n;
}

bool nu_ws_read_header(const uint8_t *at, size_t len, struct nu_ws_header *out)
{
    *out = (struct nu_ws_header){0};
    if (len < 2 || len < header_bytes(at[1]))
        return false;
    unsigned small = at[1] & 127;
    out->bytes = (uint8_t)header_bytes(at[1]);
    out->first = at[0];
    out->masked = at[1] & 128;
    out->len = small < 126 ? small : big_endian(at + 2, small == 126 ? 2 : 8);
    out->minimal = out->len >= (small < 126 ? 0 : small == 126 ? 126 : 65536);
    if (out->masked)
        memcpy(out->mask, at + out->bytes - 4, 4);
    return true;
}

size_t nu_ws_write(uint8_t *out, uint8_t first, const uint8_t *payload, size_t len,
                   const uint8_t *mask)
{
    size_t at = 2;
    nu_assert(len <= NU_WS_CONTROL_MAX);
    out[0] = first;
    out[1] = (uint8_t)(len | (mask ? 128 : 0));
    if (mask) {
        memcpy(out + at, mask, 4);
        at += 4;
    }
    for (size_t i = 0; i < len; i++)
        out[at + i] = (uint8_t)(payload[i] ^ (mask ? mask[i & 3] : 0));
    return at + len;
}

/* So many bytes have to be there at once: all of a legal control frame, else the header. */
static size_t wanted(const struct nu_ws_header *h)
{
    bool whole = nu_ws_is_control(h->first) && h->len <= NU_WS_CONTROL_MAX;
    return h->bytes + (whole ? (size_t)h->len : 0);
}

/* What is needed of a frame that begins with these bytes, as far as they tell. */
static size_t needed(const uint8_t *at, size_t len)
{
    struct nu_ws_header h;
    if (nu_ws_read_header(at, len, &h))
        return wanted(&h);
    return len < 2 ? 2 : header_bytes(at[1]);
}

static void begin(struct nu_ws_cutter *c, const struct nu_ws_header *h, struct nu_msg *out)
{
    out->head = h->bytes;
    out->first = c->first = h->first;
    c->left = h->len;
}

/* `payload` bytes of it are in this piece. */
static void count(struct nu_ws_cutter *c, uint64_t payload, struct nu_msg *out)
{
    c->left -= payload;
    out->last = c->left == 0;
}

/* Moves bytes to what is held until there are `upto`; the block is the cutter's alone. */
static void hold(struct nu_ws_cutter *c, struct nu_block_pool *pool, struct nu_slice *in,
                 size_t upto)
{
    size_t n = upto - c->held.len < in->len ? upto - c->held.len : in->len;
    struct nu_block *block = c->held.block ? c->held.block : nu_block_get(pool, HELD_MAX);
    memcpy(block->data + c->held.len, in->data, n);
    c->held.block = block;
    c->held.data = block->data;
    c->held.len += n;
    struct nu_slice used = nu_slice_split(in, n);
    nu_slice_drop(&used);
}

/* A frame whose beginning reads have cut. */
static bool cut_held(struct nu_ws_cutter *c, struct nu_block_pool *pool, struct nu_slice *in,
                     struct nu_msg *out)
{
    struct nu_ws_header h;
    size_t upto;
    while ((upto = needed(c->held.data, c->held.len)) > c->held.len) {
        if (in->len == 0) {
            nu_slice_drop(in);
            return false;
        }
        hold(c, pool, in, upto);
    }
    nu_ws_read_header(c->held.data, c->held.len, &h);
    begin(c, &h, out);
    out->data = c->held;
    c->held = (struct nu_slice){0};
    count(c, out->data.len - h.bytes, out);
    return true;
}

bool nu_ws_peek(struct nu_ws_cutter *c, const uint8_t *at, size_t len, struct nu_msg *out)
{
    struct nu_ws_header h = {0};
    *out = (struct nu_msg){.first = c->first};
    if (c->left == 0) {
        if (!nu_ws_read_header(at, len, &h) || len < wanted(&h))
            return false;
        begin(c, &h, out);
    }
    uint64_t payload = len - h.bytes < c->left ? len - h.bytes : c->left;
    out->data = (struct nu_slice){at, h.bytes + (size_t)payload, NULL};
    count(c, payload, out);
    return true;
}

bool nu_ws_cut(struct nu_ws_cutter *c, struct nu_block_pool *pool, struct nu_slice *in,
               struct nu_msg *out)
{
    *out = (struct nu_msg){0};
    if (c->held.len > 0)
        return cut_held(c, pool, in, out);
    if (in->len > 0 && nu_ws_peek(c, in->data, in->len, out)) {
        out->data = nu_slice_split(in, out->data.len);
        return true;
    }
    if (in->len > 0)
        hold(c, pool, in, in->len);
    nu_slice_drop(in);
    return false;
}

void nu_ws_cutter_free(struct nu_ws_cutter *c)
{
    nu_slice_drop(&c->held);
}
