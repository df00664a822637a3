/* HTTP/2 where another layer has found out already that it is spoken. */
#ifndef NU_TOOLS_TAP_LAYER_H2_H
#define NU_TOOLS_TAP_LAYER_H2_H

#include "tools/tap/exchange.h"

/* After `Upgrade: h2c`: the request becomes stream 1's, and the layer's (RFC 7540 3.2). */
struct tap_layer *tap_h2_upgraded(struct tap_conn *conn, unsigned depth, struct tap_open *request);

#endif
