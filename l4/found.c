/* The table of endpoints that clients chose; see found.h. */
#include "l4/found.h"

#include "core/assert.h"
#include "core/list.h"
#include "core/table/strmap.h"
#include "l4/cluster.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct item {
    struct nu_list link; /* of `used`: the longest unused first */
    struct nu_endpoint *endpoint;
    int64_t used_ms; /* taken last */
};

struct nu_found {
    struct nu_found_conf conf;
    pthread_mutex_t lock;
    struct nu_strmap *by_addr;
    struct nu_list used;
    size_t count;
};

/* What tells addresses apart, without holes. */
struct key {
    uint8_t bytes[24];
};

static struct key key_of(const struct nu_addr *addr)
{
    struct key k = {{addr->kind}};
    memcpy(k.bytes + 2, &addr->port, sizeof addr->port);
    memcpy(k.bytes + 4, &addr->scope, sizeof addr->scope);
    memcpy(k.bytes + 8, addr->ip, addr->kind == NU_ADDR_IP4 ? 4 : 16);
    return k;
}

struct nu_found *nu_found_new(const struct nu_found_conf *conf)
{
    struct nu_found *found = calloc(1, sizeof *found);
    nu_assert(found != NULL && conf->most > 0);
    found->conf = *conf;
    found->by_addr = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    nu_list_init(&found->used);
    pthread_mutex_init(&found->lock, NULL);
    return found;
}

static void count(struct nu_found *found, unsigned shard, int64_t n)
{
    found->count += (size_t)n;
    nu_stat_add(found->conf.stats, shard, NU_CLUSTER_MEMBERSHIP_CHANGE, 1);
}

static void drop(struct nu_found *found, struct item *item, unsigned shard)
{
    struct key k = key_of(&item->endpoint->addr);
    nu_strmap_del(found->by_addr, (const char *)k.bytes, sizeof k.bytes);
    nu_list_del(&item->link);
    nu_endpoint_unref(item->endpoint);
    free(item);
    count(found, shard, -1);
}

void nu_found_free(struct nu_found *found)
{
    struct nu_strmap_iter it = {0};
    if (!found)
        return;
    while (nu_strmap_next(found->by_addr, &it)) {
        struct item *item = it.value;
        nu_endpoint_unref(item->endpoint);
        free(item);
    }
    nu_strmap_free(found->by_addr);
    pthread_mutex_destroy(&found->lock);
    free(found);
}

/* Only the table holds it: who takes one does so under the lock. */
static bool is_unused(const struct item *item)
{
    return atomic_load(&item->endpoint->refs) == 1;
}

static bool make_room(struct nu_found *found, unsigned shard)
{
    if (found->count < found->conf.most)
        return true;
    nu_list_each (it, &found->used) {
        struct item *item = nu_container(it, struct item, link);
        if (is_unused(item)) {
            drop(found, item, shard);
            return true;
        }
    }
    return false;
}

static struct item *add(struct nu_found *found, const struct key *k, const struct nu_addr *addr,
                        const char *host, unsigned shard)
{
    if (!make_room(found, shard))
        return NULL;
    struct item *item = calloc(1, sizeof *item);
    nu_assert(item != NULL);
    item->endpoint = nu_endpoint_get(found->conf.cluster, addr, host);
    nu_strmap_put(found->by_addr, (const char *)k->bytes, sizeof k->bytes, item);
    count(found, shard, 1);
    return item;
}

struct nu_endpoint *nu_found_take(struct nu_found *found, const struct nu_addr *addr,
                                  const char *host, unsigned shard, int64_t now_ms)
{
    struct key k = key_of(addr);
    struct nu_endpoint *endpoint = NULL;
    pthread_mutex_lock(&found->lock);
    struct item *item = nu_strmap_get(found->by_addr, (const char *)k.bytes, sizeof k.bytes);
    if (item)
        nu_list_del(&item->link);
    else
        item = add(found, &k, addr, host, shard);
    if (item) {
        item->used_ms = now_ms;
        nu_list_add_tail(&found->used, &item->link);
        endpoint = nu_endpoint_ref(item->endpoint);
    }
    pthread_mutex_unlock(&found->lock);
    return endpoint;
}

void nu_found_sweep(struct nu_found *found, unsigned shard, int64_t now_ms)
{
    pthread_mutex_lock(&found->lock);
    nu_list_each (it, &found->used) {
        struct item *item = nu_container(it, struct item, link);
        if (now_ms - item->used_ms < found->conf.keep_ms)
            break;
        if (is_unused(item))
            drop(found, item, shard);
    }
    pthread_mutex_unlock(&found->lock);
}

size_t nu_found_count(struct nu_found *found)
{
    pthread_mutex_lock(&found->lock);
    size_t n = found->count;
    pthread_mutex_unlock(&found->lock);
    return n;
}

void nu_found_each(struct nu_found *found, void (*fn)(struct nu_endpoint *e, void *ctx), void *ctx)
{
    pthread_mutex_lock(&found->lock);
    nu_list_each (it, &found->used)
        fn(nu_container(it, struct item, link)->endpoint, ctx);
    pthread_mutex_unlock(&found->lock);
}
