/* What the filter `websocket` is made of, shared by websocket.c and alone.c. */
#ifndef NU_L7_WS_WEBSOCKET_PRIV_H
#define NU_L7_WS_WEBSOCKET_PRIV_H

#include "core/chain.h"
#include "l7/ws/conf.h"
#include "l7/ws/websocket.h"

/* What is to be said once the frame in progress is over: bits. */
enum { SAY_PING = 1, SAY_CLOSE = 2 };

struct websocket {
    struct nu_filter filter;
    const struct nu_ws_conf *conf;
    struct nu_ws_record *record; /* NULL: it has not opened; else: */
    struct nu_ws_record for_log;
    int64_t empty_us; /* when the bucket of messages would have been empty, on the loop's clock */
    int64_t heard_ms; /* from the client, at last */
    uint64_t ping;    /* payload of the PING that is not answered; 0 = none */
    uint16_t code;    /* of our Close; 0 = we have none to say */
    uint8_t say[2];   /* SAY_*, by the direction it goes */
    bool inside[2];   /* a frame is in progress */
    bool closed[2];   /* a Close has gone that way */
    bool over[2];     /* so has END */
    bool asked;       /* a PING is out, and the client has said nothing since */
    bool draining;
    bool forced; /* the closing handshake was long enough: FIN was said */
    bool alone;  /* bytes on both sides: the next two are its own */
    struct nu_ws_check check[2];
    struct nu_ws_cutter cutter[2];
    struct nu_slice early; /* came before the answer */
    const char *reason;    /* of our Close */
};

static inline struct websocket *ws_of(struct nu_filter *f)
{
    return (struct websocket *)f;
}

/* A piece of a frame, or a whole one, in its turn; takes ownership. */
void ws_on_msg(struct websocket *w, enum nu_dir dir, struct nu_ev *ev);
/* The client was heard. */
void ws_heard(struct websocket *w);
/* Whether a frame of the client's that begins with this piece, which was judged, is one too many.
 */
bool ws_is_too_fast(struct websocket *w, const struct nu_msg *msg);
/* So many messages, and bytes of payload, pass. */
void ws_count(struct websocket *w, enum nu_dir dir, unsigned messages, size_t bytes);
/* Whether a piece that was judged begins a message. */
static inline bool ws_begins_message(const struct nu_ws_check *check, const struct nu_msg *msg)
{
    return check->is_new && !nu_ws_is_control(msg->first);
}

/* Callbacks that both forms of the filter share. */
enum nu_open ws_open(struct nu_filter *f, const void *conf);
void ws_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev);
void ws_signal(struct nu_filter *f, enum nu_signal signal);
void ws_close(struct nu_filter *f);

#endif
