/* From a context to a connection's SSL: what each connection has of its own, above all the server
 * name. On workers. */
#include "core/assert.h"
#include "core/table/domain.h"
#include "tls/context_priv.h"
#include "tls/session.h"

#include <ctype.h>
#include <string.h>

/* What is written as an address is verified as one. */
static bool is_name(const char *host)
{
    return host && *host && !nu_domain_is_ip(host, strlen(host)) &&
           strlen(host) <= NU_DOMAIN_MAX_BYTES;
}

/* What the server is called: as the config says, else as the client called it, if that counts, else
 * as its endpoint is written. NULL: it has but an address. */
static const char *server_name(const struct tls_client_conf *conf, struct nu_facts *facts)
{
    if (conf->sni)
        return conf->sni;
    if (conf->sni_from_client && facts->more && is_name(facts->more->sni))
        return facts->more->sni;
    const char *host = nu_facts_exchange(facts)->upstream_host;
    return is_name(host) ? host : NULL;
}

/* A final dot belongs to the name in DNS, not in TLS (RFC 6066 3). */
static bool ask_for(SSL *ssl, const char *name)
{
    char copy[NU_DOMAIN_MAX_BYTES + 2];
    size_t len = strlen(name);
    if (name[len - 1] == '.')
        len--;
    if (len == 0 || len > NU_DOMAIN_MAX_BYTES)
        return false;
    for (size_t i = 0; i < len; i++)
        copy[i] = (char)tolower((unsigned char)name[i]);
    copy[len] = 0;
    return SSL_set_tlsext_host_name(ssl, copy) == 1;
}

/* "h2,http/1.1", as OpenSSL wants it: each behind its length (RFC 7301 3.1). */
static bool offer(SSL *ssl, const char *protocols)
{
    unsigned char wire[64];
    size_t len = strlen(protocols), from = 0;
    nu_assert(len < sizeof wire);
    memcpy(wire + 1, protocols, len);
    for (size_t i = 1; i <= len + 1; i++) {
        if (i <= len && wire[i] != ',')
            continue;
        wire[from] = (unsigned char)(i - from - 1);
        from = i;
    }
    return SSL_set_alpn_protos(ssl, wire, (unsigned)len + 1) == 0; /* 0 is fine */
}

SSL *nu_tls_context_ssl(struct nu_tls_context *pub, struct nu_tls_conn *conn)
{
    struct tls_context *context = tls_context_of(pub);
    SSL *ssl = SSL_new(context->view[nu_filter_loop(conn->filter)->shard].ctx);
    if (!ssl)
        return NULL;
    SSL_set_app_data(ssl, conn);
    conn->ssl = ssl;
    conn->context = pub;
    if (pub->role == NU_TLS_SERVER) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    struct nu_facts *facts = nu_chain_facts(conn->filter->chain);
    const char *name = server_name(context->conf.client, facts);
    const char *alpn = nu_facts_exchange(facts)->offer_alpn;
    if ((name && !ask_for(ssl, name)) || (alpn && !offer(ssl, alpn))) {
        SSL_free(ssl);
        conn->ssl = NULL;
        return NULL;
    }
    nu_tls_session_offer(conn);
    return ssl;
}
