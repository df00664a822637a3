/* The host names of clusters: when each is asked for, what it resolved to last, and what went
 * wrong. An answer that changes addresses has the cluster's set published at the end of the turn,
 * so that a thousand names that resolve at once do it once. Main thread. */
#include "core/assert.h"
#include "core/log.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "l4/cluster_priv.h"
#include "l4/resolve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TTL_MIN_MS   1000   /* a TTL of 0 means each connection; we mean each second */
#define TTL_MAX_MS   300000 /* a longer one would hide a moved server for too long */
#define LOCAL_MS     5000   /* how often /etc/hosts is looked at, which has no TTL */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000

struct cl_name {
    struct cl_cluster *cluster;
    const struct cl_where *where;
    struct nu_query *query; /* asked and not answered */
    struct nu_timer due;    /* asks again */
    int64_t retry_ms;       /* the next wait after a failure */
    int64_t since_ms;       /* when it was asked first */
    bool resolved;          /* has had an answer, itself or under an earlier config */
    bool failing;
    const char *error; /* of the last failure; static text */
    struct nu_addr *addrs;
    size_t count;
};

static void count_stat(const struct cl_name *n, enum nu_cluster_stat stat)
{
    nu_stat_add(n->cluster->pub.stats, nu_workers_count(), stat, 1);
}

static void answered(void *ctx, const struct nu_answer *answer);

static void ask(struct cl_name *n)
{
    count_stat(n, NU_CLUSTER_UPDATE_ATTEMPT);
    n->query = nu_resolve(n->cluster->resolver, n->where->host, n->where->port, answered, n);
}

static void ask_again(struct nu_timer *timer)
{
    ask(nu_container(timer, struct cl_name, due));
}

static void wait_for(struct cl_name *n, int64_t ms)
{
    struct nu_loop *loop = &nu_worker_main()->loop;
    nu_timer_arm(&loop->timers, &n->due, loop->now_ms + ms);
}

static void say_failure(struct cl_name *n, int64_t wait_ms)
{
    char host[NU_LOG_QUOTE_MAX], cluster[NU_LOG_QUOTE_MAX];
    if (n->failing)
        return;
    nu_log(
        NU_LOG_WARN, "cluster",
        "a host name cannot be resolved cluster=%s host=%s error=\"%s\" kept=%zu retry_ms=%" PRId64,
        nu_log_quote(cluster, sizeof cluster, n->cluster->pub.name),
        nu_log_quote(host, sizeof host, n->where->host), n->error, n->count, wait_ms);
}

static void say_recovery(const struct cl_name *n)
{
    char host[NU_LOG_QUOTE_MAX], cluster[NU_LOG_QUOTE_MAX];
    if (!n->failing)
        return;
    nu_log(NU_LOG_INFO, "cluster", "a host name resolves again cluster=%s host=%s addresses=%zu",
           nu_log_quote(cluster, sizeof cluster, n->cluster->pub.name),
           nu_log_quote(host, sizeof host, n->where->host), n->count);
}

static void failed(struct cl_name *n, const struct nu_answer *answer)
{
    count_stat(n, answer->empty ? NU_CLUSTER_UPDATE_EMPTY : NU_CLUSTER_UPDATE_FAILURE);
    n->error = answer->error;
    say_failure(n, n->retry_ms);
    n->failing = true;
    wait_for(n, n->retry_ms);
    n->retry_ms = n->retry_ms * 2 < RETRY_MAX_MS ? n->retry_ms * 2 : RETRY_MAX_MS;
}

/* Both are sorted. */
static bool same_addrs(const struct cl_name *n, const struct nu_answer *answer)
{
    if (n->count != answer->count)
        return false;
    for (size_t i = 0; i < n->count; i++)
        if (!nu_addr_equal(&n->addrs[i], &answer->addrs[i]))
            return false;
    return true;
}

static void take(struct cl_name *n, const struct nu_addr *addrs, size_t count)
{
    n->addrs = reallocarray(n->addrs, count, sizeof *addrs);
    nu_assert(n->addrs != NULL);
    memcpy(n->addrs, addrs, count * sizeof *addrs);
    n->count = count;
    n->resolved = true;
}

static int64_t lifetime_ms(const struct nu_answer *answer)
{
    int64_t ms = answer->local ? LOCAL_MS : (int64_t)answer->ttl_s * 1000;
    return ms < TTL_MIN_MS ? TTL_MIN_MS : ms > TTL_MAX_MS ? TTL_MAX_MS : ms;
}

