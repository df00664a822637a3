/* What filters count over a reload: objects that configs share by a key, and the key that a place
 * in the config is. Main thread. */
#include "core/arena.h"
#include "core/assert.h"
#include "core/conf/tree.h"
#include "core/table/strmap.h"
#include "l4/filters/filters_priv.h"

#include <stdlib.h>
#include <string.h>

struct kept {
    void *object;
    void (*drop)(void *object);
    unsigned refs; /* configs */
    char *key;     /* NULL: not shared */
};

static struct nu_strmap *all; /* key -> struct kept */

static void kept_put(void *ctx)
{
    struct kept *k = ctx;
    if (--k->refs)
        return;
    if (k->key)
        nu_strmap_del(all, k->key, strlen(k->key));
    if (all && nu_strmap_count(all) == 0) {
        nu_strmap_free(all);
        all = NULL;
    }
    k->drop(k->object);
    free(k->key);
    free(k);
}

static struct kept *kept_new(const char *key, void *object, void (*drop)(void *))
{
    struct kept *k = calloc(1, sizeof *k);
    nu_assert(k != NULL);
    *k = (struct kept){.object = object, .drop = drop};
    if (!key)
        return k;
    k->key = strdup(key);
    nu_assert(k->key != NULL);
    all = all ? all : nu_strmap_new(NULL, NU_STRMAP_EXACT);
    nu_strmap_put_str(all, key, k);
    return k;
}

void *nu_filter_kept(struct nu_arena *arena, const char *key, void *(*make)(int64_t size),
                     int64_t size, void (*drop)(void *))
{
    struct kept *k = key && all ? nu_strmap_get_str(all, key) : NULL;
    if (!k) {
        void *object = make(size);
        if (!object)
            return NULL;
        k = kept_new(key, object, drop);
    }
    k->refs++;
    nu_arena_on_free(arena, kept_put, k);
    return k->object;
}

/* --- places --- */

/* How a map is told from its neighbours: by its name, else by what it is for. */
static const struct nu_node *identity(const struct nu_node *map)
{
    static const char *const keys[] = {"name", "match", "bind"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct nu_node *node = nu_node_get(map, keys[i]);
        if (node)
            return node;
    }
    return NULL;
}

static const char *filter_name(const struct nu_node *item)
{
    if (item->kind == NU_NODE_MAP && item->count == 1)
        return item->child[0]->key;
    return item->kind == NU_NODE_SCALAR ? item->text : "";
}

/* The same filter's number in its chain: those of other names come and go. */
static unsigned number_of(const struct nu_node *item)
{
    unsigned n = 0;
    const struct nu_node *list = item->parent;
    for (uint32_t i = 0; list && list->kind == NU_NODE_LIST && list->child[i] != item; i++)
        n += strcmp(filter_name(list->child[i]), filter_name(item)) == 0;
    return n;
}

const char *nu_filter_place(struct nu_arena *arena, const struct nu_node *options)
{
    const struct nu_node *item = options->parent;
    if (!item || !item->parent)
        return NULL;
    const char *place = nu_arena_printf(arena, "%s %u", filter_name(item), number_of(item));
    for (const struct nu_node *node = item->parent; node; node = node->parent) {
        const struct nu_node *id = node->kind == NU_NODE_MAP ? identity(node) : NULL;
        if (id)
            place = nu_arena_printf(arena, "%s of %s", place, nu_node_print(arena, id));
    }
    return place;
}
