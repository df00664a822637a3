/* Block pool and slices; see block.h. */
#include "core/block.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define CLASSES 4

/* Kept for reuse, by class: a busy worker's working set, not its peak. */
static const struct {
    uint32_t bytes;
    unsigned keep;
} classes[CLASSES] = {
    {NU_BLOCK_TINY,   256}, /* two for each HTTP request of a turn */
    {NU_BLOCK_SMALL,  32 },
    {NU_BLOCK_MEDIUM, 8  },
    {NU_BLOCK_LARGE,  2  }
};

struct nu_block_pool {
    struct nu_block *free[CLASSES];
    unsigned kept[CLASSES];
    size_t lent_bytes;
};

struct nu_block_pool *nu_block_pool_new(void)
{
    struct nu_block_pool *pool = calloc(1, sizeof *pool);
    nu_assert(pool != NULL);
    return pool;
}

void nu_block_pool_free(struct nu_block_pool *pool)
{
    if (!pool)
        return;
    nu_assert(pool->lent_bytes == 0);
    for (int k = 0; k < CLASSES; k++)
        for (struct nu_block *b = pool->free[k], *next; b; b = next) {
            next = b->next_free;
            free(b);
        }
    free(pool);
}

size_t nu_block_pool_lent(const struct nu_block_pool *pool)
{
    return pool->lent_bytes;
}

size_t nu_block_pool_kept(const struct nu_block_pool *pool)
{
    size_t sum = 0;
    for (int k = 0; k < CLASSES; k++)
        sum += (size_t)pool->kept[k] * classes[k].bytes;
    return sum;
}

/* The class that so many bytes come from, or -1: made to measure, as what is small or huge. */
static int class_for(size_t bytes)
{
    if (bytes <= NU_BLOCK_SMALL / 4)
        return bytes == NU_BLOCK_TINY ? 0 : -1;
    for (int k = 1; k < CLASSES; k++)
        if (bytes <= classes[k].bytes)
            return k;
    return -1;
}

static struct nu_block *make(struct nu_block_pool *pool, int class, size_t bytes)
{
    nu_assert(bytes <= UINT32_MAX);
    uint32_t cap = class >= 0 ? classes[class].bytes : bytes ? (uint32_t)bytes : 1;
    struct nu_block *b = malloc(sizeof *b + cap);
    nu_assert(b != NULL);
    b->pool = pool;
    b->class = class;
    b->cap = cap;
    return b;
}

struct nu_block *nu_block_get(struct nu_block_pool *pool, size_t bytes)
{
    int k = class_for(bytes);
    struct nu_block *b = k >= 0 ? pool->free[k] : NULL;
    if (b) {
        pool->free[k] = b->next_free;
        pool->kept[k]--;
    } else {
        b = make(pool, k, bytes);
    }
    b->refs = 1;
    b->used = 0;
    pool->lent_bytes += b->cap;
    return b;
}

void nu_block_unref(struct nu_block *b)
{
    nu_assert(b->refs > 0);
    if (--b->refs)
        return;
    struct nu_block_pool *pool = b->pool;
    int k = b->class;
    pool->lent_bytes -= b->cap;
    if (k < 0 || pool->kept[k] >= classes[k].keep) {
        free(b);
        return;
    }
    b->next_free = pool->free[k];
    pool->free[k] = b;
    pool->kept[k]++;
}

struct nu_slice nu_block_freeze(struct nu_block *b, size_t len)
{
    nu_assert(len <= nu_block_room(b));
    struct nu_slice s = {nu_block_tail(b), len, b};
    b->used += (uint32_t)len;
    b->refs++;
    return s;
}

struct nu_slice nu_slice_dup(struct nu_slice s)
{
    if (s.block)
        s.block->refs++;
    return s;
}

void nu_slice_drop(struct nu_slice *s)
{
    if (s->block)
        nu_block_unref(s->block);
    *s = (struct nu_slice){0};
}

struct nu_slice nu_slice_copy(struct nu_block_pool *pool, const void *bytes, size_t len)
{
    struct nu_block *b = nu_block_get(pool, len);
    if (len)
        memcpy(b->data, bytes, len);
    struct nu_slice s = nu_block_freeze(b, len);
    nu_block_unref(b);
    return s;
}

struct nu_slice nu_slice_split(struct nu_slice *s, size_t n)
{
    nu_assert(n <= s->len);
    struct nu_slice head = nu_slice_dup(*s);
    head.len = n;
    s->data += n;
    s->len -= n;
    return head;
}

void nu_slice_keep(struct nu_block_pool *pool, struct nu_slice *s)
{
    if (!s->block || s->len * 8 >= s->block->cap)
        return;
    struct nu_slice copy = nu_slice_copy(pool, s->data, s->len);
    nu_slice_drop(s);
    *s = copy;
}
