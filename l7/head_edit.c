/* Edits of heads that a config asks for; see head_edit.h. Names and plain values are checked and
 * lower-cased with the config, so that applying one is a few stores; only values with operators are
 * written, checked and copied for each message. */
#include "l7/head_edit.h"

#include "core/chain.h"
#include "core/logfmt.h"
#include "l7/stream.h"
#include "protocols/http/head.h"

#include <ctype.h>
#include <string.h>

struct name {
    struct nu_text text; /* lower case */
    enum nu_hdr id;
};

struct edit {
    struct name name;
    bool set;                       /* those by that name go first */
    struct nu_text value;           /* where there is no format */
    const struct nu_logfmt *format; /* NULL: the same value for all */
};

struct nu_head_edits {
    const struct name *remove;
    const struct edit *edit;
    size_t remove_count, edit_count;
};

/* --- config --- */

struct parsed {
    struct nu_vec remove; /* struct name */
    const struct nu_node *set, *add;
};

/* NULL, or why the config may not touch fields by that name. */
static const char *forbidden(enum nu_hdr id)
{
    if (id == NU_HDR_HOST)
        return "the host is changed by `rewrite: {host: ...}` of a route";
    if (nu_hdr_flags(id) & (NU_HDR_HOP | NU_HDR_FRAMING))
        return "that header is made by the program itself, for each connection";
    return NULL;
}

static enum nu_err read_name(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *place, const char *text, struct name *out)
{
    struct nu_text name = nu_text(text, strlen(text));
    if (!nu_http_name_ok(name) || name.len > NU_HTTP_NAME_MAX_BYTES) {
        nu_conf_error_key(conf, place, "\"%.60s\" is not the name of a header", text);
        return NU_ERR_CONFIG;
    }
    char *lower = nu_arena_strndup(arena, name.at, name.len);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    out->id = nu_hdr_find(lower, name.len);
    out->text = nu_text(lower, name.len);
    const char *why = forbidden(out->id);
    if (!why)
        return NU_OK;
    nu_conf_error_key(conf, place, "%s: %s", lower, why);
    return NU_ERR_CONFIG;
}

static enum nu_err parse_removed(struct nu_conf *conf, struct nu_arena *arena,
                                 const struct nu_node *node, void *out)
{
    if (node->kind == NU_NODE_SCALAR && !nu_node_is_null(node))
        return read_name(conf, arena, node, node->text, out);
    nu_conf_error(conf, node, "expected the name of a header");
    return NU_ERR_CONFIG;
}

static enum nu_err read_value(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, struct edit *out)
{
    const char *why = NULL;
    struct nu_logfmt *format = NULL;
    if (node->kind != NU_NODE_SCALAR)
        why = "expected a text, or a list of them";
    else if (!nu_http_value_ok(nu_text(node->text, strlen(node->text))))
        why = "a header's value has no control characters, and no blanks at its ends";
    else if (strchr(node->text, '%'))
        nu_logfmt_text(&format, arena, node->text, &why);
    if (why) {
        nu_conf_error(conf, node, "%s", why);
        return NU_ERR_CONFIG;
    }
    out->format = format;
    out->value = nu_text(nu_arena_strdup(arena, node->text), strlen(node->text));
    return NU_OK;
}

/* One name's value, or values: of those to be set, the first one makes room for all. */
static enum nu_err read_values(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, bool set, struct edit **at)
{
    bool list = node->kind == NU_NODE_LIST;
    size_t count = list ? node->count : 1;
    struct name name;
    enum nu_err err = node->broken ? NU_ERR_CONFIG : read_name(conf, arena, node, node->key, &name);
    if (node->broken)
        return err;
    for (size_t i = 0; i < count; i++, (*at)++) {
        const struct nu_node *value = list ? node->child[i] : node;
        if (value->broken || read_value(conf, arena, value, *at) != NU_OK)
            err = NU_ERR_CONFIG;
        if (err == NU_OK)
            (*at)->name = name;
        (*at)->set = set && i == 0;
    }
    return err;
}

/* Values in a map of names; 0 where it is none. */
static size_t count_values(const struct nu_node *map)
{
    size_t count = 0;
    for (uint32_t i = 0; map && map->kind == NU_NODE_MAP && i < map->count; i++)
        count += map->child[i]->kind == NU_NODE_LIST ? map->child[i]->count : 1;
    return count;
}

static enum nu_err read_map(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *map,
                            bool set, struct edit **at)
{
    enum nu_err err = NU_OK;
    if (!map || nu_node_is_null(map))
        return NU_OK;
    if (map->kind != NU_NODE_MAP) {
        nu_conf_error(conf, map, "expected a map of headers and their values");
        return NU_ERR_CONFIG;
    }
    for (uint32_t i = 0; i < map->count; i++)
        if (read_values(conf, arena, map->child[i], set, at) != NU_OK)
            err = NU_ERR_CONFIG;
    return err;
}

