/* Delivery: how events get from filter to filter, in order and without re-entry. The hot path is
 * nu_forward -> nu_arrive -> event(). Everything here runs on the chain's own thread, inside a
 * frame. */
#include "core/chain_priv.h"

#include <stdlib.h>

void nu_loop_claim(struct nu_loop *loop)
{
    nu_assert(loop->thread == NULL); /* R5 */
    loop->thread = &nu_loop_here;
}

static void enqueue(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_queued *q = nu_spare_get(&f->chain->loop->spares, sizeof *q), *last = f->queue[dir];
    q->ev = *ev;
    q->next = last ? last->next : q;
    if (last)
        last->next = q;
    f->queue[dir] = q;
    if (!last)
        nu_recount(f, dir);
}

static struct nu_ev dequeue(struct nu_filter *f, enum nu_dir dir)
{
    struct nu_queued *last = f->queue[dir], *q = last->next;
    struct nu_ev ev = q->ev;
    last->next = q->next;
    if (q == last)
        f->queue[dir] = NULL;
    nu_spare_put(&f->chain->loop->spares, q, sizeof *q);
    if (!f->queue[dir])
        nu_recount(f, dir);
    return ev;
}

void nu_queue_clear(struct nu_filter *f, enum nu_dir dir)
{
    while (f->queue[dir]) {
        struct nu_ev ev = dequeue(f, dir);
        nu_ev_free(&ev);
    }
}

/* END leaves f: once, and the chain learns how (O2, O4). */
static void note_end(struct nu_filter *f, enum nu_dir dir, const struct nu_ev *ev)
{
    nu_assert(!nu_bit(f, NU_B_ENDED, dir));
    nu_bit_set(f, NU_B_ENDED, dir, true);
    nu_latch(f->chain, ev->u.end);
}

static void show_watch(struct nu_filter *f, enum nu_dir dir, const struct nu_ev *ev)
{
    const struct nu_chain_rare *rare = f->chain->rare;
    if (rare->watch)
        rare->watch(f->chain, f, dir, ev, rare->watch_ctx);
}

/* From f's far side on: the next filter, or NULL: the event has left the chain. */
static inline __attribute__((always_inline)) struct nu_filter *leave_filter(struct nu_filter *f,
                                                                            enum nu_dir dir,
                                                                            struct nu_ev *ev)
{
    struct nu_filter *next = f->next[dir];
    if (f->chain->rare)
        show_watch(f, dir, ev);
    if (!next)
        nu_joint_cross(f, dir, ev);
    return next;
}

static void note_arrival(struct nu_filter *f, enum nu_dir dir, const struct nu_ev *ev)
{
    if (ev->kind == NU_END)
        nu_bit_set(f, NU_B_ARRIVED, dir, true);
}

/* Passes f by, unless f has ended this direction on its own account: nothing comes after (O2). */
static inline __attribute__((always_inline)) struct nu_filter *pass_by(struct nu_filter *f,
                                                                       enum nu_dir dir,
                                                                       struct nu_ev *ev)
{
    if (nu_bit(f, NU_B_ENDED, dir)) {
        nu_ev_free(ev);
        return NULL;
    }
    if (ev->kind == NU_END)
        note_end(f, dir, ev);
    return leave_filter(f, dir, ev);
}

/* One event that f may have now: to its callback, or past it. */
static void hand(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    note_arrival(f, dir, ev);
    if (f->sees[dir] & NU_SEES(ev->kind)) {
        f->type->event(f, dir, ev);
        return;
    }
    struct nu_filter *next = pass_by(f, dir, ev);
    if (next)
        nu_arrive(next, dir, ev);
}

void nu_drain_queue(struct nu_filter *f)
{
    struct nu_chain *chain = f->chain;
    for (bool moved = true; moved;) {
        moved = false;
        for (enum nu_dir dir = NU_FWD; dir <= NU_REV; dir++)
            while (f->queue[dir] && !nu_bit(f, NU_B_HOLD, dir) && nu_chain_live(chain)) {
                struct nu_ev ev = dequeue(f, dir);
                hand(f, dir, &ev);
                moved = true;
            }
    }
}

