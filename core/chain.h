/* The chain: an ordered list of filters through which events flow both ways.
 *
 * Every call here is made by a filter from one of its own callbacks, unless it says otherwise. One
 * chain, one thread (R5). The rules behind the letters stand in docs/internals/chain.md. */
#ifndef NU_CORE_CHAIN_H
#define NU_CORE_CHAIN_H

#include "core/arena.h"
#include "core/facts.h"
#include "core/filter.h"
#include "core/loop.h"

#define NU_CHAIN_MAX_FILTERS 64 /* places in a chain: far above what anybody writes */

/* A filter and its config at a place in a chain. */
struct nu_place {
    const struct nu_filter_type *type;
    const void *conf;
};

struct nu_chain;
struct nu_joint;

/* Who has a chain made; both are told once when it ends, or NULL (T4). */
struct nu_chain_owner {
    void (*closed)(struct nu_chain *chain, void *ctx); /* before the filters close */
    /* Nothing of the chain is left: what keeps the filters' confs may go now, not before. */
    void (*gone)(struct nu_loop *loop, void *ctx);
    size_t ctx_bytes; /* not 0: what ctx points to is copied, and lives until `gone` was told */
};

/* Builds and opens a chain, then starts it: S0, S1. `facts`, if given, are copied to live with the
 * chain, and the exchange that they point to. The chain may have failed by the time this returns;
 * it is then reaped at the turn's end like any other, after `closed`. Never NULL. From outside any
 * chain, or from a filter of another chain. */
struct nu_chain *nu_chain_new(struct nu_loop *loop, const struct nu_place *places, unsigned count,
                              const struct nu_facts *facts, const struct nu_chain_owner *owner,
                              void *owner_ctx);

/* Whether the faces of neighbours fit and the chain ends in a filter that ends one. -1, or the
 * index of the first place that does not fit; `why` gets a sentence from the arena, else NULL.
 * `left`: what comes in; NONE if the first place is to be a left end. */
int nu_chain_check(const struct nu_place *places, unsigned count, enum nu_face left,
                   struct nu_arena *arena, const char **why);

/* --- events --- */

/* To the neighbour in that direction; always consumes (E2); cannot fail. */
void nu_forward(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev);
void nu_forward_data(struct nu_filter *f, enum nu_dir dir, struct nu_slice data);
void nu_forward_end(struct nu_filter *f, enum nu_dir dir, struct nu_result result);

/* Events to f in this direction wait until released (B1, B2). Idempotent. */
void nu_hold(struct nu_filter *f, enum nu_dir dir);
void nu_release(struct nu_filter *f, enum nu_dir dir);
/* True if somebody ahead of f in this direction holds or has events waiting. Who is answered true
 * is told flow(go) later, even if it all clears within this frame (B3). */
bool nu_blocked(struct nu_filter *f, enum nu_dir dir);

/* From now on what is blocked ahead of f stops nobody before it: f takes what comes, hears of the
 * rest by flow() and nu_blocked(), and holds by itself where it must. For filters whose control
 * must go on while payload waits (B6): handshakes, muxes. */
void nu_shield(struct nu_filter *f, enum nu_dir dir);

/* From now on everything passes f by, also flow and signals; what waits for it goes on first. */
void nu_bypass(struct nu_filter *f);
/* Lessens what f sees. */
void nu_narrow(struct nu_filter *f, enum nu_dir dir, uint16_t kinds);
/* Discards arrivals at f from now on; those beyond get END(CANCELLED), if none was sent; those
 * before it are no longer blocked by what is beyond. A sink is done by it. */
void nu_drop(struct nu_filter *f, enum nu_dir dir);
/* Latches why the chain ends, the first time; from now on no callback but close (T2). The text says
 * more than the cause's name; "" for nothing. Never CLEAN: a cause that would be counts as
 * CANCELLED (O4). */
