/* A worker's socket of a `udp://` bind address: the mux between it and one session chain per client
 * (rule G1). Reads in batches, sends in batches, knows its sessions.
 *
 * Main makes and closes points, all of an address together; from aim to the end of its service a
 * point is its worker's. */
#ifndef NU_L4_UDP_POINT_H
#define NU_L4_UDP_POINT_H

#include "core/loop.h"
#include "core/stats.h"
#include "l4/udp/batch.h"
#include "l4/udp/out.h"
#include "l4/udp/table.h"

#include <stdatomic.h>

struct listener;

struct nu_udp_point {
    struct nu_io io; /* fd: -1 = this worker has none */
    struct nu_task read, flush;
    struct nu_loop *loop;
    struct listener *owner; /* whose config new sessions get; NULL: there are no new ones */
    struct nu_stats *stats; /* enum nu_udp_listener_stat; a reference */
    struct nu_addr bound;
    bool wildcard; /* bound to all addresses: which one counts with every datagram */
    bool waiting;  /* for room in the socket's buffer */
    struct nu_udp_table table;
    struct nu_udp_out out;
    struct nu_list strangers; /* sessions whose client may be forged, the oldest first */
    struct nu_list muted;     /* what is left of refused ones */
    unsigned muted_count;
    unsigned sessions;   /* with a chain */
    uint32_t lost;       /* by the kernel so far, as it counts */
    uint32_t batch;      /* number of the newest */
    int64_t squeezed_ms; /* until when it chooses what to drop, because the kernel had to */
    int64_t company_ms;  /* until when it is known to serve several sessions at a time */
    _Atomic bool in_service;
};

enum nu_udp_listener_stat {
    NU_UDP_RX_DROPPED,   /* by the kernel, or longer than can be */
    NU_UDP_RX_DISCARDED, /* by us */
    NU_UDP_TX_DROPPED,
    NU_UDP_EVICTED,
    NU_UDP_LISTENER_STAT_COUNT
};
/* "listener.<name>.udp", beside those that all listeners have. */
extern const struct nu_stat_group nu_udp_listener_stats;

/* Of a socket before it is bound: -1 with errno. */
int nu_udp_socket_options(int fd, const struct nu_addr *addr);

/* Main: a point of this descriptor, or of none (-1); where it is bound; how much the kernel keeps
 * (bytes, 0 = as it is). */
void nu_udp_point_init(struct nu_udp_point *point, int fd);
void nu_udp_point_bound(struct nu_udp_point *point, const struct nu_addr *bound);
void nu_udp_point_buffer(struct nu_udp_point *point, int64_t bytes);
/* Main: while true, it is its worker's, and its socket has to stay. */
bool nu_udp_point_in_service(const struct nu_udp_point *point);
/* Main: not in service. */
void nu_udp_point_close(struct nu_udp_point *point);

/* Its worker: new sessions get this config from now on. */
void nu_udp_point_aim(struct nu_udp_point *point, struct listener *listener, struct nu_loop *loop);
/* Its worker: if it still aims at that one, what was sent so far is taken in, and then there are no
 * new sessions; out of service once the last has ended, and main is told. */
void nu_udp_point_stop(struct nu_udp_point *point, const struct listener *listener);

#endif
