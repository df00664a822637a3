/* Reads HTTP/1 off both directions: what a direction is at, gaps, ends. Behind a gap, and behind
 * what the parser refused (h1_message.c), the next start line is looked for. Where an upgrade or a
 * tunnel was granted the layer hands on what follows. */
#include "tools/tap/h1_priv.h"

#include "core/assert.h"
#include "core/list.h"

#include <stdlib.h>
#include <string.h>

const char *h1_at_str(enum h1_at at)
{
    static const char *const names[H1_ATS] = {"idle", "within", "search", "wait", "inner"};
    nu_assert((unsigned)at < H1_ATS);
    return names[at];
}

static void skip(struct nu_piece *in, size_t len)
{
    *in = (struct nu_piece){in->data + len, in->len - len};
}

static void feed_some(struct h1 *h, int dir, struct nu_piece in, int64_t ns);

static void line_add(struct h1_side *s, const uint8_t *at, size_t len)
{
    if (!s->line)
        s->line = malloc(H1_LINE_MAX);
    nu_assert(s->line != NULL);
    while (len) {
        if (s->line_len == H1_LINE_MAX) {
            s->line_len /= 2;
            s->skipped += s->line_len;
            memmove(s->line, s->line + s->line_len, s->line_len);
        }
        size_t n = H1_LINE_MAX - s->line_len;
        n = n < len ? n : len;
        memcpy(s->line + s->line_len, at, n);
        s->line_len += (uint32_t)n;
        at += n;
        len -= n;
    }
}

/* A whole line is there, with what it was cut from in front. */
static void judge_line(struct h1 *h, int dir, const char *line, size_t len, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    long at = s->drop_line ? -1 : h1_find_start(dir, line, len);
    s->drop_line = false;
    s->skipped += at < 0 ? len : (size_t)at;
    if (at < 0)
        return;
    struct nu_piece found = {(const uint8_t *)line + at, len - (size_t)at};
    h1_be_at(s, H1_IDLE);
    s->count -= found.len; /* counted again */
    feed_some(h, dir, found, ns);
}

static void step_search(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    const uint8_t *at = in->data, *end = memchr(at, '\n', in->len);
    size_t n = end ? (size_t)(end + 1 - at) : in->len;
    uint64_t behind = in->len - n;
    skip(in, n);
    s->count -= behind; /* up to where it is read */
    if (end && s->line_len == 0) {
        judge_line(h, dir, (const char *)at, n, ns);
    } else {
        line_add(s, at, n);
        if (end) {
            char *line = s->line;
            size_t len = s->line_len;
            s->line = NULL;
            s->line_len = 0;
            judge_line(h, dir, line, len, ns);
            free(line);
        }
    }
    s->count += behind;
}

static void end_inner(struct h1 *h, int dir, int64_t ns)
{
    if (h->inner && h->side[dir].ended)
        tap_end(h->inner, dir, h->side[dir].how, ns);
}

/* What does not fit is more than waits for an answer: it is as if CONNECT had been granted, and an
 * upgrade refused. */
static void step_wait(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    if (in->len > H1_WAIT_MAX - s->wait_len) {
        bool connect = h->asks->x.message[0].head->method_id == NU_METHOD_CONNECT &&
                       h->side[1].at != H1_WITHIN;
        if (connect) {
            h->inner = tap_guess_new(h->layer.conn, h->layer.depth + 1, NULL);
            h1_be_at(&h->side[1], H1_INNER);
        }
        h1_decide(h, connect, ns);
        if (connect)
            end_inner(h, 1, ns);
        return;
    }
    if (!s->wait)
        s->wait = malloc(H1_WAIT_MAX);
    nu_assert(s->wait != NULL);
    memcpy(s->wait + s->wait_len, in->data, in->len);
    s->wait_len += (uint32_t)in->len;
    skip(in, in->len);
}

