/* Whether this process wants new work; see serving.h. */
#include "core/serving.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic bool failed, draining;

static bool is_set(const _Atomic bool *flag)
{
    return atomic_load_explicit(flag, memory_order_relaxed);
}

bool nu_serving(void)
{
    return !is_set(&failed) && !is_set(&draining);
}

const char *nu_serving_why_not(void)
{
    if (is_set(&draining))
        return "draining";
    return is_set(&failed) ? "told to fail health checks" : NULL;
}

void nu_serving_set_failed(bool to)
{
    atomic_store_explicit(&failed, to, memory_order_relaxed);
}

void nu_serving_set_draining(void)
{
    atomic_store_explicit(&draining, true, memory_order_relaxed);
}
