/* Config objects that connections pin: a chain's config, a cluster. Counted per worker without a
 * shared write; freed on the main thread when retired there and pinned by nobody.
 *
 * A connection pins and unpins on its own worker. Retiring goes by message: when the last worker
 * has let go, `release` is called on the main thread. */
#ifndef NU_CORE_COUNTED_H
#define NU_CORE_COUNTED_H

#include "core/arena.h"
#include "core/list.h"

#include <stdint.h>

struct nu_counted {
    void (*release)(struct nu_counted *object); /* main thread; frees it */
    struct nu_list link;                        /* free for the owner until retired */
    _Atomic uint32_t left;                      /* shards that have not let go yet */
    uint32_t *cell; /* by shard: pins * 2 + retired; written by its shard only */
};

/* How many shards there are, and how the last worker has main call release (worker.c; tests call it
 * at once). */
void nu_counted_init(unsigned shards, void (*to_main)(struct nu_counted *object));
/* Cells come from the arena that the object lives in. */
void nu_counted_setup(struct nu_counted *object, struct nu_arena *arena,
                      void (*release)(struct nu_counted *object));
/* On a shard that has let go already: only while the caller knows of a pin elsewhere that stays
 * meanwhile, as a leg's owner by its chain's config does. */
void nu_pin(struct nu_counted *object, unsigned shard);
void nu_unpin(struct nu_counted *object, unsigned shard);
/* This shard will not be first to pin it; every shard (main too) says so once. */
void nu_counted_retire_on(struct nu_counted *object, unsigned shard);
/* Pins of all shards; exact only when nothing moves. */
uint32_t nu_counted_pins(const struct nu_counted *object);

#endif
