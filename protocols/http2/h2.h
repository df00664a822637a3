/* HTTP/2 (RFC 9113) over nghttp2: received bytes in, events out; what is to be said in, bytes out.
 * No socket, no clock, one thread per connection.
 *
 * Frames, HPACK, flow control and the states of streams are nghttp2's. What it does not stop is
 * counted here (floods, sizes of heads), and so are the rules of messages (h2_fields.h): nghttp2's
 * own checks of them are off.
 *
 * Nothing that is said goes to nghttp2 at once: it waits in its stream until nu_h2_write, so that
 * no call here re-enters it from one of its callbacks (R6). Handlers are called from nu_h2_read and
 * nu_h2_write only, and may call everything but these two and nu_h2_free. */
#ifndef NU_PROTOCOLS_HTTP2_H2_H
#define NU_PROTOCOLS_HTTP2_H2_H

#include "core/block.h"
#include "core/list.h"
#include "protocols/http/h2_fields.h"
#include "protocols/http2/flood.h"

struct nu_h2;
struct nu_h2_said;

#define NU_H2_PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define NU_H2_PREFACE_LEN 24

/* Whether these first bytes of a connection begin HTTP/2: NU_OK yes, NU_NOT_THIS, NU_MORE. */
enum nu_err nu_h2_is_preface(const void *bytes, size_t len);

#define NU_H2_QUEUE_HIGH                                                                           \
    (64u * 1024) /* bytes unsent of a stream at which its sender is held (B4) */

/* Milliseconds for which the rest of a request is read and thrown away, behind its response: it may
 * be on its way, and clients take an RST_STREAM that they read together with the response for its
 * failure (curl 7.88). As long as HTTP/1 lingers. */
#define NU_H2_REST_MS 1000

struct nu_h2_conf {
    struct nu_h2_limits limits;
    uint32_t streams;       /* at once */
    uint32_t stream_window; /* bytes that a stream may be ahead of who takes them, at first */
    uint32_t window_max;    /* to which it grows, as fast and long ways need it */
    uint32_t conn_window;   /* bytes of all streams on the way at once */
};

/* A stream: one request and its response, of which one is heard and the other said. Memory: the
 * arena's, which is the request's head's too; the codec and its user each hold it. */
struct nu_h2_stream {
    int32_t id;
    struct nu_arena *arena;
    struct nu_http_head *head; /* heard; complete from `head` on */
    void *user;
    uint32_t queued;  /* bytes to be sent */
    int64_t moved_ms; /* when bytes of its body last moved, either way; as told by the caller */
    uint32_t code;    /* of the RST_STREAM that ended it */
    uint8_t error;    /* enum nu_h2_error: what the peer did wrong */
    bool open;        /* nghttp2 knows it */
    bool by_peer;     /* the peer ended it, or broke the rules */
    bool heard;       /* the peer's message is whole */
    bool said;        /* ours is whole, and on its way */
    bool said_all;    /* and all of it is on the wire */
    bool tunnel;      /* opened: no messages flow, and each half ends by itself */

    /* --- the codec's own --- */
    struct nu_h2 *h2;
    struct nu_list all, dirty, news_link;
    struct nu_list rest;                        /* among those whose rest is not wanted */
    int64_t said_ms;                            /* since then */
    struct nu_h2_said *interims;                /* to be sent */
    const struct nu_http_head *ours, *trailers; /* of our message */
    struct nu_slice *out;                       /* ring of what is to be sent */
    uint32_t out_first, out_count, out_cap;
    uint64_t length;   /* of the body that is heard, if has_length */
    uint64_t received; /* bytes of it */
    uint32_t taken;    /* bytes to give back to the peer's window */
    uint32_t window;   /* its size */
    uint32_t sample;   /* bytes taken since its window was measured, or while it is */
    uint32_t reset_code;
    uint8_t news; /* what the user is to hear */
    uint8_t method_id, interims_heard;
    uint8_t steady; /* measures that found its window large enough, one after the other */
    bool has_length;
    bool asks;      /* the request is for a tunnel */
    bool final;     /* the head of the peer's message was heard */
    bool ended;     /* nothing will be added to what is to be sent */
    bool submitted; /* nghttp2 has our head */
    bool deferred;  /* nghttp2 waits for more of its body */
    bool to_reset;  /* by us */
    bool full;      /* the user was told to hold */
    bool held, taken_by_user;
};

/* What happens; `ctx` is nu_h2_new's. Borrowed for the codec's life. None may be NULL, but for
 * those that only clients have. */
struct nu_h2_handler {
    /* A request's head is whole: st->head. With an error (st->error) that has a status it is to be
     * answered with that; with another the stream is already reset, and this is for the log. The
     * user takes the stream by setting st->user, and lets go by nu_h2_let_go; or does neither.
     * To a client: the final head of the response, without an error. */
    void (*head)(void *ctx, struct nu_h2_stream *st);
    void (*data)(void *ctx, struct nu_h2_stream *st, struct nu_slice data); /* takes its share */
    void (*trail)(void *ctx, struct nu_h2_stream *st, struct nu_http_head *head);
    void (*end)(void *ctx, struct nu_h2_stream *st);
    /* After its head the request broke the rules (st->error): as with `head`. */
    void (*bad)(void *ctx, struct nu_h2_stream *st);
    /* Less than half of NU_H2_QUEUE_HIGH is left to be sent, after it was more. */
    void (*room)(void *ctx, struct nu_h2_stream *st);
    /* All of our message is on the wire. */
    void (*sent)(void *ctx, struct nu_h2_stream *st);
    /* The stream is over before both messages are, a client's own (to a server: before the response
     * is said): st->by_peer, code, error. REFUSED_STREAM: nobody has looked at the request. */
    void (*cut)(void *ctx, struct nu_h2_stream *st);
    /* The user said something: nu_h2_write is to be called, later. */
    void (*wake)(void *ctx);
    /* Bytes for the peer. */
    void (*emit)(void *ctx, struct nu_slice bytes);
    /* For stats. */
    void (*count)(void *ctx, enum nu_h2_count what);
    /* Clients: a 1xx head. */
    void (*interim)(void *ctx, struct nu_h2_stream *st, struct nu_http_head *head);
    /* Clients: the peer takes no more streams. */
    void (*goaway)(void *ctx);
    /* Clients: SETTINGS came. */
    void (*settings)(void *ctx);
};

