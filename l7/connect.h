/* Legs through a tunnel that a server is asked for by CONNECT, in the version of HTTP that its
 * cluster speaks: what tcp_proxy's key `connect` is. */
#ifndef NU_L7_CONNECT_H
#define NU_L7_CONNECT_H

/* Before any config is read: sets nu_leg_connect. */
void nu_connect_register(void);

#endif
