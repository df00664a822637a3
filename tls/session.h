/* Sessions that servers gave us, for the next connection to the same endpoint. Each worker keeps
 * its own, at most NU_TLS_SESSIONS_MAX; the least recently used one goes. A session belongs to the
 * SSL_CTX it was made with, the endpoint's address and the server name: one that was verified by
 * other rules or credentials is never offered. */
#ifndef NU_TLS_SESSION_H
#define NU_TLS_SESSION_H

#include "tls/conn.h"

#define NU_TLS_SESSIONS_MAX 512 /* a worker; a few KiB each, with the server's certificate */
#define NU_TLS_SESSIONS_A_SERVER                                                                   \
    8 /* of TLS 1.3, each good for one connection: as many as may begin at a time */

/* Has sessions of connections of this SSL_CTX kept. Main thread, once, before an SSL is made. */
void nu_tls_sessions_setup(SSL_CTX *ctx);

/* Client role, on a new SSL whose server name is set: gives it a session to resume, if there is one
 * for its chain's facts->upstream. A TLS 1.3 session is offered once (RFC 8446 C.4). */
void nu_tls_session_offer(struct nu_tls_conn *conn);

#endif
