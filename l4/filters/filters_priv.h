/* Inside of l4/filters only: what the small filters share. */
#ifndef NU_L4_FILTERS_FILTERS_PRIV_H
#define NU_L4_FILTERS_FILTERS_PRIV_H

#include "core/stats.h"
#include "l4/filters/filters.h"

struct nu_arena;
struct nu_node;

extern const struct nu_stat_group nu_ip_filter_stats, nu_ip_list_stats, nu_connection_limit_stats,
    nu_source_limit_stats;

/* The set "<kind>.<name>" of a filter's config; put back when the arena goes. Main thread. */
struct nu_stats *nu_filter_stats(const struct nu_stat_group *group, struct nu_arena *arena,
                                 const char *kind, const char *name);

/* What a filter counts with over a reload: the object of that key, else a new one, make(size), or
 * NULL as that answers. The arena puts it back; with the last config that has it it is dropped.
 * NULL: not shared. Main thread. */
void *nu_filter_kept(struct nu_arena *arena, const char *key, void *(*make)(int64_t size),
                     int64_t size, void (*drop)(void *object));
/* The place of a filter in the config by the names of listener and chain (where they have none, by
 * what they match and bind), so that a reload finds it again wherever it stands in the file. NULL
 * for options that stand in no chain. Main thread. */
const char *nu_filter_place(struct nu_arena *arena, const struct nu_node *options);

#endif
