/* Connections to servers that are kept for the next request, or shared by many, and how a router
 * gets one: per worker and cluster, the last one used first (LIFO). A leg that one client shaped is
 * never kept (P1): one with a PROXY header, the client's own address, or a name from its
 * ClientHello.
 *
 * The kept ones end with their cluster, at their idle timeout, when their server says so (P2), and
 * when their endpoint is no longer one of the cluster's or fails its health checks. */
#ifndef NU_L7_POOL_H
#define NU_L7_POOL_H

#include "core/conf/schema.h"
#include "core/filter.h"
#include "core/list.h"
#include "l4/cluster.h"

/* The key `pool` of clusters. */
struct nu_pool_conf {
    int64_t max_idle; /* connections kept per worker, 0 = none */
    int64_t idle_timeout_ms;
    int64_t max_requests; /* on one connection; 0 = any number */
};
extern struct nu_ext nu_pool_of_cluster;
/* What a cluster has, by default or written. */
const struct nu_pool_conf *nu_pool_conf_of(const struct nu_cluster *cluster);

/* A kept connection's place; a member of its first filter. */
struct nu_pooled {
    struct nu_list in_bucket, in_pool;
    const struct nu_endpoint *endpoint;
    uint32_t number; /* of the cluster's last set that is known to have the endpoint */
    bool stays;      /* while a new set is looked through */
    bool shared;     /* by requests: it stays on the lists */
    void (*evict)(
        struct nu_pooled *pooled); /* closes it; called off the lists, outside its chain */
};

/* Puts a connection to be found by the next one who asks; evicts the oldest where there are too
 * many. False: it may not be kept. On the worker. */
bool nu_pool_put(struct nu_cluster *cluster, unsigned shard, struct nu_pooled *pooled);
/* The latest that was put for the endpoint, off the lists; NULL: none. */
struct nu_pooled *nu_pool_take(struct nu_cluster *cluster, unsigned shard,
                               const struct nu_endpoint *endpoint);
/* Puts one that requests share to be found by the next ones; evicts the oldest where there are too
 * many, which serves what it has. False: it may not be. */
bool nu_pool_share(struct nu_cluster *cluster, unsigned shard, struct nu_pooled *pooled);
/* The one shared for the longest time, for the endpoint, that fits; it stays on the lists. NULL:
 * none. */
struct nu_pooled *nu_pool_find(struct nu_cluster *cluster, unsigned shard,
                               const struct nu_endpoint *endpoint,
                               bool (*fits)(const struct nu_pooled *pooled));
/* Takes one off the lists by itself: it is closing. */
void nu_pool_drop(struct nu_cluster *cluster, unsigned shard, struct nu_pooled *pooled);
/* The worker has another set of endpoints: those kept for others, or for failed ones, end. */
void nu_pool_look_through(struct nu_cluster *cluster, unsigned shard);
/* Before any config is read: the keys of clusters that are for requests (client.h, too). Pools end
 * with their clusters. */
void nu_pool_register(void);

#endif
