/* What reads a connection: layers, one within the other (a PROXY header, TLS, HTTP/1, WebSocket).
 *
 * A layer is given the bytes of both directions in order, with gaps where the capture has none, and
 * either hands plain bytes to a layer within or tells the sinks (event.h) what it understood. Which
 * layer reads is found by content: tap_guess_new() makes the layer that looks at the first bytes,
 * asks the recognizers and then steps aside. The outermost layer of a connection is always such a
 * guess; PROXY and TLS open another for what they carry. One thread. */
#ifndef NU_TOOLS_TAP_LAYER_H
#define NU_TOOLS_TAP_LAYER_H

#include "protocols/capture/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAP_GUESS_MAX 4096 /* bytes of a direction that recognizers see; nobody needs more */
#define TAP_GUESS_MIDDLE                                                                           \
    (40u * 1024) /* of one that was not seen to begin: two frames of HTTP/2                        \
                  */
/* Layers, one in the other: PROXY, TLS, HTTP/1 CONNECT, TLS, HTTP/1 to ws is honest. */
#define TAP_DEPTH_MAX 8

struct tap;
struct tap_layer;
struct tap_conn;
struct nu_unseals; /* TLS connections and the key log, tls/unseal.h */

/* `dir` is always 0 from client to server, 1 from server to client; times are ns since 1970. */
struct tap_layer_type {
    const char *name;
    /* Bytes; the layer's until it returns. */
    void (*feed)(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t time_ns);
    /* `bytes` are missing, here. The layer goes on behind them as well as it can. */
    void (*gap)(struct tap_layer *layer, int dir, uint64_t bytes, int64_t time_ns);
    /* Nothing more comes in `dir`: once, never before all bytes; NU_FLOW_OPEN where the capture
     * ended, or the connection was given up, before the direction did. What is unfinished is told
     * at the second one at the latest. */
    void (*end)(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t time_ns);
    /* Memory is short: lets go of all that it can do without (bodies, what waits for keys, requests
     * that will not be answered) and says so in its facts. NULL: holds next to nothing. */
    void (*shrink)(struct tap_layer *layer);
    /* After both ends. Frees the layers within, too. */
    void (*free)(struct tap_layer *layer);
};

/* First member of every layer. */
struct tap_layer {
    const struct tap_layer_type *type;
    struct tap_conn *conn;
    unsigned depth; /* of layers around it */
};

static inline void tap_feed(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t ns)
{
    layer->type->feed(layer, dir, bytes, ns);
}
static inline void tap_gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    layer->type->gap(layer, dir, bytes, ns);
}
static inline void tap_end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    layer->type->end(layer, dir, how, ns);
}
static inline void tap_shrink(struct tap_layer *layer)
{
    if (layer && layer->type->shrink)
        layer->type->shrink(layer);
}
/* NULL is fine. */
static inline void tap_layer_free(struct tap_layer *layer)
{
    if (layer)
        layer->type->free(layer);
}

/* Who waits beyond both ends, for keys: told when the connection is over, once, if it is linked. */
struct tap_late {
    struct nu_list node;
    void (*over)(struct tap_late *late, int64_t time_ns);
};

/* A connection of the capture, as the layers share it. */
struct tap_conn {
    struct tap *tap;
    struct nu_flow *flow; /* addresses (nu_flow_from), counts of trouble, `number`: the id */
    struct tap_layer *top;
    uint64_t bytes[2];     /* that TCP carried, gaps aside */
    uint64_t missing[2];   /* bytes of gaps */
    uint64_t exchanges;    /* numbers given out: ids are flow->number "." number, from 1 */
    uint64_t exchange;     /* of the request that opened what flows now (CONNECT, upgrade); or 0 */
    struct nu_addr source; /* of the PROXY header; kind NU_ADDR_NONE without one */
    bool tls;              /* TLS was seen; what is told within is told as such */
    bool told;             /* something but counts was shown of it */
    uint8_t alert;         /* TLS: the fatal one's code; 0 = none was read */
    uint8_t alert_by;      /* the direction that sent it */
    bool alert_late;       /* it came behind what was told of TLS */
    const char *unread[2]; /* TLS that was opened: why a direction stays closed, or from where on it
                            * does; NULL: it does not */
    struct nu_list late;   /* struct tap_late */
    size_t held;           /* bytes that its layers keep, see tap_hold */
    struct nu_list all;    /* of the tap; the one that was silent longest first */
};

