/* Timers of one loop: a heap of intrusive timers, due in milliseconds of the loop's clock.
 * Timeouts are lazy: activity stores a time stamp, and the timer looks at it when it fires. */
#ifndef NU_CORE_TIMER_H
#define NU_CORE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct nu_timer {
    int64_t due_ms;
    void (*fn)(struct nu_timer *timer); /* called unarmed; may arm it again or free it */
    uint32_t at;                        /* place in the heap + 1; 0 = not armed */
    uint16_t round;                     /* the run before which it was armed */
    uint16_t tag;                       /* its owner's */
};

struct nu_timers {
    struct nu_timer **heap;
    uint32_t count, cap;
    uint16_t round;
    int64_t ran_ms; /* when they last ran */
};

static inline bool nu_timer_armed(const struct nu_timer *timer)
{
    return timer->at != 0;
}

/* Arms or moves a timer; a new one must be zeroed but for `fn`. Due in the past is due now. */
void nu_timer_arm(struct nu_timers *timers, struct nu_timer *timer, int64_t due_ms);
/* No call after this returns. Unarmed is fine. */
void nu_timer_disarm(struct nu_timers *timers, struct nu_timer *timer);
/* Calls all that are due, earliest first; returns how many. Timers armed for now by a callback wait
 * for the next run. */
unsigned nu_timers_run(struct nu_timers *timers, int64_t now_ms);
/* When the next one is due, or -1. */
int64_t nu_timers_next(const struct nu_timers *timers);
/* Frees the heap; no timer may be armed. */
void nu_timers_free(struct nu_timers *timers);

#endif
