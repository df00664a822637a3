/* TLS as a byte filter: the same one terminates on a listener and originates on a leg; role says
 * which side is the wire (server: the left one). docs/internals/tls.md tells how. */
#ifndef NU_TLS_FILTER_H
#define NU_TLS_FILTER_H

#include "tls/context.h"

/* `open` gets the struct nu_tls_context. Holds what is to be encrypted until the handshake is done;
 * then writes its chain's facts->tls. */
extern const struct nu_filter_type nu_tls_filter;

/* Modes, options, tickets and session reuse that the filter relies on; once for each SSL_CTX of a
 * context, before an SSL is made of it. Main thread. */
void nu_tls_engine_setup(SSL_CTX *ctx, struct nu_tls_context *context);

#endif
