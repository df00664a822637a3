/* What may stand under `listeners`: the schemas of a listener, a chain and a match, and the values
 * that only they have. */
#include "core/table/domain.h"
#include "l4/listener_priv.h"

#include <string.h>

#define ALPN_MAX 255 /* bytes of a protocol's name (RFC 7301 3.1) */

static struct nu_ext *listener_exts, *chain_exts;

static enum nu_err unexpected(struct nu_conf *conf, const struct nu_node *node, const char *what)
{
    if (node->kind == NU_NODE_SCALAR)
        nu_conf_error(conf, node, "found \"%.60s\", expected %s",
                      nu_node_is_null(node) ? "nothing" : node->text, what);
    else
        nu_conf_error(conf, node, "found a %s, expected %s", nu_node_kind_str(node->kind), what);
    return NU_ERR_CONFIG;
}

/* --- bind --- */

#define BIND_EXPECTED                                                                              \
    "an address to listen on, like 0.0.0.0:80, \"[::]:80\", unix:/path or udp://0.0.0.0:53; port " \
    "0 = a free one"
#define UDP "udp://"

static enum nu_err parse_bind(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    struct listener_bind *bind = out;
    char text[NU_ADDR_TEXT_MAX];
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node))
        return unexpected(conf, node, BIND_EXPECTED);
    bind->udp = strncmp(node->text, UDP, strlen(UDP)) == 0;
    const char *address = node->text + (bind->udp ? strlen(UDP) : 0);
    if (nu_addr_parse(&bind->addr, nu_arena_strdup(arena, address), -1) != NU_OK)
        return unexpected(conf, node, BIND_EXPECTED);
    if (bind->udp && bind->addr.kind == NU_ADDR_UNIX) {
        nu_conf_error(conf, node, "datagrams of UNIX sockets are not supported");
        return NU_ERR_CONFIG;
    }
    if (bind->addr.kind == NU_ADDR_UNIX &&
        nu_conf_unix_path(conf, arena, node, &bind->addr) != NU_OK)
        return NU_ERR_CONFIG;
    bind->node = node;
    bind->text =
        nu_arena_printf(arena, "%s%s", bind->udp ? UDP : "", nu_addr_str(&bind->addr, text));
    return NU_OK;
}

static enum nu_err parse_mode(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    int64_t mode = 0;
    const char *c = node->kind == NU_NODE_SCALAR ? node->text : "";
    for (; *c >= '0' && *c <= '7' && mode <= 0777; c++)
        mode = mode * 8 + (*c - '0');
    if (*c || mode > 0777 || node->kind != NU_NODE_SCALAR || nu_node_is_null(node) || !*node->text)
        return unexpected(conf, node, "an octal mode like \"0660\"");
    *(int64_t *)out = mode + 1;
    return NU_OK;
}

/* --- match --- */

static enum nu_err parse_sni(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    const char *why;
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node))
        return unexpected(conf, node, "a host name like a.test or \"*.a.test\"");
    if (nu_domain_check(node->text, strlen(node->text), &why) != NU_OK) {
        nu_conf_error(conf, node, "\"%.100s\" is no host name to match: %s", node->text, why);
        return NU_ERR_CONFIG;
    }
    *(const char **)out = nu_arena_strdup(arena, node->text);
    return NU_OK;
}

static bool is_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

static enum nu_err parse_ja3(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node) || strlen(node->text) != 32 ||
        !is_hex(node->text, 32))
        return unexpected(conf, node, "a JA3 fingerprint: 32 digits, 0 to 9 and a to f");
    *(const char **)out = nu_arena_strdup(arena, node->text);
    return NU_OK;
}

static enum nu_err parse_ja4(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, void *out)
{
    const char *text = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) ? node->text : "";
    if (strlen(text) != 36 || text[10] != '_' || text[23] != '_' || !is_hex(text + 11, 12) ||
        !is_hex(text + 24, 12))
        return unexpected(conf, node,
                          "a JA4 fingerprint like t13d1516h2_8daaf6152771_e5627efa2ab1");
    *(const char **)out = nu_arena_strdup(arena, text);
    return NU_OK;
}

static enum nu_err parse_alpn(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node) || !*node->text ||
        strlen(node->text) > ALPN_MAX)
        return unexpected(conf, node, "a protocol like h2 or http/1.1, of 1 to 255 bytes");
    *(const char **)out = nu_arena_strdup(arena, node->text);
    return NU_OK;
}

