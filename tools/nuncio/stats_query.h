/* Which figures are wanted: what /stats and /stats/prometheus have in common. Main thread. */
#ifndef NU_TOOLS_NUNCIO_STATS_QUERY_H
#define NU_TOOLS_NUNCIO_STATS_QUERY_H

#include "core/stats_walk.h"
#include "tools/nuncio/admin_query.h"

struct nu_regex;

/* A zeroed one wants all. */
struct nu_stats_query {
    struct nu_arena *arena;
    const struct nu_regex *filter; /* NULL = all */
    bool used_only;
};

/* Reads filter=REGEX and usedonly. 200; or 400, and `out` says why. */
unsigned nu_stats_query_read(const struct nu_query *query, struct nu_stats_query *out, FILE *say);
void nu_stats_query_free(struct nu_stats_query *query);
/* By its whole name; the pattern may match any part of it. */
bool nu_stats_query_wants_name(const struct nu_stats_query *query, const char *name);
/* The same, and whether it was ever written. */
bool nu_stats_query_wants(const struct nu_stats_query *query, const struct nu_stats_row *row);

#endif
