/* The walk of a node by a schema into a struct: required keys, unknown ones, defaults, lists,
 * nested objects, extensions. What a scalar means is values.c's business. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <string.h>

#define GUESS_KEYS 128 /* keys of a schema that a typo is compared with */

/* One map on its way into one struct. */
struct walk {
    struct nu_conf *conf;
    struct nu_arena *arena;
    const struct nu_schema *schema;
    const struct nu_node *node;
    char *out;
    void **slots; /* of extensions */
};

void nu_schema_extend(const struct nu_schema *schema, struct nu_ext *ext)
{
    nu_assert(schema->ext != NULL);
    nu_assert(!(ext->field.flags & NU_LIST));
    nu_assert(ext->field.type != NU_OBJECT || ext->field.flags & NU_PTR);
    struct nu_ext **end = schema->ext;
    ext->slot = 0;
    for (; *end; end = &(*end)->next) {
        nu_assert(*end != ext && strcmp((*end)->field.key, ext->field.key) != 0);
        ext->slot++;
    }
    ext->next = NULL;
    *end = ext;
}

const struct nu_field *nu_schema_field(const struct nu_schema *schema, size_t i,
                                       const struct nu_ext **ext)
{
    size_t n = 0;
    *ext = NULL;
    for (const struct nu_field *f = schema->fields; f->key; f++)
        if (n++ == i)
            return f;
    for (const struct nu_ext *e = schema->ext ? *schema->ext : NULL; e; e = e->next)
        if (n++ == i) {
            *ext = e;
            return &e->field;
        }
    return NULL;
}

static const struct nu_field *find_field(const struct nu_schema *schema, const char *key)
{
    for (const struct nu_field *f = schema->fields; f->key; f++)
        if (strcmp(f->key, key) == 0)
            return f;
    for (const struct nu_ext *e = schema->ext ? *schema->ext : NULL; e; e = e->next)
        if (strcmp(e->field.key, key) == 0)
            return &e->field;
    return NULL;
}

const struct nu_node *nu_schema_value(const struct nu_schema *schema, const struct nu_node *node,
                                      const struct nu_field *field)
{
    if (node->kind == NU_NODE_MAP)
        return nu_node_get(node, field->key);
    bool is_short = schema->scalar && strcmp(schema->scalar, field->key) == 0;
    return is_short && !nu_node_is_null(node) ? node : NULL;
}

size_t nu_schema_item_size(const struct nu_field *f)
{
    if (f->type == NU_OBJECT)
        return f->flags & NU_PTR ? sizeof(void *) : f->sub->size;
    return f->type == NU_CUSTOM ? f->item : nu_value_type(f->type)->size;
}

/* A node that stands in no file, child of `parent`. */
static struct nu_node *ghost(struct nu_conf *conf, const struct nu_node *parent, const char *key,
                             enum nu_node_kind kind, const char *text)
{
    struct nu_node *node = nu_arena_alloc(conf->arena, sizeof *node);
    *node = (struct nu_node){
        .kind = kind, .key = key, .text = text, .parent = (struct nu_node *)parent};
    return node;
}

const struct nu_node *nu_schema_default(struct nu_conf *conf, const struct nu_node *parent,
                                        const struct nu_field *f)
{
    if (!f->fallback)
        return NULL;
    if (!strpbrk(f->fallback, "[]{}\"'|>#&*$\n"))
        return ghost(conf, parent, f->key, NU_NODE_SCALAR, f->fallback);
    struct nu_node *node = nu_conf_read_default(conf, f->fallback);
    nu_assert(node != NULL); /* a malformed default is the schema author's mistake */
    node->key = f->key;
    node->parent = (struct nu_node *)parent;
    return node;
}

static void report_unknown(const struct walk *w, const struct nu_node *child)
{
    const char *keys[GUESS_KEYS];
    const struct nu_ext *ext;
    const struct nu_field *f;
    size_t n = 0;
    for (size_t i = 0; n < GUESS_KEYS && (f = nu_schema_field(w->schema, i, &ext)); i++)
        if (!(f->flags & NU_LATER))
            keys[n++] = f->key;
    nu_conf_error_key(w->conf, child, "unknown key \"%s\"", child->key);
    nu_conf_guess(w->conf, nu_did_you_mean(child->key, keys, n));
}

static enum nu_err check_keys(const struct walk *w)
{
    enum nu_err err = NU_OK;
    for (uint32_t i = 0; w->node->kind == NU_NODE_MAP && i < w->node->count; i++) {
        const struct nu_node *child = w->node->child[i];
        const struct nu_field *f = find_field(w->schema, child->key);
        if (f && !(f->flags & NU_LATER))
            continue;
        err = NU_ERR_CONFIG;
        if (f)
            nu_conf_error_key(w->conf, child, "\"%s\" is not in this version", child->key);
        else if (!child->broken)
            report_unknown(w, child);
    }
    return err;
}

