/* What is said and sent; see h2.h. First what users say, then what nghttp2 makes of it. */
#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http2/h2_priv.h"

#include <stdlib.h>
#include <string.h>

#define COPY_MAX 1024 /* bytes of a body that are copied behind their frame's head */

/* --- what users say --- */

void h2_stream_dirty(struct nu_h2_stream *st)
{
    if (!st->open || nu_list_linked(&st->dirty))
        return;
    nu_list_add_tail(&st->h2->dirty, &st->dirty);
    st->h2->handler->wake(st->h2->ctx);
}

static bool may_say(const struct nu_h2_stream *st)
{
    return st->open && !st->to_reset && !st->ended;
}

void nu_h2_say_interim(struct nu_h2_stream *st, const struct nu_http_head *head)
{
    struct nu_h2_said **at = &st->interims;
    if (!may_say(st) || st->ours)
        return;
    while (*at)
        at = &(*at)->next;
    *at = nu_arena_alloc(st->arena, sizeof **at);
    (*at)->head = head;
    h2_stream_dirty(st);
}

void nu_h2_say_head(struct nu_h2_stream *st, const struct nu_http_head *head)
{
    if (!may_say(st))
        return;
    nu_assert(!st->ours);
    st->ours = head;
    st->tunnel = head->body == NU_BODY_TUNNEL;
    h2_stream_dirty(st);
}

static void push(struct nu_h2_stream *st, struct nu_slice data)
{
    if (st->out_count == st->out_cap) {
        uint32_t cap = st->out_cap ? 2 * st->out_cap : 4;
        struct nu_slice *ring = malloc(cap * sizeof *ring);
        nu_assert(ring != NULL);
        for (uint32_t i = 0; i < st->out_count; i++)
            ring[i] = st->out[(st->out_first + i) % st->out_cap];
        free(st->out);
        st->out = ring;
        st->out_first = 0;
        st->out_cap = cap;
    }
    if (st->out_count > 0)
        nu_slice_keep(st->h2->pool, &data); /* it waits longer than this turn */
    st->out[(st->out_first + st->out_count++) % st->out_cap] = data;
    st->queued += (uint32_t)data.len;
}

bool nu_h2_say_data(struct nu_h2_stream *st, struct nu_slice data)
{
    if (!may_say(st) || data.len == 0) {
        nu_slice_drop(&data);
        return false;
    }
    push(st, data);
    st->full = st->full || st->queued >= NU_H2_QUEUE_HIGH;
    h2_stream_dirty(st);
    return st->full;
}

void nu_h2_say_trailers(struct nu_h2_stream *st, const struct nu_http_head *head)
{
    if (may_say(st))
        st->trailers = head;
}

void nu_h2_say_end(struct nu_h2_stream *st)
{
    if (!may_say(st))
        return;
    st->ended = st->said = true;
    h2_stream_dirty(st);
}

void nu_h2_say_reset(struct nu_h2_stream *st, enum nu_h2_code code)
{
    if (!st->open || st->to_reset)
        return;
    st->to_reset = true;
    st->reset_code = code;
    h2_stream_dirty(st);
}

void nu_h2_took(struct nu_h2_stream *st, size_t bytes)
{
    st->taken += (uint32_t)bytes;
    h2_stream_dirty(st);
}

/* --- what is queued --- */

static void pop(struct nu_h2_stream *st)
{
    nu_slice_drop(&st->out[st->out_first]);
    st->out_first = (st->out_first + 1) % st->out_cap;
    st->out_count--;
}

void h2_out_clear(struct nu_h2_stream *st)
{
    while (st->out_count > 0)
        pop(st);
    free(st->out);
    st->out = NULL;
    st->out_cap = st->out_first = st->queued = 0;
}

/* --- bytes for the peer --- */

static void emit_block(struct nu_h2 *h2)
{
    if (h2->out_len == 0)
        return;
    struct nu_slice bytes = nu_block_freeze(h2->out, h2->out_len);
    h2->emitted += h2->out_len;
    h2->out_len = 0;
    h2->handler->emit(h2->ctx, bytes);
}

static void put_block(struct nu_h2 *h2)
{
    emit_block(h2);
    if (h2->out)
        nu_block_unref(h2->out);
    h2->out = NULL;
}

/* For a small answer a small one, as many connections wait for one flush. */
static size_t block_for(const struct nu_h2 *h2, size_t len)
{
    if (len > NU_BLOCK_SMALL / 4)
        return NU_BLOCK_MEDIUM;
    return h2->emitted ? NU_BLOCK_SMALL : NU_BLOCK_TINY;
}

