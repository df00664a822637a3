/* A cluster: a named set of endpoints and how to connect to them.
 *
 * Config is built on the main thread; an unchanged cluster is the same object in the next
 * generation. Workers pick from a snapshot of the endpoints (nu_endpoint_set), one pointer a shard,
 * swapped by message when names resolve to something else. Chains and legs pin the cluster. */
#ifndef NU_L4_CLUSTER_H
#define NU_L4_CLUSTER_H

#include "core/conf/schema.h"
#include "core/counted.h"
#include "core/stats.h"
#include "l4/chain_conf.h"
#include "l4/endpoint.h"
#include "l4/sockopt.h"

struct nu_generation;
struct nu_worker;
struct nu_loop;
struct nu_original_dst;
struct nu_dynamic_forward;
struct nu_found;
struct nu_pool;

/* The endpoints of one priority: neighbours in the set, with a part of the schedule. */
struct nu_endpoint_group {
    uint32_t priority;     /* the lower, the sooner */
    uint32_t first, count; /* in item: those that are used, none perhaps */
    uint32_t total;        /* with those behind them that are not */
    uint32_t healthy;
    uint32_t start, len; /* in schedule */
    bool panic;          /* too few are healthy, so all are used */
};

/* Immutable once published. */
struct nu_endpoint_set {
    _Atomic uint32_t refs;
    uint32_t count;
    uint32_t group_count;
    uint32_t healthy;                /* of all groups */
    bool panic;                      /* the first group that is used is in panic */
    struct nu_endpoint_group *group; /* by priority, best first */
    uint32_t schedule_len;           /* weighted order; each worker starts somewhere else in it */
    uint32_t *schedule;              /* indexes into item */
    uint32_t *weight;                /* by item */
    uint32_t *order;                 /* by item: its place in the config */
    struct nu_endpoint *item[];
};

enum nu_cluster_stat {
    NU_CLUSTER_CX_TOTAL,
    NU_CLUSTER_CX_ACTIVE,
    NU_CLUSTER_CX_CONNECT_FAIL,
    NU_CLUSTER_CX_CONNECT_TIMEOUT,
    NU_CLUSTER_CX_CONNECT_ATTEMPTS_EXCEEDED,
    NU_CLUSTER_CX_OVERFLOW,
    NU_CLUSTER_CX_NONE_HEALTHY,
    NU_CLUSTER_CX_DESTROY,
    NU_CLUSTER_CX_DESTROY_LOCAL,
    NU_CLUSTER_CX_DESTROY_REMOTE,
    NU_CLUSTER_CX_RX_BYTES,
    NU_CLUSTER_CX_TX_BYTES,
    NU_CLUSTER_CX_CONNECT_MS,  /* histogram */
    NU_CLUSTER_CX_LENGTH_MS,   /* histogram */
    NU_CLUSTER_CX_HTTP1_TOTAL, /* from here on: of layers that see requests */
    NU_CLUSTER_CX_HTTP2_TOTAL,
    NU_CLUSTER_CX_CLOSE_NOTIFY,
    NU_CLUSTER_CX_IDLE_TIMEOUT,
    NU_CLUSTER_CX_PROTOCOL_ERROR,
    NU_CLUSTER_CX_DESTROY_WITH_ACTIVE_RQ,
    NU_CLUSTER_RQ_TOTAL,
    NU_CLUSTER_RQ_ACTIVE,
    NU_CLUSTER_RQ_COMPLETED,
    NU_CLUSTER_RQ_1XX,
    NU_CLUSTER_RQ_2XX,
    NU_CLUSTER_RQ_3XX,
    NU_CLUSTER_RQ_4XX,
    NU_CLUSTER_RQ_5XX,
    NU_CLUSTER_RQ_PENDING_TOTAL,
    NU_CLUSTER_RQ_PENDING_ACTIVE,
    NU_CLUSTER_RQ_PENDING_FAILURE_EJECT,
    NU_CLUSTER_RQ_CANCELLED,
    NU_CLUSTER_RQ_TIMEOUT,
    NU_CLUSTER_RQ_PER_TRY_TIMEOUT,
    NU_CLUSTER_RQ_RX_RESET,
    NU_CLUSTER_RQ_TX_RESET,
    NU_CLUSTER_RQ_RETRY,
    NU_CLUSTER_RQ_RETRY_SUCCESS,
    NU_CLUSTER_RQ_RETRY_LIMIT_EXCEEDED,
    NU_CLUSTER_RQ_TIME_MS,  /* histogram */
    NU_CLUSTER_H2_RX_RESET, /* from here on: of connections of HTTP/2 */
    NU_CLUSTER_H2_TX_RESET,
    NU_CLUSTER_H2_RX_MESSAGING_ERROR,
    NU_CLUSTER_H2_HEADER_OVERFLOW,
    NU_CLUSTER_H2_KEEPALIVE_TIMEOUT,
    NU_CLUSTER_GRPC_TOTAL, /* from here on: of gRPC */
    NU_CLUSTER_GRPC_SUCCESS,
    NU_CLUSTER_GRPC_FAILURE,
    NU_CLUSTER_GRPC_0, /* + status */
    NU_CLUSTER_GRPC_16 = NU_CLUSTER_GRPC_0 + 16,
    NU_CLUSTER_MEMBERSHIP_TOTAL,
    NU_CLUSTER_MEMBERSHIP_HEALTHY,
    NU_CLUSTER_MEMBERSHIP_CHANGE,
    NU_CLUSTER_LB_HEALTHY_PANIC,
    NU_CLUSTER_UPDATE_ATTEMPT, /* name resolution */
    NU_CLUSTER_UPDATE_SUCCESS,
    NU_CLUSTER_UPDATE_FAILURE,
    NU_CLUSTER_UPDATE_EMPTY,
    NU_CLUSTER_STAT_COUNT
};

