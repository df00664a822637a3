/* A trie of labels, read from the right, kept as one hash table: every suffix of a pattern that
 * starts at a label is a node, with its parent one label shorter. A lookup hashes the name once,
 * from its end, and probes at each label until a suffix is unknown; the wildcards that match are
 * then the ones on the way back up. See domain.h for the contract. */
#include "core/table/domain.h"

#include "core/arena.h"
#include "core/assert.h"
#include "core/table/hash.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ROOT        1 /* the empty suffix; 0 is no node */
#define FIRST_NODES 16
#define FNV_PRIME   0x100000001b3u

struct node {
    uint64_t hash;
    void *exact; /* value of the pattern that is this suffix, or NULL */
    void *wild;  /* value of "*." and this suffix, of "*" in the root */
    uint32_t parent;
    uint32_t text; /* where the suffix stands in the table's text, in lower case */
    uint32_t len;
};

struct nu_domain_table {
    struct node *nodes;
    uint32_t *index; /* nodes by hash; at least twice as many places as nodes, 0 = free */
    char *text;
    uint32_t count, cap; /* nodes, with number 0; cap is a power of two, the index has 2 * cap */
    uint32_t text_len, text_cap;
    struct nu_arena *arena;
};

static void *grown(void *old, size_t count, size_t size)
{
    void *p = reallocarray(old, count, size);
    nu_assert(p != NULL);
    return p;
}

static void free_parts(void *ctx)
{
    struct nu_domain_table *table = ctx;
    free(table->nodes);
    free(table->index);
    free(table->text);
}

static void index_node(struct nu_domain_table *table, uint32_t n)
{
    uint32_t mask = 2 * table->cap - 1, i = (uint32_t)table->nodes[n].hash & mask;
    while (table->index[i])
        i = (i + 1) & mask;
    table->index[i] = n;
}

static void grow_nodes(struct nu_domain_table *table)
{
    table->cap = table->cap ? 2 * table->cap : FIRST_NODES;
    table->nodes = grown(table->nodes, table->cap, sizeof *table->nodes);
    free(table->index);
    table->index = calloc(2 * (size_t)table->cap, sizeof *table->index);
    nu_assert(table->index != NULL);
    for (uint32_t n = ROOT + 1; n < table->count; n++)
        index_node(table, n);
}

static uint32_t add_node(struct nu_domain_table *table, const struct node *node)
{
    if (table->count == table->cap)
        grow_nodes(table);
    table->nodes[table->count] = *node;
    index_node(table, table->count);
    return table->count++;
}

struct nu_domain_table *nu_domain_new(struct nu_arena *arena)
{
    struct nu_domain_table *table =
        arena ? nu_arena_alloc(arena, sizeof *table) : calloc(1, sizeof *table);
    nu_assert(table != NULL);
    table->arena = arena;
    if (arena)
        nu_arena_on_free(arena, free_parts, table);
    grow_nodes(table);
    table->nodes[ROOT] = (struct node){0};
    table->count = ROOT + 1;
    return table;
}

void nu_domain_free(struct nu_domain_table *table)
{
    if (!table)
        return;
    nu_assert(!table->arena);
    free_parts(table);
    free(table);
}

bool nu_domain_is_ip(const char *text, size_t len)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    return inet_pton(AF_INET, copy, bytes) == 1 || inet_pton(AF_INET6, copy, bytes) == 1;
}

/* One label without its dots. The underscore is no host name's, but real names have it. */
static const char *check_label(const char *label, size_t len)
{
    if (len == 0)
        return "empty label";
    if (len > NU_DOMAIN_LABEL_MAX_BYTES)
        return "label longer than 63 bytes";
    for (size_t i = 0; i < len; i++) {
        uint8_t c = nu_fold((uint8_t)label[i]);
        if (c == '*')
            return "\"*\" may only be the whole first label";
        if (c >= 0x80)
            return "not ASCII (write its xn-- form)";
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return "character that host names don't have";
    }
    if (label[0] == '-' || label[len - 1] == '-')
        return "label begins or ends with \"-\"";
    return NULL;
}

static const char *check_pattern(const char *pattern, size_t len)
{
    if (len == 0)
        return "empty name";
    if (nu_domain_is_ip(pattern, len))
        return "an IP address is no host name";
    if (len > NU_DOMAIN_MAX_BYTES)
        return "name longer than 253 bytes";
    if (len == 1 && pattern[0] == '*')
        return NULL;
    for (size_t at = len >= 2 && memcmp(pattern, "*.", 2) == 0 ? 2 : 0; at <= len;) {
        const char *dot = memchr(pattern + at, '.', len - at);
        size_t end = dot ? (size_t)(dot - pattern) : len;
        const char *reason = check_label(pattern + at, end - at);
        if (reason)
            return reason;
        at = end + 1;
    }
    return NULL;
}

static size_t without_dot(const char *name, size_t len)
{
    return len > 0 && name[len - 1] == '.' ? len - 1 : len;
}

enum nu_err nu_domain_check(const char *pattern, size_t len, const char **reason)
{
    *reason = check_pattern(pattern, without_dot(pattern, len));
    return *reason ? NU_ERR_SYNTAX : NU_OK;
}

