/* The normalized form of a config: the same tree with keys in the schema's order, defaults written
 * out and values in canonical units. For `nuncio check --print`, after a parse without errors. */
#include "core/conf/conf_priv.h"

#include "core/assert.h"

#include <stdalign.h>
#include <string.h>

struct normal {
    struct nu_conf *conf;
    struct nu_arena *arena;
};

static struct nu_node *copy_as(const struct normal *n, const struct nu_node *node, const char *key)
{
    struct nu_node *copy = nu_arena_alloc(n->arena, sizeof *copy);
    *copy = *node;
    copy->key = key;
    copy->parent = NULL;
    return copy;
}

/* A scalar in its canonical words. What cannot be parsed stays as it was. */
static struct nu_node *scalar(const struct normal *n, const struct nu_field *f,
                              const struct nu_node *node)
{
    alignas(16) unsigned char value[64] = {0};
    const struct nu_value_type *type = nu_value_type(f->type);
    struct nu_node *copy = copy_as(n, node, f->key);
    nu_assert(type->size <= sizeof value);
    if (nu_value_parse(n->conf, n->arena, f, node, value) == NU_OK)
        copy->text = type->format(n->arena, f, value);
    return copy;
}

static struct nu_node *item(const struct normal *n, const struct nu_field *f,
                            const struct nu_node *node)
{
    if (nu_value_type(f->type)->parse)
        return scalar(n, f, node);
    bool word = f->type == NU_CUSTOM && node->kind != NU_NODE_MAP; /* "off" where a map may be */
    if (!f->sub || word)
        return copy_as(n, node, f->key);
    struct nu_node *map = nu_schema_normalize(f->sub, n->conf, n->arena, node);
    map->key = f->key;
    return map;
}

static void adopt(struct nu_node *parent, struct nu_node *child)
{
    child->parent = parent;
    child->index = parent->count;
    parent->child[parent->count++] = child;
}

static struct nu_node *new_node(const struct normal *n, enum nu_node_kind kind, size_t cap)
{
    struct nu_node *node = nu_arena_alloc(n->arena, sizeof *node);
    node->kind = kind;
    node->child = nu_arena_alloc(n->arena, cap * sizeof *node->child);
    return node;
}

static struct nu_node *list(const struct normal *n, const struct nu_field *f,
                            const struct nu_node *node)
{
    bool many = node->kind == NU_NODE_LIST;
    struct nu_node *out = new_node(n, NU_NODE_LIST, many ? node->count : 1);
    out->key = f->key;
    for (uint32_t i = 0; many && i < node->count; i++)
        adopt(out, item(n, f, node->child[i]));
    if (!many && !nu_node_is_null(node))
        adopt(out, item(n, f, node));
    for (uint32_t i = 0; i < out->count; i++)
        out->child[i]->key = NULL;
    return out;
}

/* The field's node in the normalized map, or NULL where nothing stands. */
static struct nu_node *field(const struct normal *n, const struct nu_schema *schema,
                             const struct nu_node *node, const struct nu_field *f)
{
    const struct nu_node *value = nu_schema_value(schema, node, f);
    if (!value)
        value = nu_schema_default(n->conf, node, f);
    bool in_place = f->type == NU_OBJECT && !(f->flags & (NU_PTR | NU_LIST));
    if (!value && in_place) {
        struct nu_node *map = item(n, f, new_node(n, NU_NODE_MAP, 0));
        return map->count ? map : NULL;
    }
    if (!value)
        return NULL;
    return f->flags & NU_LIST ? list(n, f, value) : item(n, f, value);
}

struct nu_node *nu_schema_normalize(const struct nu_schema *schema, struct nu_conf *conf,
                                    struct nu_arena *arena, const struct nu_node *node)
{
    struct normal n = {conf, arena};
    const struct nu_ext *ext;
    const struct nu_field *f;
    size_t count = 0;
    bool muted = conf->muted;
    while (nu_schema_field(schema, count, &ext))
        count++;
    struct nu_node *map = new_node(&n, NU_NODE_MAP, count);
    if (!node)
        node = new_node(&n, NU_NODE_MAP, 0);
    conf->muted = true;
    for (size_t i = 0; (f = nu_schema_field(schema, i, &ext)); i++) {
        struct nu_node *child = f->flags & NU_LATER ? NULL : field(&n, schema, node, f);
        if (child)
            adopt(map, child);
    }
    conf->muted = muted;
    return map;
}

char *nu_schema_print(const struct nu_schema *schema, struct nu_conf *conf, struct nu_arena *arena,
                      const struct nu_node *node)
{
    return nu_node_print(arena, nu_schema_normalize(schema, conf, arena, node));
}
