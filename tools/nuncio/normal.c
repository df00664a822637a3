/* The normalized config of `check --print`: root, listeners, chains, filters and clusters, each by
 * its own schema. A normalized config checks, and normalizes to itself. Main thread, after a load
 * without errors. */
#include "tools/nuncio/root.h"

#include "core/registry.h"
#include "l4/cluster.h"
#include "l4/listener.h"

#include <string.h>

struct normal {
    struct nu_conf *conf;
    struct nu_arena *arena;
};

typedef struct nu_node *one_fn(const struct normal *n, const struct nu_node *node);

static void adopt(struct nu_node *parent, struct nu_node *child)
{
    child->parent = parent;
    child->index = parent->count;
    parent->child[parent->count++] = child;
}

static struct nu_node *new_node(const struct normal *n, enum nu_node_kind kind, size_t children)
{
    struct nu_node *node = nu_arena_alloc(n->arena, sizeof *node);
    node->kind = kind;
    node->child = nu_arena_alloc(n->arena, children * sizeof *node->child);
    return node;
}

/* Puts `value` in the place of the node, under the same key. */
static void replace(struct nu_node *node, struct nu_node *value)
{
    value->key = node->key;
    value->parent = node->parent;
    value->index = node->index;
    if (node->parent)
        node->parent->child[node->index] = value;
}

/* Makes the value under `key` a list of what `one` makes of each of its items. */
static void each(const struct normal *n, struct nu_node *map, const char *key, one_fn *one)
{
    struct nu_node *node = nu_node_get(map, key);
    if (!node || nu_node_is_null(node))
        return;
    bool many = node->kind == NU_NODE_LIST;
    uint32_t count = many ? node->count : 1;
    struct nu_node *list = new_node(n, NU_NODE_LIST, count);
    for (uint32_t i = 0; i < count; i++)
        adopt(list, one(n, many ? node->child[i] : node));
    replace(node, list);
}

static struct nu_node *scalar(const struct normal *n, const char *text)
{
    struct nu_node *node = new_node(n, NU_NODE_SCALAR, 0);
    node->text = text;
    return node;
}

/* "name", or {name: options}. */
static struct nu_node *filter(const struct normal *n, const struct nu_node *node)
{
    bool named = node->kind == NU_NODE_MAP;
    const char *name = named ? node->child[0]->key : node->text;
    const struct nu_filter_type *type = nu_registry_find(name);
    const struct nu_node *given = named ? node->child[0] : NULL;
    struct nu_node *options =
        type->schema ? nu_schema_normalize(type->schema, n->conf, n->arena, given) : NULL;
    if (!options || options->count == 0)
        return scalar(n, name);
    struct nu_node *item = new_node(n, NU_NODE_MAP, 1);
    options->key = name;
    adopt(item, options);
    return item;
}

static struct nu_node *chain(const struct normal *n, const struct nu_node *node)
{
    struct nu_node *map = nu_schema_normalize(&nu_chain_schema, n->conf, n->arena, node);
    each(n, map, "filters", filter);
    return map;
}

static struct nu_node *listener(const struct normal *n, const struct nu_node *node)
{
    struct nu_node *map = nu_schema_normalize(&nu_listener_schema, n->conf, n->arena, node);
    each(n, map, "filters", filter);
    each(n, map, "chains", chain);
    return map;
}

static struct nu_node *cluster(const struct normal *n, const struct nu_node *node)
{
    return nu_schema_normalize(&nu_cluster_schema, n->conf, n->arena, node);
}

struct nu_node *nu_root_normalize(struct nu_conf *conf, struct nu_arena *arena)
{
    struct normal n = {conf, arena};
    struct nu_node *root = nu_schema_normalize(&nu_root_schema, conf, arena, nu_conf_root(conf));
    struct nu_node *admin = nu_node_get(root, "admin");
    const char *address;
    if (admin && nu_root_admin(conf, arena, &address) == NU_OK)
        replace(admin, scalar(&n, address ? address : "off"));
    each(&n, root, "listeners", listener);
    each(&n, root, "clusters", cluster);
    return root;
}

char *nu_root_print(struct nu_conf *conf, struct nu_arena *arena)
{
    return nu_node_print(arena, nu_root_normalize(conf, arena));
}