static void step_inner(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
{
    struct nu_piece all = *in;
    skip(in, in->len);
    tap_feed(h->inner, dir, all, ns);
}

static void step_once(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
{
    static h1_step *const steps[H1_ATS] = {h1_step_idle, h1_step_within, step_search, step_wait,
                                           step_inner};
    steps[h->side[dir].at](h, dir, in, ns);
}

static void feed_some(struct h1 *h, int dir, struct nu_piece in, int64_t ns)
{
    h->side[dir].count += in.len;
    while (in.len)
        step_once(h, dir, &in, ns);
    h->side[dir].begin = NULL;
}

static void account(struct h1 *h)
{
    size_t bytes = sizeof *h;
    for (int dir = 0; dir < 2; dir++) {
        const struct h1_side *s = &h->side[dir];
        bytes += (s->line ? H1_LINE_MAX : 0) + (s->wait ? H1_WAIT_MAX : 0);
        bytes += s->arena ? nu_arena_bytes(s->arena) : 0;
    }
    if (bytes != h->held)
        tap_hold(h->layer.conn, (int64_t)bytes - (int64_t)h->held);
    h->held = bytes;
}

static void feed(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t ns)
{
    struct h1 *h = (struct h1 *)layer;
    h->side[dir].count += bytes.len;
    while (bytes.len) {
        struct nu_piece before = bytes;
        bool ours = h->side[dir].at != H1_INNER;
        step_once(h, dir, &bytes, ns);
        if (ours)
            tap_tell_plain(layer->conn, dir, (struct nu_piece){before.data, before.len - bytes.len},
                           ns);
    }
    h->side[dir].begin = NULL;
    account(h);
}

/* --- upgrades and tunnels --- */

void h1_decide(struct h1 *h, bool inner, int64_t ns)
{
    struct h1_side *s = &h->side[0];
    uint8_t *wait = s->wait;
    struct nu_piece bytes = {wait, s->wait_len};
    uint64_t gap = s->wait_gap;
    h->asks = NULL;
    s->wait = NULL;
    s->wait_len = 0;
    s->wait_gap = 0;
    if (inner && s->at != H1_WAIT)
        h1_leave(s, H1_INNER);
    else
        h1_be_at(s, inner ? H1_INNER : gap ? H1_SEARCH : H1_IDLE);
    if (inner && gap)
        tap_gap(h->inner, 0, gap, ns);
    s->count -= bytes.len;
    feed_some(h, 0, bytes, ns);
    free(wait);
    if (s->at == H1_INNER)
        end_inner(h, 0, ns);
}

/* --- gaps --- */

/* The bytes that lie behind the body that is being read. */
static uint64_t gap_in_body(struct h1 *h, int dir, uint64_t bytes, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    uint64_t opaque = nu_h1_opaque(&s->parser), n = bytes < opaque ? bytes : opaque;
    struct nu_piece none = {(const uint8_t *)"", 0};
    if (!s->in_body || n == 0)
        return bytes;
    nu_h1_passed(&s->parser, n);
    tap_open_gap(s->open, dir, n);
    h1_step_within(h, dir, &none, ns);
    return bytes - n;
}

/* Of a head that was begun its first fields are known; snap lengths cut many there. */
static void salvage_head(struct h1 *h, int dir)
{
    struct h1_side *s = &h->side[dir];
    struct nu_piece none = {(const uint8_t *)"", 0};
    struct nu_h1_out out;
    if (s->in_body)
        return;
    nu_h1_eof(&s->parser, &out);
    if (!out.head)
        return;
    if (!out.head->authority.len)
        out.head->authority = nu_http_value(out.head, NU_HDR_HOST);
    h1_salvage(h, dir, out.head, &none);
}

static void cut_by_gap(struct h1 *h, int dir, uint64_t bytes, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    salvage_head(h, dir);
    struct tap_open *o = s->open;
    h1_leave(s, H1_SEARCH);
    if (!o) {
        s->skipped += s->count - s->begins - bytes;
        s->gone += bytes;
        return;
    }
    tap_note_add(&o->x.note, "gap of %lluB in the %s", (unsigned long long)bytes,
                 tap_side_str(dir));
    h1_over(h, o, dir, false, ns);
}

static void gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    struct h1 *h = (struct h1 *)layer;
    struct h1_side *s = &h->side[dir];
    s->count += bytes;
    if (s->at == H1_WITHIN && (bytes = gap_in_body(h, dir, bytes, ns)) == 0)
        return;
    if (s->at == H1_INNER) {
        tap_gap(h->inner, dir, bytes, ns);
        return;
    }
    h->lossy = true;
    if (s->at == H1_WITHIN)
        cut_by_gap(h, dir, bytes, ns);
    else if (s->at == H1_WAIT)
        s->wait_gap += bytes + s->wait_len;
    else {
        h1_be_at(s, H1_SEARCH);
        s->gone += bytes;
    }
    s->skipped += s->line_len;
    s->line_len = s->wait_len = 0;
    account(h);
}

/* --- ends --- */

static void end_within(struct h1 *h, int dir, enum nu_flow_end how, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    struct nu_piece none = {(const uint8_t *)"", 0};
    struct nu_h1_out out;
    bool whole = nu_h1_eof(&s->parser, &out) == NU_H1_END && how == NU_FLOW_FIN;
    if (!s->in_body && (s->open || out.head))
        h1_salvage(h, dir, out.head, &none);
    struct tap_open *o = s->open;
    h1_leave(s, H1_SEARCH);
    if (!o)
        return;
    if (!whole)
        tap_note_add(&o->x.note, "%s cut short: %s", tap_side_str(dir), tap_end_str(how));
    h1_over(h, o, dir, whole, ns);
}

static void end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    struct h1 *h = (struct h1 *)layer;
    struct h1_side *s = &h->side[dir];
    s->ended = true;
    s->how = how;
    if (s->at == H1_INNER)
        tap_end(h->inner, dir, how, ns);
    else if (s->at == H1_WITHIN)
        end_within(h, dir, how, ns);
    if (!h->side[!dir].ended)
        return;
    if (h->side[0].at == H1_WAIT && h->asks)
        h1_decide(h, false, ns);
    h1_tell_waiting(h);
    account(h);
}

