/* `tls` of listeners and chains: the schema, and how its files are loaded while it is parsed, so
 * that each mistake is told at its place. Main thread. */
#include "core/addr.h"
#include "core/assert.h"
#include "tls/context_priv.h"
#include "tls/filter.h"

#include <string.h>

/* --- certificates --- */

static void drop_loaded(void *ctx)
{
    struct tls_cert_conf *conf = ctx;
    tls_cert_put(conf->loaded);
}

/* Reports at the key that the problem is with, if it was written. */
static const struct nu_node *place_of(const struct nu_node *node, const char *key)
{
    const struct nu_node *at = nu_node_get(node, key);
    return at ? at : node;
}

enum nu_err tls_check_cert(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                           void *out)
{
    struct tls_cert_conf *c = out;
    struct tls_problem problem;
    c->loaded = tls_cert_get(&c->files, &problem);
    if (!c->loaded) {
        nu_conf_error(conf, place_of(node, problem.key), "%s", problem.text);
        return NU_ERR_CONFIG;
    }
    nu_arena_on_free(arena, drop_loaded, c);
    for (unsigned i = 0; i < c->loaded->loaded.warning_count; i++)
        nu_conf_warn(conf, place_of(node, c->loaded->loaded.warning[i].key), "%s",
                     c->loaded->loaded.warning[i].text);
    return NU_OK;
}

static enum nu_err check_server_cert(struct nu_conf *conf, struct nu_arena *arena,
                                     const struct nu_node *node, void *out)
{
    struct tls_cert_conf *c = out;
    if (!c->files.cert == !c->files.pkcs12) {
        if (c->files.cert)
            nu_conf_error(conf, node, "\"cert\" and \"pkcs12\" exclude each other");
        else
            nu_conf_error_in(conf, node, "missing key \"cert\" (or \"pkcs12\")");
        return NU_ERR_CONFIG;
    }
    if (c->files.pkcs12 && c->files.key) {
        nu_conf_error_key(conf, nu_node_get(node, "key"), "the key is in the PKCS#12 file");
        return NU_ERR_CONFIG;
    }
    return tls_check_cert(conf, arena, node, out);
}

#define AT(member) .offset = offsetof(struct tls_cert_conf, files.member)
static const struct nu_field cert_fields[] = {
    {.key = "cert",
     .type = NU_FILE,
     AT(cert),
     .doc = "PEM: the server's certificate, then those of the CAs between it and the root."},
    {.key = "key",
     .type = NU_FILE,
     AT(key),
     .doc = "PEM: its private key. Default: it stands in the file of `cert`."},
    {.key = "pkcs12",                                                                        .type = NU_FILE, AT(pkcs12), .doc = "Instead of both: a PKCS#12 file."},
    {.key = "passphrase_file",
     .type = NU_FILE,
     AT(passphrase),
     .doc = "A file whose first line opens the key, or the PKCS#12 file."},
    {.key = "ocsp",
     .type = NU_FILE,
     AT(ocsp),
     .doc =
         "DER: the CA's OCSP response for the certificate, sent to clients that ask for it until "
         "it is outdated."},
    {0                                                         }
};
#undef AT

static const struct nu_schema cert_schema = {
    .name = "certificate",
    .doc = "A certificate and its key. The files are watched: what they hold next is used from "
           "then on, if it is good.",
    .size = sizeof(struct tls_cert_conf),
    .fields = cert_fields,
    .scalar = "cert",
    .check = check_server_cert,
};

/* --- tls --- */

static const struct nu_field server_fields[] = {
    {.key = "certificates",
     .type = NU_OBJECT,
     .flags = NU_LIST | NU_NONEMPTY | NU_REQUIRED,
     .offset = offsetof(struct tls_server_conf, certificates),
     .sub = &cert_schema,
     .doc = "Certificates with their keys. Of those with the name that the client asks for (SNI), "
            "exactly or by wildcard, the client is shown one that it can verify, ECDSA before RSA. "
            "The first one is for all other clients."},
    TLS_PARAM_ROWS(struct tls_server_conf,
                   "Protocols, ours first: the first one that the client offers too is agreed on. "
                   "A client that offers only others is refused (RFC 7301); one that offers none "
                   "is not."),
    {0}
};

