/* Ends: results, failure, done, drop, and the reaping of what is over (rules T and O4). */
#include "core/chain_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define DETAILS_MAX 256 /* bytes of explanation kept for the log; peers' text may be in it */

const char *nu_chain_state_str(enum nu_chain_state state)
{
    static const char *const names[] = {"building", "live", "finished", "failed", "closing"};
    nu_assert((unsigned)state < sizeof names / sizeof *names);
    return names[state];
}

/* Which states may follow which: a bit for each. */
static const uint8_t edges[] = {
    [NU_CHAIN_BUILDING] = 1 << NU_CHAIN_LIVE | 1 << NU_CHAIN_FAILED,
    [NU_CHAIN_LIVE] = 1 << NU_CHAIN_FINISHED | 1 << NU_CHAIN_FAILED,
    [NU_CHAIN_FINISHED] = 1 << NU_CHAIN_CLOSING,
    [NU_CHAIN_FAILED] = 1 << NU_CHAIN_CLOSING,
    [NU_CHAIN_CLOSING] = 0,
};

void nu_chain_set_state(struct nu_chain *chain, enum nu_chain_state to)
{
    nu_assert(edges[chain->state] >> to & 1);
    chain->state = (uint8_t)to;
    if (to != NU_CHAIN_FINISHED && to != NU_CHAIN_FAILED)
        return;
    nu_list_del(&chain->link);
    nu_list_add_tail(&chain->loop->reap, &chain->link);
}

bool nu_latch(struct nu_chain *chain, struct nu_result result)
{
    if (result.cause == NU_CAUSE_NONE)
        return false;
    bool cut = result.how != NU_CLEAN && chain->result.how == NU_CLEAN;
    if (chain->result.cause != NU_CAUSE_NONE && !cut)
        return false;
    chain->result = result;
    return true;
}

/* The explanation and the blame belong to the result that stays: an END may have said it before. */
static void fail(struct nu_chain *chain, struct nu_result result, const char *blamed,
                 const char *text)
{
    if (result.how == NU_CLEAN)
        result.how = NU_CANCELLED; /* O4: a failure never looks whole */
    if (nu_latch(chain, result)) {
        nu_chain_rare(chain)->blamed = blamed;
        if (*text)
            chain->rare->details = nu_arena_strdup(nu_chain_arena(chain), text);
    }
    nu_chain_set_state(chain, NU_CHAIN_FAILED);
}

void nu_fail(struct nu_filter *f, enum nu_cause cause, enum nu_side side, const char *fmt, ...)
{
    struct nu_chain *chain = f->chain;
    if (chain->state > NU_CHAIN_LIVE)
        return;
    struct nu_result result = nu_result_of(cause);
    result.side = (uint8_t)side;
    char text[DETAILS_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fail(chain, result, f->type->name, text);
}

void nu_chain_abort(struct nu_chain *chain, enum nu_cause cause)
{
    if (chain->state <= NU_CHAIN_LIVE)
        fail(chain, nu_result_of(cause), "", "");
}

void nu_chains_abort(struct nu_loop *loop, enum nu_cause cause)
{
    nu_list_each (node, &loop->chains) {
        nu_chain_abort(nu_container(node, struct nu_chain, link), cause);
    }
}

void nu_done(struct nu_filter *f, enum nu_dir dir)
{
    struct nu_chain *chain = f->chain;
    if (!nu_chain_live(chain))
        return;
    nu_assert(chain->end[dir] == f);
    nu_assert(nu_bit(f, NU_B_ARRIVED, dir) || nu_bit(f, NU_B_ENDED, dir) ||
              nu_bit(f, NU_B_DROP, dir));
    chain->done |= (uint8_t)(1u << dir);
    if (chain->done == 3)
        nu_chain_set_state(chain, NU_CHAIN_FINISHED);
    nu_joint_done(chain->end[nu_opposite(dir)], dir);
}

void nu_drop(struct nu_filter *f, enum nu_dir dir)
{
    nu_assert(f->opened == 2); /* it may forward END */
    if (nu_bit(f, NU_B_DROP, dir) || !nu_chain_live(f->chain))
        return;
    nu_bit_set(f, NU_B_DROP, dir, true);
    nu_bit_set(f, NU_B_HOLD, dir, false);
    nu_queue_clear(f, dir);
    nu_recount(f, dir);
    f->chain->dirty = 1; /* what is beyond blocks nobody before it any more */
    if (!nu_bit(f, NU_B_ENDED, dir))
        nu_forward_end(f, dir, (struct nu_result){.how = NU_CANCELLED, .side = NU_SIDE_LOCAL});
}

static void free_timers(struct nu_chain *chain)
{
    nu_timer_disarm(&chain->loop->timers, &chain->timer.base);
    chain->timer.filter = NULL;
    for (struct nu_chain_timer_more *t = chain->timers, *next; t; t = next) {
        next = t->next;
        nu_timer_disarm(&chain->loop->timers, &t->timer.base);
        free(t);
    }
    chain->timers = NULL;
}

static void close_filter(struct nu_filter *f)
{
    struct nu_chain *chain = f->chain;
    f->busy = 1;
    if (f->opened && f->type->close)
        f->type->close(f);
    nu_assert(!chain->timer.filter && !chain->timers);
    if (nu_joint_of(f))
        nu_part(nu_joint_of(f), chain->result); /* what never opened may be joined too */
    if (f->queue[NU_FWD])
        nu_queue_clear(f, NU_FWD);
    if (f->queue[NU_REV])
        nu_queue_clear(f, NU_REV);
    if (f->apart)
        free(f);
}

void nu_chain_reap(struct nu_chain *chain)
{
    nu_assert(chain->depth == 0 && chain->loop->depth == 0);
    nu_chain_set_state(chain, NU_CHAIN_CLOSING);
    free_timers(chain);
    nu_watch(chain, NULL, NULL);
    if (chain->owner && chain->owner->closed)
        chain->owner->closed(chain, chain->owner_ctx);
    for (struct nu_filter *f = chain->end[NU_REV], *right; f; f = right) {
        right = f->next[NU_FWD];
        chain->end[NU_REV] = right;
        if (right)
            right->next[NU_REV] = f->next[NU_FWD] = NULL;
        close_filter(f);
    }
    chain->loop->chain_count--;
    if (chain->rare)
        nu_arena_free(chain->rare->arena);
    if (chain->owner && chain->owner->gone)
        chain->owner->gone(chain->loop, chain->owner_ctx);
    free(chain);
}
