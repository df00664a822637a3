/* Fingerprints of clients that we terminate: JA3 and JA4 of the ClientHello as OpenSSL hands it to
 * its message callback, made only where the chain's log asks for them and no sniffer has made them
 * already. */
#ifndef NU_TLS_FINGERPRINT_H
#define NU_TLS_FINGERPRINT_H

#include "tls/conn.h"

/* Server role: the first ClientHello, whole, from its type on (not the second one that follows a
 * HelloRetryRequest). Writes its chain's facts; borrows msg during the call. */
void nu_tls_fingerprint_hello(struct nu_tls_conn *conn, const void *msg, size_t len);

#endif
