/* The schema of a cluster, and the parsing of endpoint addresses: literals, host names, UNIX
 * sockets. Main thread, while a config is read. */
#include "core/assert.h"
#include "core/table/strmap.h"
#include "l4/balance/schedule.h"
#include "l4/cluster_priv.h"
#include "l4/dynamic_forward.h"
#include "l4/health/conf.h"
#include "l4/original_dst.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PRIORITY_MAX 127 /* as Envoy has it */

/* Letters, digits, hyphens and underscores in labels of up to 63; the last label is no number, or
 * it was meant to be an IPv4 address. */
static bool is_host(const char *s, size_t len)
{
    size_t label = 0, digits = 0;
    if (len > 0 && s[len - 1] == '.')
        len--;
    if (len == 0 || len > NU_HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool dot = c == '.';
        if (dot ? label == 0 : !isalnum(c) && c != '-' && c != '_')
            return false;
        label = dot ? 0 : label + 1;
        digits = dot ? 0 : digits + (isdigit(c) != 0);
        if (label > 63)
            return false;
    }
    return label > 0 && digits < label;
}

static bool is_port(const char *s, uint16_t *port)
{
    unsigned long n = strtoul(s, NULL, 10);
    if (!*s || strlen(s) > 5 || s[strspn(s, "0123456789")] || n < 1 || n > 65535)
        return false;
    *port = (uint16_t)n;
    return true;
}

/* "name:port"; what is wrong with it, or NULL. */
static const char *read_host(struct nu_arena *arena, const char *text, struct cl_where *out)
{
    const char *colon = strrchr(text, ':');
    if (strstr(text, "://"))
        return "it is written without a scheme";
    if (!colon)
        return "the port is missing";
    if (memchr(text, ':', (size_t)(colon - text)) || *text == '[')
        return "an IPv6 address stands in brackets, with its port behind them";
    if (!is_port(colon + 1, &out->port))
        return "the port is no number from 1 to 65535";
    size_t len = (size_t)(colon - text);
    if (!is_host(text, len))
        return "that is neither an IP address nor a host name";
    char *host = nu_arena_strndup(arena, text, len);
    for (size_t i = 0; i < len; i++)
        host[i] = (char)tolower((unsigned char)host[i]);
    out->host = host;
    return NULL;
}

/* A relative socket path is relative to the config file. */
static const char *read_unix(struct nu_conf *conf, struct nu_arena *arena, const char *text,
                             struct cl_where *out)
{
    size_t cap = sizeof((struct sockaddr_un *)0)->sun_path;
    const char *path = text + strlen("unix:");
    if (!*path)
        return "the socket's path is missing";
    if (*path != '@')
        path = nu_conf_path(conf, arena, path);
    if (strlen(path) >= cap)
        return "the socket's path is too long";
    out->addr = (struct nu_addr){.kind = NU_ADDR_UNIX, .path = path};
    return NULL;
}

static const char *read_where(struct nu_conf *conf, struct nu_arena *arena, const char *text,
                              struct cl_where *out)
{
    if (strncmp(text, "unix:", 5) == 0)
        return read_unix(conf, arena, text, out);
    if (nu_addr_parse(&out->addr, text, -1) != NU_OK)
        return read_host(arena, text, out);
    return out->addr.port ? NULL : "the port is no number from 1 to 65535";
}

static enum nu_err bad_where(struct nu_conf *conf, const struct nu_node *node, const char *why)
{
    if (node->kind == NU_NODE_SCALAR)
        nu_conf_error(conf, node,
                      "\"%.100s\" is no endpoint: %s; expected an address like 10.0.0.1:80, "
                      "\"[::1]:80\", name:80 or unix:/path",
                      node->text, why);
    else
        nu_conf_error(conf, node, "found a %s, expected an address like 10.0.0.1:80 or name:80",
                      nu_node_kind_str(node->kind));
    return NU_ERR_CONFIG;
}