static void answered(void *ctx, const struct nu_answer *answer)
{
    struct cl_name *n = ctx;
    n->query = NULL;
    if (answer->err != NU_OK) {
        failed(n, answer);
        return;
    }
    count_stat(n, NU_CLUSTER_UPDATE_SUCCESS);
    if (!same_addrs(n, answer)) {
        take(n, answer->addrs, answer->count);
        nu_loop_ready(&nu_worker_main()->loop, &n->cluster->publish);
    }
    say_recovery(n);
    n->failing = false;
    n->retry_ms = RETRY_MIN_MS;
    wait_for(n, lifetime_ms(answer));
}

static void publish(struct nu_task *task)
{
    cl_publish(nu_container(task, struct cl_cluster, publish));
}

static struct nu_strmap *names_by_text(const struct cl_cluster *c)
{
    struct nu_strmap *map = nu_strmap_new(NULL, NU_STRMAP_FOLD);
    for (size_t i = 0; i < c->name_count; i++)
        nu_strmap_put_str(map, c->names[i].where->text, &c->names[i]);
    return map;
}

/* The last good answer of the same name. */
static void inherit(struct cl_cluster *c, const struct cl_cluster *before)
{
    struct nu_strmap *known = names_by_text(before);
    for (size_t i = 0; i < c->name_count; i++) {
        const struct cl_name *old = nu_strmap_get_str(known, c->names[i].where->text);
        if (old && old->resolved)
            take(&c->names[i], old->addrs, old->count);
    }
    nu_strmap_free(known);
}

static void name_init(struct cl_name *n, struct cl_cluster *c, const struct cl_where *where)
{
    n->cluster = c;
    n->where = where;
    n->due.fn = ask_again;
    n->retry_ms = RETRY_MIN_MS;
    n->since_ms = nu_worker_main()->loop.now_ms;
}

void cl_names_start(struct cl_cluster *c, const struct cl_cluster *before)
{
    const struct cl_target *target = c->targets.items;
    size_t count = 0;
    for (size_t i = 0; i < c->targets.count; i++)
        count += target[i].where.host != NULL;
    if (count == 0)
        return;
    c->names = calloc(count, sizeof *c->names);
    nu_assert(c->names != NULL);
    c->publish.run = publish;
    for (size_t i = 0; i < c->targets.count; i++)
        if (target[i].where.host)
            name_init(&c->names[c->name_count++], c, &target[i].where);
    if (before && before->name_count)
        inherit(c, before);
    c->resolver = nu_resolver_ref(NU_RESOLVER_LOCAL, count);
    for (size_t i = 0; i < count; i++)
        ask(&c->names[i]);
}

void cl_names_stop(struct cl_cluster *c)
{
    size_t count = c->name_count;
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        struct cl_name *n = &c->names[i];
        nu_query_cancel(n->query);
        nu_timer_disarm(&nu_worker_main()->loop.timers, &n->due);
        free(n->addrs);
    }
    nu_task_cancel(&c->publish);
    free(c->names);
    c->names = NULL;
    c->name_count = 0;
    nu_resolver_unref(NU_RESOLVER_LOCAL, count);
}

const struct nu_addr *cl_name_addrs(const struct cl_cluster *c, size_t i, size_t *count)
{
    *count = c->names[i].count;
    return c->names[i].addrs;
}

bool nu_cluster_ready(const struct nu_cluster *cluster, char *why, size_t why_len)
{
    const struct cl_cluster *c = cl_of(cluster);
    for (size_t i = 0; i < c->name_count; i++) {
        const struct cl_name *n = &c->names[i];
        if (n->resolved)
            continue;
        int64_t since_s = (nu_worker_main()->loop.now_ms - n->since_ms) / 1000;
        snprintf(why, why_len, "cluster %s: resolving %s since %" PRId64 " s: %s", cluster->name,
                 n->where->host, since_s, n->error ? n->error : "no answer yet");
        return false;
    }
    /* A connection now would find no endpoint yet. Later sets replace others. */
    if (!c->reached && (c->handing > 0 || nu_list_linked(&c->publish.link))) {
        snprintf(why, why_len, "cluster %s: its endpoints are on their way to the workers",
                 cluster->name);
        return false;
    }
    return cl_health_ready(c, why, why_len);
}
