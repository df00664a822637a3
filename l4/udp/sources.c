/* Sessions by source; see sources.h. */
#include "l4/udp/sources.h"

#include "core/assert.h"
#include "core/table/strmap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 9 /* bytes: the family, and an IPv4 address or the upper half of an IPv6 one */

struct nu_udp_sources {
    pthread_mutex_t lock;
    struct nu_strmap *map; /* key -> source */
};

struct nu_udp_source {
    struct nu_udp_sources *all;
    int64_t count;
    size_t key_len;
    char key[KEY_MAX];
};

static size_t key_of(const struct nu_addr *client, char key[static KEY_MAX])
{
    size_t len = client->kind == NU_ADDR_IP4 ? 4 : 8;
    key[0] = (char)client->kind;
    memcpy(key + 1, client->ip, len);
    return 1 + len;
}

struct nu_udp_sources *nu_udp_sources_new(void)
{
    struct nu_udp_sources *s = calloc(1, sizeof *s);
    nu_assert(s != NULL);
    pthread_mutex_init(&s->lock, NULL);
    s->map = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    return s;
}

void nu_udp_sources_free(struct nu_udp_sources *s)
{
    if (!s)
        return;
    nu_assert(nu_strmap_count(s->map) == 0);
    nu_strmap_free(s->map);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Under the lock. */
static struct nu_udp_source *find(struct nu_udp_sources *all, const struct nu_addr *client)
{
    char key[KEY_MAX];
    size_t len = key_of(client, key);
    struct nu_udp_source *source = nu_strmap_get(all->map, key, len);
    if (source)
        return source;
    source = calloc(1, sizeof *source);
    nu_assert(source != NULL);
    source->all = all;
    source->key_len = len;
    memcpy(source->key, key, len);
    nu_strmap_put(all->map, key, len, source);
    return source;
}

struct nu_udp_source *nu_udp_source_take(struct nu_udp_sources *all, const struct nu_addr *client,
                                         int64_t max)
{
    nu_assert(max > 0);
    pthread_mutex_lock(&all->lock);
    struct nu_udp_source *source = find(all, client);
    bool room = source->count < max; /* always so if it is new */
    source->count += room;
    pthread_mutex_unlock(&all->lock);
    return room ? source : NULL;
}

void nu_udp_source_give(struct nu_udp_source *source)
{
    if (!source)
        return;
    struct nu_udp_sources *all = source->all;
    pthread_mutex_lock(&all->lock);
    bool last = --source->count == 0;
    if (last)
        nu_strmap_del(all->map, source->key, source->key_len);
    pthread_mutex_unlock(&all->lock);
    if (last)
        free(source);
}
