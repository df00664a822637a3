/* A config text from its birth to its end, and walking its nodes. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_STEP 65536 /* bytes; first size of the buffer for what has no length (a pipe) */

const char *nu_node_kind_str(enum nu_node_kind kind)
{
    static const char *const names[] = {"scalar", "list", "map"};
    return (unsigned)kind < 3 ? names[kind] : "unknown";
}

static struct nu_conf *conf_new(const char *name, const char *folder)
{
    struct nu_conf *conf = calloc(1, sizeof *conf);
    nu_assert(conf != NULL);
    char *absolute = realpath(folder, NULL);
    conf->arena = nu_arena_new(4096);
    conf->name = nu_arena_strdup(conf->arena, name);
    conf->folder = nu_arena_strdup(conf->arena, absolute ? absolute : folder);
    conf->text = "";
    free(absolute);
    return conf;
}

static void conf_parse(struct nu_conf *conf, const char *text, size_t len)
{
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    conf->text = text;
    conf->len = len;
    if (len > NU_CONF_MAX_BYTES)
        nu_conf_error(conf, NULL, "larger than %u MiB", NU_CONF_MAX_BYTES >> 20);
    else if (nu_text_check(conf) == NU_OK && nu_conf_read(conf) != NU_OK)
        conf->root = NULL;
}

struct nu_conf *nu_conf_from_text(const char *name, const char *folder, const char *text,
                                  size_t len)
{
    struct nu_conf *conf = conf_new(name, folder ? folder : ".");
    conf_parse(conf, text, len);
    return conf;
}

/* Reads to the end, or one byte more than is allowed. */
static enum nu_err read_all(int fd, char **text, size_t *len)
{
    struct stat st;
    size_t cap = READ_STEP;
    if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= NU_CONF_MAX_BYTES)
        cap = (size_t)st.st_size + 1;
    *text = malloc(cap);
    nu_assert(*text != NULL);
    for (*len = 0; *len <= NU_CONF_MAX_BYTES;) {
        if (*len == cap) {
            cap *= 2;
            *text = realloc(*text, cap);
            nu_assert(*text != NULL);
        }
        ssize_t n = read(fd, *text + *len, cap - *len);
        if (n < 0 && errno != EINTR)
            return NU_ERR_SYSTEM;
        if (n == 0)
            return NU_OK;
        *len += n > 0 ? (size_t)n : 0;
    }
    return NU_OK;
}

struct nu_conf *nu_conf_load(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, slash - path);
    nu_assert(folder != NULL);
    struct nu_conf *conf = conf_new(path, folder);
    free(folder);
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read_all(fd, &conf->owned, &len) != NU_OK)
        nu_conf_error(conf, NULL, "cannot be read: %s", strerror(errno));
    else
        conf_parse(conf, conf->owned, len);
    if (fd >= 0)
        close(fd);
    return conf;
}

const char *nu_conf_text(const struct nu_conf *conf, size_t *len, const char **folder)
{
    *len = conf->len;
    *folder = conf->folder;
    return conf->text;
}

void nu_conf_free(struct nu_conf *conf)
{
    if (!conf)
        return;
    nu_arena_free(conf->arena);
    free(conf->owned);
    free(conf->report);
    free(conf);
}

struct nu_node *nu_conf_root(struct nu_conf *conf)
{
    return conf->root;
}

bool nu_node_is_null(const struct nu_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != NU_NODE_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp(node->text, nulls[i]) == 0)
            return true;
    return false;
}

struct nu_node *nu_node_get(const struct nu_node *map, const char *key)
{
    if (map->kind != NU_NODE_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->count; i++)
        if (strcmp(map->child[i]->key, key) == 0)
            return map->child[i];
    return NULL;
}

/* Letters that need no quotes in a path. */
static bool plain_key(const char *key)
{
    static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return *key && key[strspn(key, ok)] == 0;
}

char *nu_node_path(struct nu_arena *arena, const struct nu_node *node)
{
    if (!node || !node->parent)
        return nu_arena_strdup(arena, "");
    char *up = nu_node_path(arena, node->parent);
    if (!node->key)
        return nu_arena_printf(arena, "%s[%u]", up, node->index);
    const char *quote = plain_key(node->key) ? "" : "\"";
    return nu_arena_printf(arena, "%s%s%s%s%s", up, *up ? "." : "", quote, node->key, quote);
}

char *nu_conf_path(struct nu_conf *conf, struct nu_arena *arena, const char *path)
{
    if (*path == '/')
        return nu_arena_strdup(arena, path);
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    const char *slash = conf->folder[strlen(conf->folder) - 1] == '/' ? "" : "/";
    return nu_arena_printf(arena, "%s%s%s", conf->folder, slash, path);
}
