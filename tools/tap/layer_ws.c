/* Reads WebSocket frames (RFC 6455) off both directions, joins fragments and, where the handshake
 * agreed on permessage-deflate, inflates them. Behind a gap that is longer than the frame it is in
 * a segment that is nothing but whole frames is where it goes on. */
#include "tools/tap/layer_ws.h"

#include "core/assert.h"
#include "protocols/ws/frame.h"
#include "tools/tap/event.h"

#include <stdlib.h>
#include <string.h>

#define WS_INFLATED_MAX (64u << 20) /* bytes of one message; what says more is a bomb */
#define ROUND           NU_WS_INFLATE_ROOM

/* A message in progress, or a control frame. */
struct message {
    uint64_t len, sent, missing; /* bytes: inflated, as they came, in gaps */
    uint64_t spent;              /* bytes; see tap_may_decode */
    uint8_t *kept;               /* malloced, of `room` bytes */
    size_t kept_len, room;
    uint8_t opcode; /* 0 = none */
    bool compressed, bomb, unread, orphan;
};

struct side {
    uint8_t header[NU_WS_HEADER_MAX];
    uint8_t header_len;
    struct nu_ws_header frame;
    bool in_frame;
    uint64_t left, at; /* of the frame's payload; how much of it was read */
    struct message data, control;
    struct nu_ws_inflate *inflate;
    uint64_t lost; /* bytes of nobody knows which frames */
    bool is_lost, broken_context;
    bool ended;
};

struct ws {
    struct tap_layer layer; /* first member */
    uint64_t exchange;
    struct nu_ws_deflate deflate;
    struct side side[2];
    size_t held;
};

static void account(struct ws *w)
{
    size_t bytes = sizeof *w;
    for (int dir = 0; dir < 2; dir++) {
        const struct side *s = &w->side[dir];
        bytes += s->inflate ? NU_WS_INFLATE_BYTES : 0;
        bytes += (s->data.kept ? s->data.room : 0) + (s->control.kept ? s->control.room : 0);
    }
    if (bytes != w->held)
        tap_hold(w->layer.conn, (int64_t)bytes - (int64_t)w->held);
    w->held = bytes;
}

/* --- messages --- */

static struct message *message_of(struct side *s)
{
    return nu_ws_is_control(s->frame.first) ? &s->control : &s->data;
}

static void keep(struct message *m, const uint8_t *at, size_t len)
{
    size_t room = m->room - m->kept_len;
    len = len < room ? len : room;
    if (len == 0)
        return;
    if (!m->kept)
        m->kept = malloc(m->room);
    nu_assert(m->kept != NULL);
    memcpy(m->kept + m->kept_len, at, len);
    m->kept_len += len;
}

static void begin_message(struct ws *w, int dir)
{
    struct side *s = &w->side[dir];
    struct message *m = message_of(s);
    size_t room = tap_body_room(w->layer.conn);
    m->opcode = (uint8_t)nu_ws_opcode(s->frame.first);
    m->compressed = w->deflate.on && s->frame.first & NU_WS_RSV1;
    m->room = room > NU_WS_CONTROL_MAX ? room : NU_WS_CONTROL_MAX;
}

static int close_code_of(const struct message *m)
{
    if (m->opcode != NU_WS_CLOSE || m->kept_len < 2)
        return -1;
    return m->kept[0] << 8 | m->kept[1];
}

static void note(const struct message *m, struct tap_note *note)
{
    if (m->missing)
        tap_note_add(note, "gap of %lluB in it", (unsigned long long)m->missing);
    if (m->orphan)
        tap_note_add(note, "its beginning was not captured");
    if (m->bomb)
        tap_note_add(note, "inflated to %llu KiB only", (unsigned long long)m->len >> 10);
    else if (m->unread)
        tap_note_add(note, "cannot be inflated: the length is the compressed one");
}

/* Of what cannot be inflated as it was sent. */
static uint64_t length_of(const struct message *m)
{
    if (m->bomb || (m->compressed && !m->unread))
        return m->len;
    return m->sent + m->missing;
}

static void tell(struct ws *w, int dir, struct message *m, bool whole, int64_t ns)
{
    struct tap_ws event = {
        .conn = w->layer.conn,
        .number = w->exchange,
        .time_ns = ns,
        .dir = dir,
        .opcode = m->opcode,
        .len = length_of(m),
        .kept = m->kept,
        .kept_len = m->kept_len,
        .close_code = close_code_of(m),
        .complete = whole && !m->missing && !m->bomb && !m->unread && !m->orphan,
    };
    note(m, &event.note);
    if (w->side[dir].lost)
        tap_note_add(&event.note, "%lluB before it were not understood",
                     (unsigned long long)w->side[dir].lost);
    w->side[dir].lost = 0;
    if (!whole)
        tap_note_add(&event.note, "cut short");
    tap_tell_ws(&event);
    free(m->kept);
    *m = (struct message){0};
}

