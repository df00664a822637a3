/* The schema of `health_check`, but for its types. */
#include "l4/health/conf.h"

#include "l4/chain_conf.h"

#include <stdio.h>
#include <string.h>

#define INTERVAL_MIN_MS 10 /* more often is load, not a check */

/* A share of the wait, or a time: two schemas of one key each, for one value. */
static const struct nu_field share_fields[] = {
    {.key = "share",                       .type = NU_PERCENT, .offset = offsetof(struct nu_jitter, share)},
    {0}
};
static const struct nu_schema share_schema = {
    .name = "jitter", .size = sizeof(struct nu_jitter), .fields = share_fields, .scalar = "share"};

static const struct nu_field time_fields[] = {
    {.key = "time",                        .type = NU_DURATION, .offset = offsetof(struct nu_jitter, ms)},
    {0}
};
static const struct nu_schema time_schema = {
    .name = "jitter", .size = sizeof(struct nu_jitter), .fields = time_fields, .scalar = "time"};

static enum nu_err parse_jitter(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    *(struct nu_jitter *)out = (struct nu_jitter){0};
    if (node->kind != NU_NODE_SCALAR) {
        nu_conf_error(conf, node, "expected a share like 10%%, or a duration like 500ms");
        return NU_ERR_CONFIG;
    }
    bool share = strchr(node->text, '%') != NULL;
    return nu_schema_parse(share ? &share_schema : &time_schema, conf, arena, node, out);
}

static const struct nu_field fields[] = {
    {.key = "interval",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_health_conf, interval_ms),
     .fallback = "5s",
     .min = INTERVAL_MIN_MS,
     .doc = "From the end of a check to the next one of the same endpoint. The first one is at "
            "once."},
    {.key = "timeout",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_health_conf, timeout_ms),
     .fallback = "1s",
     .min = 1,
     .doc = "For a whole check: connection, TLS handshake, answer."},
    {.key = "healthy",
     .type = NU_INT,
     .offset = offsetof(struct nu_health_conf, thresholds.healthy),
     .fallback = "2",
     .min = 1,
     .max = NU_HEALTH_ROW_MAX,
     .doc = "So many checks in a row make an unhealthy endpoint healthy. The first check of an "
            "endpoint decides alone, both ways."},
    {.key = "unhealthy",
     .type = NU_INT,
     .offset = offsetof(struct nu_health_conf, thresholds.unhealthy),
     .fallback = "3",
     .min = 1,
     .max = NU_HEALTH_ROW_MAX,
     .doc = "So many failed checks in a row, whatever failed, make a healthy one unhealthy."},
    {.key = "jitter",
     .type = NU_CUSTOM,
     .offset = offsetof(struct nu_health_conf, jitter),
     .fallback = "10%",
     .parse = parse_jitter,
     .shown = "percent or duration",
     .item = sizeof(struct nu_jitter),
     .doc = "Each wait is longer by up to that, at random; `0` = never."},
    {.key = "no_traffic_interval",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_health_conf, no_traffic_interval_ms),
     .doc = "Instead of `interval`, as long as no client was sent to the cluster. Default: "
            "`interval`, other than in Envoy, where it is 60s."},
    {.key = "unhealthy_interval",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_health_conf, unhealthy_interval_ms),
     .doc = "The same while the endpoint is unhealthy. Default: `interval`."},
    {.key = "edge_interval",
     .type = NU_DURATION,
     .offset = offsetof(struct nu_health_conf, edge_interval_ms),
     .doc = "The same while the last checks speak against what the endpoint is taken for. Default: "
            "the interval that applies otherwise."},
    {.key = "port",
     .type = NU_INT,
     .offset = offsetof(struct nu_health_conf, port),
     .max = 65535,
     .doc = "Where checks connect to, instead of the endpoint's own port. Not for UNIX sockets."},
    {0                      }
};

/* Exactly one type, whichever there are. */
static enum nu_err check(struct nu_conf *conf, struct nu_arena *arena, const struct nu_node *node,
                         void *out)
{
    struct nu_health_conf *c = out;
    struct nu_place places[NU_EXT_PLACES_MAX];
    unsigned n = nu_ext_places(&(struct nu_ext_values){&nu_health_schema, c->ext}, arena, places);
    if (n == 1) {
        c->first = places[0];
        return NU_OK;
    }
    if (n == 0)
        nu_conf_error_in(conf, node,
                         "what is to be asked? Expected \"http\", \"grpc\" or \"tcp\" here");
    else
        nu_conf_error_in(conf, node, "one of \"http\", \"grpc\" and \"tcp\" is enough");
    return NU_ERR_CONFIG;
}

static struct nu_ext *extensions;

const struct nu_schema nu_health_schema = {
    .name = "health_check",
    .doc = "Asks each endpoint in turn whether it is well; those that are not get no traffic.",
    .size = sizeof(struct nu_health_conf),
    .fields = fields,
    .check = check,
    .ext = &extensions,
    .ext_offset = offsetof(struct nu_health_conf, ext),
};
