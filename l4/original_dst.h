/* Clusters whose server is where the client was going: `original_dst`. A rule of this machine
 * (REDIRECT, DNAT, TPROXY) brought the connection to us, or a PROXY header says where it came from.
 *
 * Here is what may be written and where a connection was going; who goes there is pick.c's. */
#ifndef NU_L4_ORIGINAL_DST_H
#define NU_L4_ORIGINAL_DST_H

#include "l4/reach.h"

struct nu_chain;

enum nu_dst_source { NU_DST_SOCKET, NU_DST_PROXY_HEADER };
const char *nu_dst_source_str(enum nu_dst_source source);

struct nu_original_dst {
    bool enabled;
    int source; /* enum nu_dst_source */
    int64_t max_endpoints;
    int64_t keep_ms;
    struct nu_reach_conf reach_conf;
    struct nu_reach *reach;
};

extern const struct nu_schema nu_original_dst_schema;

/* Where the kernel says that the client at the chain's left end was going; `redirected` tells
 * whether that is elsewhere than the socket that took it. False: it is no TCP connection. */
bool nu_original_dst_of(struct nu_chain *chain, struct nu_addr *out, bool *redirected);
/* The same by the source that the config names. False: it says nothing; `why` gets a static text.
 */
bool nu_original_dst_find(const struct nu_original_dst *conf, struct nu_chain *chain,
                          struct nu_addr *out, const char **why);
/* Writes it down as where the client meant to go, for logs and PROXY headers. */
void nu_original_dst_note(struct nu_chain *chain, const struct nu_addr *dst);

#endif
