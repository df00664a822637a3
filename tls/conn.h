/* One TLS connection as its parts see it: the filter that carries its bytes, the context that
 * shaped it, the callbacks that verify. Owned by the filter; every SSL has it as its app data
 * (SSL_get_app_data). Lives on its chain's worker. */
#ifndef NU_TLS_CONN_H
#define NU_TLS_CONN_H

#include "core/chain.h"

#include <openssl/ssl.h>

struct nu_tls_context;

/* Why a peer was not taken, where that is ours to say. */
enum nu_tls_refusal {
    NU_TLS_REFUSED_NOT,
    NU_TLS_REFUSED_NO_CERT, /* required, and none was sent */
    NU_TLS_REFUSED_CERT,    /* chain, dates, revocation, usage: X509_verify_cert's word */
    NU_TLS_REFUSED_SAN,     /* no name in it is allowed, or is the server's */
    NU_TLS_REFUSED_HASH,    /* its hash is not among the allowed ones */
    NU_TLS_REFUSED_COUNT
};
const char *nu_tls_refusal_str(enum nu_tls_refusal refusal);

struct nu_tls_conn {
    SSL *ssl; /* NULL before the first byte of a client, and when all is over */
    struct nu_tls_context *context;
    struct nu_filter *filter; /* its chain has facts and an arena for what callbacks keep */
    const char *why;          /* of a refusal: OpenSSL's reason, the subject seen; in the arena */
    enum nu_tls_refusal refusal; /* latched by verification, the first one counts */
    bool shown;                  /* our own certificate was sent in this handshake */
};

static inline struct nu_tls_conn *nu_tls_conn_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

#endif
