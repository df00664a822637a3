/* The HTTP/2 side towards servers: connections that carry many requests at once. Each request is a
 * chain of its own, joined to its router. */
#ifndef NU_L7_H2_CLIENT_H
#define NU_L7_H2_CLIENT_H

#include "l7/client.h"

/* As nu_client_join, for servers that speak HTTP/2 or may agree to it. */
enum nu_client_answer nu_h2_client_join(struct nu_filter *router, const struct nu_client_want *want,
                                        bool *reused);

#endif