/* Memory that a layer keeps has grown (or, negative, shrunk) by so much. Only this is counted
 * against --max-memory: tell all that grows with a connection's bytes, and the layer itself. When
 * all together are over the ceiling, the tap has layers shrink after the packet, silent ones first;
 * never within this call. */
void tap_hold(struct tap_conn *conn, int64_t bytes);

/* Bytes of each body (decoded) and message that outputs want kept for them (-vv, --curl, --follow,
 * HAR); 0 mostly. Ask anew for each message. */
size_t tap_body_room(const struct tap_conn *conn);
/* Bytes about to be decoded beyond what so many sent ones become: bombs, most of them. False: those
 * of the whole capture have had enough, and this one stops here. `*spent`: what it was given so
 * far; zeroed before. */
bool tap_may_decode(struct tap_conn *conn, uint64_t sent, uint64_t decoded, uint64_t *spent);
/* What all TLS connections share; never NULL. */
struct nu_unseals *tap_unseals(const struct tap_conn *conn);
/* Packets were cut by the capture: gaps are its doing, likely. */
bool tap_is_cut(const struct tap_conn *conn);
/* More secrets may still come: a live capture, a stream, a key log that grows. Else it is no use
 * to wait for them. */
bool tap_secrets_may_come(const struct tap_conn *conn);

/* --- recognition --- */

enum tap_found { TAP_NO, TAP_MORE, TAP_YES, TAP_TURNED /* yes, and the client is the other end */ };

/* What is known of a stream's beginning. A direction that begins with a gap, or in the middle, is
 * not `whole`: its first bytes can be anything. */
struct tap_start {
    struct nu_piece first[2]; /* up to TAP_GUESS_MAX of each, or TAP_GUESS_MIDDLE */
    bool whole[2];
    bool ended[2];
    bool may_turn;    /* nobody knows yet who is the client: TAP_TURNED is an answer */
    const char *alpn; /* that TLS agreed on, or NULL; a hint, no more */
};

/* A row: asked in order; the first yes wins. MORE holds up those below until TAP_GUESS_MAX bytes or
 * an end, then it counts as no. Must say NO as early as it can: raw is what is left. */
struct tap_recognizer {
    enum tap_found (*find)(const struct tap_start *start);
    /* The layer, at the stream's first byte (gaps are told as such). */
    struct tap_layer *(*open)(struct tap_conn *conn, unsigned depth);
};

/* A layer that finds out what it is given, then passes on all to that. `alpn` is copied, may be
 * NULL. Beyond TAP_DEPTH_MAX everything is raw. */
struct tap_layer *tap_guess_new(struct tap_conn *conn, unsigned depth, const char *alpn);

/* The rows of recognize.c, in its order; each with its layer in a file of its own. */
extern const struct tap_recognizer tap_is_proxy; /* layer_proxy.c */
extern const struct tap_recognizer tap_is_tls;   /* layer_tls.c */
extern const struct tap_recognizer tap_is_socks; /* layer_socks.c */
extern const struct tap_recognizer tap_is_h2;  /* layer_h2.c; also without a preface, mid-stream */
extern const struct tap_recognizer tap_is_h1;  /* layer_h1.c; also by a response alone */
extern const struct tap_recognizer tap_is_raw; /* raw.c; never says no */

/* From HTTP/1 on, where an upgrade was granted, the layer opens what follows itself: h2c by
 * layer_h2.h, WebSocket by layer_ws.h, a tunnel by tap_guess_new. */

#endif
