/* Datagrams: what the rest of the program knows of them. Listeners with `udp://` addresses make a
 * session of each client's datagrams (point.h, session.h); udp_proxy carries them to a server. */
#ifndef NU_L4_UDP_UDP_H
#define NU_L4_UDP_UDP_H

#include "core/chain.h"
#include "core/stats.h"

extern const struct nu_filter_type nu_filter_udp_proxy;

/* Figures on the generated page, the access log's operators for sessions, and how many there may
 * be. Once, before any config is read. */
void nu_udp_register(void);

/* How long the session on this chain may be quiet before it ends; 0 = for ever. Not a session of
 * datagrams: nothing. From a filter of the chain. */
void nu_udp_set_idle(struct nu_chain *chain, int64_t ms);

#endif
