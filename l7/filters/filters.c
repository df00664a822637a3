/* What the small HTTP filters share. */
#include "l7/filters/filters.h"

#include "core/arena.h"
#include "core/chain.h"
#include "core/conf/tree.h"
#include "l4/cluster_ref.h"

#include <string.h>

void nu_http_filters_register(void)
{
    static const struct nu_stat_group *const groups[] = {
        &nu_cors_stats,       &nu_csrf_stats,  &nu_local_rate_limit_stats,    &nu_compress_stats,
        &nu_decompress_stats, &nu_fault_stats, &nu_health_check_filter_stats, &nu_basic_auth_stats,
    };
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        nu_stats_register(groups[i]);
}

/* The name of the http filter around the options: its own list's, or a route's. */
static const char *http_name(const struct nu_node *options)
{
    const struct nu_node *at = options;
    while (at && !(at->key && strcmp(at->key, "http") == 0))
        at = at->parent;
    const struct nu_node *name = at ? nu_node_get(at, "name") : NULL;
    return name && name->kind == NU_NODE_SCALAR && !nu_node_is_null(name) ? name->text : "ingress";
}

struct nu_stats *nu_http_filter_stats(const struct nu_stat_group *group, struct nu_arena *arena,
                                      const struct nu_node *options, const char *kind)
{
    return nu_stats_hold(group, nu_arena_printf(arena, "http.%s.%s", http_name(options), kind),
                         arena);
}

enum nu_open nu_http_filter_open(struct nu_filter *f, const void *conf)
{
    ((struct nu_http_filter *)f)->conf = conf;
    return NU_OPEN;
}

bool nu_http_filter_share(const struct nu_filter *f, double share)
{
    const double whole = 4294967296.0;
    return share >= 1 || (double)(uint32_t)nu_loop_random(nu_filter_loop(f)) < share * whole;
}
