/* slow: so many bytes, then a pause. Any face; sees DATA. Stores the rest of one event a direction;
 * END waits behind it. Holds when the allowance is used up, until its timer; close drops the rest.
 */
#include "tests/filters/filters.h"

struct slow {
    struct nu_filter f;
    struct nu_slow_conf conf;
    struct nu_slice rest[2];
    size_t left[2];
};

static enum nu_open slow_open(struct nu_filter *f, const void *conf)
{
    struct slow *s = (struct slow *)f;
    s->conf = conf ? *(const struct nu_slow_conf *)conf : (struct nu_slow_conf){100, 1};
    s->left[NU_FWD] = s->left[NU_REV] = s->conf.bytes;
    return NU_OPEN;
}

static void tick_fwd(struct nu_filter *f);
static void tick_rev(struct nu_filter *f);

static void pass(struct nu_filter *f, enum nu_dir dir)
{
    struct slow *s = (struct slow *)f;
    struct nu_slice *rest = &s->rest[dir];
    size_t n = rest->len < s->left[dir] ? rest->len : s->left[dir];
    if (n) {
        s->left[dir] -= n;
        nu_forward_data(f, dir, nu_slice_split(rest, n));
    }
    if (s->left[dir] == 0) {
        nu_hold(f, dir);
        nu_slice_keep(nu_filter_loop(f)->blocks, rest);
        nu_timer_set(f, dir, s->conf.every_ms, dir == NU_FWD ? tick_fwd : tick_rev);
    } else {
        nu_slice_drop(rest);
        nu_release(f, dir);
    }
}

static void tick(struct nu_filter *f, enum nu_dir dir)
{
    ((struct slow *)f)->left[dir] = ((struct slow *)f)->conf.bytes;
    pass(f, dir);
}

static void tick_fwd(struct nu_filter *f)
{
    tick(f, NU_FWD);
}

static void tick_rev(struct nu_filter *f)
{
    tick(f, NU_REV);
}

static void slow_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    ((struct slow *)f)->rest[dir] = ev->u.data;
    pass(f, dir);
}

static void slow_close(struct nu_filter *f)
{
    nu_slice_drop(&((struct slow *)f)->rest[NU_FWD]);
    nu_slice_drop(&((struct slow *)f)->rest[NU_REV]);
}

const struct nu_filter_type nu_slow = {
    .name = "slow",
    .doc = "Lets some bytes through, then pauses.",
    .size = sizeof(struct slow),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
    .sees = {NU_SEES(NU_DATA), NU_SEES(NU_DATA)},
    .open = slow_open,
    .event = slow_event,
    .close = slow_close,
};
