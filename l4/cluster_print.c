/* What is shown of clusters: their figures' names, and Envoy's lines of /clusters. Main thread. */
#include "core/assert.h"
#include "l4/cluster_priv.h"
#include "l4/dns_cache.h"
#include "l4/found.h"
#include "l4/health/health.h"

#include <inttypes.h>
#include <string.h>

#define GRPC(number, word)                                                                         \
    [NU_CLUSTER_GRPC_0 + (number)] = {"grpc." #number, NU_COUNTER, NULL,                           \
                                      "Calls of gRPC that ended with that status: " word "."}

static const struct nu_stat_def defs[NU_CLUSTER_STAT_COUNT] = {
    [NU_CLUSTER_CX_TOTAL] = {"upstream_cx_total",                     NU_COUNTER,   NULL,    "Connections begun."                           },
    [NU_CLUSTER_CX_ACTIVE] = {"upstream_cx_active",                    NU_GAUGE,     NULL,    "Connections now."                             },
    [NU_CLUSTER_CX_CONNECT_FAIL] = {"upstream_cx_connect_fail",              NU_COUNTER,   NULL,
                             "Connections that were refused or could not be made."                                                          },
    [NU_CLUSTER_CX_CONNECT_TIMEOUT] = {"upstream_cx_connect_timeout",           NU_COUNTER,   NULL,
                             "Connections given up at connect_timeout."                                                                     },
    [NU_CLUSTER_CX_CONNECT_ATTEMPTS_EXCEEDED] = {"upstream_cx_connect_attempts_exceeded",
                             NU_COUNTER,                                            NULL,
                             "Clients for whom the last try failed too."                                                                    },
    [NU_CLUSTER_CX_OVERFLOW] = {"upstream_cx_overflow",                  NU_COUNTER,   NULL,
                             "Clients turned away at limits.connections."                                                                   },
    [NU_CLUSTER_CX_NONE_HEALTHY] = {"upstream_cx_none_healthy",              NU_COUNTER,   NULL,
                             "Clients for whom there was no endpoint at all."                                                               },
    [NU_CLUSTER_CX_DESTROY] = {"upstream_cx_destroy",                   NU_COUNTER,   NULL,    "Connections closed."                          },
    [NU_CLUSTER_CX_DESTROY_LOCAL] = {"upstream_cx_destroy_local",             NU_COUNTER,   NULL,
                             "Connections closed from this side."                                                                           },
    [NU_CLUSTER_CX_DESTROY_REMOTE] = {"upstream_cx_destroy_remote",            NU_COUNTER,   NULL,
                             "Connections closed by the server."                                                                            },
    [NU_CLUSTER_CX_RX_BYTES] = {"upstream_cx_rx_bytes_total",            NU_COUNTER,   "bytes",
                             "Received from servers."                                                                                       },
    [NU_CLUSTER_CX_TX_BYTES] = {"upstream_cx_tx_bytes_total",            NU_COUNTER,   "bytes",
                             "Sent to servers."                                                                                             },
    [NU_CLUSTER_CX_CONNECT_MS] = {"upstream_cx_connect_ms",                NU_HISTOGRAM, "ms",
                             "Time until a connection was ready."                                                                           },
    [NU_CLUSTER_CX_LENGTH_MS] = {"upstream_cx_length_ms",                 NU_HISTOGRAM, "ms",
                             "Life of a connection."                                                                                        },
    [NU_CLUSTER_CX_HTTP1_TOTAL] = {"upstream_cx_http1_total",               NU_COUNTER,   NULL,
                             "Connections that spoke HTTP/1."                                                                               },
    [NU_CLUSTER_CX_HTTP2_TOTAL] = {"upstream_cx_http2_total",               NU_COUNTER,   NULL,
                             "Connections that spoke HTTP/2."                                                                               },
    [NU_CLUSTER_CX_CLOSE_NOTIFY] =
        {"upstream_cx_close_notify",              NU_COUNTER,   NULL,
                             "Connections of HTTP/2 whose server takes no more requests (GOAWAY)."                                          },
    [NU_CLUSTER_CX_IDLE_TIMEOUT] = {"upstream_cx_idle_timeout",              NU_COUNTER,   NULL,
                             "Kept connections closed for lack of requests."                                                                },
    [NU_CLUSTER_CX_PROTOCOL_ERROR] = {"upstream_cx_protocol_error",            NU_COUNTER,   NULL,
                             "Connections whose server broke its protocol."                                                                 },
    [NU_CLUSTER_CX_DESTROY_WITH_ACTIVE_RQ] = {"upstream_cx_destroy_with_active_rq",    NU_COUNTER,
                             NULL,                                                           "Connections closed in the midst of a request."},
    [NU_CLUSTER_RQ_TOTAL] = {"upstream_rq_total",                     NU_COUNTER,   NULL,
                             "Requests sent, tries counted singly."                                                                         },
    [NU_CLUSTER_RQ_ACTIVE] = {"upstream_rq_active",                    NU_GAUGE,     NULL,    "Requests now."                                },
    [NU_CLUSTER_RQ_COMPLETED] = {"upstream_rq_completed",                 NU_COUNTER,   NULL,
                             "Requests that got a final response."                                                                          },
    [NU_CLUSTER_RQ_1XX] = {"upstream_rq_1xx",                       NU_COUNTER,   NULL,    "Responses 100 to 199."                        },
    [NU_CLUSTER_RQ_2XX] = {"upstream_rq_2xx",                       NU_COUNTER,   NULL,    "Responses 200 to 299."                        },
    [NU_CLUSTER_RQ_3XX] = {"upstream_rq_3xx",                       NU_COUNTER,   NULL,    "Responses 300 to 399."                        },
    [NU_CLUSTER_RQ_4XX] = {"upstream_rq_4xx",                       NU_COUNTER,   NULL,    "Responses 400 to 499."                        },
    [NU_CLUSTER_RQ_5XX] = {"upstream_rq_5xx",                       NU_COUNTER,   NULL,    "Responses 500 to 599."                        },
    [NU_CLUSTER_RQ_PENDING_TOTAL] = {"upstream_rq_pending_total",             NU_COUNTER,   NULL,
                             "Requests that waited for a connection."                                                                       },
    [NU_CLUSTER_RQ_PENDING_ACTIVE] = {"upstream_rq_pending_active",            NU_GAUGE,     NULL,
                             "Requests that wait for one now."                                                                              },
    [NU_CLUSTER_RQ_PENDING_FAILURE_EJECT] = {"upstream_rq_pending_failure_eject",     NU_COUNTER,   NULL,
                             "Requests whose connection could not be made."                                                                 },
    [NU_CLUSTER_RQ_CANCELLED] = {"upstream_rq_cancelled",                 NU_COUNTER,   NULL,
                             "Requests given up before they had a connection."                                                              },
    [NU_CLUSTER_RQ_TIMEOUT] = {"upstream_rq_timeout",                   NU_COUNTER,   NULL,
                             "Requests over their route's timeout."                                                                         },
    [NU_CLUSTER_RQ_PER_TRY_TIMEOUT] =
        {"upstream_rq_per_try_timeout",           NU_COUNTER,   NULL,
                             "Tries that had no response within the retry's per_try_timeout."                                               },
    [NU_CLUSTER_RQ_RX_RESET] = {"upstream_rq_rx_reset",                  NU_COUNTER,   NULL,
                             "Requests that the server cut."                                                                                },
    [NU_CLUSTER_RQ_TX_RESET] = {"upstream_rq_tx_reset",                  NU_COUNTER,   NULL,
                             "Requests that were cut from this side."                                                                       },
    [NU_CLUSTER_RQ_RETRY] = {"upstream_rq_retry",                     NU_COUNTER,   NULL,    "Tries after the first."                       },
    [NU_CLUSTER_RQ_RETRY_SUCCESS] = {"upstream_rq_retry_success",             NU_COUNTER,   NULL,
                             "Retried requests that got a response."                                                                        },
    [NU_CLUSTER_RQ_RETRY_LIMIT_EXCEEDED] = {"upstream_rq_retry_limit_exceeded",      NU_COUNTER,   NULL,
                             "Requests whose last try failed too."                                                                          },
    [NU_CLUSTER_RQ_TIME_MS] = {"upstream_rq_time",                      NU_HISTOGRAM, "ms",
                             "Time from a request's beginning to the end of its response."                                                  },
    [NU_CLUSTER_H2_RX_RESET] = {"http2.rx_reset",                        NU_COUNTER,   NULL,    "Requests that servers reset."                 },
    [NU_CLUSTER_H2_TX_RESET] = {"http2.tx_reset",                        NU_COUNTER,   NULL,
                             "Requests reset from this side."                                                                               },
    [NU_CLUSTER_H2_RX_MESSAGING_ERROR] = {"http2.rx_messaging_error",              NU_COUNTER,   NULL,
                             "Responses that broke the rules of messages."                                                                  },
    [NU_CLUSTER_H2_HEADER_OVERFLOW] = {"http2.header_overflow",                 NU_COUNTER,   NULL,
                             "Responses whose head was over its limits."                                                                    },
    [NU_CLUSTER_H2_KEEPALIVE_TIMEOUT] = {"http2.keepalive_timeout",               NU_COUNTER,   NULL,
                             "Connections given up at ping_timeout."                                                                        },
    [NU_CLUSTER_GRPC_TOTAL] = {"grpc.total",                            NU_COUNTER,   NULL,    "Calls of gRPC that are over."                 },
    [NU_CLUSTER_GRPC_SUCCESS] = {"grpc.success",                          NU_COUNTER,   NULL,    "Those of them with status 0."                 },
    [NU_CLUSTER_GRPC_FAILURE] = {"grpc.failure",                          NU_COUNTER,   NULL,
                             "Those with another, a server's or ours, or without any."                                                      },
    GRPC(0, "OK"),
    GRPC(1, "Canceled"),
    GRPC(2, "Unknown"),
    GRPC(3, "InvalidArgument"),
    GRPC(4, "DeadlineExceeded"),
    GRPC(5, "NotFound"),
    GRPC(6, "AlreadyExists"),
    GRPC(7, "PermissionDenied"),
    GRPC(8, "ResourceExhausted"),
    GRPC(9, "FailedPrecondition"),
    GRPC(10, "Aborted"),
    GRPC(11, "OutOfRange"),
    GRPC(12, "Unimplemented"),
    GRPC(13, "Internal"),
    GRPC(14, "Unavailable"),
    GRPC(15, "DataLoss"),
    GRPC(16, "Unauthenticated"),
    [NU_CLUSTER_MEMBERSHIP_TOTAL] = {"membership_total",                      NU_GAUGE,     NULL,
                             "Endpoints; each address of a host name is one."                                                               },
    [NU_CLUSTER_MEMBERSHIP_HEALTHY] = {"membership_healthy",                    NU_GAUGE,     NULL,
                             "Endpoints that no health check found unwell."                                                                 },
    [NU_CLUSTER_MEMBERSHIP_CHANGE] = {"membership_change",                     NU_COUNTER,   NULL,
                             "Times that the endpoints became others."                                                                      },
    [NU_CLUSTER_LB_HEALTHY_PANIC] =
        {"lb_healthy_panic",                      NU_COUNTER,   NULL,
                             "Clients sent to any endpoint, healthy or not: below panic_threshold."                                         },
    [NU_CLUSTER_UPDATE_ATTEMPT] = {"update_attempt",                        NU_COUNTER,   NULL,
                             "Questions asked for a host name."                                                                             },
    [NU_CLUSTER_UPDATE_SUCCESS] = {"update_success",                        NU_COUNTER,   NULL,
                             "Questions answered with addresses."                                                                           },
    [NU_CLUSTER_UPDATE_FAILURE] = {"update_failure",                        NU_COUNTER,   NULL,
                             "Questions that failed; the last good answer is kept."                                                         },
    [NU_CLUSTER_UPDATE_EMPTY] = {"update_empty",                          NU_COUNTER,   NULL,
                             "Answers without an address; the last good one is kept."                                                       },
};

