/* The key log; see keylog.h. OpenSSL calls back on the connection's worker with each secret as it
 * comes to know it; lines leave at the end of that turn, so that who captures the traffic live can
 * read it at once. */
#include "tls/keylog.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/logfile.h"
#include "tls/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define LINE_MAX_BYTES 512 /* a label, 64 and up to 128 hexadecimal digits */

struct nu_keylog {
    struct nu_arena *arena;
    const char *path;
    struct nu_vec clients, servers; /* struct nu_addr */
    struct nu_logfile *file;        /* NULL until opened; set before workers see its context */
};

/* --- config --- */

static const struct nu_node *path_node(const struct nu_node *node)
{
    return node->kind == NU_NODE_MAP ? nu_node_get(node, "path") : node;
}

/* `keylog: off` would write all secrets to a file of that name; "off" in quotes does. */
static bool means_none(const struct nu_node *path)
{
    static const char *const words[] = {"off", "no", "none", "false", "on", "yes", "true"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (path->kind == NU_NODE_SCALAR && !path->quoted && strcasecmp(path->text, words[i]) == 0)
            return true;
    return false;
}

/* What the path cannot be, or NULL. The file may not exist yet, its folder must. */
static const char *path_problem(const char *path, struct nu_arena *scratch)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    const char *folder = nu_arena_strndup(scratch, path, (size_t)(slash - path) + 1);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return "it is a folder, expected a file";
    if (stat(folder, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return "its folder does not exist";
    return NULL; /* what cannot be looked at is told when the file is opened */
}

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    const struct nu_keylog_conf *c = out;
    if (means_none(path_node(node))) {
        nu_conf_error(conf, path_node(node), "expected a path; without \"keylog\" none is written");
        return NU_ERR_CONFIG;
    }
    const char *problem = path_problem(c->path, arena);
    if (problem) {
        nu_conf_error(conf, path_node(node), "%s: %s", c->path, problem);
        return NU_ERR_CONFIG;
    }
    nu_conf_warn(conf, node, "whoever reads %s can decrypt the traffic", c->path);
    return NU_OK;
}

#define AT(member) .offset = offsetof(struct nu_keylog_conf, member)
static const struct nu_field fields[] = {
    {.key = "path",
     .type = NU_PATH,
     .flags = NU_REQUIRED,
     AT(path),
     .doc = "The file that secrets are appended to, with mode 0600; USR1 opens it anew."},
    {.key = "clients",
     .type = NU_CIDR,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(clients),
     .doc = "Only for clients of these networks; for a cluster too it is the client that the "
            "connection is made for."},
    {.key = "servers",
     .type = NU_CIDR,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(servers),
     .doc = "Only where the server is in these networks: the address that the client connected to, "
            "for a cluster the endpoint."},
    {0                                                                   }
};
#undef AT

const struct nu_schema nu_keylog_schema = {
    .name = "keylog",
    .doc = "Writes the secrets of TLS connections in the format of NSS (SSLKEYLOGFILE), for "
           "Wireshark and nuncio-tap. For debugging: whoever reads the file can decrypt the "
           "traffic, so it is warned about at every start.",
    .size = sizeof(struct nu_keylog_conf),
    .fields = fields,
    .scalar = "path",
    .check = check,
};

/* --- the object --- */

static struct nu_vec copy_prefixes(struct nu_arena *arena, const struct nu_vec *from)
{
    size_t bytes = from->count * sizeof(struct nu_addr);
    struct nu_vec copy = {nu_arena_alloc(arena, bytes ? bytes : 1), from->count};
    if (bytes)
        memcpy(copy.items, from->items, bytes);
    return copy;
}

struct nu_keylog *nu_keylog_new(const struct nu_keylog_conf *conf)
{
    if (!conf || !conf->path)
        return NULL;
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_keylog *keylog = nu_arena_alloc(arena, sizeof *keylog);
    keylog->arena = arena;
    keylog->path = nu_arena_strdup(arena, conf->path);
    keylog->clients = copy_prefixes(arena, &conf->clients);
    keylog->servers = copy_prefixes(arena, &conf->servers);
    return keylog;
}

bool nu_keylog_open(struct nu_keylog *keylog)
{
    char path[NU_LOG_QUOTE_MAX];
    if (!keylog || keylog->file)
        return true;
    if (nu_logfile_open_private(&keylog->file, keylog->path) != NU_OK)
        return false;
    nu_log(NU_LOG_WARN, "tls", "secrets of connections are logged keylog=%s",
           nu_log_quote(path, sizeof path, keylog->path));
    return true;
}

void nu_keylog_free(struct nu_keylog *keylog)
{
    if (!keylog)
        return;
    nu_logfile_put(keylog->file);
    nu_arena_free(keylog->arena);
}

const char *nu_keylog_path(const struct nu_keylog *keylog)
{
    return keylog->path;
}

/* --- lines --- */

/* A worker's own: at the end of the turn what waits is written. */
struct flusher {
    struct nu_task task;
    unsigned shard;
};
static _Thread_local struct flusher flusher;

static void flush(struct nu_task *task)
{
    nu_logfile_flush_shard(nu_container(task, struct flusher, task)->shard);
}

static bool is_in(const struct nu_vec *prefixes, const struct nu_addr *addr)
{
    const struct nu_addr *prefix = prefixes->items;
    for (size_t i = 0; addr && i < prefixes->count; i++)
        if (nu_addr_in(addr, &prefix[i]))
            return true;
    return prefixes->count == 0;
}

static bool wanted(const struct nu_keylog *keylog, const struct nu_facts *facts,
                   enum nu_tls_role role)
{
    const struct nu_addr *server =
        role == NU_TLS_SERVER ? &facts->local : nu_facts_exchange(facts)->upstream;
    return is_in(&keylog->clients, &facts->client) && is_in(&keylog->servers, server);
}

static void put_line(const struct nu_keylog *keylog, struct nu_loop *loop, const char *text)
{
    char line[LINE_MAX_BYTES];
    size_t len = strlen(text);
    if (len + 1 > sizeof line)
        return;
    memcpy(line, text, len);
    line[len] = '\n';
    nu_logfile_write(keylog->file, loop->shard, line, len + 1);
    flusher.task.run = flush;
    flusher.shard = loop->shard;
    nu_loop_flush(loop, &flusher.task);
}

static void on_secret(const SSL *ssl, const char *text)
{
    struct nu_tls_conn *conn = nu_tls_conn_of(ssl);
    const struct nu_keylog *keylog = conn->context->keylog;
    struct nu_chain *chain = conn->filter->chain;
    if (keylog && keylog->file && wanted(keylog, nu_chain_facts(chain), conn->context->role))
        put_line(keylog, nu_chain_loop(chain), text);
}

void nu_keylog_install(SSL_CTX *ctx)
{
    SSL_CTX_set_keylog_callback(ctx, on_secret);
}
