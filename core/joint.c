/* Joints: two chains on one worker tied end to end (rules J, L1). */
#include "core/chain_priv.h"

/* The direction in which events leave the chain at this filter. */
static enum nu_dir outward(const struct nu_filter *f)
{
    return f->chain->end[NU_FWD] == f ? NU_FWD : NU_REV;
}

static void set_far_hold(struct nu_filter *f, enum nu_dir dir, bool on)
{
    if (nu_bit(f, NU_B_FAR_HOLD, dir) == on)
        return;
    nu_bit_set(f, NU_B_FAR_HOLD, dir, on);
    nu_recount(f, dir);
    f->chain->dirty = 1;
}

void nu_joint_tell(struct nu_filter *first, enum nu_dir dir, bool blocked)
{
    struct nu_joint *joint = nu_joint_of(first);
    if (!joint || !joint->peer || outward(first) == dir)
        return;
    struct nu_filter *partner = joint->peer->self;
    nu_chain_enter(partner->chain);
    set_far_hold(partner, dir, blocked);
    nu_chain_leave(partner->chain);
}

void nu_join(struct nu_filter *left, struct nu_filter *right)
{
    struct nu_joint *l = nu_joint_of(left), *r = nu_joint_of(right);
    nu_assert(l && r && !l->peer && !r->peer);
    nu_assert(left->chain->loop == right->chain->loop);
    nu_assert(left->chain->end[NU_FWD] == left && right->chain->end[NU_REV] == right);
    *l = (struct nu_joint){.self = left, .peer = r};
    *r = (struct nu_joint){.self = right, .peer = l};
    nu_bit_set(left, NU_B_ARRIVED, NU_REV, false); /* an earlier partner's END was its own */
    nu_chain_enter(left->chain);
    nu_chain_enter(right->chain);
    left->chain->dirty = right->chain->dirty = 1;
    nu_chain_leave(right->chain);
    nu_chain_leave(left->chain);
}

void nu_inject(struct nu_joint *joint, enum nu_dir dir, struct nu_ev *ev)
{
    if (!joint->peer) {
        nu_ev_free(ev);
        return;
    }
    struct nu_filter *partner = joint->peer->self;
    struct nu_chain *chain = partner->chain;
    nu_chain_enter(chain);
    nu_arrive(partner, dir, ev);
    nu_chain_leave(chain);
}

void nu_joint_cross(struct nu_filter *end, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_joint *joint = nu_joint_of(end);
    bool last = ev->kind == NU_END;
    if (joint) {
        nu_assert(!joint->sent);
        if (last)
            joint->sent = (uint8_t)(ev->u.end.how + 1);
        nu_inject(joint, dir, ev);
    } else {
        nu_ev_free(ev);
    }
    if (last)
        nu_done(end, dir);
}

void nu_part(struct nu_joint *joint, struct nu_result result)
{
    struct nu_joint *peer = joint->peer;
    if (!peer)
        return;
    enum nu_dir dir = nu_opposite(outward(peer->self));
    joint->peer = peer->peer = NULL;
    struct nu_filter *partner = peer->self;
    struct nu_chain *chain = partner->chain;
    nu_chain_enter(chain);
    set_far_hold(partner, nu_opposite(dir), false);
    struct nu_ev ev = nu_ev_end(result);
    if (!joint->sent)
        nu_arrive(partner, dir, &ev);
    else if (joint->sent == NU_CLEAN + 1 && result.how != NU_CLEAN)
        nu_fail(partner, result.cause, result.side, "%s", "");
    nu_chain_leave(chain);
}

struct nu_filter *nu_direct(const struct nu_filter *f, enum nu_dir dir)
{
    for (;;) {
        if (f->chain->watch || f->chain->blocks[dir] || !nu_chain_live(f->chain))
            return NULL;
        while (f->next[dir]) {
            f = f->next[dir];
            if (f->busy || nu_bit(f, NU_B_DROP, dir))
                return NULL;
            if (f->type->flags & NU_F_SOCKET)
                return (struct nu_filter *)f;
            if (f->sees[dir] & NU_SEES(NU_DATA))
                return NULL;
        }
        const struct nu_joint *joint = nu_joint_of(f);
        if (!joint || !joint->peer)
            return NULL;
        f = joint->peer->self;
        if (f->busy || (f->sees[dir] & NU_SEES(NU_DATA)))
            return NULL;
    }
}
