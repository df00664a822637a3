/* Open addressing with linear steps, at most three quarters full; see strmap.h. A removed entry
 * leaves a mark, so that a walk may remove what it stands on; growing drops the marks. */
#include "core/table/strmap.h"

#include "core/arena.h"
#include "core/assert.h"
#include "core/table/hash.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 16

struct slot {
    char *key;   /* NULL: never used; `removed`: a mark */
    void *value; /* NULL unless the slot is live */
    size_t len;
    uint64_t hash;
};

struct nu_strmap {
    struct slot *slots;
    size_t cap;   /* a power of two, or 0 */
    size_t used;  /* live ones and marks */
    size_t count; /* live ones */
    struct nu_arena *arena;
    bool fold;
};

static char removed[1];

static void free_slots(void *ctx)
{
    free(((struct nu_strmap *)ctx)->slots);
}

struct nu_strmap *nu_strmap_new(struct nu_arena *arena, enum nu_strmap_case fold)
{
    struct nu_strmap *map = arena ? nu_arena_alloc(arena, sizeof *map) : calloc(1, sizeof *map);
    nu_assert(map != NULL);
    map->arena = arena;
    map->fold = fold == NU_STRMAP_FOLD;
    if (arena)
        nu_arena_on_free(arena, free_slots, map);
    return map;
}

void nu_strmap_free(struct nu_strmap *map)
{
    if (!map)
        return;
    nu_assert(!map->arena);
    for (size_t i = 0; i < map->cap; i++)
        if (map->slots[i].value)
            free(map->slots[i].key);
    free(map->slots);
    free(map);
}

static bool same_key(const struct nu_strmap *map, const struct slot *s, const char *key, size_t len)
{
    if (s->len != len)
        return false;
    if (!map->fold)
        return len == 0 || memcmp(s->key, key, len) == 0;
    for (size_t i = 0; i < len; i++)
        if (nu_fold((uint8_t)s->key[i]) != nu_fold((uint8_t)key[i]))
            return false;
    return true;
}

/* The live slot of a key, or NULL. */
static struct slot *find(const struct nu_strmap *map, const char *key, size_t len, uint64_t hash)
{
    if (map->cap == 0)
        return NULL;
    for (size_t i = hash & (map->cap - 1); map->slots[i].key; i = (i + 1) & (map->cap - 1)) {
        struct slot *s = &map->slots[i];
        if (s->value && s->hash == hash && same_key(map, s, key, len))
            return s;
    }
    return NULL;
}

static struct slot *free_slot(const struct nu_strmap *map, uint64_t hash)
{
    size_t i = hash & (map->cap - 1);
    while (map->slots[i].key)
        i = (i + 1) & (map->cap - 1);
    return &map->slots[i];
}

/* Room for one more; sized by what lives, so many removals shrink it as well. */
static void make_room(struct nu_strmap *map)
{
    if (map->used + 1 <= map->cap / 4 * 3)
        return;
    struct slot *old = map->slots;
    size_t old_cap = map->cap;
    map->cap = FIRST_SLOTS;
    while (map->count + 1 > map->cap / 2)
        map->cap *= 2;
    map->slots = calloc(map->cap, sizeof *map->slots);
    nu_assert(map->slots != NULL);
    map->used = map->count;
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].value)
            *free_slot(map, old[i].hash) = old[i];
    free(old);
}

static char *copy_key(struct nu_strmap *map, const char *key, size_t len)
{
    if (map->arena)
        return nu_arena_strndup(map->arena, key, len);
    char *copy = malloc(len + 1);
    nu_assert(copy != NULL);
    if (len > 0)
        memcpy(copy, key, len);
    copy[len] = 0;
    return copy;
}

void *nu_strmap_put(struct nu_strmap *map, const char *key, size_t len, void *value)
{
    nu_assert(value != NULL);
    uint64_t hash = nu_hash_bytes(key, len, map->fold);
    struct slot *s = find(map, key, len, hash);
    if (s) {
        void *old = s->value;
        s->value = value;
        return old;
    }
    make_room(map);
    *free_slot(map, hash) =
        (struct slot){.key = copy_key(map, key, len), .value = value, .len = len, .hash = hash};
    map->used++;
    map->count++;
    return NULL;
}

void *nu_strmap_get(const struct nu_strmap *map, const char *key, size_t len)
{
    struct slot *s = find(map, key, len, nu_hash_bytes(key, len, map->fold));
    return s ? s->value : NULL;
}

void *nu_strmap_del(struct nu_strmap *map, const char *key, size_t len)
{
    struct slot *s = find(map, key, len, nu_hash_bytes(key, len, map->fold));
    if (!s)
        return NULL;
    void *value = s->value;
    if (!map->arena)
        free(s->key);
    *s = (struct slot){.key = removed};
    map->count--;
    return value;
}

void *nu_strmap_put_str(struct nu_strmap *map, const char *key, void *value)
{
    return nu_strmap_put(map, key, strlen(key), value);
}

void *nu_strmap_get_str(const struct nu_strmap *map, const char *key)
{
    return nu_strmap_get(map, key, strlen(key));
}

size_t nu_strmap_count(const struct nu_strmap *map)
{
    return map->count;
}

bool nu_strmap_next(const struct nu_strmap *map, struct nu_strmap_iter *it)
{
    while (it->at < map->cap) {
        const struct slot *s = &map->slots[it->at++];
        if (!s->value)
            continue;
        it->key = s->key;
        it->len = s->len;
        it->value = s->value;
        return true;
    }
    return false;
}

const char *nu_strmap_case_str(enum nu_strmap_case fold)
{
    return fold == NU_STRMAP_FOLD ? "fold" : "exact";
}
