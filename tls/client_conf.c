/* `tls` of clusters: the schema, and from a parsed map to a context. Main thread. */
#include "core/table/domain.h"
#include "tls/context_priv.h"

#include <ctype.h>
#include <string.h>

#define FROM_CLIENT "from_client"

static enum nu_err parse_sni(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    const char *why;
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node) || !*node->text) {
        nu_conf_error(conf, node, "expected a host name, or " FROM_CLIENT);
        return NU_ERR_CONFIG;
    }
    bool good = strcmp(node->text, FROM_CLIENT) == 0 ||
                nu_domain_check(node->text, strlen(node->text), &why) == NU_OK;
    if (good && strchr(node->text, '*')) {
        good = false;
        why = "a pattern cannot be asked for (\"san\" takes patterns to verify by)";
    }
    if (!good) {
        nu_conf_error(conf, node, "\"%.100s\" is no server name: %s", node->text, why);
        return NU_ERR_CONFIG;
    }
    char *name = nu_arena_strdup(arena, node->text);
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (name[strlen(name) - 1] == '.')
        name[strlen(name) - 1] = 0;
    *(const char **)out = name;
    return NU_OK;
}

static const char *const verify_names[] = {"full", "ca", "none", NULL};

#define AT(member) .offset = offsetof(struct tls_client_conf, member)
static const struct nu_field client_fields[] = {
    {.key = "sni",
     .type = NU_CUSTOM,
     AT(sni),
     .parse = parse_sni,
     .shown = "host name, or from_client",
     .doc = "The server name that is asked for and verified; `from_client`: the one that the "
            "client asked for. Default, and where a client asked for none: the endpoint's host "
            "name. For an endpoint that is an address none is sent, and the address is verified."},
    {.key = "verify",
     .type = NU_ENUM,
     AT(verify),
     .fallback = "full",
     .choices = verify_names,
     .doc = "`full`: the certificate is signed by a trusted CA and is the server's; `ca`: it is "
            "signed by a trusted CA, whoever's it is; `none`: anybody may answer."},
    {.key = "ca",
     .type = NU_CUSTOM,
     AT(trust.files.ca),
     .parse = tls_parse_ca,
     .shown = "file or folder",
     .doc = "PEM: certificates of CAs that are trusted, or a folder of such files (*.pem, *.crt, "
            "*.cer). Watched. Default: those that the system trusts."},
    {.key = "crl",
     .type = NU_FILE,
     AT(trust.files.crl),
     .doc = "PEM or DER: lists of what these CAs have revoked. Watched. A list that is outdated "
            "refuses all certificates of its CA."},
    {.key = "crl_check",
     .type = NU_ENUM,
     AT(crl_check),
     .fallback = "chain",
     .choices = tls_crl_check_names,
     .doc = "With `crl`: whether there has to be a list for every CA in between, or only for the "
            "one that signed the server's certificate."},
    {.key = "depth",
     .type = NU_INT,
     AT(depth),
     .fallback = "10",
     .max = TLS_DEPTH_MAX,
     .doc = "Intermediate CAs between the server's certificate and a trusted one."},
    {.key = "san",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(san),
     .parse = tls_parse_san,
     .item = sizeof(struct tls_san),
     .shown = "names",
     .doc = "Names of which the certificate has to have one, instead of the server name: host "
            "names, URIs, addresses, networks; as in `client_certs.allow`."},
    {.key = "cert",
     .type = NU_FILE,
     AT(cert.files.cert),
     .doc = "PEM: our own certificate, for servers that ask for one, then those of the CAs between "
            "it and the root. Watched, like its key."},
    {.key = "key",
     .type = NU_FILE,
     AT(cert.files.key),
     .doc = "PEM: its private key. Default: it stands in the file of `cert`."},
    {.key = "pkcs12",                                                     .type = NU_FILE, AT(cert.files.pkcs12), .doc = "Instead of both: PKCS#12."},
    {.key = "passphrase_file",
     .type = NU_FILE,
     AT(cert.files.passphrase),
     .doc = "A file whose first line opens the key, or the PKCS#12 file."},
    TLS_PARAM_ROWS(struct tls_client_conf, "Protocols that are offered, the best first."),
    {.key = "keylog",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     AT(keylog),
     .sub = &nu_keylog_schema,
     .doc = "Writes the secrets of connections to a file, for decryption."},
    {.key = "starttls",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     AT(starttls),
     .sub = &nu_starttls_client_schema,
     .doc = "TLS is asked for in the protocol's own words first."},
    {0                                                           }
};
#undef AT

