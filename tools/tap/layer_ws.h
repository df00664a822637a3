/* WebSocket behind its handshake: over HTTP/1 a whole connection, over HTTP/2 a stream. */
#ifndef NU_TOOLS_TAP_LAYER_WS_H
#define NU_TOOLS_TAP_LAYER_WS_H

#include "protocols/ws/inflate.h"
#include "tools/tap/layer.h"

/* `exchange` is the number of the one that opened it; `deflate` what its response agreed to. */
struct tap_layer *tap_ws_new(struct tap_conn *conn, unsigned depth, uint64_t exchange,
                             const struct nu_ws_deflate *deflate);

#endif
