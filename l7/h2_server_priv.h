/* Inside of the HTTP/2 side towards clients: h2_server.c has the connection, h2_stream.c the left
 * end of each stream's chain, h2_tunnel.c what is other for tunnels, h2_time.c knows what took too
 * long. */
#ifndef NU_L7_H2_SERVER_PRIV_H
#define NU_L7_H2_SERVER_PRIV_H

#include "l7/h2_server.h"
#include "l7/stream.h"
#include "protocols/http2/h2.h"

enum mux_state {
    MUX_OPEN,
    MUX_DRAINING, /* has said that it will go; what the client sent before it knew is served */
    MUX_LAST,     /* no new streams */
    MUX_LINGER,   /* writing is shut: whatever comes is thrown away */
    MUX_SHUT,     /* nothing will be read any more */
};
const char *h2_mux_state_str(enum mux_state state);

struct h2_server {
    struct nu_filter *f;
    const struct nu_http_conf *conf;
    struct nu_h2 *h2;
    struct nu_list streams; /* struct h2_stream */
    struct nu_task flush;
    int64_t since_ms; /* of the state, or since there is no stream */
    int64_t head_ms;  /* a head has begun and is not complete since; 0 = none */
    int64_t heard_ms; /* bytes came last */
    int64_t ping_ms;  /* a sign of life was asked for then; 0 = it was not, or it came */
    int64_t timer_ms; /* when the timer rings; 0 = not set */
    uint32_t served;  /* requests that were begun */
    uint8_t why;      /* it takes no more requests: enum nu_cause */
    uint8_t state;    /* enum mux_state */
    bool half_closed; /* the client has said all it will say */
    bool given_up;    /* it is us who end it, for lack of time or of requests */
};

/* What becomes of a request for a tunnel. */
enum h2_tunnel_state {
    H2_TUNNEL_NONE,  /* it is none */
    H2_TUNNEL_ASKED, /* what the client says waits for the answer */
    H2_TUNNEL_OPEN,
    H2_TUNNEL_REFUSED, /* what it says is of no interest */
};
const char *h2_tunnel_state_str(enum h2_tunnel_state state);

/* The left end of a stream's chain. */
struct h2_stream {
    struct nu_filter filter;
    struct nu_list link;
    struct h2_server *mux; /* NULL: the connection is over */
    struct nu_h2_stream *st;
    struct nu_stream *stream;
    struct nu_ev *next; /* on its way into the chain */
    uint32_t waiting;   /* bytes of the body that wait somewhere in the chain */
    uint8_t tunnel;     /* enum h2_tunnel_state */
    bool early_end;     /* the client has said all before the answer */
    uint8_t *early;     /* what it said before: malloc'd, its first window at most */
    uint32_t early_len, early_cap;
};

/* What it is made of. */
struct h2_stream_want {
    struct h2_server *mux;
    struct nu_h2_stream *st;
};

static inline int64_t h2_now(const struct h2_server *m)
{
    return nu_filter_loop(m->f)->now_ms;
}

static inline void h2_stat(const struct h2_server *m, enum nu_http_stat stat, int64_t n)
{
    nu_stat_add(m->conf->stats, nu_filter_loop(m->f)->shard, stat, n);
}

/* --- h2_server.c --- */

/* Lets the timer ring at that time, or earlier; 0 = never. */
void h2_watch(struct h2_server *m, int64_t at_ms);
/* What was said is to be written before the turn ends. */
void h2_wake(struct h2_server *m);
/* No new streams, for what is wrong with this connection or its config. */
void h2_drain(struct h2_server *m);
/* The same for its age or the number of its requests, which is counted; of no effect if it drains.
 */
void h2_retire(struct h2_server *m, enum nu_http_stat stat, enum nu_cause why);
/* Nothing came from the client for ping_interval; or not for ping_timeout behind a PING. */
void h2_silent(struct h2_server *m);
/* GOAWAY now, with this code, and the end. */
void h2_terminate(struct h2_server *m, enum nu_h2_code code);
/* The state in which it is is over by time. */
void h2_state_expired(struct h2_server *m);

/* --- h2_stream.c --- */

extern const struct nu_filter_type h2_stream_type;
/* The codec's events; m is the handler's ctx. */
void h2_on_head(void *m, struct nu_h2_stream *st);
void h2_on_data(void *m, struct nu_h2_stream *st, struct nu_slice data);
void h2_on_trail(void *m, struct nu_h2_stream *st, struct nu_http_head *head);
void h2_on_end(void *m, struct nu_h2_stream *st);
void h2_on_bad(void *m, struct nu_h2_stream *st);
void h2_on_room(void *m, struct nu_h2_stream *st);
void h2_on_sent(void *m, struct nu_h2_stream *st);
void h2_on_cut(void *m, struct nu_h2_stream *st);
/* The connection is over, or has no use for its streams any more. */
void h2_streams_fail(struct h2_server *m, enum nu_cause cause, enum nu_side side);
/* When its time is over; 0 = never. */
int64_t h2_stream_deadline(const struct h2_stream *s);
void h2_stream_expire(struct h2_stream *s);

/* Into the chain; from a callback of the stream. */
void h2_stream_pass(struct h2_stream *s, struct nu_ev *ev);

/* --- h2_tunnel.c --- */

/* A request's head is whole: whether it asks for a tunnel. */
void h2_tunnel_begin(struct h2_stream *s);
/* What comes from the client: true: it was taken, to wait or to be thrown away. */
bool h2_tunnel_takes(struct h2_stream *s, struct nu_slice data);
bool h2_tunnel_takes_end(struct h2_stream *s);
/* The final head, on its way to the client: what has to be other in it. */
void h2_tunnel_answer(const struct h2_stream *s, struct nu_http_head *head);
/* It was said: what waited for it goes on. */
void h2_tunnel_decided(struct h2_stream *s, const struct nu_http_head *head);
/* One of its halves has ended. */
void h2_tunnel_half_over(struct h2_stream *s);
/* What a cut one is reset with. */
enum nu_h2_code h2_tunnel_code(const struct h2_stream *s);

/* --- h2_time.c --- */

/* When the connection's state, or a stream, has lasted too long; 0 = never. */
int64_t h2_deadline(const struct h2_server *m);
/* What is due now is given up. */
void h2_expire(struct h2_server *m);

#endif
