/* Pins counted by shard; see counted.h. */
#include "core/counted.h"

#include "core/assert.h"

#define RETIRED 1u
#define ONE_PIN 2u

static unsigned shard_count = 1;
static void (*send_to_main)(struct nu_counted *object);

void nu_counted_init(unsigned shards, void (*to_main)(struct nu_counted *object))
{
    shard_count = shards;
    send_to_main = to_main;
}

void nu_counted_setup(struct nu_counted *o, struct nu_arena *arena,
                      void (*release)(struct nu_counted *object))
{
    o->release = release;
    o->left = shard_count;
    o->cell = nu_arena_alloc(arena, shard_count * sizeof *o->cell);
}

/* Cells are written by one thread and read by none but it; relaxed atomics keep nu_counted_pins
 * honest. */
static uint32_t cell_get(const struct nu_counted *o, unsigned shard)
{
    return __atomic_load_n(&o->cell[shard], __ATOMIC_RELAXED);
}

static void cell_set(struct nu_counted *o, unsigned shard, uint32_t value)
{
    __atomic_store_n(&o->cell[shard], value, __ATOMIC_RELAXED);
    if (value != RETIRED)
        return;
    if (--o->left == 0)
        send_to_main(o);
}

void nu_pin(struct nu_counted *o, unsigned shard)
{
    if (cell_get(o, shard) == RETIRED) { /* it had let go */
        unsigned others = o->left++;
        nu_assert(others > 0);
    }
    cell_set(o, shard, cell_get(o, shard) + ONE_PIN);
}

void nu_unpin(struct nu_counted *o, unsigned shard)
{
    nu_assert(cell_get(o, shard) >= ONE_PIN);
    cell_set(o, shard, cell_get(o, shard) - ONE_PIN);
}

void nu_counted_retire_on(struct nu_counted *o, unsigned shard)
{
    nu_assert(!(cell_get(o, shard) & RETIRED));
    cell_set(o, shard, cell_get(o, shard) | RETIRED);
}

uint32_t nu_counted_pins(const struct nu_counted *o)
{
    uint32_t pins = 0;
    for (unsigned i = 0; i < shard_count; i++)
        pins += cell_get(o, i) / ONE_PIN;
    return pins;
}
