/* From a config text to a generation that could serve, and back to nothing. All mistakes of all
 * layers land in one list, so every step that can run does, also behind a failed one. */
#include "tools/nuncio/server.h"

#include "core/assert.h"
#include "core/table/strmap.h"
#include "l4/cluster.h"
#include "l4/listener.h"
#include "tools/nuncio/root.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 4096 /* bytes; chunks grow by themselves */

static struct nu_conf *read_source(const struct nu_source *source)
{
    if (source->path)
        return nu_conf_load(source->path);
    return nu_conf_from_text("command line", ".", source->text, strlen(source->text));
}

/* A file that somebody is about to write: to end all service for that would be a poor answer. */
static bool is_empty(const struct nu_node *root)
{
    return root->kind == NU_NODE_MAP && root->count == 0 && !root->broken;
}

struct nu_generation *nu_load_open(const struct nu_source *source)
{
    struct nu_generation *gen = calloc(1, sizeof *gen);
    nu_assert(gen != NULL);
    gen->arena = nu_arena_new(ARENA_FIRST);
    struct nu_root *root = nu_arena_alloc(gen->arena, sizeof *root);
    gen->conf = read_source(source);
    if (nu_conf_root(gen->conf) && is_empty(nu_conf_root(gen->conf)))
        nu_conf_error(gen->conf, NULL, "the config is empty");
    else if (nu_conf_root(gen->conf))
        nu_schema_parse(&nu_root_schema, gen->conf, gen->arena, nu_conf_root(gen->conf), root);
    gen->root = root;
    gen->workers = root->workers;
    gen->drain_timeout_ms = root->drain_timeout_ms;
    gen->admin = root->admin;
    return gen;
}

/* A cluster with that name and nothing else of interest: every kind of chain may end at it. */
static struct nu_node *stand_in(struct nu_arena *arena, const struct nu_node *name)
{
    struct nu_node *map = nu_arena_alloc(arena, sizeof *map);
    struct nu_node *endpoint = nu_arena_alloc(arena, sizeof *endpoint);
    struct nu_node *copy = nu_arena_alloc(arena, sizeof *copy);
    *copy = *name;
    *endpoint = (struct nu_node){.key = "endpoints", .text = "127.0.0.1:1"};
    *map = (struct nu_node){.kind = NU_NODE_MAP, .count = 2};
    map->child = nu_arena_alloc(arena, 2 * sizeof *map->child);
    map->child[0] = copy;
    map->child[1] = endpoint;
    return map;
}

/* The clusters' names alone. Listeners are checked against them where a cluster is wrong, so that
 * one mistake is not told again at every filter that names the cluster. */
static struct nu_clusters *names_only(struct nu_arena *arena, const struct nu_node *list)
{
    bool many = list->kind == NU_NODE_LIST;
    uint32_t count = many ? list->count : 1;
    struct nu_strmap *seen = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    struct nu_node all = {.kind = NU_NODE_LIST};
    all.child = nu_arena_alloc(arena, count * sizeof *all.child);
    for (uint32_t i = 0; i < count; i++) {
        const struct nu_node *name = nu_node_get(many ? list->child[i] : list, "name");
        if (!name || name->kind != NU_NODE_SCALAR || nu_strmap_get_str(seen, name->text))
            continue;
        nu_strmap_put_str(seen, name->text, (void *)name);
        all.child[all.count++] = stand_in(arena, name);
    }
    nu_strmap_free(seen);
    struct nu_conf *nobody = nu_conf_from_text("", ".", "", 0);
    struct nu_clusters *clusters;
    nu_clusters_build(nobody, arena, &all, NULL, &clusters);
    nu_conf_free(nobody);
    return clusters;
}

static void build_clusters(struct nu_generation *gen, struct nu_generation *old)
{
    const struct nu_node *list = nu_node_get(nu_conf_root(gen->conf), "clusters");
    if (nu_clusters_build(gen->conf, gen->arena, list, old ? old->clusters : NULL,
                          &gen->clusters) != NU_OK)
        gen->clusters = names_only(gen->arena, list);
}

void nu_load_build(struct nu_generation *gen, struct nu_generation *old)
{
    const struct nu_node *root = nu_conf_root(gen->conf);
    gen->number = old ? old->number + 1 : 1;
    if (!root)
        return;
    build_clusters(gen, old);
    nu_listeners_build(gen, gen->conf, gen->arena, nu_node_get(root, "listeners"), &gen->listeners);
    if (!nu_conf_failed(gen->conf) && nu_listeners_count(gen->listeners) == 0)
        nu_conf_warn(gen->conf, NULL, "no listeners: nothing will be served");
}

void nu_load_keep(struct nu_generation *gen)
{
    const char *folder, *text = nu_conf_text(gen->conf, &gen->text_len, &folder);
    gen->text = nu_arena_strndup(gen->arena, text, gen->text_len);
    gen->folder = nu_arena_strdup(gen->arena, folder);
    nu_conf_free(gen->conf);
    gen->conf = NULL;
}

void nu_load_discard(struct nu_generation *gen, struct nu_generation *old)
{
    if (gen->listeners)
        nu_listeners_discard(gen->listeners);
    if (gen->clusters)
        nu_clusters_discard(gen->clusters, old ? old->clusters : NULL);
    nu_conf_free(gen->conf);
    nu_arena_free(gen->arena);
    free(gen);
}

void nu_load_free(struct nu_generation *gen)
{
    nu_listeners_free(gen->listeners);
    nu_arena_free(gen->arena);
    free(gen);
}
