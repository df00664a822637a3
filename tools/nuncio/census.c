/* Counting the connections of all workers: one round of posts at a time; who asks while one is
 * under way waits for the next, so that no answer is older than its question. Main thread, but for
 * count_here. */
#include "tools/nuncio/server.h"

#include "core/worker.h"
#include "l4/listener.h"

#include <inttypes.h>
#include <stdatomic.h>

static struct {
    struct nu_list next, running; /* waiters */
    bool counting;
    _Atomic uint64_t sum;
} census;

static void begin(void);

static void count_here(struct nu_worker *worker, void *arg)
{
    atomic_fetch_add_explicit(&census.sum, nu_listener_connections(worker), memory_order_relaxed);
}

static void counted(void *ctx)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, atomic_load(&census.sum));
    census.counting = false;
    nu_waiters_tell(&census.running, true, text);
    if (!census.counting && !nu_list_empty(&census.next))
        begin();
}

static void begin(void)
{
    nu_list_take(&census.running, &census.next);
    atomic_store(&census.sum, 0);
    census.counting = true;
    nu_workers_all(count_here, NULL, counted, NULL);
}

void nu_census(struct nu_waiter *waiter)
{
    if (!census.next.next)
        nu_list_init(&census.next);
    nu_list_add_tail(&census.next, &waiter->link);
    if (!census.counting)
        begin();
}
