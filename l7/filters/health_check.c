/* health_check: answers those who ask whether this proxy serves, in the place of a server.
 *
 * Faces: HTTP. Sees: the HEAD of a request that asks, else nothing: it is out of the way from the
 * start. Stores nothing, holds nothing, has nothing to flush at END and nothing to cancel in
 * `close`. */
#include "core/conf/schema.h"
#include "core/generation.h"
#include "core/serving.h"
#include "l4/cluster_ref.h"
#include "l7/filters/filters.h"
#include "l7/local_reply.h"
#include "l7/route/value.h"
#include "l7/stream.h"

#include <string.h>

enum figure { REQUEST_TOTAL, OK, FAILED, FAILED_CLUSTER_EMPTY, FAILED_CLUSTER_UNHEALTHY };

static const struct nu_stat_def defs[] = {
    [REQUEST_TOTAL] = {"request_total",            NU_COUNTER, NULL, "Requests that asked."},
    [OK] = {"ok",                       NU_COUNTER, NULL, "Answered with 200."  },
    [FAILED] = {"failed",                   NU_COUNTER, NULL,
                       "Answered with 503, for whatever reason: a drain, `ctl healthcheck fail`, or a "
                "cluster."                                                                 },
    [FAILED_CLUSTER_EMPTY] = {"failed_cluster_empty",     NU_COUNTER, NULL,
                       "With 503, as a cluster has no endpoint."                           },
    [FAILED_CLUSTER_UNHEALTHY] = {"failed_cluster_unhealthy", NU_COUNTER, NULL,
                       "With 503, as too few endpoints of a cluster are healthy."          },
};

const struct nu_stat_group nu_health_check_filter_stats =
    NU_STAT_GROUP("http.<name>.health_check", "The health_check filters of an http filter.", defs);

struct least {
    const char *name;
    double share;
    struct nu_cluster *cluster;
};

struct health_check_conf {
    const char *path;
    struct nu_vec headers;  /* struct route_value */
    struct nu_vec clusters; /* struct least */
    bool pass_through;
    struct nu_stats *stats;
};

static void count(const struct nu_filter *f, enum figure figure)
{
    const struct health_check_conf *conf = ((const struct nu_http_filter *)f)->conf;
    nu_stat_add(conf->stats, nu_filter_loop(f)->shard, figure, 1);
}

/* What is asked behind "?" does not matter. */
static bool has_path(const struct health_check_conf *conf, const struct nu_http_head *request)
{
    size_t len = strlen(conf->path);
    struct nu_text path = request->path;
    return path.len >= len && memcmp(path.at, conf->path, len) == 0 &&
           (path.len == len || path.at[len] == '?');
}

static bool asks(const struct health_check_conf *conf, const struct nu_http_head *request)
{
    const struct route_value *value = conf->headers.items;
    if (!has_path(conf, request))
        return false;
    for (size_t i = 0; i < conf->headers.count; i++)
        if (!route_header_fits(&value[i], request))
            return false;
    return true;
}

static bool are_well(const struct nu_filter *f, const struct health_check_conf *conf)
{
    const struct least *least = conf->clusters.items;
    unsigned shard = nu_filter_loop(f)->shard;
    for (size_t i = 0; i < conf->clusters.count; i++) {
        const struct nu_endpoint_set *set = least[i].cluster->view[shard].set;
        if (set->count == 0 && least[i].share > 0) {
            count(f, FAILED_CLUSTER_EMPTY);
            return false;
        }
        if (set->healthy < least[i].share * set->count) {
            count(f, FAILED_CLUSTER_UNHEALTHY);
            return false;
        }
    }
    return true;
}

static void health_check_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    const struct health_check_conf *conf = ((const struct nu_http_filter *)f)->conf;
    bool serving = nu_serving();
    count(f, REQUEST_TOTAL);
    if (conf->pass_through && serving) {
        nu_bypass(f);
        nu_forward(f, dir, ev);
        return;
    }
    bool well = serving && are_well(f, conf);
    count(f, well ? OK : FAILED);
    nu_local_reply(f, well ? 200 : 503, nu_text("", 0),
                   !serving ? "health_check_failed"
                   : well   ? "health_check_ok"
                            : "health_check_failed_cluster_unhealthy");
}

