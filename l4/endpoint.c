/* The registry of endpoints: one hash table for all clusters, behind a lock that is taken when an
 * endpoint is looked up or its last reference goes, never on the way of a connection. */
#include "l4/endpoint.h"

#include "core/assert.h"
#include "core/list.h"
#include "core/table/strmap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct nu_endpoint pub; /* first: it is aligned */
    size_t key_len;
    char bytes[]; /* the key, then host and name; a UNIX address points into the key */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nu_strmap *registry; /* key -> struct entry; NULL while there is none */

/* Cluster name, NUL, and what nu_addr_equal compares. A path comes last, with its NUL. */
struct key {
    size_t cluster_len, addr_len;
    const void *addr;
    uint8_t head[8];
};

static struct key key_of(const char *cluster, const struct nu_addr *addr)
{
    struct key k = {strlen(cluster) + 1, 0, addr->ip, {addr->kind}};
    memcpy(k.head + 2, &addr->port, sizeof addr->port);
    memcpy(k.head + 4, &addr->scope, sizeof addr->scope);
    if (addr->kind == NU_ADDR_UNIX)
        k.addr = addr->path;
    k.addr_len = addr->kind == NU_ADDR_UNIX  ? strlen(addr->path) + 1
                 : addr->kind == NU_ADDR_IP4 ? 4
                                             : sizeof addr->ip;
    return k;
}

/* The host without its port in buf, which has room for it all; NULL: it is an address. */
static const char *name_of(const char *host, char *buf)
{
    struct nu_addr addr;
    const char *colon = strrchr(host, ':');
    size_t len = colon ? (size_t)(colon - host) : strlen(host);
    if (len == 0 || nu_addr_parse(&addr, host, 0) == NU_OK)
        return NULL;
    memcpy(buf, host, len);
    buf[len] = 0;
    return buf;
}

static struct entry *entry_new(const char *cluster, const struct key *k, const struct nu_addr *addr,
                               const char *host)
{
    size_t key_len = k->cluster_len + sizeof k->head + k->addr_len, host_len = strlen(host) + 1;
    size_t bytes = sizeof(struct entry) + key_len + 2 * host_len, line = alignof(struct entry);
    struct entry *e = aligned_alloc(line, (bytes + line - 1) / line * line);
    nu_assert(e != NULL);
    memset(e, 0, sizeof *e);
    char *at = e->bytes;
    memcpy(at, cluster, k->cluster_len);
    memcpy(at += k->cluster_len, k->head, sizeof k->head);
    memcpy(at += sizeof k->head, k->addr, k->addr_len);
    e->pub.addr = *addr;
    if (addr->kind == NU_ADDR_UNIX)
        e->pub.addr.path = at;
    e->pub.host = memcpy(at += k->addr_len, host, host_len);
    e->pub.name = name_of(e->pub.host, at + host_len);
    e->pub.refs = 1;
    e->key_len = key_len;
    return e;
}

/* One more reference, unless the last one is just going on another thread. */
static bool take_live(struct nu_endpoint *endpoint)
{
    unsigned refs = endpoint->refs;
    while (refs > 0)
        if (atomic_compare_exchange_weak(&endpoint->refs, &refs, refs + 1))
            return true;
    return false;
}

struct nu_endpoint *nu_endpoint_get(const char *cluster, const struct nu_addr *addr,
                                    const char *host)
{
    struct key k = key_of(cluster, addr);
    struct entry *made = entry_new(cluster, &k, addr, host);
    pthread_mutex_lock(&lock);
    if (!registry)
        registry = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    struct entry *found = nu_strmap_get(registry, made->bytes, made->key_len);
    bool live = found && strcmp(found->pub.host, host) == 0 && take_live(&found->pub);
    if (!live)
        nu_strmap_put(registry, made->bytes, made->key_len, made);
    pthread_mutex_unlock(&lock);
    if (!live)
        return &made->pub;
    free(made);
    return &found->pub;
}

struct nu_endpoint *nu_endpoint_ref(struct nu_endpoint *endpoint)
{
    atomic_fetch_add_explicit(&endpoint->refs, 1, memory_order_relaxed);
    return endpoint;
}

/* Under its key a newer one may stand already, or may have stood. */
static void forget(struct entry *e)
{
    pthread_mutex_lock(&lock);
    if (registry && nu_strmap_get(registry, e->bytes, e->key_len) == e)
        nu_strmap_del(registry, e->bytes, e->key_len);
    if (registry && nu_strmap_count(registry) == 0) {
        nu_strmap_free(registry);
        registry = NULL;
    }
    pthread_mutex_unlock(&lock);
    free(e);
}

void nu_endpoint_unref(struct nu_endpoint *endpoint)
{
    if (!endpoint)
        return;
    unsigned before = atomic_fetch_sub(&endpoint->refs, 1);
    nu_assert(before > 0);
    if (before == 1)
        forget(nu_container(endpoint, struct entry, pub));
}
