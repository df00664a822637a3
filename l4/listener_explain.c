/* The part of `nuncio explain` that is about listeners: which chain takes a connection, and what
 * the first condition is that each of the others has against it. Conditions are read from the
 * config again, one chain at a time, through the levels that the lookup is made of (match_priv.h).
 * Main thread. */
#include "core/assert.h"
#include "l4/listener_priv.h"
#include "l4/match_priv.h"

#include <string.h>

#define LISTED 3 /* values in a line */

struct telling {
    struct nu_conf *conf;
    FILE *out;
    struct nu_match_input in;
};

static char yes;

/* Whether one of the rule's keys of a level fits. */
static bool level_fits(const struct match_level *level, const struct nu_match_rule *rule,
                       const struct nu_match_input *in, struct nu_arena *arena)
{
    struct nu_strmap *seen = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    void *keys = level->make(arena);
    struct match_walk walk = {0};
    for (size_t i = 0; i < level->count(rule); i++) {
        struct match_key key;
        level->key(rule, i, &key);
        if (!nu_strmap_put(seen, key.bytes, key.len, &yes))
            level->add(keys, &key, &yes);
    }
    if (level->seal)
        level->seal(keys);
    nu_strmap_free(seen);
    return level->next(keys, in, &walk) != NULL;
}

/* The first level with keys of which none fits, or NULL. */
static const struct match_level *first_miss(const struct nu_match_rule *rule,
                                            const struct nu_match_input *in, struct nu_arena *arena)
{
    for (unsigned i = 0; i < MATCH_LEVELS; i++)
        if (match_levels[i].count(rule) && !level_fits(&match_levels[i], rule, in, arena))
            return &match_levels[i];
    return NULL;
}

static void tell_miss(const struct telling *t, const struct match_level *level,
                      const struct nu_match_rule *rule)
{
    size_t count = level->count(rule);
    fprintf(t->out, "%s is not", level->name);
    for (size_t i = 0; i < count && i < LISTED; i++) {
        struct match_key key;
        char text[MATCH_KEY_MAX + 1];
        level->key(rule, i, &key);
        level->text(&key, text, sizeof text);
        fprintf(t->out, "%s %s", i ? "," : "", text);
    }
    if (count > LISTED)
        fprintf(t->out, " and %zu more", count - LISTED);
    fputc('\n', t->out);
}

static const struct nu_node *chain_node(const struct listener *l, size_t i)
{
    const struct nu_node *list = nu_node_get(l->node, "chains");
    if (!list)
        return NULL;
    return list->kind == NU_NODE_LIST ? list->child[i] : list;
}

static void tell_chain(const struct telling *t, const struct listener *l, size_t i,
                       const struct nu_chain_conf *chosen)
{
    struct nu_arena *arena = nu_arena_new(1024);
    const struct nu_node *node = chain_node(l, i),
                         *match = node ? nu_node_get(node, "match") : NULL;
    struct nu_match_rule rule = {0};
    if (match)
        nu_schema_parse(&nu_match_schema, t->conf, arena, match, &rule);
    const struct match_level *miss = first_miss(&rule, &t->in, arena);
    fprintf(t->out, "  chain %s: ", l->chains[i]->name);
    if (miss)
        tell_miss(t, miss, &rule);
    else if (chosen)
        fprintf(t->out, "%s is more specific\n", chosen->name);
    nu_arena_free(arena);
}

static const struct listener_bind *bind_of(const struct listener *l, uint16_t port)
{
    for (size_t i = 0; i < l->bind_count; i++)
        if (port == 0 || l->binds[i].addr.port == port)
            return &l->binds[i];
    return NULL;
}

static void tell_listener(struct telling *t, const struct listener *l,
                          const struct listener_bind *bind, nu_chosen_fn *chosen, void *ctx)
{
    bool own = t->in.local == NULL;
    if (own)
        t->in.local = &bind->addr;
    const struct nu_chain_conf *found = nu_match_find(l->match, &t->in);
    fprintf(t->out, "listener %s\n", l->tally->name);
    for (size_t i = 0; i < l->chain_count; i++) {
        if (l->chains[i] != found) {
            tell_chain(t, l, i, found);
            continue;
        }
        fprintf(t->out, "  chain %s takes it\n", found->name);
        chosen(found, t->out, ctx);
    }
    if (!found)
        fputs("  no chain takes it: it is closed\n", t->out);
    if (own)
        t->in.local = NULL;
}

unsigned nu_listeners_explain(const struct nu_listeners *listeners, struct nu_conf *conf,
                              uint16_t port, const struct nu_match_input *in, FILE *out,
                              nu_chosen_fn *chosen, void *ctx)
{
    struct telling t = {conf, out, *in};
    unsigned told = 0;
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *l = listeners->item[i];
        const struct listener_bind *bind = l->is_udp ? NULL : bind_of(l, port);
        if (!bind)
            continue;
        tell_listener(&t, l, bind, chosen, ctx);
        told++;
    }
    return told;
}
