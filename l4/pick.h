/* A pick: one connection's search for a server in a cluster, whatever kind of cluster it is. The
 * next endpoint that was not tried, where the client was going (original_dst), or an address of the
 * host that it asks for (dynamic_forward), for which name servers may have to be waited for.
 *
 * Part of the filter that connects (tcp_proxy, later others); on its worker. */
#ifndef NU_L4_PICK_H
#define NU_L4_PICK_H

#include "core/chain.h"
#include "l4/cluster.h"

enum nu_pick_answer {
    NU_PICK_FOUND, /* pick->endpoint */
    NU_PICK_WAIT,  /* `ready` is called, as a callback of the owner; then ask again */
    NU_PICK_NONE, /* no endpoint is left; nu_pick_why knows more where it is not for lack of them */
};
const char *nu_pick_answer_str(enum nu_pick_answer answer);

typedef void nu_pick_ready_fn(struct nu_filter *owner);

struct nu_pick_far;

struct nu_pick {
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint; /* found last; a reference */
    struct nu_endpoint **tried;   /* those before, in the chain's arena; references */
    struct nu_pick_far *far;      /* where clients choose the server; in the chain's arena */
    uint8_t tried_count, most;
};

/* Begins, for the connection of owner's chain. At most `most` endpoints will be found. The cluster
 * is pinned by the caller's config. */
void nu_pick_start(struct nu_pick *pick, struct nu_filter *owner, struct nu_cluster *cluster,
                   uint8_t most, nu_pick_ready_fn *ready);
/* Before the first question: the server's name (and port, 0 = the cluster's choice) as the caller
 * knows it, not as the ClientHello has it. The text lives as long as the chain. Only
 * dynamic_forward clusters look at it. */
void nu_pick_host(struct nu_pick *pick, const char *host, uint16_t port);
/* The one found before counts as tried. From a callback of the owner. */
enum nu_pick_answer nu_pick_next(struct nu_pick *pick, struct nu_filter *owner);
/* After NONE: why the client may not go where it wants to, as a cause and a sentence in the chain's
 * arena. False: there were just no more endpoints. */
bool nu_pick_why(const struct nu_pick *pick, enum nu_cause *cause, const char **why);
/* No callback after this; gives the endpoints back. Idempotent; a zeroed pick is fine. */
void nu_pick_end(struct nu_pick *pick);

#endif
