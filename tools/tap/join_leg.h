/* An exchange that waits for its other side: a copy of all that outputs show of it, since the tap
 * only lends it. One thread. */
#ifndef NU_TOOLS_TAP_JOIN_LEG_H
#define NU_TOOLS_TAP_JOIN_LEG_H

#include "tools/tap/join_match.h"

struct join_leg {
    struct join_face face; /* first member */
    struct tap_exchange x;
    struct tap_tie tie;
    struct tap_conn conn; /* addresses and numbers only */
    struct nu_flow flow;
    struct nu_arena *arena;
    size_t bytes;
    bool fits; /* --where */
    struct nu_list all;
};

/* Never NULL. */
struct join_leg *join_leg_new(const struct tap_exchange *x, bool fits);
void join_leg_free(struct join_leg *leg);

#endif
