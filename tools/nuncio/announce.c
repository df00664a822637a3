/* `listening NAME ADDRESS` on stderr: how users of port 0, and tests, learn where. Main thread. */
#include "tools/nuncio/server.h"

#include "core/assert.h"
#include "l4/listener.h"

#include <stdlib.h>
#include <string.h>

struct lines {
    struct nu_arena *arena;
    char **line;
    size_t count, cap;
};

static void add(const char *name, const struct nu_addr *bound, bool udp, void *ctx)
{
    struct lines *l = ctx;
    char text[NU_ADDR_TEXT_MAX];
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->line = realloc(l->line, l->cap * sizeof *l->line);
        nu_assert(l->line != NULL);
    }
    l->line[l->count++] =
        nu_arena_printf(l->arena, "%s %s%s", name, udp ? "udp://" : "", nu_addr_str(bound, text));
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void nu_announce(struct nu_listeners *next, struct nu_listeners *old)
{
    struct lines now = {.arena = nu_arena_new(4096)}, before = {.arena = now.arena};
    nu_listeners_each(next, add, &now);
    if (old)
        nu_listeners_each(old, add, &before);
    if (before.count)
        qsort(before.line, before.count, sizeof *before.line, compare);
    for (size_t i = 0; i < now.count; i++)
        if (!before.count ||
            !bsearch(&now.line[i], before.line, before.count, sizeof *before.line, compare))
            fprintf(stderr, "listening %s\n", now.line[i]);
    free(now.line);
    free(before.line);
    nu_arena_free(now.arena);
}
