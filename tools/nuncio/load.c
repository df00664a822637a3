/* From a config text to a generation that could serve, and back to nothing. All mistakes of all
 * layers land in one list, so every step that can run does, also behind a failed one. */
#include "tools/nuncio/server.h"

#include "core/assert.h"
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
    struct nu_root root = {0};
    struct nu_generation *gen = calloc(1, sizeof *gen);
    nu_assert(gen != NULL);
    gen->arena = nu_arena_new(ARENA_FIRST);
    gen->conf = read_source(source);
    if (nu_conf_root(gen->conf) && is_empty(nu_conf_root(gen->conf)))
        nu_conf_error(gen->conf, NULL, "the config is empty");
    else if (nu_conf_root(gen->conf))
        nu_schema_parse(&nu_root_schema, gen->conf, gen->arena, nu_conf_root(gen->conf), &root);
    gen->workers = root.workers;
    gen->drain_timeout_ms = root.drain_timeout_ms;
    gen->admin = root.admin;
    return gen;
}

void nu_load_build(struct nu_generation *gen, struct nu_generation *old)
{
    const struct nu_node *root = nu_conf_root(gen->conf);
    gen->number = old ? old->number + 1 : 1;
    if (!root)
        return;
    nu_clusters_build(gen->conf, gen->arena, nu_node_get(root, "clusters"),
                      old ? old->clusters : NULL, &gen->clusters);
    nu_listeners_build(gen, gen->conf, gen->arena, nu_node_get(root, "listeners"), &gen->listeners);
    if (!nu_conf_failed(gen->conf) && nu_listeners_count(gen->listeners) == 0)
        nu_conf_warn(gen->conf, NULL, "no listeners: nothing will be served");
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
