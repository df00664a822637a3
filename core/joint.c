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
    struct nu_filter *partner = nu_joint_peer(joint);
    if (nu_bit(partner, NU_B_FAR_HOLD, dir) == blocked)
        return;
    nu_chain_enter(partner->chain);
    set_far_hold(partner, dir, blocked);
    nu_chain_leave(partner->chain);
}

/* Both begin anew with one another. In each request's way. */
static inline __attribute__((always_inline)) void tie(struct nu_filter *left,
                                                      struct nu_filter *right)
{
    struct nu_joint *l = nu_joint_of(left), *r = nu_joint_of(right);
    *l = (struct nu_joint){.peer = r};
    *r = (struct nu_joint){.peer = l};
    nu_bit_set(left, NU_B_ARRIVED, NU_REV, false); /* an earlier partner's END was its own */
    nu_bit_set(right, NU_B_ARRIVED, NU_FWD, false);
    nu_chain_enter(left->chain);
    nu_chain_enter(right->chain);
    left->chain->dirty = right->chain->dirty = 1;
    nu_chain_leave(right->chain);
    nu_chain_leave(left->chain);
}

void nu_join(struct nu_filter *left, struct nu_filter *right)
{
    const struct nu_joint *l = nu_joint_of(left), *r = nu_joint_of(right);
    nu_assert(l && r && !l->peer && !r->peer);
    nu_assert(left->chain->loop == right->chain->loop);
    nu_assert(left->chain->end[NU_FWD] == left && right->chain->end[NU_REV] == right);
    nu_assert(right->next[NU_FWD] && !nu_bit(right, NU_B_ENDED, NU_FWD));
    nu_assert(!nu_bit(left, NU_B_ENDED, NU_REV));
    tie(left, right);
}

void nu_inject(struct nu_joint *joint, enum nu_dir dir, struct nu_ev *ev)
{
    if (!joint->peer) {
        nu_ev_free(ev);
        return;
    }
    nu_assert(!joint->sent);
    if (ev->kind == NU_END)
        joint->sent = (uint8_t)(ev->u.end.how + 1);
    struct nu_filter *partner = nu_joint_peer(joint);
    struct nu_chain *chain = partner->chain;
    nu_chain_enter(chain);
    nu_arrive(partner, dir, ev);
    nu_chain_leave(chain);
    /* A chain with a frame further down the stack tells nothing before that one ends (R3). Until
     * then whoever sends into it must not take it for free. */
    if (chain->dirty && nu_chain_live(chain) && joint->peer && nu_blocked_from(partner, dir))
        set_far_hold(nu_joint_self(joint), dir, true);
}

/* Whether the chain beyond is still to say that what crossed is on the wire. Where somebody drops
 * there, it is done before. */
static bool awaits_done(const struct nu_joint *joint, enum nu_dir dir)
{
    return joint && joint->peer && !(nu_joint_peer(joint)->chain->done >> dir & 1);
}

void nu_joint_cross(struct nu_filter *end, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_joint *joint = nu_joint_of(end);
    bool last = ev->kind == NU_END;
    if (last && joint && !joint->peer)
        nu_latch(end->chain, joint->parted); /* what came is lost, however clean it ends (O4) */
    if (joint)
        nu_inject(joint, dir, ev);
    else
        nu_ev_free(ev);
    if (last && !awaits_done(joint, dir))
        nu_done(end, dir);
}

void nu_joint_done(struct nu_filter *first, enum nu_dir dir)
{
    struct nu_joint *joint = nu_joint_of(first);
    if (!joint || !joint->peer || outward(first) == dir)
        return;
    if (nu_bit(nu_joint_peer(joint), NU_B_ENDED, dir)) /* else when it ends: nu_joint_cross */
        nu_done(nu_joint_peer(joint), dir);
}

/* One half lives on without its other half: nothing beyond holds it any more. */
static inline __attribute__((always_inline)) void cut_off(struct nu_joint *joint)
{
    joint->peer = NULL;
    set_far_hold(nu_joint_self(joint), outward(nu_joint_self(joint)), false);
}

/* Nor will anything beyond say that its END is on the wire: it is done, and cut if it parts so. */
static void be_done(struct nu_joint *joint)
{
    struct nu_filter *self = nu_joint_self(joint);
    struct nu_chain *chain = self->chain;
    enum nu_dir dir = outward(self);
    if (!nu_chain_live(chain) || !nu_bit(self, NU_B_ENDED, dir) || chain->done >> dir & 1)
        return;
    nu_latch(chain, joint->parted);
    nu_done(self, dir);
}

/* The partner's news, once: END, or failure if a clean END was believed before. Behind a cut that
 * did not say why, at least the log may know. */
