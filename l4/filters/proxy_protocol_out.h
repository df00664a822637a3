/* proxy_protocol on a leg: tells the server who the client is, before the first byte. */
#ifndef NU_L4_FILTERS_PROXY_PROTOCOL_OUT_H
#define NU_L4_FILTERS_PROXY_PROTOCOL_OUT_H

#include "core/chain.h"

/* Needed during `open` only. */
struct nu_proxy_out_conf {
    int version; /* 1 or 2 */
    struct nu_addr client, local;
    const char *sni, *alpn; /* NULL = none; v2 only. alpn: offered names, of which the first goes */
};

/* Of version 1 or 2. Fills it with the facts of the client's chain; borrows texts of that. */
void nu_proxy_out_conf(struct nu_proxy_out_conf *out, int version, struct nu_chain *client);

extern const struct nu_filter_type nu_filter_proxy_out;

#endif
