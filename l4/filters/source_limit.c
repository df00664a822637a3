/* source_limit: refuses connections of a source that has too many at once, or opens them too fast.
 *
 * A source is the network around a client's address (the PROXY header's word, where there is one);
 * one table counts for all workers, since a client's connections arrive at any of them. Clients
 * without an IP address pass.
 *
 * Faces: any. Sees: nothing, it decides in `open`. Stores a place in the table, which has a fixed
 * size. Holds nothing, has nothing to flush at END; `close` gives the place back. */
#include "core/arena.h"
#include "core/chain.h"
#include "core/conf/schema.h"
#include "core/table/source_table.h"
#include "l4/filters/filters_priv.h"

#include <inttypes.h>

enum figure { ACTIVE, SOURCES, LIMITED, RATE_LIMITED, TABLE_FULL };

static const struct nu_stat_def defs[] = {
    [ACTIVE] = {"active_connections",  NU_GAUGE,   NULL, "Connections now that are counted."  },
    [SOURCES] = {"active_sources",      NU_GAUGE,   NULL, "Sources that have a connection now."},
    [LIMITED] = {"limited_connections", NU_COUNTER, NULL,
                "Connections refused: their source has too many."                             },
    [RATE_LIMITED] = {"rate_limited",        NU_COUNTER, NULL,
                "Connections refused: their source opens them too fast."                      },
    [TABLE_FULL] = {"table_full",          NU_COUNTER, NULL,
                "Connections of a source that the table had no place for."                    },
};

const struct nu_stat_group nu_source_limit_stats =
    NU_STAT_GROUP("source_limit.<name>", "The source_limit filters of one name.", defs);

enum when_full { ALLOW, REFUSE };
static const char *const when_full[] = {"allow", "refuse", NULL};

struct source_conf {
    int64_t connections, rate, per_ms, burst, ipv4_prefix, ipv6_prefix, sources;
    int when_full;
    const char *name;
    struct nu_source_limit limit;
    struct nu_source_table *table;
    struct nu_stats *stats;
};

struct source {
    struct nu_filter filter;
    const struct source_conf *conf;
    struct nu_source *place; /* NULL: not counted */
};

static void count(const struct nu_filter *f, const struct source_conf *conf, enum figure figure,
                  int64_t n)
{
    nu_stat_add(conf->stats, nu_filter_loop(f)->shard, figure, n);
}

static enum nu_open refuse(struct nu_filter *f, const struct source_conf *conf,
                           enum nu_source_answer answer, const char *source)
{
    char per[32];
    if (answer == NU_SOURCE_TOO_MANY)
        nu_fail(f, NU_CAUSE_LIMIT, NU_SIDE_LOCAL, "source_limit: %s has %" PRId64 " connections",
                source, conf->connections);
    else if (answer == NU_SOURCE_TOO_FAST)
        nu_fail(f, NU_CAUSE_RATE, NU_SIDE_LOCAL,
                "source_limit: %s opens more than %" PRId64 " in %s", source, conf->rate,
                nu_duration_str(conf->per_ms, per));
    else
        nu_fail(f, NU_CAUSE_LIMIT, NU_SIDE_LOCAL,
                "source_limit: no place for %s among %" PRId64 " sources", source, conf->sources);
    return NU_REFUSE;
}

static enum nu_open not_counted(struct nu_filter *f, const struct source_conf *conf,
                                enum nu_source_answer answer, const struct nu_addr *client,
                                unsigned prefix)
{
    static const enum figure figures[] = {[NU_SOURCE_TOO_MANY] = LIMITED,
                                          [NU_SOURCE_TOO_FAST] = RATE_LIMITED,
                                          [NU_SOURCE_FULL] = TABLE_FULL};
    char text[NU_ADDR_TEXT_MAX + 8], ip[NU_ADDR_TEXT_MAX];
    count(f, conf, figures[answer], 1);
    if (answer == NU_SOURCE_FULL && conf->when_full == ALLOW)
        return NU_PASS;
    snprintf(text, sizeof text, "%s/%u", nu_addr_str_ip(client, ip), prefix);
    return refuse(f, conf, answer, text);
}

static enum nu_open source_open(struct nu_filter *f, const void *opaque)
{
    struct source *s = (struct source *)f;
    const struct source_conf *conf = opaque;
    const struct nu_addr *client = &nu_chain_facts(f->chain)->client;
    bool first;
    if (client->kind != NU_ADDR_IP4 && client->kind != NU_ADDR_IP6)
        return NU_PASS;
    unsigned prefix =
        (unsigned)(client->kind == NU_ADDR_IP4 ? conf->ipv4_prefix : conf->ipv6_prefix);
    enum nu_source_answer answer =
        nu_source_enter(conf->table, client, prefix, &conf->limit, nu_filter_loop(f)->now_ms * 1000,
                        &s->place, &first);
    if (answer != NU_SOURCE_IN)
        return not_counted(f, conf, answer, client, prefix);
    s->conf = conf;
    count(f, conf, ACTIVE, 1);
    count(f, conf, SOURCES, first);
    return NU_PASS;
}

