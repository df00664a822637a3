/* The HTTP/1 side towards servers: a leg that carries one request at a time, one after another. It
 * is joined to a router for each. */
#ifndef NU_L7_H1_CLIENT_H
#define NU_L7_H1_CLIENT_H

#include "core/filter.h"
#include "l4/cluster.h"

enum nu_h1_client_answer {
    NU_H1_CLIENT_READY, /* joined: inject the request */
    NU_H1_CLIENT_WAIT,  /* joined: `ready` is called within the router, or END comes */
    NU_H1_CLIENT_FULL,  /* the cluster is at its max_connections; nothing was done */
};
const char *nu_h1_client_answer_str(enum nu_h1_client_answer answer);

struct nu_h1_client_want {
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint;
    bool fresh;   /* no kept connection: one has just failed */
    bool careful; /* the request must not be sent twice: a kept one is looked at first */
    void (*ready)(struct nu_filter *router);
};

/* Joins the router to a kept connection or to one on its way. `reused`: it has served before. From
 * a callback of the router, which is not joined. What the router injects is HEAD DATA* TRAIL? END;
 * what comes back is INTERIM* HEAD DATA* TRAIL? END, each exactly once for one joining. */
enum nu_h1_client_answer nu_h1_client_join(struct nu_filter *router,
                                           const struct nu_h1_client_want *want, bool *reused);

#endif
