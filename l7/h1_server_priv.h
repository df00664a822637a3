/* Inside of the HTTP/1 side towards clients: h1_server.c reads, h1_reply.c writes,
 * h1_tunnel.c stands aside, h1_time.c knows when it took too long, h1_reading.c has what was
 * received. */
#ifndef NU_L7_H1_SERVER_PRIV_H
#define NU_L7_H1_SERVER_PRIV_H

#include "l7/http.h"
#include "l7/stream.h"

/* Slots of its timers. */
enum { TIMER, TIMER_RESUME, TIMER_REST };

/* What of the request has come. */
enum in_state {
    IN_IDLE,    /* nothing */
    IN_HEAD,    /* a part of its head */
    IN_BODY,    /* its head */
    IN_ASKED,   /* all, unless the answer opens a tunnel */
    IN_TUNNEL,  /* what comes is no message any more */
    IN_DONE,    /* all */
    IN_DISCARD, /* its response is over: the rest is read and thrown away */
    IN_LINGER,  /* writing is shut: whatever comes is thrown away */
    IN_SHUT,    /* nothing will be read any more */
};

/* How the response's body is framed. */
enum out_state {
    OUT_NONE,  /* no final head was written */
    OUT_PLAIN, /* by length, or it has none */
    OUT_CHUNKED,
    OUT_TRAILED, /* chunked, and the end was written with the trailers */
    OUT_CLOSE,   /* by the end of the connection */
    OUT_OVER,    /* a tunnel whose server has said all */
};

/* A request that is being read; between requests a connection has none. */
struct h1_reading {
    struct nu_arena *arena; /* it lies in, shared with the request's stream */
    struct nu_slice rest;   /* received, not read */
    uint32_t discarded;     /* bytes */
    struct nu_h1_parser parser;
};

/* A tunnel, seen from here. */
enum aside_state {
    ASIDE_NOT,    /* there is none, or its bytes come here */
    ASIDE_STANDS, /* they pass by: the socket counts them */
    ASIDE_RESTS,  /* and the stream is put away */
};

struct h1_server {
    struct nu_filter filter;
    struct nu_joint joint;
    const struct nu_http_conf *conf;
    struct nu_stream *stream; /* in progress, as long as joined */
    union {
        struct h1_reading *reading;  /* or NULL */
        struct nu_tunnel_rest *rest; /* ASIDE_RESTS */
    };
    int64_t since_ms; /* of the state `in`, on the loop's clock */
    uint8_t in, out;
    bool chosen;      /* the client has begun to speak, and it is HTTP/1 */
    bool first;       /* no request has come yet */
    bool closing;     /* no request after this one */
    bool broken;      /* what the client sends is no longer read as HTTP */
    bool half_closed; /* the client has said all it will say */
    uint8_t aside;    /* enum aside_state */
    uint8_t why;      /* it takes no more requests: enum nu_cause */
    uint32_t served;  /* requests that were begun */
};

static inline int64_t h1_now(const struct h1_server *s)
{
    return nu_filter_loop(&s->filter)->now_ms;
}

static inline void h1_count(const struct h1_server *s, enum nu_http_stat stat, int64_t n)
{
    nu_stat_add(s->conf->stats, nu_filter_loop(&s->filter)->shard, stat, n);
}

/* --- h1_server.c --- */

/* The stream has said all, and is parted from: goes on to the next request, or ends. */
void h1_response_over(struct h1_server *s);
/* The connection ends behind what was written, in this way. */
void h1_end(struct h1_server *s, struct nu_result result);

/* The one place where `in` changes. */
void h1_set_in(struct h1_server *s, enum in_state to);
void h1_inject(struct h1_server *s, struct nu_ev ev);
/* All of the request has come. */
void h1_request_over(struct h1_server *s);
/* As a stream's `watch`. */
void h1_watch(struct nu_filter *f);
/* What waits in `rest` is read when this callback is over. */
void h1_read_later(struct h1_server *s);

/* --- h1_tunnel.c --- */

/* The final head is on its way: whether what the client asked for is a tunnel now. */
void h1_tunnel_decided(struct h1_server *s, bool open);
/* The server has said all that it will say in the tunnel. */
void h1_tunnel_ended(struct h1_server *s);
/* Lets its bytes pass by, if nobody else has to count them. */
void h1_tunnel_pass(struct h1_server *s);
/* Has the stream back, if it is put away. Before anything is done to it. */
void h1_tunnel_wake(struct h1_server *s);
/* Brings the stream's bytes up to date. Before it is parted from. */
void h1_tunnel_count(struct h1_server *s);

/* --- h1_reading.c --- */

/* Bytes received and not read. */
size_t h1_rest(const struct h1_server *s);
void h1_drop_rest(struct h1_server *s);
/* Owns the bytes, which come behind those. */
void h1_take(struct h1_server *s, struct nu_slice data);
/* The request was read: what is behind it begins another. */
void h1_reading_over(struct h1_server *s);
/* There may be none. */
void h1_reading_free(struct h1_server *s);

/* --- h1_time.c --- */

/* Between requests; an empty line, which some clients send behind a body, begins none. */
bool h1_is_idle(const struct h1_server *s);
/* When the state it is in has lasted too long, on the loop's clock; 0 = never. */
int64_t h1_deadline(const struct h1_server *s);
/* The request's own time is over, or nothing moves. */
void h1_expire_stream(struct h1_server *s);

/* --- h1_reply.c --- */

/* What comes from the stream. */
void h1_reply_event(struct h1_server *s, struct nu_ev *ev);

#endif
