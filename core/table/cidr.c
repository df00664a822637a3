/* Longest-prefix match: a trie whose nodes look at six bits, found by counting bits as in
 * "Poptrie" (Asai and Ohara, SIGCOMM 2015), and skip the bits that all prefixes below them share,
 * as Patricia does. Skipped bits are not compared on the way down; the prefix found at the bottom
 * is checked, and where it does not hold the address, its next shorter one is tried: the true match
 * is always among those. Shorter prefixes are linked, which is also what a caller iterates. */
#include "core/table/cidr.h"

#include "core/arena.h"
#include "core/assert.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STEP_BITS 6
#define SLOTS     (1 << STEP_BITS)
#define NODE_FLAG 0x80000000u /* in a root: the rest is a node's number, else a prefix's */

/* An address from its first bit on; IPv4 fills the first 32. */
__extension__ typedef unsigned __int128 key_bits;

struct prefix {
    key_bits bits;
    void *value;
    uint32_t shorter; /* the next shorter prefix around it; until sealed: its turn of being added */
    uint8_t len;
    uint8_t kind; /* enum nu_addr_kind */
};

struct node {
    uint64_t children; /* slots that lead to a node */
    uint64_t runs;     /* slots where another leaf than that of the slot before begins */
    uint32_t first_child, first_leaf;
    uint8_t at; /* the first of its six bits */
};

/* Prefixes are numbered from 1, so that 0 is none. */
struct nu_cidr_table {
    struct prefix *prefixes;
    struct node *nodes;
    uint32_t *leaves; /* prefixes */
    uint32_t count, cap, nodes_len, nodes_cap, leaves_len, leaves_cap;
    uint32_t root[NU_ADDR_IP6 + 1]; /* by kind of address */
    bool sealed;
    struct nu_arena *arena;
};

static void free_parts(void *ctx)
{
    struct nu_cidr_table *table = ctx;
    free(table->prefixes);
    free(table->nodes);
    free(table->leaves);
}

struct nu_cidr_table *nu_cidr_new(struct nu_arena *arena)
{
    struct nu_cidr_table *table =
        arena ? nu_arena_alloc(arena, sizeof *table) : calloc(1, sizeof *table);
    nu_assert(table != NULL);
    table->arena = arena;
    if (arena)
        nu_arena_on_free(arena, free_parts, table);
    return table;
}

void nu_cidr_free(struct nu_cidr_table *table)
{
    if (!table)
        return;
    nu_assert(!table->arena);
    free_parts(table);
    free(table);
}

/* Room for `more` elements; numbers stay below NODE_FLAG. */
static void *reserve(void *array, uint32_t len, uint32_t *cap, uint32_t more, size_t size)
{
    nu_assert(len + (uint64_t)more < NODE_FLAG);
    if (len + more <= *cap)
        return array;
    uint64_t want = *cap ? *cap : SLOTS;
    while (want < len + more)
        want += want / 2;
    *cap = (uint32_t)want;
    array = reallocarray(array, *cap, size);
    nu_assert(array != NULL);
    return array;
}

static void *shrink(void *array, uint32_t len, uint32_t *cap, size_t size)
{
    if (len == 0 || len == *cap)
        return array;
    array = reallocarray(array, len, size);
    nu_assert(array != NULL);
    *cap = len;
    return array;
}

static bool is_ip(const struct nu_addr *addr)
{
    return addr->kind == NU_ADDR_IP4 || addr->kind == NU_ADDR_IP6;
}

static key_bits bits_of(const struct nu_addr *addr)
{
    key_bits bits = 0;
    unsigned len = addr->kind == NU_ADDR_IP4 ? 4 : 16;
    for (unsigned i = 0; i < len; i++)
        bits |= (key_bits)addr->ip[i] << (120 - 8 * i);
    return bits;
}

static key_bits mask_of(unsigned len)
{
    return len ? ~(key_bits)0 << (128 - len) : 0;
}

static bool covers(const struct prefix *p, key_bits bits)
{
    return ((p->bits ^ bits) & mask_of(p->len)) == 0;
}

void nu_cidr_add(struct nu_cidr_table *table, const struct nu_addr *prefix, void *value)
{
    nu_assert(value != NULL && !table->sealed && is_ip(prefix));
    nu_assert(prefix->prefix <= (prefix->kind == NU_ADDR_IP4 ? 32 : 128));
    table->prefixes =
        reserve(table->prefixes, table->count, &table->cap, 1, sizeof *table->prefixes);
    table->prefixes[table->count] = (struct prefix){
        .bits = bits_of(prefix) & mask_of(prefix->prefix),
        .value = value,
        .shorter = table->count,
        .len = prefix->prefix,
        .kind = prefix->kind,
    };
    table->count++;
}

