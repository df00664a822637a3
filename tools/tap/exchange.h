/* An exchange on its way by, as the layers of HTTP/1 and HTTP/2 share it: from its first head until
 * both sides are over, when it is told and freed. One thread. */
#ifndef NU_TOOLS_TAP_EXCHANGE_H
#define NU_TOOLS_TAP_EXCHANGE_H

#include "core/arena.h"
#include "tools/tap/body.h"

/* Messages of gRPC within DATA: one byte and a length in front of each. */
struct tap_grpc {
    uint8_t prefix[5], have;
    uint64_t left; /* of the message */
};

struct tap_open {
    struct tap_exchange x;     /* first member */
    struct nu_list link;       /* the layer's */
    struct nu_list all;        /* of the tap */
    struct nu_arena *arena[2]; /* the heads' */
    struct tap_body body[2];
    struct tap_grpc grpc[2];
    bool over[2];
    bool counting_grpc;
    size_t held; /* as told to tap_hold, bodies aside */

    /* --- the layer's own --- */
    uint64_t begins;     /* HTTP/1: where in the client's stream the request does */
    uint64_t heard;      /* HTTP/1: bytes of the server's stream that its sender had by then */
    bool early;          /* HTTP/1: an answer whose request may still come */
    uint64_t server_had; /* HTTP/1: bytes of the client's stream that its responder had */
};

/* It gets its number. Never NULL. */
struct tap_open *tap_open_new(struct tap_conn *conn, enum tap_proto proto);
/* The head of a message, in an arena that is the exchange's from now on (NULL: it has it already).
 * Its texts are in the arena. */
void tap_open_head(struct tap_open *o, int dir, struct nu_arena *arena, struct nu_http_head *head);
void tap_open_interim(struct tap_open *o, unsigned status);
void tap_open_data(struct tap_open *o, int dir, struct nu_piece bytes);
void tap_open_gap(struct tap_open *o, int dir, uint64_t bytes);
/* Trailers: what they say of gRPC. The head is in the exchange's arena. */
void tap_open_trailers(struct tap_open *o, int dir, const struct nu_http_head *trailers);
/* Nothing more comes of a side, at that time; 0: never did. True: of neither. */
bool tap_open_over(struct tap_open *o, int dir, bool complete, int64_t time_ns);
/* Tells it, and frees it. Sides that are not over are not complete. Unlinks it. */
void tap_open_tell(struct tap_open *o);
/* Frees what is kept of bodies. */
void tap_open_shrink(struct tap_open *o);
/* Frees it without a word, and unlinks it. */
void tap_open_free(struct tap_open *o);

/* Of all that are not freed yet, in their order: the first one (NULL), the next, NULL at the end.
 */
const struct tap_open *tap_open_next(const struct tap *tap, const struct tap_open *after);

/* "request", "response". */
const char *tap_side_str(int dir);
/* What came to a direction's end: "the connection was reset", ... */
const char *tap_end_str(enum nu_flow_end how);

#endif
