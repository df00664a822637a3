/* The inside of a chain, shared by chain.c, flow.c, build.c, end.c, joint.c and the loop that
 * reaps. */
#ifndef NU_CORE_CHAIN_PRIV_H
#define NU_CORE_CHAIN_PRIV_H

#include "core/assert.h"
#include "core/chain.h"

/* BUILDING -> LIVE -> FINISHED or FAILED -> CLOSING; FAILED also straight from BUILDING. */
enum nu_chain_state {
    NU_CHAIN_BUILDING, /* filters open; nothing flows */
    NU_CHAIN_LIVE,
    NU_CHAIN_FINISHED, /* both ends are done */
    NU_CHAIN_FAILED,   /* nu_fail: no callback but close */
    NU_CHAIN_CLOSING,  /* being reaped */
};
const char *nu_chain_state_str(enum nu_chain_state state);

struct nu_queued {
    struct nu_queued *next; /* ring: the last one's next is the first */
    struct nu_ev ev;
};

/* base.tag is the slot. */
struct nu_chain_timer {
    struct nu_timer base;
    struct nu_filter *filter; /* NULL: it is not in use */
    void (*fn)(struct nu_filter *f);
};

/* One that a chain has besides its own. */
struct nu_chain_timer_more {
    struct nu_chain_timer timer;
    struct nu_chain_timer_more *next;
};

/* What few chains need, in their arena, which hangs off it. */
struct nu_chain_rare {
    struct nu_arena *arena;
    const char *details;
    const char *blamed; /* name of the filter that failed */
    void (*watch)(struct nu_chain *, struct nu_filter *, enum nu_dir, const struct nu_ev *,
                  void *ctx); /* or NULL */
    void *watch_ctx;
};

struct nu_chain {
    /* What each event asks for, side by side: few lines of the CPU's cache. */
    struct nu_loop *loop;
    struct nu_filter *end[2];   /* [NU_FWD] the rightmost, [NU_REV] the leftmost */
    struct nu_chain_rare *rare; /* made when first needed */
    int64_t last_activity;
    uint16_t blocks[2]; /* filters that hold, queue or are held from afar */
    uint16_t depth;     /* frames on the stack (R2) */
    uint8_t state;      /* enum nu_chain_state, assigned by nu_chain_set_state alone */
    uint8_t dirty;      /* blocks changed since flow() was told */
    uint8_t done;       /* bits by direction */
    uint8_t told;       /* the same: somebody may have been told that the way is blocked */
    struct nu_result result;
    struct nu_list link; /* in loop->chains or its owner's list, once ended in loop->reap */
    const struct nu_chain_owner *owner;
    void *owner_ctx;
    struct nu_facts *facts;
    struct nu_chain_timer timer;        /* most chains have one */
    struct nu_chain_timer_more *timers; /* the others */
};

struct nu_chain_rare *nu_chain_rare(struct nu_chain *chain);
void nu_chain_set_state(struct nu_chain *chain, enum nu_chain_state to);
static inline bool nu_chain_live(const struct nu_chain *chain)
{
    return chain->state == NU_CHAIN_LIVE;
}

static inline void nu_bit_set(struct nu_filter *f, enum nu_filter_bit bit, enum nu_dir dir, bool on)
{
    uint16_t mask = (uint16_t)(1u << (bit * 2 + dir));
    f->bits = on ? f->bits | mask : f->bits & (uint16_t)~mask;
}

/* In the outermost frame: tells flow() to those whose way changed, until nothing changes (R3). */
void nu_tell_flow(struct nu_chain *chain);
/* The first chain that is entered makes the loop the calling thread's (R5). */
void nu_loop_claim(struct nu_loop *loop);

/* Frames (R2): leave settles the chain when the outermost one ends. */
static inline void nu_chain_enter(struct nu_chain *chain)
{
    struct nu_loop *loop = chain->loop;
    if (loop->thread != &nu_loop_here)
        nu_loop_claim(loop);
    chain->depth++;
    loop->depth++;
}
static inline void nu_chain_leave(struct nu_chain *chain)
{
    nu_assert(chain->depth > 0);
    if (chain->dirty)
        nu_tell_flow(chain);
    chain->depth--;
    chain->loop->depth--;
}

/* An event comes to f from its neighbour, or from its joint. Within a frame. */
void nu_arrive(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev);
/* Delivers what waits at f until it holds, is empty, or the chain is over. f is busy throughout. */
void nu_drain_queue(struct nu_filter *f);
/* Ends the busy state of f and delivers what waited meanwhile. */
static inline void nu_unbusy(struct nu_filter *f)
{
    nu_assert(f->busy);
    if (f->queue[NU_FWD] || f->queue[NU_REV])
        nu_drain_queue(f);
    f->busy = 0;
}
void nu_queue_clear(struct nu_filter *f, enum nu_dir dir);

/* After hold bits or queues of f changed: keeps the chain's count and marks it dirty. */
void nu_recount(struct nu_filter *f, enum nu_dir dir);
/* Latches how the chain ended: the first result, but a cut outranks a clean end. False: an earlier
 * one stays. */
bool nu_latch(struct nu_chain *chain, struct nu_result result);
/* T4. Called by the loop when no chain code is on the stack. */
void nu_chain_reap(struct nu_chain *chain);

static inline struct nu_joint *nu_joint_of(const struct nu_filter *f)
{
    return f->type->joint ? (struct nu_joint *)(void *)(f + 1) : NULL;
}
/* What leaves the chain at its end: to the partner, or nowhere. */
void nu_joint_cross(struct nu_filter *end, enum nu_dir dir, struct nu_ev *ev);
/* The chain whose direction starts at `first` is done with it: so is the one before it (T1). */
void nu_joint_done(struct nu_filter *first, enum nu_dir dir);
/* Passes a changed block state on to the partner's chain (J2). */
void nu_joint_tell(struct nu_filter *first, enum nu_dir dir, bool blocked);
/* Whether f, or anybody behind it in this direction, takes nothing. */
bool nu_blocked_from(const struct nu_filter *f, enum nu_dir dir);

#endif
