/* What is kept of a request's body to be sent again (X1); see attempt.h. */
#include "l7/attempt.h"

#include "core/assert.h"

#include <stdlib.h>

void attempt_free(struct router *r)
{
    for (unsigned i = 0; i < r->kept_count; i++)
        nu_slice_drop(&r->kept[i]);
    free(r->kept);
    r->kept = NULL;
    r->kept_count = r->kept_cap = 0;
    nu_pick_end(&r->pick);
}

void attempt_forget(struct router *r)
{
    for (unsigned i = 0; i < r->kept_count; i++)
        nu_slice_drop(&r->kept[i]);
    r->kept_count = 0;
    r->kept_bytes = 0;
    r->lost = true;
}

void attempt_keep(struct router *r, struct nu_slice data)
{
    nu_slice_keep(nu_filter_loop(&r->filter)->blocks, &data);
    if (r->kept_count == r->kept_cap) {
        r->kept_cap = r->kept_cap ? 2 * r->kept_cap : 4;
        r->kept = realloc(r->kept, r->kept_cap * sizeof *r->kept);
        nu_assert(r->kept != NULL);
    }
    r->kept[r->kept_count++] = data;
    r->kept_bytes += (uint32_t)data.len + NU_REPLAY_EACH;
}
