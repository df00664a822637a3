/* Clusters whose servers are chosen by clients: the table of endpoints that turn up, its figures,
 * and the cache of names. Which one a connection gets is pick.c's. Main thread. */
#include "core/worker.h"
#include "l4/cluster_priv.h"
#include "l4/dns_cache.h"
#include "l4/dynamic_forward.h"
#include "l4/found.h"
#include "l4/original_dst.h"

#define SWEEP_MS 1000
#define ENDPOINTS_A_HOST                                                                           \
    8 /* room in the table of endpoints for each name: most have fewer, and unused ones make room  \
       */

static void count_members(struct cl_cluster *c)
{
    unsigned shard = nu_workers_count();
    int64_t n = (int64_t)nu_found_count(c->pub.found);
    nu_stat_set(c->pub.stats, shard, NU_CLUSTER_MEMBERSHIP_TOTAL, n);
    nu_stat_set(c->pub.stats, shard, NU_CLUSTER_MEMBERSHIP_HEALTHY, n);
}

static void sweep(struct nu_timer *timer)
{
    struct cl_cluster *c = nu_container(timer, struct cl_cluster, sweep);
    struct nu_loop *loop = &nu_worker_main()->loop;
    nu_found_sweep(c->pub.found, loop->shard, loop->now_ms);
    count_members(c);
    nu_timer_arm(&loop->timers, timer, loop->now_ms + SWEEP_MS);
}

static void make_cache(const struct cl_cluster *c, struct nu_dynamic_forward *d)
{
    d->cache = nu_dns_cache_new(&(struct nu_dns_cache_conf){
        c->pub.name, (size_t)d->max_hosts, (size_t)d->max_pending, d->host_ttl_ms});
}

void cl_chosen_make(struct cl_cluster *c)
{
    const struct nu_original_dst *original = c->pub.original_dst;
    struct nu_dynamic_forward *dynamic = c->pub.dynamic_forward;
    struct nu_found_conf conf = {.cluster = c->pub.name, .stats = c->pub.stats};
    if (original) {
        conf.most = (size_t)original->max_endpoints;
        conf.keep_ms = original->keep_ms;
    } else if (dynamic) {
        conf.most = (size_t)dynamic->max_hosts * ENDPOINTS_A_HOST;
        conf.keep_ms = dynamic->host_ttl_ms;
        make_cache(c, dynamic);
    } else {
        return;
    }
    c->pub.found = nu_found_new(&conf);
    c->sweep.fn = sweep;
}

void cl_chosen_start(struct cl_cluster *c)
{
    if (!c->pub.found)
        return;
    sweep(&c->sweep);
    if (c->pub.dynamic_forward)
        nu_dns_cache_start(c->pub.dynamic_forward->cache);
}

void cl_chosen_stop(struct cl_cluster *c)
{
    nu_timer_disarm(&nu_worker_main()->loop.timers, &c->sweep);
}

void cl_chosen_free(struct cl_cluster *c)
{
    cl_chosen_stop(c);
    if (c->pub.dynamic_forward)
        nu_dns_cache_free(c->pub.dynamic_forward->cache);
    nu_found_free(c->pub.found);
}