static void source_close(struct nu_filter *f)
{
    const struct source *s = (struct source *)f;
    if (!s->place)
        return;
    count(f, s->conf, ACTIVE, -1);
    count(f, s->conf, SOURCES, -nu_source_leave(s->conf->table, s->place));
}

/* --- config --- */

static enum nu_err source_check(struct nu_conf *c, struct nu_arena *arena,
                                const struct nu_node *node, void *parsed)
{
    struct source_conf *conf = parsed;
    if (!conf->connections && !conf->rate) {
        nu_conf_error(c, node, "needs \"connections\" or \"rate\"");
        return NU_ERR_CONFIG;
    }
    if (conf->burst && !conf->rate) {
        nu_conf_error(c, nu_node_get(node, "burst"), "is of a \"rate\", and there is none");
        return NU_ERR_CONFIG;
    }
    conf->limit.connections = (uint32_t)conf->connections;
    if (!conf->rate)
        return NU_OK;
    int64_t burst = conf->burst ? conf->burst : conf->rate;
    conf->limit.interval_us = conf->per_ms * 1000 / conf->rate;
    conf->limit.burst_us = conf->limit.interval_us * (burst - 1);
    return NU_OK;
}

static void *make_table(int64_t sources)
{
    return nu_source_table_new((uint32_t)sources);
}

static void drop_table(void *table)
{
    nu_source_table_free(table);
}

static enum nu_err source_prepare(struct nu_generation *gen, struct nu_conf *c,
                                  struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct source_conf *conf = parsed;
    const char *key = conf->name ? conf->name : nu_filter_place(arena, node);
    if (key)
        key = nu_arena_printf(arena, "source_limit %s %" PRId64 " %s",
                              conf->name ? "name" : "place", conf->sources, key);
    conf->table = nu_filter_kept(arena, key, make_table, conf->sources, drop_table);
    if (!conf->table) {
        nu_conf_error(c, node, "no memory for %" PRId64 " sources", conf->sources);
        return NU_ERR_CONFIG;
    }
    conf->stats = nu_filter_stats(&nu_source_limit_stats, arena, "source_limit",
                                  conf->name ? conf->name : "default");
    return NU_OK;
}

static const struct nu_field fields[] = {
    {.key = "connections",
     .type = NU_INT,
     .offset = offsetof(struct source_conf, connections),
     .max = INT32_MAX,
     .doc = "Connections that a source may have at once, over all workers; 0 = any number."},
    {.key = "rate",
     .type = NU_INT,
     .offset = offsetof(struct source_conf, rate),
     .max = 100000,
     .doc = "Connections that a source may open in the time of `per`, evenly; 0 = any number."},
    {.key = "per",
     .type = NU_DURATION,
     .offset = offsetof(struct source_conf, per_ms),
     .fallback = "1s",
     .min = 100,
     .max = 86400000,
     .doc = "The time that `rate` is for."},
    {.key = "burst",
     .type = NU_INT,
     .offset = offsetof(struct source_conf, burst),
     .max = 1000000,
     .doc = "Connections that may come at once after a pause; 0 = as many as `rate`."},
    {.key = "ipv4_prefix",
     .type = NU_INT,
     .offset = offsetof(struct source_conf, ipv4_prefix),
     .fallback = "32",
     .min = 1,
     .max = 32,
     .doc = "How large a source is, in bits of an IPv4 address: with 24, the 256 addresses of a "
            "/24 count together."},
    {.key = "ipv6_prefix",
     .type = NU_INT,
     .offset = offsetof(struct source_conf, ipv6_prefix),
     .fallback = "64",
     .min = 1,
     .max = 128,
     .doc = "The same for IPv6, where a single customer has a /64 or more."},
    {.key = "sources",
     .type = NU_INT,
     .offset = offsetof(struct source_conf, sources),
     .fallback = "65536",
     .min = 64,
     .max = NU_SOURCE_TABLE_MAX,
     .doc =
         "Sources that are known at one time: those with a connection, or with a recent one that "
         "still counts for the rate. 33 bytes each. A few find no place once two thirds are "
         "taken."},
    {.key = "when_full",
     .type = NU_ENUM,
     .offset = offsetof(struct source_conf, when_full),
     .fallback = "allow",
     .choices = when_full,
     .doc = "What becomes of a source that there is no place for: `allow` lets it in uncounted, "
            "`refuse` does not. Sources that are known stay limited in either case."},
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct source_conf, name),
     .doc = "Filters of one name (and of as many `sources`) count together; without, each counts "
            "for itself. Stats are source_limit.<name>.*, or source_limit.default.*."},
    {0                                                                         }
};

static const struct nu_schema schema = {
    .name = "source_limit",
    .doc = "Refuses connections of a source that has too many at once or opens them too fast. What "
           "was counted stays over a reload, as long as `sources`, and the name or the names of "
           "listener and chain are the same.",
    .size = sizeof(struct source_conf),
    .fields = fields,
    .scalar = "connections",
    .check = source_check,
};

const struct nu_filter_type nu_filter_source_limit = {
    .name = "source_limit",
    .doc = "Limits the connections of each source, and how fast it opens them.",
    .size = sizeof(struct source),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .schema = &schema,
    .prepare = source_prepare,
    .open = source_open,
    .close = source_close,
};
