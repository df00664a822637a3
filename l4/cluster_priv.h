/* Inside of l4/cluster*.c only: a cluster with its config, its names and the set it published last.
 * Main thread, but for cl_set_ref and cl_set_unref. */
#ifndef NU_L4_CLUSTER_PRIV_H
#define NU_L4_CLUSTER_PRIV_H

#include "core/loop.h"
#include "l4/cluster.h"

struct cl_name;
struct nu_health;
struct nu_health_conf;
struct nu_resolver;

/* An address as written, a literal or a name with its port. */
struct cl_where {
    const char *text;
    const char *host; /* lower case; NULL: the address says it all */
    struct nu_addr addr;
    uint16_t port;
};

/* An item of `endpoints`. */
struct cl_target {
    struct cl_where where;
    int64_t weight, priority;
};

struct cl_cluster {
    struct nu_cluster pub; /* first member */
    const char *text;      /* the config that it was made from; the same text, the same object */
    struct nu_vec targets; /* struct cl_target */
    struct cl_where dns;
    int balance;
    struct nu_endpoint_set *set; /* published last; a reference */
    struct cl_name *names;       /* in the order of targets; NULL before commit, or without any */
    size_t name_count;
    struct nu_resolver *resolver;       /* while there are names */
    const struct nu_node *node;         /* while the config is being read */
    struct nu_timer sweep;              /* of pub.found; main's */
    struct nu_task publish;             /* queued when addresses of names have changed */
    struct nu_health_conf *health_conf; /* NULL: nobody checks */
    struct nu_health *health;           /* from commit on, while it is the newest of its name */
    double panic_threshold;
    struct nu_timer republish; /* armed when health has changed */
    int64_t republished_ms;
    bool said_panic;
    bool committed;   /* workers may know it */
    bool reached;     /* some set is with every worker */
    unsigned handing; /* sets on their way to workers */
};

static inline struct cl_cluster *cl_of(const struct nu_cluster *cluster)
{
    return nu_container(cluster, struct cl_cluster, pub);
}

/* Of cluster_conf.c */

/* Parses a node into a fresh, zeroed cluster; reports. Texts come from the arena. */
enum nu_err cl_parse(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                     struct cl_cluster *out);

/* Of cluster_set.c */

/* One endpoint on its way into a set. */
struct cl_member {
    struct nu_endpoint *endpoint; /* a reference that goes over to the set */
    uint32_t weight, priority;
    uint32_t order; /* in the config */
    bool failed;    /* not to be used, but in panic */
};

/* A set of these (reordered), with one reference. Where the priorities together cannot carry the
 * load, each of which less than `panic_threshold` is healthy is used whole. */
struct nu_endpoint_set *cl_set_new(struct cl_member *members, size_t count, double panic_threshold);
struct nu_endpoint_set *cl_set_ref(struct nu_endpoint_set *set);
void cl_set_unref(struct nu_endpoint_set *set);
/* The set without endpoints, with one more reference. */
struct nu_endpoint_set *cl_set_empty(void);
/* Builds the cluster's set from literals and what names resolved to last, and hands it to every
 * view: at once where no other thread uses the view, else by post. */
void cl_publish(struct cl_cluster *cluster);
/* The same when nothing but their health has changed. */
void cl_republish(struct cl_cluster *cluster);

/* Of cluster_chosen.c: what a cluster has whose servers are chosen by clients. Nothing for others.
 */

void cl_chosen_make(struct cl_cluster *cluster);
void cl_chosen_start(struct cl_cluster *cluster);
/* Idempotent. Connections may go on using it. */
void cl_chosen_stop(struct cl_cluster *cluster);
void cl_chosen_free(struct cl_cluster *cluster);

/* Of cluster_health.c: who is checked, and new sets when that changed something. */

/* In commit, before the first set; `before` (may be NULL) stops, so that nobody is checked twice.
 */
void cl_health_start(struct cl_cluster *cluster, struct cl_cluster *before);
/* No set is published after this; idempotent. */
void cl_health_stop(struct cl_cluster *cluster);
/* These are the members now; where nobody checks, they may all be used. */
void cl_health_sync(struct cl_cluster *cluster, const struct cl_member *members, size_t count);
/* A set was published: says when panic begins and ends. */
void cl_health_published(struct cl_cluster *cluster);
/* As nu_cluster_ready. */
bool cl_health_ready(const struct cl_cluster *cluster, char *why, size_t why_len);

/* Of cluster_names.c */

/* Begins to resolve the cluster's names; takes over what `before` (may be NULL) knows of the same
 * names. */
void cl_names_start(struct cl_cluster *cluster, const struct cl_cluster *before);
/* No answer after this; idempotent. */
void cl_names_stop(struct cl_cluster *cluster);
/* What name number `i` resolved to last; borrowed until the loop turns. */
const struct nu_addr *cl_name_addrs(const struct cl_cluster *cluster, size_t i, size_t *count);

#endif
