/* Access logs: schema, formats, and the lines themselves; see access_log.h. What an operator writes
 * stands in log_ops.c. */
#include "l4/access_log.h"

#include "core/assert.h"
#include "core/logfile.h"
#include "core/logfmt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define JSON_KEYS_MAX 128 /* in one format: far above what anybody logs */

static const char default_text[] =
    "[%START_TIME%] %LISTENER% %FILTER_CHAIN_NAME% %DOWNSTREAM_REMOTE_ADDRESS% -> "
    "%DOWNSTREAM_LOCAL_ADDRESS% sni=%REQUESTED_SERVER_NAME% alpn=%SNIFFED_ALPN% "
    "cluster=%UPSTREAM_CLUSTER% upstream=%UPSTREAM_HOST% in=%BYTES_RECEIVED% out=%BYTES_SENT% "
    "ms=%DURATION% flags=%RESPONSE_FLAGS% by=%CLOSED_BY% layer=%CLOSE_LAYER% cause=%CLOSE_CAUSE% "
    "\"%CLOSE_DETAILS%\" id=%CONNECTION_ID%";

static const struct nu_logfmt_field default_json[] = {
    {"start_time",     "%START_TIME%"               },
    {"listener",       "%LISTENER%"                 },
    {"chain",          "%FILTER_CHAIN_NAME%"        },
    {"client",         "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"local",          "%DOWNSTREAM_LOCAL_ADDRESS%" },
    {"sni",            "%REQUESTED_SERVER_NAME%"    },
    {"alpn",           "%SNIFFED_ALPN%"             },
    {"cluster",        "%UPSTREAM_CLUSTER%"         },
    {"upstream",       "%UPSTREAM_HOST%"            },
    {"bytes_received", "%BYTES_RECEIVED%"           },
    {"bytes_sent",     "%BYTES_SENT%"               },
    {"duration_ms",    "%DURATION%"                 },
    {"flags",          "%RESPONSE_FLAGS%"           },
    {"closed_by",      "%CLOSED_BY%"                },
    {"layer",          "%CLOSE_LAYER%"              },
    {"cause",          "%CLOSE_CAUSE%"              },
    {"details",        "%CLOSE_DETAILS%"            },
    {"connection_id",  "%CONNECTION_ID%"            },
};

static const struct nu_access_log_defaults of_connections = {
    default_text, default_json, sizeof default_json / sizeof *default_json};

/* --- config --- */

/* Collects the keys of `json`; complains about what is no string. */
static enum nu_err read_fields(struct nu_conf *conf, const struct nu_node *json,
                               struct nu_logfmt_field *out)
{
    if (json->kind != NU_NODE_MAP || json->count == 0 || json->count > JSON_KEYS_MAX) {
        nu_conf_error(conf, json, "expected a map of 1 to %d keys and their formats",
                      JSON_KEYS_MAX);
        return NU_ERR_CONFIG;
    }
    for (uint32_t i = 0; i < json->count; i++) {
        const struct nu_node *value = json->child[i];
        if (value->broken)
            return NU_ERR_CONFIG;
        if (value->kind != NU_NODE_SCALAR) {
            nu_conf_error(conf, value, "found a %s, expected a format like \"%%DURATION%%\"",
                          nu_node_kind_str(value->kind));
            return NU_ERR_CONFIG;
        }
        out[i] = (struct nu_logfmt_field){value->key, value->text};
    }
    return NU_OK;
}

static enum nu_err compile_json(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *json, struct nu_logfmt **out)
{
    struct nu_logfmt_field fields[JSON_KEYS_MAX];
    const char *why;
    size_t bad;
    if (read_fields(conf, json, fields) != NU_OK)
        return NU_ERR_CONFIG;
    enum nu_err err = nu_logfmt_json(out, arena, fields, json->count, &bad, &why);
    if (err)
        nu_conf_error(conf, json->child[bad], "%s", why);
    return err;
}

/* Where the format itself stands; `node` is the item, or its path alone. */
static const struct nu_node *format_node(const struct nu_node *node)
{
    const struct nu_node *format = node->kind == NU_NODE_MAP ? nu_node_get(node, "format") : NULL;
    return format ? format : node;
}

/* The built-in words, or a text with operators in it. */
static enum nu_err compile_text(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_access_log_conf *c,
                                const struct nu_access_log_defaults *defaults,
                                struct nu_logfmt **out)
{
    static const char *const words[] = {"text", "json"};
    const char *why = "found neither text nor json, nor a format with operators like %DURATION%";
    size_t bad;
    if (strcmp(c->format, words[1]) == 0)
        return nu_logfmt_json(out, arena, defaults->json, defaults->json_count, &bad, &why);
    bool text = strcmp(c->format, words[0]) == 0;
    if (text || strchr(c->format, '%')) {
        if (nu_logfmt_text(out, arena, text ? defaults->text : c->format, &why) == NU_OK)
            return NU_OK;
        nu_conf_error(conf, format_node(c->node), "%s", why);
        return NU_ERR_CONFIG;
    }
    nu_conf_error(conf, format_node(c->node), "%s", why);
    nu_conf_guess(conf, nu_did_you_mean(c->format, words, 2));
    return NU_ERR_CONFIG;
}

static enum nu_err compile(struct nu_conf *conf, struct nu_arena *arena,
                           const struct nu_access_log_conf *c,
                           const struct nu_access_log_defaults *defaults, struct nu_logfmt **out)
{
    return c->json ? compile_json(conf, arena, c->json, out)
                   : compile_text(conf, arena, c, defaults, out);
}

static const struct nu_node *path_node(const struct nu_node *node)
{
    return node->kind == NU_NODE_MAP ? nu_node_get(node, "path") : node;
}

/* The file may not exist yet, its folder must: `check` finds what `run` would stumble over. One
 * that cannot be looked at is told when the file is opened. */
static bool has_folder(const char *path, struct nu_arena *scratch)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    const char *folder =
        slash == path ? "/" : nu_arena_strndup(scratch, path, (size_t)(slash - path));
    if (stat(folder, &st))
        return errno != ENOENT && errno != ENOTDIR;
    return S_ISDIR(st.st_mode);
}

