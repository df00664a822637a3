/* libyaml's events turned into nodes, with everything refused that a config has no use for: anchors
 * and aliases, tags, merge keys, a second document, keys that are not text, duplicate keys.
 *
 * libyaml has no cap on depth and is quadratic in it, so depth is counted with every event; it
 * reads at most 1024 characters ahead of its events, so deep nesting is refused before it costs. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define SMALL_MAP 12 /* keys; up to it comparing all pairs is cheaper than a hash table */

/* A map or list being filled. */
struct frame {
    struct nu_node *node;
    size_t first; /* of its children on the reader's stack */
    const char *key;
    uint32_t key_line, key_column, key_span;
    bool key_broken;
};

struct reader {
    struct nu_conf *conf;
    bool placed; /* nodes have places: not a schema's default */
    unsigned documents, depth;
    struct frame frames[NU_CONF_MAX_DEPTH];
    struct nu_node *root;
    struct nu_node **stack; /* children of all open frames */
    size_t used, cap;
};

/* NU_OK: go on. Others stop the reading; a report was made. */
typedef enum nu_err event_fn(struct reader *r, const yaml_event_t *ev);

static struct nu_place place_of(const yaml_event_t *ev)
{
    yaml_mark_t a = ev->start_mark, b = ev->end_mark;
    size_t span = a.line != b.line ? UINT32_MAX : b.column > a.column ? b.column - a.column : 1;
    return (struct nu_place){(uint32_t)a.line + 1, (uint32_t)a.column + 1, (uint32_t)span};
}

static struct frame *top(struct reader *r)
{
    return r->depth ? &r->frames[r->depth - 1] : NULL;
}

static bool wants_key(struct reader *r)
{
    return r->depth && top(r)->node->kind == NU_NODE_MAP && !top(r)->key;
}

static void push(struct reader *r, struct nu_node *node)
{
    if (r->used == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->stack = realloc(r->stack, r->cap * sizeof *r->stack);
        nu_assert(r->stack != NULL);
    }
    r->stack[r->used++] = node;
}

/* A new node at the place of an event, child of the open frame. */
static struct nu_node *add_node(struct reader *r, const yaml_event_t *ev, enum nu_node_kind kind)
{
    struct nu_node *node = nu_arena_alloc(r->conf->arena, sizeof *node);
    struct nu_place at = place_of(ev);
    struct frame *up = top(r);
    node->kind = kind;
    if (r->placed) {
        node->line = at.line;
        node->column = at.column;
        node->span = kind == NU_NODE_SCALAR ? at.span : 1;
    }
    if (!up) {
        r->root = node;
        return node;
    }
    node->parent = up->node;
    node->index = (uint32_t)(r->used - up->first);
    if (up->node->kind == NU_NODE_MAP) {
        node->key = up->key;
        node->key_line = r->placed ? up->key_line : 0;
        node->key_column = up->key_column;
        node->key_span = up->key_span;
        node->broken = up->key_broken;
        up->key = NULL;
    }
    push(r, node);
    return node;
}

/* Reports at the event, with the path of `node`. */
static void complain(struct reader *r, const yaml_event_t *ev, const struct nu_node *node,
                     const char *what)
{
    nu_conf_error_at(r->conf, place_of(ev), node, "%s", what);
}

/* Anchors and tags: a word to each; the node is broken. */
static void refuse_decor(struct reader *r, const yaml_event_t *ev, struct nu_node *node,
                         const void *anchor, const void *tag)
{
    if (anchor)
        complain(r, ev, node,
                 "anchors (&name) are not supported: write the value out, or quote it");
    else if (tag)
        complain(r, ev, node, "tags (!name) are not supported: leave it out, or quote the value");
    if (anchor || tag)
        node->broken = true;
}

static enum nu_err on_key(struct reader *r, const yaml_event_t *ev, const char *text, size_t len)
{
    struct frame *f = top(r);
    struct nu_place at = place_of(ev);
    f->key_line = at.line;
    f->key_column = at.column;
    f->key_span = at.span;
    f->key_broken = true;
    f->key = nu_arena_strndup(r->conf->arena, text, len);
    bool plain = ev->type == YAML_SCALAR_EVENT && ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(f->key) != len)
        complain(r, ev, f->node, "a NUL character in a key");
    else if (len > NU_CONF_MAX_KEY)
        nu_conf_error_at(r->conf, at, f->node, "a key longer than %d bytes", NU_CONF_MAX_KEY);
    else if (ev->type == YAML_ALIAS_EVENT)
        complain(r, ev, f->node, "an alias (*name) as a key: quote a key that starts with *");
    else if (ev->data.scalar.anchor || ev->data.scalar.tag)
        complain(r, ev, f->node,
                 "an anchor or a tag on a key: quote a key that starts with & or !");
    else if (plain && strcmp(f->key, "<<") == 0)
        complain(r, ev, f->node, "merge keys (<<) are not supported: write the keys out");
    else
        f->key_broken = false;
    return NU_OK;
}

