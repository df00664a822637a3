/* How configs refer to clusters: by names that have to be known, and that hold what they name.
 * Filters and routes call this while they are read; main thread. */
#ifndef NU_L4_CLUSTER_REF_H
#define NU_L4_CLUSTER_REF_H

#include "core/conf/tree.h"
#include "l4/cluster.h"

/* Whether `at`, a name or a map with `name`, names one of the clusters; reports a name that nothing
 * has. True for what is no name at all: that is the schema's to report. */
bool nu_cluster_known(struct nu_clusters *clusters, struct nu_conf *conf, const struct nu_node *at);
/* The same for all names in the keys `cluster` and `clusters` of a map; each mistake is reported.
 * True for what is no map. */
bool nu_clusters_known(struct nu_clusters *clusters, struct nu_conf *conf,
                       const struct nu_node *map);
/* The cluster of a known name, pinned until the arena is freed. */
struct nu_cluster *nu_cluster_hold(struct nu_clusters *clusters, const char *name,
                                   struct nu_arena *arena);
/* A set of figures, held until the arena is freed. */
struct nu_stats *nu_stats_hold(const struct nu_stat_group *group, const char *prefix,
                               struct nu_arena *arena);

#endif
