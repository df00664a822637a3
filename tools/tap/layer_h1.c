/* Reads HTTP/1 off both directions with the project's own strict parser. What that refuses is told
 * with its reason; behind it, and behind a gap, the next start line is looked for. Where an upgrade
 * or a tunnel was granted the layer hands on what follows. */
#include "tools/tap/h1_priv.h"

#include "core/assert.h"
#include "core/list.h"
#include "protocols/ws/handshake.h"
#include "tools/tap/layer_h2.h"
#include "tools/tap/layer_ws.h"

#include <stdlib.h>
#include <string.h>

/* Wider than what the proxy takes: servers differ, and an onlooker protects nobody. */
static const struct nu_h1_limits limits = {
    .head_bytes = 128 * 1024,
    .target_bytes = 32 * 1024,
    .fields = 500,
    .trailer_bytes = 32 * 1024,
};

typedef void step(struct h1 *h, int dir, struct nu_piece *in, int64_t ns);

const char *h1_at_str(enum h1_at at)
{
    static const char *const names[H1_ATS] = {"idle", "within", "search", "wait", "inner"};
    nu_assert((unsigned)at < H1_ATS);
    return names[at];
}

/* The only place that assigns it. */
static void go(struct h1_side *s, enum h1_at at)
{
    s->at = at;
}

static void skip(struct nu_piece *in, size_t len)
{
    *in = (struct nu_piece){in->data + len, in->len - len};
}

static void feed_some(struct h1 *h, int dir, struct nu_piece in, int64_t ns);

/* --- a message's events --- */

/* Bytes that belong to nothing came before it, and it may be the first since a gap. */
static void note_skipped(struct h1_side *s, struct tap_open *o)
{
    if (s->skipped)
        tap_note_add(&o->x.note, "%lluB before it were not understood",
                     (unsigned long long)s->skipped);
    s->skipped = 0;
}

static struct nu_arena *take_arena(struct h1_side *s)
{
    struct nu_arena *arena = s->arena;
    s->arena = NULL;
    return arena;
}

static void begin_times(struct h1_side *s, int dir, struct tap_open *o)
{
    s->open = o;
    o->x.message[dir].first_ns = s->first_ns;
    note_skipped(s, o);
}

static void leave(struct h1_side *s, enum h1_at at)
{
    nu_arena_free(s->arena);
    s->arena = NULL;
    s->open = NULL;
    s->begin = NULL;
    go(s, at);
}

static void on_request_head(struct h1 *h, struct nu_http_head *head)
{
    struct h1_side *s = &h->side[0];
    struct tap_open *o = h1_pair_request(h);
    begin_times(s, 0, o);
    tap_open_head(o, 0, take_arena(s), head);
    s->in_body = true;
}

/* The server speaks on, but no HTTP/1. */
static void on_granted(struct h1 *h, struct tap_open *o, const struct nu_http_head *head,
                       int64_t ns)
{
    struct tap_conn *conn = h->layer.conn;
    unsigned depth = h->layer.depth + 1;
    struct nu_ws_deflate deflate = nu_ws_deflate_of(head);
    bool ws = nu_ws_is_offered(head->upgrade), h2 = nu_text_is_fold(head->upgrade, "h2c");
    h->asks = NULL;
    leave(&h->side[1], H1_INNER);
    conn->exchange = o->x.number;
    if (h->side[0].open == o)
        h->side[0].open = NULL;
    if (h2) {
        tap_open_over(o, 0, o->x.message[0].head != NULL, ns);
        h->inner = tap_h2_upgraded(conn, depth, o);
    } else {
        h->inner =
            ws ? tap_ws_new(conn, depth, o->x.number, &deflate) : tap_guess_new(conn, depth, NULL);
        tap_open_over(o, 0, o->x.message[0].head != NULL, ns);
        tap_open_over(o, 1, true, ns);
        h1_tell(h, o);
    }
    h1_decide(h, true, ns);
}

static void on_response_head(struct h1 *h, struct nu_http_head *head, int64_t ns)
{
    struct h1_side *s = &h->side[1];
    struct tap_open *o = s->open;
    tap_open_head(o, 1, take_arena(s), head);
    s->in_body = true;
    if (head->body == NU_BODY_TUNNEL)
        on_granted(h, o, head, ns);
}

static void on_interim(struct h1 *h, const struct nu_http_head *head)
{
    struct tap_open *o = h->side[1].open;
    tap_open_interim(o, head->status);
    o->x.message[1].first_ns = 0;
}

/* Whether what follows depends on the answer. */
static bool asks(const struct tap_open *o)
{
    const struct nu_http_head *head = o->x.message[0].head;
    return head && (head->method_id == NU_METHOD_CONNECT || head->upgrade.len);
}

static void on_end(struct h1 *h, int dir, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    struct tap_open *o = s->open;
    bool wait = dir == 0 && asks(o) && !o->over[1] && h->side[1].at != H1_INNER;
    leave(s, wait ? H1_WAIT : H1_IDLE);
    if (wait)
        h->asks = o;
    h1_over(h, o, dir, true, ns);
}

