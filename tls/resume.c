/* What a resumed session may leave out, and what not. A session stands for the verification that
 * its first handshake did, so it counts only where that would be done the same way again: by the
 * same rules for clients, with the same CAs and CRLs, while the client's certificate is valid, for
 * the same name. Certificates and keys of ours may change meanwhile. */
#include "core/assert.h"
#include "tls/context_priv.h"

#include <openssl/evp.h>
#include <string.h>

#define NAME_HASH 16 /* bytes of a SHA-256 in each ticket: nobody gains by a name that collides */

/* Of the name that the client asks for, as the filter read it from the ClientHello: OpenSSL opens
 * tickets before it looks at names. */
static void hash_name(SSL *ssl, unsigned char out[static NAME_HASH])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    const struct nu_tls_conn *conn = nu_tls_conn_of(ssl);
    const struct nu_facts_more *more = conn ? nu_chain_facts(conn->filter->chain)->more : NULL;
    const char *name = more && more->sni ? more->sni : "";
    nu_assert(EVP_Digest(name, strlen(name), digest, NULL, EVP_sha256(), NULL) == 1);
    memcpy(out, digest, NAME_HASH);
}

/* A ticket is about to be sealed. */
static int on_seal(SSL *ssl, void *arg)
{
    unsigned char hash[NAME_HASH];
    hash_name(ssl, hash);
    return SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl), hash, sizeof hash);
}

static bool same_name(SSL *ssl, SSL_SESSION *session)
{
    unsigned char hash[NAME_HASH];
    void *was;
    size_t len;
    hash_name(ssl, hash);
    return SSL_SESSION_get0_ticket_appdata(session, &was, &len) == 1 && len == sizeof hash &&
           memcmp(was, hash, sizeof hash) == 0;
}

static bool still_valid(SSL_SESSION *session)
{
    const X509 *peer = SSL_SESSION_get0_peer(session);
    return !peer || X509_cmp_current_time(X509_get0_notAfter(peer)) > 0;
}

/* A ticket has been opened, or not. */
static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (!still_valid(session) || !same_name(ssl, session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* With its end, so that no two lists of texts are the same bytes. */
static void add_text(EVP_MD_CTX *hash, const char *text)
{
    EVP_DigestUpdate(hash, text, strlen(text) + 1);
}

/* Keys from files are for machines that share them, whatever their listeners are called; others are
 * for one listener. TLS 1.2 resumes with the session's cipher without a look at the list. */
static void add_rules(EVP_MD_CTX *hash, const struct tls_context *context)
{
    const struct tls_server_conf *conf = context->conf.server;
    add_text(hash, tls_context_ticket_keys(context) ? "" : context->pub.owner);
    add_text(hash, conf->clients_text);
    add_text(hash, conf->params.cipher_list);
    add_text(hash, conf->params.suite_list);
    add_text(hash, tls_version_names[conf->params.min]);
    add_text(hash, tls_version_names[conf->params.max]);
}

void tls_resume_install(SSL_CTX *ctx, const struct tls_creds *creds)
{
    unsigned char id[SSL_MAX_SID_CTX_LENGTH];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    nu_assert(hash && EVP_MD_get_size(EVP_sha256()) == sizeof id);
    EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    add_rules(hash, creds->context);
    if (creds->trust)
        EVP_DigestUpdate(hash, creds->trust->digest, sizeof creds->trust->digest);
    EVP_DigestFinal_ex(hash, id, NULL);
    EVP_MD_CTX_free(hash);
    nu_assert(SSL_CTX_set_session_id_context(ctx, id, sizeof id) == 1);
    SSL_CTX_set_session_ticket_cb(ctx, on_seal, on_ticket, NULL);
}
