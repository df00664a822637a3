/* proxy_protocol on a listener: takes the PROXY header off a connection's front and believes it.
 * Put before a chain by the listener with `proxy_protocol: require` or `optional`. */
#ifndef NU_L4_FILTERS_PROXY_PROTOCOL_IN_H
#define NU_L4_FILTERS_PROXY_PROTOCOL_IN_H

#include "core/filter.h"

/* Conf: struct nu_pre_conf. */
extern const struct nu_filter_type nu_filter_proxy_in;

#endif
