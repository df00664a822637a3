/* Segments to bytes in order; see tcp.h. */
#include "protocols/capture/tcp.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000

struct nu_tcp_kept {
    struct nu_tcp_kept *next;
    uint32_t seq, len, wire_len;
    int64_t time_ns; /* its packet's */
    uint8_t data[];
};

/* What runs through one call. */
struct run {
    struct nu_tcp_half *half;
    const struct nu_tcp_handler *handler;
    void *ctx;
    int64_t time_ns;
};

static uint16_t be16(const uint8_t *b)
{
    return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t be32(const uint8_t *b)
{
    return (uint32_t)be16(b) << 16 | be16(b + 2);
}

enum nu_err nu_tcp_parse(struct nu_piece packet, size_t wire_len, struct nu_tcp_segment *out)
{
    const uint8_t *b = packet.data;
    *out = (struct nu_tcp_segment){0};
    if (packet.len < 20)
        return NU_ERR_SYNTAX;
    size_t head = (size_t)(b[12] >> 4) * 4;
    if (head < 20 || head > wire_len)
        return NU_ERR_SYNTAX;
    size_t there = head < packet.len ? head : packet.len;
    *out = (struct nu_tcp_segment){
        .from = be16(b),
        .to = be16(b + 2),
        .seq = be32(b + 4),
        .ack = be32(b + 8),
        .flags = b[13],
        .window = be16(b + 14),
        .payload = {b + there, packet.len - there},
        .wire_len = (uint32_t)(wire_len - head),
    };
    return NU_OK;
}

/* How far a lies behind b, around the wrap. */
static int32_t after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static void tell_gap(const struct run *r, uint32_t bytes)
{
    r->half->next += bytes;
    r->half->told += bytes;
    r->half->missing += bytes;
    r->half->lost = false;
    r->handler->gap(r->ctx, bytes, r->time_ns);
}

/* `len` of `wire` bytes were captured, from `next` on. */
static void tell(const struct run *r, const uint8_t *data, uint32_t len, uint32_t wire)
{
    if (len) {
        r->half->next += len;
        r->half->told += len;
        r->handler->data(r->ctx, (struct nu_piece){data, len}, r->time_ns);
    }
    if (len < wire)
        tell_gap(r, wire - len);
}

/* The part of [seq, seq + wire) that is new; nothing may be missing before it. */
static void tell_new(const struct run *r, uint32_t seq, const uint8_t *data, uint32_t len,
                     uint32_t wire)
{
    uint32_t old = (uint32_t)after(r->half->next, seq);
    if (old >= wire)
        return;
    uint32_t skip = old < len ? old : len;
    tell(r, data + skip, len - skip, wire - old);
}

static void drop_first(struct nu_tcp_half *half)
{
    struct nu_tcp_kept *k = half->kept;
    half->kept = k->next;
    half->kept_bytes -= sizeof *k + k->len;
    half->kept_count--;
    free(k);
}

static void finish(const struct run *r, bool reset)
{
    if (r->half->finished)
        return;
    r->half->finished = true;
    nu_tcp_drop(r->half);
    r->handler->end(r->ctx, reset, r->time_ns);
}

/* What was kept and is next now, with the time that it came at; then FIN, if that is reached. */
static void catch_up(const struct run *r)
{
    struct nu_tcp_half *half = r->half;
    while (half->kept && after(half->kept->seq, half->next) <= 0) {
        struct nu_tcp_kept *k = half->kept;
        struct run then = *r;
        then.time_ns = k->time_ns;
        tell_new(&then, k->seq, k->data, k->len, k->wire_len);
        drop_first(half);
    }
    if (half->has_fin && after(half->fin, half->next) <= 0)
        finish(r, false);
}

static void skip_to(const struct run *r, uint32_t seq)
{
    if (after(seq, r->half->next) > 0)
        tell_gap(r, seq - r->half->next);
    catch_up(r);
}

void nu_tcp_give_up(struct nu_tcp_half *half, int64_t time_ns, const struct nu_tcp_handler *handler,
                    void *ctx)
{
    struct run r = {half, handler, ctx, time_ns};
    while (half->kept && !half->finished)
        skip_to(&r, half->kept->seq);
    if (half->started && half->has_fin && !half->finished)
        skip_to(&r, half->fin);
}

void nu_tcp_drop(struct nu_tcp_half *half)
{
    while (half->kept)
        drop_first(half);
}

/* Behind the last one that begins no later. Most come in order, only too early. */
static struct nu_tcp_kept **place_of(struct nu_tcp_half *half, uint32_t seq)
{
    struct nu_tcp_kept **at = &half->kept;
    if (half->kept && after(half->last->seq, seq) <= 0)
        return &half->last->next;
    while (*at && after((*at)->seq, seq) <= 0)
        at = &(*at)->next;
    return at;
}

static void keep(const struct run *r, const struct nu_tcp_segment *seg, uint32_t seq)
{
    struct nu_tcp_half *half = r->half;
    size_t len = seg->payload.len;
    if (half->kept_bytes + sizeof(struct nu_tcp_kept) + len > NU_TCP_KEPT_MAX ||
        half->kept_count == NU_TCP_KEPT_SEGMENTS)
        nu_tcp_give_up(half, r->time_ns, r->handler, r->ctx);
    if (half->finished)
        return;
    struct nu_tcp_kept *k = malloc(sizeof *k + len), **at = place_of(half, seq);
    nu_assert(k != NULL);
    *k = (struct nu_tcp_kept){*at, seq, (uint32_t)len, seg->wire_len, r->time_ns};
    if (len)
        memcpy(k->data, seg->payload.data, len);
    if (!k->next)
        half->last = k;
    *at = k;
    half->kept_bytes += sizeof *k + len;
    half->kept_count++;
}

static void start(struct nu_tcp_half *half, const struct nu_tcp_segment *seg)
{
    bool syn = seg->flags & NU_TCP_SYN;
    half->started = true;
    half->from_syn = syn;
    half->isn = seg->seq;
    half->next = seg->seq + (syn ? 1 : 0);
}

/* The peer says that it has everything up to its ACK. What of that did not come is waited for a
 * while, in case the capture has the packets in another order. */
static void judge_loss(const struct run *r)
{
    struct nu_tcp_half *half = r->half;
    if (!half->has_ack || half->finished || after(half->acked, half->next) <= 0) {
        half->lost = false;
        return;
    }
    if (!half->lost) {
        half->lost = true;
        half->lost_for = 0;
        half->lost_ns = r->time_ns;
        return;
    }
    half->lost_for++;
    if (half->lost_for < NU_TCP_LOST_PACKETS &&
        r->time_ns - half->lost_ns < (int64_t)NU_TCP_LOST_MS * NS_PER_MS)
        return;
    uint32_t to =
        half->kept && after(half->kept->seq, half->acked) < 0 ? half->kept->seq : half->acked;
    if (half->has_fin && after(to, half->fin) > 0) /* FIN is acknowledged as a byte */
        to = half->fin;
    skip_to(r, to);
}

/* The last byte once more that was sent: it asks whether anyone is there (RFC 9293 3.8.4), where
 * the peer has acknowledged it, or whether there is room again (3.8.6.1). That repeats nothing. */
static bool is_probe(const struct nu_tcp_half *half, uint32_t seq, uint32_t len)
{
    bool acked = half->has_ack && after(half->acked, half->next) >= 0;
    return len == 1 && seq + 1 == half->next && (acked || half->shut);
}

void nu_tcp_segment(struct nu_tcp_half *half, const struct nu_tcp_segment *seg, int64_t time_ns,
                    const struct nu_tcp_handler *handler, void *ctx)
{
    struct run r = {half, handler, ctx, time_ns};
    uint32_t seq = seg->seq + (seg->flags & NU_TCP_SYN ? 1 : 0);
    if (half->finished)
        return;
    if (!half->started && (seg->flags & NU_TCP_SYN || seg->wire_len || seg->flags & NU_TCP_FIN))
        start(half, seg);
    if (seg->flags & NU_TCP_FIN && !half->has_fin) {
        half->has_fin = true;
        half->fin = seq + seg->wire_len;
    }
    if (seg->wire_len && after(seq + seg->wire_len, half->next) <= 0)
        half->repeated += !is_probe(half, seq, seg->wire_len);
    else if (seg->wire_len && after(seq, half->next) > 0)
        keep(&r, seg, seq);
    else if (seg->wire_len)
        tell_new(&r, seq, seg->payload.data, (uint32_t)seg->payload.len, seg->wire_len);
    if (half->started && !half->finished)
        catch_up(&r);
    if (seg->flags & NU_TCP_RST) {
        nu_tcp_give_up(half, time_ns, handler, ctx);
        finish(&r, true);
    }
    judge_loss(&r);
}

void nu_tcp_heard(struct nu_tcp_half *half, const struct nu_tcp_segment *reverse, int64_t time_ns,
                  const struct nu_tcp_handler *handler, void *ctx)
{
    struct run r = {half, handler, ctx, time_ns};
    if (!half->started || half->finished)
        return;
    if (reverse->flags & NU_TCP_ACK && (!half->has_ack || after(reverse->ack, half->acked) > 0)) {
        half->has_ack = true;
        half->acked = reverse->ack;
    }
    if (!(reverse->flags & (NU_TCP_RST | NU_TCP_SYN)))
        half->shut = reverse->window == 0;
    judge_loss(&r);
}
