/* A connection of the tap with one layer on it, fed by hand, and a diary of what it tells. */
#ifndef NU_TESTS_UNIT_TOOLS_TAP_LAYER_KIT_H
#define NU_TESTS_UNIT_TOOLS_TAP_LAYER_KIT_H

#include "tools/tap/tap_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What happens: bytes, or a gap (at = NULL) of `len`, in `dir`. */
struct kit_step {
    int dir;
    const char *at;
    size_t len;
};
#define UP(text)                                                                                   \
    {                                                                                              \
        0, (text), sizeof(text) - 1                                                                \
    }
#define DOWN(text)                                                                                 \
    {                                                                                              \
        1, (text), sizeof(text) - 1                                                                \
    }
#define HOLE(dir, bytes)                                                                           \
    {                                                                                              \
        (dir), NULL, (bytes)                                                                       \
    }
#define KIT_STEPS 12

struct kit {
    struct tap *tap;
    struct tap_conn conn;
    struct nu_flow flow;
    struct tap_layer *layer;
    char diary[16384];
    size_t len;
    int64_t ns;
};

static inline void kit_say(struct kit *k, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (k->len < sizeof k->diary)
        k->len += (size_t)vsnprintf(k->diary + k->len, sizeof k->diary - k->len, fmt, ap);
    va_end(ap);
}

static inline void kit_text(struct kit *k, struct nu_text text)
{
    kit_say(k, " %.*s", text.len ? (int)text.len : 1, text.len ? text.at : "-");
}

static inline void kit_exchange(void *ctx, const struct tap_exchange *x)
{
    struct kit *k = ctx;
    kit_say(k, "#%d", (int)x->number);
    if (x->stream)
        kit_say(k, "/%u", x->stream);
    kit_say(k, " %s", tap_proto_str(x->proto));
    kit_text(k, x->method);
    kit_text(k, x->host);
    kit_text(k, x->target);
    kit_say(k, " ->");
    for (unsigned i = 0; i < x->interims; i++)
        kit_say(k, " %u", x->interim[i]);
    kit_say(k, " %u", x->status);
    for (int dir = 0; dir < 2; dir++)
        kit_say(k, " %llu", (unsigned long long)x->message[dir].body);
    if (x->message[1].body != x->message[1].body_wire)
        kit_say(k, "(%llu)", (unsigned long long)x->message[1].body_wire);
    if (x->grpc_status >= 0)
        kit_say(k, " grpc %d %d+%d", x->grpc_status, (int)x->grpc_messages[0],
                (int)x->grpc_messages[1]);
    if (x->message[1].kept_len)
        kit_say(k, " '%.*s'", (int)x->message[1].kept_len, x->message[1].kept);
    kit_say(k, "%s%s%s\n", x->complete ? "" : " incomplete", *x->note.text ? " !" : "",
            x->note.text);
}

static inline void kit_ws(void *ctx, const struct tap_ws *m)
{
    struct kit *k = ctx;
    kit_say(k, "ws #%d %s %u %llu '%.*s'", (int)m->number, m->dir ? "<-" : "->", m->opcode,
            (unsigned long long)m->len,
            m->opcode == 8     ? 0
            : m->kept_len > 40 ? 40
                               : (int)m->kept_len,
            m->kept ? (const char *)m->kept : "");
    if (m->close_code >= 0)
        kit_say(k, " code %d", m->close_code);
    kit_say(k, "%s%s%s\n", m->complete ? "" : " incomplete", *m->note.text ? " !" : "",
            m->note.text);
}

static inline void kit_proxy(void *ctx, const struct tap_proxy *p)
{
    char text[2][NU_ADDR_TEXT_MAX];
    kit_say(ctx, "proxy v%u", p->version);
    if (p->local)
        kit_say(ctx, " local\n");
    else
        kit_say(ctx, " %s %s\n", nu_addr_str(&p->source, text[0]),
                nu_addr_str(&p->destination, text[1]));
}

static inline struct kit *kit_new(bool from_syn)
{
    static const struct tap_sink sink = {
        .exchange = kit_exchange, .ws = kit_ws, .proxy = kit_proxy};
    struct kit *k = calloc(1, sizeof *k);
    nu_assert(k != NULL);
    k->tap = tap_new(TAP_MEMORY_LEAST);
    tap_add_sink(k->tap, &sink, k);
    k->flow.number = 1;
    k->flow.sure = from_syn;
    k->flow.half[0].from_syn = k->flow.half[1].from_syn = from_syn;
    k->conn.tap = k->tap;
    k->conn.flow = &k->flow;
    k->ns = 1000;
    return k;
}

static inline void kit_feed(struct kit *k, int dir, const char *at, size_t len)
{
    k->conn.bytes[dir] += len;
    tap_feed(k->layer, dir, (struct nu_piece){(const uint8_t *)at, len}, k->ns++);
}

/* Each piece of bytes is cut behind `first` and then each `step` bytes. */
static inline void kit_run(struct kit *k, const struct kit_step *steps, size_t count, size_t first,
                           size_t step)
{
    for (size_t i = 0; i < count && steps[i].len; i++) {
        const struct kit_step *s = &steps[i];
        if (!s->at) {
            tap_gap(k->layer, s->dir, s->len, k->ns++);
            continue;
        }
        for (size_t at = 0, n = first; at < s->len; at += n, n = step) {
            n = n < s->len - at ? n : s->len - at;
            if (n == 0)
                continue;
            kit_feed(k, s->dir, s->at + at, n);
        }
    }
}

static inline void kit_end(struct kit *k, enum nu_flow_end how)
{
    tap_end(k->layer, 0, how, k->ns++);
    tap_end(k->layer, 1, how, k->ns++);
}

/* Nothing is held any more. */
static inline void kit_free(struct kit *k)
{
    tap_layer_free(k->layer);
    nu_assert(k->conn.held == 0);
    tap_free(k->tap);
    free(k);
}

#endif
