/* The opening handshake of WebSocket (RFC 6455 4) on heads of HTTP/1: what codecs ask of either
 * side before what follows is taken for frames. Over HTTP/2 there is neither key nor answer to it
 * (RFC 8441 5). No socket, no memory of its own; any thread. */
#ifndef NU_PROTOCOLS_WS_HANDSHAKE_H
#define NU_PROTOCOLS_WS_HANDSHAKE_H

#include "protocols/http/head.h"

#define NU_WS_KEY_LEN    24 /* base64 of 16 bytes */
#define NU_WS_ACCEPT_LEN 28 /* base64 of a SHA-1 */

/* Why a request opens no WebSocket: name, status of the answer. The name is what the access log
 * has as the response's details. */
#define NU_WS_FAULTS(X)                                                                            \
    X(FINE, "", 0)                                                                                 \
    X(METHOD, "websocket_method", 400)   /* not GET */                                             \
    X(VERSION, "websocket_version", 426) /* another than 13, which the answer asks for */          \
    X(KEY, "websocket_key", 400)         /* not one key of 16 bytes */

#define NU_WS_FAULT(id, name, status) NU_WS_##id,
enum nu_ws_fault { NU_WS_FAULTS(NU_WS_FAULT) };
#undef NU_WS_FAULT
const char *nu_ws_fault_str(enum nu_ws_fault fault);
unsigned nu_ws_fault_status(enum nu_ws_fault fault);

/* Whether the protocols that an Upgrade offers have WebSocket among them (RFC 9110 7.8). */
bool nu_ws_is_offered(struct nu_text upgrade);
/* A request that offers it. HTTP/2 has no key. */
enum nu_ws_fault nu_ws_judge_request(const struct nu_http_head *head);
bool nu_ws_is_key(struct nu_text key);
/* Whether a 101 grants it to a request with that key. */
bool nu_ws_is_granted(const struct nu_http_head *response, struct nu_text key);

/* What a server has to say to a key, which is well-formed. */
void nu_ws_accept(struct nu_text key, char out[static NU_WS_ACCEPT_LEN]);
/* A key of 16 bytes that nobody could know before. */
void nu_ws_key(const uint8_t nonce[static 16], char out[static NU_WS_KEY_LEN]);

/* Whether a 101 says that messages may be compressed (RFC 7692): RSV1 has a meaning then. */
bool nu_ws_is_deflate(const struct nu_http_head *response);

#endif
