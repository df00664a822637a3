/* ip_filter: lets a client in or not, by its address (the PROXY header's word, where there is one).
 *
 * The longest prefix that holds the address decides; of two equal ones the denying one does. What
 * no prefix holds is let in, unless there is an allow list. Lists stand in the config or in files,
 * which are watched (ip_list.h).
 *
 * Faces: any. Sees: nothing, it decides in `open`. Stores nothing, holds nothing, has nothing to
 * flush at END and nothing to cancel in `close`. */
#include "core/arena.h"
#include "core/chain.h"
#include "core/conf/schema.h"
#include "core/stats.h"
#include "l4/filters/filters_priv.h"
#include "l4/filters/ip_list.h"

#define FILES_MAX 16 /* list files of one filter: each is a lookup of every connection */

enum figure { ALLOWED, DENIED };

static const struct nu_stat_def defs[] = {
    [ALLOWED] = {"allowed", NU_COUNTER, NULL, "Connections let in." },
    [DENIED] = {"denied",  NU_COUNTER, NULL, "Connections refused."},
};

const struct nu_stat_group nu_ip_filter_stats =
    NU_STAT_GROUP("ip_filter.<name>", "The ip_filter filters of one name.", defs);

/* A list to look into: a file's, or one that stands in the config. */
struct source {
    struct nu_ip_list *file;           /* NULL: in the config */
    const struct nu_cidr_table *fixed; /* in the config */
    bool allows;
};

struct ip_filter_conf {
    const char *name;
    struct nu_vec allow, deny;           /* struct nu_addr */
    struct nu_vec allow_file, deny_file; /* const char *: paths */
    struct source *sources;
    unsigned count;
    struct nu_stats *stats;
};

/* The best prefix so far. */
struct verdict {
    const struct source *source; /* NULL: none holds the address */
    struct nu_addr prefix;
    uint32_t line; /* in the file */
};

static void look(const struct source *source, const struct nu_addr *client, unsigned shard,
                 struct verdict *best)
{
    struct nu_cidr_iter it;
    const struct nu_cidr_table *table =
        source->file ? nu_ip_list_table(source->file, shard) : source->fixed;
    const void *found = nu_cidr_find(table, client, &it);
    if (!found)
        return;
    struct nu_addr prefix = nu_cidr_prefix(&it);
    if (best->source && best->prefix.prefix >= prefix.prefix)
        return;
    *best = (struct verdict){source, prefix, source->file ? nu_prefix_line(found) : 0};
}

static enum nu_open denied(struct nu_filter *f, const struct nu_addr *client,
                           const struct verdict *why)
{
    char ip[NU_ADDR_TEXT_MAX], prefix[NU_ADDR_TEXT_MAX];
    nu_addr_str_ip(client, ip);
    nu_addr_str_ip(&why->prefix, prefix);
    if (!why->source)
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "ip_filter: %s is on no allow list", ip);
    else if (why->source->file)
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "ip_filter: %s denied by %s/%u (%s:%u)", ip,
                prefix, why->prefix.prefix, nu_ip_list_name(why->source->file), why->line);
    else
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "ip_filter: %s denied by %s/%u", ip, prefix,
                why->prefix.prefix);
    return NU_REFUSE;
}

static enum nu_open ip_filter_open(struct nu_filter *f, const void *opaque)
{
    const struct ip_filter_conf *conf = opaque;
    const struct nu_addr *client = &nu_chain_facts(f->chain)->client;
    unsigned shard = nu_filter_loop(f)->shard;
    struct verdict best = {0};
    for (unsigned i = 0; i < conf->count; i++)
        look(&conf->sources[i], client, shard, &best);
    bool only_listed = conf->allow.count + conf->allow_file.count > 0;
    bool allows = best.source ? best.source->allows : !only_listed;
    nu_stat_add(conf->stats, shard, allows ? ALLOWED : DENIED, 1);
    return allows ? NU_PASS : denied(f, client, &best);
}

/* --- config --- */

static void add_fixed(struct ip_filter_conf *conf, struct nu_arena *arena,
                      const struct nu_vec *list, bool allows)
{
    struct nu_addr *prefix = list->items;
    if (list->count == 0)
        return;
    struct nu_cidr_table *table = nu_cidr_new(arena);
    for (size_t i = 0; i < list->count; i++)
        nu_cidr_add(table, &prefix[i], &prefix[i]);
    nu_cidr_seal_unique(table);
    conf->sources[conf->count++] = (struct source){.fixed = table, .allows = allows};
}

