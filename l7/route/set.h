/* Routes that host and path do not tell apart, and which of them takes a request. Few are tried in
 * turn; of many, each is filed under one thing that it demands literally (a header's value, a
 * parameter's, a method), the one that the fewest others demand. Built on the main thread, then
 * read-only from any. */
#ifndef NU_L7_ROUTE_SET_H
#define NU_L7_ROUTE_SET_H

#include "l7/route/route_priv.h"

#define ROUTE_SET_FEW       8    /* routes: trying them costs no more than a lookup */
#define ROUTE_SET_NAMES_MAX 8    /* headers that are looked for by name; with more each field is */
#define ROUTE_SET_KEY_MAX   1024 /* bytes of name and value; longer ones are not filed by */

struct route_set;

/* For a set while it grows. */
struct route_set *route_set_new(struct nu_arena *arena);
/* In the order of the config. What stands behind a route that asks for nothing more is left out. */
void route_set_add(struct route_set *set, const struct route *r);
/* Once all are in. `regexes`: routes of a set that path_regex tells apart, which is looked at last.
 */
void route_set_seal(struct route_set *set, const struct route *routes, bool regexes);
/* The lowest index below `best` that takes the request, or `best`. NULL set: best. */
uint32_t route_set_find(const struct route_set *set, const struct route_view *view, uint32_t best);

#endif
