/* What users may write about sockets: the schemas of sockopt.h's structs, the values with a syntax
 * of their own; what goes together is sockopt_check.c's. Main thread, while a config is read. */
#include "l4/sockopt.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CONGESTION_AVAILABLE "/proc/sys/net/ipv4/tcp_available_congestion_control"

static enum nu_err unexpected(struct nu_conf *conf, const struct nu_node *node, const char *what)
{
    if (node->kind == NU_NODE_SCALAR)
        nu_conf_error(conf, node, "found \"%.60s\", expected %s",
                      nu_node_is_null(node) ? "nothing" : node->text, what);
    else
        nu_conf_error(conf, node, "found a %s, expected %s", nu_node_kind_str(node->kind), what);
    return NU_ERR_CONFIG;
}

static const char *scalar_of(const struct nu_node *node)
{
    return node->kind == NU_NODE_SCALAR && !nu_node_is_null(node) ? node->text : "";
}

/* Decimal or 0x; -1 if it is neither, or more than `max`. */
static int64_t number(const char *text, int64_t max)
{
    bool hex = strncasecmp(text, "0x", 2) == 0;
    const char *digits = hex ? text + 2 : text;
    if (!*digits || strlen(digits) > 10 ||
        digits[strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789")])
        return -1;
    int64_t n = strtoll(digits, NULL, hex ? 16 : 10);
    return n <= max ? n : -1;
}

static enum nu_err parse_mark(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    int64_t n = number(scalar_of(node), UINT32_MAX);
    if (n < 0)
        return unexpected(conf, node, "a number of 32 bits, like 1 or 0x10");
    *(int64_t *)out = n;
    return NU_OK;
}

/* Names of RFC 2474, 2597, 3246, 5865 and 8622. */
static enum nu_err parse_dscp(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    static const struct {
        const char *name;
        uint8_t value;
    } rows[] = {
        {"cs0",  0 },
        {"cs1",  8 },
        {"cs2",  16},
        {"cs3",  24},
        {"cs4",  32},
        {"cs5",  40},
        {"cs6",  48},
        {"cs7",  56},
        {"af11", 10},
        {"af12", 12},
        {"af13", 14},
        {"af21", 18},
        {"af22", 20},
        {"af23", 22},
        {"af31", 26},
        {"af32", 28},
        {"af33", 30},
        {"af41", 34},
        {"af42", 36},
        {"af43", 38},
        {"ef",   46},
        {"va",   44},
        {"le",   1 },
    };
    int64_t n = number(scalar_of(node), 63);
    for (size_t i = 0; n < 0 && i < sizeof rows / sizeof *rows; i++)
        if (strcasecmp(scalar_of(node), rows[i].name) == 0)
            n = rows[i].value;
    if (n < 0)
        return unexpected(conf, node, "a DSCP: 0 to 63, or a name like ef, af41 or cs1");
    *(int64_t *)out = n;
    return NU_OK;
}

/* "reno bbr cubic", or "" where the file cannot be read. */
static void available(char buf[static 256])
{
    FILE *file = fopen(CONGESTION_AVAILABLE, "re");
    if (!file || !fgets(buf, 256, file))
        *buf = 0;
    if (file)
        fclose(file);
    buf[strcspn(buf, "\n")] = 0;
}

/* Tried on a socket: with the right to do so the kernel loads a module that is not in the list yet.
 * What is only not allowed to us is for the start to say. */
static bool congestion_exists(const char *name)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool none = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) &&
                errno == ENOENT;
    close(fd);
    return !none;
}

static enum nu_err parse_congestion(struct nu_conf *conf, struct nu_arena *arena,
                                    const struct nu_node *node, void *out)
{
    const char *name = scalar_of(node);
    char names[256];
    if (!*name || strlen(name) >= NU_CONGESTION_MAX)
        return unexpected(conf, node, "the name of a congestion control, like cubic or bbr");
    if (!congestion_exists(name)) {
        available(names);
        nu_conf_error(conf, node, "the kernel has no congestion control \"%s\", it has: %s", name,
                      *names ? names : "none that it names");
        return NU_ERR_CONFIG;
    }
    strcpy(out, name);
    return NU_OK;
}

enum nu_err nu_sockopt_parse_interface(struct nu_conf *conf, struct nu_arena *arena,
                                       const struct nu_node *node, void *out)
{
    const char *name = scalar_of(node);
    if (!*name || strlen(name) >= IF_NAMESIZE || strpbrk(name, "/ \t"))
        return unexpected(conf, node, "the name of a network interface, like eth0");
    strcpy(out, name);
    return NU_OK;
}

