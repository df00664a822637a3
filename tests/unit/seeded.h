/* Random numbers for property tests. The seed is always the same, so that a commit has one verdict;
 * NU_SEED gives another. It is printed. `make soak` tries many. */
#ifndef TESTS_UNIT_SEEDED_H
#define TESTS_UNIT_SEEDED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct seeded {
    uint64_t state;
};

static inline struct seeded seeded_start(const char *what)
{
    const char *given = getenv("NU_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 1;
    printf("%s: NU_SEED=%llu\n", what, (unsigned long long)seed);
    return (struct seeded){.state = seed * 2 + 1};
}

/* splitmix64. */
static inline uint64_t seeded_next(struct seeded *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 to n-1. */
static inline unsigned seeded_below(struct seeded *r, unsigned n)
{
    return (unsigned)(seeded_next(r) % n);
}

#endif
