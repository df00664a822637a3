/* The HTTP/1 side towards servers: a leg that carries one request at a time, one after another. It
 * is joined to a router for each. */
#ifndef NU_L7_H1_CLIENT_H
#define NU_L7_H1_CLIENT_H

#include "l7/client.h"

/* As nu_client_join, for servers that speak HTTP/1. */
enum nu_client_answer nu_h1_client_join(struct nu_filter *router, const struct nu_client_want *want,
                                        bool *reused);

/* Whether it is one of these; NULL is not. */
bool nu_h1_client_is(const struct nu_filter *f);
/* The log of this chain is to know what a handshake found out. */
void nu_h1_client_tell(const struct nu_filter *client, struct nu_chain *owner);

#endif