static void tell_parted(struct nu_filter *partner, uint8_t sent, struct nu_result result)
{
    enum nu_dir dir = nu_opposite(outward(partner));
    if (!sent) {
        if (result.how == NU_CLEAN)
            result.how = NU_TRUNCATED;
        struct nu_ev ev = nu_ev_end(result);
        nu_arrive(partner, dir, &ev);
    } else if (result.how != NU_CLEAN) {
        if (sent == NU_CLEAN + 1)
            nu_fail(partner, result.cause, result.side, "%s", "");
        else
            nu_latch(partner->chain, result);
    }
}

void nu_part(struct nu_joint *joint, struct nu_result result)
{
    struct nu_joint *peer = joint->peer;
    if (!peer)
        return;
    struct nu_chain *own = nu_joint_self(joint)->chain, *other = nu_joint_self(peer)->chain;
    nu_chain_enter(own);
    nu_chain_enter(other);
    cut_off(joint);
    cut_off(peer);
    joint->parted = result;
    tell_parted(nu_joint_self(peer), joint->sent, result);
    be_done(joint);
    be_done(peer);
    nu_chain_leave(other);
    nu_chain_leave(own);
}

static bool is_watched(const struct nu_chain *chain)
{
    return chain->rare && chain->rare->watch;
}

/* Whether nothing happens in this chain but what an event in this direction would cause. */
static bool lies_open(const struct nu_chain *chain, enum nu_dir dir)
{
    return nu_chain_live(chain) && !is_watched(chain) && !chain->blocks[dir];
}

/* Whether f, which an event would reach next, is at rest, and neither drops it nor has ended. */
static bool stands_open(const struct nu_filter *f, enum nu_dir dir)
{
    const unsigned stops = 1u << NU_B_DROP * 2 | 1u << NU_B_ENDED * 2;
    return !f->busy && !(f->bits & stops << dir);
}

/* Whom an event from f would reach next, in whatever chain; NULL: nobody. */
static const struct nu_filter *beyond(const struct nu_filter *f, enum nu_dir dir)
{
    if (f->next[dir])
        return f->next[dir];
    const struct nu_joint *joint = nu_joint_of(f);
    return joint ? nu_joint_peer(joint) : NULL;
}

struct nu_filter *nu_direct_past(const struct nu_filter *f, enum nu_dir dir,
                                 struct nu_filter **looker)
{
    const struct nu_chain *chain = NULL;
    *looker = NULL;
    while ((f = beyond(f, dir)) && stands_open(f, dir)) {
        if (f->chain != chain && !lies_open(chain = f->chain, dir))
            return NULL;
        if (!(f->sees[dir] & NU_SEES(NU_DATA)))
            continue;
        if (f->type->flags & NU_F_SOCKET)
            return (struct nu_filter *)f;
        if (*looker || !f->type->look)
            return NULL;
        *looker = (struct nu_filter *)f;
    }
    return NULL;
}

struct nu_filter *nu_direct(const struct nu_filter *f, enum nu_dir dir)
{
    struct nu_filter *looker, *sink = nu_direct_past(f, dir, &looker);
    return looker ? NULL : sink;
}

void nu_direct_rest(struct nu_filter *sink, enum nu_dir dir, struct nu_slice data)
{
    struct nu_ev ev = nu_ev_data(data);
    nu_chain_enter(sink->chain);
    nu_arrive(sink, dir, &ev);
    nu_chain_leave(sink->chain);
}

/* Nothing of a joint's chain is under way, and nothing has crossed that must not be forgotten. */
static bool is_quiet(const struct nu_joint *joint)
{
    const struct nu_filter *f = nu_joint_self(joint);
    const struct nu_chain *chain = f->chain;
    bool ended = nu_bit(f, NU_B_ENDED, NU_FWD) || nu_bit(f, NU_B_ENDED, NU_REV);
    return nu_chain_live(chain) && !chain->blocks[NU_FWD] && !chain->blocks[NU_REV] &&
           !chain->dirty && !is_watched(chain) && !joint->sent && !ended;
}

bool nu_joint_skip(struct nu_chain *between)
{
    struct nu_joint *l = nu_joint_of(between->end[NU_REV]), *r = nu_joint_of(between->end[NU_FWD]);
    if (between->depth > 0 || !l || !r || !l->peer || !r->peer)
        return false;
    if (!is_quiet(l) || !is_quiet(r) || !is_quiet(l->peer) || !is_quiet(r->peer))
        return false;
    struct nu_joint *left = l->peer, *right = r->peer;
    left->peer = right;
    right->peer = left;
    l->peer = r->peer = NULL;
    return true;
}

/* What is beyond is another for both: who is blocked is found out anew. */
void nu_joint_between(struct nu_filter *left, struct nu_chain *between)
{
    struct nu_joint *near = nu_joint_of(left), *far = near->peer;
    nu_assert(left->chain->loop == between->loop && nu_chain_live(between));
    between->last_activity = left->chain->last_activity;
    cut_off(near);
    tie(left, between->end[NU_REV]);
    if (!far)
        return;
    cut_off(far);
    tie(between->end[NU_FWD], nu_joint_self(far));
}
