/* A leg: the chain that a proxying filter opens to one endpoint (L1): joint | ... |
 * [proxy_protocol] | sock: its header is the first thing on the wire, before any handshake.
 *
 * It is ready when nothing ahead of its joint holds any more: connected, handshakes done. A leg
 * that fails tells its owner by END(result) and is reaped alone, so that the next endpoint can be
 * tried. Lives on the owner's worker. */
#ifndef NU_L4_LEG_H
#define NU_L4_LEG_H

#include "core/chain.h"
#include "l4/cluster.h"

/* What a leg tells its owner while it comes up. Called as a callback of the owner filter (nu_call).
 */
typedef void nu_leg_ready_fn(struct nu_filter *owner);

/* Opens a leg to `endpoint` and joins it to `owner`, the last filter of its chain. The leg takes
 * references of its own to endpoint and cluster. False: the cluster is at its max_connections,
 * nothing was done. True: whatever else goes wrong comes as END(result), also when no socket could
 * be had. `ready` is called at most once, perhaps before this returns. */
bool nu_leg_open(struct nu_filter *owner, struct nu_cluster *cluster, struct nu_endpoint *endpoint,
                 nu_leg_ready_fn *ready);

/* The same, through a tunnel to `authority` (HOST:PORT) that the endpoint is asked for by CONNECT:
 * ready once it is open. It is the layer above that speaks HTTP, and sets this before any config is
 * read. */
typedef bool nu_leg_connect_fn(struct nu_filter *owner, struct nu_cluster *cluster,
                               struct nu_endpoint *endpoint, const char *authority,
                               nu_leg_ready_fn *ready);
extern nu_leg_connect_fn *nu_leg_connect;

#endif
