/* What is received; see h2.h. Callbacks of nghttp2, in the order of a stream's life. */
#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http/h1.h"
#include "protocols/http2/h2_priv.h"

#include <string.h>

/* --- heads and trailers --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct nu_h2 *h2 = ctx;
    int32_t id = frame->hd.stream_id;
    struct nu_h2_stream *st = nghttp2_session_get_stream_user_data(session, id);
    bool of_rest = st && nu_list_linked(&st->rest);
    if (of_rest || (h2->client && (!st || st->error || st->to_reset)))
        return 0; /* nobody waits for it: a head each would be memory for nothing */
    if (!st) {
        st = h2_stream_new(h2, id, nu_arena_new_in(nu_block_get(h2->pool, NU_BLOCK_TINY)));
        nghttp2_session_set_stream_user_data(session, id, st);
        h2->last_id = id;
    }
    struct nu_http_head *head = nu_http_head_new(st->arena);
    head->method_id = st->method_id;
    if (!st->final)
        st->head = head;
    nu_h2_fields_begin(&h2->fields,
                       st->final    ? NU_H2_TRAILERS
                       : h2->client ? NU_H2_RESPONSE
                                    : NU_H2_REQUEST,
                       head, &h2->conf->limits);
    h2->fields.tunnel = h2->client && st->asks;
    h2->reading = st;
    return 0;
}

