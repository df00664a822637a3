/* Which hosts clients may choose; see dynamic_forward.h. */
#include "l4/dynamic_forward.h"

#include "core/assert.h"
#include "core/chain.h"
#include "core/table/domain.h"
#include "l4/original_dst.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HTTPS 443

static const char *const families[] = {"any", "v4", "v6", NULL};

/* Values of the table of names. */
static const char yes[] = "allowed", no[] = "denied";

const char *nu_family_str(enum nu_family family)
{
    nu_assert((unsigned)family < sizeof families / sizeof *families - 1);
    return families[family];
}

static enum nu_err parse_name(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    const char *why = "expected a host name like a.test, \"*.a.test\" or \"*\"";
    bool scalar = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node);
    if (!scalar || nu_domain_check(node->text, strlen(node->text), &why) != NU_OK) {
        nu_conf_error(conf, node, "no host name: %s", why);
        return NU_ERR_CONFIG;
    }
    *(const char **)out = nu_arena_strdup(arena, node->text);
    return NU_OK;
}

static enum nu_err parse_port(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR ? node->text : "";
    unsigned long n = strtoul(text, NULL, 10);
    bool digits = *text && !text[strspn(text, "0123456789")];
    *(uint16_t *)out = 0;
    if (strcmp(text, "original") == 0)
        return NU_OK;
    if (!digits || strlen(text) > 5 || n < 1 || n > 65535) {
        nu_conf_error(conf, node, "expected \"original\" or a port from 1 to 65535");
        return NU_ERR_CONFIG;
    }
    *(uint16_t *)out = (uint16_t)n;
    return NU_OK;
}

/* A schema of the lists alone. */
struct addresses {
    struct nu_reach_conf nets;
};
static const struct nu_field address_fields[] = {
    NU_REACH_FIELDS(struct addresses, nets, NU_REACH_ALL), {0}};
static const struct nu_schema address_schema = {
    .name = "addresses",
    .doc =
        "Which addresses a name may lead to. Each that is connected to is looked at, whenever it "
        "was resolved.",
    .size = sizeof(struct addresses),
    .fields = address_fields,
};

#define AT(member) .offset = offsetof(struct nu_dynamic_forward, member)
static const struct nu_field fields[] = {
    {.key = "allow",
     .type = NU_CUSTOM,
     .flags = NU_REQUIRED | NU_LIST | NU_NONEMPTY,
     AT(allow),
     .parse = parse_name,
     .item = sizeof(char *),
     .shown = "host names",
     .doc = "Names that may be gone to: `a.test`, `\"*.b.test\"` for any name below b.test; "
            "`\"*\"`, for any name at all, makes an open proxy."},
    {.key = "deny",
     .type = NU_CUSTOM,
     .flags = NU_LIST,
     AT(deny),
     .parse = parse_name,
     .item = sizeof(char *),
     .shown = "host names",
     .doc = "Names that may not, although `allow` has a less exact pattern for them."},
    {.key = "addresses",
     .type = NU_OBJECT,
     AT(reach_conf),
     .sub = &address_schema,
     .doc = "Which addresses they may lead to: by default none that is no public host's."},
    {.key = "port",
     .type = NU_CUSTOM,
     AT(port),
     .fallback = "original",
     .parse = parse_port,
     .item = sizeof(uint16_t),
     .shown = "original, or a port",
     .doc = "The server's port. `original`: the one that the client was going to before a rule of "
            "this machine brought it here, else 443."},
    {.key = "family",
     .type = NU_ENUM,
     AT(family),
     .fallback = "any",
     .choices = families,
     .doc = "Which addresses are used; `any` tries IPv4 ones first."},
    {.key = "max_hosts",
     .type = NU_INT,
     AT(max_hosts),
     .fallback = "1024",
     .min = 1,
     .max = 1000000,
     .doc = "Names known at once. A new one takes the place of one that does not resolve, else of "
            "the one unused for longest."},
    {.key = "max_pending",
     .type = NU_INT,
     AT(max_pending),
     .fallback = "16384",
     .min = 1,
     .max = 1000000,
     .doc = "Clients that may wait for the addresses of their names at once; more are refused."},
    {.key = "host_ttl",
     .type = NU_DURATION,
     AT(host_ttl_ms),
     .fallback = "5m",
     .min = 1000,
     .doc = "How long a name that nobody asks for stays known."},
    {.key = "dns_timeout",
     .type = NU_DURATION,
     AT(dns_timeout_ms),
     .fallback = "5s",
     .min = 1,
     .doc = "How long a client waits for the addresses of its name."},
    {0                                                              }
};
#undef AT

