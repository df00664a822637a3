/* What the small filters share: their figures. Main thread. */
#include "core/arena.h"
#include "l4/filters/filters_priv.h"

void nu_l4_filters_register(void)
{
    nu_stats_register(&nu_ip_filter_stats);
    nu_stats_register(&nu_ip_list_stats);
    nu_stats_register(&nu_connection_limit_stats);
    nu_stats_register(&nu_source_limit_stats);
}

static void put(void *stats)
{
    nu_stats_put(stats);
}

struct nu_stats *nu_filter_stats(const struct nu_stat_group *group, struct nu_arena *arena,
                                 const char *kind, const char *name)
{
    struct nu_stats *stats = nu_stats_get(group, nu_arena_printf(arena, "%s.%s", kind, name));
    nu_arena_on_free(arena, put, stats);
    return stats;
}
