/* A bump allocator with one free: config of a generation, fields of a message, strings of a
 * connection. Not thread-safe; an arena may be handed to another thread whole. */
#ifndef NU_CORE_ARENA_H
#define NU_CORE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct nu_arena;
struct nu_block;

/* A new arena; the caller frees it. Later chunks double from first_bytes up to 64 KiB. Never NULL.
 */
struct nu_arena *nu_arena_new(size_t first_bytes);
/* The same in a block, which it fills and whose reference is the arena's from now on: cheap for
 * what comes and goes with each message. For the block's thread. */
struct nu_arena *nu_arena_new_in(struct nu_block *block);
/* Frees the arena and all that came from it, if nobody shares it. NULL is fine. */
void nu_arena_free(struct nu_arena *arena);
/* One more owner, on the same thread: each frees it, and the last free counts. Returns it. */
struct nu_arena *nu_arena_share(struct nu_arena *arena);

/* Zeroed memory, aligned to 16, until the arena is freed. Never NULL: aborts when memory is out. */
void *nu_arena_alloc(struct nu_arena *arena, size_t bytes);
/* A NUL-terminated copy. */
char *nu_arena_strdup(struct nu_arena *arena, const char *text);
char *nu_arena_strndup(struct nu_arena *arena, const char *text, size_t len);
char *nu_arena_printf(struct nu_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Has `fn(ctx)` called when the arena is freed, last registered first. */
void nu_arena_on_free(struct nu_arena *arena, void (*fn)(void *ctx), void *ctx);

/* Bytes taken from the system, for /memory and tests. */
size_t nu_arena_bytes(const struct nu_arena *arena);

#endif
