/* The beginning of a connection to a server: a socket with the cluster's options, on its way. */
#ifndef NU_L4_DIAL_H
#define NU_L4_DIAL_H

#include "l4/sock.h"
#include "l4/sockopt.h"

/* Fills fd, connecting and what of `sock`: a socket that connects to `to` on behalf of `client`
 * (NULL: nobody's), or what could not be had. */
void nu_dial(struct nu_sock_conf *sock, const struct nu_addr *to, const struct nu_addr *client,
             const struct nu_connect_options *options);

#endif