static const char *const transports[] = {"any", "plain", "tls", NULL};

#define AT(member) .offset = offsetof(struct nu_match_rule, member)
static const struct nu_field match_fields[] = {
    {.key = "sni",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(sni),
     .parse = parse_sni,
     .item = sizeof(char *),
     .shown = "host names",
     .doc = "Server names that a TLS client asks for: `a.test`, `\"*.b.test\"` for any name below "
            "b.test, `\"*\"` for any name."},
    {.key = "alpn",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(alpn),
     .parse = parse_alpn,
     .item = sizeof(char *),
     .shown = "protocols",
     .doc = "Protocols of which a TLS client offers one."},
    {.key = "transport",
     .type = NU_ENUM,
     AT(transport),
     .choices = transports,
     .doc = "Whether the client begins with a TLS ClientHello. Default: any."},
    {.key = "ja4",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(ja4),
     .parse = parse_ja4,
     .item = sizeof(char *),
     .shown = "fingerprints",
     .doc = "JA4 fingerprints of the ClientHello, of which it has one: what a client's TLS library "
            "is, whatever the order of its extensions."},
    {.key = "ja3",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(ja3),
     .parse = parse_ja3,
     .item = sizeof(char *),
     .shown = "fingerprints",
     .doc = "JA3 fingerprints of the ClientHello, of which it has one. Anybody can imitate either: "
            "they tell programs apart, not friends from foes."},
    {.key = "source",
     .type = NU_CIDR,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(source),
     .doc = "Networks that the client is in."},
    {.key = "source_port",
     .type = NU_INT,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(source_port),
     .min = 1,
     .max = 65535,
     .doc = "Ports of the client."},
    {.key = "destination",
     .type = NU_CIDR,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(destination),
     .doc = "Networks of the address that the client connected to."},
    {.key = "destination_port",
     .type = NU_INT,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(destination_port),
     .min = 1,
     .max = 65535,
     .doc = "Ports that the client connected to."},
    {0                                  }
};
#undef AT

const struct nu_schema nu_match_schema = {
    .name = "match",
    .doc =
        "Which connections a chain takes: those that fit every key that is given. Of several "
        "chains that fit the most specific one wins, by destination port, destination, JA4, JA3, "
        "SNI (exact, then the longest wildcard), transport, ALPN, source, source port, in this "
        "order.",
    .size = sizeof(struct nu_match_rule),
    .fields = match_fields,
};

/* --- chain --- */

#define AT(member) .offset = offsetof(struct chain_raw, member)
static const struct nu_field chain_fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     AT(name),
     .doc = "For logs. Default: the listener's name and the match."},
    {.key = "match",
     .type = NU_OBJECT,
     AT(match),
     .sub = &nu_match_schema,
     .doc = "Which connections it takes; without it, all that no other chain takes."},
    {.key = "filters",
     .type = NU_NODE,
     AT(filters),
     .shown = "list of filters",
     .doc = "From the client to the server: a filter's name, or `{name: options}`."},
    {.key = "access_log",
     .type = NU_OBJECT,
     .flags = NU_LIST,
     AT(access_log),
     .sub = &nu_access_log_schema,
     .doc = "In place of the listener's; an empty list writes none."},
    {0                                                     }
};
#undef AT

const struct nu_schema nu_chain_schema = {
    .name = "chain",
    .doc = "A filter chain of a listener.",
    .size = sizeof(struct chain_raw),
    .fields = chain_fields,
    .ext = &chain_exts,
    .ext_offset = offsetof(struct chain_raw, ext),
};

/* --- listener --- */

#define AT(member) .offset = offsetof(struct listener_udp, member)
static const struct nu_field udp_fields[] = {
    {.key = "max_sessions",
     .type = NU_INT,
     AT(max_sessions),
     .fallback = "16384",
     .min = 1,
     .max = INT32_MAX,
     .doc = "Sessions of all workers; each takes a descriptor and about 4 KiB. All listeners "
            "together have at most three quarters of the descriptors that the process may have. "
            "Beyond it a new client takes the place of the quietest one that never sent again "
            "after an answer, or else is not heard."},
    {.key = "max_sessions_per_source",
     .type = NU_INT,
     AT(max_per_source),
     .fallback = "0",
     .max = INT32_MAX,
     .doc = "The same for each IPv4 address, or IPv6 /64, of clients. 0 = no limit."},
    {.key = "receive_buffer",
     .type = NU_SIZE,
     AT(receive_buffer),
     .fallback = "1MiB",
     .max = 1 << 30,
     .doc = "What the kernel keeps for each worker until it is read; its net.core.rmem_max caps "
            "it, but for root. 0 = the kernel's default."},
    {0}
};
#undef AT

