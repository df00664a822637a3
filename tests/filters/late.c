/* late: the first event of a direction waits, as a HEAD does for an answer from elsewhere. Any
 * face; sees all until it has let go. Stores one event a direction. Holds until its timer; close
 * drops what it kept. */
#include "tests/filters/filters.h"

struct late {
    struct nu_filter f;
    int64_t delay_ms;
    struct nu_ev kept[2];
    bool keeps[2];
};

static enum nu_open late_open(struct nu_filter *f, const void *conf)
{
    ((struct late *)f)->delay_ms = conf ? ((const struct nu_late_conf *)conf)->delay_ms : 5;
    return NU_OPEN;
}

static void let_go(struct nu_filter *f, enum nu_dir dir)
{
    struct late *l = (struct late *)f;
    l->keeps[dir] = false;
    nu_narrow(f, dir, 0);
    nu_release(f, dir);
    nu_forward(f, dir, &l->kept[dir]);
}

static void go_fwd(struct nu_filter *f)
{
    let_go(f, NU_FWD);
}

static void go_rev(struct nu_filter *f)
{
    let_go(f, NU_REV);
}

static void late_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct late *l = (struct late *)f;
    l->kept[dir] = *ev;
    l->keeps[dir] = true;
    nu_hold(f, dir);
    nu_timer_set(f, dir, l->delay_ms, dir == NU_FWD ? go_fwd : go_rev);
}

static void late_close(struct nu_filter *f)
{
    struct late *l = (struct late *)f;
    for (enum nu_dir dir = NU_FWD; dir <= NU_REV; dir++)
        if (l->keeps[dir])
            nu_ev_free(&l->kept[dir]);
}

const struct nu_filter_type nu_late = {
    .name = "late",
    .doc = "Passes the first event on later.",
    .size = sizeof(struct late),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .open = late_open,
    .event = late_event,
    .close = late_close,
};