static void append(struct nu_h2 *h2, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        if (!h2->out)
            h2->out = nu_block_get(h2->pool, block_for(h2, len));
        size_t room = nu_block_room(h2->out) - h2->out_len, n = len < room ? len : room;
        memcpy(nu_block_tail(h2->out) + h2->out_len, bytes, n);
        h2->out_len += n;
        bytes += n;
        len -= n;
        if (n == room)
            put_block(h2);
    }
}

/* --- what nghttp2 is given --- */

static bool submit_trailers(struct nu_h2_stream *st)
{
    struct h2_nva nva;
    if (!st->trailers)
        return false;
    h2_nva_trailers(&nva, st->arena, st->trailers);
    bool any =
        nva.count > 0 && nghttp2_submit_trailer(st->h2->session, st->id, nva.at, nva.count) == 0;
    h2_nva_end(&nva);
    st->trailers = NULL;
    return any;
}

/* nghttp2 asks how much of a body it may send; the bytes themselves go past it (on_send_data). */
static ssize_t on_source(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
    struct nu_h2_stream *st = source->ptr;
    size_t n = len < st->queued ? len : st->queued;
    if (n == 0 && !st->ended) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == st->queued && st->ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (submit_trailers(st))
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)n;
}

static void submit_interims(struct nu_h2_stream *st)
{
    struct h2_nva nva;
    for (; st->interims; st->interims = st->interims->next) {
        h2_nva_response(&nva, st->arena, st->interims->head);
        nghttp2_submit_headers(st->h2->session, NGHTTP2_FLAG_NONE, st->id, NULL, nva.at, nva.count,
                               NULL);
        h2_nva_end(&nva);
    }
}

/* A request that never left. */
static void be_unsent(struct nu_h2_stream *st)
{
    st->open = false;
    st->by_peer = !st->to_reset;
    st->code = NU_H2_CODE_REFUSED_STREAM;
    h2_stream_tell(st, H2_NEWS_CUT);
}

static void submit_ours(struct nu_h2_stream *st)
{
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = on_source};
    bool alone = st->ended && st->queued == 0 && !st->trailers;
    struct h2_nva nva;
    st->submitted = true;
    if (st->h2->client) {
        st->h2->begun++;
        h2_nva_request(&nva, st);
        st->id = nghttp2_submit_request(st->h2->session, NULL, nva.at, nva.count,
                                        alone ? NULL : &body, st);
        if (st->id < 0)
            be_unsent(st);
    } else {
        h2_nva_response(&nva, st->arena, st->ours);
        nghttp2_submit_response(st->h2->session, st->id, nva.at, nva.count, alone ? NULL : &body);
    }
    h2_nva_end(&nva);
}

