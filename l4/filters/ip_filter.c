/* ip_filter: lets a client in or not, by its address (the PROXY header's word, where there is one).
 *
 * The longest prefix that holds the address decides; of two equal ones the denying one does. What
 * no prefix holds is let in, unless there is an allow list.
 *
 * Faces: any. Sees: nothing, it decides in `open`. Stores nothing, holds nothing, has nothing to
 * flush at END and nothing to cancel in `close`. */
#include "core/arena.h"
#include "core/chain.h"
#include "core/conf/schema.h"
#include "core/stats.h"
#include "core/table/cidr.h"
#include "l4/filters/filters_priv.h"

enum stat { ALLOWED, DENIED };

static const struct nu_stat_def defs[] = {
    [ALLOWED] = {"allowed", NU_COUNTER, NULL, "Connections let in." },
    [DENIED] = {"denied",  NU_COUNTER, NULL, "Connections refused."},
};

const struct nu_stat_group nu_ip_filter_stats =
    NU_STAT_GROUP("ip_filter.<name>", "The ip_filter filters of one name.", defs);

/* A prefix on a list. */
struct rule {
    const struct nu_addr *prefix;
    bool allows;
};

struct ip_filter_conf {
    const char *name;
    struct nu_vec allow, deny; /* struct nu_addr */
    struct nu_cidr_table *table;
    struct nu_stats *stats;
};

static enum nu_open denied(struct nu_filter *f, const struct nu_addr *client,
                           const struct rule *rule)
{
    char ip[NU_ADDR_TEXT_MAX], prefix[NU_ADDR_TEXT_MAX];
    nu_addr_str_ip(client, ip);
    if (rule)
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "ip_filter: %s denied by %s/%u", ip,
                nu_addr_str_ip(rule->prefix, prefix), rule->prefix->prefix);
    else
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "ip_filter: %s is on no allow list", ip);
    return NU_REFUSE;
}

static enum nu_open ip_filter_open(struct nu_filter *f, const void *opaque)
{
    const struct ip_filter_conf *conf = opaque;
    const struct nu_addr *client = &nu_chain_facts(f->chain)->client;
    struct nu_cidr_iter it;
    const struct rule *rule = nu_cidr_find(conf->table, client, &it);
    bool allows = rule ? rule->allows : conf->allow.count == 0;
    nu_stat_add(conf->stats, nu_filter_loop(f)->shard, allows ? ALLOWED : DENIED, 1);
    return allows ? NU_PASS : denied(f, client, rule);
}

static void add_rules(struct ip_filter_conf *conf, struct nu_arena *arena,
                      const struct nu_vec *list, bool allows)
{
    const struct nu_addr *prefix = list->items;
    for (size_t i = 0; i < list->count; i++) {
        struct rule *rule = nu_arena_alloc(arena, sizeof *rule);
        *rule = (struct rule){&prefix[i], allows};
        nu_cidr_add(conf->table, &prefix[i], rule);
    }
}

static enum nu_err ip_filter_prepare(struct nu_generation *gen, struct nu_conf *c,
                                     struct nu_arena *arena, const struct nu_node *node,
                                     void *parsed)
{
    struct ip_filter_conf *conf = parsed;
    if (conf->allow.count + conf->deny.count == 0) {
        nu_conf_error(c, node, "needs \"allow\" or \"deny\", lists of networks");
        return NU_ERR_CONFIG;
    }
    conf->table = nu_cidr_new(arena);
    add_rules(conf, arena, &conf->deny, false); /* first: of equal prefixes the first is found */
    add_rules(conf, arena, &conf->allow, true);
    nu_cidr_seal(conf->table);
    conf->stats = nu_filter_stats(&nu_ip_filter_stats, arena, "ip_filter", conf->name);
    return NU_OK;
}

static const struct nu_field fields[] = {
    {.key = "allow",
     .type = NU_CIDR,
     .flags = NU_LIST | NU_NONEMPTY,
     .offset = offsetof(struct ip_filter_conf, allow),
     .doc = "Networks that are let in; with this list, all others are refused."},
    {.key = "deny",
     .type = NU_CIDR,
     .flags = NU_LIST | NU_NONEMPTY,
     .offset = offsetof(struct ip_filter_conf, deny),
     .doc = "Networks that are refused."},
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct ip_filter_conf, name),
     .fallback = "default",
     .doc = "Of its stats, ip_filter.<name>.*; filters may share one."},
    {0                             }
};

static const struct nu_schema schema = {
    .name = "ip_filter",
    .doc =
        "Lets clients in by address. Where networks of both lists hold it, the smallest decides; "
        "of two equal ones, deny.",
    .size = sizeof(struct ip_filter_conf),
    .fields = fields,
};

const struct nu_filter_type nu_filter_ip_filter = {
    .name = "ip_filter",
    .doc = "Lets clients in by address.",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .schema = &schema,
    .prepare = ip_filter_prepare,
    .open = ip_filter_open,
};