/* A head that was refused, or cut: what is known of it. */
static void salvage(struct h1 *h, int dir, struct nu_http_head *head, const struct nu_piece *in)
{
    struct h1_side *s = &h->side[dir];
    if (!head) {
        head = nu_http_head_new(s->arena);
        if (s->begin)
            h1_read_refused(dir, head, s->begin, (size_t)(in->data + in->len - s->begin));
    }
    if (!s->open)
        begin_times(s, dir, h1_pair_request(h));
    tap_open_head(s->open, dir, take_arena(s), head);
}

static void on_error(struct h1 *h, int dir, const struct nu_h1_out *out, const struct nu_piece *in,
                     int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    struct tap_open *o;
    bool drop_line = !s->in_body && !out->head; /* the start line is still there */
    if (!s->in_body)
        salvage(h, dir, out->head, in);
    o = s->open;
    tap_note_add(&o->x.note, "%s refused: %s (%s)", tap_side_str(dir), nu_h1_error_str(out->error),
                 nu_h1_error_clause(out->error));
    leave(s, H1_SEARCH);
    s->drop_line = drop_line;
    h->unsure = true;
    h1_over(h, o, dir, false, ns);
}

/* --- the steps of a direction --- */

static void step_idle(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    while (in->len && (*in->data == '\r' || *in->data == '\n'))
        skip(in, 1);
    if (in->len == 0)
        return;
    s->begin = in->data;
    s->begins = s->count - in->len;
    s->first_ns = ns;
    s->in_body = s->drop_line = false;
    s->arena = nu_arena_new(NU_H1_ARENA_BYTES);
    nu_h1_init(&s->parser, &limits);
    if (dir == 0) {
        nu_h1_begin_request(&s->parser, s->arena);
    } else {
        struct tap_open *o = h1_pair_response(h);
        const struct nu_http_head *asked = o->x.message[0].head;
        enum nu_method method = asked ? (enum nu_method)asked->method_id : NU_METHOD_OTHER;
        begin_times(s, 1, o);
        nu_h1_begin_response(&s->parser, s->arena, method, !asked || asked->upgrade.len);
    }
    go(s, H1_WITHIN);
}

/* An answer to nobody knows what has no body, whatever its length says, when the next one begins
 * there: it was a HEAD's. */
static bool is_next_already(const struct h1_side *s, int dir, const struct nu_piece *in)
{
    const struct tap_open *o = s->open;
    return dir && s->in_body && o && !o->x.message[0].head && o->body[1].wire == 0 &&
           nu_h1_opaque(&s->parser) && h1_find_start(1, (const char *)in->data, in->len) == 0;
}

static enum nu_h1_event read_event(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    struct nu_slice slice = {in->data, in->len, NULL};
    struct nu_h1_out out;
    enum nu_h1_event event;
    if (s->open && s->open->x.message[dir].first_ns == 0 && in->len)
        s->open->x.message[dir].first_ns = ns;
    event = nu_h1_read(&s->parser, &slice, &out);
    *in = (struct nu_piece){slice.data, slice.len};
    if (event == NU_H1_DATA)
        tap_open_data(s->open, dir, (struct nu_piece){out.data.data, out.data.len});
    else if (event == NU_H1_INTERIM)
        on_interim(h, out.head);
    else if (event == NU_H1_HEAD && dir == 0)
        on_request_head(h, out.head);
    else if (event == NU_H1_HEAD)
        on_response_head(h, out.head, ns);
    else if (event == NU_H1_TRAIL)
        tap_open_trailers(s->open, dir, out.head);
    else if (event == NU_H1_END)
        on_end(h, dir, ns);
    else if (event == NU_H1_ERROR)
        on_error(h, dir, &out, in, ns);
    return event;
}

static void step_within(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    enum nu_h1_event event = NU_H1_DATA;
    while (s->at == H1_WITHIN && event != NU_H1_MORE) {
        if (in->len && is_next_already(s, dir, in)) {
            on_end(h, dir, ns);
            return;
        }
        event = read_event(h, dir, in, ns);
    }
}

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
    go(s, H1_IDLE);
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
            go(&h->side[1], H1_INNER);
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
    static step *const steps[H1_ATS] = {step_idle, step_within, step_search, step_wait, step_inner};
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
        leave(s, H1_INNER);
    else
        go(s, inner ? H1_INNER : gap ? H1_SEARCH : H1_IDLE);
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
    step_within(h, dir, &none, ns);
    return bytes - n;
}

static void cut_by_gap(struct h1 *h, int dir, uint64_t bytes, int64_t ns)
{
    struct h1_side *s = &h->side[dir];
    struct tap_open *o = s->open;
    leave(s, H1_SEARCH);
    if (!o)
        return;
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
    else
        go(s, H1_SEARCH);
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
        salvage(h, dir, out.head, &none);
    struct tap_open *o = s->open;
    leave(s, H1_SEARCH);
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

static void wake(struct tap_layer *layer, int64_t ns)
{
    tap_wake(((struct h1 *)layer)->inner, ns);
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
    static const struct tap_layer_type type = {"http1", feed, gap, end, wake, shrink, layer_free};
    struct h1 *h = calloc(1, sizeof *h);
    nu_assert(h != NULL);
    h->layer = (struct tap_layer){&type, conn, depth};
    nu_list_init(&h->pending);
    nu_list_init(&h->early);
    for (int dir = 0; dir < 2; dir++)
        if (!nu_flow_half(conn->flow, dir)->from_syn)
            go(&h->side[dir], H1_SEARCH);
    account(h);
    return &h->layer;
}