static enum nu_err on_scalar(struct reader *r, const yaml_event_t *ev)
{
    const char *text = (const char *)ev->data.scalar.value;
    size_t len = ev->data.scalar.length;
    if (wants_key(r))
        return on_key(r, ev, text, len);
    struct nu_node *node = add_node(r, ev, NU_NODE_SCALAR);
    node->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    refuse_decor(r, ev, node, ev->data.scalar.anchor, ev->data.scalar.tag);
    if (memchr(text, 0, len)) {
        complain(r, ev, node, "a NUL character in a value");
        node->broken = true;
    }
    node->text = node->broken ? NULL : nu_conf_expand(r->conf, node, text, len);
    if (!node->text) {
        node->text = "";
        node->broken = true;
    }
    node->expanded = strlen(node->text) != len || memcmp(node->text, text, len) != 0;
    return NU_OK;
}

static enum nu_err on_alias(struct reader *r, const yaml_event_t *ev)
{
    const char *name = (const char *)ev->data.alias.anchor;
    if (wants_key(r))
        return on_key(r, ev, name, strlen(name));
    struct nu_node *node = add_node(r, ev, NU_NODE_SCALAR);
    node->text = "";
    if (!node->broken)
        complain(r, ev, node,
                 "aliases (*name) are not supported: write the value out, or quote it");
    node->broken = true;
    return NU_OK;
}

static enum nu_err open_frame(struct reader *r, const yaml_event_t *ev, enum nu_node_kind kind,
                              const void *anchor, const void *tag)
{
    if (wants_key(r)) {
        complain(r, ev, top(r)->node,
                 "a list or map as a key: quote a value that starts with [ or {");
        return NU_ERR_SYNTAX;
    }
    if (r->depth == NU_CONF_MAX_DEPTH) {
        struct nu_place at = place_of(ev);
        nu_conf_error_at(r->conf, at, NULL, "nested deeper than %d levels", NU_CONF_MAX_DEPTH);
        return NU_ERR_LIMIT;
    }
    struct nu_node *node = add_node(r, ev, kind);
    refuse_decor(r, ev, node, anchor, tag);
    r->frames[r->depth++] = (struct frame){.node = node, .first = r->used};
    return NU_OK;
}

static enum nu_err on_list(struct reader *r, const yaml_event_t *ev)
{
    return open_frame(r, ev, NU_NODE_LIST, ev->data.sequence_start.anchor,
                      ev->data.sequence_start.tag);
}

static enum nu_err on_map(struct reader *r, const yaml_event_t *ev)
{
    return open_frame(r, ev, NU_NODE_MAP, ev->data.mapping_start.anchor,
                      ev->data.mapping_start.tag);
}

static void report_twin(struct reader *r, const struct nu_node *node, const struct nu_node *twin)
{
    nu_conf_error_key(r->conf, node, "duplicate key \"%s\", first in line %u", node->key,
                      twin->key_line);
}

static uint32_t hash(const char *key)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 16777619u;
    return h;
}

/* The earlier node with the same key, or NULL and the node is in the table now. `size` is a power
 * of two, at least twice the number of keys. */
static const struct nu_node *find_or_add(const struct nu_node **table, size_t size,
                                         const struct nu_node *node)
{
    for (size_t i = hash(node->key);; i++) {
        const struct nu_node **slot = &table[i & (size - 1)];
        if (!*slot)
            *slot = node;
        if (*slot == node)
            return NULL;
        if (strcmp((*slot)->key, node->key) == 0)
            return *slot;
    }
}

static const struct nu_node *find_twin(struct nu_node *const *nodes, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(nodes[i]->key, key) == 0)
            return nodes[i];
    return NULL;
}

/* Reports duplicate keys and leaves out all but the first; returns how many are left. */
static size_t drop_twins(struct reader *r, struct nu_node **nodes, size_t count)
{
    size_t size = 4 * SMALL_MAP, kept = 0;
    const struct nu_node **table = NULL;
    if (count > SMALL_MAP) {
        while (size < 2 * count)
            size *= 2;
        table = calloc(size, sizeof *table);
        nu_assert(table != NULL);
    }
    for (size_t i = 0; i < count; i++) {
        const struct nu_node *twin =
            table ? find_or_add(table, size, nodes[i]) : find_twin(nodes, kept, nodes[i]->key);
        if (twin)
            report_twin(r, nodes[i], twin);
        else
            nodes[kept++] = nodes[i];
    }
    free(table);
    return kept;
}

