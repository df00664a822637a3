/* Judging a peer's certificate, on its worker: first OpenSSL's verification of the chain, then what
 * a config says of names and hashes.
 *
 * OpenSSL makes the alert of the error that is left in the X509_STORE_CTX: revoked, expired,
 * unknown CA, unsupported certificate and so on. It knows none for access_denied (RFC 8446 6.2), so
 * a name that is not allowed ends in certificate_unknown and a hash that is not in bad_certificate.
 */
#include "tls/verify.h"

#include "core/assert.h"
#include "tls/cert.h"
#include "tls/conn.h"
#include "tls/peer.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SHOWN_MAX 300 /* bytes of a subject, or of a list of names, in a log line */

static struct nu_tls_conn *conn_of(X509_STORE_CTX *store)
{
    return nu_tls_conn_of(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

/* Latches the first refusal; always 0, what OpenSSL takes for no. */
static int refuse(X509_STORE_CTX *store, enum nu_tls_refusal refusal, int error, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));
static int refuse(X509_STORE_CTX *store, enum nu_tls_refusal refusal, int error, const char *fmt,
                  ...)
{
    char text[3 * SHOWN_MAX];
    struct nu_tls_conn *conn = conn_of(store);
    va_list ap;
    X509_STORE_CTX_set_error(store, error);
    if (conn->refusal != NU_TLS_REFUSED_NOT)
        return 0;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    conn->refusal = refusal;
    conn->why = nu_arena_strdup(nu_chain_arena(conn->filter->chain), text);
    return 0;
}

/* --- the chain --- */

/* What the config trusts is not subject to revocation: a list for a root, or for an intermediate CA
 * that stands for itself, is rarely to be had. */
static int forgive_anchor(int good, X509_STORE_CTX *store)
{
    int error = X509_STORE_CTX_get_error(store);
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
    bool missing =
        error == X509_V_ERR_UNABLE_TO_GET_CRL || error == X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER;
    bool anchor = chain && X509_STORE_CTX_get_error_depth(store) == sk_X509_num(chain) - 1;
    if (good || !missing || !anchor)
        return good;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static int refuse_chain(X509_STORE_CTX *store)
{
    char subject[SHOWN_MAX];
    int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
    X509 *at = X509_STORE_CTX_get_current_cert(store);
    if (!at)
        at = X509_STORE_CTX_get0_cert(store);
    tls_name_text(X509_get_subject_name(at), subject, sizeof subject);
    return refuse(store, NU_TLS_REFUSED_CERT, error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error,
                  "%s, depth %d, %s", X509_verify_cert_error_string(error), depth, subject);
}

/* Its own CA, whoever signed it: its hash is known. Dates and usage count all the same. */
static bool verify_alone(X509_STORE_CTX *store)
{
    STACK_OF(X509) *self = sk_X509_new_null();
    nu_assert(self && sk_X509_push(self, X509_STORE_CTX_get0_cert(store)) > 0);
    X509_STORE_CTX_set0_trusted_stack(store, self);
    X509_STORE_CTX_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    bool good = X509_verify_cert(store) > 0;
    sk_X509_free(self);
    return good;
}

static bool verify_chain(X509_STORE_CTX *store, const struct tls_verify *v)
{
    if (!v->trust)
        return verify_alone(store);
    if (v->trust->crl_count)
        X509_STORE_CTX_set_verify_cb(store, forgive_anchor);
    return X509_verify_cert(store) > 0;
}

/* --- who it is --- */

static int refuse_hash(X509_STORE_CTX *store, X509 *leaf)
{
    struct nu_tls_conn *conn = conn_of(store);
    const struct nu_tls_peer *peer =
        nu_tls_peer_new(leaf, false, nu_chain_arena(conn->filter->chain));
    return refuse(store, NU_TLS_REFUSED_HASH, X509_V_ERR_CERT_REJECTED,
                  "certificate not allowed by its hash, sha256 %s, %.*s", peer->sha256, SHOWN_MAX,
                  peer->subject);
}

/* All names of a certificate, for whoever has to find out why none fits. */
static const char *names_text(X509 *leaf, struct nu_arena *arena)
{
    const struct nu_tls_peer *p = nu_tls_peer_new(leaf, false, arena);
    const char *const list[] = {p->dns, p->uri, p->email, p->ip};
    const char *text = "";
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (*list[i])
            text = nu_arena_printf(arena, "%s%s%s", text, *text ? "," : "", list[i]);
    return *text ? text : "none";
}

static int refuse_name(X509_STORE_CTX *store, X509 *leaf, int error, const char *wanted)
{
    char subject[SHOWN_MAX];
    struct nu_tls_conn *conn = conn_of(store);
    const char *names = names_text(leaf, nu_chain_arena(conn->filter->chain));
    tls_name_text(X509_get_subject_name(leaf), subject, sizeof subject);
    return refuse(store, NU_TLS_REFUSED_SAN, error, "%s, its names are %.*s, %s", wanted, SHOWN_MAX,
                  names, subject);
}

/* The name it was asked for, or the address where there was none to ask for. */
static int judge_server(X509_STORE_CTX *store, const struct tls_verify *v, X509 *leaf)
{
    char text[NU_ADDR_TEXT_MAX];
    struct nu_tls_conn *conn = conn_of(store);
    const char *host = SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
    const struct nu_addr *addr = nu_facts_exchange(nu_chain_facts(conn->filter->chain))->upstream;
    if (v->any_name || (v->san ? tls_server_has_san(v->san, leaf)
                        : host ? tls_server_is_host(leaf, host)
                               : addr && tls_server_is_addr(leaf, addr)))
        return 1;
    if (v->san)
        return refuse_name(store, leaf, X509_V_ERR_HOSTNAME_MISMATCH,
                           "certificate has none of the names in \"san\"");
    const char *wanted = host ? host : addr ? nu_addr_str_ip(addr, text) : "?";
    char words[SHOWN_MAX];
    snprintf(words, sizeof words, "certificate is not for %.253s", wanted);
    return refuse_name(store, leaf, X509_V_ERR_HOSTNAME_MISMATCH, words);
}

static int judge_client(X509_STORE_CTX *store, const struct tls_verify *v, X509 *leaf)
{
    if (tls_allow_has_hashes(v->allow) && !tls_allow_hash(v->allow, leaf))
        return refuse_hash(store, leaf);
    /* An error that OpenSSL has no alert of its own for: certificate_unknown. */
    if (tls_allow_has_names(v->allow) && !tls_allow_name(v->allow, leaf))
        return refuse_name(store, leaf, X509_V_ERR_SUBJECT_ISSUER_MISMATCH,
                           "certificate not allowed by its names");
    return 1;
}

/* Clients that are known by their hashes are looked at before the chain, which is nothing then. */
static int on_verify(X509_STORE_CTX *store, void *arg)
{
    const struct tls_verify *v = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    if (!v->trust && !tls_allow_hash(v->allow, leaf))
        return refuse_hash(store, leaf);
    if (!verify_chain(store, v))
        return refuse_chain(store);
    return v->allow ? judge_client(store, v, leaf) : judge_server(store, v, leaf);
}

/* --- main --- */

static void set_params(SSL_CTX *ctx, const struct tls_verify *v)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN; /* what the config trusts is the end */
    if (v->trust && v->trust->crl_count)
        flags |= X509_V_FLAG_CRL_CHECK |
                 (v->crl_check == TLS_CRL_CHAIN ? (unsigned long)X509_V_FLAG_CRL_CHECK_ALL : 0);
    X509_VERIFY_PARAM_set_flags(param, flags);
    SSL_CTX_set_verify_depth(ctx, v->depth);
}

void tls_verify_install(SSL_CTX *ctx, const struct tls_verify *v, bool optional)
{
    bool server = SSL_CTX_get_ssl_method(ctx) == TLS_server_method();
    if (v->trust)
        SSL_CTX_set1_cert_store(ctx, v->trust->store);
    set_params(ctx, v);
    SSL_CTX_set_verify(
        ctx, SSL_VERIFY_PEER | (server && !optional ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, (void *)v);
    if (server && v->trust && v->trust->names)
        SSL_CTX_set_client_CA_list(ctx, SSL_dup_CA_list(v->trust->names));
}
