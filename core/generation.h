/* A generation: one loaded config, immutable, from file to running tables. Main thread.
 *
 * core knows its arena and its parsed text; l4 hangs its clusters and listeners in it;
 * tools/nuncio/reload runs the steps: build (validates everything), bind, commit, switch on every
 * worker, retire the one before. */
#ifndef NU_CORE_GENERATION_H
#define NU_CORE_GENERATION_H

#include "core/arena.h"
#include "core/conf/tree.h"

#include <stdint.h>

struct nu_clusters;
struct nu_root;
struct nu_listeners;

struct nu_generation {
    uint64_t number; /* 1 for the first */
    struct nu_arena *arena;
    struct nu_conf *conf; /* NULL once it serves */
    const char *text;     /* what that was parsed from, once it serves */
    size_t text_len;
    const char *folder; /* of relative paths in it */
    struct nu_clusters *clusters;
    struct nu_listeners *listeners;
    int64_t workers; /* 0 = one per CPU */
    int64_t drain_timeout_ms;
    const char *admin;          /* address text, or NULL */
    const struct nu_root *root; /* the keys at the left margin; tools/nuncio's, in the arena */
};

#endif
