/* The pick; see round_robin.h. The first try of a connection is one look into the schedule. */
#include "l4/balance/round_robin.h"

#include "l4/cluster.h"

#define LOOK_AHEAD                                                                                 \
    16 /* turns looked at for an untried endpoint before its neighbours in the set are taken: a    \
          heavy one may have thousands of turns in a row */

static bool is_among(const struct nu_endpoint *endpoint, struct nu_endpoint *const *tried,
                     unsigned tried_count)
{
    for (unsigned i = 0; i < tried_count; i++)
        if (tried[i] == endpoint)
            return true;
    return false;
}

/* Any untried one of the group, from `item` on: at most one step more than were tried. */
static struct nu_endpoint *any_in(const struct nu_endpoint_set *set,
                                  const struct nu_endpoint_group *group, uint32_t item,
                                  struct nu_endpoint *const *tried, unsigned tried_count)
{
    for (uint32_t i = 0; i < group->count && i <= tried_count; i++) {
        uint32_t at = group->first + (item - group->first + i) % group->count;
        if (!is_among(set->item[at], tried, tried_count))
            return set->item[at];
    }
    return NULL;
}

static struct nu_endpoint *pick_in(const struct nu_endpoint_set *set,
                                   const struct nu_endpoint_group *group, uint32_t *next,
                                   struct nu_endpoint *const *tried, unsigned tried_count)
{
    const uint32_t *turns = set->schedule + group->start;
    uint32_t at = *next % group->len;
    for (uint32_t i = 0; i < LOOK_AHEAD && i < group->len; i++) {
        struct nu_endpoint *endpoint = set->item[turns[(at + i) % group->len]];
        if (is_among(endpoint, tried, tried_count))
            continue;
        *next += i + 1;
        return endpoint;
    }
    struct nu_endpoint *other = any_in(set, group, turns[at], tried, tried_count);
    *next += other != NULL;
    return other;
}

struct nu_endpoint *nu_round_robin(const struct nu_endpoint_set *set, uint32_t *next,
                                   struct nu_endpoint *const *tried, unsigned tried_count)
{
    for (uint32_t i = 0; i < set->group_count; i++) {
        if (set->group[i].count == 0)
            continue;
        struct nu_endpoint *endpoint = pick_in(set, &set->group[i], next, tried, tried_count);
        if (endpoint)
            return endpoint;
    }
    return NULL;
}