static void put_list(void *list)
{
    nu_ip_list_put(list);
}

static void report(struct nu_conf *c, const struct nu_node *node, const char *path,
                   const struct nu_prefix_fault *fault)
{
    char more[64] = "";
    if (fault->others)
        snprintf(more, sizeof more, " (lines that are wrong as well: %u)", fault->others);
    if (fault->line)
        nu_conf_error(c, node, "%s:%u: %s%s", path, fault->line, fault->what, more);
    else
        nu_conf_error(c, node, "%s %s", path, fault->what);
}

static enum nu_err add_files(struct ip_filter_conf *conf, struct nu_conf *c, struct nu_arena *arena,
                             const struct nu_node *node, const struct nu_vec *paths, bool allows)
{
    enum nu_err err = NU_OK;
    const char *const *path = paths->items;
    for (size_t i = 0; i < paths->count; i++) {
        struct nu_prefix_fault fault;
        struct nu_ip_list *list = nu_ip_list_get(path[i], &fault);
        if (!list) {
            report(c, node->kind == NU_NODE_LIST ? node->child[i] : node, path[i], &fault);
            err = NU_ERR_CONFIG;
            continue;
        }
        nu_arena_on_free(arena, put_list, list);
        conf->sources[conf->count++] = (struct source){.file = list, .allows = allows};
    }
    return err;
}

/* Denying lists first: of equal prefixes the first one found counts. */
static enum nu_err add_sources(struct ip_filter_conf *conf, struct nu_conf *c,
                               struct nu_arena *arena, const struct nu_node *node)
{
    add_fixed(conf, arena, &conf->deny, false);
    enum nu_err deny =
        add_files(conf, c, arena, nu_node_get(node, "deny_file"), &conf->deny_file, false);
    add_fixed(conf, arena, &conf->allow, true);
    enum nu_err allow =
        add_files(conf, c, arena, nu_node_get(node, "allow_file"), &conf->allow_file, true);
    return deny ? deny : allow;
}

static enum nu_err ip_filter_prepare(struct nu_generation *gen, struct nu_conf *c,
                                     struct nu_arena *arena, const struct nu_node *node,
                                     void *parsed)
{
    struct ip_filter_conf *conf = parsed;
    size_t files = conf->allow_file.count + conf->deny_file.count;
    if (conf->allow.count + conf->deny.count + files == 0) {
        nu_conf_error(c, node,
                      "needs \"allow\" or \"deny\", lists of networks, or \"allow_file\" or "
                      "\"deny_file\", files with such lists");
        return NU_ERR_CONFIG;
    }
    if (files > FILES_MAX) {
        nu_conf_error(c, node, "a filter has at most %d list files, this one has %zu", FILES_MAX,
                      files);
        return NU_ERR_CONFIG;
    }
    conf->stats = nu_filter_stats(&nu_ip_filter_stats, arena, "ip_filter", conf->name);
    conf->sources = nu_arena_alloc(arena, (2 + files) * sizeof *conf->sources);
    return add_sources(conf, c, arena, node);
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
    {.key = "allow_file",
     .type = NU_FILE,
     .flags = NU_LIST | NU_NONEMPTY,
     .offset = offsetof(struct ip_filter_conf, allow_file),
     .doc = "Files with networks that are let in, one a line, `#` begins a comment. They are "
            "watched: a changed file serves within a second, a wrong one is logged and changes "
            "nothing. A file without any network lets nobody in."},
    {.key = "deny_file",
     .type = NU_FILE,
     .flags = NU_LIST | NU_NONEMPTY,
     .offset = offsetof(struct ip_filter_conf, deny_file),
     .doc = "Files with networks that are refused; the same."},
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct ip_filter_conf, name),
     .fallback = "default",
     .doc = "Of its stats, ip_filter.<name>.*; filters may share one."},
    {0}
};

static const struct nu_schema schema = {
    .name = "ip_filter",
    .doc = "Lets clients in by address. Where several networks hold it, in whatever list, the "
           "smallest "
           "decides; of two equal ones, the denied one.",
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
