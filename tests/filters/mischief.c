/* mischief: does one thing, some time. Any face; sees all. Stores nothing but its count; holds
 * until its timer, or for good once it has failed; nothing to close. */
#include "tests/filters/filters.h"

struct mischief {
    struct nu_filter f;
    const struct nu_mischief_conf *conf;
    unsigned seen, times;
    bool over;
};

static enum nu_open mischief_open(struct nu_filter *f, const void *conf)
{
    struct mischief *m = (struct mischief *)f;
    m->conf = conf;
    m->times = m->conf->times;
    return NU_OPEN;
}

static void let_go(struct mischief *m, enum nu_dir dir)
{
    nu_release(&m->f, dir);
    m->over = m->times == 0;
}

static void go_fwd(struct nu_filter *f)
{
    let_go((struct mischief *)f, NU_FWD);
}

static void go_rev(struct nu_filter *f)
{
    let_go((struct mischief *)f, NU_REV);
}

static void hold_again(struct mischief *m, enum nu_dir dir)
{
    if (m->times == 0)
        return;
    m->times--;
    nu_hold(&m->f, dir);
    nu_timer_set(&m->f, dir, m->conf->ms, dir == NU_FWD ? go_fwd : go_rev);
}

/* The event goes on, or not; after DROP and END it has nowhere to go. */
static void act(struct mischief *m, enum nu_dir dir)
{
    struct nu_filter *f = &m->f;
    m->over = m->conf->what != NU_MISCHIEF_HOLD; /* that one is over when it has let go */
    switch (m->conf->what) {
    case NU_MISCHIEF_HOLD:
        hold_again(m, dir);
        return;
    case NU_MISCHIEF_INSERT:
        nu_insert(f, m->conf->side, m->conf->places, m->conf->count);
        return;
    case NU_MISCHIEF_BYPASS:
        nu_bypass(f);
        return;
    case NU_MISCHIEF_END:
        nu_forward_end(f, dir, nu_result_of(NU_CAUSE_LIMIT));
        nu_drop(f, dir);
        return;
    case NU_MISCHIEF_DROP:
        nu_drop(f, dir);
        return;
    default:
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "%s", "mischief");
        return;
    }
}

static void mischief_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct mischief *m = (struct mischief *)f;
    if (!m->over && m->seen++ >= m->conf->at)
        act(m, dir);
    if (nu_bit(f, NU_B_DROP, dir))
        nu_ev_free(ev);
    else
        nu_forward(f, dir, ev);
}

const struct nu_filter_type nu_mischief = {
    .name = "mischief",
    .doc = "Does one thing, some time.",
    .size = sizeof(struct mischief),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .open = mischief_open,
    .event = mischief_event,
};
