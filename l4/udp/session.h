/* A session: one client's datagrams to one of our addresses, and the chain that carries them.
 *
 * Its left filter, here, stands where a socket does in a chain of bytes: source of FWD, sink of
 * REV. Lives on its point's worker, from a client's first datagram until nothing came for the idle
 * timeout, or a filter ends it. */
#ifndef NU_L4_UDP_SESSION_H
#define NU_L4_UDP_SESSION_H

#include "l4/listener_priv.h"
#include "l4/udp/point.h"

#define NU_UDP_IDLE_MS 60000 /* ends a session, unless its chain's proxy says otherwise */

struct nu_udp_session {
    struct listener_conn conn; /* first member: the chain's owner's ctx */
    struct nu_chain *chain;    /* NULL once closed */
    struct nu_udp_entry entry;
    struct nu_udp_point *point;
    struct nu_filter *front; /* NULL once closed */
    struct nu_list link;     /* of the point's strangers or muted */
    struct nu_timer timer;
    int64_t idle_ms; /* 0 = for ever */
    uint64_t rx_bytes, tx_bytes, rx_datagrams, tx_datagrams;
    struct nu_slice incoming; /* on its way into the chain */
    struct nu_udp_source *source;
    uint32_t batch;    /* the last that brought datagrams of its */
    uint32_t in_batch; /* how many of them */
    bool draining;
    bool ending; /* END was said */
    bool muted;  /* refused: what comes is dropped without another look, for a while */
};

/* Learns how many descriptors there may be. Once, on main, before there are workers: later a
 * sandbox does not let us ask. */
void nu_udp_sessions_init(void);
/* The session of this client, made if there is none; NULL: the listener has no room for it, or
 * takes no new ones. */
struct nu_udp_session *nu_udp_session_of(struct nu_udp_point *point, const struct nu_udp_got *got,
                                         bool may_begin);
/* Into its chain. Takes the slice. False: dropped. */
bool nu_udp_session_deliver(struct nu_udp_session *session, struct nu_slice data);
/* How many datagrams a session has carried; false: the chain is not one's. */
bool nu_udp_datagrams(const struct nu_chain *chain, uint64_t *rx, uint64_t *tx);
/* What is left of refused ones goes. */
void nu_udp_forget_muted(struct nu_udp_point *point);

/* point.c */

/* To the client. Takes the slice; dropped where the queue is full. */
void nu_udp_point_send(struct nu_udp_point *point, const struct nu_udp_key *key,
                       struct nu_slice data);
/* A session has gone, its memory with it. */
void nu_udp_point_left(struct nu_udp_point *point);
void nu_udp_point_count(struct nu_udp_point *point, enum nu_udp_listener_stat stat, int64_t n);

extern const struct nu_filter_type nu_udp_front;

#endif
