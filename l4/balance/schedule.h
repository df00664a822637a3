/* The order in which weighted things take turns: a list of their indexes that is walked round and
 * round, each index as often as its weight says, its turns evenly apart.
 *
 * Computed once when a set of endpoints is built; a pick is then one look into the list. Knows
 * nothing of endpoints. Main thread. */
#ifndef NU_L4_BALANCE_SCHEDULE_H
#define NU_L4_BALANCE_SCHEDULE_H

#include <stdint.h>

#define NU_WEIGHT_MAX                                                                              \
    65535 /* of one endpoint: what a schedule of two can still tell from one less */

/* Turns in a schedule at most: this many, and so many more for each item. Weights that ask for more
 * are scaled down to it; each item keeps at least one turn. It bounds memory (4 bytes a turn) and
 * the time to build. */
#define NU_SCHEDULE_TURNS    8192
#define NU_SCHEDULE_PER_ITEM 16

/* Writes the schedule of items 0..count-1 with those weights (1 to NU_WEIGHT_MAX) to *out, malloc'd
 * for the caller, and returns its length; 0 and NULL for no items. Equal weights take turns in the
 * order given. */
uint32_t nu_schedule_make(const uint32_t *weights, uint32_t count, uint32_t **out);

#endif