const struct nu_stat_group nu_cluster_stat_group =
    NU_STAT_GROUP("cluster.<name>", "A cluster, of all workers.", defs);

void nu_cluster_register(void)
{
    nu_stats_register(&nu_cluster_stat_group);
    nu_stats_register(&nu_dns_cache_stats);
    nu_stats_register(&nu_health_stat_group);
    nu_schema_extend(&nu_health_schema, &nu_health_tcp);
}

static void print_limit(FILE *out, const struct nu_cluster *cluster)
{
    if (cluster->max_connections)
        fprintf(out, "%s::default_priority::max_connections::%" PRId64 "\n", cluster->name,
                cluster->max_connections);
}

static void print_endpoint(const struct nu_endpoint_shown *how, void *ctx)
{
    char head[NU_ADDR_TEXT_MAX];
    const char *name = how->cluster->name;
    const struct nu_endpoint *e = how->endpoint;
    FILE *out = ctx;
    nu_addr_str(&e->addr, head);
    fprintf(out, "%s::%s::cx_active::%" PRIu64 "\n", name, head, (uint64_t)e->cx_active);
    fprintf(out, "%s::%s::cx_connect_fail::%" PRIu64 "\n", name, head,
            (uint64_t)e->cx_connect_fail);
    fprintf(out, "%s::%s::cx_total::%" PRIu64 "\n", name, head, (uint64_t)e->cx_total);
    fprintf(out, "%s::%s::hostname::%s\n", name, head, e->name ? e->name : "");
    fprintf(out, "%s::%s::health_flags::", name, head);
    nu_health_flags_print(e, out);
    fputc('\n', out);
    if (nu_health_last(e))
        fprintf(out, "%s::%s::health_check::%s\n", name, head, nu_health_last(e));
    fprintf(out, "%s::%s::weight::%u\n", name, head, how->weight);
    fprintf(out, "%s::%s::priority::%u\n", name, head, how->priority);
}

