/* A certificate as a config names it: the schema, and its files loaded while it is parsed, so that
 * each mistake is told at its place. Main thread. */
#include "tls/context_priv.h"

const struct nu_node *tls_place_of(const struct nu_node *node, const char *key)
{
    const struct nu_node *at = node->kind == NU_NODE_MAP ? nu_node_get(node, key) : NULL;
    return at ? at : node;
}

void tls_show_warnings(struct nu_conf *conf, const struct nu_node *node,
                       const struct tls_loaded *loaded)
{
    for (unsigned i = 0; i < loaded->warning_count; i++)
        nu_conf_warn(conf, tls_place_of(node, loaded->warning[i].key), "%s",
                     loaded->warning[i].text);
}

static void drop_cert(void *ctx)
{
    struct tls_cert_conf *conf = ctx;
    tls_cert_put(conf->now);
}

/* Exactly one of the two ways to name a certificate. */
static enum nu_err check_keys(struct nu_conf *conf, const struct nu_node *node,
                              const struct tls_cert_files *files)
{
    if (files->cert && files->pkcs12)
        nu_conf_error_key(conf, nu_node_get(node, "pkcs12"),
                          "\"cert\" and \"pkcs12\" exclude each other");
    else if (!files->cert && !files->pkcs12)
        nu_conf_error_in(conf, node, "missing key \"cert\" (or \"pkcs12\")");
    else if (files->pkcs12 && files->key)
        nu_conf_error_key(conf, nu_node_get(node, "key"), "the key is in the PKCS#12 file");
    else
        return NU_OK;
    return NU_ERR_CONFIG;
}

enum nu_err tls_check_cert(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                           void *out)
{
    struct tls_cert_conf *c = out;
    struct tls_problem problem = {.key = ""};
    if (check_keys(conf, node, &c->files) != NU_OK)
        return NU_ERR_CONFIG;
    c->now = tls_cert_get(&c->files, &problem);
    if (!c->now) {
        nu_conf_error(conf, tls_place_of(node, problem.key), "%s", problem.text);
        return NU_ERR_CONFIG;
    }
    nu_arena_on_free(arena, drop_cert, c);
    tls_show_warnings(conf, node, &c->now->loaded);
    return NU_OK;
}

#define AT(member) .offset = offsetof(struct tls_cert_conf, files.member)
static const struct nu_field fields[] = {
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

const struct nu_schema tls_cert_schema = {
    .name = "certificate",
    .doc = "A certificate and its key. The files are watched: what they hold next is used from "
           "then on, if it is good.",
    .size = sizeof(struct tls_cert_conf),
    .fields = fields,
    .scalar = "cert",
    .check = tls_check_cert,
};
