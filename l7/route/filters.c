/* The HTTP filters of each route: the http filter's list, with what the route has instead. Filters
 * without an override are read once; their config is the same object in all routes. Main thread. */
#include "l7/route/route_priv.h"

#include "core/assert.h"
#include "core/conf/tree.h"
#include "l4/chain_conf.h"
#include "l7/ws/websocket.h"

#include <string.h>
#include <strings.h>

/* A list being put together: items of the config, or what stands for them. */
struct merge {
    struct route_filters *filters;
    const struct nu_node *overrides;
    struct nu_place *places; /* room for all */
    unsigned count;
    enum nu_err err;
};

static uint32_t list_count(const struct nu_node *list)
{
    if (!list || nu_node_is_null(list))
        return 0;
    return list->kind == NU_NODE_LIST ? list->count : 1;
}

static const struct nu_node *nth(const struct nu_node *list, uint32_t i)
{
    return list->kind == NU_NODE_LIST ? list->child[i] : list;
}

/* The filter's name in an item of the list, or NULL: it is broken. */
static const char *name_of(const struct nu_node *item)
{
    if (item->kind == NU_NODE_MAP)
        return item->count == 1 ? item->child[0]->key : NULL;
    return item->kind == NU_NODE_SCALAR ? item->text : NULL;
}

static bool is_off(const struct nu_node *node)
{
    static const char *const words[] = {"off", "false", "no"};
    for (size_t i = 0; node->kind == NU_NODE_SCALAR && !node->quoted && i < 3; i++)
        if (strcasecmp(node->text, words[i]) == 0)
            return true;
    return false;
}

/* --- the http filter's own list --- */

/* The places with ends around those that speak WebSocket (rule U3). */
static const struct nu_place *with_ends(const struct route_filters *f,
                                        const struct nu_place *places, unsigned count,
                                        unsigned *out_count)
{
    struct nu_place *out = nu_arena_alloc(f->arena, 3 * (size_t)count * sizeof *out);
    *out_count = nu_ws_put_ends(places, count, out);
    return out;
}

/* The place in the list of the i-th of those with ends. */
static unsigned without_ends(const struct nu_place *places, unsigned i)
{
    unsigned ends = 0;
    for (unsigned k = 0; k < i; k++)
        ends += places[k].type == &nu_ws_open || places[k].type == &nu_ws_shut;
    return i - ends;
}

static enum nu_err check_order(const struct route_filters *f, const struct nu_place *places,
                               unsigned count, const struct nu_node *list)
{
    const char *why;
    int bad = nu_chain_check(places, count, NU_FACE_NONE, f->arena, &why);
    if (bad < 0)
        return NU_OK;
    unsigned at = without_ends(places, (unsigned)bad);
    bool item = at > 0 && at <= list_count(list) && list->kind == NU_NODE_LIST;
    nu_conf_error(f->conf, item ? nth(list, at - 1) : list, "wrong chain order: %s", why);
    return NU_ERR_CONFIG;
}

static enum nu_err too_many(const struct route_filters *f, const struct nu_node *list, size_t count)
{
    if (count <= NU_CHAIN_CONF_MAX_FILTERS)
        return NU_OK;
    nu_conf_error(f->conf, list, "a chain has at most %d filters, this one has %zu",
                  NU_CHAIN_CONF_MAX_FILTERS, count);
    return NU_ERR_CONFIG;
}

static enum nu_err read_base(struct route_filters *f)
{
    uint32_t count = list_count(f->list);
    enum nu_err err = NU_OK;
    struct nu_place *places = nu_arena_alloc(f->arena, (count + 2) * sizeof *places);
    f->base = places;
    f->base_count = count + 2;
    if (f->list && f->list->broken)
        return NU_ERR_CONFIG;
    if (too_many(f, f->list, count))
        return NU_ERR_CONFIG;
    f->whole = places;
    f->whole_count = f->base_count;
    places[0] = f->left;
    for (uint32_t i = 0; i < count; i++)
        if (nu_chain_conf_filter(f->gen, f->conf, f->arena, nth(f->list, i), &places[1 + i]))
            err = NU_ERR_CONFIG;
    places[1 + count] = f->right;
    if (err)
        return err;
    f->whole = with_ends(f, places, f->base_count, &f->whole_count);
    if (too_many(f, f->list, f->whole_count - 2))
        return NU_ERR_CONFIG;
    return check_order(f, f->whole, f->whole_count, f->list);
}