/* To f itself: it has a callback for it, or something is the matter with it. */
static void arrive_at(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (f->chain->state > NU_CHAIN_LIVE || nu_bit(f, NU_B_DROP, dir)) {
        nu_ev_free(ev);
        return;
    }
    nu_assert(!nu_bit(f, NU_B_ARRIVED, dir));
    if (f->busy || nu_bit(f, NU_B_HOLD, dir)) { /* otherwise nothing waits there */
        if (nu_bit(f, NU_B_HOLD, dir))
            nu_ev_keep(f->chain->loop->blocks, ev); /* waits longer than this frame */
        enqueue(f, dir, ev);
        return;
    }
    f->busy = 1;
    hand(f, dir, ev);
    nu_unbusy(f);
}

/* Who sees none of it, neither holds nor has ended, is stepped over: not even entered (R1). Who
 * drops has ended. */
static bool is_stepped_over(const struct nu_filter *f, enum nu_dir dir, enum nu_kind kind)
{
    static const uint16_t stops[] = {1u << NU_B_HOLD * 2 | 1u << NU_B_ENDED * 2,
                                     2u << NU_B_HOLD * 2 | 2u << NU_B_ENDED * 2};
    return !(f->sees[dir] >> kind & 1) && !f->busy && !(f->bits & stops[dir]);
}

/* f does not see it. Apart from nu_arrive, whose common case would have to save registers for it.
 */
static __attribute__((noinline)) void go_past(struct nu_filter *f, enum nu_dir dir,
                                              struct nu_ev *ev)
{
    if (f->chain->state <= NU_CHAIN_LIVE)
        while (is_stepped_over(f, dir, ev->kind)) {
            note_arrival(f, dir, ev);
            f = pass_by(f, dir, ev);
            if (!f)
                return;
        }
    arrive_at(f, dir, ev);
}

void nu_arrive(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (f->sees[dir] >> ev->kind & 1)
        arrive_at(f, dir, ev);
    else
        go_past(f, dir, ev);
}

void nu_forward(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_chain *chain = f->chain;
    nu_assert(f->opened == 2 && chain->state != NU_CHAIN_CLOSING); /* not from open, not in close */
    if (!nu_chain_live(chain)) {
        nu_ev_free(ev);
        return;
    }
    nu_assert(chain->depth > 0);
    nu_assert(!nu_bit(f, NU_B_ENDED, dir));
    if (ev->kind == NU_END)
        note_end(f, dir, ev);
    struct nu_filter *next = leave_filter(f, dir, ev);
    if (next)
        nu_arrive(next, dir, ev);
}

void nu_forward_data(struct nu_filter *f, enum nu_dir dir, struct nu_slice data)
{
    struct nu_ev ev = nu_ev_data(data);
    nu_forward(f, dir, &ev);
}

void nu_forward_end(struct nu_filter *f, enum nu_dir dir, struct nu_result result)
{
    struct nu_ev ev = nu_ev_end(result);
    nu_forward(f, dir, &ev);
}

void nu_call(struct nu_filter *f, void (*fn)(struct nu_filter *f))
{
    struct nu_chain *chain = f->chain;
    if (chain->state > NU_CHAIN_LIVE)
        return;
    nu_assert(!f->busy); /* nor while the chain is being built: answers may not come at once */
    nu_chain_enter(chain);
    f->busy = 1;
    fn(f);
    nu_unbusy(f);
    nu_chain_leave(chain);
}

void nu_narrow(struct nu_filter *f, enum nu_dir dir, uint16_t kinds)
{
    f->sees[dir] &= (uint8_t)kinds;
}

/* Then who is before it hears of what is blocked ahead. */
static void unshield(struct nu_filter *f)
{
    if (!nu_bit(f, NU_B_SHIELD, NU_FWD) && !nu_bit(f, NU_B_SHIELD, NU_REV))
        return;
    nu_bit_set(f, NU_B_SHIELD, NU_FWD, false);
    nu_bit_set(f, NU_B_SHIELD, NU_REV, false);
    f->chain->dirty = 1;
}

