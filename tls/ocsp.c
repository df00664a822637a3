/* OCSP responses to staple: read from files and checked on main, sent on workers while they are
 * good. Who renews the file is somebody else; it is watched like the certificate. */
#include "core/assert.h"
#include "tls/context_priv.h"
#include "tls/stats.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <string.h>
#include <time.h>

#define SKEW_S 300 /* clocks of CAs may be ahead of ours */

static int slot = -1; /* of a leaf's ex data: its struct tls_cert, which owns it */

/* --- main --- */

static X509 *issuer_of(const struct tls_cert *cert)
{
    X509 *next = sk_X509_num(cert->chain) ? sk_X509_value(cert->chain, 0) : NULL;
    return next && X509_check_issued(next, cert->leaf) == X509_V_OK ? next : NULL;
}

/* The issuer's name and key are hashed in a CertID; without the issuer's certificate the name has
 * to do. */
static bool is_about(const OCSP_CERTID *id, const struct tls_cert *cert)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    ASN1_OCTET_STRING *name, *key;
    ASN1_OBJECT *digest;
    ASN1_INTEGER *serial;
    OCSP_id_get0_info(&name, &digest, &key, &serial, (OCSP_CERTID *)id);
    const EVP_MD *md = EVP_get_digestbyobj(digest);
    const X509_NAME *issuer = X509_get_issuer_name(cert->leaf);
    return md && ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert->leaf)) == 0 &&
           X509_NAME_digest(issuer, md, hash, &len) == 1 && (int)len == ASN1_STRING_length(name) &&
           memcmp(hash, ASN1_STRING_get0_data(name), len) == 0;
}

static OCSP_SINGLERESP *find_answer(OCSP_BASICRESP *basic, const struct tls_cert *cert)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *answer = OCSP_resp_get0(basic, i);
        if (is_about(OCSP_SINGLERESP_get0_id(answer), cert))
            return answer;
    }
    return NULL;
}

/* Signed by the issuer, or by somebody whom the issuer has made responder. */
static bool is_signed(OCSP_BASICRESP *basic, const struct tls_cert *cert)
{
    X509 *issuer = issuer_of(cert);
    if (!issuer)
        return true;
    X509_STORE *store = X509_STORE_new();
    nu_assert(store != NULL);
    X509_STORE_add_cert(store, issuer);
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    bool good = OCSP_basic_verify(basic, cert->chain, store, 0) == 1;
    X509_STORE_free(store);
    ERR_clear_error();
    return good;
}

static void keep(struct tls_cert *cert, OCSP_RESPONSE *response, int64_t until_s)
{
    int len = i2d_OCSP_RESPONSE(response, NULL);
    unsigned char *at = nu_arena_alloc(cert->loaded.arena, (size_t)len);
    cert->staple = at;
    cert->staple_len = (size_t)i2d_OCSP_RESPONSE(response, &at);
    cert->staple_until_s = until_s;
    if (slot < 0)
        slot = X509_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    X509_set_ex_data(cert->leaf, slot, cert);
}

/* Keeps it if it is fit to be sent. */
static void judge(struct tls_cert *cert, OCSP_RESPONSE *response, OCSP_SINGLERESP *answer)
{
    const char *path = cert->files.ocsp;
    ASN1_GENERALIZEDTIME *from, *until;
    int status = OCSP_single_get0_status(answer, NULL, NULL, &from, &until);
    int64_t now = time(NULL), until_s = until ? tls_time_s(until) : INT64_MAX;
    if (status != V_OCSP_CERTSTATUS_GOOD)
        tls_loaded_warn(&cert->loaded, "ocsp", "%s says of the certificate: %s; it is not sent",
                        path, OCSP_cert_status_str(status));
    else if (until_s <= now)
        tls_loaded_warn(&cert->loaded, "ocsp", "%s is outdated since %lld hours; it is not sent",
                        path, (long long)(now - until_s) / 3600);
    else if (tls_time_s(from) > now + SKEW_S)
        tls_loaded_warn(&cert->loaded, "ocsp", "%s is from the future; it is not sent", path);
    else
        keep(cert, response, until_s);
}

static bool check(struct tls_cert *cert, OCSP_RESPONSE *response, struct tls_problem *problem)
{
    const char *path = cert->files.ocsp;
    int status = OCSP_response_status(response);
    if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return tls_problem(problem, "ocsp", "%s is a failure of the responder: %s", path,
                           OCSP_response_status_str(status));
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    OCSP_SINGLERESP *answer = basic ? find_answer(basic, cert) : NULL;
    bool good = answer != NULL;
    if (!good)
        tls_problem(problem, "ocsp", "%s is not about this certificate", path);
    else if (!is_signed(basic, cert))
        good = tls_problem(problem, "ocsp", "%s is not signed by the certificate's issuer", path);
    else
        judge(cert, response, answer);
    OCSP_BASICRESP_free(basic);
    return good;
}

bool tls_ocsp_load(struct tls_cert *cert, struct tls_problem *problem)
{
    BIO *in = tls_file_open(cert->files.ocsp, "ocsp", problem);
    if (!in)
        return false;
    ERR_clear_error();
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE_bio(in, NULL);
    BIO_free(in);
    bool good = response ? check(cert, response, problem)
                         : tls_problem(problem, "ocsp", "%s is no OCSP response (DER): %s",
                                       cert->files.ocsp, tls_openssl_reason());
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return good;
}

/* --- workers --- */

static int count(SSL *ssl, enum nu_tls_stat stat, int answer)
{
    const struct nu_tls_conn *conn = nu_tls_conn_of(ssl);
    nu_stat_add(conn->context->stats, nu_filter_loop(conn->filter)->shard, stat, 1);
    return answer;
}

/* The client has asked, and the certificate is chosen. */
static int on_status(SSL *ssl, void *arg)
{
    const X509 *leaf = SSL_get_certificate(ssl);
    const struct tls_cert *cert = leaf ? X509_get_ex_data(leaf, slot) : NULL;
    if (!cert || !cert->staple || cert->staple_until_s <= (int64_t)time(NULL))
        return count(ssl, NU_TLS_OCSP_OMITTED, SSL_TLSEXT_ERR_NOACK);
    unsigned char *copy = OPENSSL_memdup(cert->staple, cert->staple_len);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)cert->staple_len); /* takes the copy */
    return count(ssl, NU_TLS_OCSP_STAPLED, SSL_TLSEXT_ERR_OK);
}

void tls_ocsp_install(SSL_CTX *ctx, struct tls_creds *creds)
{
    for (size_t i = 0; i < creds->cert_count; i++)
        if (creds->cert[i]->files.ocsp) {
            SSL_CTX_set_tlsext_status_cb(ctx, on_status);
            return;
        }
}
