/* Reads HTTP/2 off both directions: frames, blocks of fields, and what frames say that belong to no
 * stream. Behind a gap frames are looked for anew, and what the fields' table had is unknown. */
#include "tools/tap/layer_h2.h"

#include "core/assert.h"
#include "protocols/http2/error.h"
#include "protocols/http2/h2.h"
#include "tools/tap/h2_priv.h"

#include <stdlib.h>
#include <string.h>

#define SETTINGS_TABLE 1 /* SETTINGS_HEADER_TABLE_SIZE (RFC 9113 6.5.2) */

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* --- blocks of fields --- */

static void lose_block(struct h2 *h, int dir, int64_t ns)
{
    struct h2_side *s = &h->side[dir];
    if (s->in_block)
        h2_saw_block_lost(h, dir, ns);
    s->in_block = false;
    s->block_len = 0;
    nu_hpack_forget(s->hpack);
}

static void add_to_block(struct h2_side *s, struct nu_piece part)
{
    if (part.len > H2_BLOCK_MAX - s->block_len) {
        s->block_long = true;
        return;
    }
    if (s->block_cap < s->block_len + part.len) {
        s->block_cap = s->block_len + (uint32_t)part.len;
        s->block = realloc(s->block, s->block_cap);
        nu_assert(s->block != NULL);
    }
    if (part.len)
        memcpy(s->block + s->block_len, part.data, part.len);
    s->block_len += (uint32_t)part.len;
}

static void end_block(struct h2 *h, int dir, int64_t ns)
{
    struct h2_side *s = &h->side[dir];
    if (s->block_long) {
        lose_block(h, dir, ns);
        return;
    }
    h2_saw_block(h, dir, s->block, s->block_len, ns);
    s->in_block = false;
    s->block_len = 0;
}

static void begin_block(struct h2 *h, int dir, const struct nu_h2_frame *f, int64_t ns)
{
    struct h2_side *s = &h->side[dir];
    s->begun = *f;
    s->about = f->stream;
    s->block_ns = ns;
    s->block_long = false;
    s->block_len = 0;
    s->in_block = true;
}

/* A frame with fields, padding and priority aside. Most blocks are one frame. */
static void on_fields(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns)
{
    struct h2_side *s = &h->side[dir];
    const struct nu_h2_frame *f = &cut->frame;
    struct nu_piece part = cut->data;
    begin_block(h, dir, f, ns);
    if (f->type == NU_H2_PUSH_PROMISE && part.len < 4) {
        s->in_block = false;
        nu_hpack_forget(s->hpack);
        return;
    }
    if (f->type == NU_H2_PUSH_PROMISE) {
        s->about = number(part.data) & 0x7fffffff;
        part = (struct nu_piece){part.data + 4, part.len - 4};
    }
    if (f->flags & NU_H2_END_HEADERS) {
        s->in_block = false;
        h2_saw_block(h, dir, part.data, part.len, ns);
        return;
    }
    add_to_block(s, part);
}

static void on_continuation(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns)
{
    struct h2_side *s = &h->side[dir];
    if (!s->in_block || s->begun.stream != cut->frame.stream) {
        lose_block(h, dir, ns);
        return;
    }
    add_to_block(s, cut->data);
    if (cut->frame.flags & NU_H2_END_HEADERS)
        end_block(h, dir, ns);
}

/* --- other frames --- */

static void on_rst_stream(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns)
{
    h2_saw_reset(h, dir, cut->frame.stream, number(cut->data.data), ns);
}

/* What the receiver of the other direction's blocks allows. */
static void on_settings(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns)
{
    const uint8_t *at = cut->data.data;
    for (size_t left = cut->data.len; left >= 6; left -= 6, at += 6)
        if (at[0] == 0 && at[1] == SETTINGS_TABLE)
            nu_hpack_limit(h->side[!dir].hpack, number(at + 2));
}

static void on_goaway(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns)
{
    uint32_t last = number(cut->data.data) & 0x7fffffff, code = number(cut->data.data + 4);
    if (h->side[dir].goaways == H2_GOAWAYS_MAX)
        return;
    h->side[dir].goaways++;
    nu_list_each (it, &h->all) {
        struct h2_stream *st = nu_container(it, struct h2_stream, all);
        bool theirs = (st->id % 2 == 1) == (dir == 1); /* begun by who hears it */
        if (st->o && (code || (theirs && st->id > last)))
            tap_note_add(&st->o->x.note, "GOAWAY from the %s: %s%s", dir ? "server" : "client",
                         nu_h2_code_str(code), theirs && st->id > last ? ", not processed" : "");
    }
}

typedef void on_frame(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns);
static on_frame *const frames[] = {
    [NU_H2_HEADERS] = on_fields,
    [NU_H2_PUSH_PROMISE] = on_fields,
    [NU_H2_CONTINUATION] = on_continuation,
    [NU_H2_RST_STREAM] = on_rst_stream,
    [NU_H2_SETTINGS] = on_settings,
    [NU_H2_GOAWAY] = on_goaway,
};

static void whole_frame(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns)
{
    unsigned type = cut->frame.type;
    if (h->side[dir].in_block && type != NU_H2_CONTINUATION)
        lose_block(h, dir, ns);
    if (type < sizeof frames / sizeof *frames && frames[type])
        frames[type](h, dir, cut, ns);
}

static bool has_fields(unsigned type)
{
    return type == NU_H2_HEADERS || type == NU_H2_PUSH_PROMISE || type == NU_H2_CONTINUATION;
}

