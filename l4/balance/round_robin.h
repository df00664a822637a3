/* Round robin over a set of endpoints: the schedule of the best priority, turn by turn.
 *
 * The caller keeps its place in the order, so nothing is shared. On the worker. */
#ifndef NU_L4_BALANCE_ROUND_ROBIN_H
#define NU_L4_BALANCE_ROUND_ROBIN_H

#include <stdint.h>

struct nu_endpoint;
struct nu_endpoint_set;

/* The endpoint whose turn it is at *next and that is not among the tried ones, borrowed from the
 * set; *next goes on. An endpoint of a worse priority comes only when all of the better ones were
 * tried. NULL: all were. */
struct nu_endpoint *nu_round_robin(const struct nu_endpoint_set *set, uint32_t *next,
                                   struct nu_endpoint *const *tried, unsigned tried_count);

#endif