enum nu_err route_filters_base(struct route_filters *f)
{
    enum nu_err err = read_base(f);
    f->base_bad = err != NU_OK;
    return err;
}

/* --- a route's --- */

/* An item {name: options} of what stands under the name in a map. */
static const struct nu_node *item_of(struct nu_arena *scratch, const struct nu_node *options)
{
    struct nu_node *item = nu_arena_alloc(scratch, sizeof *item);
    *item = (struct nu_node){.kind = NU_NODE_MAP, .count = 1, .parent = options->parent};
    item->child = nu_arena_alloc(scratch, sizeof *item->child);
    item->child[0] = (struct nu_node *)options;
    return item;
}

static void add_override(struct merge *m, struct nu_arena *scratch, const struct nu_node *options)
{
    const struct route_filters *f = m->filters;
    struct nu_place place;
    if (nu_chain_conf_filter(f->gen, f->conf, f->arena, item_of(scratch, options), &place)) {
        m->err = NU_ERR_CONFIG;
        return;
    }
    m->places[m->count++] = place;
}

static bool in_base(const struct route_filters *f, const char *name)
{
    for (uint32_t i = 0; i < list_count(f->list); i++) {
        const char *other = name_of(nth(f->list, i));
        if (other && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

static void report_not_there(struct merge *m, struct nu_arena *scratch, const struct nu_node *node)
{
    const struct route_filters *f = m->filters;
    uint32_t count = list_count(f->list), n = 0;
    const char **names = nu_arena_alloc(scratch, (count + 1) * sizeof *names);
    for (uint32_t i = 0; i < count; i++)
        if ((names[n] = name_of(nth(f->list, i))))
            n++;
    m->err = NU_ERR_CONFIG;
    if (n < count) /* one that cannot be read may have been meant */
        return;
    nu_conf_error_key(f->conf, node, "\"%s\" is off already: it is not in the http filter's list",
                      node->key);
    nu_conf_guess(f->conf, nu_did_you_mean(node->key, names, n));
}

static void merge_base(struct merge *m, struct nu_arena *scratch)
{
    const struct route_filters *f = m->filters;
    for (uint32_t i = 0; i < list_count(f->list); i++) {
        const char *name = name_of(nth(f->list, i));
        const struct nu_node *instead = name ? nu_node_get(m->overrides, name) : NULL;
        if (!instead)
            m->places[m->count++] = f->base[1 + i];
        else if (!is_off(instead))
            add_override(m, scratch, instead);
    }
}

static void merge_more(struct merge *m, struct nu_arena *scratch)
{
    for (uint32_t i = 0; i < m->overrides->count; i++) {
        const struct nu_node *node = m->overrides->child[i];
        if (in_base(m->filters, node->key))
            continue;
        if (is_off(node))
            report_not_there(m, scratch, node);
        else
            add_override(m, scratch, node);
    }
}

enum nu_err route_filters_of(struct route_filters *f, struct nu_arena *scratch,
                             const struct nu_node *overrides, struct route *r)
{
    r->route.places = f->whole;
    r->route.place_count = f->whole_count;
    if (!overrides || nu_node_is_null(overrides))
        return NU_OK;
    if (overrides->kind != NU_NODE_MAP || overrides->broken) {
        if (!overrides->broken)
            nu_conf_error(f->conf, overrides, "expected a map of filters to options, or off");
        return NU_ERR_CONFIG;
    }
    if (f->list && f->list->broken)
        return NU_ERR_CONFIG;
    size_t most = f->base_count + overrides->count;
    struct merge m = {f, overrides, nu_arena_alloc(f->arena, most * sizeof *m.places), 0, NU_OK};
    m.places[m.count++] = f->left;
    merge_base(&m, scratch);
    merge_more(&m, scratch);
    m.places[m.count++] = f->right;
    if (m.err || f->base_bad)
        return NU_ERR_CONFIG;
    r->route.places = with_ends(f, m.places, m.count, &r->route.place_count);
    if (too_many(f, overrides, r->route.place_count - 2))
        return NU_ERR_CONFIG;
    return check_order(f, r->route.places, r->route.place_count, overrides);
}