/* `access_log: off` would make a file of that name; "off" in quotes does. */
static bool means_none(const struct nu_node *node)
{
    static const char *const words[] = {"off", "no", "none", "false"};
    const struct nu_node *path = path_node(node);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (path->kind == NU_NODE_SCALAR && !path->quoted && strcmp(path->text, words[i]) == 0)
            return true;
    return false;
}

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    struct nu_access_log_conf *c = out;
    struct nu_arena *scratch = nu_arena_new(1024);
    struct nu_logfmt *format;
    enum nu_err err = NU_OK;
    c->node = node;
    if (means_none(node)) {
        nu_conf_error(conf, node, "expected a path; an empty list, [], writes no log");
        err = NU_ERR_CONFIG;
    } else if (c->json && strcmp(c->format, "text") != 0 && strcmp(c->format, "json") != 0) {
        nu_conf_error_key(conf, c->json, "\"json\" and a format of its own exclude each other");
        err = NU_ERR_CONFIG;
    } else {
        err = compile(conf, scratch, c, &of_connections, &format);
    }
    if (err == NU_OK && !has_folder(c->path, scratch)) {
        nu_conf_error(conf, path_node(node), "%s: its folder does not exist", c->path);
        err = NU_ERR_CONFIG;
    }
    nu_arena_free(scratch);
    return err;
}

static const struct nu_field fields[] = {
    {.key = "path",
     .type = NU_PATH,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct nu_access_log_conf, path),
     .doc = "The file lines are appended to; `/dev/stdout` and `/dev/stderr` are the process's "
            "own."},
    {.key = "format",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct nu_access_log_conf, format),
     .fallback = "text",
     .doc = "`text`, `json`, or a line with operators like `%DURATION%` in it."},
    {.key = "json",
     .type = NU_NODE,
     .offset = offsetof(struct nu_access_log_conf, json),
     .shown = "map of formats",
     .doc = "Keys of a JSON object, and the format of each value."},
    {0                   }
};

const struct nu_schema nu_access_log_schema = {
    .name = "access_log",
    .doc = "A line for each connection that has ended: whose it was, what it carried, who closed "
           "it and why; on an http filter a line for each request. A list of files; a single path "
           "is one in the default text format.",
    .size = sizeof(struct nu_access_log_conf),
    .fields = fields,
    .scalar = "path",
    .check = check,
};

/* --- the object --- */

struct target {
    const char *path;
    const struct nu_logfmt *format;
    const struct nu_node *node; /* dead once the config serves */
    struct nu_logfile *file;    /* NULL until opened */
};

