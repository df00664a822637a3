/* glue: joins DATA. Any face; sees all. Stores up to `bytes` a direction, copied into one block;
 * every other kind, END too, makes it flush first, and so does its timer. Never holds; close lets
 * go of the blocks. */
#include "tests/filters/filters.h"

#include <string.h>

struct glue {
    struct nu_filter f;
    struct nu_glue_conf conf;
    struct nu_block *block[2];
    size_t fill[2]; /* bytes of the block that are ours and not frozen yet */
};

static enum nu_open glue_open(struct nu_filter *f, const void *conf)
{
    struct glue *g = (struct glue *)f;
    g->conf = conf ? *(const struct nu_glue_conf *)conf : (struct nu_glue_conf){1000, 2};
    return NU_OPEN;
}

static void flush(struct nu_filter *f, enum nu_dir dir)
{
    struct glue *g = (struct glue *)f;
    struct nu_block *b = g->block[dir];
    if (!b)
        return;
    struct nu_slice all = nu_block_freeze(b, g->fill[dir]);
    nu_block_unref(b);
    g->block[dir] = NULL;
    g->fill[dir] = 0;
    nu_timer_stop(f, dir);
    nu_forward_data(f, dir, all);
}

static void late_fwd(struct nu_filter *f)
{
    flush(f, NU_FWD);
}

static void late_rev(struct nu_filter *f)
{
    flush(f, NU_REV);
}

static void add(struct glue *g, enum nu_dir dir, struct nu_slice *s)
{
    while (s->len) {
        if (!g->block[dir]) {
            g->block[dir] = nu_block_get(nu_filter_loop(&g->f)->blocks, g->conf.bytes);
            nu_timer_set(&g->f, dir, g->conf.delay_ms, dir == NU_FWD ? late_fwd : late_rev);
        }
        size_t room = g->conf.bytes - g->fill[dir];
        struct nu_slice part = nu_slice_split(s, s->len < room ? s->len : room);
        memcpy(nu_block_tail(g->block[dir]) + g->fill[dir], part.data, part.len);
        g->fill[dir] += part.len;
        nu_slice_drop(&part);
        if (g->fill[dir] == g->conf.bytes)
            flush(&g->f, dir);
    }
}

static void glue_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DATA) {
        add((struct glue *)f, dir, &ev->u.data);
        nu_ev_free(ev);
        return;
    }
    flush(f, dir);
    nu_forward(f, dir, ev);
}

static void glue_close(struct nu_filter *f)
{
    for (enum nu_dir dir = NU_FWD; dir <= NU_REV; dir++)
        if (((struct glue *)f)->block[dir])
            nu_block_unref(((struct glue *)f)->block[dir]);
}

const struct nu_filter_type nu_glue = {
    .name = "glue",
    .doc = "Joins data into larger pieces.",
    .size = sizeof(struct glue),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .open = glue_open,
    .event = glue_event,
    .close = glue_close,
};
