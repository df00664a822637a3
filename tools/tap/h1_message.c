/* A message of HTTP/1, read with the project's own strict parser: what its events say of the
 * exchange, and what is told of one that the parser refuses. */
#include "tools/tap/h1_priv.h"

#include "core/arena.h"
#include "protocols/ws/handshake.h"
#include "tools/tap/layer_h2.h"
#include "tools/tap/layer_ws.h"

/* Wider than what the proxy takes: servers differ, and an onlooker protects nobody. */
static const struct nu_h1_limits limits = {
    .head_bytes = 128 * 1024,
    .target_bytes = 32 * 1024,
    .fields = 500,
    .trailer_bytes = 32 * 1024,
};

/* The only place that assigns it. */
void h1_be_at(struct h1_side *s, enum h1_at at)
{
    s->at = at;
}

static void skip(struct nu_piece *in, size_t len)
{
    *in = (struct nu_piece){in->data + len, in->len - len};
}

/* --- a message's events --- */

/* Bytes that belong to nothing came before it, and it may be the first since a gap. */
static void note_skipped(struct h1_side *s, struct tap_open *o)
{
    if (s->gone)
        tap_note_add(&o->x.note, "gap of %lluB before it", (unsigned long long)s->gone);
    if (s->skipped)
        tap_note_add(&o->x.note, "%lluB before it were not understood",
                     (unsigned long long)s->skipped);
    s->gone = s->skipped = 0;
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

void h1_leave(struct h1_side *s, enum h1_at at)
{
    nu_arena_free(s->arena);
    s->arena = NULL;
    s->open = NULL;
    s->begin = NULL;
    h1_be_at(s, at);
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
    bool ws = head->upgrade.len && nu_ws_is_offered(head->upgrade);
    bool h2 = head->upgrade.len && nu_text_is_fold(head->upgrade, "h2c");
    h->asks = NULL;
    h1_leave(&h->side[1], H1_INNER);
    conn->exchange = o->x.number;
    if (h->side[0].open == o)
        h->side[0].open = NULL;
    if (h2) {
        h1_unlist(h, o);
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
    h1_leave(s, wait ? H1_WAIT : H1_IDLE);
    if (wait)
        h->asks = o;
    h1_over(h, o, dir, true, ns);
}

/* A head that was refused, or cut: what is known of it. */
void h1_salvage(struct h1 *h, int dir, struct nu_http_head *head, const struct nu_piece *in)
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
        h1_salvage(h, dir, out->head, in);
    o = s->open;
    tap_note_add(&o->x.note, "%s refused: %s (%s)", tap_side_str(dir), nu_h1_error_str(out->error),
                 nu_h1_error_clause(out->error));
    h1_leave(s, H1_SEARCH);
    s->drop_line = drop_line;
    h->unsure = true;
    h1_over(h, o, dir, false, ns);
}

/* --- the steps of a direction that has a message --- */

void h1_step_idle(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
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
    h1_be_at(s, H1_WITHIN);
}

/* An answer to nobody knows what has no body, whatever its length says, when the next one begins
 * there: it was a HEAD's. */
static bool is_next_already(const struct h1_side *s, int dir, const struct nu_piece *in)
{
    const struct tap_open *o = s->open;
    return dir && s->in_body && o && !o->x.message[0].head && o->body[1].wire == 0 &&
           nu_h1_opaque(&s->parser) && h1_find_start(1, (const char *)in->data, in->len) == 0;
}

/* They are told with the exchange, when the bytes that they came in are gone. */
static void on_trailers(struct h1_side *s, int dir, struct nu_http_head *trailers)
{
    nu_http_head_keep(trailers);
    tap_open_trailers(s->open, dir, trailers);
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
        on_trailers(s, dir, out.head);
    else if (event == NU_H1_END)
        on_end(h, dir, ns);
    else if (event == NU_H1_ERROR)
        on_error(h, dir, &out, in, ns);
    return event;
}

void h1_step_within(struct h1 *h, int dir, struct nu_piece *in, int64_t ns)
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
