/* Credentials: from loaded certificates and settings to an SSL_CTX that workers make connections
 * of. Main thread; freed on any. */
#include "core/assert.h"
#include "core/table/domain.h"
#include "tls/context_priv.h"
#include "tls/filter.h"

#define ARENA_FIRST 512 /* bytes: a certificate and its names */

static int slot = -1;

/* The last SSL has gone, or main and the workers use another one. */
static void on_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    struct tls_creds *creds = ptr;
    if (!creds)
        return;
    for (size_t i = 0; i < creds->cert_count; i++)
        tls_cert_put(creds->cert[i]);
    tls_trust_put(creds->trust);
    nu_arena_free(creds->arena);
}

static struct tls_creds *new_creds(struct tls_context *context, SSL_CTX *ctx)
{
    struct nu_arena *arena = nu_arena_new(ARENA_FIRST);
    struct tls_creds *creds = nu_arena_alloc(arena, sizeof *creds);
    creds->arena = arena;
    creds->context = context;
    if (slot < 0)
        slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_free);
    nu_assert(SSL_CTX_set_ex_data(ctx, slot, creds) == 1);
    return creds;
}

struct tls_creds *tls_creds_of(const SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, slot);
}

static void take_loaded(struct tls_creds *creds)
{
    struct tls_context *context = creds->context;
    const struct tls_trust_conf *trust = tls_context_trust(context);
    size_t count = tls_context_cert_count(context);
    creds->cert = nu_arena_alloc(creds->arena, (count + 1) * sizeof(void *));
    for (size_t i = 0; i < count; i++)
        creds->cert[creds->cert_count++] = tls_cert_ref(tls_context_cert(context, i)->now);
    creds->trust = trust ? tls_trust_ref(trust->now) : NULL;
}

static void set_up_server(struct tls_creds *creds, SSL_CTX *ctx)
{
    const struct tls_client_certs *clients = creds->context->conf.server->clients;
    tls_select_build(creds, ctx);
    tls_ocsp_install(ctx, creds);
    tls_resume_install(ctx, creds);
    if (!clients)
        return;
    creds->verify = (struct tls_verify){
        .trust = creds->trust,
        .crl_check = (enum tls_crl_check)clients->crl_check,
        .depth = (int)clients->depth,
        .allow = &clients->allow,
    };
    tls_verify_install(ctx, &creds->verify, clients->mode == TLS_CLIENTS_OPTIONAL);
}

static void set_up_client(struct tls_creds *creds, SSL_CTX *ctx)
{
    const struct tls_client_conf *conf = creds->context->conf.client;
    if (creds->cert_count) {
        const struct tls_cert *own = creds->cert[0];
        nu_assert(SSL_CTX_use_cert_and_key(ctx, own->leaf, own->key, own->chain, 1) == 1);
    }
    if (conf->params.alpn_wire) /* 0 is fine */
        nu_assert(SSL_CTX_set_alpn_protos(ctx, conf->params.alpn_wire, conf->params.alpn_len) == 0);
    if (conf->verify == TLS_VERIFY_NONE)
        return;
    creds->verify = (struct tls_verify){
        .trust = creds->trust,
        .crl_check = (enum tls_crl_check)conf->crl_check,
        .depth = (int)conf->depth,
        .san = conf->san.count ? &conf->san : NULL,
        .any_name = conf->verify == TLS_VERIFY_CA,
    };
    tls_verify_install(ctx, &creds->verify, false);
}

SSL_CTX *tls_creds_build(struct tls_context *context)
{
    bool server = context->pub.role == NU_TLS_SERVER;
    SSL_CTX *ctx =
        tls_params_ctx(server ? &context->conf.server->params : &context->conf.client->params,
                       server ? TLS_server_method() : TLS_client_method());
    struct tls_creds *creds = new_creds(context, ctx);
    take_loaded(creds);
    if (server)
        set_up_server(creds, ctx);
    else
        set_up_client(creds, ctx);
    if (context->pub.keylog)
        nu_keylog_install(ctx);
    nu_tls_engine_setup(ctx, &context->pub);
    return ctx;
}