/* Who is told of each endpoint. */
struct told {
    struct nu_endpoint_shown shown;
    nu_endpoint_shown_fn *fn;
    void *ctx;
};

static void tell_of(struct told *t, struct nu_endpoint *e, uint32_t weight)
{
    t->shown.endpoint = e;
    t->shown.weight = weight;
    t->fn(&t->shown, t->ctx);
}

static void tell_found(struct nu_endpoint *e, void *ctx)
{
    tell_of(ctx, e, 1);
}

/* In the order of the config, from which only the unhealthy ones are set apart. */
static void tell_group(const struct nu_endpoint_set *set, const struct nu_endpoint_group *g,
                       struct told *t)
{
    uint32_t well = g->first, unwell = g->first + g->healthy, end = g->first + g->total;
    t->shown.priority = g->priority;
    for (uint32_t i = 0; i < g->total; i++) {
        bool take_well = unwell == end ||
                         (well < g->first + g->healthy && set->order[well] < set->order[unwell]);
        uint32_t item = take_well ? well++ : unwell++;
        tell_of(t, set->item[item], set->weight[item]);
    }
}

void nu_cluster_endpoints(const struct nu_cluster *cluster, nu_endpoint_shown_fn *fn, void *ctx)
{
    const struct nu_endpoint_set *set = cl_of(cluster)->set;
    struct told told = {{.cluster = cluster}, fn, ctx};
    for (uint32_t g = 0; g < set->group_count; g++)
        tell_group(set, &set->group[g], &told);
    told.shown.priority = 0;
    if (cluster->found)
        nu_found_each(cluster->found, tell_found, &told);
}

void nu_cluster_print(const struct nu_cluster *cluster, FILE *out)
{
    fprintf(out, "%s::observability_name::%s\n", cluster->name, cluster->name);
    print_limit(out, cluster);
    nu_cluster_endpoints(cluster, print_endpoint, out);
}
