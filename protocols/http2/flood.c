/* Token buckets; see flood.h. */
#include "protocols/http2/flood.h"

#include "core/assert.h"

#define UNIT 1000u /* of a token: refills come by the millisecond */

static const struct {
    const char *name;
    uint32_t burst, rate;
} rows[NU_H2_FLOODS] = {
#define ROW(id, name, burst, rate, text) {name, burst, rate},
    NU_H2_FLOOD_LIST(ROW)
#undef ROW
};

const char *nu_h2_flood_str(enum nu_h2_flood what)
{
    nu_assert((unsigned)what < NU_H2_FLOODS);
    return rows[what].name;
}

static void give_back(struct nu_h2_buckets *b, enum nu_h2_flood what, uint64_t thousandths)
{
    b->used[what] = thousandths < b->used[what] ? b->used[what] - (uint32_t)thousandths : 0;
}

bool nu_h2_flood_take(struct nu_h2_buckets *b, enum nu_h2_flood what, int64_t now_ms)
{
    nu_assert((unsigned)what < NU_H2_FLOODS);
    give_back(b, what, (uint64_t)(now_ms - b->since_ms[what]) * rows[what].rate);
    b->since_ms[what] = now_ms;
    if (b->used[what] + UNIT > rows[what].burst * UNIT)
        return false;
    b->used[what] += UNIT;
    return true;
}

void nu_h2_flood_allow(struct nu_h2_buckets *b, enum nu_h2_flood what, unsigned tokens)
{
    give_back(b, what, (uint64_t)tokens * UNIT);
}
