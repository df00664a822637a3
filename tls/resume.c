/* What a resumed session may leave out, and what not. A session stands for the verification that
 * its first handshake did, so it counts only where that would be done the same way again: in the
 * same context, with the same CAs and CRLs, while the client's certificate is valid, for the same
 * name. */
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

void tls_resume_install(SSL_CTX *ctx, const struct tls_creds *creds)
{
    unsigned char id[SSL_MAX_SID_CTX_LENGTH];
    const char *text = creds->context->text;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    nu_assert(hash && EVP_MD_get_size(EVP_sha256()) == sizeof id);
    EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    EVP_DigestUpdate(hash, text, strlen(text));
    if (creds->trust)
        EVP_DigestUpdate(hash, creds->trust->digest, sizeof creds->trust->digest);
    EVP_DigestFinal_ex(hash, id, NULL);
    EVP_MD_CTX_free(hash);
    nu_assert(SSL_CTX_set_session_id_context(ctx, id, sizeof id) == 1);
    SSL_CTX_set_session_ticket_cb(ctx, on_seal, on_ticket, NULL);
}