static void shrink_all(struct nu_list *list)
{
    nu_list_each (it, list)
        tap_open_shrink(nu_container(it, struct tap_open, link));
}

/* Requests that wait for an answer are told but for the last one. */
static void shrink(struct tap_layer *layer)
{
    struct h1 *h = (struct h1 *)layer;
    shrink_all(&h->pending);
    shrink_all(&h->early);
    for (int dir = 0; dir < 2; dir++) {
        struct h1_side *s = &h->side[dir];
        if (s->open)
            tap_open_shrink(s->open);
        s->skipped += s->line_len;
        s->line_len = 0;
        free(s->line);
        s->line = NULL;
    }
    while (h->pendings > 1) {
        struct tap_open *o = nu_container(h->pending.next, struct tap_open, link);
        tap_note_add(&o->x.note, "no response yet: let go for want of memory");
        h1_tell(h, o);
        h->lossy = true;
    }
    tap_shrink(h->inner);
    account(h);
}

static void layer_free(struct tap_layer *layer)
{
    struct h1 *h = (struct h1 *)layer;
    h1_free_waiting(h);
    for (int dir = 0; dir < 2; dir++) {
        struct h1_side *s = &h->side[dir];
        nu_arena_free(s->arena);
        free(s->line);
        free(s->wait);
    }
    tap_layer_free(h->inner);
    tap_hold(h->layer.conn, -(int64_t)h->held);
    free(h);
}

struct tap_layer *h1_open(struct tap_conn *conn, unsigned depth)
{
    static const struct tap_layer_type type = {"http1", feed, gap, end, shrink, layer_free};
    struct h1 *h = calloc(1, sizeof *h);
    nu_assert(h != NULL);
    h->layer = (struct tap_layer){&type, conn, depth};
    nu_list_init(&h->pending);
    nu_list_init(&h->early);
    for (int dir = 0; dir < 2; dir++)
        if (!nu_flow_half(conn->flow, dir)->from_syn)
            h1_be_at(&h->side[dir], H1_SEARCH);
    account(h);
    return &h->layer;
}