/* By kind, then in the order of a walk through the trie: what covers stands before what it covers.
 * Of equal ones the first added comes last, as if it were the longest. */
static int by_place(const void *pa, const void *pb)
{
    const struct prefix *a = pa, *b = pb;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->bits != b->bits)
        return a->bits < b->bits ? -1 : 1;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return a->shorter > b->shorter ? -1 : 1;
}

/* In that order the one before, or one of those around it, is the next shorter. */
static void link_shorter(struct nu_cidr_table *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        struct prefix *p = &table->prefixes[i];
        uint32_t s = i;
        while (s && (table->prefixes[s - 1].kind != p->kind ||
                     !covers(&table->prefixes[s - 1], p->bits)))
            s = table->prefixes[s - 1].shorter;
        p->shorter = s;
    }
}

/* Prefixes lo to hi-1 by place, all of them below one slot whose own leaf is `leaf`. */
struct range {
    uint32_t lo, hi, leaf;
};

/* Takes off the prefixes that cover all the others, each being the slot's leaf then. False when
 * nothing is left: the slot is but a leaf. */
static bool narrow(const struct nu_cidr_table *table, struct range *r)
{
    while (r->lo < r->hi && covers(&table->prefixes[r->lo], table->prefixes[r->hi - 1].bits)) {
        r->lo++;
        r->leaf = r->lo;
    }
    return r->lo < r->hi;
}

static unsigned slot_of(key_bits bits, unsigned at)
{
    return (unsigned)(bits << at >> (128 - STEP_BITS));
}

/* How many first bits two different keys share. */
static unsigned shared_bits(key_bits a, key_bits b)
{
    uint64_t high = (uint64_t)((a ^ b) >> 64), low = (uint64_t)(a ^ b);
    return (unsigned)(high ? __builtin_clzll(high) : 64 + __builtin_clzll(low));
}

/* Deals the prefixes of a node out to its slots: short ones are leaves of all slots they cover,
 * longer ones go below one. */
static void deal(const struct nu_cidr_table *table, const struct range *r, unsigned at,
                 struct range slots[static SLOTS])
{
    for (unsigned s = 0; s < SLOTS; s++)
        slots[s] = (struct range){.leaf = r->leaf};
    for (uint32_t i = r->lo; i < r->hi; i++) {
        const struct prefix *p = &table->prefixes[i];
        unsigned s = slot_of(p->bits, at), rel = p->len - at;
        if (rel > STEP_BITS) {
            slots[s].lo = slots[s].hi ? slots[s].lo : i;
            slots[s].hi = i + 1;
            continue;
        }
        for (unsigned end = s + (1u << (STEP_BITS - rel)); s < end; s++)
            slots[s].leaf = i + 1;
    }
}

/* Appends the leaves of the slots that have no child; neighbours that agree share one. */
static void add_leaves(struct nu_cidr_table *table, struct node *node,
                       const struct range slots[static SLOTS])
{
    table->leaves =
        reserve(table->leaves, table->leaves_len, &table->leaves_cap, SLOTS, sizeof *table->leaves);
    node->first_leaf = table->leaves_len;
    for (unsigned s = 0; s < SLOTS; s++) {
        if (node->children >> s & 1)
            continue;
        if (node->runs && table->leaves[table->leaves_len - 1] == slots[s].leaf)
            continue;
        node->runs |= 1ull << s;
        table->leaves[table->leaves_len++] = slots[s].leaf;
    }
}

/* Makes node number n of a narrowed range. As deep as the key has steps: 22 calls at most. */
static void make_node(struct nu_cidr_table *table, uint32_t n, const struct range *r)
{
    struct range slots[SLOTS];
    struct node node = {0};
    node.at = (uint8_t)shared_bits(table->prefixes[r->lo].bits, table->prefixes[r->hi - 1].bits);
    deal(table, r, node.at, slots);
    for (unsigned s = 0; s < SLOTS; s++)
        node.children |= (uint64_t)narrow(table, &slots[s]) << s;
    uint32_t children = (uint32_t)__builtin_popcountll(node.children);
    table->nodes =
        reserve(table->nodes, table->nodes_len, &table->nodes_cap, children, sizeof *table->nodes);
    node.first_child = table->nodes_len;
    table->nodes_len += children;
    add_leaves(table, &node, slots);
    table->nodes[n] = node;
    uint32_t child = node.first_child;
    for (unsigned s = 0; s < SLOTS; s++)
        if (node.children >> s & 1)
            make_node(table, child++, &slots[s]);
}