enum nu_proxy_header { NU_PROXY_NONE, NU_PROXY_V1, NU_PROXY_V2 };

struct nu_cluster {
    struct nu_counted counted; /* first member */
    const char *name;
    struct nu_arena *arena;
    struct nu_stats *stats; /* enum nu_cluster_stat */
    int64_t connect_timeout_ms;
    int64_t max_connections;              /* limits.connections; 0 = none */
    int proxy_header;                     /* enum nu_proxy_header: what we send */
    struct nu_connect_options connect;    /* of the sockets to its servers */
    struct nu_original_dst *original_dst; /* NULL = this and the next: it has endpoints */
    struct nu_dynamic_forward *dynamic_forward;
    struct nu_found *found;                  /* endpoints that clients chose; of those two kinds */
    void **ext;                              /* what higher layers add (tls, protocol) */
    struct nu_place near[NU_EXT_PLACES_MAX]; /* those of them that are filters of a leg */
    unsigned near_count;
    bool per_client; /* a connection speaks for the client it was opened for, and serves no other */
    _Atomic int64_t cx_active;    /* legs of all workers, against max_connections */
    struct nu_cluster_view *view; /* by shard; a cache line each */
};

/* A worker's own view; touched by its thread only. */
struct nu_cluster_view {
    alignas(64) struct nu_endpoint_set *set; /* never NULL; may be empty */
    uint32_t next;                           /* place in the schedule */
    uint32_t number;                         /* of the set: counts those that came */
    struct nu_pool *pool;                    /* idle connections, of the layer that keeps them */
    bool retired;                            /* and keeps no more of them */
};

struct nu_clusters; /* all clusters of a generation */

/* The schema of one cluster, for docs and extensions. */
extern const struct nu_schema nu_cluster_schema;
/* The figures of a cluster, "cluster.<name>": enum nu_cluster_stat. */
extern const struct nu_stat_group nu_cluster_stat_group;
/* Has them stand on the generated page. Before any config is read. */
void nu_cluster_register(void);

