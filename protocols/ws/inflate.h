/* permessage-deflate (RFC 7692), the receiving side of it as an onlooker: what a handshake agreed
 * on, and messages made readable. Output is the caller's to bound. No socket; one thread. */
#ifndef NU_PROTOCOLS_WS_INFLATE_H
#define NU_PROTOCOLS_WS_INFLATE_H

#include "protocols/http/head.h"

/* What a 101 says of it (RFC 7692 7.1). */
struct nu_ws_deflate {
    bool on;
    bool fresh[2]; /* no context takeover: of what the client sends, of what the server sends */
    uint8_t windows[2]; /* bits, 8 to 15 */
};
/* Parameters that make no sense are passed over. */
struct nu_ws_deflate nu_ws_deflate_of(const struct nu_http_head *response);

#define NU_WS_INFLATE_BYTES (100u * 1024) /* that one takes, at most */
#define NU_WS_INFLATE_ROOM  (16u * 1024)  /* bytes of output at once */

struct nu_ws_inflate;
/* One direction's. Never NULL. */
struct nu_ws_inflate *nu_ws_inflate_new(const struct nu_ws_deflate *deflate, unsigned dir);
/* NULL is fine. */
void nu_ws_inflate_free(struct nu_ws_inflate *inflate);

/* Makes some of a message's bytes readable, what it took is off the front of `in`: up to `room`
 * bytes (NU_WS_INFLATE_ROOM at most) to `out`, whose number is *len. NU_MORE: again with new room.
 * NU_OK: all was taken. NU_ERR_SYNTAX: no deflate; this message cannot be read, nor one that takes
 * over its context. */
enum nu_err nu_ws_inflate(struct nu_ws_inflate *inflate, const uint8_t **in, size_t *in_len,
                          uint8_t *out, size_t room, size_t *len);
/* The same at a message's end, for what its sender leaves out there. After NU_OK the next begins.
 */
enum nu_err nu_ws_inflate_end(struct nu_ws_inflate *inflate, uint8_t *out, size_t room,
                              size_t *len);
/* A message that was not compressed, or a part of it. It is no context for later ones (RFC 7692
 * 7.2.1), but some senders' compressors have seen it all the same: where later messages cannot be
 * read without it, they are read with it. */
void nu_ws_inflate_plain(struct nu_ws_inflate *inflate, const uint8_t *bytes, size_t len);
/* The message is given up, at its end or within: whether later ones can be read all the same. */
bool nu_ws_inflate_skip(struct nu_ws_inflate *inflate);

#endif
