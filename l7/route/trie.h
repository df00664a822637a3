/* Prefixes of paths -> pointer: a trie whose edges are whole texts, so that a lookup touches only
 * the places where prefixes part. Built on one thread, then read-only from any. */
#ifndef NU_L7_ROUTE_TRIE_H
#define NU_L7_ROUTE_TRIE_H

#include "core/arena.h"
#include "protocols/http/head.h"

struct route_trie;

/* An empty one; lives with the arena. */
struct route_trie *route_trie_new(struct nu_arena *arena);
/* The place of a prefix's value, made (holding NULL) where it is new; good for ever. The text has
 * to live as long as the trie. */
void **route_trie_slot(struct route_trie *trie, struct nu_text prefix);

/* A walk along a path: the values of all its prefixes, the shortest first. */
struct route_trie_walk {
    const struct route_trie *node; /* the next one to look at; NULL at the end */
    struct nu_text rest;           /* of the path, behind the node */
};
struct route_trie_walk route_trie_start(const struct route_trie *trie, struct nu_text path);
/* NULL at the end. */
void *route_trie_next(struct route_trie_walk *walk);

#endif
