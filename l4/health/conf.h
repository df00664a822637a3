/* The key `health_check` of clusters: when endpoints are checked, how many verdicts count. What is
 * asked is a key of its own in it, `tcp`, `http`, that types add to the schema (nu_schema_extend,
 * with `place` for the probe's filter). Main thread. */
#ifndef NU_L4_HEALTH_CONF_H
#define NU_L4_HEALTH_CONF_H

#include "core/chain.h"
#include "core/conf/schema.h"
#include "l4/health/judge.h"

/* Up to so much later than due, at random, lest all proxies ask at once. */
struct nu_jitter {
    double share; /* of the wait */
    int64_t ms;
};

struct nu_health_conf {
    int64_t interval_ms, timeout_ms;
    struct nu_health_thresholds thresholds;
    struct nu_jitter jitter;
    /* Instead of interval_ms, where not 0: while no client's connection went to the cluster; while
     * an endpoint is unhealthy; while the next verdicts may change what it is. */
    int64_t no_traffic_interval_ms, unhealthy_interval_ms, edge_interval_ms;
    int64_t port; /* 0 = the endpoint's own */
    void **ext;
    struct nu_place first; /* the filter of the one type that is asked for */
};

extern const struct nu_schema nu_health_schema;
/* `tcp: {send, receive}`, of tcp.c. */
extern struct nu_ext nu_health_tcp;

#endif
