/* shred: DATA comes out byte by byte. Any face; sees DATA. Stores the rest of one event; END waits
 * behind it in the queue. Holds while the way ahead is blocked, until flow(go); close drops the
 * rest. */
#include "tests/filters/filters.h"

struct shred {
    struct nu_filter f;
    struct nu_slice rest[2];
};

/* One byte, then a look ahead (B3): so what piles up beyond is a byte, not an event. */
static void cut(struct nu_filter *f, enum nu_dir dir)
{
    struct nu_slice *rest = &((struct shred *)f)->rest[dir];
    while (rest->len && !nu_blocked(f, dir))
        nu_forward_data(f, dir, nu_slice_split(rest, 1));
    if (rest->len) {
        nu_slice_keep(nu_filter_loop(f)->blocks, rest);
        nu_hold(f, dir);
    } else {
        nu_slice_drop(rest);
        nu_release(f, dir);
    }
}

static void shred_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    ((struct shred *)f)->rest[dir] = ev->u.data;
    cut(f, dir);
}

static void shred_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (go)
        cut(f, dir);
}

static void shred_close(struct nu_filter *f)
{
    struct shred *s = (struct shred *)f;
    nu_slice_drop(&s->rest[NU_FWD]);
    nu_slice_drop(&s->rest[NU_REV]);
}

const struct nu_filter_type nu_shred = {
    .name = "shred",
    .doc = "Cuts data into single bytes.",
    .size = sizeof(struct shred),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
    .sees = {NU_SEES(NU_DATA), NU_SEES(NU_DATA)},
    .event = shred_event,
    .flow = shred_flow,
    .close = shred_close,
};
