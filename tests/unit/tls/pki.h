/* Certificates made in memory for tests, and as files: names as OpenSSL's config has them
 * ("DNS:a.test,URI:spiffe://a/b"). */
#ifndef TESTS_UNIT_TLS_PKI_H
#define TESTS_UNIT_TLS_PKI_H

#include "core/assert.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static inline void pki_add(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    nu_assert(ext && X509_add_ext(cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

/* Self-signed, valid for a day. `san` NULL: none. The caller frees it. */
static inline X509 *pki_cert(EVP_PKEY *key, const char *common_name, const char *san)
{
    static long serial = 0x1000;
    X509 *cert = X509_new();
    nu_assert(cert != NULL);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1,
                               -1, 0);
    X509_set_issuer_name(cert, name);
    if (san)
        pki_add(cert, NID_subject_alt_name, san);
    nu_assert(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

/* Writes certificate and key to FOLDER/NAME.pem. */
static inline void pki_write(const char *folder, const char *name, X509 *cert, EVP_PKEY *key)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s.pem", folder, name);
    FILE *file = fopen(path, "w");
    nu_assert(file != NULL);
    nu_assert(PEM_write_X509(file, cert) == 1);
    nu_assert(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    nu_assert(fclose(file) == 0);
}

/* The same for a certificate made on the spot. */
static inline void pki_make(const char *folder, const char *name, EVP_PKEY *key, const char *cn,
                            const char *san)
{
    X509 *cert = pki_cert(key, cn, san);
    pki_write(folder, name, cert, key);
    X509_free(cert);
}

#endif
