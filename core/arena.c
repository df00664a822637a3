/* Bump allocation in chunks; see arena.h. */
#include "core/arena.h"

#include "core/assert.h"
#include "core/block.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN          16
#define CHUNK_MAX      (64 * 1024) /* bytes; larger chunks would strand memory at the tail */
#define SPILL_BYTES    512         /* behind a full block: it may be little, and stay for long */
#define CHUNK_MIN      128         /* bytes; below it the chunk header dominates */
#define round_up(n, a) (((n) + (a)-1) & ~(size_t)((a)-1))

struct chunk {
    struct chunk *next;
    size_t used, cap;
    alignas(ALIGN) unsigned char data[];
};

struct cleanup {
    struct cleanup *next;
    void (*fn)(void *ctx);
    void *ctx;
};

struct nu_arena {
    struct chunk *head; /* the one being filled; older ones follow */
    struct cleanup *cleanups;
    size_t next_bytes, total_bytes;
    unsigned shares;        /* owners besides one */
    struct nu_block *block; /* that it lies in, with its first chunk; NULL = none */
};

static struct chunk *chunk_add(struct nu_arena *arena, size_t at_least)
{
    bool oversized = at_least > arena->next_bytes;
    size_t cap = oversized ? at_least : arena->next_bytes;
    struct chunk **at = &arena->head;
    struct chunk *c = malloc(sizeof *c + cap);
    nu_assert(c != NULL);
    if (oversized && *at)
        at = &(*at)->next; /* it is full at once: the head goes on being filled */
    *c = (struct chunk){.next = *at, .cap = cap};
    *at = c;
    arena->total_bytes += sizeof *c + cap;
    if (!oversized && arena->next_bytes < CHUNK_MAX)
        arena->next_bytes = arena->next_bytes > CHUNK_MAX / 2 ? CHUNK_MAX : arena->next_bytes * 2;
    return c;
}

struct nu_arena *nu_arena_new(size_t first_bytes)
{
    struct nu_arena *arena = malloc(sizeof *arena); /* calloc passes by the thread's cache */
    nu_assert(arena != NULL);
    *arena = (struct nu_arena){
        .next_bytes = round_up(first_bytes < CHUNK_MIN ? CHUNK_MIN : first_bytes, ALIGN),
        .total_bytes = sizeof *arena,
    };
    return arena;
}

struct nu_arena *nu_arena_share(struct nu_arena *arena)
{
    arena->shares++;
    return arena;
}

/* The chunk that lies in the arena's block, behind the arena; NULL: it lies in none. */
static struct chunk *own_chunk(struct nu_arena *arena)
{
    return arena->block ? (struct chunk *)((char *)arena + round_up(sizeof *arena, ALIGN)) : NULL;
}

struct nu_arena *nu_arena_new_in(struct nu_block *block)
{
    size_t skip = -(uintptr_t)nu_block_tail(block) & (ALIGN - 1);
    size_t taken = skip + round_up(sizeof(struct nu_arena), ALIGN) + sizeof(struct chunk);
    nu_assert(nu_block_room(block) >= taken + CHUNK_MIN);
    struct nu_arena *arena = (struct nu_arena *)(nu_block_tail(block) + skip);
    arena->block = block;
    struct chunk *first = own_chunk(arena);
    *arena = (struct nu_arena){
        .head = first, .next_bytes = SPILL_BYTES, .total_bytes = block->cap, .block = block};
    first->next = NULL;
    first->used = 0;
    first->cap = (nu_block_room(block) - taken) & ~(size_t)(ALIGN - 1);
    block->used = block->cap; /* nobody freezes any of it */
    return arena;
}

void nu_arena_free(struct nu_arena *arena)
{
    if (!arena)
        return;
    if (arena->shares) {
        arena->shares--;
        return;
    }
    struct nu_block *block = arena->block;
    const struct chunk *own = own_chunk(arena);
    for (struct cleanup *k = arena->cleanups; k; k = k->next)
        k->fn(k->ctx);
    for (struct chunk *c = arena->head, *next; c; c = next) {
        next = c->next;
        if (c != own)
            free(c);
    }
    if (block)
        nu_block_unref(block);
    else
        free(arena);
}

void *nu_arena_alloc(struct nu_arena *arena, size_t bytes)
{
    nu_assert(bytes <= SIZE_MAX - CHUNK_MAX);
    bytes = round_up(bytes ? bytes : 1, ALIGN);
    struct chunk *c = arena->head;
    if (!c || c->cap - c->used < bytes)
        c = chunk_add(arena, bytes);
    void *p = c->data + c->used;
    c->used += bytes;
    return memset(p, 0, bytes);
}

char *nu_arena_strndup(struct nu_arena *arena, const char *text, size_t len)
{
    char *copy = nu_arena_alloc(arena, len + 1);
    if (len)
        memcpy(copy, text, len);
    return copy;
}

char *nu_arena_strdup(struct nu_arena *arena, const char *text)
{
    return nu_arena_strndup(arena, text, strlen(text));
}

char *nu_arena_printf(struct nu_arena *arena, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    nu_assert(n >= 0);
    char *text = nu_arena_alloc(arena, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

void nu_arena_on_free(struct nu_arena *arena, void (*fn)(void *ctx), void *ctx)
{
    struct cleanup *k = nu_arena_alloc(arena, sizeof *k);
    *k = (struct cleanup){arena->cleanups, fn, ctx};
    arena->cleanups = k;
}

size_t nu_arena_bytes(const struct nu_arena *arena)
{
    return arena->total_bytes;
}
