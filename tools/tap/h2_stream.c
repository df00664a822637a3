/* Streams of HTTP/2 and the messages on them. */
#include "tools/tap/h2_priv.h"

#include "core/assert.h"
#include "protocols/http2/error.h"
#include "tools/tap/layer_ws.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES 976 /* of a head; fits malloc's cache */

static const char *const by[] = {"client", "server"};

/* --- the table --- */

static struct h2_stream **place_of(struct h2 *h, uint32_t id)
{
    struct h2_stream **at = &h->bucket[(id / 2 + id % 2) % H2_BUCKETS];
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static bool is_over(const struct h2 *h, uint32_t id)
{
    for (unsigned i = 0; i < H2_OVER; i++)
        if (h->over[i] == id)
            return true;
    return false;
}

static void drop(struct h2 *h, struct h2_stream *st)
{
    *place_of(h, st->id) = st->next;
    nu_list_del(&st->all);
    h->streams--;
    h->over[h->overs++ % H2_OVER] = st->id;
    tap_layer_free(st->inner);
    tap_hold(h->layer.conn, -(int64_t)sizeof *st);
    free(st);
}

static void tell(struct h2 *h, struct h2_stream *st)
{
    struct tap_open *o = st->o;
    st->o = NULL;
    if (o)
        tap_open_tell(o);
    drop(h, st);
}

static struct h2_stream *add(struct h2 *h, uint32_t id, struct tap_open *o)
{
    if (h->streams == H2_STREAMS_MAX) {
        struct h2_stream *first = nu_container(h->all.next, struct h2_stream, all);
        if (first->o)
            tap_note_add(&first->o->x.note, "not over yet: let go for newer streams");
        tell(h, first);
    }
    struct h2_stream *st = calloc(1, sizeof *st);
    nu_assert(st != NULL);
    st->id = id;
    st->o = o;
    o->x.stream = id;
    o->x.proto = TAP_H2;
    nu_list_add_tail(&h->all, &st->all);
    *place_of(h, id) = st;
    h->streams++;
    tap_hold(h->layer.conn, sizeof *st);
    return st;
}

/* Of a response whose request may still come out of disorder the request is not over. */
struct h2_stream *h2_stream_of(struct h2 *h, uint32_t id, int dir)
{
    struct h2_stream *st = *place_of(h, id);
    if (st || is_over(h, id))
        return st;
    st = add(h, id, tap_open_new(h->layer.conn, TAP_H2));
    st->o->over[0] = dir == 1 && !nu_flow_half(h->layer.conn->flow, 0)->kept;
    return st;
}

/* What the 101 said is not the response. */
void h2_stream_upgraded(struct h2 *h, struct tap_open *o)
{
    nu_arena_free(o->arena[1]);
    o->arena[1] = NULL;
    o->x.message[1] = (struct tap_message){0};
    o->x.status = 0;
    o->body[1] = (struct tap_body){0};
    add(h, 1, o);
}

/* --- messages --- */

static void side_over(struct h2 *h, struct h2_stream *st, int dir, int64_t ns)
{
    struct tap_open *o = st->o;
    if (o && tap_open_over(o, dir, !st->broken[dir], ns))
        tell(h, st);
    if (o || !st->inner || st->ended[dir])
        return;
    tap_end(st->inner, dir, NU_FLOW_FIN, ns);
    st->ended[dir] = true;
    if (st->ended[!dir])
        drop(h, st);
}

struct maker {
    struct nu_http_head *head;
    size_t bytes;
    unsigned unknown, fields;
    bool pseudo, too_much;
};

static struct nu_text copy(struct maker *m, struct nu_text text)
{
    m->bytes += text.len;
    return nu_text(nu_arena_strndup(m->head->arena, text.at, text.len), text.len);
}

static unsigned status_of(struct nu_text value)
{
    unsigned status = 0;
    for (size_t i = 0; i < value.len && i < 3; i++)
        status = status * 10 + (unsigned)(value.at[i] - '0');
    return value.len == 3 && status >= 100 && status <= 599 ? status : 0;
}

static void pseudo(struct maker *m, struct nu_text name, struct nu_text value)
{
    struct nu_http_head *head = m->head;
    m->pseudo = true;
    if (nu_text_is(name, ":status")) {
        head->status = (uint16_t)status_of(value);
        return;
    }
    value = copy(m, value);
    if (nu_text_is(name, ":method"))
        head->method = value;
    else if (nu_text_is(name, ":scheme"))
        head->scheme = value;
    else if (nu_text_is(name, ":authority"))
        head->authority = value;
    else if (nu_text_is(name, ":path"))
        head->path = value;
    else if (nu_text_is(name, ":protocol"))
        head->protocol = value;
}

static void field(void *ctx, struct nu_text name, struct nu_text value)
{
    struct maker *m = ctx;
    if (!name.at || !value.at) {
        m->unknown++;
        return;
    }
    if (name.len > NU_HTTP_NAME_MAX_BYTES || m->fields == H2_FIELDS_MAX ||
        name.len + value.len > H2_HEAD_MAX - m->bytes) {
        m->too_much = true;
        return;
    }
    m->fields++;
    if (name.len && *name.at == ':') {
        pseudo(m, name, value);
        return;
    }
    name = copy(m, name);
    nu_http_append(m->head, nu_hdr_find(name.at, name.len), name, copy(m, value));
}

static void finish_head(struct nu_http_head *head)
{
    head->version = NU_HTTP_2;
    head->method_id = (uint8_t)nu_method_find(head->method.at, head->method.len);
    if (!head->authority.len)
        head->authority = nu_http_value(head, NU_HDR_HOST);
    head->target = head->path.len                         ? head->path
                   : head->method_id == NU_METHOD_CONNECT ? head->authority
                                                          : nu_text("", 0);
}

/* Fields behind a body, or without what a head begins with. */
static bool are_trailers(const struct tap_open *o, int dir, const struct maker *m)
{
    const struct tap_message *message = &o->x.message[dir];
    if (m->pseudo)
        return false;
    return message->head || o->body[dir].wire || o->body[dir].missing || m->unknown == 0;
}

/* WebSocket (RFC 8441): what follows are its frames. */
static void open_inner(struct h2 *h, struct h2_stream *st, int64_t ns)
{
    struct tap_open *o = st->o;
    const struct nu_http_head *asked = o->x.message[0].head, *head = o->x.message[1].head;
    struct nu_ws_deflate deflate;
    if (!asked || !nu_text_is_fold(asked->protocol, "websocket") || o->x.status / 100 != 2)
        return;
    deflate = nu_ws_deflate_of(head);
    st->o = NULL;
    st->inner = tap_ws_new(h->layer.conn, h->layer.depth + 1, o->x.number, &deflate);
    tap_open_over(o, 0, true, ns);
    tap_open_over(o, 1, true, ns);
    tap_open_tell(o);
}

/* A gap in which streams may have begun and ended, behind the last that was noted. */
static void note_gone(struct h2 *h, struct tap_open *o)
{
    for (int dir = 0; dir < 2; dir++) {
        if (h->side[dir].gone)
            tap_note_add(&o->x.note, "gap of %lluB before it between the %s's frames",
                         (unsigned long long)h->side[dir].gone, by[dir]);
        h->side[dir].gone = 0;
    }
}

static void on_head(struct h2 *h, struct h2_stream *st, int dir, struct maker *m, int64_t ns)
{
    struct tap_open *o = st->o;
    note_gone(h, o);
    if (!o->x.message[dir].first_ns)
        o->x.message[dir].first_ns = h->side[dir].block_ns;
    if (dir == 0)
        o->over[0] = false;
    o->x.message[dir].unknown += m->unknown;
    if (m->unknown)
        tap_note_add(&o->x.note, "%u %s fields not known (HPACK after a missed start)", m->unknown,
                     tap_side_str(dir));
    finish_head(m->head);
    tap_open_head(o, dir, NULL, m->head);
    if (dir)
        open_inner(h, st, ns);
}

static void on_interim(struct tap_open *o, const struct maker *m)
{
    tap_open_interim(o, m->head->status);
    o->x.message[1].unknown += m->unknown;
}

static struct nu_arena *arena_of(struct tap_open *o, int dir)
{
    if (!o->arena[dir])
        o->arena[dir] = nu_arena_new(ARENA_BYTES);
    return o->arena[dir];
}

/* A promise: the request is the server's, and whole. */
static int message_of(const struct h2_side *s, int dir)
{
    return s->begun.type == NU_H2_PUSH_PROMISE ? 0 : dir;
}

static void message(struct h2 *h, struct h2_stream *st, int dir, struct maker *m, int64_t ns)
{
    const struct h2_side *s = &h->side[dir];
    struct tap_open *o = st->o;
    int of = message_of(s, dir);
    if (o->over[of] && !(of == 0 && !o->x.message[0].head))
        return; /* fields behind the end are nobody's */
    if (m->too_much)
        tap_note_add(&o->x.note, "not all %s fields are kept", tap_side_str(of));
    if (of && m->head->status / 100 == 1)
        on_interim(o, m);
    else if (are_trailers(o, of, m))
        tap_open_trailers(o, of, m->head);
    else
        on_head(h, st, of, m, ns);
    if (of != dir) {
        o->x.message[0].first_ns = s->block_ns;
        tap_note_add(&o->x.note, "pushed by the server");
        tap_open_over(o, 0, true, ns);
    } else if (s->begun.flags & NU_H2_END_STREAM) {
        side_over(h, st, dir, ns);
    }
}

static void ignore(void *ctx, struct nu_text name, struct nu_text value)
{
}

void h2_saw_block(struct h2 *h, int dir, const uint8_t *block, size_t len, int64_t ns)
{
    struct h2_side *s = &h->side[dir];
    struct h2_stream *st = h2_stream_of(h, s->about, dir);
    if (st && st->blocks[dir] < UINT8_MAX)
        st->blocks[dir]++;
    if (!st || !st->o ||
        st->blocks[dir] > H2_BLOCKS_MAX) { /* the table learns from it all the same */
        nu_hpack_read(s->hpack, block, len, ignore, NULL);
        if (st && s->begun.flags & NU_H2_END_STREAM)
            side_over(h, st, dir, ns);
        return;
    }
    struct maker m = {.head = nu_http_head_new(arena_of(st->o, message_of(s, dir)))};
    if (nu_hpack_read(s->hpack, block, len, field, &m) != NU_OK) {
        tap_note_add(&st->o->x.note, "%s fields: broken HPACK", tap_side_str(dir));
        st->broken[dir] = true;
    }
    message(h, st, dir, &m, ns);
}

void h2_saw_block_lost(struct h2 *h, int dir, int64_t ns)
{
    struct h2_side *s = &h->side[dir];
    struct h2_stream *st = h2_stream_of(h, s->about, dir);
    if (!st)
        return;
    if (st->o) {
        st->broken[dir] = true;
        tap_note_add(&st->o->x.note, "%s fields were not captured", tap_side_str(dir));
    }
    if (s->begun.flags & NU_H2_END_STREAM)
        side_over(h, st, dir, ns);
}

void h2_saw_data(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns)
{
    struct h2_stream *st = h2_stream_of(h, cut->frame.stream, dir);
    if (!st)
        return;
    if (st->o && !st->o->over[dir]) {
        if (!st->o->x.message[dir].first_ns && !st->o->x.message[dir].head)
            st->o->x.message[dir].first_ns = ns;
        if (cut->what == NU_H2_CUT_MISSING)
            tap_open_gap(st->o, dir, cut->len);
        else
            tap_open_data(st->o, dir, cut->data);
    } else if (st->inner && !st->ended[dir]) {
        if (cut->what == NU_H2_CUT_MISSING)
            tap_gap(st->inner, dir, cut->len, ns);
        else if (cut->data.len)
            tap_feed(st->inner, dir, cut->data, ns);
    }
    if (cut->last && cut->frame.flags & NU_H2_END_STREAM)
        side_over(h, st, dir, ns);
}

/* Without an error it is said after a whole response, by who does not need the rest of the request
 * (RFC 9113 8.1). */
void h2_saw_reset(struct h2 *h, int dir, uint32_t id, uint32_t code, int64_t ns)
{
    struct h2_stream *st = *place_of(h, id);
    if (!st)
        return;
    if (st->o)
        tap_note_add(&st->o->x.note, "reset by the %s: %s", by[dir], nu_h2_code_str(code));
    for (int side = 0; st->inner && side < 2; side++)
        if (!st->ended[side])
            tap_end(st->inner, side, NU_FLOW_RST, ns);
    for (int side = 0; st->o && side < 2; side++)
        tap_open_over(st->o, side, false, ns);
    tell(h, st);
}

void h2_break_streams(struct h2 *h, int dir, uint64_t bytes, int64_t ns)
{
    bool told = false;
    nu_list_each (it, &h->all) {
        struct h2_stream *st = nu_container(it, struct h2_stream, all);
        if (st->o && !st->o->over[dir] && !st->broken[dir]) {
            st->broken[dir] = true;
            tap_note_add(&st->o->x.note, "gap of %lluB between the %s's frames",
                         (unsigned long long)bytes, by[dir]);
            told = true;
        } else if (st->inner && !st->ended[dir]) {
            tap_gap(st->inner, dir, bytes, ns);
            told = true;
        }
    }
    h->side[dir].gone += told ? 0 : bytes;
}

static void tell_unfinished(struct h2 *h, struct h2_stream *st, int64_t ns)
{
    for (int dir = 0; st->inner && dir < 2; dir++)
        if (!st->ended[dir])
            tap_end(st->inner, dir, h->side[dir].how, ns);
    for (int dir = 0; st->o && dir < 2; dir++)
        if (!st->o->over[dir])
            tap_note_add(&st->o->x.note, "%s cut short: %s", tap_side_str(dir),
                         tap_end_str(h->side[dir].how));
    tell(h, st);
}

void h2_tell_all(struct h2 *h, int64_t ns)
{
    while (!nu_list_empty(&h->all))
        tell_unfinished(h, nu_container(h->all.next, struct h2_stream, all), ns);
}

void h2_shrink_streams(struct h2 *h)
{
    nu_list_each (it, &h->all) {
        struct h2_stream *st = nu_container(it, struct h2_stream, all);
        if (st->o)
            tap_open_shrink(st->o);
        tap_shrink(st->inner);
    }
}

void h2_free_streams(struct h2 *h)
{
    while (!nu_list_empty(&h->all)) {
        struct h2_stream *st = nu_container(h->all.next, struct h2_stream, all);
        if (st->o) /* NOLINT: the analyzer forgets that what was freed is unlinked */
            tap_open_free(st->o);
        drop(h, st);
    }
}
