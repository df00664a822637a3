/* The health checks of one cluster: each endpoint of its set has a timer; what is due is probed,
 * what the probe says is judged, and what changes by it is told to the cluster, which then makes
 * another set for the workers. Main thread. */
#ifndef NU_L4_HEALTH_HEALTH_H
#define NU_L4_HEALTH_HEALTH_H

#include "l4/cluster.h"
#include "l4/health/conf.h"

#include <stdio.h>

#define NU_PROBES_MAX                                                                              \
    256 /* probes of the process at once: their descriptors are not missed by traffic, and with a  \
           timeout of 1 s a round of 1000 dead endpoints takes 4 s */

enum nu_health_stat {
    NU_HEALTH_ATTEMPT,
    NU_HEALTH_SUCCESS,
    NU_HEALTH_FAILURE,
    NU_HEALTH_NETWORK_FAILURE,
    NU_HEALTH_HEALTHY,
    NU_HEALTH_STAT_COUNT
};
extern const struct nu_stat_group nu_health_stat_group;

struct nu_health;
/* The health of some endpoint became another. Called at the end of a turn. */
typedef void nu_health_changed_fn(void *ctx);

/* Checks begin with the first nu_health_sync. The conf is the cluster's; the cluster outlives
 * this. */
struct nu_health *nu_health_new(struct nu_cluster *cluster, const struct nu_health_conf *conf,
                                nu_health_changed_fn *changed, void *ctx);
/* Ends all probes; what is known of endpoints stays with them. NULL is fine. */
void nu_health_free(struct nu_health *health);

/* These are the endpoints now: new ones are checked at once, and not used before, unless they were
 * in use unchecked; those that are gone are forgotten. */
void nu_health_sync(struct nu_health *health, struct nu_endpoint *const *endpoints, size_t count);
/* So many of them are healthy in the set that was published last: for the figures. */
void nu_health_count(struct nu_health *health, uint32_t healthy);
/* How many of the endpoints of the first sync wait for their first check; 0 from the time on when
 * none did. */
size_t nu_health_waits(const struct nu_health *health);
/* Since when, on main's clock. */
int64_t nu_health_begun_ms(const struct nu_health *health);

/* "passed", "failed: Connection refused"; NULL: not checked. Good until the loop turns. */
const char *nu_health_last(const struct nu_endpoint *endpoint);
/* Its bits as Envoy writes them: "healthy", "/failed_active_hc". */
void nu_health_flags_print(const struct nu_endpoint *endpoint, FILE *out);

#endif