/* Keys that say nothing where nobody verifies, or not by these. */
static enum nu_err check_verify(struct nu_conf *conf, const struct nu_node *node,
                                struct tls_client_conf *c)
{
    static const char *const keys[] = {"ca", "crl", "san"};
    const struct nu_node *at = nu_node_get(node, "verify");
    if (c->verify == TLS_VERIFY_NONE)
        nu_conf_warn(conf, at,
                     "certificates are not verified: whoever can answer for these "
                     "servers can read and change what is sent");
    for (size_t i = 0; i < sizeof keys / sizeof *keys && c->verify != TLS_VERIFY_FULL; i++) {
        const struct nu_node *key = nu_node_get(node, keys[i]);
        if (!key || (c->verify == TLS_VERIFY_CA && i < 2))
            continue;
        nu_conf_error_key(conf, key, "\"%s\" has no effect with verify: %s", keys[i],
                          verify_names[c->verify]);
        return NU_ERR_CONFIG;
    }
    if (c->verify == TLS_VERIFY_CA && !c->trust.files.ca)
        nu_conf_warn(conf, at,
                     "any certificate that a public CA has signed is accepted: name a "
                     "\"ca\"");
    return NU_OK;
}

/* A socket's path is no name that a certificate could have. */
static enum nu_err check_names(struct nu_conf *conf, const struct nu_node *node,
                               const struct tls_client_conf *c)
{
    const struct nu_node *list = node->parent ? nu_node_get(node->parent, "endpoints") : NULL;
    uint32_t count = !list ? 0 : list->kind == NU_NODE_LIST ? list->count : 1;
    if (c->verify != TLS_VERIFY_FULL || c->san.count || c->sni)
        return NU_OK;
    for (uint32_t i = 0; i < count; i++) {
        const struct nu_node *item = list->kind == NU_NODE_LIST ? list->child[i] : list;
        if (item->kind == NU_NODE_MAP)
            item = nu_node_get(item, "address");
        if (!item || item->kind != NU_NODE_SCALAR || strncmp(item->text, "unix:", 5) != 0)
            continue;
        nu_conf_error_in(conf, node, "%s has no name to verify: missing key \"sni\" (or \"san\")",
                         item->text);
        return NU_ERR_CONFIG;
    }
    return NU_OK;
}

static enum nu_err load_cert(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, struct tls_client_conf *c)
{
    static const char *const keys[] = {"cert", "key", "pkcs12", "passphrase_file"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (nu_node_get(node, keys[i]))
            return tls_check_cert(conf, arena, node, &c->cert);
    return NU_OK;
}

static enum nu_err check_client(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    struct tls_client_conf *c = out;
    enum nu_err err = tls_params_check(conf, arena, node, &c->params);
    if (c->sni && strcmp(c->sni, FROM_CLIENT) == 0) {
        c->sni = NULL;
        c->sni_from_client = true;
    }
    if (check_verify(conf, node, c) != NU_OK || check_names(conf, node, c) != NU_OK)
        err = NU_ERR_CONFIG;
    if (load_cert(conf, arena, node, c) != NU_OK)
        err = NU_ERR_CONFIG;
    if (c->verify != TLS_VERIFY_NONE && tls_load_trust(conf, arena, node, &c->trust) != NU_OK)
        err = NU_ERR_CONFIG;
    return err;
}

static const struct nu_schema client_schema = {
    .name = "tls",
    .doc = "Speaks TLS with the servers, and verifies who they are.",
    .size = sizeof(struct tls_client_conf),
    .fields = client_fields,
    .check = check_client,
};

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
    const struct nu_node *name = nu_node_get(node->parent, "name");
    context->pub.handshake_timeout_ms = c->params.handshake_timeout_ms;
    context->pub.keylog = nu_keylog_new(c->keylog);
    context->starttls = c->starttls;
    context = tls_context_finish(context, "cluster",
                                 name && name->kind == NU_NODE_SCALAR ? name->text : "?",
                                 nu_node_print(arena, node));
    nu_arena_on_free(arena, tls_context_drop, context);
    *(void **)out = context;
    return NU_OK;
}

static bool is_per_client(const void *value)
{
    const struct tls_context *context = value;
    return context->conf.client->sni_from_client;
}

struct nu_ext nu_tls_of_cluster = {
    .field = {.key = "tls",
              .type = NU_CUSTOM,
              .parse = parse,
              .sub = &client_schema,
              .shown = "map",
              .doc = "Speaks TLS with the servers, and verifies who they are."},
    .place = tls_context_place,
    .per_client = is_per_client,
};
