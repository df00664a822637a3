/* Spare objects; see spare.h. On the thread of their loop. */
#include "core/spare.h"

#include "core/assert.h"

#include <stdlib.h>

static size_t size_of(size_t bytes)
{
    return (bytes - 1) / NU_SPARE_STEP;
}

void *nu_spare_get(struct nu_spares *spares, size_t bytes)
{
    size_t k = size_of(bytes);
    void **p = k < NU_SPARE_SIZES ? spares->first[k] : NULL;
    if (p) {
        spares->first[k] = *p;
        spares->kept[k]--;
        return p;
    }
    p = malloc(k < NU_SPARE_SIZES ? (k + 1) * NU_SPARE_STEP : bytes);
    nu_assert(p != NULL);
    return p;
}

void nu_spare_put(struct nu_spares *spares, void *p, size_t bytes)
{
    size_t k = size_of(bytes);
    if (k >= NU_SPARE_SIZES || spares->kept[k] >= NU_SPARE_KEEP) {
        free(p);
        return;
    }
    *(void **)p = spares->first[k];
    spares->first[k] = p;
    spares->kept[k]++;
}

void nu_spares_free(struct nu_spares *spares)
{
    for (size_t k = 0; k < NU_SPARE_SIZES; k++)
        for (void **p = spares->first[k], **next; p; p = next) {
            next = *p;
            free(p);
        }
    *spares = (struct nu_spares){0};
}
