/* The trie of prefixes; see trie.h. A node holds the text of the edge that leads to it; the first
 * bytes of its children's texts stand in one array, searched at once by memchr. */
#include "l7/route/trie.h"

#include "core/assert.h"

#include <string.h>

struct route_trie {
    struct nu_text edge;
    void *value; /* NULL: no prefix ends here */
    uint16_t count, cap;
    unsigned char *first; /* of each child's edge */
    struct route_trie **child;
    struct nu_arena *arena; /* the root's; NULL in others */
};

struct route_trie *route_trie_new(struct nu_arena *arena)
{
    struct route_trie *trie = nu_arena_alloc(arena, sizeof *trie);
    trie->arena = arena;
    return trie;
}

static void add_child(struct nu_arena *arena, struct route_trie *node, struct route_trie *child)
{
    if (node->count == node->cap) {
        uint16_t cap = node->cap ? 2 * node->cap : 2;
        unsigned char *first = nu_arena_alloc(arena, cap);
        struct route_trie **children = nu_arena_alloc(arena, cap * sizeof(struct route_trie *));
        if (node->child) {
            memcpy(first, node->first, node->count);
            memcpy(children, node->child, node->count * sizeof(struct route_trie *));
        }
        node->first = first;
        node->child = children;
        node->cap = cap;
    }
    nu_assert(node->child != NULL);
    node->first[node->count] = (unsigned char)*child->edge.at;
    node->child[node->count++] = child;
}

/* The place of the child whose edge begins with `c`, or NULL. */
static struct route_trie **child_at(const struct route_trie *node, char c)
{
    const unsigned char *at = node->count ? memchr(node->first, c, node->count) : NULL;
    return at ? &node->child[at - node->first] : NULL;
}

static size_t common(struct nu_text a, struct nu_text b)
{
    size_t n = 0, most = a.len < b.len ? a.len : b.len;
    while (n < most && a.at[n] == b.at[n])
        n++;
    return n;
}

/* Puts a node in the midst of an edge, `len` bytes from its beginning. */
static struct route_trie *split(struct nu_arena *arena, struct route_trie **place, size_t len)
{
    struct route_trie *low = *place, *middle = nu_arena_alloc(arena, sizeof *middle);
    middle->edge = nu_text(low->edge.at, len);
    low->edge = nu_text(low->edge.at + len, low->edge.len - len);
    add_child(arena, middle, low);
    *place = middle;
    return middle;
}

void **route_trie_slot(struct route_trie *trie, struct nu_text prefix)
{
    struct route_trie *node = trie;
    while (prefix.len) {
        struct route_trie **place = child_at(node, *prefix.at);
        if (!place) {
            struct route_trie *leaf = nu_arena_alloc(trie->arena, sizeof *leaf);
            leaf->edge = prefix;
            add_child(trie->arena, node, leaf);
            return &leaf->value;
        }
        size_t same = common((*place)->edge, prefix);
        node = same < (*place)->edge.len ? split(trie->arena, place, same) : *place;
        prefix = nu_text(prefix.at + same, prefix.len - same);
    }
    return &node->value;
}

struct route_trie_walk route_trie_start(const struct route_trie *trie, struct nu_text path)
{
    return (struct route_trie_walk){trie, path};
}

/* Down one edge, if the path goes on along it. */
static const struct route_trie *step(const struct route_trie *node, struct nu_text *rest)
{
    struct route_trie **place = rest->len ? child_at(node, *rest->at) : NULL;
    if (!place)
        return NULL;
    struct nu_text edge = (*place)->edge;
    if (edge.len > rest->len || memcmp(edge.at, rest->at, edge.len) != 0)
        return NULL;
    *rest = nu_text(rest->at + edge.len, rest->len - edge.len);
    return *place;
}

void *route_trie_next(struct route_trie_walk *walk)
{
    while (walk->node) {
        void *value = walk->node->value;
        walk->node = step(walk->node, &walk->rest);
        if (value)
            return value;
    }
    return NULL;
}
