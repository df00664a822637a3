/* Judging a peer's certificate: chain, revocation, names, hashes. Inside of tls/. */
#ifndef NU_TLS_VERIFY_H
#define NU_TLS_VERIFY_H

#include "tls/allow.h"
#include "tls/trust.h"

#include <openssl/ssl.h>

#define TLS_DEPTH_MAX 16 /* intermediate CAs; real chains have one to three */

enum tls_crl_check { TLS_CRL_CHAIN, TLS_CRL_LEAF };

/* What a certificate has to be; members point into settings and creds. */
struct tls_verify {
    struct tls_trust *trust; /* NULL: clients known by their hashes alone */
    enum tls_crl_check crl_check;
    int depth;
    const struct tls_allow *allow; /* clients; NULL = any */
    const struct nu_vec *san;      /* servers: struct tls_san; NULL = the name that is asked for */
    bool any_name;                 /* servers: whatever they are called */
};

/* Has every connection of the SSL_CTX judge its peer; `verify` lives as long as the SSL_CTX.
 * `optional`: a client may do without a certificate. A refusal is latched in the connection's
 * nu_tls_conn, with words. Main thread. */
void tls_verify_install(SSL_CTX *ctx, const struct tls_verify *verify, bool optional);

#endif
