/* What a peer's certificate says, as facts. */
#ifndef NU_TLS_PEER_H
#define NU_TLS_PEER_H

#include "core/arena.h"
#include "core/facts.h"

#include <openssl/x509.h>

#define NU_TLS_PEER_NAMES_MAX                                                                      \
    4096 /* bytes of one kind of names: four SPIFFE IDs of the largest size fit; the rest is "..." \
          */
#define NU_TLS_PEER_NAME_MAX 1024 /* bytes of a subject or an issuer */
#define NU_TLS_PEER_PEM_MAX                                                                        \
    (16 * 1024) /* bytes of a chain as it goes into a header: no server takes longer ones */

/* The certificate's facts, all from the arena. Nothing but printable ASCII: other bytes, commas and
 * backslashes inside of names are \xHH. On a worker. */
struct nu_tls_peer *nu_tls_peer_new(const X509 *cert, bool verified, struct nu_arena *arena);

/* Adds the certificate, and itself with its chain (NULL: none was sent), as URL-encoded PEM. */
void nu_tls_peer_pem(struct nu_tls_peer *peer, X509 *cert, STACK_OF(X509) * chain,
                     struct nu_arena *arena);

/* The SHA-256 of the certificate, or of its public key info; false: OpenSSL cannot tell. */
bool nu_tls_cert_sha256(const X509 *cert, unsigned char out[static 32]);
bool nu_tls_spki_sha256(const X509 *cert, unsigned char out[static 32]);

#endif