static enum nu_err check_server(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    struct tls_server_conf *s = out;
    return tls_params_check(conf, arena, node, &s->params);
}

static const struct nu_schema server_schema = {
    .name = "tls",
    .doc = "Terminates TLS.",
    .size = sizeof(struct tls_server_conf),
    .fields = server_fields,
    .check = check_server,
};

/* --- on listeners and chains --- */

/* The listener's name for stats and logs: as written, else its first address. */
static const char *listener_name(const struct nu_node *listener, struct nu_arena *arena)
{
    char text[NU_ADDR_TEXT_MAX];
    struct nu_addr addr;
    const struct nu_node *name = nu_node_get(listener, "name"),
                         *bind = nu_node_get(listener, "bind");
    if (name && name->kind == NU_NODE_SCALAR)
        return name->text;
    if (bind && bind->kind == NU_NODE_LIST)
        bind = bind->count ? bind->child[0] : NULL;
    if (!bind || bind->kind != NU_NODE_SCALAR || nu_addr_parse(&addr, bind->text, -1) != NU_OK)
        return "?";
    return nu_arena_strdup(arena, nu_addr_str(&addr, text));
}

static const struct nu_node *listener_of_chain(const struct nu_node *chain)
{
    const struct nu_node *up = chain->parent;
    return up && up->kind == NU_NODE_LIST ? up->parent : up;
}

static void drop_context(void *ctx)
{
    tls_context_put(ctx);
}

static enum nu_err parse(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         const struct nu_node *listener, void *out)
{
    struct tls_context *context = tls_context_new(NU_TLS_SERVER);
    struct tls_server_conf *s = context->conf.server;
    *(void **)out = NULL;
    if (nu_schema_parse(&server_schema, conf, context->arena, node, s) != NU_OK) {
        tls_context_put(context);
        return NU_ERR_CONFIG;
    }
    context->pub.handshake_timeout_ms = s->params.handshake_timeout_ms;
    context = tls_context_finish(context, "listener", listener_name(listener, arena),
                                 nu_node_print(arena, node));
    nu_arena_on_free(arena, drop_context, context);
    *(void **)out = context;
    return NU_OK;
}

static enum nu_err parse_of_listener(struct nu_conf *conf, struct nu_arena *arena,
                                     const struct nu_node *node, void *out)
{
    if (node->parent && nu_node_get(node->parent, "chains")) {
        nu_conf_error_key(conf, node,
                          "\"tls\" and \"chains\" exclude each other: tls stands either here or in "
                          "each chain that terminates");
        return NU_ERR_CONFIG;
    }
    return parse(conf, arena, node, node->parent, out);
}

static enum nu_err parse_of_chain(struct nu_conf *conf, struct nu_arena *arena,
                                  const struct nu_node *node, void *out)
{
    return parse(conf, arena, node, listener_of_chain(node->parent), out);
}

static void place(void *value, struct nu_arena *owner, struct nu_place *out)
{
    struct tls_context *context = value;
    nu_arena_on_free(owner, drop_context, tls_context_ref(context));
    *out = (struct nu_place){&nu_tls_filter, &context->pub};
}

#define TLS_FIELD(parse_)                                                                          \
    {                                                                                              \
        .key = "tls", .type = NU_CUSTOM, .parse = (parse_), .sub = &server_schema, .shown = "map", \
        .doc = "Terminates TLS before the first filter."                                           \
    }

struct nu_ext nu_tls_of_listener = {.field = TLS_FIELD(parse_of_listener), .place = place};
struct nu_ext nu_tls_of_chain = {.field = TLS_FIELD(parse_of_chain), .place = place};
