/* Writes HTTP/1.1 messages into blocks (RFC 9112). What it writes is one message to every reader:
 * framing comes from the head's facts and never from its fields, and no text can end a line. No
 * socket, no clock. */
#ifndef NU_PROTOCOLS_HTTP_H1_WRITE_H
#define NU_PROTOCOLS_HTTP_H1_WRITE_H

#include "core/block.h"
#include "protocols/http/head.h"

#define NU_H1_CHUNK_HEAD_MAX 18 /* bytes: 16 digits, CRLF */

/* What the head does not say. */
struct nu_h1_how {
    bool close;      /* this connection ends with this message: Connection: close */
    bool keep_alive; /* say that it does not, to a peer of HTTP/1.0: Connection: keep-alive */
};

/* How much room in a block nu_h1_write_head or nu_h1_write_trailers needs at most. */
size_t nu_h1_head_room(const struct nu_http_head *head);

/* Writes start line, fields and the empty line behind what the block has, and freezes them as
 * `out`, the caller's own share. A head with a status is a response.
 *
 * Version is always 1.1 (RFC 9110 2.5). Host is `authority`, the target is `path`, or `authority`
 * for CONNECT. By `body`: LENGTH writes Content-Length, CHUNKED Transfer-Encoding, CLOSE adds
 * Connection: close, NONE writes Content-Length where it was sent (HEAD, 304), or 0 for a response
 * that could have a body. `upgrade` writes Connection: upgrade. Fields for one connection only, and
 * those of framing, are left out.
 *
 * NU_ERR_SYNTAX: a text that cannot be sent: control characters, no token, no target; no host,
 * which a request of HTTP/1.0 may lack: the caller sets `authority` then. NU_ERR_LIMIT: less room
 * than nu_h1_head_room. Then nothing was written and `out` is empty. */
enum nu_err nu_h1_write_head(struct nu_block *block, const struct nu_http_head *head,
                             const struct nu_h1_how *how, struct nu_slice *out);

/* The same in a block of its own off the pool, which has room: errors are those of texts. */
enum nu_err nu_h1_make_head(struct nu_block_pool *pool, const struct nu_http_head *head,
                            const struct nu_h1_how *how, struct nu_slice *out);

/* The last chunk and the trailers of a chunked body; fields barred from trailers (RFC 9110 6.5.1)
 * are left out. Errors as above. */
enum nu_err nu_h1_write_trailers(struct nu_block *block, const struct nu_http_head *trail,
                                 struct nu_slice *out);

/* Writes the head of a chunk of `len` bytes and returns its length; 0 for len 0, which would be
 * the last chunk: nothing is to be sent then. Its data and nu_h1_chunk_tail follow. */
size_t nu_h1_chunk_head(uint8_t out[static NU_H1_CHUNK_HEAD_MAX], uint64_t len);
struct nu_slice nu_h1_chunk_tail(void); /* CRLF; static memory */
/* The last chunk, and no trailers: for a body that is whole, never for one cut short. */
struct nu_slice nu_h1_last_chunk(void);

/* "OK", ...; "" for a status that has no name (RFC 9110 15 and its registry). */
const char *nu_http_reason_str(unsigned status);

#endif
