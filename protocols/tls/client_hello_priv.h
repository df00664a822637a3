/* What the two halves of the ClientHello reader share. */
#ifndef NU_PROTOCOLS_TLS_CLIENT_HELLO_PRIV_H
#define NU_PROTOCOLS_TLS_CLIENT_HELLO_PRIV_H

#include "protocols/tls/client_hello.h"

/* Reads the whole message at ch->msg, ch->msg_len and sets the answer's fields. NULL, or what is
 * malformed. */
const char *nu_hello_read_body(struct nu_client_hello *ch);

#endif