static enum nu_open health_check_open(struct nu_filter *f, const void *conf)
{
    nu_http_filter_open(f, conf);
    return asks(conf, nu_stream_of(f)->request) ? NU_OPEN : NU_PASS;
}

static bool health_check_spare(const void *conf, const struct nu_facts *facts)
{
    return !asks(conf, facts->exchange->stream->request);
}

/* --- config --- */

static void health_check_names(const struct nu_generation *gen, struct nu_conf *conf,
                               const struct nu_node *node)
{
    nu_clusters_known(gen->clusters, conf, node);
}

static enum nu_err health_check_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                        struct nu_arena *arena, const struct nu_node *node,
                                        void *parsed)
{
    struct health_check_conf *c = parsed;
    struct least *least = c->clusters.items;
    if (*c->path != '/') {
        nu_conf_error(conf, nu_node_get(node, "path"), "a path begins with \"/\"");
        return NU_ERR_CONFIG;
    }
    if (c->pass_through && c->clusters.count > 0) {
        nu_conf_error(conf, nu_node_get(node, "clusters"),
                      "with pass_through the server answers, whatever clusters are like");
        return NU_ERR_CONFIG;
    }
    if (c->clusters.count > 0 && !nu_clusters_known(gen->clusters, conf, node))
        return NU_ERR_CONFIG;
    for (size_t i = 0; i < c->clusters.count; i++)
        least[i].cluster = nu_cluster_hold(gen->clusters, least[i].name, arena);
    c->stats = nu_http_filter_stats(&nu_health_check_filter_stats, arena, node, "health_check");
    return NU_OK;
}

static const struct nu_field least_fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_REQUIRED | NU_NONEMPTY,
     .offset = offsetof(struct least, name),
     .doc = "Name of a cluster."},
    {.key = "min_healthy",
     .type = NU_PERCENT,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct least, share),
     .doc = "Of its endpoints; if fewer are healthy, the answer is 503."},
    {0                            }
};

static const struct nu_schema least_schema = {
    .name = "clusters",
    .doc = "Clusters that have to be well.",
    .size = sizeof(struct least),
    .fields = least_fields,
};

static const struct nu_field fields[] = {
    {.key = "path",
     .type = NU_STRING,
     .flags = NU_REQUIRED | NU_NONEMPTY,
     .offset = offsetof(struct health_check_conf, path),
     .doc = "Requests to this path ask, with any query."},
    {.key = "headers",
     .type = NU_CUSTOM,
     .parse = route_headers_parse,
     .shown = "map of names to value conditions",
     .offset = offsetof(struct health_check_conf, headers),
     .doc = "And that they need, as in a route's match."},
    {.key = "pass_through",
     .type = NU_BOOL,
     .offset = offsetof(struct health_check_conf, pass_through),
     .fallback = "false",
     .doc = "A server answers, as long as this proxy serves."},
    {.key = "clusters",
     .type = NU_OBJECT,
     .flags = NU_LIST,
     .offset = offsetof(struct health_check_conf, clusters),
     .sub = &least_schema,
     .doc = "Clusters that have to be well for the answer to be 200."},
    {0                 }
};

static const struct nu_schema schema = {
    .name = "health_check",
    .doc = "Answers who asks whether this proxy serves: 200, or 503 from the beginning of a drain "
           "on, while the admin was told to fail health checks, or where a cluster has too few "
           "healthy endpoints. It stands before filters that would refuse such a request.",
    .size = sizeof(struct health_check_conf),
    .fields = fields,
    .scalar = "path",
};

const struct nu_filter_type nu_filter_health_check = {
    .name = "health_check",
    .doc = "Answers who asks whether this proxy serves.",
    .size = sizeof(struct nu_http_filter),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD), 0},
    .schema = &schema,
    .prepare = health_check_prepare,
    .check_names = health_check_names,
    .spare = health_check_spare,
    .open = health_check_open,
    .event = health_check_event,
};
