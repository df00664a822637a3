/* The schema of the config's root, and the value of its key `admin`. */
#include "tools/nuncio/root.h"
#include "tools/nuncio/statsd.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define ADMIN_DEFAULT "admin.sock" /* beside the config file */

static bool is_loopback(const struct nu_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};
    if (addr->kind == NU_ADDR_IP4)
        return addr->ip[0] == 127;
    return addr->kind == NU_ADDR_UNIX || memcmp(addr->ip, one, sizeof one) == 0;
}

enum nu_err nu_admin_address(const char *text, struct nu_addr *out)
{
    if (nu_addr_parse(out, text, -1) != NU_OK)
        return NU_ERR_SYNTAX;
    return is_loopback(out) ? NU_OK : NU_ERR_LIMIT;
}

/* The text of a UNIX socket's address with its path absolute ("@" begins an abstract one). */
static const char *unix_address(struct nu_conf *conf, struct nu_arena *arena, const char *path)
{
    if (*path != '@')
        path = nu_conf_path(conf, arena, path);
    return nu_arena_printf(arena, "unix:%s", path);
}

static bool is_word(const struct nu_node *node, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(node->text, *words) == 0)
            return true;
    return false;
}

static enum nu_err no_port(struct nu_conf *conf, const struct nu_node *node)
{
    nu_conf_error(conf, node, "admin needs a port that is known beforehand, not 0");
    return NU_ERR_CONFIG;
}

static enum nu_err parse_address(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, const char **out)
{
    struct nu_addr addr;
    enum nu_err err = nu_admin_address(node->text, &addr);
    if (err == NU_ERR_SYNTAX)
        nu_conf_error(conf, node,
                      "found \"%.60s\", expected on, off, an address like 127.0.0.1:9901 or "
                      "unix:/path",
                      node->text);
    else if (err)
        nu_conf_error(conf, node,
                      "%.60s can be reached from elsewhere: admin is for loopback addresses and "
                      "UNIX sockets",
                      node->text);
    else if (addr.kind != NU_ADDR_UNIX && addr.port == 0)
        err = no_port(conf, node);
    if (err)
        return NU_ERR_CONFIG;
    bool is_unix = addr.kind == NU_ADDR_UNIX;
    *out = is_unix ? unix_address(conf, arena, addr.path) : nu_arena_strdup(arena, node->text);
    if (is_unix && strlen(*out) - 5 >= sizeof((struct sockaddr_un *)0)->sun_path) {
        nu_conf_error(conf, node, "the socket's path %s is longer than %zu bytes", *out + 5,
                      sizeof((struct sockaddr_un *)0)->sun_path - 1);
        return NU_ERR_CONFIG;
    }
    return NU_OK;
}

static enum nu_err parse_admin(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    static const char *const on[] = {"on", "true", "yes", NULL};
    static const char *const off[] = {"off", "false", "no", NULL};
    struct nu_node copy = *node;
    *(const char **)out = NULL;
    if (node->kind != NU_NODE_SCALAR || nu_node_is_null(node)) {
        nu_conf_error(conf, node, "expected on, off, or an address like 127.0.0.1:9901");
        return NU_ERR_CONFIG;
    }
    if (is_word(node, off))
        return NU_OK;
    if (is_word(node, on))
        copy.text = "unix:" ADMIN_DEFAULT;
    return parse_address(conf, arena, &copy, out);
}

static const struct nu_field fields[] = {
    {.key = "workers",
     .type = NU_INT,
     .offset = offsetof(struct nu_root, workers),
     .fallback = "0",
     .max = NU_MAX_WORKERS,
     .doc = "Threads that carry traffic; 0 = one per CPU. A change takes effect at a restart."},
    {.key = "admin",
     .type = NU_CUSTOM,
     .offset = offsetof(struct nu_root, admin),
     .parse = parse_admin,
     .shown = "on, off or address",
     .doc = "Where `nuncio ctl` and HTTP are answered: `on` is `unix:admin.sock` beside the config "
            "file; or a "
            "loopback address, or `unix:/path`. Whoever may connect may command; a UNIX socket is "
            "its owner's alone."},
    {.key = "drain_timeout",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_root, drain_timeout_ms),
     .fallback = "30s",
     .doc = "How long connections may go on after TERM, or after their listener was removed; then "
            "they are cut. 0 cuts them at once."},
    {.key = "drain_delay",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_root, drain_delay_ms),
     .fallback = "0s",
     .doc = "How long new connections are still accepted after TERM, while `/ready`, `ctl ready` "
            "and the filter `health_check` say no already: as long as load balancers need to "
            "notice. `drain_timeout` begins behind it."},
    {.key = "user",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct nu_root, user),
     .doc = "Whom to become when started as root: a name or a number. All files but the config are "
            "opened, and sockets bound, as that user; capabilities for ports below 1024 stay. "
            "Absent: nobody else, but root gives up most capabilities. A change takes effect at a "
            "restart."},
    {.key = "group",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct nu_root, group),
     .doc = "Group to become with `user`, a name or a number; by default the user's own."},
    {.key = "seccomp",
     .type = NU_BOOL,
     .offset = offsetof(struct nu_root, seccomp),
     .fallback = "on",
     .doc = "Lets the kernel refuse all system calls that this program has no need of. A change "
            "takes effect at a restart."},
    {.key = "core_dumps",
     .type = NU_BOOL,
     .offset = offsetof(struct nu_root, core_dumps),
     .fallback = "off",
     .doc = "Whether a crash may leave a core file, and other processes of the same user may look "
            "into this one: its memory holds what it carries. A change takes effect at a restart."},
    {.key = "stats_sinks",
     .type = NU_OBJECT,
     .flags = NU_LIST,
     .offset = offsetof(struct nu_root, sinks),
     .sub = &nu_sink_schema,
     .doc = "Where figures are pushed to, at most 8."},
    {.key = "listeners",
     .type = NU_NODE,
     .offset = offsetof(struct nu_root, listeners),
     .shown = "list of listeners",
     .doc = "Sockets that accept, and what becomes of their connections."},
    {.key = "clusters",
     .type = NU_NODE,
     .offset = offsetof(struct nu_root, clusters),
     .shown = "list of clusters",
     .doc = "Named sets of servers."},
    {0                                                                                        }
};

static enum nu_err check_root(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    struct nu_root *root = out;
    if (root->sinks.count > NU_SINKS_MAX) {
        nu_conf_error(conf, nu_node_get(node, "stats_sinks"), "more than %d sinks", NU_SINKS_MAX);
        return NU_ERR_CONFIG;
    }
    return nu_identity_find(conf, arena, node, root->user, root->group, &root->identity);
}

const struct nu_schema nu_root_schema = {
    .name = "config",
    .doc = "A config file is YAML (or JSON). Durations are written `250ms`, `15s`, `1h`, sizes "
           "`64KiB`, `1MiB`; a single value may stand where a list is expected; relative paths are "
           "relative to the file; `${NAME}` and `${NAME:-default}` are replaced in strings. "
           "Unknown and duplicate keys are errors.",
    .size = sizeof(struct nu_root),
    .fields = fields,
    .check = check_root,
};

enum nu_err nu_root_admin(struct nu_conf *conf, struct nu_arena *arena, const char **out)
{
    const struct nu_node *root = nu_conf_root(conf);
    const struct nu_node *node = root ? nu_node_get(root, "admin") : NULL;
    *out = NULL;
    if (!root)
        return NU_ERR_CONFIG;
    return node && !node->broken ? parse_admin(conf, arena, node, out) : NU_OK;
}
