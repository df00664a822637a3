/* What tests of the TLS filter share: a client and a server face to face in one chain,
 *
 *     source | tls (client) | wire... | tls (server) | sink
 *
 * on a virtual clock, with contexts of their own instead of the config's. The fuzzer uses it too.
 */
#ifndef NU_TESTS_TLS_KIT_H
#define NU_TESTS_TLS_KIT_H

#include "core/assert.h"
#include "core/log.h"
#include "tests/filters/endpoint.h"
#include "tests/filters/filters.h"
#include "tests/filters/probe.h"
#include "tls/filter_priv.h"
#include "tls/session.h"
#include "tls/ticket.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define KIT_WIRE_MOST 4 /* filters on the wire */

/* Stands for the config's context: one SSL_CTX and what to do with each SSL made of it. */
struct tls_kit_context {
    struct nu_tls_context pub; /* first member */
    SSL_CTX *ctx;
    void (*prepare)(struct nu_tls_conn *conn);
};

struct tls_kit {
    struct nu_loop loop;
    struct tls_kit_context client, server;
    struct nu_test_end left, right;
    struct nu_chain *chain;   /* NULL once closed */
    struct nu_filter *tls[2]; /* client, server */
    struct nu_result result;
    char details[256], blamed[32];
    char log[16][1024]; /* lines */
    unsigned lines;
};

static struct tls_kit *kit;

SSL *nu_tls_context_ssl(struct nu_tls_context *context, struct nu_tls_conn *conn)
{
    struct tls_kit_context *c = (struct tls_kit_context *)context;
    SSL *ssl = SSL_new(c->ctx);
    nu_assert(ssl != NULL);
    SSL_set_app_data(ssl, conn);
    conn->ssl = ssl;
    if (context->role == NU_TLS_SERVER)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    if (c->prepare)
        c->prepare(conn);
    return ssl;
}

static inline X509 *tls_kit_cert(EVP_PKEY *key, const char *name)
{
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    nu_assert(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

/* Gives the context a certificate of its own making. */
static inline void tls_kit_identity(SSL_CTX *ctx, const char *name)
{
    static EVP_PKEY *key;
    if (!key)
        key = EVP_EC_gen("P-256");
    X509 *cert = tls_kit_cert(key, name);
    nu_assert(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
    X509_free(cert);
}

static inline void tls_kit_context(struct tls_kit_context *c, enum nu_tls_role role)
{
    bool server = role == NU_TLS_SERVER;
    *c = (struct tls_kit_context){
        .pub = {.role = role,
                .handshake_timeout_ms = 10000,
                .owner = server ? "listener in" : "cluster out",
                .stats = nu_tls_stats_get(role, server ? "in" : "out")}
    };
    c->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    nu_assert(c->ctx != NULL);
    if (server) {
        c->pub.tickets = nu_tls_tickets_get("in", NULL);
        tls_kit_identity(c->ctx, "a.test");
    }
    nu_tls_engine_setup(c->ctx, &c->pub);
}

static inline void tls_kit_context_free(struct tls_kit_context *c)
{
    SSL_CTX_free(c->ctx);
    nu_stats_put(c->pub.stats);
    nu_tls_tickets_put(c->pub.tickets);
}

static inline void tls_kit_log(const char *line, void *ctx)
{
    if (kit->lines < 16)
        snprintf(kit->log[kit->lines++], sizeof kit->log[0], "%s", line);
}

static inline void tls_kit_closed(struct nu_chain *chain, void *ctx)
{
    kit->result = nu_chain_result(chain);
    snprintf(kit->details, sizeof kit->details, "%s", nu_chain_details(chain));
    snprintf(kit->blamed, sizeof kit->blamed, "%s", nu_chain_blamed(chain));
    kit->chain = NULL;
    kit->tls[0] = kit->tls[1] = NULL;
}

static inline int tls_kit_setup(void **state)
{
    kit = calloc(1, sizeof *kit);
    nu_assert(kit != NULL);
    nu_stats_init(1);
    nu_loop_init(&kit->loop, 0);
    nu_log_set_sink(tls_kit_log, NULL);
    tls_kit_context(&kit->client, NU_TLS_CLIENT);
    tls_kit_context(&kit->server, NU_TLS_SERVER);
    kit->left = kit->right = nu_endpoint_idle();
    return 0;
}

static inline int tls_kit_teardown(void **state)
{
    if (kit->chain)
        nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    nu_loop_fini(&kit->loop);
    tls_kit_context_free(&kit->client);
    tls_kit_context_free(&kit->server);
    nu_log_set_sink(NULL, NULL);
    free(kit);
    return 0;
}

#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, tls_kit_setup, tls_kit_teardown)

/* Builds the chain with these filters on the wire. The handshake takes turns of the loop. */
static inline void tls_kit_chain(const struct nu_place *wire, unsigned count)
{
    static const struct nu_chain_owner owner = {.closed = tls_kit_closed};
    struct nu_place places[KIT_WIRE_MOST + 4] = {
        {&nu_source,     &kit->left      },
        {&nu_tls_filter, &kit->client.pub}
    };
    unsigned n = 2;
    for (unsigned i = 0; i < count; i++)
        places[n++] = wire[i];
    places[n++] = (struct nu_place){&nu_tls_filter, &kit->server.pub};
    places[n++] = (struct nu_place){&nu_sink, &kit->right};
    kit->chain = nu_chain_new(&kit->loop, places, n, NULL, &owner, NULL);
    kit->tls[0] = kit->left.self->next[NU_FWD];
    kit->tls[1] = kit->right.self->next[NU_REV];
}

static inline void tls_kit_run(int64_t ms)
{
    for (int64_t i = 0; i < ms; i++)
        nu_loop_advance(&kit->loop, 1);
}

static inline void tls_kit_versions(int version)
{
    SSL_CTX_set_min_proto_version(kit->server.ctx, version);
    SSL_CTX_set_max_proto_version(kit->server.ctx, version);
}

static inline int64_t tls_kit_stat(const struct tls_kit_context *c, enum nu_tls_stat stat)
{
    return nu_stat_read(c->pub.stats, stat);
}

static inline struct tls *tls_kit_of(int role)
{
    return tls_of(kit->tls[role]);
}

#endif