static enum nu_err parse_where(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    struct cl_where *where = out;
    if (node->kind != NU_NODE_SCALAR)
        return bad_where(conf, node, "");
    where->text = nu_arena_strdup(arena, node->text);
    const char *why = read_where(conf, arena, where->text, where);
    return why ? bad_where(conf, node, why) : NU_OK;
}

static enum nu_err parse_dns(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    struct cl_where *where = out;
    enum nu_err err = parse_where(conf, arena, node, where);
    if (err || where->host)
        return err;
    nu_conf_error(conf, node, "expected a host name with its port; addresses go to \"endpoints\"");
    return NU_ERR_CONFIG;
}

/* Only round_robin is there; the others are known. */
static enum nu_err parse_balance(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    static const char *const names[] = {"round_robin", "least_request", "random", "ring_hash",
                                        "maglev"};
    size_t count = sizeof names / sizeof *names;
    const char *name = node->kind == NU_NODE_SCALAR                    ? node->text
                       : node->kind == NU_NODE_MAP && node->count == 1 ? node->child[0]->key
                                                                       : "";
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0 && i > 0) {
            nu_conf_error(conf, node, "\"%s\" is not in this version", name);
            return NU_ERR_CONFIG;
        }
    *(int *)out = 0;
    if (strcmp(name, names[0]) == 0 && node->kind == NU_NODE_SCALAR)
        return NU_OK;
    nu_conf_error(conf, node, "expected round_robin");
    nu_conf_guess(conf, nu_did_you_mean(name, names, count));
    return NU_ERR_CONFIG;
}

static const struct nu_field endpoint_fields[] = {
    {.key = "address",
     .type = NU_CUSTOM,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct cl_target, where),
     .parse = parse_where,
     .shown = "address or host name",
     .item = sizeof(struct cl_where),
     .doc = "An IP address or a host name with its port, or unix:/path. A host name is resolved "
            "again when its TTL is over, and stands for all its addresses."},
    {.key = "weight",
     .type = NU_INT,
     .offset = offsetof(struct cl_target, weight),
     .fallback = "1",
     .min = 1,
     .max = NU_WEIGHT_MAX,
     .doc = "Its share of connections, in relation to the others of its priority; each address of "
            "a host name has it."},
    {.key = "priority",
     .type = NU_INT,
     .offset = offsetof(struct cl_target, priority),
     .fallback = "0",
     .max = PRIORITY_MAX,
     .doc = "Endpoints of a higher number are tried when all of the lower ones have failed."},
    {0}
};

static const struct nu_schema endpoint_schema = {
    .name = "endpoint",
    .doc = "One server; its address alone may stand for it.",
    .size = sizeof(struct cl_target),
    .fields = endpoint_fields,
    .scalar = "address",
};

static const struct nu_field limit_fields[] = {
    {.key = "connections",
     .type = NU_INT,
     .fallback = "0",
     .doc = "Connections to the cluster at once, over all workers; 0 = no limit, other than in "
            "Envoy, where it is 1024."},
    {.key = "pending",               .type = NU_INT, .flags = NU_LATER, .doc = "Requests that wait."},
    {.key = "requests",                             .type = NU_INT, .flags = NU_LATER, .doc = "Requests at once."},
    {.key = "retries", .type = NU_INT, .flags = NU_LATER, .doc = "Retries at once."},
    {0}
};

static const struct nu_schema limit_schema = {
    .name = "limits",
    .doc = "What the cluster's servers are spared.",
    .size = sizeof(int64_t),
    .fields = limit_fields,
};

static const char *const proxy_choices[] = {"off", "v1", "v2", NULL};

#define LATER(key_)                                                                                \
    {                                                                                              \
        .key = (key_), .type = NU_NODE, .flags = NU_LATER, .doc = "Not in this version."           \
    }

