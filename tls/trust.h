/* Whom to believe: certificates of CAs, and lists of what they revoked, from files or the system.
 * Inside of tls/. */
#ifndef NU_TLS_TRUST_H
#define NU_TLS_TRUST_H

#include "tls/loaded.h"

#include <openssl/x509_vfy.h>
#include <stdint.h>

#define TLS_CA_NAMES_MAX 32 /* told to clients in a CertificateRequest: 2-4 KiB of handshake */

struct tls_trust_files {
    const char *ca;  /* PEM, or a folder of such files; NULL: what the system trusts */
    const char *crl; /* PEM or DER; NULL: none */
};

struct tls_trust {
    struct tls_loaded loaded; /* first member */
    struct tls_trust_files files;
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* of the CAs, as far as they are told to clients */
    unsigned ca_count, crl_count;
    int64_t not_after_s;      /* of the CA that ends first; INT64_MAX: it is the system's matter */
    unsigned char digest[32]; /* of all certificates and CRLs: what sessions depend on */
};

/* What these files hold, loaded already and unchanged, or loaded now; with a reference for the
 * caller. NULL: told in problem, for key "ca" or "crl". Main thread. */
struct tls_trust *tls_trust_get(const struct tls_trust_files *files, struct tls_problem *problem);

static inline struct tls_trust *tls_trust_ref(struct tls_trust *trust)
{
    return (struct tls_trust *)tls_loaded_ref(&trust->loaded);
}

/* Any thread. NULL is fine. */
static inline void tls_trust_put(struct tls_trust *trust)
{
    tls_loaded_put((struct tls_loaded *)trust);
}

#endif
