/* Endpoints that turn up while serving: where clients of a cluster wanted to go. Kept beside their
 * connections so that figures and `ctl clusters` have them; bounded, and let go when nobody has
 * used them for a while.
 *
 * One table a cluster, behind a lock: workers take from it, once a connection. */
#ifndef NU_L4_FOUND_H
#define NU_L4_FOUND_H

#include "core/stats.h"
#include "l4/endpoint.h"

struct nu_found;

struct nu_found_conf {
    const char *cluster;    /* its name; borrowed, as are the stats */
    struct nu_stats *stats; /* enum nu_cluster_stat: membership_change */
    size_t most;            /* endpoints */
    int64_t keep_ms;        /* unused for so long: it goes */
};

struct nu_found *nu_found_new(const struct nu_found_conf *conf);
/* Main thread, when no worker uses it any more. Endpoints live on with their connections. */
void nu_found_free(struct nu_found *found);

/* The endpoint of that address, made or found, with a reference for the caller. Where the table is
 * full the one that is unused for longest makes room; NULL: all are in use. `host` is for logs. */
struct nu_endpoint *nu_found_take(struct nu_found *found, const struct nu_addr *addr,
                                  const char *host, unsigned shard, int64_t now_ms);
/* Lets the unused go whose time has come. */
void nu_found_sweep(struct nu_found *found, unsigned shard, int64_t now_ms);

size_t nu_found_count(struct nu_found *found);
/* Each endpoint, under the lock: fn may not come back here. */
void nu_found_each(struct nu_found *found, void (*fn)(struct nu_endpoint *e, void *ctx), void *ctx);

#endif
