/* String -> pointer, as a hash table seeded per process: names in a config, endpoints by address,
 * filter types. Built on one thread; once nobody changes it any more any thread may read it.
 * Not for keys that peers make up without a cap: the caller caps the count. */
#ifndef NU_CORE_TABLE_STRMAP_H
#define NU_CORE_TABLE_STRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nu_arena;
struct nu_strmap;

enum nu_strmap_case { NU_STRMAP_EXACT, NU_STRMAP_FOLD /* A-Z are a-z */ };
const char *nu_strmap_case_str(enum nu_strmap_case fold);

/* An empty map. With an arena it lives and dies with that and must not be freed; without one the
 * caller frees it. Never NULL. */
struct nu_strmap *nu_strmap_new(struct nu_arena *arena, enum nu_strmap_case fold);
/* Frees the map and its keys, not the values. NULL is fine; not for maps of an arena. */
void nu_strmap_free(struct nu_strmap *map);

/* Adds or replaces. The key is copied, the value (never NULL) borrowed. Returns the value that it
 * replaced, or NULL. */
void *nu_strmap_put(struct nu_strmap *map, const char *key, size_t len, void *value);
/* The value, or NULL. Any bytes are a legal key, also none at all. */
void *nu_strmap_get(const struct nu_strmap *map, const char *key, size_t len);
/* Removes; returns the value that was there, or NULL. A key's copy in an arena stays until that
 * goes, so a map that lives by its changes wants no arena. */
void *nu_strmap_del(struct nu_strmap *map, const char *key, size_t len);
/* The same two for NUL-terminated keys. */
void *nu_strmap_put_str(struct nu_strmap *map, const char *key, void *value);
void *nu_strmap_get_str(const struct nu_strmap *map, const char *key);

size_t nu_strmap_count(const struct nu_strmap *map);

/* Walks all entries in no particular order; start with a zeroed one. The entry just returned may
 * be removed meanwhile; nothing may be put. key is NUL-terminated and valid until its removal. */
struct nu_strmap_iter {
    size_t at;
    const char *key;
    size_t len;
    void *value;
};
bool nu_strmap_next(const struct nu_strmap *map, struct nu_strmap_iter *it);

#endif