static const struct nu_field fields[] = {
    {.key = "set",
     .type = NU_NODE,
     .offset = offsetof(struct parsed, set),
     .shown = "map of headers",
     .doc = "Headers in the place of those by the same name, which are gone also where an operator "
            "has nothing to say."},
    {.key = "add",
     .type = NU_NODE,
     .offset = offsetof(struct parsed, add),
     .shown = "map of headers",
     .doc = "Headers beside those by the same name."},
    {.key = "remove",
     .type = NU_CUSTOM,
     .flags = NU_LIST,
     .offset = offsetof(struct parsed, remove),
     .parse = parse_removed,
     .item = sizeof(struct name),
     .shown = "header names",
     .doc = "Headers that go, before others are set and added."},
    {0                               }
};

const struct nu_schema nu_head_edits_schema = {
    .name = "header edits",
    .doc =
        "Values may hold the operators of access logs, `%DOWNSTREAM_REMOTE_ADDRESS%`; a percent "
        "sign is `%%` then. A value in which an operator has nothing to say is left out. Several "
        "values of one header are a list.",
    .size = sizeof(struct parsed),
    .fields = fields,
};

enum nu_err nu_head_edits_parse(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, const struct nu_head_edits **out)
{
    struct parsed parsed = {.set = NULL};
    *out = NULL;
    if (!node)
        return NU_OK;
    enum nu_err err = nu_schema_parse(&nu_head_edits_schema, conf, arena, node, &parsed);
    size_t count = count_values(parsed.set) + count_values(parsed.add);
    struct edit *edits = nu_arena_alloc(arena, count * sizeof *edits), *at = edits;
    if (read_map(conf, arena, parsed.set, true, &at) != NU_OK)
        err = NU_ERR_CONFIG;
    if (read_map(conf, arena, parsed.add, false, &at) != NU_OK)
        err = NU_ERR_CONFIG;
    if (err != NU_OK)
        return err;
    struct nu_head_edits *made = nu_arena_alloc(arena, sizeof *made);
    *made = (struct nu_head_edits){parsed.remove.items, edits, parsed.remove.count,
                                   (size_t)(at - edits)};
    *out = made;
    return NU_OK;
}

enum nu_err nu_head_edits_field(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    return nu_head_edits_parse(conf, arena, node, out);
}

/* --- messages --- */

static void remove_named(struct nu_http_head *head, const struct name *name)
{
    if (name->id != NU_HDR_OTHER)
        nu_http_remove_known(head, name->id);
    else
        nu_http_remove(head, name->text);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Operators see the response that is edited, though it is not yet the one on its way. */
static bool write_value(const struct edit *edit, struct nu_http_head *head, struct nu_chain *chain,
                        struct nu_logbuf *out)
{
    struct nu_stream *s = nu_facts_exchange(nu_chain_facts(chain))->stream;
    if (!s || head->status == 0)
        return nu_logfmt_value(edit->format, out, chain);
    struct nu_http_head *before = s->response;
    s->response = head;
    bool present = nu_logfmt_value(edit->format, out, chain);
    s->response = before;
    return present;
}

/* What the format says of the chain; it may speak of the field that it replaces. nu_http_add
 * refuses what would break a line. */
static void put_written(const struct edit *edit, struct nu_http_head *head, struct nu_chain *chain)
{
    char room[NU_LOG_LINE_MAX];
    struct nu_logbuf buf = {.data = room, .cap = sizeof room};
    bool present = write_value(edit, head, chain, &buf);
    struct nu_text value = nu_text(buf.data, buf.len);
    while (value.len && is_blank(value.at[value.len - 1]))
        value.len--;
    while (value.len && is_blank(value.at[0]))
        value = nu_text(value.at + 1, value.len - 1);
    if (edit->set)
        remove_named(head, &edit->name);
    if (present)
        nu_http_add(head, edit->name.text, value);
}

void nu_head_edits_apply(const struct nu_head_edits *edits, struct nu_http_head *head,
                         struct nu_chain *chain)
{
    if (!edits)
        return;
    for (size_t i = 0; i < edits->remove_count; i++)
        remove_named(head, &edits->remove[i]);
    for (size_t i = 0; i < edits->edit_count; i++) {
        const struct edit *edit = &edits->edit[i];
        if (edit->format) {
            put_written(edit, head, chain);
            continue;
        }
        if (edit->set)
            remove_named(head, &edit->name);
        nu_http_append(head, edit->name.id, edit->name.text, edit->value);
    }
}
