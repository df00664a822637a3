/* The life of a listener's config: used by connections without a chain, let go by one shard after
 * the other, freed on main. Its chains live on while connections pin them. */
#include "core/assert.h"
#include "l4/listener_priv.h"

void nu_chain_conf_free(struct nu_chain_conf *chain)
{
    nu_access_log_put(chain->log);
    nu_tally_put(chain->tally);
    nu_arena_free(chain->arena); /* the chain is in it */
}

static void release_chain(struct nu_counted *counted)
{
    nu_chain_conf_free(nu_container(counted, struct nu_chain_conf, counted));
}

struct nu_chain_conf *nu_chain_conf_new(struct nu_arena *arena, struct nu_tally *tally)
{
    struct nu_chain_conf *chain = nu_arena_alloc(arena, sizeof *chain);
    nu_counted_setup(&chain->counted, arena, release_chain);
    chain->arena = arena;
    chain->tally = nu_tally_ref(tally);
    chain->listener = tally->name;
    return chain;
}

/* The listener alone; its chains are their own. */
static void free_listener(struct listener *listener)
{
    nu_access_log_put(listener->log);
    nu_tally_put(listener->tally);
    nu_arena_free(listener->arena);
}

static void release_listener(struct nu_counted *counted)
{
    free_listener(nu_container(counted, struct listener, counted));
}

struct listener *nu_listener_new(unsigned shards)
{
    struct nu_arena *arena = nu_arena_new(1024);
    struct listener *listener = nu_arena_alloc(arena, sizeof *listener);
    nu_counted_setup(&listener->counted, arena, release_listener);
    listener->arena = arena;
    listener->side = nu_arena_alloc(arena, shards * sizeof *listener->side);
    return listener;
}

void nu_listener_free(struct listener *listener)
{
    for (size_t i = 0; i < listener->chain_count; i++)
        nu_chain_conf_free(listener->chains[i]);
    free_listener(listener);
}

/* The chains first: with the listener goes the list of them. */
static void let_go(struct listener *listener, unsigned shard)
{
    for (size_t i = 0; i < listener->chain_count; i++)
        nu_counted_retire_on(&listener->chains[i]->counted, shard);
    nu_counted_retire_on(&listener->counted, shard);
}

void nu_listener_retire_on(struct listener *listener, unsigned shard)
{
    struct listener_side *side = &listener->side[shard];
    nu_assert(!side->retired);
    side->retired = true;
    if (side->pre == 0)
        let_go(listener, shard);
}

void nu_listener_pre_begin(struct listener *listener, unsigned shard)
{
    nu_assert(!listener->side[shard].retired);
    listener->side[shard].pre++;
}

void nu_listener_pre_end(struct listener *listener, unsigned shard)
{
    struct listener_side *side = &listener->side[shard];
    nu_assert(side->pre > 0);
    if (--side->pre == 0 && side->retired)
        let_go(listener, shard);
}
