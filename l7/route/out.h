/* Text that grows in an arena up to a cap: rewritten paths, locations. One thread. */
#ifndef NU_L7_ROUTE_OUT_H
#define NU_L7_ROUTE_OUT_H

#include "core/arena.h"
#include "protocols/http/head.h"

struct route_out {
    struct nu_arena *arena;
    char *at;
    size_t len, cap;
    size_t max;    /* what is beyond is left out, and: */
    bool too_long; /* latched */
};

void route_put(struct route_out *out, struct nu_text text);
void route_put_str(struct route_out *out, const char *text);

#endif
