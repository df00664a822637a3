/* Filter lists of a config; see chain_conf.h. */
#include "l4/chain_conf.h"

#include "core/assert.h"
#include "core/registry.h"

#include <string.h>

/* One item of the list on its way to a place. */
struct item {
    const struct nu_node *node;    /* in the list */
    const struct nu_node *options; /* a map, or the short form of one; may be a default */
    const char *name;
    bool named_by_key; /* {name: options}; else the name is the value */
};

struct reader {
    struct nu_generation *gen;
    struct nu_conf *conf;
    struct nu_arena *arena;
    struct nu_arena *scratch; /* nodes that stand in no file; gone with the reader */
    enum nu_face face;        /* what comes in */
};

/* An empty map that stands in no file: errors in it are shown at the item. */
static const struct nu_node *no_options(const struct reader *r, const struct nu_node *node)
{
    struct nu_node *none = nu_arena_alloc(r->scratch, sizeof *none);
    *none =
        (struct nu_node){.kind = NU_NODE_MAP, .key = node->text, .parent = (struct nu_node *)node};
    return none;
}

/* Most likely options that lack their indentation. */
static void report_many(const struct reader *r, const struct nu_node *node)
{
    if (nu_node_is_null(node->child[0]))
        nu_conf_error_key(r->conf, node->child[1],
                          "\"%s\" stands beside \"%s\": a filter's options are indented below its "
                          "name",
                          node->child[1]->key, node->child[0]->key);
    else
        nu_conf_error(r->conf, node, "found %u keys, expected one: a filter's name and its options",
                      node->count);
}

static enum nu_err read_item(const struct reader *r, const struct nu_node *node, struct item *out)
{
    bool map = node->kind == NU_NODE_MAP;
    *out = (struct item){.node = node, .named_by_key = map};
    if (node->broken)
        return NU_ERR_CONFIG;
    if (map && node->count == 1) {
        out->options = node->child[0];
        out->name = node->child[0]->key;
    } else if (node->kind == NU_NODE_SCALAR && !nu_node_is_null(node)) {
        out->name = node->text;
        out->options = no_options(r, node);
    } else if (map && node->count > 1) {
        report_many(r, node);
        return NU_ERR_CONFIG;
    } else {
        nu_conf_error(r->conf, node, "expected a filter: a name, or {name: options}");
        return NU_ERR_CONFIG;
    }
    return out->options->broken ? NU_ERR_CONFIG : NU_OK;
}

/* Reports at the filter's name, wherever that stands. */
static void report(const struct reader *r, const struct item *item, const char *fmt,
                   const char *text)
{
    if (item->named_by_key)
        nu_conf_error_key(r->conf, item->options, fmt, text);
    else
        nu_conf_error(r->conf, item->node, fmt, text);
}

static const struct nu_filter_type *find_type(const struct reader *r, const struct item *item)
{
    const struct nu_filter_type *type = nu_registry_find(item->name);
    unsigned count;
    if (type && !(type->flags & NU_F_INTERNAL))
        return type;
    if (nu_registry_is_later(item->name)) {
        report(r, item, "filter \"%s\" is not in this version", item->name);
        return NULL;
    }
    const char *const *names = nu_registry_names(&count);
    report(r, item, "unknown filter \"%s\"", item->name);
    nu_conf_guess(r->conf, nu_did_you_mean(item->name, names, count));
    return NULL;
}

static enum nu_err no_schema(const struct reader *r, const struct item *item)
{
    const struct nu_node *options = item->options;
    if (nu_node_is_null(options) || (options->kind == NU_NODE_MAP && options->count == 0))
        return NU_OK;
    nu_conf_error(r->conf, options, "%s has no options", item->name);
    return NU_ERR_CONFIG;
}

/* What the filter's open will get. */
static enum nu_err parse_options(const struct reader *r, const struct item *item,
                                 struct nu_place *place)
{
    const struct nu_filter_type *type = place->type;
    void *parsed = NULL;
    enum nu_err err = NU_OK;
    if (type->schema) {
        parsed = nu_arena_alloc(r->arena, type->schema->size);
        err = nu_schema_parse(type->schema, r->conf, r->arena, item->options, parsed);
    } else {
        err = no_schema(r, item);
    }
    if (err == NU_OK && type->prepare)
        err = type->prepare(r->gen, r->conf, r->arena, item->options, parsed);
    else if (err && type->check_names)
        type->check_names(r->gen, r->conf, item->options);
    place->conf = parsed;
    return err;
}

