/* The shared cache of names; see dns_cache.h.
 *
 * An entry is ASKING from the first who wants it until its answer is there; only main touches its
 * question. Tickets hang off the entry under the lock; when the answer comes they are posted to
 * their workers, and from then on belong to those alone. */
#include "l4/dns_cache.h"

#include "core/arena.h"
#include "core/assert.h"
#include "core/list.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "l4/resolve.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS 1000

enum entry_state { ENTRY_ASKING, ENTRY_ANSWERED };

struct entry {
    struct nu_list link; /* of cache->good or ->bad: the longest unused first; ASKING: none */
    struct nu_dns_cache *cache;
    enum entry_state state;
    struct nu_dns_answer *answer; /* NULL: the first is on its way */
    int64_t fresh_ms;             /* until then it is not asked for again */
    int64_t stale_ms;             /* until then it serves where name servers fail */
    int64_t used_ms;
    struct nu_list waiting;
    struct nu_query *query; /* main's */
    char host[];
};

struct nu_dns_ticket {
    struct nu_list link; /* of the entry; unlinked: it was posted */
    struct nu_dns_cache *cache;
    struct nu_loop *loop;
    nu_dns_fn *fn; /* NULL: cancelled */
    void *ctx;
    struct nu_dns_answer *answer;
};

struct nu_dns_cache {
    atomic_uint refs; /* its owner, and posts to main */
    size_t max_hosts, max_pending;
    int64_t host_ttl_ms;
    struct nu_stats *stats;
    pthread_mutex_t lock;
    bool closed;
    struct nu_strmap *hosts;
    struct nu_list good, bad;
    size_t count, waiting;
    struct nu_resolver *resolver; /* main's: while started */
    struct nu_timer sweep;
};

static const struct nu_stat_def defs[NU_DNS_STAT_COUNT] = {
    [NU_DNS_QUERY_ATTEMPT] = {"dns_query_attempt",       NU_COUNTER, NULL, "Questions asked."         },
    [NU_DNS_QUERY_SUCCESS] = {"dns_query_success",       NU_COUNTER, NULL,
                              "Questions answered with addresses."                                    },
    [NU_DNS_QUERY_FAILURE] = {"dns_query_failure",       NU_COUNTER, NULL,
                              "Questions that failed, or names without addresses."                    },
    [NU_DNS_HOST_ADDED] = {"host_added",              NU_COUNTER, NULL, "Names put into the cache."},
    [NU_DNS_HOST_REMOVED] = {"host_removed",            NU_COUNTER, NULL,
                              "Names that went, unused or to make room."                              },
    [NU_DNS_HOST_ADDRESS_CHANGED] = {"host_address_changed",    NU_COUNTER, NULL,
                              "Answers that differ from the one before."                              },
    [NU_DNS_HOST_OVERFLOW] = {"host_overflow",           NU_COUNTER, NULL,
                              "Clients refused for want of room for their name."                      },
    [NU_DNS_RQ_PENDING_OVERFLOW] = {"dns_rq_pending_overflow", NU_COUNTER, NULL,
                              "Clients refused because too many wait for names."                      },
    [NU_DNS_NUM_HOSTS] = {"num_hosts",               NU_GAUGE,   NULL, "Names in the cache."      },
};

const struct nu_stat_group nu_dns_cache_stats = NU_STAT_GROUP(
    "dns_cache.<name>", "The names of a dynamic_forward cluster, of all workers.", defs);

const char *nu_dns_asked_str(enum nu_dns_asked asked)
{
    static const char *const names[] = {"hit", "wait", "full"};
    nu_assert((unsigned)asked < sizeof names / sizeof *names);
    return names[asked];
}

static void count(struct nu_dns_cache *c, unsigned shard, enum nu_dns_stat stat, int64_t n)
{
    nu_stat_add(c->stats, shard, stat, n);
}

static unsigned main_shard(void)
{
    return nu_worker_main()->loop.shard;
}

/* --- answers --- */