/* Reports a pattern that stands twice. */
static enum nu_err add_names(struct nu_conf *conf, const struct nu_node *node,
                             struct nu_domain_table *names, const struct nu_vec *list,
                             const char *value)
{
    const char *const *name = list->items;
    const char *why;
    enum nu_err err = NU_OK;
    for (size_t i = 0; i < list->count; i++) {
        if (nu_domain_add(names, name[i], strlen(name[i]), (void *)value, &why) == NU_OK)
            continue;
        nu_conf_error(conf, node, "\"%.100s\" stands in \"allow\" and \"deny\", or twice", name[i]);
        err = NU_ERR_CONFIG;
    }
    return err;
}

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    struct nu_dynamic_forward *self = out;
    self->names = nu_domain_new(arena);
    self->reach = nu_reach_new(arena, &self->reach_conf);
    if (add_names(conf, node, self->names, &self->allow, yes) != NU_OK)
        return NU_ERR_CONFIG;
    return add_names(conf, node, self->names, &self->deny, no);
}

const struct nu_schema nu_dynamic_forward_schema = {
    .name = "dynamic_forward",
    .doc =
        "Connects each client to the host that it asks for in its ClientHello; names are resolved "
        "as they come and kept while their TTL lasts. The chain's match has to ask for the name "
        "(`match: {sni: \"*\"}`). IP addresses are no names.",
    .size = sizeof(struct nu_dynamic_forward),
    .fields = fields,
    .scalar = "allow",
    .check = check,
};

const char *nu_dynamic_forward_sni(struct nu_chain *chain)
{
    const struct nu_facts *facts = nu_chain_facts(chain);
    if (facts->more && facts->more->sni)
        return facts->more->sni;
    return facts->tls ? facts->tls->sni : NULL;
}

/* Letters, digits, hyphens and underscores; what a name server could be asked for (RFC 1123 2.1).
 */
static bool is_name(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool dot = c == '.', edge = i == 0 || i + 1 == len;
        if (!isalnum(c) && c != '-' && c != '_' && !dot)
            return false;
        if (dot && (edge || s[i + 1] == '.'))
            return false;
    }
    return len > 0;
}

const char *nu_dynamic_forward_refused(const struct nu_dynamic_forward *conf, const char *host,
                                       char name[static NU_HOST_MAX + 1])
{
    struct nu_domain_iter it;
    size_t len = strlen(host);
    if (len > 0 && host[len - 1] == '.')
        len--;
    *name = 0;
    if (len > NU_HOST_MAX)
        return "the name is too long";
    if (nu_domain_is_ip(host, len))
        return "an IP address is no name";
    if (!is_name(host, len))
        return "that is no host name";
    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower((unsigned char)host[i]);
    name[len] = 0;
    const char *found = nu_domain_find(conf->names, name, len, &it);
    return found == yes ? NULL : found ? "\"deny\" has it" : "\"allow\" does not have it";
}

uint16_t nu_dynamic_forward_port(const struct nu_dynamic_forward *conf, struct nu_chain *chain)
{
    struct nu_addr dst;
    bool redirected;
    if (conf->port)
        return conf->port;
    return nu_original_dst_of(chain, &dst, &redirected) && redirected ? dst.port : HTTPS;
}

bool nu_dynamic_forward_family(const struct nu_dynamic_forward *conf, const struct nu_addr *addr)
{
    return conf->family == NU_FAMILY_ANY ||
           addr->kind == (conf->family == NU_FAMILY_V4 ? NU_ADDR_IP4 : NU_ADDR_IP6);
}
