/* Building nested tables out of rules, and the walk down them; see match.h. The walk is depth
 * first: a key that leads nowhere falls back to the next less specific one. */
#include "l4/match_priv.h"

#include "core/assert.h"

#include <stdio.h>
#include <string.h>

/* One nest of tables. */
struct nest {
    const struct match_level *levels;
    unsigned depth;
    struct match_node *root;
};

struct nu_match {
    struct nest all;     /* leads to the rules' values */
    struct nest sniffed; /* leads to `yes` or `no`; root NULL: no rule needs a sniff */
};

static char yes, no; /* leaves of the second nest */

/* A table that wants sealing once it is full. */
struct unsealed {
    struct unsealed *next;
    const struct match_level *level;
    void *keys;
};

/* A nest being built, one rule after the other. */
struct build {
    struct nu_arena *arena, *scratch;
    struct nest *nest;
    struct nu_strmap *children; /* (node, key) -> child */
    struct unsealed *unsealed;
    const struct nu_match_rule *rule;
    void *leaf;
    void *taken;                         /* the leaf that stood where this one should go */
    struct match_key path[MATCH_LEVELS]; /* to the leaf; len 0: any */
};

static void build_start(struct build *b, struct nu_arena *arena, struct nest *nest,
                        const struct match_level *levels, unsigned depth)
{
    *nest = (struct nest){levels, depth, nu_arena_alloc(arena, sizeof *nest->root)};
    memset(b, 0, sizeof *b);
    b->arena = arena;
    b->scratch = nu_arena_new(1024);
    b->nest = nest;
    b->children = nu_strmap_new(NULL, NU_STRMAP_EXACT);
}

static void build_end(struct build *b)
{
    for (struct unsealed *u = b->unsealed; u; u = u->next)
        u->level->seal(u->keys);
    nu_strmap_free(b->children);
    nu_arena_free(b->scratch);
}

static void make_keys(struct build *b, struct match_node *node, const struct match_level *level)
{
    node->keys = level->make(b->arena);
    if (!level->seal)
        return;
    struct unsealed *u = nu_arena_alloc(b->scratch, sizeof *u);
    *u = (struct unsealed){b->unsealed, level, node->keys};
    b->unsealed = u;
}

/* The child of a node by the key of this level in the path, made if there is none. Equal keys lead
 * to one child. */
static void *child_by_key(struct build *b, struct match_node *node, unsigned at, void *fresh)
{
    const struct match_level *level = &b->nest->levels[at];
    const struct match_key *key = &b->path[at];
    char id[sizeof node + MATCH_KEY_MAX];
    memcpy(id, &node, sizeof node);
    memcpy(id + sizeof node, key->bytes, key->len);
    void *child = nu_strmap_get(b->children, id, sizeof node + key->len);
    if (child)
        return child;
    child = fresh ? fresh : nu_arena_alloc(b->arena, sizeof(struct match_node));
    if (!node->keys)
        make_keys(b, node, level);
    level->add(node->keys, key, child);
    nu_strmap_put(b->children, id, sizeof node + key->len, child);
    return child;
}

static void *child_any(struct build *b, struct match_node *node, void *fresh)
{
    if (!node->any)
        node->any = fresh ? fresh : nu_arena_alloc(b->arena, sizeof(struct match_node));
    return node->any;
}

static enum nu_err insert(struct build *b, struct match_node *node, unsigned at);

/* One key of this level, or any: on to the next level, or to the leaf. */
static enum nu_err descend(struct build *b, struct match_node *node, unsigned at)
{
    bool last = at + 1 == b->nest->depth;
    void *fresh = last ? b->leaf : NULL;
    void *child = b->path[at].len ? child_by_key(b, node, at, fresh) : child_any(b, node, fresh);
    if (!last)
        return insert(b, child, at + 1);
    b->taken = child;
    return child == b->leaf ? NU_OK : NU_ERR_EXISTS;
}

/* Every combination of the rule's keys from this level on. */
static enum nu_err insert(struct build *b, struct match_node *node, unsigned at)
{
    const struct match_level *level = &b->nest->levels[at];
    size_t count = level->count(b->rule);
    enum nu_err err = NU_OK;
    b->path[at].len = 0;
    if (count == 0)
        return descend(b, node, at);
    for (size_t i = 0; i < count && err == NU_OK; i++) {
        level->key(b->rule, i, &b->path[at]);
        err = descend(b, node, at);
    }
    return err;
}