static enum nu_err read_filter(const struct reader *r, const struct nu_node *node,
                               struct nu_place *place)
{
    struct item item;
    if (read_item(r, node, &item) != NU_OK)
        return NU_ERR_CONFIG;
    place->type = find_type(r, &item);
    return place->type ? parse_options(r, &item, place) : NU_ERR_CONFIG;
}

/* The i-th of a list, where a bare value is a list of one. */
static const struct nu_node *nth(const struct nu_node *list, unsigned i)
{
    return list->kind == NU_NODE_LIST ? list->child[i] : list;
}

static enum nu_err check_order(const struct reader *r, const struct nu_node *list,
                               const struct nu_place *places, unsigned count)
{
    const char *why;
    int bad = nu_chain_check(places, count, r->face, r->scratch, &why);
    if (bad < 0)
        return NU_OK;
    nu_conf_error(r->conf, nth(list, (unsigned)bad), "wrong chain order: %s", why);
    return NU_ERR_CONFIG;
}

static enum nu_err read_list(const struct reader *r, const struct nu_node *list,
                             struct nu_place *places, unsigned count)
{
    enum nu_err err = NU_OK;
    bool all_known = true;
    for (unsigned i = 0; i < count; i++) {
        if (read_filter(r, nth(list, i), &places[i]) != NU_OK)
            err = NU_ERR_CONFIG;
        all_known = all_known && places[i].type;
    }
    if (all_known && check_order(r, list, places, count) != NU_OK)
        err = NU_ERR_CONFIG;
    return err;
}

/* How many there are, if that is a number that a chain may have. */
static enum nu_err count_items(struct nu_conf *conf, const struct nu_node *list,
                               const struct nu_node *owner, unsigned *count)
{
    *count = 0;
    if (!list) {
        nu_conf_error_in(conf, owner, "missing key \"filters\"");
        return NU_ERR_CONFIG;
    }
    if (list->broken)
        return NU_ERR_CONFIG;
    *count = list->kind == NU_NODE_LIST ? list->count : !nu_node_is_null(list);
    if (*count == 0)
        nu_conf_error(conf, list, "a chain needs a filter");
    else if (*count > NU_CHAIN_CONF_MAX_FILTERS)
        nu_conf_error(conf, list, "a chain has at most %d filters, this one has %u",
                      NU_CHAIN_CONF_MAX_FILTERS, *count);
    return *count == 0 || *count > NU_CHAIN_CONF_MAX_FILTERS ? NU_ERR_CONFIG : NU_OK;
}

unsigned nu_ext_places(const struct nu_ext_values *values, struct nu_arena *owner,
                       struct nu_place out[static NU_EXT_PLACES_MAX])
{
    unsigned n = 0;
    for (const struct nu_ext *e = *values->schema->ext; e && values->slots; e = e->next) {
        void *value = nu_ext_get(values->slots, e);
        if (!value || !e->place)
            continue;
        nu_assert(n < NU_EXT_PLACES_MAX);
        e->place(value, owner, &out[n++]);
    }
    return n;
}

enum nu_err nu_chain_conf_filters(struct nu_generation *gen, struct nu_conf *conf,
                                  struct nu_arena *arena, enum nu_face face,
                                  const struct nu_node *list, const struct nu_node *owner,
                                  const struct nu_ext_values *left, const struct nu_place **out,
                                  unsigned *count)
{
    unsigned n, first;
    *out = NULL;
    *count = 0;
    if (count_items(conf, list, owner, &n) != NU_OK)
        return NU_ERR_CONFIG;
    struct reader r = {gen, conf, arena, nu_arena_new(256), face};
    struct nu_place *places = nu_arena_alloc(arena, (n + NU_EXT_PLACES_MAX) * sizeof *places);
    first = nu_ext_places(left, arena, places);
    enum nu_err err = read_list(&r, list, places + first, n);
    nu_arena_free(r.scratch);
    if (err != NU_OK)
        return err;
    *out = places;
    *count = first + n;
    return NU_OK;
}

enum nu_err nu_chain_conf_filter(struct nu_generation *gen, struct nu_conf *conf,
                                 struct nu_arena *arena, const struct nu_node *item,
                                 struct nu_place *out)
{
    struct reader r = {gen, conf, arena, nu_arena_new(256), NU_FACE_NONE};
    *out = (struct nu_place){0};
    enum nu_err err = read_filter(&r, item, out);
    nu_arena_free(r.scratch);
    return err;
}
