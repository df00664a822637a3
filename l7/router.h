/* The router: the right end of every stream's chain. It answers by itself what the route says
 * (redirect, respond) or what no server could, and sends all else to a cluster. */
#ifndef NU_L7_ROUTER_H
#define NU_L7_ROUTER_H

#include "core/filter.h"

extern const struct nu_filter_type nu_router;

#endif
