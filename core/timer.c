/* A binary heap of timers; see timer.h. */
#include "core/timer.h"

#include "core/assert.h"

#include <stdlib.h>

static void put(struct nu_timers *ts, uint32_t at, struct nu_timer *t)
{
    ts->heap[at] = t;
    t->at = at + 1;
}

/* Among those due together the ones of earlier rounds come first; a wrapped counter only mixes
 * them. */
static bool before(const struct nu_timer *a, const struct nu_timer *b)
{
    if (a->due_ms != b->due_ms)
        return a->due_ms < b->due_ms;
    return (int16_t)(a->round - b->round) < 0;
}

static void sift_up(struct nu_timers *ts, uint32_t at, struct nu_timer *t)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (!before(t, ts->heap[parent]))
            break;
        put(ts, at, ts->heap[parent]);
        at = parent;
    }
    put(ts, at, t);
}

static void sift_down(struct nu_timers *ts, uint32_t at, struct nu_timer *t)
{
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= ts->count)
            break;
        if (child + 1 < ts->count && before(ts->heap[child + 1], ts->heap[child]))
            child++;
        if (!before(ts->heap[child], t))
            break;
        put(ts, at, ts->heap[child]);
        at = child;
    }
    put(ts, at, t);
}

void nu_timer_arm(struct nu_timers *ts, struct nu_timer *t, int64_t due_ms)
{
    nu_assert(t->fn != NULL);
    nu_timer_disarm(ts, t);
    t->due_ms = due_ms < ts->ran_ms ? ts->ran_ms : due_ms;
    t->round = ts->round;
    if (ts->count == ts->cap) {
        ts->cap = ts->cap ? ts->cap * 2 : 64;
        ts->heap = realloc(ts->heap, ts->cap * sizeof *ts->heap);
        nu_assert(ts->heap != NULL);
    }
    sift_up(ts, ts->count++, t);
}

void nu_timer_disarm(struct nu_timers *ts, struct nu_timer *t)
{
    if (!t->at)
        return;
    uint32_t at = t->at - 1;
    nu_assert(at < ts->count && ts->heap[at] == t);
    t->at = 0;
    struct nu_timer *last = ts->heap[--ts->count];
    if (last == t)
        return;
    if (at > 0 && before(last, ts->heap[(at - 1) / 2]))
        sift_up(ts, at, last);
    else
        sift_down(ts, at, last);
}

unsigned nu_timers_run(struct nu_timers *ts, int64_t now_ms)
{
    unsigned calls = 0;
    ts->round++;
    ts->ran_ms = now_ms;
    while (ts->count && ts->heap[0]->due_ms <= now_ms) {
        struct nu_timer *t = ts->heap[0];
        if (t->round == ts->round)
            break; /* armed by one of these callbacks; so is all that is behind it */
        nu_timer_disarm(ts, t);
        t->fn(t);
        calls++;
    }
    return calls;
}

int64_t nu_timers_next(const struct nu_timers *ts)
{
    return ts->count ? ts->heap[0]->due_ms : -1;
}

void nu_timers_free(struct nu_timers *ts)
{
    nu_assert(ts->count == 0);
    free(ts->heap);
    *ts = (struct nu_timers){0};
}
