/* The inside of the tap, for tap.c, event.c and exchange.c. */
#ifndef NU_TOOLS_TAP_TAP_PRIV_H
#define NU_TOOLS_TAP_TAP_PRIV_H

#include "tools/tap/tap.h"

struct tap {
    struct nu_flows *flows;
    struct nu_list conns; /* silent longest first */
    struct nu_list open;  /* exchanges that are not told yet */
    size_t held, held_max;
    struct {
        const struct tap_sink *sink;
        void *ctx;
    } sink[TAP_SINKS_MAX];
    unsigned sinks;
    const struct nu_where *where; /* or NULL */
    uint64_t decode_left;         /* bytes that bombs may still become */
    size_t body_room;
    uint64_t body_flow;
    struct nu_secrets *secrets;
    struct nu_unseals *unseals;
    bool cut; /* packets were, by the capture */
    bool secrets_may_come;
    bool quiet; /* being freed: nobody listens */
    struct tap_figures figures;
};

/* To the sinks: a connection's end. */
void tap_tell_conn(struct tap_conn *conn);

#endif
