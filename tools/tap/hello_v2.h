/* ClientHellos in the format of SSL 2, by which very old programs offer TLS (RFC 5246 E.2): made
 * into one of TLS, which says the same. Nothing is kept. */
#ifndef NU_TOOLS_TAP_HELLO_V2_H
#define NU_TOOLS_TAP_HELLO_V2_H

#include "protocols/capture/link.h"

#define TAP_HELLO_V2_MAX 2048 /* bytes of one: 650 ciphers */

/* One of TLS, in a record. */
struct tap_hello_v2 {
    size_t used; /* bytes of the old one */
    size_t len;
    uint8_t record[TAP_HELLO_V2_MAX];
};

/* Of a stream's first bytes. NU_MORE: so far it may be one. NU_NOT_THIS. */
enum nu_err tap_hello_v2(struct nu_piece in, struct tap_hello_v2 *out);

#endif