/* Builds the clusters of a generation from the `clusters` list (NULL: none), reusing those of `old`
 * whose text is the same. Reports mistakes to conf. Nothing runs before nu_clusters_commit. Main
 * thread. */
enum nu_err nu_clusters_build(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *list, struct nu_clusters *old,
                              struct nu_clusters **out);
/* Resolution starts or goes on; the new ones are published to the workers' views. */
void nu_clusters_commit(struct nu_clusters *clusters, struct nu_clusters *old);
/* A build that is thrown away. */
void nu_clusters_discard(struct nu_clusters *clusters, struct nu_clusters *old);
/* On each shard after it has taken the next generation: retires the clusters of `gone` that `next`
 * lacks. */
void nu_clusters_retire_on(struct nu_clusters *gone, struct nu_clusters *next, unsigned shard);
/* On each shard, before that: connections that wait for requests end, and no more are kept. */
void nu_clusters_keep_none_on(struct nu_clusters *clusters, unsigned shard);

/* Has `fn` called on each shard when it lets go of a cluster, perhaps twice: what is kept in its
 * view's pool ends. One for the program, before any config is read. */
void nu_clusters_on_retire(void (*fn)(struct nu_cluster *cluster, unsigned shard));

/* Has `fn` called on each shard when its view has got another set: what is kept for endpoints that
 * are not in it, or failed, ends. One for the program, before any config is read. */
void nu_clusters_on_set(void (*fn)(struct nu_cluster *cluster, unsigned shard));

/* Whether one of its endpoints is a UNIX socket. Main thread. */
bool nu_cluster_has_unix(const struct nu_cluster *cluster);
/* By name, or NULL. Main thread. */
struct nu_cluster *nu_cluster_find(struct nu_clusters *clusters, const char *name);
size_t nu_clusters_count(const struct nu_clusters *clusters);
struct nu_cluster *nu_cluster_at(struct nu_clusters *clusters, size_t i);
/* All names, for did-you-mean. */
const char *const *nu_clusters_names(const struct nu_clusters *clusters);

/* False while a cluster has a host name that was never resolved, or its first endpoints were not
 * all checked; `why` gets its text ("cluster web: resolving a.test since 12 s: no such name").
 * Main thread. */
bool nu_cluster_ready(const struct nu_cluster *cluster, char *why, size_t why_len);
/* Whether this process may set the socket options of clusters that were not there before; reports.
 * Main thread, when it is about to serve. */
enum nu_err nu_clusters_try(struct nu_clusters *clusters, struct nu_conf *conf);
/* Whether any of them needs CAP_NET_ADMIN while it serves. */
bool nu_clusters_need_net_admin(const struct nu_clusters *clusters);
/* An endpoint as it is shown. */
struct nu_endpoint_shown {
    const struct nu_cluster *cluster;
    struct nu_endpoint *endpoint;
    uint32_t weight, priority;
};
typedef void nu_endpoint_shown_fn(const struct nu_endpoint_shown *shown, void *ctx);
/* Each endpoint in the order of the config, then those that clients chose: under a lock, fn may not
 * come back to the cluster. Main thread, once it was committed. */
void nu_cluster_endpoints(const struct nu_cluster *cluster, nu_endpoint_shown_fn *fn, void *ctx);
/* Lines of /clusters, as Envoy writes them: name::address::stat::value. */
void nu_cluster_print(const struct nu_cluster *cluster, FILE *out);

/* --- workers --- */

/* The next healthy endpoint in the cluster's order that is not among the `tried` ones, with a
 * reference for the caller, or NULL: none is left. */
struct nu_endpoint *nu_cluster_pick(struct nu_cluster *cluster, unsigned shard,
                                    struct nu_endpoint *const *tried, unsigned tried_count);

#endif
