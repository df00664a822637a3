/* An `http` filter that the program makes for itself (admin): its requests have no routes, each
 * ends in a filter of the program's. Main thread. */
#ifndef NU_L7_HTTP_INTERNAL_H
#define NU_L7_HTTP_INTERNAL_H

#include "core/chain.h"

struct nu_arena;

/* What nu_filter_http gets as its conf: `text` is YAML, the filter's options as a config would have
 * them but for routes; each stream ends in `last`, which also answers what could not be read
 * (nu_stream.status). Lives in the arena, which outlives all connections. */
const void *nu_http_internal(struct nu_arena *arena, const char *text, const struct nu_place *last);

#endif
