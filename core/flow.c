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
    nu_assert(f->chain->state != NU_CHAIN_CLOSING); /* T4 */
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

void nu_shield(struct nu_filter *f, enum nu_dir dir)
{
    nu_assert(!nu_joint_of(f)); /* what blocks a joint from afar is its own */
    nu_bit_set(f, NU_B_SHIELD, dir, true);
    f->chain->dirty = 1;
}

static bool blocked_ahead(const struct nu_filter *f, enum nu_dir dir)
{
    if (nu_bit(f, NU_B_FAR_HOLD, dir))
        return true;
    /* who drops takes everything, whatever is beyond */
    for (f = f->next[dir]; f && !nu_bit(f, NU_B_DROP, dir); f = f->next[dir]) {
        if (nu_bit(f, NU_B_COUNTED, dir))
            return true;
        if (nu_bit(f, NU_B_SHIELD, dir))
            return false;
    }
    return false;
}

bool nu_blocked_from(const struct nu_filter *f, enum nu_dir dir)
{
    return blocks(f, dir) || blocked_ahead(f, dir);
}

bool nu_blocked(struct nu_filter *f, enum nu_dir dir)
{
    if (f->chain->blocks[dir] == 0 || !blocked_ahead(f, dir))
        return false;
    nu_bit_set(f, NU_B_TOLD, dir, true);
    f->chain->told |= (uint8_t)(1u << dir);
    return true;
}

static void tell_one(struct nu_filter *f, enum nu_dir dir, bool blocked)
{
    if (!f->type->flow || f->bypassed || nu_bit(f, NU_B_TOLD, dir) == blocked)
        return;
    nu_bit_set(f, NU_B_TOLD, dir, blocked);
    f->chain->told |= (uint8_t)(1u << dir);
    nu_assert(!f->busy); /* told from the outermost frame only (R3) */
    f->busy = 1;
    f->type->flow(f, dir, !blocked);
    nu_unbusy(f);
}

/* From the far end back to where the direction starts, so that each hears of all that is ahead of
 * it. Stops where a callback changed something: what comes next would be told what is no more. */
static void tell_direction(struct nu_chain *chain, enum nu_dir dir)
{
    enum nu_dir back = nu_opposite(dir);
    bool blocked = false;
    /* Nothing is blocked, and nobody thinks so. */
    if (!chain->blocks[dir] && !(chain->told >> dir & 1)) {
        nu_joint_tell(chain->end[back], dir, false);
        return;
    }
    struct nu_filter *f = chain->end[dir], *first = f;
    for (; f; f = f->next[back]) {
        blocked = blocked || nu_bit(f, NU_B_FAR_HOLD, dir);
        tell_one(f, dir, blocked);
        if (chain->dirty || !nu_chain_live(chain))
            return;
        if (nu_bit(f, NU_B_SHIELD, dir))
            blocked = false;
        blocked = !nu_bit(f, NU_B_DROP, dir) && (blocked || blocks(f, dir));
        first = f;
    }
    if (!chain->blocks[dir])
        chain->told &= (uint8_t) ~(1u << dir);
    nu_joint_tell(first, dir, blocked);
}

void nu_tell_flow(struct nu_chain *chain)
{
    if (chain->depth > 1)
        return;
    while (chain->dirty && nu_chain_live(chain)) {
        chain->dirty = 0;
        tell_direction(chain, NU_FWD);
        if (!chain->dirty)
            tell_direction(chain, NU_REV);
    }
}