/* The server's side of a connection; says its SETTINGS. `conf` and the pool are borrowed. */
struct nu_h2 *nu_h2_server_new(const struct nu_h2_conf *conf, const struct nu_h2_handler *handler,
                               void *ctx, struct nu_block_pool *pool);
/* The client's side: streams are begun by nu_h2_ask. Of `conf`, `streams` is how many there may be
 * at once where the peer allows more; `secure`: :scheme is https. */
struct nu_h2 *nu_h2_client_new(const struct nu_h2_conf *conf, const struct nu_h2_handler *handler,
                               void *ctx, struct nu_block_pool *pool, bool secure);
/* Begins a stream for the user: takes the share in the arena, in which the request's head lives.
 * Say its body, trailers and end as those of a response. Never NULL. */
struct nu_h2_stream *nu_h2_ask(struct nu_h2 *h2, struct nu_arena *arena,
                               const struct nu_http_head *request, void *user);
/* Clients: how many streams more the peer takes now. */
unsigned nu_h2_room(const struct nu_h2 *h2);
/* Clients: whether the peer takes extended CONNECT (RFC 8441 3): NU_OK, NU_NOT_THIS; NU_MORE: it
 * has not said anything yet, `settings` will be called. */
enum nu_err nu_h2_may_upgrade(const struct nu_h2 *h2);
/* Asks for a sign of life. */
void nu_h2_ping(struct nu_h2 *h2);
/* When nu_h2_expire is to be called, for a client that goes on with a request that was answered; 0
 * = never. */
int64_t nu_h2_due(const struct nu_h2 *h2);
void nu_h2_expire(struct nu_h2 *h2, int64_t now_ms);
/* What is emitted comes in few large pieces from now on: for a receiver to whom each costs more
 * than a copy, as TLS does, which makes records of them. */
void nu_h2_gather(struct nu_h2 *h2);
/* Streams still held by users go on without it; what they say is lost. */
void nu_h2_free(struct nu_h2 *h2);

/* Takes all of `in`. NU_ERR_SYNTAX, NU_ERR_LIMIT: the peer broke the protocol or was too much;
 * nothing more can be read. GOAWAY says so with the next write. */
enum nu_err nu_h2_read(struct nu_h2 *h2, struct nu_slice in, int64_t now_ms);
/* Emits what there is to be sent now, of about `budget` bytes; true: there is more. */
bool nu_h2_write(struct nu_h2 *h2, size_t budget, int64_t now_ms);
/* False: the connection has nothing more to read or write. */
bool nu_h2_is_alive(const struct nu_h2 *h2);
/* What the last GOAWAY that was sent said, NO_ERROR where there was none. */
uint32_t nu_h2_goaway_code(const struct nu_h2 *h2);
/* A block of header fields has begun and is not complete. */
bool nu_h2_in_head(const struct nu_h2 *h2);
/* Streams that were begun and are not over. */
unsigned nu_h2_active(const struct nu_h2 *h2);

/* GOAWAY, twice: the first says that one will come, for streams that are on their way meanwhile;
 * the second names the last stream that is served (RFC 9113 6.8). */
void nu_h2_drain(struct nu_h2 *h2);
void nu_h2_drain_now(struct nu_h2 *h2);
/* GOAWAY, and the end of all streams. */
void nu_h2_terminate(struct nu_h2 *h2, enum nu_h2_code code);

/* --- a stream's user --- */

/* Our message, of a server: INTERIM heads, the head, its body, trailers. Heads live as long as the
 * stream's arena. After `cut` all of these do nothing. A head that opens a tunnel is 101 for an
 * upgrade, here and in `head`, though on the wire it is 200. */
void nu_h2_say_interim(struct nu_h2_stream *st, const struct nu_http_head *head);
void nu_h2_say_head(struct nu_h2_stream *st, const struct nu_http_head *head);
/* Takes the share. True: it is enough for now; `room` will be called. */
bool nu_h2_say_data(struct nu_h2_stream *st, struct nu_slice data);
void nu_h2_say_trailers(struct nu_h2_stream *st, const struct nu_http_head *head);
void nu_h2_say_end(struct nu_h2_stream *st);
/* RST_STREAM; what waits is thrown away. */
void nu_h2_say_reset(struct nu_h2_stream *st, enum nu_h2_code code);
/* So many bytes of `data` were taken: the peer may send as many more. */
void nu_h2_took(struct nu_h2_stream *st, size_t bytes);
/* The user has no more to do with it, and its arena's memory is the codec's alone. What was not
 * sent by now is not: the stream is reset. */
void nu_h2_let_go(struct nu_h2_stream *st);

#endif
