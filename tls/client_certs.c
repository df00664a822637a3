/* `client_certs` of listeners and chains: which clients have to show a certificate, and what is
 * asked of it. Main thread. */
#include "tls/context_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void drop_trust(void *ctx)
{
    struct tls_trust_conf *conf = ctx;
    tls_trust_put(conf->now);
}

enum nu_err tls_load_trust(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                           struct tls_trust_conf *trust)
{
    struct tls_problem problem = {.key = ""};
    trust->now = tls_trust_get(&trust->files, &problem);
    if (!trust->now) {
        nu_conf_error(conf, tls_place_of(node, problem.key), "%s", problem.text);
        return NU_ERR_CONFIG;
    }
    nu_arena_on_free(arena, drop_trust, trust);
    tls_show_warnings(conf, node, &trust->now->loaded);
    return NU_OK;
}

enum nu_err tls_parse_ca(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node) || !*node->text) {
        nu_conf_error(conf, node, "expected a file or a folder");
        return NU_ERR_CONFIG;
    }
    const char *path = *(const char **)out = nu_conf_path(conf, arena, node->text);
    if (access(path, R_OK) == 0)
        return NU_OK;
    nu_conf_error(conf, node, "cannot read %s: %s", path, strerror(errno));
    return NU_ERR_CONFIG;
}

static enum nu_err check_allow(struct nu_conf *conf, const struct nu_node *node,
                               const struct tls_allow *allow)
{
    const struct nu_node *at = nu_node_get(node, "allow");
    if (!at || tls_allow_has_names(allow) || tls_allow_has_hashes(allow))
        return NU_OK;
    nu_conf_error_key(conf, at,
                      "\"allow\" is empty: leave it out to allow every certificate that "
                      "a CA of \"ca\" has signed");
    return NU_ERR_CONFIG;
}

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    struct tls_client_certs *c = out;
    if (check_allow(conf, node, &c->allow) != NU_OK)
        return NU_ERR_CONFIG;
    if (c->trust.files.ca)
        return tls_load_trust(conf, arena, node, &c->trust);
    if (c->trust.files.crl) {
        nu_conf_error_key(conf, nu_node_get(node, "crl"), "\"crl\" needs a \"ca\"");
        return NU_ERR_CONFIG;
    }
    if (c->mode == TLS_CLIENTS_OFF || tls_allow_has_hashes(&c->allow))
        return NU_OK;
    nu_conf_error_in(conf, node,
                     "missing key \"ca\" (or \"allow\" with \"sha256\" or \"spki\", for "
                     "certificates that are known by their hash)");
    return NU_ERR_CONFIG;
}

static const char *const modes[] = {"require", "optional", "off", NULL};
const char *const tls_crl_check_names[] = {"chain", "leaf", NULL};

#define AT(member) .offset = offsetof(struct tls_client_certs, member)
static const struct nu_field fields[] = {
    {.key = "mode",
     .type = NU_ENUM,
     AT(mode),
     .fallback = "require",
     .choices = modes,
     .doc = "`require`: who has no certificate is refused; `optional`: who has one has to have a "
            "good one; `off`: none is asked for."},
    {.key = "ca",
     .type = NU_CUSTOM,
     AT(trust.files.ca),
     .parse = tls_parse_ca,
     .shown = "file or folder",
     .doc = "PEM: certificates of CAs that clients' certificates may be signed by, or a folder of "
            "such files (*.pem, *.crt, *.cer). Each of them is an end of a chain, also an "
            "intermediate one. Watched, in a folder also what comes and goes."},
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
            "one that signed the client's certificate."},
    {.key = "depth",
     .type = NU_INT,
     AT(depth),
     .fallback = "3",
     .max = TLS_DEPTH_MAX,
     .doc = "Intermediate CAs between the client's certificate and one of `ca`."},
    {.key = "allow",
     .type = NU_OBJECT,
     AT(allow),
     .sub = &tls_allow_schema,
     .doc = "Which certificates get in. Default: all that are verified."},
    {0}
};

const struct nu_schema tls_client_certs_schema = {
    .name = "client_certs",
    .doc = "Asks clients for a certificate and verifies it.",
    .size = sizeof(struct tls_client_certs),
    .fields = fields,
    .scalar = "mode",
    .check = check,
};
