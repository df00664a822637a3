/* Inside of the HTTP/1 reader only. layer_h1.c reads both directions; h1_message.c a message;
 * h1_pair.c says which response
 * answers which request; h1_find.c finds where messages begin. */
#ifndef NU_TOOLS_TAP_H1_PRIV_H
#define NU_TOOLS_TAP_H1_PRIV_H

#include "protocols/http/h1.h"
#include "tools/tap/exchange.h"

#define H1_LINE_MAX    (16 * 1024) /* bytes of a line that is searched; half is kept beyond it */
#define H1_WAIT_MAX    (64 * 1024) /* bytes behind a CONNECT that wait for its answer */
#define H1_PENDING_MAX 4096        /* requests without an answer, of a connection */
#define H1_EARLY_MAX   64          /* answers whose requests may still come out of disorder */

enum h1_at {
    H1_IDLE,   /* between messages */
    H1_WITHIN, /* a message */
    H1_SEARCH, /* for the next one */
    H1_WAIT,   /* client only: what follows depends on the answer to CONNECT or Upgrade */
    H1_INNER,  /* what follows is another layer's */
    H1_ATS,
};
const char *h1_at_str(enum h1_at at);

struct h1_side {
    struct nu_h1_parser parser;
    enum h1_at at;
    struct nu_arena *arena; /* of the message within, before it is its exchange's */
    struct tap_open *open;  /* of the message within; client: NULL before its head is read */
    const uint8_t *begin;   /* of the message, where that is in the input being read */
    uint64_t count;         /* bytes of the stream so far, gaps too */
    uint64_t begins;        /* where in it the message does */
    int64_t first_ns;       /* of the message */
    uint64_t skipped;       /* bytes that belonged to nothing, before the message */
    uint64_t gone;          /* bytes of gaps there */
    char *line;             /* searched, not whole; malloced */
    uint32_t line_len;
    bool drop_line; /* the rest of it was refused */
    bool in_body;   /* the message's head is read */
    uint8_t *wait;  /* malloced */
    uint32_t wait_len;
    uint64_t wait_gap; /* bytes missing before those */
    bool ended;
    enum nu_flow_end how;
};

struct h1 {
    struct tap_layer layer; /* first member */
    struct h1_side side[2];
    struct nu_list pending; /* requests in their order; no byte of an answer has come */
    unsigned pendings;
    struct nu_list early; /* answers whose requests may still come */
    unsigned earlies;
    struct tap_open *asks; /* the request that the client's side waits for */
    struct tap_layer *inner;
    bool lossy;  /* bytes were missed since a pair was sure */
    bool unsure; /* or some were not understood: then the order is still the best guess */
    size_t held;
};

/* --- layer_h1.c --- */

struct tap_layer *h1_open(struct tap_conn *conn, unsigned depth);
/* The client's side goes on behind a request whose answer says what follows. */
void h1_decide(struct h1 *h, bool inner, int64_t ns);

/* --- h1_message.c --- */

/* The only place that assigns what a direction is at. */
void h1_be_at(struct h1_side *side, enum h1_at at);
/* The same, and the message is over: nothing is kept of it here. */
void h1_leave(struct h1_side *side, enum h1_at at);
/* Takes something off the front of `in`, counted already, or changes what the direction is at. */
typedef void h1_step(struct h1 *h, int dir, struct nu_piece *in, int64_t ns);
h1_step h1_step_idle, h1_step_within;
/* What is known of a head that was refused or cut becomes its exchange's; `head` may be NULL, `in`
 * is what is left of the input. */
void h1_salvage(struct h1 *h, int dir, struct nu_http_head *head, const struct nu_piece *in);

/* --- h1_pair.c --- */

/* A request's head is read: its exchange, a new one or that of an answer that came earlier. */
struct tap_open *h1_pair_request(struct h1 *h);
/* An answer's first byte is there: the exchange of its request, or one without. */
struct tap_open *h1_pair_response(struct h1 *h);
/* It waits for nothing more here: another layer has it. */
void h1_unlist(struct h1 *h, struct tap_open *o);
/* Told, as far as it is known; nothing of it may be used any more. */
void h1_tell(struct h1 *h, struct tap_open *o);
/* A side of it is over; tells it when both are. */
void h1_over(struct h1 *h, struct tap_open *o, int dir, bool complete, int64_t ns);
/* Nothing more can be paired: tells all that waits. */
void h1_tell_waiting(struct h1 *h);
/* Nobody listens any more. */
void h1_free_waiting(struct h1 *h);

/* --- h1_find.c --- */

/* Where in a line (or what there is of it) a message surely begins; -1 nowhere. */
long h1_find_start(int dir, const char *line, size_t len);
/* What can be read off a start line that was refused. */
void h1_read_refused(int dir, struct nu_http_head *head, const uint8_t *at, size_t len);

#endif
