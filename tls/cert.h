/* One certificate with its chain, key and OCSP staple, as named in a config: loaded, checked, and
 * shared by every context that names the same files. Inside of tls/. */
#ifndef NU_TLS_CERT_H
#define NU_TLS_CERT_H

#include "tls/loaded.h"

#include <openssl/x509.h>
#include <stdint.h>

/* As written. Paths are absolute; NULL = not given. */
struct tls_cert_files {
    const char *cert, *key; /* PEM; no key: it stands in cert */
    const char *pkcs12;     /* instead of both */
    const char *passphrase; /* a file */
    const char *ocsp;       /* DER */
};

struct tls_cert {
    struct tls_loaded loaded; /* first member */
    struct tls_cert_files files;
    X509 *leaf;
    STACK_OF(X509) * chain; /* behind the leaf, as in the file; may be empty */
    EVP_PKEY *key;
    const char *
        *names; /* DNS names, lower case, wildcards as they are; the CN where there is none */
    size_t name_count;
    int64_t not_after_s; /* since the epoch; of the first in the chain that ends */

    const unsigned char *staple; /* NULL: none, or not fit to be sent */
    size_t staple_len;
    int64_t staple_until_s; /* nextUpdate; not sent from then on */
};

/* The certificate of these files, loaded already and unchanged, or loaded now; with a reference for
 * the caller. NULL: told in problem. Main thread. */
struct tls_cert *tls_cert_get(const struct tls_cert_files *files, struct tls_problem *problem);

static inline struct tls_cert *tls_cert_ref(struct tls_cert *cert)
{
    return (struct tls_cert *)tls_loaded_ref(&cert->loaded);
}

/* Any thread. NULL is fine. */
static inline void tls_cert_put(struct tls_cert *cert)
{
    tls_loaded_put((struct tls_loaded *)cert);
}

/* Of ocsp.c: reads and checks files.ocsp. False: it is no OCSP response; one that must not be sent
 * is a warning. */
bool tls_ocsp_load(struct tls_cert *cert, struct tls_problem *problem);

/* Of cert_text.c: a name as RFC 2253 has it, escaped to printable ASCII and cut; returns buf. */
const char *tls_name_text(const X509_NAME *name, char *buf, size_t size);
const char *tls_subject(const X509 *cert, char *buf, size_t size);
int64_t tls_time_s(const ASN1_TIME *time);

#endif
