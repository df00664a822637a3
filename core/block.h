/* Payload memory: reference-counted blocks that are written once, and slices of them.
 *
 * A loop owns a pool; blocks never leave their thread. A reader borrows a block, fills its free
 * tail, freezes what it wrote as slices and lets go; a block goes back to the pool with its last
 * slice. */
#ifndef NU_CORE_BLOCK_H
#define NU_CORE_BLOCK_H

#include "core/list.h"

#include <stddef.h>
#include <stdint.h>

#define NU_BLOCK_TINY   2048u /* what a small request is decrypted into: many wait for one flush */
#define NU_BLOCK_SMALL  (16u * 1024)  /* the first read of a wake-up, a TLS record */
#define NU_BLOCK_MEDIUM (68u * 1024)  /* after a read that came full: 64 KiB and what TLS adds */
#define NU_BLOCK_LARGE  (256u * 1024) /* bulk: 0.6 of the CPU per MiB that 16 KiB reads cost */

struct nu_block_pool;

struct nu_block {
    struct nu_block_pool *pool;
    struct nu_block *next_free; /* while it is kept for reuse */
    uint32_t refs;
    uint32_t cap;
    uint32_t used; /* [0, used) is frozen */
    int32_t class; /* of the pool's sizes; -1: made to measure */
    uint8_t data[];
};

/* Borrowed bytes with a share in their block; block NULL: static memory that outlives all. */
struct nu_slice {
    const uint8_t *data;
    size_t len;
    struct nu_block *block;
};

struct nu_block_pool *nu_block_pool_new(void);
/* Every block must be back. NULL is fine. */
void nu_block_pool_free(struct nu_block_pool *pool);
/* Bytes in blocks that are lent out, and kept for reuse. */
size_t nu_block_pool_lent(const struct nu_block_pool *pool);
size_t nu_block_pool_kept(const struct nu_block_pool *pool);

/* A block of at least `bytes` with one reference that is the caller's; never NULL. */
struct nu_block *nu_block_get(struct nu_block_pool *pool, size_t bytes);
void nu_block_unref(struct nu_block *block);

static inline uint8_t *nu_block_tail(struct nu_block *block)
{
    return block->data + block->used;
}

static inline size_t nu_block_room(const struct nu_block *block)
{
    return block->cap - block->used;
}

/* Freezes the next `len` bytes of the tail; the slice holds a reference of its own. */
struct nu_slice nu_block_freeze(struct nu_block *block, size_t len);

/* Another slice of the same bytes, with its own reference. */
struct nu_slice nu_slice_dup(struct nu_slice s);
void nu_slice_drop(struct nu_slice *s);
/* A copy of bytes in a block of its own. */
struct nu_slice nu_slice_copy(struct nu_block_pool *pool, const void *bytes, size_t len);
/* Splits off the first `n` bytes (n <= len) as a slice of its own; `s` keeps the rest. */
struct nu_slice nu_slice_split(struct nu_slice *s, size_t n);
/* E6: what is kept past the turn and is under 1/8 of its block is copied out, so that caps count
 * memory pinned. */
void nu_slice_keep(struct nu_block_pool *pool, struct nu_slice *s);

#endif
