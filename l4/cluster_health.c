/* A cluster and its health checks: when they begin and end, and a new set for the workers when an
 * endpoint's health has changed. Sets cost a sort of all endpoints, so in a large cluster changes
 * wait for one another. Main thread. */
#include "core/assert.h"
#include "core/log.h"
#include "core/worker.h"
#include "l4/cluster_priv.h"
#include "l4/health/health.h"

#include <stdio.h>
#include <stdlib.h>

#define ENDPOINTS_A_MS                                                                             \
    100 /* of the pause between two sets: 10,000 endpoints make one each 100 ms, which takes a     \
           fourth of that */

static void republish(struct nu_timer *timer)
{
    struct cl_cluster *c = nu_container(timer, struct cl_cluster, republish);
    c->republished_ms = nu_worker_main()->loop.now_ms;
    cl_republish(c);
}

static void changed(void *ctx)
{
    struct cl_cluster *c = ctx;
    struct nu_loop *loop = &nu_worker_main()->loop;
    int64_t due_ms = c->republished_ms + c->set->count / ENDPOINTS_A_MS;
    if (!nu_timer_armed(&c->republish))
        nu_timer_arm(&loop->timers, &c->republish, due_ms > loop->now_ms ? due_ms : loop->now_ms);
}

void cl_health_start(struct cl_cluster *c, struct cl_cluster *before)
{
    if (before)
        cl_health_stop(before);
    c->republish.fn = republish;
    if (c->health_conf)
        c->health = nu_health_new(&c->pub, c->health_conf, changed, c);
}

void cl_health_stop(struct cl_cluster *c)
{
    nu_timer_disarm(&nu_worker_main()->loop.timers, &c->republish);
    nu_health_free(c->health);
    c->health = NULL;
}

static void check_nobody(const struct cl_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct nu_endpoint *e = members[i].endpoint;
        if (e->health || e->checks.checked)
            nu_health_forget(e);
        e->checks.known = true;
    }
}

void cl_health_sync(struct cl_cluster *c, const struct cl_member *members, size_t count)
{
    if (!c->health) {
        check_nobody(members, count);
        return;
    }
    struct nu_endpoint **endpoints = calloc(count + 1, sizeof *endpoints);
    nu_assert(endpoints != NULL);
    for (size_t i = 0; i < count; i++)
        endpoints[i] = members[i].endpoint;
    nu_health_sync(c->health, endpoints, count);
    free(endpoints);
}

void cl_health_published(struct cl_cluster *c)
{
    char cluster[NU_LOG_QUOTE_MAX];
    if (c->health)
        nu_health_count(c->health, c->set->healthy);
    if (!c->health || nu_health_waits(c->health) || c->said_panic == c->set->panic)
        return;
    c->said_panic = c->set->panic;
    nu_log_quote(cluster, sizeof cluster, c->pub.name);
    if (c->set->panic)
        nu_log(NU_LOG_WARN, "health",
               "too few endpoints are healthy, all are used cluster=%s healthy=%u endpoints=%u",
               cluster, c->set->healthy, c->set->count);
    else
        nu_log(NU_LOG_INFO, "health",
               "enough endpoints are healthy, no others are used cluster=%s healthy=%u "
               "endpoints=%u",
               cluster, c->set->healthy, c->set->count);
}

static int64_t age_ms(const struct cl_cluster *c)
{
    return nu_worker_main()->loop.now_ms - nu_health_begun_ms(c->health);
}

bool cl_health_ready(const struct cl_cluster *c, char *why, size_t why_len)
{
    size_t waits = c->health ? nu_health_waits(c->health) : 0;
    if (waits)
        snprintf(why, why_len, "cluster %s: first health check of %zu of %u endpoints since %lld s",
                 c->pub.name, waits, c->set->count, (long long)age_ms(c) / 1000);
    return waits == 0;
}
