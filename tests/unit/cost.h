/* What code costs, in tests with a bound on it: time of this thread's CPU, which others on the
 * machine hardly lengthen, and how much slower a sanitizer may make it. */
#ifndef TESTS_UNIT_COST_H
#define TESTS_UNIT_COST_H

#include <stdlib.h>
#include <time.h>

/* CPU seconds of this thread. */
static inline double cost_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* `seconds` of a plain build, in this one: times NUNCIO_SLOW. */
static inline double cost_bound(double seconds)
{
    const char *slow = getenv("NUNCIO_SLOW");
    return slow ? seconds * atof(slow) : seconds;
}

/* `n` of something whose number is for the figures: a tenth under a sanitizer, which has none. */
static inline unsigned cost_count(unsigned n)
{
    return getenv("NUNCIO_SLOW") ? n / 10 : n;
}

#endif
