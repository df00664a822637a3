/* `tls` of clusters. Main thread. */
#include "core/assert.h"
#include "tls/context_priv.h"
#include "tls/filter.h"

static const char *const verify_names[] = {"full", "none", NULL};

static const struct nu_field client_fields[] = {
    {.key = "sni",                               .type = NU_STRING, .offset = offsetof(struct tls_client_conf, sni)},
    {.key = "ca", .type = NU_FILE, .offset = offsetof(struct tls_client_conf, ca)},
    {.key = "verify",
     .type = NU_ENUM,
     .offset = offsetof(struct tls_client_conf, verify),
     .fallback = "full",
     .choices = verify_names},
    TLS_PARAM_ROWS(struct tls_client_conf, "Protocols that are offered."),
    {0                          }
};

static enum nu_err check_client(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    struct tls_client_conf *c = out;
    return tls_params_check(conf, arena, node, &c->params);
}

static const struct nu_schema client_schema = {
    .name = "tls",
    .doc = "Originates TLS.",
    .size = sizeof(struct tls_client_conf),
    .fields = client_fields,
    .check = check_client,
};

static void drop_context(void *ctx)
{
    tls_context_put(ctx);
}

static enum nu_err parse(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    struct tls_context *context = tls_context_new(NU_TLS_CLIENT);
    struct tls_client_conf *c = context->conf.client;
    *(void **)out = NULL;
    if (nu_schema_parse(&client_schema, conf, context->arena, node, c) != NU_OK) {
        tls_context_put(context);
        return NU_ERR_CONFIG;
    }
    const struct nu_node *name = node->parent ? nu_node_get(node->parent, "name") : NULL;
    context->pub.handshake_timeout_ms = c->params.handshake_timeout_ms;
    context = tls_context_finish(context, "cluster",
                                 name && name->kind == NU_NODE_SCALAR ? name->text : "?",
                                 nu_node_print(arena, node));
    nu_arena_on_free(arena, drop_context, context);
    *(void **)out = context;
    return NU_OK;
}

static void place(void *value, struct nu_arena *owner, struct nu_place *out)
{
    struct tls_context *context = value;
    nu_arena_on_free(owner, drop_context, tls_context_ref(context));
    *out = (struct nu_place){&nu_tls_filter, &context->pub};
}

struct nu_ext nu_tls_of_cluster = {
    .field = {.key = "tls",
              .type = NU_CUSTOM,
              .parse = parse,
              .sub = &client_schema,
              .shown = "map",
              .doc = "Speaks TLS with the servers."},
    .place = place,
};
