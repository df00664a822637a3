/* Frames of WebSocket (RFC 6455 5): cut out of received bytes as they are, never copied, never
 * unmasked. Knows lengths only; whether a frame may come is check.h's to say. No socket, no clock;
 * one thread per cutter. */
#ifndef NU_PROTOCOLS_WS_FRAME_H
#define NU_PROTOCOLS_WS_FRAME_H

#include "core/event.h"

#define NU_WS_HEADER_MAX  14  /* bytes: 2, 8 of length, 4 of mask */
#define NU_WS_CONTROL_MAX 125 /* bytes of a control frame's payload (RFC 6455 5.5) */

enum nu_ws_opcode {
    NU_WS_CONTINUATION = 0,
    NU_WS_TEXT = 1,
    NU_WS_BINARY = 2,
    NU_WS_CLOSE = 8,
    NU_WS_PING = 9,
    NU_WS_PONG = 10,
};

/* Bits of a frame's first byte. */
enum { NU_WS_FIN = 0x80, NU_WS_RSV1 = 0x40, NU_WS_RSV = 0x70 };

struct nu_ws_header {
    uint64_t len;  /* of the payload; as it was sent, so up to 2^64 - 1 */
    uint8_t bytes; /* of the header */
    uint8_t first;
    bool masked;
    bool minimal; /* the length takes no more bytes than it needs to (RFC 6455 5.2) */
    uint8_t mask[4];
};

static inline enum nu_ws_opcode nu_ws_opcode(uint8_t first)
{
    return (enum nu_ws_opcode)(first & 15);
}
static inline bool nu_ws_is_control(uint8_t first)
{
    return first & 8;
}

/* False: `len` bytes are not all of it. `out` is set on every path. */
bool nu_ws_read_header(const uint8_t *at, size_t len, struct nu_ws_header *out);

/* A frame that one call makes: `out` has room for NU_WS_HEADER_MAX + len bytes, len is at most
 * NU_WS_CONTROL_MAX. `mask`: from a client; NULL: from a server. Returns the bytes. */
size_t nu_ws_write(uint8_t *out, uint8_t first, const uint8_t *payload, size_t len,
                   const uint8_t *mask);

/* Zeroed memory is one at the start of a stream. */
struct nu_ws_cutter {
    uint64_t left;        /* of the payload, not received */
    struct nu_slice held; /* a header, or a control frame, that reads have cut: 139 bytes at most */
    uint8_t first;        /* of the frame in progress */
};

/* The first piece of `len` bytes, more than none, which stay where they are: `out` owns nothing.
 * False: a header, or a control frame that comes whole, is not all there. For who looks ahead on a
 * copy of the cutter; nothing may be held. */
bool nu_ws_peek(struct nu_ws_cutter *c, const uint8_t *at, size_t len, struct nu_msg *out);
/* Takes the next piece off the front of `in`, which keeps the rest: a frame or what there is of it.
 * Control frames of legal length come whole. False: there is none, and `in` is empty. */
bool nu_ws_cut(struct nu_ws_cutter *c, struct nu_block_pool *pool, struct nu_slice *in,
               struct nu_msg *out);
/* Lets go of what is held. */
void nu_ws_cutter_free(struct nu_ws_cutter *c);

#endif