/* A few bytes may stand for many (HPACK), and all have to be decoded. */
static bool is_bomb(const struct nu_h2 *h2)
{
    uint64_t most = (uint64_t)h2->conf->limits.head_bytes * H2_BOMB_FACTOR;
    return h2->fields.bytes > (most > H2_BOMB_LEAST ? most : H2_BOMB_LEAST);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *ctx)
{
    struct nu_h2 *h2 = ctx;
    if (!h2->reading)
        return 0;
    if (name_len == 0)
        h2_count(h2, NU_H2_COUNT_NO_NAME);
    nu_h2_fields_add(&h2->fields, nu_text((const char *)name, name_len),
                     nu_text((const char *)value, value_len));
    if (!is_bomb(h2))
        return 0;
    h2_count(h2, NU_H2_COUNT_BOMB);
    h2->calm = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void reset_for(struct nu_h2_stream *st)
{
    h2_count(st->h2, NU_H2_COUNT_RX_MESSAGING_ERROR);
    if (!st->h2->client) /* which has a stream for each of its own requests only */
        h2_allowed(st->h2, NU_H2_FLOOD_PROVOKED);
    st->by_peer = true;
    nu_h2_say_reset(st, NU_H2_CODE_PROTOCOL_ERROR);
}

static void on_error(struct nu_h2_stream *st, enum nu_h2_error error)
{
    st->error = (uint8_t)error;
    if (error == NU_H2_HEAD_LARGE || error == NU_H2_FIELDS_MANY)
        h2_count(st->h2, NU_H2_COUNT_HEADER_OVERFLOW);
    if (st->h2->client || nu_h2_error_status(error) == 0)
        reset_for(st);
}

/* Of a rest that nobody wants it does not matter: curl ends a body short where its answer came. */
static void bad(struct nu_h2_stream *st, enum nu_h2_error error)
{
    if (st->error || nu_list_linked(&st->rest))
        return;
    on_error(st, error);
    if (st->user)
        st->h2->handler->bad(st->h2->ctx, st);
}

static void hear_end(struct nu_h2_stream *st)
{
    if (st->heard || st->error || st->to_reset)
        return;
    if (!st->final || (st->has_length && st->received != st->length)) {
        bad(st, st->final ? NU_H2_LENGTH_DIFFERS : NU_H2_DATA_EARLY);
        return;
    }
    st->heard = true;
    if (st->user)
        st->h2->handler->end(st->h2->ctx, st);
}

/* To what was asked for; an upgrade is granted by 101 in HTTP/1, and so it goes on. */
static void be_tunnel(struct nu_h2_stream *st)
{
    struct nu_http_head *head = st->head;
    st->tunnel = true;
    if (st->ours->upgrade.len == 0)
        return;
    head->status = 101;
    head->reason = NU_TEXT("Switching Protocols");
    head->upgrade = st->ours->upgrade;
}

/* How long what follows has to be, if that is known. */
static void be_final(struct nu_h2_stream *st)
{
    const struct nu_http_head *head = st->head;
    bool never = head->method_id == NU_METHOD_HEAD || head->status == 204 || head->status == 304;
    st->final = true;
    if (head->body == NU_BODY_TUNNEL) {
        be_tunnel(st);
        return;
    }
    st->has_length = head->has_length;
    st->length = head->content_length;
    if (st->h2->client && never) {
        st->has_length = true;
        st->length = 0;
    }
}

static void request_over(struct nu_h2_stream *st, bool last)
{
    struct nu_h2 *h2 = st->h2;
    enum nu_h2_error error = nu_h2_fields_end(&h2->fields, last);
    st->taken_by_user = true;
    st->asks = nu_h2_asks_tunnel(st->head);
    be_final(st);
    h2_priority_set(st);
    if (error)
        on_error(st, error);
    h2->handler->head(h2->ctx, st);
    if (!st->user)
        nu_h2_let_go(st);
    else if (last)
        hear_end(st);
}

static enum nu_h2_error judge_interim(struct nu_h2_stream *st, bool last)
{
    if (last)
        return NU_H2_INTERIM_LAST;
    return ++st->interims_heard > NU_H1_INTERIM_MAX ? NU_H2_INTERIM_MANY : NU_H2_FINE;
}

static void response_over(struct nu_h2_stream *st, bool last)
{
    struct nu_h2 *h2 = st->h2;
    enum nu_h2_error error = nu_h2_fields_end(&h2->fields, last);
    bool interim = !error && st->head->status < 200;
    if (interim)
        error = judge_interim(st, last);
    if (error) {
        bad(st, error);
    } else if (interim) {
        h2->handler->interim(h2->ctx, st, st->head);
    } else {
        be_final(st);
        h2->handler->head(h2->ctx, st);
        if (last)
            hear_end(st);
    }
}

static void trailers_over(struct nu_h2_stream *st, bool last)
{
    struct nu_h2 *h2 = st->h2;
    struct nu_http_head *trail = h2->fields.head;
    enum nu_h2_error error = nu_h2_fields_end(&h2->fields, last);
    if (h2->client ? st->tunnel : st->asks)
        error = NU_H2_TUNNEL_HEADERS;
    h2_count(h2, NU_H2_COUNT_TRAILERS);
    if (error) {
        bad(st, error);
        return;
    }
    if (st->user && !st->error && !st->to_reset && trail->count > 0)
        h2->handler->trail(h2->ctx, st, trail);
    hear_end(st);
}

/* --- frames --- */

static int allowed(struct nu_h2 *h2, enum nu_h2_flood what)
{
    return h2_allowed(h2, what) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* A stream that was never begun, below one that was (RFC 9113 5.1.1). nghttp2 cannot tell it from
 * one that is over, of which something may still come if it was us who reset it. */
static bool is_skipped(const struct nu_h2 *h2, int32_t id)
{
    if (h2->client || id == 0 || id > h2->last_id ||
        nghttp2_session_get_stream_user_data(h2->session, id))
        return false;
    for (size_t i = 0; i < H2_RESETS_KNOWN; i++)
        if (h2->resets[i] == id)
            return false;
    return true;
}

/* CVE-2024-27316: each has to be decoded, and none needs to say anything. */
static int on_continuation(struct nu_h2 *h2)
{
    if (++h2->continuations <= H2_CONTINUATIONS_MAX)
        return 0;
    h2->calm = true;
    h2_count(h2, NU_H2_COUNT_CONTINUATION);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* What comes before anything else is known of a frame; nghttp2 ignores some in silence. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *ctx)
{
    static const uint8_t floods[] = {
        [NGHTTP2_PRIORITY] = NU_H2_FLOOD_PRIORITY + 1,
        [NGHTTP2_SETTINGS] = NU_H2_FLOOD_SETTINGS + 1,
        [NGHTTP2_PING] = NU_H2_FLOOD_PING + 1,
        [NGHTTP2_WINDOW_UPDATE] = NU_H2_FLOOD_WINDOW + 1,
        [NGHTTP2_PRIORITY_UPDATE] = NU_H2_FLOOD_PRIORITY + 1,
    };
    struct nu_h2 *h2 = ctx;
    if (hd->type == NGHTTP2_CONTINUATION)
        return on_continuation(h2);
    h2->continuations = 0;
    h2->queued_before = nghttp2_session_get_outbound_queue_size(session);
    if ((hd->type == NGHTTP2_PUSH_PROMISE && h2->client) ||
        (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0) ||
        (hd->type == NGHTTP2_HEADERS && is_skipped(h2, hd->stream_id)))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (hd->type >= sizeof floods)
        return allowed(h2, NU_H2_FLOOD_UNKNOWN);
    return floods[hd->type] ? allowed(h2, (enum nu_h2_flood)(floods[hd->type] - 1)) : 0;
}

static int on_headers(struct nu_h2 *h2, const nghttp2_frame *frame)
{
    struct nu_h2_stream *st = h2->reading;
    bool last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    h2->reading = NULL;
    if (st && st->final)
        trailers_over(st, last);
    else if (st && h2->client)
        response_over(st, last);
    else if (st)
        request_over(st, last);
    return 0;
}

static int on_data_frame(struct nu_h2 *h2, const nghttp2_frame *frame)
{
    struct nu_h2_stream *st =
        nghttp2_session_get_stream_user_data(h2->session, frame->hd.stream_id);
    bool last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (!last && frame->hd.length <= frame->data.padlen && allowed(h2, NU_H2_FLOOD_EMPTY))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (st && last)
        hear_end(st);
    return 0;
}

static int on_reset(struct nu_h2 *h2, const nghttp2_frame *frame)
{
    struct nu_h2_stream *st =
        nghttp2_session_get_stream_user_data(h2->session, frame->hd.stream_id);
    h2_count(h2, NU_H2_COUNT_RX_RESET);
    if (st)
        st->by_peer = true;
    return h2->client && st ? 0 : allowed(h2, NU_H2_FLOOD_RESET);
}

/* A change that lets a window overflow ends the connection (RFC 9113 6.9.2); nghttp2 resets the
 * streams, which is seen by what it has to send besides the ACK. */
static int on_settings(struct nu_h2 *h2, const nghttp2_frame *frame)
{
    bool ack = frame->hd.flags & NGHTTP2_FLAG_ACK;
    if (!ack && nghttp2_session_get_outbound_queue_size(h2->session) > h2->queued_before + 1)
        nu_h2_terminate(h2, NU_H2_CODE_FLOW_CONTROL_ERROR);
    h2->settled = h2->settled || !ack;
    if (!ack && h2->client)
        h2->handler->settings(h2->ctx);
    return 0;
}

static int on_goaway(struct nu_h2 *h2)
{
    if (h2->client)
        h2->handler->goaway(h2->ctx);
    return 0;
}

static bool is_ack_of(const nghttp2_frame *frame, const char *ping)
{
    return frame->hd.flags & NGHTTP2_FLAG_ACK &&
           memcmp(frame->ping.opaque_data, ping, sizeof frame->ping.opaque_data) == 0;
}

static int on_ping(struct nu_h2 *h2, const nghttp2_frame *frame)
{
    if (h2->draining && is_ack_of(frame, H2_DRAIN_PING))
        nu_h2_drain_now(h2);
    else if (h2->pinging && is_ack_of(frame, H2_MEASURE_PING))
        h2_window_acked(h2);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct nu_h2 *h2 = ctx;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        return on_headers(h2, frame);
    case NGHTTP2_DATA:
        return on_data_frame(h2, frame);
    case NGHTTP2_RST_STREAM:
        return on_reset(h2, frame);
    case NGHTTP2_PING:
        return on_ping(h2, frame);
    case NGHTTP2_SETTINGS:
        return on_settings(h2, frame);
    case NGHTTP2_GOAWAY:
        return on_goaway(h2);
    case NGHTTP2_PRIORITY_UPDATE:
        return h2_priority_update(h2, frame);
    default:
        return 0;
    }
}

/* Frames that nobody knows are counted when they begin, and thrown away. */
static int on_extension_chunk(nghttp2_session *session, const nghttp2_frame_hd *hd,
                              const uint8_t *data, size_t len, void *ctx)
{
    return 0;
}

static int on_extension(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd,
                        void *ctx)
{
    return NGHTTP2_ERR_CANCEL;
}

/* A share in what is being read. */
static struct nu_slice part_of_input(struct nu_h2 *h2, const uint8_t *data, size_t len)
{
    if (!h2->in.block || data < h2->in.data || data + len > h2->in.data + h2->in.len)
        return nu_slice_copy(h2->pool, data, len);
    h2->in.block->refs++;
    return (struct nu_slice){data, len, h2->in.block};
}

static bool is_too_much(struct nu_h2_stream *st)
{
    uint64_t most = st->h2->conf->limits.body_bytes;
    if (!st->final)
        bad(st, NU_H2_DATA_EARLY);
    else if (st->has_length && st->received > st->length)
        bad(st, NU_H2_LENGTH_DIFFERS);
    else if (most && st->received > most)
        bad(st, NU_H2_BODY_LARGE);
    return st->error != 0;
}

/* The connection's window is given back at once, so that no stream waits for another; the stream's
 * own when its user took the bytes. */
static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *ctx)
{
    struct nu_h2 *h2 = ctx;
    struct nu_h2_stream *st = nghttp2_session_get_stream_user_data(session, id);
    nghttp2_session_consume_connection(session, len);
    if (!st)
        return 0;
    st->received += len;
    st->moved_ms = h2->now_ms;
    if (!st->error && !st->to_reset && !is_too_much(st) && st->user)
        h2->handler->data(h2->ctx, st, part_of_input(h2, data, len));
    else if (!nu_list_linked(&st->rest)) /* a rest that is not wanted is let come, not asked for */
        nghttp2_session_consume_stream(session, id, len);
    return 0;
}