static struct nu_dns_answer *answer_ref(struct nu_dns_answer *a)
{
    atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void nu_dns_answer_unref(struct nu_dns_answer *a)
{
    if (a && atomic_fetch_sub(&a->refs, 1) == 1)
        free(a);
}

static struct nu_dns_answer *answer_new(const struct nu_answer *from)
{
    size_t n = from->count < NU_DNS_ADDRS_MAX ? from->count : NU_DNS_ADDRS_MAX;
    struct nu_dns_answer *a = calloc(1, sizeof *a + n * sizeof *a->addrs);
    nu_assert(a != NULL);
    a->refs = 1;
    a->error = from->err == NU_OK ? NULL : from->error;
    a->count = n;
    if (n)
        memcpy(a->addrs, from->addrs, n * sizeof *a->addrs);
    return a;
}

static bool same_addrs(const struct nu_dns_answer *a, const struct nu_dns_answer *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!nu_addr_equal(&a->addrs[i], &b->addrs[i]))
            return false;
    return true;
}

/* --- entries; under the lock --- */

static void entry_free(struct entry *e)
{
    nu_assert(nu_list_empty(&e->waiting) && !e->query);
    nu_dns_answer_unref(e->answer);
    free(e);
}

static void entry_drop(struct entry *e, unsigned shard)
{
    struct nu_dns_cache *c = e->cache;
    nu_list_del(&e->link);
    nu_strmap_del(c->hosts, e->host, strlen(e->host));
    c->count--;
    count(c, shard, NU_DNS_HOST_REMOVED, 1);
    count(c, shard, NU_DNS_NUM_HOSTS, -1);
    entry_free(e);
}

static bool make_room(struct nu_dns_cache *c, unsigned shard)
{
    struct nu_list *from = !nu_list_empty(&c->bad) ? &c->bad : &c->good;
    if (c->count < c->max_hosts)
        return true;
    if (nu_list_empty(from))
        return false; /* all are being asked for */
    entry_drop(nu_container(from->next, struct entry, link), shard);
    return true;
}

static struct entry *entry_new(struct nu_dns_cache *c, const char *host, unsigned shard)
{
    size_t len = strlen(host) + 1;
    if (!make_room(c, shard))
        return NULL;
    struct entry *e = calloc(1, sizeof *e + len);
    nu_assert(e != NULL);
    e->cache = c;
    nu_list_init(&e->waiting);
    memcpy(e->host, host, len);
    nu_strmap_put_str(c->hosts, host, e);
    c->count++;
    count(c, shard, NU_DNS_HOST_ADDED, 1);
    count(c, shard, NU_DNS_NUM_HOSTS, 1);
    return e;
}

/* To the end of the list that it belongs to. */
static void used(struct entry *e, int64_t now_ms)
{
    bool good = e->answer && !e->answer->error;
    e->used_ms = now_ms;
    if (nu_list_linked(&e->link))
        nu_list_del(&e->link);
    nu_list_add_tail(good ? &e->cache->good : &e->cache->bad, &e->link);
}

/* --- main: questions and answers --- */

