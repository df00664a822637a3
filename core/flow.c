/* Back-pressure: who holds, who is blocked, and who is told (rules B and R3, J2). */
#include "core/chain_priv.h"

static bool blocks(const struct nu_filter *f, enum nu_dir dir)
{
    return nu_bit(f, NU_B_HOLD, dir) || f->queue[dir];
}

void nu_recount(struct nu_filter *f, enum nu_dir dir)
{
    struct nu_chain *chain = f->chain;
    bool now = blocks(f, dir) || nu_bit(f, NU_B_FAR_HOLD, dir);
    if (now == nu_bit(f, NU_B_COUNTED, dir))
        return;
    nu_bit_set(f, NU_B_COUNTED, dir, now);
    chain->blocks[dir] = (uint16_t)(chain->blocks[dir] + (now ? 1 : -1));
    chain->dirty = 1;
}

void nu_hold(struct nu_filter *f, enum nu_dir dir)
{
    nu_bit_set(f, NU_B_HOLD, dir, true);
    nu_recount(f, dir);
}

void nu_release(struct nu_filter *f, enum nu_dir dir)
{
    if (!nu_bit(f, NU_B_HOLD, dir))
        return;
    nu_assert(f->busy); /* its callback is on the stack: the queue moves when that returns */
    nu_bit_set(f, NU_B_HOLD, dir, false);
    nu_recount(f, dir);
}

bool nu_blocked(const struct nu_filter *f, enum nu_dir dir)
{
    if (f->chain->blocks[dir] == 0)
        return false;
    if (nu_bit(f, NU_B_FAR_HOLD, dir))
        return true;
    for (f = f->next[dir]; f; f = f->next[dir])
        if (nu_bit(f, NU_B_COUNTED, dir))
            return true;
    return false;
}

static void tell_one(struct nu_filter *f, enum nu_dir dir, bool blocked)
{
    if (!f->type->flow || nu_bit(f, NU_B_TOLD, dir) == blocked)
        return;
    nu_bit_set(f, NU_B_TOLD, dir, blocked);
    nu_assert(!f->busy); /* told from the outermost frame only (R3) */
    f->busy = 1;
    f->type->flow(f, dir, !blocked);
    nu_unbusy(f);
}

/* From the far end back to where the direction starts, so that each hears of all that is ahead of
 * it. */
static void tell_direction(struct nu_chain *chain, enum nu_dir dir)
{
    enum nu_dir back = nu_opposite(dir);
    bool blocked = false;
    struct nu_filter *f = chain->end[dir], *first = f;
    for (; f && nu_chain_live(chain); f = f->next[back]) {
        blocked = blocked || nu_bit(f, NU_B_FAR_HOLD, dir);
        tell_one(f, dir, blocked);
        blocked = blocked || blocks(f, dir);
        first = f;
    }
    if (nu_chain_live(chain))
        nu_joint_tell(first, dir, blocked);
}

void nu_tell_flow(struct nu_chain *chain)
{
    while (chain->dirty && nu_chain_live(chain)) {
        chain->dirty = 0;
        tell_direction(chain, NU_FWD);
        tell_direction(chain, NU_REV);
    }
}
