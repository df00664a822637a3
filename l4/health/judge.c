/* Thresholds; see judge.h. */
#include "l4/health/judge.h"

#include "core/assert.h"

#include <stddef.h>

const char *nu_health_turn_str(enum nu_health_turn turn)
{
    static const char *const names[] = {"same", "coming", "up", "down"};
    nu_assert((unsigned)turn < sizeof names / sizeof *names);
    return names[turn];
}

/* The one place where it is assigned. Sets carry it to workers; who reads it here and now gets a
 * hint, so no order is needed. */
static void set_bits(struct nu_endpoint *e, unsigned bits)
{
    atomic_store_explicit(&e->health, (uint8_t)bits, memory_order_relaxed);
}

static enum nu_health_turn decide(struct nu_endpoint *e, bool healthy)
{
    e->checks.checked = true;
    e->checks.passed = e->checks.missed = 0;
    set_bits(e, healthy ? 0 : NU_ENDPOINT_FAILED);
    return healthy ? NU_HEALTH_UP : NU_HEALTH_DOWN;
}

/* One more towards the other state; what was counted towards this one is void. */
static enum nu_health_turn count(struct nu_endpoint *e, bool passed, int64_t wanted)
{
    uint16_t *row = passed ? &e->checks.passed : &e->checks.missed;
    return ++*row >= wanted ? decide(e, passed) : NU_HEALTH_COMING;
}

enum nu_health_turn nu_health_judge(struct nu_endpoint *e,
                                    const struct nu_health_thresholds *thresholds, bool passed)
{
    bool failed = e->health & NU_ENDPOINT_FAILED;
    if (!e->checks.checked)
        return decide(e, passed);
    if (passed != failed) { /* more of what it is */
        e->checks.passed = e->checks.missed = 0;
        return NU_HEALTH_SAME;
    }
    return count(e, passed, passed ? thresholds->healthy : thresholds->unhealthy);
}

void nu_health_begin(struct nu_endpoint *e, bool usable)
{
    e->checks.checked = false;
    e->checks.passed = e->checks.missed = 0;
    set_bits(e, NU_ENDPOINT_PENDING | (usable ? 0 : NU_ENDPOINT_FAILED));
}

void nu_health_forget(struct nu_endpoint *e)
{
    e->checks = (struct nu_endpoint_checks){0};
    set_bits(e, 0);
}