static uint32_t make_root(struct nu_cidr_table *table, uint32_t lo, uint32_t hi)
{
    struct range r = {.lo = lo, .hi = hi};
    if (!narrow(table, &r))
        return r.leaf;
    uint32_t n = table->nodes_len;
    table->nodes =
        reserve(table->nodes, table->nodes_len, &table->nodes_cap, 1, sizeof *table->nodes);
    table->nodes_len++;
    make_node(table, n, &r);
    return n | NODE_FLAG;
}

static bool in_place(const struct nu_cidr_table *table)
{
    for (uint32_t i = 1; i < table->count; i++)
        if (by_place(&table->prefixes[i - 1], &table->prefixes[i]) > 0)
            return false;
    return true;
}

static void sort(struct nu_cidr_table *table)
{
    nu_assert(!table->sealed);
    table->sealed = true;
    if (!in_place(table)) /* published lists mostly are */
        qsort(table->prefixes, table->count, sizeof *table->prefixes, by_place);
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
    return a->bits == b->bits && a->len == b->len && a->kind == b->kind;
}

/* Of equal ones the last in order stays: the first that was added. */
static void drop_equal(struct nu_cidr_table *table)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct prefix *p = &table->prefixes[i];
        if (i + 1 == table->count || !same_prefix(p, p + 1))
            table->prefixes[kept++] = *p;
    }
    table->count = kept;
}

static void build(struct nu_cidr_table *table)
{
    link_shorter(table);
    uint32_t ip4 = 0;
    while (ip4 < table->count && table->prefixes[ip4].kind == NU_ADDR_IP4)
        ip4++;
    table->root[NU_ADDR_IP4] = make_root(table, 0, ip4);
    table->root[NU_ADDR_IP6] = make_root(table, ip4, table->count);
    table->prefixes = shrink(table->prefixes, table->count, &table->cap, sizeof *table->prefixes);
    table->nodes = shrink(table->nodes, table->nodes_len, &table->nodes_cap, sizeof *table->nodes);
    table->leaves =
        shrink(table->leaves, table->leaves_len, &table->leaves_cap, sizeof *table->leaves);
}

void nu_cidr_seal(struct nu_cidr_table *table)
{
    sort(table);
    build(table);
}

void nu_cidr_seal_unique(struct nu_cidr_table *table)
{
    sort(table);
    drop_equal(table);
    build(table);
}

size_t nu_cidr_count(const struct nu_cidr_table *table)
{
    return table->count;
}

size_t nu_cidr_bytes(const struct nu_cidr_table *table)
{
    return sizeof *table + table->cap * sizeof *table->prefixes +
           table->nodes_cap * sizeof *table->nodes + table->leaves_cap * sizeof *table->leaves;
}

/* The prefix at the bottom of the way that the key's bits lead. */
static uint32_t descend(const struct nu_cidr_table *table, uint32_t root, key_bits key)
{
    if (!(root & NODE_FLAG))
        return root;
    const struct node *n = &table->nodes[root & ~NODE_FLAG];
    for (;;) {
        unsigned s = slot_of(key, n->at);
        uint64_t up_to = ~0ull >> (SLOTS - 1 - s);
        if (!(n->children >> s & 1))
            return table
                ->leaves[n->first_leaf + (uint32_t)__builtin_popcountll(n->runs & up_to) - 1];
        n = &table->nodes[n->first_child + (uint32_t)__builtin_popcountll(n->children & up_to) - 1];
    }
}

void *nu_cidr_find(const struct nu_cidr_table *table, const struct nu_addr *addr,
                   struct nu_cidr_iter *it)
{
    nu_assert(table->sealed);
    *it = (struct nu_cidr_iter){.table = table};
    if (!is_ip(addr))
        return NULL;
    key_bits key = bits_of(addr);
    uint32_t p = descend(table, table->root[addr->kind], key);
    while (p && !covers(&table->prefixes[p - 1], key))
        p = table->prefixes[p - 1].shorter;
    it->prefix = p;
    return nu_cidr_next(it);
}

void *nu_cidr_next(struct nu_cidr_iter *it)
{
    it->found = it->prefix;
    if (!it->prefix)
        return NULL;
    const struct prefix *p = &it->table->prefixes[it->prefix - 1];
    it->prefix = p->shorter;
    return p->value;
}

struct nu_addr nu_cidr_prefix(const struct nu_cidr_iter *it)
{
    struct nu_addr out = {0};
    if (!it->found)
        return out;
    const struct prefix *p = &it->table->prefixes[it->found - 1];
    out.kind = p->kind;
    out.prefix = p->len;
    for (unsigned i = 0; i < sizeof out.ip; i++)
        out.ip[i] = (uint8_t)(p->bits >> (120 - 8 * i));
    return out;
}
