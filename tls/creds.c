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

static void take_certificates(struct tls_creds *creds, const struct nu_vec *list)
{
    const struct tls_cert_conf *conf = list->items;
    creds->cert = nu_arena_alloc(creds->arena, (list->count + 1) * sizeof(void *));
    for (size_t i = 0; i < list->count; i++)
        creds->cert[creds->cert_count++] = tls_cert_ref(conf[i].loaded);
}

static SSL_CTX *build_server(struct tls_context *context)
{
    const struct tls_server_conf *conf = context->conf.server;
    SSL_CTX *ctx = tls_params_ctx(&conf->params, TLS_server_method());
    struct tls_creds *creds = new_creds(context, ctx);
    take_certificates(creds, &conf->certificates);
    tls_select_build(creds, ctx);
    return ctx;
}

static SSL_CTX *build_client(struct tls_context *context)
{
    const struct tls_client_conf *conf = context->conf.client;
    SSL_CTX *ctx = tls_params_ctx(&conf->params, TLS_client_method());
    new_creds(context, ctx);
    if (conf->params.alpn_wire)
        SSL_CTX_set_alpn_protos(ctx, conf->params.alpn_wire, conf->params.alpn_len);
    if (conf->verify == 0) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        if (conf->ca)
            SSL_CTX_load_verify_file(ctx, conf->ca);
        else
            SSL_CTX_set_default_verify_paths(ctx);
    }
    return ctx;
}

SSL_CTX *tls_creds_build(struct tls_context *context)
{
    SSL_CTX *ctx =
        context->pub.role == NU_TLS_SERVER ? build_server(context) : build_client(context);
    nu_tls_engine_setup(ctx, &context->pub);
    return ctx;
}