/* Fails; silently where a typo of the key was reported. */
static enum nu_err missing(const struct walk *w, const struct nu_field *f)
{
    for (uint32_t i = 0; w->node->kind == NU_NODE_MAP && i < w->node->count; i++) {
        const char *key = w->node->child[i]->key;
        if (!find_field(w->schema, key) && nu_did_you_mean(key, &f->key, 1))
            return NU_ERR_CONFIG;
    }
    nu_conf_error_in(w->conf, w->node, "missing key \"%s\"", f->key);
    return NU_ERR_CONFIG;
}

static enum nu_err not_a_map(const struct walk *w)
{
    const struct nu_field *first = w->schema->fields;
    char *expected =
        first->key ? nu_arena_printf(w->conf->arena, "a map with keys like \"%s\"", first->key)
                   : "a map";
    return nu_value_unexpected(w->conf, w->node, expected);
}

static enum nu_err store_object(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_field *f, const struct nu_node *node, void *out)
{
    if (f->flags & NU_PTR) {
        void *object = nu_arena_alloc(arena, f->sub->size);
        *(void **)out = object;
        out = object;
    }
    return nu_schema_parse(f->sub, conf, arena, node, out);
}

enum nu_err nu_schema_item(struct nu_conf *conf, struct nu_arena *arena, const struct nu_field *f,
                           const struct nu_node *node, void *out)
{
    if (node->broken)
        return NU_ERR_CONFIG;
    if (f->type == NU_OBJECT)
        return store_object(conf, arena, f, node, out);
    if (f->type == NU_CUSTOM)
        return f->parse(conf, arena, node, out);
    if (f->type == NU_NODE) {
        *(const struct nu_node **)out = node;
        return NU_OK;
    }
    return nu_value_parse(conf, arena, f, node, out);
}

static enum nu_err store_list(const struct walk *w, const struct nu_field *f,
                              const struct nu_node *node, struct nu_vec *vec)
{
    size_t size = nu_schema_item_size(f);
    bool list = node->kind == NU_NODE_LIST, bare = !list && !nu_node_is_null(node);
    enum nu_err err = NU_OK;
    nu_assert(size > 0);
    if (node->broken)
        return NU_ERR_CONFIG;
    vec->count = list ? node->count : bare;
    vec->items = nu_arena_alloc(w->arena, vec->count * size);
    for (size_t i = 0; i < vec->count; i++)
        if (nu_schema_item(w->conf, w->arena, f, list ? node->child[i] : node,
                           (char *)vec->items + i * size) != NU_OK)
            err = NU_ERR_CONFIG;
    if (vec->count || !(f->flags & NU_NONEMPTY))
        return err;
    nu_conf_error(w->conf, node, "the list must not be empty");
    return NU_ERR_CONFIG;
}

static enum nu_err store_field(const struct walk *w, const struct nu_field *f, void *out)
{
    const struct nu_node *node = nu_schema_value(w->schema, w->node, f);
    if (f->flags & NU_LATER)
        return NU_OK;
    if (!node && f->flags & NU_REQUIRED)
        return missing(w, f);
    if (!node)
        node = nu_schema_default(w->conf, w->node, f);
    if (!node && f->type == NU_OBJECT && !(f->flags & (NU_PTR | NU_LIST)))
        node = ghost(w->conf, w->node, f->key, NU_NODE_MAP, NULL);
    if (!node)
        return NU_OK;
    if (f->flags & NU_LIST)
        return store_list(w, f, node, out);
    return nu_schema_item(w->conf, w->arena, f, node, out);
}

static enum nu_err store_fields(const struct walk *w)
{
    enum nu_err err = NU_OK;
    for (const struct nu_field *f = w->schema->fields; f->key; f++)
        if (store_field(w, f, w->out + f->offset) != NU_OK)
            err = NU_ERR_CONFIG;
    for (const struct nu_ext *e = w->schema->ext ? *w->schema->ext : NULL; e; e = e->next)
        if (store_field(w, &e->field, &w->slots[e->slot]) != NU_OK)
            err = NU_ERR_CONFIG;
    return err;
}

static void make_slots(struct walk *w)
{
    size_t n = 0;
    for (const struct nu_ext *e = w->schema->ext ? *w->schema->ext : NULL; e; e = e->next)
        n++;
    if (n == 0)
        return;
    w->slots = nu_arena_alloc(w->arena, n * sizeof *w->slots);
    *(void ***)(w->out + w->schema->ext_offset) = w->slots;
}

enum nu_err nu_schema_parse(const struct nu_schema *schema, struct nu_conf *conf,
                            struct nu_arena *arena, const struct nu_node *node, void *out)
{
    if (!node)
        node = ghost(conf, NULL, NULL, NU_NODE_MAP, NULL);
    if (node->broken)
        return NU_ERR_CONFIG;
    struct walk w = {conf, arena, schema, node, out, NULL};
    if (node->kind != NU_NODE_MAP && !schema->scalar && !nu_node_is_null(node))
        return not_a_map(&w);
    make_slots(&w);
    enum nu_err err = check_keys(&w);
    if (store_fields(&w) != NU_OK)
        err = NU_ERR_CONFIG;
    if (!err && schema->check && schema->check(conf, arena, node, out) != NU_OK)
        err = NU_ERR_CONFIG;
    return err;
}