struct nu_access_log {
    struct nu_arena *arena;
    unsigned refs;
    size_t count;
    struct target target[];
};

struct nu_access_log *nu_access_log_new(const struct nu_vec *confs)
{
    return nu_access_log_new_as(confs, &of_connections);
}

struct nu_access_log *nu_access_log_new_as(const struct nu_vec *confs,
                                           const struct nu_access_log_defaults *defaults)
{
    const struct nu_access_log_conf *c = confs->items;
    if (confs->count == 0)
        return NULL;
    struct nu_arena *arena = nu_arena_new(2048);
    struct nu_access_log *log =
        nu_arena_alloc(arena, sizeof *log + confs->count * sizeof *log->target);
    log->arena = arena;
    log->refs = 1;
    log->count = confs->count;
    for (size_t i = 0; i < confs->count; i++) {
        struct nu_logfmt *format;
        enum nu_err err = compile(NULL, arena, &c[i], defaults, &format);
        nu_assert(err == NU_OK); /* it was compiled once, to check it */
        log->target[i] =
            (struct target){nu_arena_strdup(arena, c[i].path), format, c[i].node, NULL};
    }
    return log;
}

struct nu_access_log *nu_access_log_ref(struct nu_access_log *log)
{
    if (log)
        log->refs++;
    return log;
}

void nu_access_log_put(struct nu_access_log *log)
{
    if (!log || --log->refs)
        return;
    for (size_t i = 0; i < log->count; i++)
        nu_logfile_put(log->target[i].file);
    nu_arena_free(log->arena);
}

enum nu_err nu_access_log_open(struct nu_access_log *log, struct nu_conf *conf)
{
    enum nu_err err = NU_OK;
    for (size_t i = 0; log && i < log->count; i++) {
        struct target *t = &log->target[i];
        if (t->file || nu_logfile_open(&t->file, t->path) == NU_OK)
            continue;
        nu_conf_error(conf, t->node, "cannot open %s: %s", t->path, strerror(errno));
        err = NU_ERR_CONFIG;
    }
    return err;
}

uint8_t nu_access_log_wants(const struct nu_access_log *log)
{
    static const struct {
        const char *op;
        uint8_t bit;
    } rows[] = {
        {"TLS_JA3_FINGERPRINT", NU_WANT_JA3},
        {"TLS_JA4_FINGERPRINT", NU_WANT_JA4},
    };
    unsigned wants = 0;
    for (size_t i = 0; log && i < log->count; i++)
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            if (nu_logfmt_uses(log->target[i].format, rows[k].op))
                wants |= rows[k].bit;
    return (uint8_t)wants;
}

/* --- lines --- */

/* A worker's own: the line being written, and the timer that flushes. */
struct shard {
    struct nu_loop *loop;
    struct nu_logbuf line;
    struct nu_timer timer;
};

static struct shard *shards[NU_SHARDS_MAX]; /* each touched by its own thread */

static void on_timer(struct nu_timer *timer)
{
    nu_logfile_flush_shard(nu_container(timer, struct shard, timer)->loop->shard);
}

static struct shard *shard_of(struct nu_loop *loop)
{
    nu_assert(loop->shard < NU_SHARDS_MAX);
    struct shard **s = &shards[loop->shard];
    if (!*s) {
        *s = calloc(1, sizeof **s);
        nu_assert(*s != NULL);
        (*s)->timer.fn = on_timer;
    }
    (*s)->loop = loop;
    return *s;
}

void nu_access_log_write(struct nu_access_log *log, struct nu_chain *chain)
{
    if (!log)
        return;
    struct nu_loop *loop = nu_chain_loop(chain);
    struct shard *s = shard_of(loop);
    for (size_t i = 0; i < log->count; i++) {
        nu_logfmt_write(log->target[i].format, &s->line, chain);
        nu_logfile_write(log->target[i].file, loop->shard, s->line.data, s->line.len);
    }
    if (nu_logfile_pending(loop->shard) && !nu_timer_armed(&s->timer))
        nu_timer_arm(&loop->timers, &s->timer, loop->now_ms + NU_LOGFILE_FLUSH_MS);
}

void nu_access_log_flush(struct nu_loop *loop)
{
    struct shard *s = shards[loop->shard];
    if (!s)
        return;
    nu_timer_disarm(&loop->timers, &s->timer);
    nu_logfile_flush_shard(loop->shard);
    nu_logbuf_free(&s->line);
}