const struct nu_schema nu_listener_udp_schema = {
    .name = "udp",
    .doc = "What holds for the sessions of a listener of datagrams.",
    .size = sizeof(struct listener_udp),
    .fields = udp_fields,
};

/* Chains of their own, or one that stands right here. */
static enum nu_err check_listener(struct nu_conf *conf, struct nu_arena *arena,
                                  const struct nu_node *node, void *out)
{
    struct listener_raw *raw = out;
    if (raw->chains.items && raw->filters) {
        nu_conf_error_key(conf, raw->filters,
                          "\"filters\" and \"chains\" exclude each other: filters stand either "
                          "here or in each chain");
        return NU_ERR_CONFIG;
    }
    raw->mode--; /* stored one higher, so that 0 is absent */
    return NU_OK;
}

static const char *const proxy_modes[] = {"off", "require", "optional", NULL};

#define AT(member) .offset = offsetof(struct listener_raw, member)
static const struct nu_field listener_fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     AT(name),
     .doc = "For stats and logs, unique. Default: its first address."},
    {.key = "bind",
     .type = NU_CUSTOM,
     .flags = NU_REQUIRED | NU_LIST | NU_NONEMPTY,
     AT(binds),
     .parse = parse_bind,
     .item = sizeof(struct listener_bind),
     .shown = "addresses",
     .doc = "Where it listens: `0.0.0.0:80`, `\"[::]:80\"` (IPv6 only), `unix:/path`. Port 0 is a "
            "free one, printed at start. `udp://` before an address takes datagrams: those of one "
            "client are a session, which has a chain as a connection has; all addresses of a "
            "listener are of one kind."},
    {.key = "mode",
     .type = NU_CUSTOM,
     AT(mode),
     .parse = parse_mode,
     .shown = "octal",
     .doc = "Permissions of UNIX sockets, like `\"0660\"`. Default: as the umask has it."},
    {.key = "backlog",
     .type = NU_INT,
     AT(backlog),
     .fallback = "4096",
     .min = 1,
     .max = 65535,
     .doc = "Connections that may wait to be accepted, for each worker; the kernel's "
            "net.core.somaxconn caps it."},
    {.key = "max_connections",
     .type = NU_INT,
     AT(max_connections),
     .fallback = "0",
     .doc = "Open connections of all workers; more are closed at once. 0 = no limit."},
    NU_LISTEN_OPTION_FIELDS(struct listener_raw, options),
    {.key = "udp",
     .type = NU_OBJECT,
     .flags = NU_PTR,
     AT(udp),
     .sub = &nu_listener_udp_schema,
     .doc = "Limits of a listener of datagrams."},
    {.key = "proxy_protocol",
     .type = NU_ENUM,
     AT(proxy),
     .fallback = "off",
     .choices = proxy_modes,
     .doc = "Whether connections begin with a PROXY header, version 1 or 2. What it says is "
            "believed: `require` and `optional` are for listeners that only load balancers reach. "
            "`optional` waits for the client's first bytes."},
    {.key = "sniff_timeout",
     .type = NU_DURATION,
     AT(sniff_timeout_ms),
     .fallback = "15s",
     .doc = "How long a PROXY header, and where a match needs it a ClientHello, may take. Then "
            "the chain that matches without it takes the connection, if there is one."},
    {.key = "access_log",
     .type = NU_OBJECT,
     .flags = NU_LIST,
     AT(access_log),
     .sub = &nu_access_log_schema,
     .doc = "Where ended connections are logged, for all chains without a log of their own."},
    {.key = "chains",
     .type = NU_NODE,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(chains),
     .shown = "chains",
     .doc = "Filter chains and what they match."},
    {.key = "filters",
     .type = NU_NODE,
     AT(filters),
     .shown = "list of filters",
     .doc = "The only chain's filters, where there are no `chains`."},
    {0                                                                    }
};
#undef AT

const struct nu_schema nu_listener_schema = {
    .name = "listener",
    .doc = "Addresses to accept connections on, and the filter chains that carry them.",
    .size = sizeof(struct listener_raw),
    .fields = listener_fields,
    .ext = &listener_exts,
    .ext_offset = offsetof(struct listener_raw, ext),
    .check = check_listener,
};