static bool same_text(const char *folded, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)folded[i] != nu_fold((uint8_t)name[i]))
            return false;
    return true;
}

static uint32_t find_node(const struct nu_domain_table *table, uint64_t hash, const char *suffix,
                          size_t len)
{
    uint32_t mask = 2 * table->cap - 1;
    for (uint32_t i = (uint32_t)hash & mask; table->index[i]; i = (i + 1) & mask) {
        const struct node *n = &table->nodes[table->index[i]];
        if (n->hash == hash && n->len == len && same_text(table->text + n->text, suffix, len))
            return table->index[i];
    }
    return 0;
}

/* A name being read from its end, label by label. */
struct walk {
    const char *name;
    size_t len, at;   /* name[at] starts the last label read */
    uint64_t rolling; /* over the bytes from the end to `at` */
    uint64_t hash;    /* of the suffix at `at` */
};

static struct walk walk_start(const char *name, size_t len)
{
    return (struct walk){.name = name, .len = len, .at = len, .rolling = nu_hash_seed()[0]};
}

/* Takes in one more label with the dot behind it. False if there is none. */
static bool walk_label(struct walk *w)
{
    if (w->at == 0)
        return false;
    do
        w->rolling = (w->rolling ^ nu_fold((uint8_t)w->name[--w->at])) * FNV_PRIME;
    while (w->at > 0 && w->name[w->at - 1] != '.');
    w->hash = nu_hash_mix(w->rolling);
    return true;
}

/* To the byte behind the next dot; the dot itself is hashed with it. */
static void walk_dot(struct walk *w)
{
    if (w->at > 0)
        w->rolling = (w->rolling ^ (uint8_t)w->name[--w->at]) * FNV_PRIME;
}

/* Appends the name in lower case; all its suffixes share this text. */
static uint32_t add_text(struct nu_domain_table *table, const char *name, size_t len)
{
    uint32_t at = table->text_len;
    while (table->text_cap - at < len) {
        table->text_cap = table->text_cap ? 2 * table->text_cap : 1024;
        table->text = grown(table->text, table->text_cap, 1);
    }
    for (size_t i = 0; i < len; i++)
        table->text[at + i] = (char)nu_fold((uint8_t)name[i]);
    table->text_len += (uint32_t)len;
    return at;
}

/* The node of a whole suffix, made with all that are above it where it is new. */
static uint32_t make_node(struct nu_domain_table *table, const char *name, size_t len)
{
    uint32_t node = ROOT, text = 0;
    bool added = false;
    for (struct walk w = walk_start(name, len); walk_label(&w); walk_dot(&w)) {
        size_t suffix = len - w.at;
        uint32_t child = find_node(table, w.hash, name + w.at, suffix);
        if (!child && !added) {
            text = add_text(table, name, len);
            added = true;
        }
        if (!child)
            child = add_node(table, &(struct node){.hash = w.hash,
                                                   .parent = node,
                                                   .text = text + (uint32_t)w.at,
                                                   .len = (uint32_t)suffix});
        node = child;
    }
    return node;
}

void **nu_domain_slot(struct nu_domain_table *table, const char *pattern, size_t len,
                      const char **reason)
{
    if (nu_domain_check(pattern, len, reason))
        return NULL;
    len = without_dot(pattern, len);
    bool wild = pattern[0] == '*';
    size_t skip = !wild ? 0 : len == 1 ? 1 : 2;
    uint32_t node = make_node(table, pattern + skip, len - skip); /* may move the nodes */
    return wild ? &table->nodes[node].wild : &table->nodes[node].exact;
}

enum nu_err nu_domain_add(struct nu_domain_table *table, const char *pattern, size_t len,
                          void *value, const char **reason)
{
    nu_assert(value != NULL);
    void **slot = nu_domain_slot(table, pattern, len, reason);
    if (!slot)
        return NU_ERR_SYNTAX;
    if (*slot)
        return NU_ERR_EXISTS;
    *slot = value;
    return NU_OK;
}

void *nu_domain_next(struct nu_domain_iter *it)
{
    while (it->node) {
        const struct node *n = &it->table->nodes[it->node];
        it->node = n->parent;
        if (n->wild)
            return n->wild;
    }
    return NULL;
}

/* Whether the labels of a name are all there; what is in them is compared anyway. */
static bool has_labels(const char *name, size_t len)
{
    if (len == 0 || len > NU_DOMAIN_MAX_BYTES || name[0] == '.' || name[len - 1] == '.')
        return false;
    return memmem(name, len, "..", 2) == NULL;
}

void *nu_domain_find(const struct nu_domain_table *table, const char *name, size_t len,
                     struct nu_domain_iter *it)
{
    len = without_dot(name, len);
    *it = (struct nu_domain_iter){.table = table, .node = ROOT};
    if (!has_labels(name, len))
        return nu_domain_next(it);
    for (struct walk w = walk_start(name, len); walk_label(&w); walk_dot(&w)) {
        uint32_t node = find_node(table, w.hash, name + w.at, len - w.at);
        if (!node)
            break;
        if (w.at > 0) {
            it->node = node;
            continue;
        }
        if (table->nodes[node].exact) /* a wildcard of the name itself is not for it */
            return table->nodes[node].exact;
    }
    return nu_domain_next(it);
}