static enum nu_err on_end(struct reader *r, const yaml_event_t *ev)
{
    struct frame *f = &r->frames[--r->depth];
    size_t count = r->used - f->first;
    struct nu_node **children = count ? r->stack + f->first : NULL;
    if (f->node->kind == NU_NODE_MAP)
        count = drop_twins(r, children, count);
    f->node->count = (uint32_t)count;
    f->node->child = nu_arena_alloc(r->conf->arena, count * sizeof *children);
    if (count)
        memcpy(f->node->child, children, count * sizeof *children);
    r->used = f->first;
    return NU_OK;
}

static enum nu_err on_document(struct reader *r, const yaml_event_t *ev)
{
    if (++r->documents == 1)
        return NU_OK;
    complain(r, ev, NULL, "a second document: a config is one; leave out the \"---\"");
    return NU_ERR_SYNTAX;
}

static event_fn *const handlers[] = {
    [YAML_DOCUMENT_START_EVENT] = on_document, [YAML_ALIAS_EVENT] = on_alias,
    [YAML_SCALAR_EVENT] = on_scalar,           [YAML_SEQUENCE_START_EVENT] = on_list,
    [YAML_SEQUENCE_END_EVENT] = on_end,        [YAML_MAPPING_START_EVENT] = on_map,
    [YAML_MAPPING_END_EVENT] = on_end,
};

static struct nu_place place_at(yaml_mark_t mark)
{
    return (struct nu_place){(uint32_t)mark.line + 1, (uint32_t)mark.column + 1, 1};
}

/* Something with two ends, like quotes or brackets, whose start is worth telling. */
static bool has_start(const yaml_parser_t *p)
{
    const char *context = p->context ? p->context : "";
    return strncmp(context, "while scanning a quoted", 23) == 0 ||
           strncmp(context, "while parsing a flow", 20) == 0;
}

/* The parser stopped: its words, at its place; at the file's end, where what is open began. */
static enum nu_err on_syntax(struct reader *r, const yaml_parser_t *p)
{
    bool at_end = p->buffer.pointer == p->buffer.last || !*p->buffer.pointer;
    const char *context = p->context ? p->context : "";
    /* An anchor, an alias, a key without its colon: libyaml stumbles behind what is wrong. */
    bool behind = strncmp(context, "while scanning an a", 19) == 0 ||
                  strcmp(context, "while scanning a simple key") == 0;
    char stumbled = at_end ? 0 : (char)*p->buffer.pointer;
    const char *words = nu_yaml_hint(p->problem, p->context, stumbled, p->flow_level > 0);
    if (behind || (at_end && has_start(p)))
        nu_conf_error_at(r->conf, place_at(p->context_mark), NULL, "%s", words);
    else if (has_start(p) && p->context_mark.line != p->problem_mark.line)
        nu_conf_error_at(r->conf, place_at(p->problem_mark), NULL, "%s (it began in line %zu)",
                         words, p->context_mark.line + 1);
    else
        nu_conf_error_at(r->conf, place_at(p->problem_mark), NULL, "%s", words);
    return NU_ERR_SYNTAX;
}

static enum nu_err run(struct reader *r, yaml_parser_t *parser)
{
    for (yaml_event_t ev;;) {
        if (!yaml_parser_parse(parser, &ev))
            return on_syntax(r, parser);
        event_fn *fn = ev.type < sizeof handlers / sizeof *handlers ? handlers[ev.type] : NULL;
        enum nu_err err = fn ? fn(r, &ev) : NU_OK;
        bool last = ev.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
        if (err || last)
            return err;
    }
}

static enum nu_err read_text(struct reader *r, const char *text, size_t len)
{
    yaml_parser_t parser;
    nu_assert(yaml_parser_initialize(&parser));
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    enum nu_err err = run(r, &parser);
    yaml_parser_delete(&parser);
    free(r->stack);
    return err;
}

enum nu_err nu_conf_read(struct nu_conf *conf)
{
    struct reader r = {.conf = conf, .placed = true};
    enum nu_err err = read_text(&r, conf->text, conf->len);
    if (err)
        return err;
    conf->root = r.root;
    if (r.root && !nu_node_is_null(r.root))
        return NU_OK;
    bool broken = r.root && r.root->broken;
    conf->root = nu_arena_alloc(conf->arena, sizeof *conf->root);
    *conf->root =
        (struct nu_node){.kind = NU_NODE_MAP, .line = 1, .column = 1, .span = 1, .broken = broken};
    return NU_OK;
}

struct nu_node *nu_conf_read_default(struct nu_conf *conf, const char *text)
{
    struct reader r = {.conf = conf};
    return read_text(&r, text, strlen(text)) ? NULL : r.root;
}