static void cache_unref(struct nu_dns_cache *c)
{
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    nu_stats_put(c->stats);
    nu_strmap_free(c->hosts);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static int64_t lifetime_ms(const struct nu_answer *answer)
{
    if (answer->err == NU_ERR_MISSING)
        return NU_DNS_NONE_MS;
    if (answer->err != NU_OK)
        return NU_DNS_FAILED_MS;
    int64_t ms = answer->local ? NU_DNS_NONE_MS : (int64_t)answer->ttl_s * 1000;
    return ms < NU_DNS_TTL_MIN_MS   ? NU_DNS_TTL_MIN_MS
           : ms > NU_DNS_TTL_MAX_MS ? NU_DNS_TTL_MAX_MS
                                    : ms;
}

/* What the entry says from now on: the new answer, or where servers fail the old one for a while.
 */
static void take(struct entry *e, const struct nu_answer *answer, int64_t now_ms)
{
    bool failed = answer->err != NU_OK && answer->err != NU_ERR_MISSING;
    bool old_serves = failed && e->answer && !e->answer->error && now_ms < e->stale_ms;
    e->fresh_ms = now_ms + lifetime_ms(answer);
    if (old_serves)
        return;
    struct nu_dns_answer *fresh = answer_new(answer);
    if (e->answer && !e->answer->error && !fresh->error && !same_addrs(e->answer, fresh))
        count(e->cache, main_shard(), NU_DNS_HOST_ADDRESS_CHANGED, 1);
    nu_dns_answer_unref(e->answer);
    e->answer = fresh;
    e->stale_ms = e->fresh_ms + NU_DNS_STALE_MS;
}

static void deliver(struct nu_worker *w, void *arg)
{
    struct nu_dns_ticket *t = arg;
    if (t->fn)
        t->fn(t->ctx, t->answer);
    else
        nu_dns_answer_unref(t->answer);
    free(t);
}

/* From here on the tickets are their workers'. */
static void send_all(struct entry *e)
{
    struct nu_list *node;
    while ((node = nu_list_pop(&e->waiting))) {
        struct nu_dns_ticket *t = nu_container(node, struct nu_dns_ticket, link);
        t->answer = answer_ref(e->answer);
        e->cache->waiting--;
        nu_worker_post(nu_worker_of(t->loop), deliver, t);
    }
}

static void answered(void *ctx, const struct nu_answer *answer)
{
    struct entry *e = ctx;
    struct nu_dns_cache *c = e->cache;
    bool good = answer->err == NU_OK;
    int64_t now_ms = nu_worker_main()->loop.now_ms;
    count(c, main_shard(), good ? NU_DNS_QUERY_SUCCESS : NU_DNS_QUERY_FAILURE, 1);
    pthread_mutex_lock(&c->lock);
    e->query = NULL;
    e->state = ENTRY_ANSWERED;
    take(e, answer, now_ms);
    used(e, now_ms);
    send_all(e);
    pthread_mutex_unlock(&c->lock);
}

/* A worker's wish, on main; it brings a reference to the cache. */
struct wish {
    struct nu_dns_cache *cache;
    struct entry *entry; /* ASKING, so it stays until it is answered */
};

static void grant(struct nu_worker *w, void *arg)
{
    struct wish wish = *(struct wish *)arg;
    struct nu_dns_cache *c = wish.cache;
    free(arg);
    if (!c->closed) { /* main's own flag */
        count(c, main_shard(), NU_DNS_QUERY_ATTEMPT, 1);
        wish.entry->query = nu_resolve(c->resolver, wish.entry->host, 0, answered, wish.entry);
    }
    cache_unref(c);
}

static void ask_main(struct entry *e)
{
    struct wish *wish = malloc(sizeof *wish);
    nu_assert(wish != NULL);
    *wish = (struct wish){e->cache, e};
    atomic_fetch_add_explicit(&e->cache->refs, 1, memory_order_relaxed);
    e->state = ENTRY_ASKING;
    if (nu_list_linked(&e->link))
        nu_list_del(&e->link);
    nu_worker_post(nu_worker_main(), grant, wish);
}

static void sweep_list(struct nu_list *list, int64_t before_ms)
{
    nu_list_each (it, list) {
        struct entry *e = nu_container(it, struct entry, link);
        if (e->used_ms > before_ms)
            break;
        entry_drop(e, main_shard());
    }
}

static void sweep(struct nu_timer *timer)
{
    struct nu_dns_cache *c = nu_container(timer, struct nu_dns_cache, sweep);
    struct nu_loop *loop = &nu_worker_main()->loop;
    pthread_mutex_lock(&c->lock);
    sweep_list(&c->good, loop->now_ms - c->host_ttl_ms);
    sweep_list(&c->bad, loop->now_ms - NU_DNS_NONE_MS);
    pthread_mutex_unlock(&c->lock);
    nu_timer_arm(&loop->timers, &c->sweep, loop->now_ms + SWEEP_MS);
}

/* --- life --- */

struct nu_dns_cache *nu_dns_cache_new(const struct nu_dns_cache_conf *conf)
{
    struct nu_arena *scratch = nu_arena_new(256);
    struct nu_dns_cache *c = calloc(1, sizeof *c);
    nu_assert(c != NULL && conf->max_hosts > 0);
    c->refs = 1;
    c->max_hosts = conf->max_hosts;
    c->max_pending = conf->max_pending;
    c->host_ttl_ms = conf->host_ttl_ms;
    c->stats =
        nu_stats_get(&nu_dns_cache_stats, nu_arena_printf(scratch, "dns_cache.%s", conf->name));
    nu_arena_free(scratch);
    c->hosts = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    c->sweep.fn = sweep;
    nu_list_init(&c->good);
    nu_list_init(&c->bad);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void nu_dns_cache_start(struct nu_dns_cache *c)
{
    struct nu_loop *loop = &nu_worker_main()->loop;
    c->resolver = nu_resolver_ref(NU_RESOLVER_ABSOLUTE, 1);
    nu_timer_arm(&loop->timers, &c->sweep, loop->now_ms + SWEEP_MS);
}

static void entry_end(struct entry *e)
{
    nu_assert(nu_list_empty(&e->waiting));
    nu_query_cancel(e->query);
    e->query = NULL;
    count(e->cache, main_shard(), NU_DNS_NUM_HOSTS, -1);
    entry_free(e);
}

void nu_dns_cache_free(struct nu_dns_cache *c)
{
    struct nu_strmap_iter it = {0};
    if (!c)
        return;
    c->closed = true;
    while (nu_strmap_next(c->hosts, &it))
        entry_end(it.value);
    if (c->resolver) {
        nu_timer_disarm(&nu_worker_main()->loop.timers, &c->sweep);
        nu_resolver_unref(NU_RESOLVER_ABSOLUTE, 1);
    }
    cache_unref(c);
}

/* --- workers --- */

static struct nu_dns_ticket *ticket_new(struct entry *e, struct nu_loop *loop, nu_dns_fn *fn,
                                        void *ctx)
{
    struct nu_dns_ticket *t = calloc(1, sizeof *t);
    nu_assert(t != NULL);
    t->cache = e->cache;
    t->loop = loop;
    t->fn = fn;
    t->ctx = ctx;
    nu_list_add_tail(&e->waiting, &t->link);
    e->cache->waiting++;
    return t;
}

/* Under the lock. */
static enum nu_dns_asked ask(struct nu_dns_cache *c, struct nu_loop *loop, const char *host,
                             struct entry **out)
{
    struct entry *e = *out = nu_strmap_get_str(c->hosts, host);
    if (e && e->state == ENTRY_ANSWERED && loop->now_ms < e->fresh_ms) {
        used(e, loop->now_ms);
        return NU_DNS_HIT;
    }
    if (c->waiting >= c->max_pending) {
        count(c, loop->shard, NU_DNS_RQ_PENDING_OVERFLOW, 1);
        return NU_DNS_FULL;
    }
    bool asking = e && e->state == ENTRY_ASKING;
    if (!e)
        e = *out = entry_new(c, host, loop->shard);
    if (!e) {
        count(c, loop->shard, NU_DNS_HOST_OVERFLOW, 1);
        return NU_DNS_FULL;
    }
    if (!asking)
        ask_main(e);
    return NU_DNS_WAIT;
}

enum nu_dns_asked nu_dns_ask(struct nu_dns_cache *c, struct nu_loop *loop, const char *host,
                             nu_dns_fn *fn, void *ctx, struct nu_dns_answer **answer,
                             struct nu_dns_ticket **ticket)
{
    struct entry *e;
    *answer = NULL;
    *ticket = NULL;
    pthread_mutex_lock(&c->lock);
    enum nu_dns_asked asked = ask(c, loop, host, &e);
    if (asked == NU_DNS_HIT)
        *answer = answer_ref(e->answer);
    else if (asked == NU_DNS_WAIT)
        *ticket = ticket_new(e, loop, fn, ctx);
    pthread_mutex_unlock(&c->lock);
    return asked;
}

void nu_dns_cancel(struct nu_dns_ticket *t)
{
    if (!t)
        return;
    struct nu_dns_cache *c = t->cache;
    pthread_mutex_lock(&c->lock);
    bool waits = nu_list_linked(&t->link);
    if (waits) {
        nu_list_del(&t->link);
        c->waiting--;
    }
    t->fn = NULL;
    pthread_mutex_unlock(&c->lock);
    if (waits)
        free(t);
}
