/* The sniffer: reads a TLS ClientHello off a connection's first bytes without changing any, so that
 * its chain can be chosen by SNI, ALPN and transport. Put before a chain by the listener where a
 * match needs it. */
#ifndef NU_L4_SNIFF_H
#define NU_L4_SNIFF_H

#include "core/filter.h"

/* Conf: struct nu_pre_conf. */
extern const struct nu_filter_type nu_filter_sniff;

#endif
