/* connection_limit: refuses connections beyond a number at once, over all workers.
 *
 * The count belongs to the filter's place in the config; under a `name` it is shared by all places
 * of that name and goes on over a reload.
 *
 * Faces: any. Sees: nothing, it decides in `open`. Stores nothing, holds nothing, has nothing to
 * flush at END; `close` gives the place back. */
#include "core/arena.h"
#include "core/assert.h"
#include "core/chain.h"
#include "core/conf/schema.h"
#include "core/table/strmap.h"
#include "l4/filters/filters_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum stat { ACTIVE, LIMITED };

static const struct nu_stat_def defs[] = {
    [ACTIVE] = {"active_connections",  NU_GAUGE,   NULL, "Connections now."    },
    [LIMITED] = {"limited_connections", NU_COUNTER, NULL, "Connections refused."},
};

const struct nu_stat_group nu_connection_limit_stats =
    NU_STAT_GROUP("connection_limit.<name>", "The connection_limit filters of one name.", defs);

/* Connections at once; one for a name, else one for a config. */
struct tally {
    _Atomic int64_t active;
    const char *name; /* NULL: not shared */
    unsigned refs;    /* configs; main thread */
};

static struct nu_strmap *named; /* name -> struct tally; main thread */

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

static struct tally *tally_get(const char *name)
{
    struct tally *t = name && named ? nu_strmap_get_str(named, name) : NULL;
    if (!t) {
        t = calloc(1, sizeof *t + (name ? strlen(name) + 1 : 0));
        nu_assert(t != NULL);
    }
    if (name && !t->name) {
        t->name = strcpy((char *)(t + 1), name);
        named = named ? named : nu_strmap_new(NULL, NU_STRMAP_EXACT);
        nu_strmap_put_str(named, name, t);
    }
    t->refs++;
    return t;
}

static void tally_put(void *ctx)
{
    struct tally *t = ctx;
    if (--t->refs)
        return;
    if (t->name)
        nu_strmap_del(named, t->name, strlen(t->name));
    if (named && nu_strmap_count(named) == 0) {
        nu_strmap_free(named);
        named = NULL;
    }
    free(t);
}

static enum nu_err limit_prepare(struct nu_generation *gen, struct nu_conf *c,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct limit_conf *conf = parsed;
    conf->tally = tally_get(conf->name);
    nu_arena_on_free(arena, tally_put, conf->tally);
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
     .doc = "Filters of one name count together, also over a reload; without, each counts for "
            "itself, and a reload begins at 0. Stats are connection_limit.<name>.*, or "
            "connection_limit.default.*."},
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
