/* Names and ends of events; see event.h. */
#include "core/event.h"

#include "core/assert.h"

const char *nu_dir_str(enum nu_dir dir)
{
    return dir == NU_FWD ? "fwd" : "rev";
}

const char *nu_kind_str(enum nu_kind kind)
{
    static const char *const names[NU_KINDS] = {"INTERIM", "HEAD",  "DATA", "TRAIL",
                                                "MSG",     "DGRAM", "END"};
    nu_assert((unsigned)kind < NU_KINDS);
    return names[kind];
}

static struct nu_slice *payload(struct nu_ev *ev)
{
    if (ev->kind == NU_DATA || ev->kind == NU_DGRAM)
        return &ev->u.data;
    return ev->kind == NU_MSG ? &ev->u.msg.data : NULL;
}

void nu_ev_free(struct nu_ev *ev)
{
    struct nu_slice *s = payload(ev);
    if (s)
        nu_slice_drop(s);
}

void nu_ev_keep(struct nu_block_pool *pool, struct nu_ev *ev)
{
    struct nu_slice *s = payload(ev);
    if (s)
        nu_slice_keep(pool, s);
}

size_t nu_ev_bytes(const struct nu_ev *ev)
{
    struct nu_slice *s = payload((struct nu_ev *)ev);
    return s ? s->len : 0;
}
