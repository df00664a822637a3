/* TLS as a byte filter: the same one terminates on a listener and originates on a leg; role says
 * which side is the wire (server: the left one). */
#ifndef NU_TLS_FILTER_H
#define NU_TLS_FILTER_H

#include "tls/context.h"

/* `open` gets the struct nu_tls_context. Holds both ways until the handshake is done; then writes
 * its chain's facts->tls. */
extern const struct nu_filter_type nu_tls_filter;

#endif
