/* connection_limit: refuses connections beyond a number at once, over all workers.
 *
 * The count belongs to the filter's place in the config, or to its name, and goes on over a reload.
 *
 * Faces: any. Sees: nothing, it decides in `open`. Stores nothing, holds nothing, has nothing to
 * flush at END; `close` gives the place back. */
#include "core/arena.h"
#include "core/assert.h"
#include "core/chain.h"
#include "core/conf/schema.h"
#include "l4/filters/filters_priv.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

enum stat { ACTIVE, LIMITED };

static const struct nu_stat_def defs[] = {
    [ACTIVE] = {"active_connections",  NU_GAUGE,   NULL, "Connections now."    },
    [LIMITED] = {"limited_connections", NU_COUNTER, NULL, "Connections refused."},
};

const struct nu_stat_group nu_connection_limit_stats =
    NU_STAT_GROUP("connection_limit.<name>", "The connection_limit filters of one name.", defs);

/* Connections at once. */
struct tally {
    _Atomic int64_t active;
};

struct limit_conf {
    int64_t max;
    const char *name;
    struct tally *tally;
    struct nu_stats *stats;
};

struct limit {
    struct nu_filter filter;
    const struct limit_conf *conf; /* NULL: has no place */
};

static enum nu_open limit_open(struct nu_filter *f, const void *opaque)
{
    const struct limit_conf *conf = opaque;
    unsigned shard = nu_filter_loop(f)->shard;
    if (atomic_fetch_add_explicit(&conf->tally->active, 1, memory_order_relaxed) < conf->max) {
        ((struct limit *)f)->conf = conf;
        nu_stat_add(conf->stats, shard, ACTIVE, 1);
        return NU_PASS;
    }
    atomic_fetch_sub_explicit(&conf->tally->active, 1, memory_order_relaxed);
    nu_stat_add(conf->stats, shard, LIMITED, 1);
    nu_fail(f, NU_CAUSE_LIMIT, NU_SIDE_LOCAL, "connection_limit: %" PRId64 " connections at once",
            conf->max);
    return NU_REFUSE;
}

static void limit_close(struct nu_filter *f)
{
    const struct limit_conf *conf = ((struct limit *)f)->conf;
    if (!conf)
        return;
    atomic_fetch_sub_explicit(&conf->tally->active, 1, memory_order_relaxed);
    nu_stat_add(conf->stats, nu_filter_loop(f)->shard, ACTIVE, -1);
}

static void *make_tally(int64_t size)
{
    struct tally *t = calloc(1, (size_t)size);
    nu_assert(t != NULL);
    return t;
}

static enum nu_err limit_prepare(struct nu_generation *gen, struct nu_conf *c,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct limit_conf *conf = parsed;
    const char *key = conf->name ? conf->name : nu_filter_place(arena, node);
    if (key)
        key = nu_arena_printf(arena, "connection_limit %s %s", conf->name ? "name" : "place", key);
    conf->tally = nu_filter_kept(arena, key, make_tally, sizeof *conf->tally, free);
    conf->stats = nu_filter_stats(&nu_connection_limit_stats, arena, "connection_limit",
                                  conf->name ? conf->name : "default");
    return NU_OK;
}

static const struct nu_field fields[] = {
    {.key = "max",
     .type = NU_INT,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct limit_conf, max),
     .min = 1,
     .max = INT32_MAX,
     .doc = "Connections at once, over all workers; more are closed at once."},
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct limit_conf, name),
     .doc =
         "Filters of one name count together; without, each counts for itself. A reload goes on "
         "counting, as long as the name, or the names of listener and chain, are the same. Stats "
         "are connection_limit.<name>.*, or connection_limit.default.*."},
    {0               }
};

static const struct nu_schema schema = {
    .name = "connection_limit",
    .doc = "Refuses connections beyond a number at once.",
    .size = sizeof(struct limit_conf),
    .fields = fields,
    .scalar = "max",
};

const struct nu_filter_type nu_filter_connection_limit = {
    .name = "connection_limit",
    .doc = "Refuses connections beyond a number at once.",
    .size = sizeof(struct limit),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .schema = &schema,
    .prepare = limit_prepare,
    .open = limit_open,
    .close = limit_close,
};
