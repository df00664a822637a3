/* A stream socket as a filter: source of one direction, sink of the other.
 *
 * Leftmost in a client's chain, rightmost in a leg. Registered once, edge-triggered; reads into
 * what is at hand and grows; writes once a turn; relays directly, and by splice when reads come
 * full (D1). */
#ifndef NU_L4_SOCK_H
#define NU_L4_SOCK_H

#include "core/chain.h"
#include "core/stats.h"

#define NU_SOCK_HIGH                                                                               \
    (64u * 1024) /* bytes unsent at which a sink holds; it releases at half (B4)                   \
                  */

/* Counters that a socket's bytes go to; stats NULL = none. The set outlives the chain. */
struct nu_meter {
    struct nu_stats *stats;
    uint8_t rx, tx;
};

struct nu_sock_conf {
    int fd; /* non-blocking; the filter owns it from `open` on. Negative: -errno of what could not
               be had */
    const char
        *what;       /* the option that could not be had, where fd is negative; NULL = the socket */
    bool connecting; /* connect() is in progress: hold until it is decided */
    enum nu_side side;
    struct nu_meter meter;
};

extern const struct nu_filter_type nu_sock;

/* From a filter of the same chain (or its owner): counts bytes of the chain's leftmost socket from
 * now on; what has gone through before is added at once. */
void nu_sock_set_meter(struct nu_chain *chain, struct nu_meter meter);
/* Bytes read from and written to the wire at the chain's leftmost socket; false and 0: it begins
 * with none. */
bool nu_sock_totals(struct nu_chain *chain, uint64_t *rx, uint64_t *tx);
/* Bytes for the wire that this socket has not given to the kernel yet. */
size_t nu_sock_unsent(const struct nu_chain *chain);
/* The descriptor at the chain's left end (NU_REV) or right end, borrowed; -1: that is no socket, or
 * it is closed. */
int nu_sock_fd(const struct nu_chain *chain, enum nu_dir end);
/* Whether nothing waits in the kernel at that end's socket, neither bytes nor the peer's end. */
bool nu_sock_quiet(const struct nu_chain *chain, enum nu_dir end);
/* From another chain: has the socket at that end read what waits in the kernel, unless it is at it.
 * The chain may have ended by the time this returns. */
void nu_sock_read_now(struct nu_chain *chain, enum nu_dir end);
/* What the kernel measured at that socket, also after its descriptor was closed if anybody wants
 * such facts. False: no TCP. */
bool nu_sock_tcp_facts(struct nu_chain *chain, enum nu_dir end, struct nu_tcp_facts *out);

#endif