void nu_fail(struct nu_filter *f, enum nu_cause cause, enum nu_side side, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* As nu_fail, from outside and with the cause's own side: drain, removal. */
void nu_chain_abort(struct nu_chain *chain, enum nu_cause cause);
/* The same for each of the loop's that is in no owner's list. */
void nu_chains_abort(struct nu_loop *loop, enum nu_cause cause);
/* A sink says: END and all before it are on the wire. Chains joined before it are done by it too.
 */
void nu_done(struct nu_filter *f, enum nu_dir dir);

/* Opens, then starts filters beside f (S2): side FWD = to its right, REV = to its left (S4: nothing
 * may wait there). */
void nu_insert(struct nu_filter *f, enum nu_dir side, const struct nu_place *places,
               unsigned count);

/* f goes on as another filter in the same place, with the same faces, no joint and no more memory:
 * what it stored is gone, its timers too; the rest of its memory is zeroes (S5). `open` and `start`
 * are not called; the caller, f's own callback, begins it. Not while joined. */
void nu_become(struct nu_filter *f, const struct nu_filter_type *type);

/* The only door for I/O and task callbacks: enters the chain, calls fn, delivers what it caused. */
void nu_call(struct nu_filter *f, void (*fn)(struct nu_filter *f));

/* Calls fn once after ms milliseconds, as a callback of f; slot 0 to 7 names the timer, setting it
 * again moves it. The chain owns it. */
void nu_timer_set(struct nu_filter *f, unsigned slot, int64_t ms, void (*fn)(struct nu_filter *f));
void nu_timer_stop(struct nu_filter *f, unsigned slot);
/* When it is due, on the loop's clock; 0 = it is not set. */
int64_t nu_timer_due(struct nu_filter *f, unsigned slot);

/* From outside: puts a chain that has not ended on this list instead of the loop's, until it ends.
 */
void nu_chain_list(struct nu_chain *chain, struct nu_list *list);
/* The chain that a list's node is of. */
struct nu_chain *nu_chain_listed(struct nu_list *node);

/* From outside: tells every filter, left to right. */
void nu_chain_signal(struct nu_chain *chain, enum nu_signal signal);

/* Looks at every event as it leaves a filter, forwarded by it or passing it by, before the next one
 * gets it; may not touch it. NULL ends it. From outside, on the chain's thread. */
void nu_watch(struct nu_chain *chain,
              void (*fn)(struct nu_chain *, struct nu_filter *from, enum nu_dir,
                         const struct nu_ev *, void *ctx),
              void *ctx);

/* --- joints --- */

/* Half of a joint; the member that follows struct nu_filter in a filter at a chain's end whose type
 * says so. Events that leave the chain at that end arrive at the partner filter, as if the two
 * chains were one. */
struct nu_joint {
    struct nu_joint *peer;   /* NULL while not joined */
    uint8_t sent;            /* how the END went that crossed from here, plus 1; 0 = none did */
    struct nu_result parted; /* what this half said when it parted; since then it joined no other */
};

/* The filter that it is half of. */
static inline struct nu_filter *nu_joint_self(const struct nu_joint *joint)
{
    return (struct nu_filter *)(const void *)joint - 1;
}
/* The filter beyond, or NULL. */
static inline struct nu_filter *nu_joint_peer(const struct nu_joint *joint)
{
    return joint->peer ? nu_joint_self(joint->peer) : NULL;
}

/* Ties the last filter of one chain to the first of another, on one loop. Both unjoined; no END has
 * left `left` to its own left yet. From outside or from a callback of either; what waits at `left`
 * may flow at once. */
void nu_join(struct nu_filter *left, struct nu_filter *right);
/* To the other half of a joint (R4: assume afterwards that it may be gone). No partner: consumed.
 */
void nu_inject(struct nu_joint *joint, enum nu_dir dir, struct nu_ev *ev);
/* J3: nulls both pointers. The partner gets END(result), never CLEAN since what is cut is not
 * whole; if END(CLEAN) went that way before and the result is a cut, it fails. Who parts by a cut
 * is cut as well where its own END comes to the joint later: nobody got it. Not joined: nothing.
 * What close leaves joined, the chain parts with its own result. */
void nu_part(struct nu_joint *joint, struct nu_result result);

/* A chain joined at both ends in which nothing flows, waits or has ended is left out: its partners
 * become each other's, and it is joined to nobody. False: it is not like that, or one of them is
 * over, or somebody watches; nothing was done. From a callback of one of the partners. */
bool nu_joint_skip(struct nu_chain *between);
/* The inverse: `left` and its partner, if it still has one, are tied to the ends of a new chain,
 * which counts as having been quiet as long as `left` was. */
void nu_joint_between(struct nu_filter *left, struct nu_chain *between);

/* D1: the plain socket at the other end if nobody in between sees DATA, nothing waits and nobody
 * watches; else NULL. */
struct nu_filter *nu_direct(const struct nu_filter *source, enum nu_dir dir);
/* The same past one filter that sees DATA but is content to look at it; `looker` gets that or
 * NULL. */
struct nu_filter *nu_direct_past(const struct nu_filter *source, enum nu_dir dir,
                                 struct nu_filter **looker);
/* To the sink that these found, in the same callback, what it did not take from the caller. */
void nu_direct_rest(struct nu_filter *sink, enum nu_dir dir, struct nu_slice data);

/* --- what a chain knows --- */

/* Asked so often that a call would cost more than the answer: the loop stands first in a chain. */
static inline struct nu_loop *nu_chain_loop(const struct nu_chain *chain)
{
    return *(struct nu_loop *const *)(const void *)chain;
}
/* Never NULL; zeroes where the chain was made without. */
struct nu_facts *nu_chain_facts(struct nu_chain *chain);
struct nu_facts_more *nu_chain_facts_more(struct nu_chain *chain);
struct nu_facts_exchange *nu_chain_facts_exchange(struct nu_chain *chain);
struct nu_arena *nu_chain_arena(struct nu_chain *chain);
/* Why it ended, or what END came first; details text "" or a sentence; the filter to blame or "".
 */
struct nu_result nu_chain_result(const struct nu_chain *chain);
const char *nu_chain_details(const struct nu_chain *chain);
const char *nu_chain_blamed(const struct nu_chain *chain);
/* True from nu_fail or the last nu_done on. */
bool nu_chain_ended(const struct nu_chain *chain);
/* Everything in that direction is on the wire, or nobody wants it any more: nu_done was said. */
bool nu_chain_done(const struct nu_chain *chain, enum nu_dir dir);
void *nu_chain_owner_ctx(const struct nu_chain *chain);
const struct nu_chain_owner *nu_chain_owner(const struct nu_chain *chain);
/* Stamps activity, its own and that of the chains joined to it, with the loop's clock; when it was.
 */
void nu_chain_touch(struct nu_chain *chain);
int64_t nu_chain_last_activity(const struct nu_chain *chain);
struct nu_filter *nu_chain_end(const struct nu_chain *chain, enum nu_dir dir);

static inline struct nu_loop *nu_filter_loop(const struct nu_filter *f)
{
    return nu_chain_loop(f->chain);
}

#endif
