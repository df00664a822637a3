/* The first packet that a Postgres client sends: does it ask for TLS, speak TLS at once, or begin a
 * session? (PostgreSQL protocol 55.2.10, 55.7.) Eight bytes tell; what stands behind them is not
 * looked at. Sans-I/O. For STARTTLS, and for the tap. */
#ifndef NU_PROTOCOLS_POSTGRES_H
#define NU_PROTOCOLS_POSTGRES_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

#define NU_PG_HEAD_BYTES 8     /* length and code: as much as ever has to be kept */
#define NU_PG_MAX_BYTES  10000 /* of a start packet; the server's own cap */

#define NU_PG_TLS_GRANTED 'S' /* the answers to an SSLRequest, one byte */
#define NU_PG_TLS_REFUSED 'N' /* and to a GSSENCRequest */

enum nu_pg_first {
    NU_PG_SSL_REQUEST, /* 8 bytes and no more */
    NU_PG_GSSENC_REQUEST,
    NU_PG_CANCEL_REQUEST, /* a session of its own: nothing is answered */
    NU_PG_STARTUP,        /* StartupMessage in plain */
    NU_PG_TLS_HELLO,      /* a TLS record: sslnegotiation=direct, since PostgreSQL 17 */
};
const char *nu_pg_first_str(enum nu_pg_first first);

/* Reads the first bytes a client sent, all that there are. NU_MORE: fewer than tell, never with
 * NU_PG_HEAD_BYTES or more. NU_NOT_THIS: no Postgres client, known as soon as a byte is wrong.
 * NU_OK: *out is what it is. */
enum nu_err nu_pg_first_read(const uint8_t *data, size_t len, enum nu_pg_first *out);

/* What a client sends to have TLS. */
extern const uint8_t nu_pg_ssl_request[NU_PG_HEAD_BYTES];

/* An ErrorResponse of severity FATAL with the five-character SQLSTATE and the message (no NUL in
 * it); written to `out`, returns its bytes. */
#define NU_PG_ERROR_MAX 256
size_t nu_pg_error(uint8_t out[static NU_PG_ERROR_MAX], const char *sqlstate, const char *message);

#endif