void nu_bypass(struct nu_filter *f)
{
    f->bypassed = 1;
    unshield(f);
    nu_narrow(f, NU_FWD, 0);
    nu_narrow(f, NU_REV, 0);
    nu_release(f, NU_FWD);
    nu_release(f, NU_REV);
}

void nu_chain_signal(struct nu_chain *chain, enum nu_signal signal)
{
    nu_chain_enter(chain);
    for (struct nu_filter *f = chain->end[NU_REV]; f && nu_chain_live(chain); f = f->next[NU_FWD]) {
        if (!f->type->signal || f->bypassed)
            continue;
        nu_assert(!f->busy);
        f->busy = 1;
        f->type->signal(f, signal);
        nu_unbusy(f);
    }
    nu_chain_leave(chain);
}

static void timer_fired(struct nu_timer *base)
{
    struct nu_chain_timer *t = nu_container(base, struct nu_chain_timer, base);
    nu_call(t->filter, t->fn);
}

static bool is_timer(const struct nu_chain_timer *t, const struct nu_filter *f, unsigned slot)
{
    return t->filter == f && t->base.tag == slot;
}

static struct nu_chain_timer *timer_find(struct nu_filter *f, unsigned slot)
{
    struct nu_chain *chain = f->chain;
    if (is_timer(&chain->timer, f, slot))
        return &chain->timer;
    struct nu_chain_timer_more *t = chain->timers;
    while (t && !is_timer(&t->timer, f, slot))
        t = t->next;
    return t ? &t->timer : NULL;
}

/* The chain's own, if no other is set; that is for most all there is. */
static struct nu_chain_timer *timer_new(struct nu_filter *f, unsigned slot)
{
    struct nu_chain *chain = f->chain;
    struct nu_chain_timer *t = &chain->timer;
    if (t->filter) {
        struct nu_chain_timer_more *more = calloc(1, sizeof *more);
        nu_assert(more != NULL);
        more->next = chain->timers;
        chain->timers = more;
        t = &more->timer;
    }
    t->base.fn = timer_fired;
    t->base.tag = (uint16_t)slot;
    t->filter = f;
    return t;
}

void nu_timer_set(struct nu_filter *f, unsigned slot, int64_t ms, void (*fn)(struct nu_filter *f))
{
    struct nu_chain *chain = f->chain;
    if (chain->state > NU_CHAIN_LIVE)
        return;
    nu_assert(ms >= 0 && fn && slot < 8);
    struct nu_chain_timer *t = timer_find(f, slot);
    if (!t)
        t = timer_new(f, slot);
    t->fn = fn;
    nu_timer_arm(&chain->loop->timers, &t->base, chain->loop->now_ms + ms);
}

void nu_timer_stop(struct nu_filter *f, unsigned slot)
{
    struct nu_chain *chain = f->chain;
    struct nu_chain_timer *t = timer_find(f, slot);
    if (!t)
        return;
    nu_timer_disarm(&chain->loop->timers, &t->base);
    t->filter = NULL;
    if (t == &chain->timer)
        return;
    struct nu_chain_timer_more **at = &chain->timers, *more;
    while (&(*at)->timer != t)
        at = &(*at)->next;
    more = *at;
    *at = more->next;
    free(more);
}

int64_t nu_timer_due(struct nu_filter *f, unsigned slot)
{
    const struct nu_chain_timer *t = timer_find(f, slot);
    return t && nu_timer_armed(&t->base) ? t->base.due_ms : 0;
}

void nu_watch(struct nu_chain *chain,
              void (*fn)(struct nu_chain *, struct nu_filter *, enum nu_dir, const struct nu_ev *,
                         void *),
              void *ctx)
{
    if (!fn && !chain->rare)
        return;
    nu_chain_rare(chain)->watch = fn;
    chain->rare->watch_ctx = ctx;
}