/* "sni a.test, source 10.0.0.0/8": the path that two rules share. */
static const char *path_text(const struct build *b)
{
    const char *all = "";
    for (unsigned i = 0; i < b->nest->depth; i++) {
        char text[MATCH_KEY_MAX + 1];
        if (b->path[i].len == 0)
            continue;
        b->nest->levels[i].text(&b->path[i], text, sizeof text);
        all = nu_arena_printf(b->arena, "%s%s%s %s", all, *all ? ", " : "", b->nest->levels[i].name,
                              text);
    }
    return all;
}

static bool too_many(const struct nu_match_rule *rule)
{
    size_t product = 1;
    for (unsigned i = 0; i < MATCH_LEVELS; i++) {
        size_t count = match_levels[i].count(rule);
        product *= count ? count : 1;
        if (product > NU_MATCH_MAX_COMBINATIONS)
            return true;
    }
    return false;
}

static enum nu_err build_all(struct nest *nest, struct nu_arena *arena,
                             const struct nu_match_rule *rules, void *const *values, size_t count,
                             struct nu_match_clash *clash)
{
    struct build b;
    enum nu_err err = NU_OK;
    build_start(&b, arena, nest, match_levels, MATCH_LEVELS);
    for (size_t i = 0; i < count && err == NU_OK; i++) {
        clash->second = i;
        b.rule = &rules[i];
        b.leaf = values[i];
        err = too_many(b.rule) ? NU_ERR_LIMIT : insert(&b, nest->root, 0);
    }
    if (err == NU_ERR_EXISTS) {
        while (values[clash->first] != b.taken)
            clash->first++;
        clash->what = path_text(&b);
    }
    build_end(&b);
    return err;
}

static void build_sniffed(struct nest *nest, struct nu_arena *arena,
                          const struct nu_match_rule *rules, size_t count)
{
    struct build b;
    build_start(&b, arena, nest, match_sniff_levels, MATCH_SNIFF_LEVELS);
    for (size_t i = 0; i < count; i++) {
        b.rule = &rules[i];
        b.leaf = match_sniffed_count(b.rule) ? &yes : &no;
        insert(&b, nest->root, 0);
    }
    build_end(&b);
}

enum nu_err nu_match_build(struct nu_match **out, struct nu_arena *arena,
                           const struct nu_match_rule *rules, void *const *values, size_t count,
                           struct nu_match_clash *clash)
{
    struct nu_match *match = nu_arena_alloc(arena, sizeof *match);
    *clash = (struct nu_match_clash){.what = ""};
    *out = match;
    enum nu_err err = build_all(&match->all, arena, rules, values, count, clash);
    for (size_t i = 0; i < count && err == NU_OK; i++)
        if (match_sniffed_count(&rules[i])) {
            build_sniffed(&match->sniffed, arena, rules, count);
            break;
        }
    return err;
}

bool nu_match_is_any(const struct nu_match_rule *rule)
{
    for (unsigned i = 0; i < MATCH_LEVELS; i++)
        if (match_levels[i].count(rule))
            return false;
    return true;
}

const char *nu_match_text(const struct nu_match_rule *rule, struct nu_arena *arena)
{
    char all[MATCH_LEVELS * (MATCH_KEY_MAX + 32)] = "";
    size_t len = 0;
    for (unsigned i = 0; i < MATCH_LEVELS; i++) {
        const struct match_level *level = &match_levels[i];
        size_t count = level->count(rule);
        struct match_key key;
        char text[MATCH_KEY_MAX + 1];
        if (count == 0)
            continue;
        level->key(rule, 0, &key);
        level->text(&key, text, sizeof text);
        len += (size_t)sprintf(all + len, "%s%s=%s", len ? "," : "", level->name, text);
        if (count > 1)
            len += (size_t)sprintf(all + len, "+%zu", count - 1);
    }
    return nu_arena_strdup(arena, all);
}

static void *find(const struct nest *nest, const struct match_node *node, unsigned at,
                  const struct nu_match_input *in)
{
    if (at == nest->depth)
        return (void *)node;
    struct match_walk walk = {0};
    void *child, *found;
    while (node->keys && (child = nest->levels[at].next(node->keys, in, &walk)))
        if ((found = find(nest, child, at + 1, in)))
            return found;
    return node->any ? find(nest, node->any, at + 1, in) : NULL;
}

void *nu_match_find(const struct nu_match *match, const struct nu_match_input *in)
{
    return find(&match->all, match->all.root, 0, in);
}

bool nu_match_needs_sniff(const struct nu_match *match, const struct nu_addr *client,
                          const struct nu_addr *local)
{
    const struct nu_match_input in = {.client = client, .local = local};
    return match->sniffed.root && find(&match->sniffed, match->sniffed.root, 0, &in) == &yes;
}
