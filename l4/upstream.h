/* A connection to a server: how its chain is made, and what cluster, endpoint and the log of its
 * owner are told of it. leg.c has it serve one client's connection, l7's pool many requests.
 *
 *   ~joint~ first | the cluster's filters (tls) | [proxy_protocol] | sock
 *
 * `first` is a filter of the caller's with a struct nu_upstream in it; it calls begin when it
 * opens, ready when the way ahead is free for the first time, and end when it closes. Lives on the
 * worker of the filter it is opened for. */
#ifndef NU_L4_UPSTREAM_H
#define NU_L4_UPSTREAM_H

#include "core/chain.h"
#include "l4/cluster.h"

struct nu_own_leg;

struct nu_upstream {
    struct nu_cluster *cluster;   /* pinned */
    struct nu_endpoint *endpoint; /* a reference */
    int64_t start_ms;
    struct nu_own_leg *own; /* where clients choose the server; in the chain's arena */
    bool ready;
    bool left; /* counted as ended */
};

/* Opens a chain to `endpoint` whose first filter is `first`, on behalf of `owner`, whose client it
 * may speak for. NULL: the cluster is at its max_connections, nothing was done. Whatever else goes
 * wrong is the chain's end, also that no socket could be had. */
struct nu_chain *nu_upstream_open(struct nu_filter *owner, struct nu_cluster *cluster,
                                  struct nu_endpoint *endpoint, const struct nu_place *first);
/* Where clients choose the server that may be here: has the chain found when it comes back. */
void nu_upstream_list_own(struct nu_upstream *up, struct nu_chain *chain);

/* In `open` of the first filter: takes its references and counts. */
void nu_upstream_begin(struct nu_upstream *up, struct nu_filter *f, struct nu_cluster *cluster,
                       struct nu_endpoint *endpoint);
/* Connected and all handshakes done; once. `owner`: the chain whose log is to know, or NULL. */
void nu_upstream_ready(struct nu_upstream *up, const struct nu_filter *f, struct nu_chain *owner);
/* The same news for another owner's log, where the connection serves several. */
void nu_upstream_tell(const struct nu_upstream *up, const struct nu_filter *f,
                      struct nu_chain *owner);
/* How it ended, for another owner's log: in `close`, before nu_upstream_end. */
void nu_upstream_tell_end(const struct nu_upstream *up, const struct nu_filter *f,
                          struct nu_chain *owner);
/* For a timer of the first filter: fails the chain. */
void nu_upstream_timed_out(const struct nu_upstream *up, struct nu_filter *f);
/* All is said, and it only waits for the server's end: from now on it counts as ended by us, and
 * others may have its place under max_connections. Once at most. */
void nu_upstream_leave(struct nu_upstream *up, const struct nu_filter *f);
/* In `close`, before the joint is parted: counts how it ended and gives all back. */
void nu_upstream_end(struct nu_upstream *up, struct nu_filter *f, struct nu_chain *owner);

#endif
