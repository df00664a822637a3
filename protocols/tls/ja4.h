/* JA4: a ClientHello in 36 characters that stay the same when a client shuffles what it offers, by
 * FoxIO's public method: "t13d1516h2_8daaf6152771_b186095e22b6" is carrier, version, whether a name
 * was asked for, how many ciphers and extensions, the first ALPN name's ends; then hashes of the
 * sorted ciphers, and of the sorted extensions with the signature algorithms. JA4 is the only
 * method of its family that is free for all (BSD); the others are not built here. Sans-I/O; any
 * thread. */
#ifndef NU_PROTOCOLS_TLS_JA4_H
#define NU_PROTOCOLS_TLS_JA4_H

#include "protocols/tls/client_hello.h"

#define NU_JA4_BYTES 37 /* 36 characters and a NUL */

/* What carried the hello. */
enum nu_ja4_carrier { NU_JA4_TCP, NU_JA4_QUIC, NU_JA4_DTLS };
const char *nu_ja4_carrier_str(enum nu_ja4_carrier carrier); /* "t", "q", "d" */

/* Of a hello that was read whole (NU_OK). False, and "": this OpenSSL has no SHA-256. */
bool nu_ja4(const struct nu_client_hello *ch, enum nu_ja4_carrier carrier,
            char out[static NU_JA4_BYTES]);

#endif
