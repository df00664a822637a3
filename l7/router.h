/* The router: the right end of every stream's chain. It answers by itself what the route says
 * (redirect, respond) or what no server could, and sends all else to a cluster. */
#ifndef NU_L7_ROUTER_H
#define NU_L7_ROUTER_H

#include "core/filter.h"

#include <stdbool.h>

struct nu_cluster;
struct nu_endpoint;
struct nu_route;

extern const struct nu_filter_type nu_router;

/* What is left of a router while its tunnel is at rest (tunnel_rest.h). */
struct nu_router_rest {
    const struct nu_route *route;
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint; /* a reference */
    int64_t try_ms;
    uint32_t connect_ms;
    bool reused;
};
/* Whether its tunnel is open and that would be all there is to tell. */
bool nu_router_may_rest(const struct nu_filter *router);
/* It has nothing any more, and ends without a word. */
void nu_router_rest(struct nu_filter *router, struct nu_router_rest *out);
/* A new one goes on from there, joined to the server's connection if that is still there. */
void nu_router_again(struct nu_filter *router, const struct nu_router_rest *rest);

#endif
