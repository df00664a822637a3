/* What the bench's clients count and print: exchanges, errors, latencies. Each program includes it
 * once; one thread. */
#ifndef NU_BENCH_MEASURE_H
#define NU_BENCH_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_LATENCIES ((size_t)1 << 22) /* kept for percentiles; later ones only count */

static struct {
    size_t units, errors;
    float latency_us[MAX_LATENCIES];
} measured;

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One exchange, complete. */
static inline void measured_one(double asked_at)
{
    if (measured.units < MAX_LATENCIES)
        measured.latency_us[measured.units] = (float)((now() - asked_at) * 1e6);
    measured.units++;
}

static inline int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* `units N seconds S p50 US p99 US errors N` */
static inline void measured_print(double seconds)
{
    size_t kept = measured.units < MAX_LATENCIES ? measured.units : MAX_LATENCIES;
    qsort(measured.latency_us, kept, sizeof measured.latency_us[0], by_value);
    double p50 = kept ? (double)measured.latency_us[kept / 2] : 0;
    double p99 = kept ? (double)measured.latency_us[kept * 99 / 100] : 0;
    printf("units %zu seconds %.3f p50 %.0f p99 %.0f errors %zu\n", measured.units, seconds, p50,
           p99, measured.errors);
}

#endif
