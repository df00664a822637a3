/* Routes from a config, and the doors of route.h that are not about texts. Building happens on the
 * main thread. */
#include "l7/route/route_priv.h"

#include "core/assert.h"
#include "core/generation.h"
#include "l4/cluster_ref.h"

const char *nu_route_kind_str(enum nu_route_kind kind)
{
    static const char *const names[] = {"cluster", "redirect", "respond"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

struct build {
    struct nu_generation *gen;
    struct nu_conf *conf;
    struct nu_arena *arena, *scratch;
    struct route_filters filters;
};

static enum nu_err read_route(struct build *b, const struct nu_node *node, struct route *r)
{
    enum nu_err err = nu_schema_parse(&nu_route_schema, b->conf, b->arena, node, r);
    if (!r->route.name)
        r->route.name = nu_arena_printf(b->arena, "routes[%u]", r->index);
    if (err)
        nu_clusters_known(b->gen->clusters, b->conf, node);
    else
        err = route_finish(b->gen, b->conf, b->arena, node, r);
    if (route_filters_of(&b->filters, b->scratch, r->filters, r))
        err = NU_ERR_CONFIG;
    return err;
}

static void sort_out(struct build *b, struct nu_routes *routes)
{
    routes->plain = route_table_new(b->arena, routes->routes, routes->count, false);
    routes->connect = route_table_new(b->arena, routes->routes, routes->count, true);
}

enum nu_err nu_routes_build(struct nu_generation *gen, struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *list, const struct nu_node *filters,
                            const struct nu_place *left, const struct nu_place *right,
                            struct nu_routes **out)
{
    struct build b = {gen, conf, arena, nu_arena_new(4096), {0}};
    b.filters = (struct route_filters){
        .gen = gen, .conf = conf, .arena = arena, .list = filters, .left = *left, .right = *right};
    bool many = list->kind == NU_NODE_LIST;
    uint32_t count = many ? list->count : !nu_node_is_null(list);
    struct route *all = nu_arena_alloc(arena, count * sizeof *all);
    struct nu_routes *routes = nu_arena_alloc(arena, sizeof *routes);
    enum nu_err err = route_filters_base(&b.filters);
    for (uint32_t i = 0; i < count; i++) {
        all[i].index = i;
        if (read_route(&b, many ? list->child[i] : list, &all[i]))
            err = NU_ERR_CONFIG;
    }
    *routes = (struct nu_routes){.routes = all, .count = count};
    if (!err) {
        route_warn_hidden(conf, list, routes);
        sort_out(&b, routes);
    }
    nu_arena_free(b.scratch);
    *out = err ? NULL : routes;
    return err;
}

const struct nu_route *nu_routes_find(const struct nu_routes *routes,
                                      const struct nu_http_head *request)
{
    struct route_view view = route_view_bare(request);
    uint32_t found = route_table_find(view.connect ? routes->connect : routes->plain, &view);
    return found == ROUTE_NONE ? NULL : &routes->routes[found].route;
}

struct nu_cluster *nu_route_cluster(const struct nu_route *route, uint64_t random)
{
    nu_assert(route->kind == NU_ROUTE_CLUSTER);
    if (route->share_count == 1)
        return route->shares->cluster;
    int64_t left = (int64_t)(random % (uint64_t)route->weight_sum);
    for (unsigned i = 0; i < route->share_count; i++) {
        left -= route->shares[i].weight;
        if (left < 0)
            return route->shares[i].cluster;
    }
    return NULL;
}
