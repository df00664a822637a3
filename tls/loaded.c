/* Objects loaded from files, by those files; see loaded.h. */
#include "tls/loaded.h"

#include "core/assert.h"
#include "core/table/strmap.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 768 /* bytes: the object itself, paths, a few names */

/* For references, which workers drop, and for the map, which the last one leaves. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nu_strmap *by_id; /* the newest of each; NULL while there is none */

/* No path has a newline in it that a config could write without meaning it. */
static const char *make_id(enum tls_loaded_kind kind, const char *const *files, unsigned count,
                           struct nu_arena *arena)
{
    const char *id = kind == TLS_LOADED_CERT ? "cert" : "trust";
    for (unsigned i = 0; i < count; i++)
        id = nu_arena_printf(arena, "%s\n%s", id, files[i] ? files[i] : "");
    return id;
}

void tls_loaded_add_path(struct tls_loaded *l, const char *path)
{
    unsigned n = l->path_count;
    if ((n & (n - 1)) == 0) { /* grows when it is full: at powers of two */
        const char **paths = nu_arena_alloc(l->arena, (n ? 2 * n : 1) * sizeof *paths);
        struct tls_stamp *stamps = nu_arena_alloc(l->arena, (n ? 2 * n : 1) * sizeof *stamps);
        for (unsigned i = 0; i < n; i++) {
            paths[i] = l->path[i];
            stamps[i] = l->stamp[i];
        }
        l->path = paths;
        l->stamp = stamps;
    }
    l->path[n] = nu_arena_strdup(l->arena, path);
    l->stamp[n] = tls_stamp_of(path);
    l->path_count++;
}

struct tls_loaded *tls_loaded_new(size_t size, enum tls_loaded_kind kind, const char *const *files,
                                  unsigned count, void (*unload)(struct tls_loaded *))
{
    struct nu_arena *arena = nu_arena_new(ARENA_FIRST);
    struct tls_loaded *l = nu_arena_alloc(arena, size);
    l->arena = arena;
    l->kind = kind;
    l->refs = 1;
    l->unload = unload;
    l->id = make_id(kind, files, count, arena);
    for (unsigned i = 0; i < count; i++)
        if (files[i])
            tls_loaded_add_path(l, files[i]);
    return l;
}

void tls_loaded_warn(struct tls_loaded *l, const char *key, const char *fmt, ...)
{
    va_list ap;
    if (l->warning_count == TLS_WARNINGS_MAX)
        return;
    if (!l->warning) /* large, and most have none */
        l->warning = nu_arena_alloc(l->arena, TLS_WARNINGS_MAX * sizeof *l->warning);
    struct tls_problem *warning = &l->warning[l->warning_count++];
    va_start(ap, fmt);
    vsnprintf(warning->text, sizeof warning->text, fmt, ap);
    va_end(ap);
    warning->key = key;
}

bool tls_loaded_check(struct tls_loaded *l)
{
    for (unsigned i = 0; i < l->path_count && !l->stale; i++) {
        struct tls_stamp now = tls_stamp_of(l->path[i]);
        l->stale = !tls_stamp_same(&now, &l->stamp[i]);
    }
    return !l->stale;
}

struct tls_loaded *tls_loaded_find(enum tls_loaded_kind kind, const char *const *files,
                                   unsigned count)
{
    struct nu_arena *scratch = nu_arena_new(1024);
    const char *id = make_id(kind, files, count, scratch);
    pthread_mutex_lock(&lock);
    struct tls_loaded *found = by_id ? nu_strmap_get_str(by_id, id) : NULL;
    if (found)
        found->refs++;
    pthread_mutex_unlock(&lock);
    nu_arena_free(scratch);
    if (!found || tls_loaded_check(found))
        return found;
    tls_loaded_put(found);
    return NULL;
}

void tls_loaded_publish(struct tls_loaded *l)
{
    pthread_mutex_lock(&lock);
    if (!by_id)
        by_id = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    nu_strmap_put_str(by_id, l->id, l);
    pthread_mutex_unlock(&lock);
}

struct tls_loaded *tls_loaded_ref(struct tls_loaded *l)
{
    pthread_mutex_lock(&lock);
    l->refs++;
    pthread_mutex_unlock(&lock);
    return l;
}

/* Under the lock: nobody finds it any more. */
static void forget(struct tls_loaded *l)
{
    if (!by_id || nu_strmap_get_str(by_id, l->id) != l)
        return;
    nu_strmap_del(by_id, l->id, strlen(l->id));
    if (nu_strmap_count(by_id) > 0)
        return;
    nu_strmap_free(by_id);
    by_id = NULL;
}

void tls_loaded_put(struct tls_loaded *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&lock);
    bool last = --l->refs == 0;
    if (last)
        forget(l);
    pthread_mutex_unlock(&lock);
    if (!last)
        return;
    l->unload(l);
    nu_arena_free(l->arena);
}

/* References to all of them, so that nobody waits for what fn does; the caller frees the array. */
static struct tls_loaded **take_all(size_t *count)
{
    struct nu_strmap_iter it = {0};
    *count = 0;
    pthread_mutex_lock(&lock);
    size_t most = by_id ? nu_strmap_count(by_id) : 0;
    struct tls_loaded **all = malloc((most + 1) * sizeof(void *));
    nu_assert(all != NULL);
    while (by_id && nu_strmap_next(by_id, &it)) {
        all[*count] = it.value;
        all[(*count)++]->refs++;
    }
    pthread_mutex_unlock(&lock);
    return all;
}

void tls_loaded_each(void (*fn)(struct tls_loaded *loaded, void *ctx), void *ctx)
{
    size_t count;
    struct tls_loaded **all = take_all(&count);
    for (size_t i = 0; i < count; i++) {
        fn(all[i], ctx);
        tls_loaded_put(all[i]);
    }
    free(all);
}

static void note_change(struct tls_loaded *l, void *ctx)
{
    for (unsigned i = 0; i < l->path_count; i++)
        if (strcmp(l->path[i], ctx) == 0)
            l->stale = true;
}

void tls_loaded_changed(const char *path)
{
    tls_loaded_each(note_change, (void *)path);
}
