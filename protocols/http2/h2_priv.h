/* Inside of the HTTP/2 codec: h2.c has sessions and streams, h2_read.c what is received,
 * h2_write.c what is sent, h2_priority.c in which order,
 * h2_window.c how much may come. */
#ifndef NU_PROTOCOLS_HTTP2_H2_PRIV_H
#define NU_PROTOCOLS_HTTP2_H2_PRIV_H

#include "protocols/http2/h2.h"

#include <nghttp2/nghttp2.h>

/* Bytes that all grown windows of a connection may be above their first size: what a peer can make
 * us keep by taking fast and then not at all. */
#define H2_GROWTH_MAX (4u * 1024 * 1024)
/* Header bytes decoded of one block, in its limit's size, beyond which the connection ends: a block
 * has to be decoded to its end, and a byte of it can stand for kilobytes. */
#define H2_BOMB_FACTOR 8
#define H2_BOMB_LEAST  (128u * 1024)
/* Frames that wait in nghttp2 to be sent, such as RST_STREAM to a peer that does not read. */
#define H2_PENDING_MAX 2000

/* Streams that we reset, of which more may be under way; to older ones of a client nothing can be.
 */
#define H2_RESETS_KNOWN 128

/* Streams that are not begun and that PRIORITY_UPDATE has spoken of: who says much before it asks
 * is heard for the last. */
#define H2_UPDATED_KNOWN 8

/* Frames behind HEADERS: 128 KiB, twice the largest head that is allowed by default. */
#define H2_CONTINUATIONS_MAX 8

/* Of the PING behind the first GOAWAY, so that its ACK is not taken for another's. */
#define H2_DRAIN_PING "draining"
/* Of the one by which windows are measured. */
#define H2_MEASURE_PING "measures"

enum { H2_NEWS_SENT = 1, H2_NEWS_ROOM = 2, H2_NEWS_CUT = 4 };

struct nu_h2_said {
    struct nu_h2_said *next;
    const struct nu_http_head *head;
};

struct nu_h2 {
    nghttp2_session *session;
    const struct nu_h2_conf *conf;
    const struct nu_h2_handler *handler;
    void *ctx;
    struct nu_block_pool *pool;
    struct nu_list all, dirty, news;
    struct nu_list rests; /* streams that are answered and not heard, the oldest first */
    struct nu_slice in;   /* being read: what is received is a part of it */
    struct nu_block *out; /* being filled; NULL between writes */
    size_t out_len;       /* bytes in its tail that are not emitted */
    size_t emitted;       /* in this write */
    int64_t now_ms;
    size_t queued_before; /* frames that waited in nghttp2 when this one came */
    int32_t last_id;      /* of the last stream that the peer began */
    int32_t resets[H2_RESETS_KNOWN];
    uint32_t resets_at;
    int32_t updated[H2_UPDATED_KNOWN];
    uint32_t updated_at;
    uint32_t grown;                /* bytes that windows are above their first size */
    struct nu_h2_stream *measured; /* whose window is; NULL = none is */
    int64_t measure_ms;            /* when that began */
    uint64_t rtt_ms;               /* the last time; 1 at least */
    uint32_t active;
    uint32_t begun;               /* of a client: those of them that nghttp2 knows */
    struct nu_h2_stream *reading; /* whose block of fields is not complete; or NULL */
    struct nu_h2_fields fields;   /* of that */
    struct nu_h2_buckets buckets;
    uint32_t goaway_code;
    uint8_t continuations; /* of this block */
    uint8_t draining;      /* steps taken */
    bool client;           /* the streams are ours */
    bool secure;           /* and under TLS */
    bool gather;           /* bodies are copied, too */
    bool settled;          /* the peer's SETTINGS came */
    bool pinging;          /* a PING for a measure is under way */
    bool calm;             /* the peer is too much: it ends with ENHANCE_YOUR_CALM */
    bool broken;           /* nothing more is written */
    bool dead;             /* nothing more is read */
};

/* All of it was said and heard. What a request says behind its response is of no interest, unless
 * that opened a tunnel. */
static inline bool h2_is_whole(const struct nu_h2_stream *st)
{
    return st->said_all && (st->heard || !(st->h2->client || st->tunnel));
}

/* h2.c */
void h2_count(struct nu_h2 *h2, enum nu_h2_count what);
struct nu_h2_stream *h2_stream_new(struct nu_h2 *h2, int32_t id, struct nu_arena *arena);
void h2_stream_release(struct nu_h2_stream *st);
void h2_stream_tell(struct nu_h2_stream *st, uint8_t news);
void h2_stream_dirty(struct nu_h2_stream *st);
void h2_tell_news(struct nu_h2 *h2);
/* False: the connection ends with ENHANCE_YOUR_CALM. */
bool h2_allowed(struct nu_h2 *h2, enum nu_h2_flood what);

/* h2_read.c, h2_write.c: their callbacks. */
void h2_read_callbacks(nghttp2_session_callbacks *cbs);
void h2_write_callbacks(nghttp2_session_callbacks *cbs);
void h2_out_clear(struct nu_h2_stream *st);

/* h2_priority.c: of a stream whose request is there; of a frame, as nghttp2's callbacks answer. */
void h2_priority_set(const struct nu_h2_stream *st);
int h2_priority_update(struct nu_h2 *h2, const nghttp2_frame *frame);

/* h2_window.c: what was taken is given back; the ACK of its PING came; the stream goes. */
void h2_window_give(struct nu_h2_stream *st);
void h2_window_acked(struct nu_h2 *h2);
void h2_window_forget(struct nu_h2_stream *st);

/* h2_heads.c: heads as nghttp2 wants them. */
#define H2_NV_FEW 40 /* fields of most heads */
struct h2_nva {
    nghttp2_nv few[H2_NV_FEW], *at;
    size_t count;
};
void h2_nva_response(struct h2_nva *nva, struct nu_arena *arena, const struct nu_http_head *head);
void h2_nva_request(struct h2_nva *nva, const struct nu_h2_stream *st);
void h2_nva_trailers(struct h2_nva *nva, struct nu_arena *arena, const struct nu_http_head *head);
void h2_nva_end(struct h2_nva *nva);

#endif
