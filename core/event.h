/* What flows through a chain. An event has one owner: whoever holds the pointer forwards, keeps or
 * frees it. */
#ifndef NU_CORE_EVENT_H
#define NU_CORE_EVENT_H

#include "core/block.h"
#include "core/cause.h"

#include <stdbool.h>

/* FWD is client to server, REV is server to client. */
enum nu_dir { NU_FWD, NU_REV };
const char *nu_dir_str(enum nu_dir dir);
static inline enum nu_dir nu_opposite(enum nu_dir dir)
{
    return dir == NU_FWD ? NU_REV : NU_FWD;
}

enum nu_kind { NU_INTERIM, NU_HEAD, NU_DATA, NU_TRAIL, NU_MSG, NU_DGRAM, NU_END };
#define NU_KINDS 7
const char *nu_kind_str(enum nu_kind kind);
#define NU_SEES(kind) ((uint16_t)(1u << (kind)))
#define NU_SEES_ALL   ((uint16_t)((1u << NU_KINDS) - 1))

enum {
    NU_EV_MORE = 1,   /* hint: more follows in this turn, coalesce */
    NU_EV_TUNNEL = 2, /* HEAD: what follows is opaque */
};

/* Version-neutral head of a message; codecs extend it. It belongs to its stream, events lend it
 * (E4). */
struct nu_head {
    const void *codec;
};

/* A piece of a WebSocket frame, as it came: masked where it was, and with the frame's header. */
struct nu_msg {
    struct nu_slice data;
    uint8_t first; /* byte of the frame: FIN, RSV, opcode */
    uint8_t head;  /* bytes of the header, in front of the payload; 0 = the frame goes on */
    bool last;     /* the frame ends with it */
};

struct nu_ev {
    enum nu_kind kind;
    unsigned flags;
    union {
        struct nu_slice data; /* DATA, DGRAM */
        struct nu_msg msg;    /* MSG */
        struct nu_head *head; /* INTERIM, HEAD, TRAIL */
        struct nu_result end; /* END */
    } u;
};

static inline struct nu_ev nu_ev_data(struct nu_slice s)
{
    return (struct nu_ev){.kind = NU_DATA, .u.data = s};
}

static inline struct nu_ev nu_ev_end(struct nu_result result)
{
    return (struct nu_ev){.kind = NU_END, .u.end = result};
}

/* Gives back what the event holds. */
void nu_ev_free(struct nu_ev *ev);
/* E6 for an event that will wait: its payload is copied out where it is little of its block. */
void nu_ev_keep(struct nu_block_pool *pool, struct nu_ev *ev);
/* Bytes of payload in it. */
size_t nu_ev_bytes(const struct nu_ev *ev);

#endif