/* --- inflating --- */

/* Neither this message nor, with a context that goes on, later ones. */
static void stop_inflating(struct ws *w, int dir)
{
    struct side *s = &w->side[dir];
    s->data.unread = true;
    if (s->inflate)
        nu_ws_inflate_skip(s->inflate);
    s->broken_context = !w->deflate.fresh[dir];
}

static bool took(struct ws *w, int dir, const uint8_t *at, size_t len)
{
    struct message *m = &w->side[dir].data;
    m->len += len;
    keep(m, at, len);
    if (m->len <= WS_INFLATED_MAX && tap_may_decode(w->layer.conn, m->sent, m->len, &m->spent))
        return true;
    m->bomb = true;
    stop_inflating(w, dir);
    return false;
}

/* in = NULL: the message ends. */
static void inflate_some(struct ws *w, int dir, const uint8_t *in, size_t len)
{
    static _Thread_local uint8_t round[ROUND];
    struct side *s = &w->side[dir];
    enum nu_err err = NU_MORE;
    bool end = !in;
    size_t n;
    if (!s->inflate)
        s->inflate = nu_ws_inflate_new(&w->deflate, (unsigned)dir);
    while (err == NU_MORE) {
        err = end ? nu_ws_inflate_end(s->inflate, round, sizeof round, &n)
                  : nu_ws_inflate(s->inflate, &in, &len, round, sizeof round, &n);
        if (!took(w, dir, round, n))
            return;
    }
    if (err != NU_OK)
        stop_inflating(w, dir);
}

static void payload(struct ws *w, int dir, const uint8_t *at, size_t len)
{
    struct side *s = &w->side[dir];
    struct message *m = message_of(s);
    m->sent += len;
    if (m->compressed && !m->unread && s->broken_context)
        m->unread = true;
    if (m->compressed && !m->unread) {
        inflate_some(w, dir, at, len);
    } else {
        if (!m->compressed)
            keep(m, at, len);
        if (m == &s->data && !m->compressed && s->inflate)
            nu_ws_inflate_plain(s->inflate, at, len);
    }
}

/* --- frames --- */

static void end_frame(struct ws *w, int dir, int64_t ns)
{
    struct side *s = &w->side[dir];
    struct message *m = message_of(s);
    s->in_frame = false;
    if (!(s->frame.first & NU_WS_FIN) && m == &s->data)
        return;
    if (m->compressed && !m->unread)
        inflate_some(w, dir, NULL, 0);
    tell(w, dir, m, true, ns);
}

static void begin_frame(struct ws *w, int dir, int64_t ns)
{
    struct side *s = &w->side[dir];
    struct message *m;
    s->in_frame = true;
    s->header_len = 0;
    s->left = s->frame.len;
    s->at = 0;
    m = message_of(s);
    if (nu_ws_opcode(s->frame.first) != NU_WS_CONTINUATION) {
        if (m->opcode) /* the one before never ended */
            tell(w, dir, m, false, ns);
        begin_message(w, dir);
    } else if (!m->opcode && !m->orphan) {
        begin_message(w, dir);
        m->orphan = true;
        m->compressed = false;
    }
}

static bool is_frame(const struct ws *w, const struct nu_ws_header *f)
{
    unsigned opcode = nu_ws_opcode(f->first);
    bool known = opcode <= NU_WS_BINARY || (opcode >= NU_WS_CLOSE && opcode <= NU_WS_PONG);
    unsigned rsv = f->first & NU_WS_RSV & (w->deflate.on ? ~(unsigned)NU_WS_RSV1 : ~0u);
    return known && !rsv && !(f->len >> 63) &&
           (!nu_ws_is_control(f->first) || f->len <= NU_WS_CONTROL_MAX);
}

/* Nothing but whole frames, as this side sends them. */
static bool is_frames(const struct ws *w, int dir, struct nu_piece in)
{
    struct nu_ws_header f;
    while (in.len && nu_ws_read_header(in.data, in.len, &f)) {
        if (!is_frame(w, &f) || !f.minimal || f.masked != (dir == 0) || f.len > in.len - f.bytes)
            return false;
        in = (struct nu_piece){in.data + f.bytes + f.len, in.len - f.bytes - (size_t)f.len};
    }
    return in.len == 0;
}

/* The message in progress, and all that follows. */
static void lose(struct ws *w, int dir, int64_t ns)
{
    struct side *s = &w->side[dir];
    s->is_lost = true;
    s->in_frame = false;
    s->header_len = 0;
    s->left = 0;
    s->broken_context = !w->deflate.fresh[dir];
    if (s->control.opcode)
        tell(w, dir, &s->control, false, ns);
    if (s->data.opcode || s->data.orphan)
        tell(w, dir, &s->data, false, ns);
}

