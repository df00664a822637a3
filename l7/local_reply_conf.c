/* The config of answers that are our own: `local_replies`. Main thread. */
#include "l7/local_reply_priv.h"
#include "l7/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of a body: it is in memory as long as the config, and is written whole into each answer. */
#define BODY_MAX (1024 * 1024)

#define LETTERS(id, letters, doc) letters,
static const char *const flag_names[] = {NU_STREAM_FLAGS(LETTERS) NULL};

/* "503", "5xx". */
static bool read_range(const char *text, struct status_range *out)
{
    if (strlen(text) != 3 || text[0] < '1' || text[0] > '5')
        return false;
    unsigned hundred = (unsigned)(text[0] - '0') * 100;
    if (strcmp(text + 1, "xx") == 0) {
        *out = (struct status_range){(uint16_t)hundred, (uint16_t)(hundred + 99)};
        return true;
    }
    if (text[1] < '0' || text[1] > '9' || text[2] < '0' || text[2] > '9')
        return false;
    out->first = out->last =
        (uint16_t)(hundred + (unsigned)(text[1] - '0') * 10 + (unsigned)(text[2] - '0'));
    return true;
}

static enum nu_err parse_status(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    if (node->kind == NU_NODE_SCALAR && read_range(node->text, out))
        return NU_OK;
    nu_conf_error(conf, node, "expected a status like 503, or 5xx");
    return NU_ERR_CONFIG;
}

static enum nu_err read_file(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, const char *path, struct nu_text *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &st) == 0;
    if (good && st.st_size > BODY_MAX) {
        nu_conf_error(conf, node, "%s: has more than %d KiB", path, BODY_MAX / 1024);
        close(fd);
        return NU_ERR_CONFIG;
    }
    char *text = nu_arena_alloc(arena, good ? (size_t)st.st_size : 0);
    ssize_t len = good ? pread(fd, text, (size_t)st.st_size, 0) : -1;
    if (len < 0)
        nu_conf_error(conf, node, "cannot read %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    *out = nu_text(text, len < 0 ? 0 : (size_t)len);
    return len < 0 ? NU_ERR_CONFIG : NU_OK;
}

static enum nu_err read_body(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, struct local_reply *r)
{
    r->has_body = r->body || r->body_file;
    if (r->body && r->body_file) {
        nu_conf_error(conf, node, "\"body\" and \"body_file\" exclude each other");
        return NU_ERR_CONFIG;
    }
    if (r->body)
        r->text = nu_text(r->body, strlen(r->body));
    if (!r->body_file)
        return NU_OK;
    return read_file(conf, arena, nu_node_get(node, "body_file"), r->body_file, &r->text);
}

static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    struct local_reply *r = out;
    const int *flags = r->flag_list.items;
    for (size_t i = 0; i < r->flag_list.count; i++)
        r->flags |= 1u << flags[i];
    const char *type = r->content_type;
    if (type && !nu_http_value_ok(nu_text(type, strlen(type)))) {
        nu_conf_error(conf, nu_node_get(node, "content_type"), "no header can have that value");
        return NU_ERR_CONFIG;
    }
    return read_body(conf, arena, node, r);
}

#define AT(member) .offset = offsetof(struct local_reply, member)
static const struct nu_field fields[] = {
    {.key = "status",
     .type = NU_CUSTOM,
     .flags = NU_LIST,
     AT(status),
     .parse = parse_status,
     .item = sizeof(struct status_range),
     .shown = "status, or 4xx",
     .doc = "Answers with these; without it, all."},
    {.key = "flags",
     .type = NU_ENUM,
     .flags = NU_LIST,
     AT(flag_list),
     .choices = flag_names,
     .doc = "Answers with one of these response flags; without it, all."},
    {.key = "status_to",
     .type = NU_INT,
     AT(status_to),
     .min = 200,
     .max = 599,
     .doc = "The status that is sent instead."},
    {.key = "body",                                           .type = NU_STRING, AT(body), .doc = "The body that is sent instead."},
    {.key = "body_file",
     .type = NU_FILE,
     AT(body_file),
     .doc = "A file with that body, of at most 1 MiB; read with the config."},
    {.key = "content_type",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     AT(content_type),
     .doc = "`Content-Type` of the body, instead of `text/plain`."},
    {.key = "headers",
     .type = NU_CUSTOM,
     AT(edits),
     .sub = &nu_head_edits_schema,
     .parse = nu_head_edits_field,
     .item = sizeof(void *),
     .shown = "header edits",
     .doc = "Headers that are set, added and removed."},
    {0}
};

const struct nu_schema nu_local_reply_schema = {
    .name = "local_reply",
    .doc = "How an answer of the program's own looks, where no server gave one. Of several the "
           "first one that fits counts. What a route responds by itself is not touched.",
    .size = sizeof(struct local_reply),
    .fields = fields,
    .check = check,
};

enum nu_err nu_local_replies_parse(struct nu_conf *conf, struct nu_arena *arena,
                                   const struct nu_node *node, const struct nu_local_replies **out)
{
    enum nu_err err = NU_OK;
    *out = NULL;
    if (!node || nu_node_is_null(node))
        return NU_OK;
    bool list = node->kind == NU_NODE_LIST;
    size_t count = list ? node->count : 1;
    struct local_reply *replies = nu_arena_alloc(arena, count * sizeof *replies);
    for (size_t i = 0; i < count; i++)
        if (nu_schema_parse(&nu_local_reply_schema, conf, arena, list ? node->child[i] : node,
                            &replies[i]) != NU_OK)
            err = NU_ERR_CONFIG;
    if (err != NU_OK)
        return err;
    struct nu_local_replies *made = nu_arena_alloc(arena, sizeof *made);
    *made = (struct nu_local_replies){replies, count};
    *out = made;
    return NU_OK;
}
