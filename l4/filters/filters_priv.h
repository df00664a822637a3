/* Inside of l4/filters only: what the small filters share. */
#ifndef NU_L4_FILTERS_FILTERS_PRIV_H
#define NU_L4_FILTERS_FILTERS_PRIV_H

#include "core/stats.h"
#include "l4/filters/filters.h"

struct nu_arena;

extern const struct nu_stat_group nu_ip_filter_stats, nu_ip_list_stats, nu_connection_limit_stats;

/* The set "<kind>.<name>" of a filter's config; put back when the arena goes. Main thread. */
struct nu_stats *nu_filter_stats(const struct nu_stat_group *group, struct nu_arena *arena,
                                 const char *kind, const char *name);

#endif