static void take_header(struct ws *w, int dir, struct nu_piece *in, int64_t ns)
{
    struct side *s = &w->side[dir];
    while (in->len && s->header_len < NU_WS_HEADER_MAX) {
        s->header[s->header_len++] = *in->data;
        *in = (struct nu_piece){in->data + 1, in->len - 1};
        if (!nu_ws_read_header(s->header, s->header_len, &s->frame))
            continue;
        if (!is_frame(w, &s->frame)) {
            s->lost += s->header_len;
            lose(w, dir, ns);
            return;
        }
        begin_frame(w, dir, ns);
        if (s->left == 0)
            end_frame(w, dir, ns);
        return;
    }
}

/* Unmasked a piece at a time. */
static void take_payload(struct ws *w, int dir, struct nu_piece *in, int64_t ns)
{
    static _Thread_local uint8_t clear[ROUND];
    struct side *s = &w->side[dir];
    size_t n = in->len < s->left ? in->len : (size_t)s->left;
    const uint8_t *at = in->data;
    if (s->frame.masked) {
        n = n < sizeof clear ? n : sizeof clear;
        for (size_t i = 0; i < n; i++)
            clear[i] = in->data[i] ^ s->frame.mask[(s->at + i) % 4];
        at = clear;
    }
    payload(w, dir, at, n);
    s->at += n;
    s->left -= n;
    *in = (struct nu_piece){in->data + n, in->len - n};
    if (s->left == 0)
        end_frame(w, dir, ns);
}

/* --- the layer --- */

static void feed(struct tap_layer *layer, int dir, struct nu_piece in, int64_t ns)
{
    struct ws *w = (struct ws *)layer;
    struct side *s = &w->side[dir];
    tap_tell_plain(layer->conn, dir, in, ns);
    if (s->is_lost && is_frames(w, dir, in))
        s->is_lost = false;
    while (in.len && !s->is_lost)
        (s->in_frame ? take_payload : take_header)(w, dir, &in, ns);
    s->lost += in.len;
    account(w);
}

/* Of a frame that goes on behind it only some bytes are not known. */
static void gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    struct ws *w = (struct ws *)layer;
    struct side *s = &w->side[dir];
    uint64_t in_frame = bytes < s->left ? bytes : s->left;
    if (s->is_lost || !s->in_frame) {
        s->lost += s->header_len + bytes;
        lose(w, dir, ns);
        return;
    }
    struct message *m = message_of(s);
    m->missing += in_frame;
    m->room = m->kept_len;
    if (m->compressed && !m->unread)
        stop_inflating(w, dir);
    s->left -= in_frame;
    s->at += in_frame;
    if (s->left == 0)
        end_frame(w, dir, ns);
    if (bytes > in_frame) {
        s->lost += bytes - in_frame;
        lose(w, dir, ns);
    }
    account(w);
}

/* What was not understood is told at the end, once. */
static void end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    struct ws *w = (struct ws *)layer;
    struct side *s = &w->side[dir];
    s->ended = true;
    if (!s->is_lost)
        lose(w, dir, ns);
    account(w);
}

static void shrink(struct tap_layer *layer)
{
    struct ws *w = (struct ws *)layer;
    for (int dir = 0; dir < 2; dir++) {
        struct side *s = &w->side[dir];
        if (s->data.compressed && !s->data.unread)
            stop_inflating(w, dir);
        s->broken_context = s->broken_context || (s->inflate && !w->deflate.fresh[dir]);
        nu_ws_inflate_free(s->inflate);
        s->inflate = NULL;
        free(s->data.kept);
        s->data.kept = NULL;
        s->data.kept_len = s->data.room = 0;
    }
    account(w);
}

static void layer_free(struct tap_layer *layer)
{
    struct ws *w = (struct ws *)layer;
    for (int dir = 0; dir < 2; dir++) {
        nu_ws_inflate_free(w->side[dir].inflate);
        free(w->side[dir].data.kept);
        free(w->side[dir].control.kept);
    }
    tap_hold(layer->conn, -(int64_t)w->held);
    free(w);
}

struct tap_layer *tap_ws_new(struct tap_conn *conn, unsigned depth, uint64_t exchange,
                             const struct nu_ws_deflate *deflate)
{
    static const struct tap_layer_type type = {"websocket", feed, gap, end, shrink, layer_free};
    struct ws *w = calloc(1, sizeof *w);
    nu_assert(w != NULL);
    w->layer = (struct tap_layer){&type, conn, depth};
    w->exchange = exchange;
    w->deflate = *deflate;
    account(w);
    return &w->layer;
}