static const struct nu_field cluster_fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_REQUIRED | NU_NONEMPTY,
     .offset = offsetof(struct cl_cluster, pub.name),
     .doc = "How filters, logs and stats call it."},
    {.key = "endpoints",
     .type = NU_OBJECT,
     .flags = NU_LIST | NU_NONEMPTY,
     .offset = offsetof(struct cl_cluster, targets),
     .sub = &endpoint_schema,
     .doc = "Its servers."},
    {.key = "dns",
     .type = NU_CUSTOM,
     .offset = offsetof(struct cl_cluster, dns),
     .parse = parse_dns,
     .shown = "host name",
     .item = sizeof(struct cl_where),
     .doc = "A host name with its port whose addresses are the servers; instead of `endpoints`."},
    {.key = "original_dst",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .offset = offsetof(struct cl_cluster, pub.original_dst),
     .sub = &nu_original_dst_schema,
     .doc = "`true`: each client's server is where it was going before a REDIRECT, DNAT or TPROXY "
            "rule brought it here; instead of `endpoints`."},
    {.key = "dynamic_forward",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .offset = offsetof(struct cl_cluster, pub.dynamic_forward),
     .sub = &nu_dynamic_forward_schema,
     .doc = "Each client's server is the host that it asks for in its ClientHello, if that is "
            "allowed here; instead of `endpoints`."},
    {.key = "balance",
     .type = NU_CUSTOM,
     .offset = offsetof(struct cl_cluster, balance),
     .fallback = "round_robin",
     .parse = parse_balance,
     .shown = "round_robin",
     .item = sizeof(int),
     .doc = "How the next endpoint is chosen."},
    {.key = "connect_timeout",
     .type = NU_DURATION,
     .offset = offsetof(struct cl_cluster, pub.connect_timeout_ms),
     .fallback = "5s",
     .doc = "For one endpoint to accept a connection; then the next one is tried."},
    {.key = "proxy_protocol",
     .type = NU_ENUM,
     .offset = offsetof(struct cl_cluster, pub.proxy_header),
     .fallback = "off",
     .choices = proxy_choices,
     .doc = "Sends a PROXY header of that version first, with the client's address."},
    NU_CONNECT_OPTION_FIELDS(struct cl_cluster, pub.connect),
    {.key = "limits",
     .type = NU_OBJECT,
     .offset = offsetof(struct cl_cluster, pub.max_connections),
     .sub = &limit_schema,
     .doc = "Caps; what is over them is refused at once."},
    {.key = "health_check",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     .offset = offsetof(struct cl_cluster, health_conf),
     .sub = &nu_health_schema,
     .doc = "Checks of the endpoints; absent: each is taken for healthy."},
    {.key = "panic_threshold",
     .type = NU_PERCENT,
     .offset = offsetof(struct cl_cluster, panic_threshold),
     .fallback = "50%",
     .doc = "While fewer endpoints of a priority than that are healthy, and no other can take "
            "over, all are used, since checks are more likely wrong than everybody unwell at once. "
            "0% = unhealthy ones never."},
    LATER("outlier"),
    LATER("srv"),
    {0}
};

/* What two endpoints must not share. */
static const char *identity(const struct cl_where *where, char buf[static NU_ADDR_TEXT_MAX])
{
    if (where->host)
        return where->text;
    return nu_addr_str(&where->addr, buf);
}

static enum nu_err check_duplicates(struct nu_conf *conf, const struct nu_node *list,
                                    const struct nu_vec *targets)
{
    enum nu_err err = NU_OK;
    const struct cl_target *target = targets->items;
    struct nu_strmap *seen = nu_strmap_new(NULL, NU_STRMAP_FOLD);
    for (size_t i = 0; i < targets->count; i++) {
        char buf[NU_ADDR_TEXT_MAX];
        const char *id = identity(&target[i].where, buf);
        const struct nu_node *node = list->kind == NU_NODE_LIST ? list->child[i] : list;
        const struct nu_node *first = nu_strmap_get_str(seen, id);
        if (first) {
            nu_conf_error(conf, node, "endpoint %s stands on line %u already", id, first->line);
            err = NU_ERR_CONFIG;
        } else
            nu_strmap_put_str(seen, id, (void *)node);
    }
    nu_strmap_free(seen);
    return err;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ')
            return true;
    return false;
}

