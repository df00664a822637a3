/* Weights to turns. Each item's turns are put at even distances into the time from 0 to 1, items of
 * equal weight beside one another, and all turns are sorted by time: weights 5, 1, 1 become
 * a b a a a c a. Cost is that of the sort, not items times turns. */
#include "l4/balance/schedule.h"

#include "core/assert.h"

#include <stdlib.h>

struct turn {
    double at;
    uint32_t item;
};

static uint32_t common_divisor(const uint32_t *weights, uint32_t count)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < count && all != 1; i++) {
        uint32_t a = all, b = weights[i];
        while (b) {
            uint32_t rest = a % b;
            a = b;
            b = rest;
        }
        all = a;
    }
    return all;
}

/* Turns of each item: the weights in lowest terms, scaled down where there are too many. Returns
 * their sum. */
static uint32_t count_turns(const uint32_t *weights, uint32_t count, uint32_t *turns)
{
    uint64_t sum = 0, total = 0, most = NU_SCHEDULE_TURNS + (uint64_t)NU_SCHEDULE_PER_ITEM * count;
    uint32_t divisor = common_divisor(weights, count);
    for (uint32_t i = 0; i < count; i++) {
        nu_assert(weights[i] >= 1 && weights[i] <= NU_WEIGHT_MAX);
        turns[i] = weights[i] / divisor;
        sum += turns[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        if (sum > most)
            turns[i] = (uint32_t)((turns[i] * most + sum / 2) / sum);
        turns[i] += turns[i] == 0;
        total += turns[i];
    }
    nu_assert(total <= UINT32_MAX);
    return (uint32_t)total;
}

/* Items with the same number of turns: how many there are, and how many of them have their place.
 */
struct peers {
    uint32_t count, placed;
};

static struct peers *count_peers(const uint32_t *turns, uint32_t count)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < count; i++)
        most = turns[i] > most ? turns[i] : most;
    struct peers *peers = calloc((size_t)most + 1, sizeof *peers);
    nu_assert(peers != NULL);
    for (uint32_t i = 0; i < count; i++)
        peers[turns[i]].count++;
    return peers;
}

static void place_turns(const uint32_t *turns, uint32_t count, struct turn *out)
{
    struct peers *peers = count_peers(turns, count);
    for (uint32_t i = 0; i < count; i++) {
        struct peers *p = &peers[turns[i]];
        double first = (p->placed++ + 0.5) / p->count;
        for (uint32_t k = 0; k < turns[i]; k++)
            *out++ = (struct turn){(k + first) / turns[i], i};
    }
    free(peers);
}

static int compare_turns(const void *left, const void *right)
{
    const struct turn *a = left, *b = right;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

uint32_t nu_schedule_make(const uint32_t *weights, uint32_t count, uint32_t **out)
{
    *out = NULL;
    if (count == 0)
        return 0;
    uint32_t *turns = calloc(count, sizeof *turns);
    nu_assert(turns != NULL);
    uint32_t len = count_turns(weights, count, turns);
    struct turn *all = calloc(len, sizeof *all);
    *out = calloc(len, sizeof **out);
    nu_assert(all != NULL && *out != NULL);
    place_turns(turns, count, all);
    qsort(all, len, sizeof *all, compare_turns);
    for (uint32_t i = 0; i < len; i++)
        (*out)[i] = all[i].item;
    free(all);
    free(turns);
    return len;
}