/* nghttp2 would have it wait for another to end; its user knows other connections. */
static bool is_one_too_many(const struct nu_h2 *h2)
{
    return h2->begun >= nghttp2_session_get_remote_settings(
                            h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

static void submit(struct nu_h2_stream *st)
{
    if (st->taken > 0)
        h2_window_give(st);
    if (st->h2->client && !st->submitted && (st->to_reset || is_one_too_many(st->h2))) {
        be_unsent(st);
        return;
    }
    if (st->to_reset) {
        h2_out_clear(st);
        nghttp2_submit_rst_stream(st->h2->session, NGHTTP2_FLAG_NONE, st->id, st->reset_code);
        return;
    }
    submit_interims(st);
    if (st->ours && !st->submitted) {
        submit_ours(st);
    } else if (st->deferred && (st->queued > 0 || st->ended)) {
        st->deferred = false;
        nghttp2_session_resume_data(st->h2->session, st->id);
    }
}

static void submit_all(struct nu_h2 *h2)
{
    struct nu_list *node;
    while ((node = nu_list_pop(&h2->dirty)))
        submit(nu_container(node, struct nu_h2_stream, dirty));
}

/* --- nghttp2's callbacks --- */

static void send_piece(struct nu_h2 *h2, struct nu_slice *from, size_t len)
{
    if (len <= COPY_MAX || h2->gather) {
        append(h2, from->data, len);
        from->data += len;
        from->len -= len;
        return;
    }
    emit_block(h2);
    h2->emitted += len;
    h2->handler->emit(h2->ctx, nu_slice_split(from, len));
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd,
                        size_t len, nghttp2_data_source *source, void *ctx)
{
    struct nu_h2 *h2 = ctx;
    struct nu_h2_stream *st = source->ptr;
    nu_assert(len <= st->queued);
    append(h2, framehd, 9);
    st->queued -= (uint32_t)len;
    st->moved_ms = h2->now_ms;
    while (len > 0) {
        struct nu_slice *first = &st->out[st->out_first];
        size_t n = len < first->len ? len : first->len;
        send_piece(h2, first, n);
        if (first->len == 0)
            pop(st);
        len -= n;
    }
    nu_h2_flood_allow(&h2->buckets, NU_H2_FLOOD_WINDOW, 2);
    nu_h2_flood_allow(&h2->buckets, NU_H2_FLOOD_PING, 1);
    if (st->full && st->queued <= NU_H2_QUEUE_HIGH / 2) {
        st->full = false;
        h2_stream_tell(st, H2_NEWS_ROOM);
    }
    return 0;
}

/* A response that is whole before its request is: the rest is not wanted, which is said when it
 * does not end by itself (RFC 9113 8.1). A request that is whole before its response is what one
 * expects.
 */
static void on_end_sent(struct nu_h2_stream *st)
{
    struct nu_h2 *h2 = st->h2;
    st->said_all = true;
    h2_stream_tell(st, H2_NEWS_SENT);
    if (st->heard || h2->client || st->tunnel)
        return;
    st->said_ms = h2->now_ms;
    nu_list_add_tail(&h2->rests, &st->rest);
}

/* Those that say that the peer broke a rule; the others are our own business. */
static bool is_provoked(uint32_t code)
{
    return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR ||
           code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_FRAME_SIZE_ERROR;
}

static void on_reset_sent(struct nu_h2 *h2, struct nu_h2_stream *st, const nghttp2_frame *frame)
{
    uint32_t code = frame->rst_stream.error_code;
    h2->resets[h2->resets_at++ % H2_RESETS_KNOWN] = frame->hd.stream_id;
    h2_count(h2, code == NGHTTP2_REFUSED_STREAM ? NU_H2_COUNT_REFUSED : NU_H2_COUNT_TX_RESET);
    if (!is_provoked(code) || (st && st->to_reset))
        return;
    if (st)
        st->by_peer = true;
    h2_allowed(h2, NU_H2_FLOOD_PROVOKED);
}

/* Behind the first of a drain comes a PING: once its ACK is here, so is all that was under way. */
static void on_goaway_sent(struct nu_h2 *h2, uint32_t code)
{
    h2->goaway_code = code;
    h2_count(h2, NU_H2_COUNT_TX_GOAWAY);
    if (h2->draining == 1)
        nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, (const uint8_t *)H2_DRAIN_PING);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct nu_h2 *h2 = ctx;
    uint8_t type = frame->hd.type;
    struct nu_h2_stream *st = NULL;
    if (frame->hd.stream_id)
        st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (type == NGHTTP2_RST_STREAM)
        on_reset_sent(h2, st, frame);
    else if (type == NGHTTP2_GOAWAY)
        on_goaway_sent(h2, frame->goaway.error_code);
    else if (st && (type == NGHTTP2_HEADERS || type == NGHTTP2_DATA) &&
             frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        on_end_sent(st);
    return 0;
}

/* GOAWAY came while it waited for its turn, or we gave it up meanwhile. nghttp2 never began it. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int why,
                             void *ctx)
{
    struct nu_h2 *h2 = ctx;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    nu_list_each (node, &h2->all) {
        struct nu_h2_stream *st = nu_container(node, struct nu_h2_stream, all);
        if (st->id == frame->hd.stream_id && st->open)
            be_unsent(st);
    }
    return 0;
}

void h2_write_callbacks(nghttp2_session_callbacks *cbs)
{
    nghttp2_session_callbacks_set_send_data_callback(cbs, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cbs, on_frame_not_send);
}

/* --- a write --- */

bool nu_h2_write(struct nu_h2 *h2, size_t budget, int64_t now_ms)
{
    const uint8_t *bytes;
    ssize_t n = 0;
    h2->now_ms = now_ms;
    h2->emitted = 0;
    submit_all(h2);
    while (h2->emitted + h2->out_len < budget &&
           (n = nghttp2_session_mem_send(h2->session, &bytes)) > 0)
        append(h2, bytes, (size_t)n);
    put_block(h2);
    bool more = n > 0;
    if (h2->calm && !h2->dead) {
        h2->dead = more = true;
        nu_h2_terminate(h2, NU_H2_CODE_ENHANCE_YOUR_CALM);
    }
    h2->broken = h2->broken || n < 0;
    h2_tell_news(h2);
    return more;
}
