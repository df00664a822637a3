/* How many sessions each source has, over all workers of a listener: for max_sessions_per_source.
 *
 * A source is an IPv4 address or an IPv6 /64. Behind a lock, which is taken when sessions begin and
 * end, and only where the limit is set. As many entries as sources with sessions, which the
 * listener's cap bounds. */
#ifndef NU_L4_UDP_SOURCES_H
#define NU_L4_UDP_SOURCES_H

#include "core/addr.h"

struct nu_udp_sources;
struct nu_udp_source;

struct nu_udp_sources *nu_udp_sources_new(void);
/* Nobody is in it. NULL is fine. */
void nu_udp_sources_free(struct nu_udp_sources *sources);
/* One more of this client's; NULL: it has `max` already. Any thread. */
struct nu_udp_source *nu_udp_source_take(struct nu_udp_sources *sources,
                                         const struct nu_addr *client, int64_t max);
void nu_udp_source_give(struct nu_udp_source *source);

#endif