static void lost_frame(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns)
{
    struct h2_side *s = &h->side[dir];
    if (!has_fields(cut->frame.type))
        return;
    if (cut->frame.type == NU_H2_HEADERS) {
        lose_block(h, dir, ns);
        begin_block(h, dir, &cut->frame, ns);
    }
    s->in_block = s->in_block && cut->frame.type != NU_H2_PUSH_PROMISE;
    lose_block(h, dir, ns);
}

static void on_cut(struct h2 *h, int dir, const struct nu_h2_cut *cut, uint64_t missing, int64_t ns)
{
    if (cut->what == NU_H2_CUT_FRAME) {
        whole_frame(h, dir, cut, ns);
    } else if (cut->what == NU_H2_CUT_DATA || cut->what == NU_H2_CUT_MISSING) {
        if (h->side[dir].in_block)
            lose_block(h, dir, ns);
        h2_saw_data(h, dir, cut, ns);
    } else if (cut->what == NU_H2_CUT_LOST) {
        lost_frame(h, dir, cut, ns);
    } else if (cut->what == NU_H2_CUT_BROKEN) {
        lose_block(h, dir, ns);
        h2_break_streams(h, dir, missing, ns);
    }
}

/* --- the layer --- */

static void account(struct h2 *h)
{
    size_t bytes = sizeof *h;
    for (int dir = 0; dir < 2; dir++) {
        const struct h2_side *s = &h->side[dir];
        bytes += nu_h2_cutter_memory(&s->cutter) + nu_hpack_memory(s->hpack) + s->block_cap;
    }
    if (bytes != h->held)
        tap_hold(h->layer.conn, (int64_t)bytes - (int64_t)h->held);
    h->held = bytes;
}

/* The client's first bytes; where they are others, frames are looked for. */
static void take_preface(struct h2_side *s, struct nu_piece *in)
{
    while (s->preface && in->len) {
        if (*in->data != (uint8_t)NU_H2_PREFACE[NU_H2_PREFACE_LEN - s->preface]) {
            s->preface = 0;
            nu_h2_cut_search(&s->cutter);
            return;
        }
        s->preface--;
        *in = (struct nu_piece){in->data + 1, in->len - 1};
    }
}

static void feed(struct tap_layer *layer, int dir, struct nu_piece in, int64_t ns)
{
    struct h2 *h = (struct h2 *)layer;
    struct nu_h2_cut cut;
    tap_tell_plain(layer->conn, dir, in, ns);
    take_preface(&h->side[dir], &in);
    do {
        nu_h2_cut(&h->side[dir].cutter, &in, &cut);
        on_cut(h, dir, &cut, 0, ns);
    } while (cut.what != NU_H2_CUT_NONE);
    account(h);
}

static void gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    struct h2 *h = (struct h2 *)layer;
    struct nu_h2_cut cut;
    uint64_t all = bytes;
    h->side[dir].preface = 0;
    do {
        nu_h2_cut_gap(&h->side[dir].cutter, &bytes, &cut);
        on_cut(h, dir, &cut, all, ns);
    } while (cut.what != NU_H2_CUT_NONE);
    account(h);
}

static void end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    struct h2 *h = (struct h2 *)layer;
    h->side[dir].ended = true;
    h->side[dir].how = how;
    if (h->side[!dir].ended)
        h2_tell_all(h, ns);
    account(h);
}

static void shrink(struct tap_layer *layer)
{
    struct h2 *h = (struct h2 *)layer;
    h2_shrink_streams(h);
    for (int dir = 0; dir < 2; dir++)
        if (!h->side[dir].in_block) {
            free(h->side[dir].block);
            h->side[dir].block = NULL;
            h->side[dir].block_cap = 0;
        }
    account(h);
}

static void layer_free(struct tap_layer *layer)
{
    struct h2 *h = (struct h2 *)layer;
    h2_free_streams(h);
    for (int dir = 0; dir < 2; dir++) {
        nu_h2_cutter_free(&h->side[dir].cutter);
        nu_hpack_free(h->side[dir].hpack);
        free(h->side[dir].block);
    }
    tap_hold(layer->conn, -(int64_t)h->held);
    free(h);
}

static struct h2 *new_layer(struct tap_conn *conn, unsigned depth)
{
    static const struct tap_layer_type type = {"http2", feed, gap, end, shrink, layer_free};
    struct h2 *h = calloc(1, sizeof *h);
    nu_assert(h != NULL);
    h->layer = (struct tap_layer){&type, conn, depth};
    nu_list_init(&h->all);
    for (int dir = 0; dir < 2; dir++)
        h->side[dir].hpack = nu_hpack_new();
    h->side[0].preface = NU_H2_PREFACE_LEN;
    account(h);
    return h;
}

struct tap_layer *h2_open(struct tap_conn *conn, unsigned depth)
{
    struct h2 *h = new_layer(conn, depth);
    for (int dir = 0; dir < 2; dir++)
        if (!nu_flow_half(conn->flow, dir)->from_syn) {
            h->side[dir].preface = 0;
            nu_h2_cut_search(&h->side[dir].cutter);
        }
    return &h->layer;
}

struct tap_layer *tap_h2_upgraded(struct tap_conn *conn, unsigned depth, struct tap_open *request)
{
    struct h2 *h = new_layer(conn, depth);
    h2_stream_upgraded(h, request);
    return &h->layer;
}