/* curl 7.88 goes to sleep when it ends a body short, and does not see by itself that all is said: a
 * PING wakes it, whose ACK is no flood. */
static void end_rest(struct nu_h2_stream *st)
{
    nu_list_del(&st->rest);
    if (st->has_length && st->received == st->length)
        return;
    nu_h2_flood_allow(&st->h2->buckets, NU_H2_FLOOD_PING, 1);
    nu_h2_ping(st->h2);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
    struct nu_h2 *h2 = ctx;
    struct nu_h2_stream *st = nghttp2_session_get_stream_user_data(session, id);
    if (!st)
        return 0;
    if (h2->reading == st)
        h2->reading = NULL;
    if (nu_list_linked(&st->rest) && code == NGHTTP2_NO_ERROR)
        end_rest(st);
    st->open = false;
    st->code = code;
    h2_stream_tell(st, h2_is_whole(st) ? 0 : H2_NEWS_CUT);
    return 0;
}

void h2_read_callbacks(nghttp2_session_callbacks *cbs)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(cbs, on_begin_frame);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(cbs, on_extension_chunk);
    nghttp2_session_callbacks_set_unpack_extension_callback(cbs, on_extension);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
}

/* --- bytes --- */

static enum nu_err stop_reading(struct nu_h2 *h2, ssize_t result)
{
    bool flooded = h2->calm || result == NGHTTP2_ERR_FLOODED ||
                   result == NGHTTP2_ERR_TOO_MANY_SETTINGS ||
                   result == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
    h2->dead = true;
    if (result == NGHTTP2_ERR_FLOODED) /* ACKs */
        h2_count(h2, NU_H2_COUNT_OUTBOUND_FLOOD);
    nu_h2_terminate(h2, flooded                       ? NU_H2_CODE_ENHANCE_YOUR_CALM
                        : result == NGHTTP2_ERR_NOMEM ? NU_H2_CODE_INTERNAL_ERROR
                                                      : NU_H2_CODE_PROTOCOL_ERROR);
    return flooded ? NU_ERR_LIMIT : NU_ERR_SYNTAX;
}

enum nu_err nu_h2_read(struct nu_h2 *h2, struct nu_slice in, int64_t now_ms)
{
    enum nu_err err = NU_OK;
    h2->now_ms = now_ms;
    if (!h2->dead) {
        h2->in = in;
        ssize_t n = nghttp2_session_mem_recv(h2->session, in.data, in.len);
        h2->in = (struct nu_slice){0};
        if (!h2->calm && nghttp2_session_get_outbound_queue_size(h2->session) > H2_PENDING_MAX) {
            h2->calm = true;
            h2_count(h2, NU_H2_COUNT_OUTBOUND_FLOOD);
        }
        if (n < 0 || h2->calm)
            err = stop_reading(h2, n);
        h2_tell_news(h2);
    }
    nu_slice_drop(&in);
    return err;
}