/* Exactly one key says where its servers come from. */
static enum nu_err check_kind(struct nu_conf *conf, const struct nu_node *node,
                              const struct cl_cluster *c)
{
    static const char *const keys[] = {"endpoints", "dns", "dynamic_forward", "original_dst"};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct nu_node *key = nu_node_get(node, keys[i]);
        if (!key || (i == 3 && !c->pub.original_dst))
            continue;
        if (first) {
            nu_conf_error_key(conf, key, "\"%s\" and \"%s\" exclude each other", keys[i], first);
            return NU_ERR_CONFIG;
        }
        first = keys[i];
    }
    if (first)
        return NU_OK;
    nu_conf_error_in(conf, node,
                     "missing key \"endpoints\" (or \"dns\", \"original_dst\", "
                     "\"dynamic_forward\")");
    return NU_ERR_CONFIG;
}

/* The first target that is a UNIX socket, or NULL. */
static const struct cl_target *unix_target(const struct cl_cluster *c)
{
    const struct cl_target *target = c->targets.items;
    for (size_t i = 0; i < c->targets.count; i++)
        if (target[i].where.addr.kind == NU_ADDR_UNIX)
            return &target[i];
    return NULL;
}

bool nu_cluster_has_unix(const struct nu_cluster *cluster)
{
    return unix_target(cl_of(cluster)) != NULL;
}

/* Addresses to come from are for IP. */
static enum nu_err check_sources(struct nu_conf *conf, const struct nu_node *node,
                                 const struct cl_cluster *c)
{
    const struct nu_connect_options *o = &c->pub.connect;
    const struct cl_target *target = unix_target(c);
    const char *key = o->opt.transparent ? "transparent" : "bind_source";
    bool asked = o->opt.transparent || *o->opt.interface || o->source4.kind || o->source6.kind;
    if (!asked || !target)
        return nu_connect_options_check(conf, node, o);
    nu_conf_error_key(conf, nu_node_get(node, key),
                      "\"%s\" is for IP addresses, and %s is a UNIX socket", key,
                      target->where.text);
    return NU_ERR_CONFIG;
}

static enum nu_err check_cluster(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    struct cl_cluster *c = out;
    const struct nu_node *list = nu_node_get(node, "endpoints"), *dns = nu_node_get(node, "dns");
    if (has_control(c->pub.name)) {
        nu_conf_error(conf, nu_node_get(node, "name"), "control characters in a name");
        return NU_ERR_CONFIG;
    }
    if (c->pub.original_dst && !c->pub.original_dst->enabled)
        c->pub.original_dst = NULL;
    if (c->health_conf && (c->pub.original_dst || c->pub.dynamic_forward)) {
        nu_conf_error_key(conf, nu_node_get(node, "health_check"),
                          "\"health_check\" is for clusters that know their endpoints");
        return NU_ERR_CONFIG;
    }
    if (check_kind(conf, node, c) != NU_OK || check_sources(conf, node, c) != NU_OK)
        return NU_ERR_CONFIG;
    if (list)
        return check_duplicates(conf, list, &c->targets);
    if (!dns)
        return NU_OK;
    struct cl_target *only = nu_arena_alloc(arena, sizeof *only);
    *only = (struct cl_target){c->dns, 1, 0};
    c->targets = (struct nu_vec){only, 1};
    return NU_OK;
}

static struct nu_ext *extensions;

const struct nu_schema nu_cluster_schema = {
    .name = "cluster",
    .doc = "A named set of servers, and how to connect to them.",
    .size = sizeof(struct cl_cluster),
    .fields = cluster_fields,
    .check = check_cluster,
    .ext = &extensions,
    .ext_offset = offsetof(struct cl_cluster, pub.ext),
};

enum nu_err cl_parse(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                     struct cl_cluster *out)
{
    return nu_schema_parse(&nu_cluster_schema, conf, arena, node, out);
}