/* `mptcp: true` where the kernel has none is an error, not TCP in silence. */
static enum nu_err parse_mptcp(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    static const struct nu_addr any = {.kind = NU_ADDR_IP4};
    const char *text = scalar_of(node);
    bool on = !strcasecmp(text, "true") || !strcasecmp(text, "on") || !strcasecmp(text, "yes");
    bool off = !strcasecmp(text, "false") || !strcasecmp(text, "off") || !strcasecmp(text, "no");
    if (!on && !off)
        return unexpected(conf, node, "true or false");
    *(bool *)out = on;
    if (off)
        return NU_OK;
    int fd = nu_sockopt_socket(&any, SOCK_STREAM, &(struct nu_sockopt){.mptcp = true});
    if (fd >= 0) {
        close(fd);
        return NU_OK;
    }
    nu_conf_error(conf, node, "the kernel has no MPTCP, or net.mptcp.enabled is 0: %s",
                  strerror(errno));
    return NU_ERR_CONFIG;
}

/* --- schemas --- */

struct nu_keepalive_conf {
    int64_t time_ms, interval_ms, probes;
};

#define AT(member) .offset = offsetof(struct nu_keepalive_conf, member)
static const struct nu_field keepalive_fields[] = {
    {.key = "time",
     .type = NU_DURATION,
     AT(time_ms),
     .fallback = "60s",
     .max = 32767000,
     .doc = "Silence before the first probe, whole seconds; 0 = off."},
    {.key = "interval",
     .type = NU_DURATION,
     AT(interval_ms),
     .fallback = "0",
     .max = 32767000,
     .doc = "Between probes; 0 = the system's (usually 75 s)."},
    {.key = "probes",
     .type = NU_INT,
     AT(probes),
     .fallback = "0",
     .max = 127,
     .doc = "Unanswered ones after which the peer is gone; 0 = the system's (usually 9)."},
    {0              }
};
#undef AT

static const struct nu_schema keepalive_schema = {
    .name = "keepalive",
    .doc = "TCP keepalive; `keepalive: 30s` is its time alone.",
    .size = sizeof(struct nu_keepalive_conf),
    .fields = keepalive_fields,
    .scalar = "time",
};

/* From the arena into the struct, which is copied about. */
static enum nu_err take_keepalive(struct nu_conf *conf, struct nu_arena *arena,
                                  const struct nu_node *node, void *out)
{
    struct nu_sockopt *opt = out;
    const struct nu_keepalive_conf *k = opt->written;
    opt->written = NULL;
    if (!k || k->time_ms == 0)
        return NU_OK;
    opt->keepalive = true;
    opt->keepalive_time_ms = k->time_ms;
    opt->keepalive_interval_ms = k->interval_ms;
    opt->keepalive_probes = k->probes;
    return NU_OK;
}

#define AT(member) .offset = offsetof(struct nu_sockopt, member)
/* Those of both kinds of sockets. */
#define SHARED_FIELDS                                                                              \
    {.key = "dscp",                                                                                \
     .type = NU_CUSTOM,                                                                            \
     AT(dscp),                                                                                     \
     .parse = parse_dscp,                                                                          \
     .shown = "0 to 63 or a name",                                                                 \
     .item = sizeof(int64_t),                                                                      \
     .doc = "Differentiated services of what is sent (IP_TOS, IPV6_TCLASS): 46, `ef`, `af41`."},   \
        {.key = "mark",                                                                            \
         .type = NU_CUSTOM,                                                                        \
         AT(mark),                                                                                 \
         .parse = parse_mark,                                                                      \
         .shown = "number",                                                                        \
         .item = sizeof(int64_t),                                                                  \
         .doc = "Firewall mark of what is sent (SO_MARK), for rules and routes: 1, 0x10. Needs "   \
                "CAP_NET_ADMIN."},                                                                 \
        {.key = "ttl",                                                                             \
         .type = NU_INT,                                                                           \
         AT(ttl),                                                                                  \
         .min = 1,                                                                                 \
         .max = 255,                                                                               \
         .doc = "TTL or hop limit of what is sent; absent = the system's."},                       \
        {.key = "keepalive",                                                                       \
         .type = NU_OBJECT,                                                                        \
         .flags = NU_PTR,                                                                          \
         AT(written),                                                                              \
         .sub = &keepalive_schema,                                                                 \
         .doc = "TCP: asks silent peers whether they are still there; absent = off."},             \
        {.key = "user_timeout",                                                                    \
         .type = NU_DURATION,                                                                      \
         AT(user_timeout_ms),                                                                      \
         .max = INT32_MAX,                                                                         \
         .doc = "TCP: how long sent bytes may stay unacknowledged before the connection is cut "   \
                "(TCP_USER_TIMEOUT); 0 = as retransmissions have it (about 15 min)."},             \
        {.key = "congestion",                                                                      \
         .type = NU_CUSTOM,                                                                        \
         AT(congestion),                                                                           \
         .parse = parse_congestion,                                                                \
         .shown = "name",                                                                          \
         .item = NU_CONGESTION_MAX,                                                                \
         .doc = "TCP: the congestion control, one of net.ipv4.tcp_available_congestion_control; "  \
                "absent = the system's."},                                                         \
    {                                                                                              \
        .key = "mptcp", .type = NU_CUSTOM, AT(mptcp), .parse = parse_mptcp, .shown = "boolean",    \
        .item = sizeof(bool),                                                                      \
        .doc = "Multipath TCP where the peer speaks it too, else TCP; an "                         \
               "error where the kernel has none."                                                  \
    }

