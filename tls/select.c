/* Which certificates a client is shown, and which protocol is agreed on. On workers, but for
 * tls_select_build. */
#include "core/assert.h"
#include "core/table/domain.h"
#include "tls/context_priv.h"

#include <string.h>

/* --- tables; main --- */

/* One certificate for each kind of key; the first that came stays. */
static bool pick_add(struct tls_pick *pick, struct tls_cert *cert)
{
    int type = EVP_PKEY_get_base_id(cert->key);
    for (unsigned i = 0; i < pick->count; i++)
        if (EVP_PKEY_get_base_id(pick->cert[i]->key) == type)
            return false;
    if (pick->count == sizeof pick->cert / sizeof *pick->cert)
        return false;
    pick->cert[pick->count++] = cert;
    return true;
}

static unsigned count_dots(const char *name)
{
    unsigned n = 0;
    for (; *name; name++)
        n += *name == '.' && name[1];
    return n;
}

static void add_name(struct tls_creds *creds, const char *name, struct tls_cert *cert)
{
    const char *why;
    void **slot = nu_domain_slot(creds->names, name, strlen(name), &why);
    nu_assert(slot != NULL); /* names were checked when they were read */
    struct tls_pick *pick = *slot;
    if (!pick)
        pick = *slot = nu_arena_alloc(creds->arena, sizeof *pick);
    pick->dots = count_dots(name);
    pick_add(pick, cert);
}

static void add_names(struct tls_creds *creds)
{
    creds->names = nu_domain_new(creds->arena);
    for (size_t i = 0; i < creds->cert_count; i++)
        for (size_t n = 0; n < creds->cert[i]->name_count; n++)
            add_name(creds, creds->cert[i]->names[n], creds->cert[i]);
}

/* The first certificate, with those of other keys that share its first name. */
static void set_fallback(struct tls_creds *creds)
{
    struct tls_cert *first = creds->cert[0];
    struct tls_pick *pick = &creds->fallback;
    pick_add(pick, first);
    for (size_t i = 1; i < creds->cert_count && first->name_count; i++)
        for (size_t n = 0; n < creds->cert[i]->name_count; n++)
            if (strcmp(creds->cert[i]->names[n], first->names[0]) == 0)
                pick_add(pick, creds->cert[i]);
}

/* --- what a client can do; workers --- */

/* Signatures by keys of this kind are among those that it says to verify; one that says nothing
 * verifies what its ciphers need. */
static bool verifies(SSL *ssl, int type)
{
    int sign, count = SSL_get_sigalgs(ssl, -1, NULL, NULL, NULL, NULL, NULL);
    bool pss = SSL_version(ssl) >= TLS1_3_VERSION; /* RSA in its new form only (RFC 8446 4.2.3) */
    for (int i = 0; i < count; i++) {
        SSL_get_sigalgs(ssl, i, &sign, NULL, NULL, NULL, NULL);
        if (type == EVP_PKEY_RSA ? sign == EVP_PKEY_RSA_PSS || (sign == type && !pss)
                                 : sign == type)
            return true;
    }
    return count == 0;
}

/* Before TLS 1.3 a cipher is for a kind of key, too. */
static bool has_cipher(const SSL *ssl, int type)
{
    STACK_OF(SSL_CIPHER) *list = SSL_get_client_ciphers(ssl);
    int wanted = type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS ? NID_auth_rsa : NID_auth_ecdsa;
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return true;
    for (int i = 0; i < sk_SSL_CIPHER_num(list); i++)
        if (SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(list, i)) == wanted)
            return true;
    return false;
}

static bool suits(SSL *ssl, const struct tls_pick *pick)
{
    for (unsigned i = 0; i < pick->count; i++) {
        int type = EVP_PKEY_get_base_id(pick->cert[i]->key);
        if (verifies(ssl, type) && has_cipher(ssl, type))
            return true;
    }
    return false;
}

/* --- callbacks; workers --- */

/* Those of a name; where the client can verify none of them, also its wildcard's. The table's
 * wildcards stand for any number of labels, those of certificates for one (RFC 6125 6.4.3). */
static void pick_name(SSL *ssl, const struct tls_creds *creds, const char *name,
                      struct tls_pick *out)
{
    struct nu_domain_iter it;
    unsigned dots = count_dots(name);
    *out = (struct tls_pick){0};
    for (const struct tls_pick *pick = nu_domain_find(creds->names, name, strlen(name), &it); pick;
         pick = nu_domain_next(&it)) {
        if (pick->dots != dots)
            continue;
        if (out->count && suits(ssl, out))
            return;
        for (unsigned i = 0; i < pick->count; i++)
            pick_add(out, pick->cert[i]);
    }
}

static bool same_pick(const struct tls_pick *a, const struct tls_pick *b)
{
    return a->count == b->count && memcmp(a->cert, b->cert, a->count * sizeof *a->cert) == 0;
}

static bool use(SSL *ssl, const struct tls_pick *pick)
{
    SSL_certs_clear(ssl);
    for (unsigned i = 0; i < pick->count; i++)
        if (SSL_use_cert_and_key(ssl, pick->cert[i]->leaf, pick->cert[i]->key, pick->cert[i]->chain,
                                 1) != 1)
            return false;
    return true;
}

/* The ClientHello has been read. The SSL has the default certificates from its SSL_CTX; which of a
 * name's certificates fits the client's algorithms, OpenSSL sees by itself. */
static int on_cert(SSL *ssl, void *arg)
{
    const struct tls_creds *creds = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct tls_pick pick;
    if (!name || nu_domain_is_ip(name, strlen(name)))
        return 1;
    pick_name(ssl, creds, name, &pick);
    if (pick.count == 0 || same_pick(&pick, &creds->fallback))
        return 1;
    return use(ssl, &pick);
}

const X509 *nu_tls_context_own(const struct nu_tls_conn *conn)
{
    struct tls_pick pick;
    const struct tls_creds *creds = tls_creds_of(SSL_get_SSL_CTX(conn->ssl));
    const struct nu_facts_more *more = nu_chain_facts(conn->filter->chain)->more;
    const char *name = more ? more->sni : NULL; /* OpenSSL forgets it where TLS 1.2 resumes */
    bool chosen = conn->shown || conn->context->role == NU_TLS_CLIENT || !creds->names;
    if (chosen || !name || nu_domain_is_ip(name, strlen(name)))
        return SSL_get_certificate(conn->ssl);
    pick_name(conn->ssl, creds, name, &pick);
    return pick.count ? pick.cert[0]->leaf : SSL_get_certificate(conn->ssl);
}

/* Our order counts. Without a common one the client is told so (RFC 7301 3.2). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
                   const unsigned char *theirs, unsigned their_len, void *arg)
{
    const struct tls_params *p = arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, len, p->alpn_wire, p->alpn_len, theirs, their_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return p->alpn_lenient ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void tls_select_build(struct tls_creds *creds, SSL_CTX *ctx)
{
    struct tls_params *p = &creds->context->conf.server->params;
    set_fallback(creds);
    for (unsigned i = 0; i < creds->fallback.count; i++) {
        const struct tls_cert *cert = creds->fallback.cert[i];
        nu_assert(SSL_CTX_use_cert_and_key(ctx, cert->leaf, cert->key, cert->chain, 1) == 1);
    }
    if (creds->fallback.count < creds->cert_count) {
        add_names(creds);
        SSL_CTX_set_cert_cb(ctx, on_cert, creds);
    }
    if (p->alpn_wire)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, p);
}
