/* Bytes that are kept before a chain is chosen; see pre.h. */
#include "l4/pre.h"

#include "core/assert.h"

#include <string.h>

const char *nu_proxy_mode_str(enum nu_proxy_mode mode)
{
    static const char *const names[] = {"off", "require", "optional"};
    nu_assert((unsigned)mode < sizeof names / sizeof *names);
    return names[mode];
}

size_t nu_kept_len(const struct nu_kept *kept)
{
    return kept->block ? kept->block->used : 0;
}

static void grow(struct nu_kept *kept, struct nu_block_pool *pool, size_t more)
{
    size_t have = nu_kept_len(kept), want = have + more > 2 * have ? have + more : 2 * have;
    struct nu_block *old = kept->block, *fresh = nu_block_get(pool, want);
    if (old) {
        memcpy(fresh->data, old->data, have);
        nu_block_unref(old);
    }
    fresh->used = (uint32_t)have;
    kept->block = fresh;
}

void nu_kept_add(struct nu_kept *kept, struct nu_block_pool *pool, const struct nu_slice *more)
{
    if (more->len == 0)
        return;
    if (!kept->block || nu_block_room(kept->block) < more->len)
        grow(kept, pool, more->len);
    memcpy(nu_block_tail(kept->block), more->data, more->len);
    kept->block->used += (uint32_t)more->len;
}

void nu_kept_drop(struct nu_kept *kept)
{
    if (kept->block)
        nu_block_unref(kept->block);
    kept->block = NULL;
}

void nu_kept_forward(struct nu_kept *kept, struct nu_filter *f)
{
    struct nu_block *block = kept->block;
    kept->block = NULL;
    if (block)
        nu_forward_data(f, NU_FWD, (struct nu_slice){block->data, block->used, block});
}
