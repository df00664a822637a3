/* The config of forwarded.h: names of its values, and what no header may hold. Main thread. */
#include "core/assert.h"
#include "core/facts.h"
#include "l7/forwarded.h"

#include <string.h>

const char *const nu_xfcc_names[] = {"sanitize",     "forward_only",        "append_forward",
                                     "sanitize_set", "always_forward_only", NULL};
const char *const nu_xfcc_detail_names[] = {"cert", "chain", "subject", "uri", "dns", NULL};

const char *nu_xfcc_str(enum nu_xfcc mode)
{
    nu_assert((unsigned)mode <= NU_XFCC_ALWAYS_FORWARD);
    return nu_xfcc_names[mode];
}

const char *nu_xfcc_detail_str(enum nu_xfcc_detail detail)
{
    nu_assert((unsigned)detail < NU_XFCC_DETAILS);
    return nu_xfcc_detail_names[detail];
}

/* A token, or a host with its port (RFC 9110 7.6.3). */
static bool is_pseudonym(const char *via)
{
    size_t host = strcspn(via, ":");
    const char *port = via + host;
    if (!nu_http_name_ok(nu_text(via, host)))
        return false;
    return !*port || (port[1] && port[1 + strspn(port + 1, "0123456789")] == 0);
}

static const struct nu_node *place_of(const struct nu_node *node, const char *key)
{
    const struct nu_node *value = node->kind == NU_NODE_MAP ? nu_node_get(node, key) : NULL;
    return value ? value : node;
}

enum nu_err nu_forwarded_check(struct nu_conf *conf, const struct nu_node *node,
                               const struct nu_forwarded_conf *c)
{
    enum nu_err err = NU_OK;
    bool own = c->xfcc == NU_XFCC_APPEND_FORWARD || c->xfcc == NU_XFCC_SANITIZE_SET;
    if (c->via && !is_pseudonym(c->via)) {
        nu_conf_error(conf, place_of(node, "via"),
                      "expected one word, or a host name and its port");
        err = NU_ERR_CONFIG;
    }
    if (!nu_http_value_ok(nu_text(c->server, strlen(c->server)))) {
        nu_conf_error(conf, place_of(node, "server_name"), "no header can have that value");
        err = NU_ERR_CONFIG;
    }
    if (c->xfcc_details.count && !own) {
        nu_conf_error_key(conf, place_of(node, "client_cert_details"),
                          "nothing is said of certificates with forward_client_cert: %s",
                          nu_xfcc_str((enum nu_xfcc)c->xfcc));
        err = NU_ERR_CONFIG;
    }
    unsigned wants = own ? NU_WANT_LOCAL_CERT : 0;
    const int *details = c->xfcc_details.items;
    for (size_t i = 0; own && i < c->xfcc_details.count; i++)
        if (details[i] == NU_XFCC_CERT || details[i] == NU_XFCC_CHAIN)
            wants |= NU_WANT_PEM;
    nu_facts_want(wants);
    return err;
}