static const struct nu_field listen_fields[] = {
    SHARED_FIELDS,
    {.key = "fast_open",
      .type = NU_INT,
      AT(fast_open),
      .max = 65535,
      .doc = "TCP Fast Open: connections that may wait with their first bytes before the handshake "
            "is done; 0 = off. net.ipv4.tcp_fastopen has to allow it for servers."},
    {0     }
};

/* A bool in an int64_t. */
static enum nu_err parse_fast_open(struct nu_conf *conf, struct nu_arena *arena,
                                   const struct nu_node *node, void *out)
{
    const char *text = scalar_of(node);
    bool on = !strcasecmp(text, "true") || !strcasecmp(text, "on") || !strcasecmp(text, "yes");
    bool off = !strcasecmp(text, "false") || !strcasecmp(text, "off") || !strcasecmp(text, "no");
    *(int64_t *)out = on;
    return on || off ? NU_OK : unexpected(conf, node, "true or false");
}

static const struct nu_field connect_fields[] = {
    SHARED_FIELDS,
    {.key = "fast_open",
      .type = NU_CUSTOM,
      AT(fast_open),
      .parse = parse_fast_open,
      .shown = "boolean",
      .item = sizeof(int64_t),
      .doc =
         "TCP Fast Open: to a server that gave a cookie before, the first bytes go with the SYN, "
         "so a connection counts as made before the server answered. Not for protocols in which "
         "the server speaks first."},
    {0     }
};
#undef AT

const struct nu_schema nu_listen_socket_schema = {
    .name = "listener socket",
    .doc = "Options of a listener's sockets; connections inherit them.",
    .size = sizeof(struct nu_sockopt),
    .fields = listen_fields,
    .check = take_keepalive,
};

const struct nu_schema nu_connect_socket_schema = {
    .name = "cluster socket",
    .doc = "Options of the sockets to a cluster's servers.",
    .size = sizeof(struct nu_sockopt),
    .fields = connect_fields,
    .check = take_keepalive,
};

/* One address of a family, or one of each. */
static enum nu_err parse_source(struct nu_conf *conf, const struct nu_node *node,
                                struct nu_connect_options *out)
{
    struct nu_addr addr;
    if (node->broken)
        return NU_ERR_CONFIG;
    if (node->kind != NU_NODE_SCALAR || nu_addr_parse(&addr, node->text, 0) != NU_OK ||
        addr.kind == NU_ADDR_UNIX || addr.port != 0)
        return unexpected(conf, node, "an IP address without a port");
    struct nu_addr *place = addr.kind == NU_ADDR_IP6 ? &out->source6 : &out->source4;
    if (place->kind != NU_ADDR_NONE) {
        nu_conf_error(conf, node, "one address of a family, and there is one already");
        return NU_ERR_CONFIG;
    }
    *place = addr;
    return NU_OK;
}

static enum nu_err parse_sources(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    struct nu_connect_options *options =
        (void *)((char *)out - offsetof(struct nu_connect_options, source4));
    enum nu_err err = NU_OK;
    if (node->kind != NU_NODE_LIST)
        return parse_source(conf, node, options);
    for (uint32_t i = 0; i < node->count; i++)
        if (parse_source(conf, node->child[i], options) != NU_OK)
            err = NU_ERR_CONFIG;
    return err;
}

#define AT(member) .offset = offsetof(struct nu_connect_options, member)
static const struct nu_field source_fields[] = {
    {.key = "address",
     .type = NU_CUSTOM,
     AT(source4),
     .parse = parse_sources,
     .shown = "addresses",
     .item = sizeof(struct nu_addr),
     .doc = "An IPv4 address, an IPv6 address, or one of each: the one of the server's family is "
            "used; a server of the other family gets what the system chooses."},
    {.key = "interface",
     .type = NU_CUSTOM,
     AT(opt.interface),
     .parse = nu_sockopt_parse_interface,
     .shown = "name",
     .item = IF_NAMESIZE,
     .doc = "Leaves by this network interface, whatever the routes say (SO_BINDTODEVICE)."},
    {.key = "freebind",
     .type = NU_BOOL,
     AT(opt.freebind),
     .fallback = "false",
     .doc = "The address need not be one of this machine's."},
    {0}
};
#undef AT

const struct nu_schema nu_bind_source_schema = {
    .name = "bind_source",
    .doc = "Where connections to servers come from; an address alone may stand for it. Ports are "
           "chosen when a connection is made, so that one may serve many servers.",
    .size = sizeof(struct nu_connect_options),
    .fields = source_fields,
    .scalar = "address",
};
