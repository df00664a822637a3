/* fail_at: fails the chain at a byte, at END or in open. Any face; sees all. Stores nothing, never
 * holds. */
#include "tests/filters/filters.h"

struct fail_at {
    struct nu_filter f;
    struct nu_fail_conf conf;
    uint64_t seen;
};

static enum nu_open fail_at_open(struct nu_filter *f, const void *conf)
{
    struct fail_at *self = (struct fail_at *)f;
    self->conf = *(const struct nu_fail_conf *)conf;
    if (!self->conf.at_open)
        return NU_OPEN;
    nu_fail(f, self->conf.cause, self->conf.side, "in open");
    return NU_REFUSE;
}

static void fail_at_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct fail_at *self = (struct fail_at *)f;
    const struct nu_fail_conf *conf = &self->conf;
    if (dir == conf->dir) {
        self->seen += nu_ev_bytes(ev);
        bool last = ev->kind == NU_END;
        if (last ? conf->at_end : self->seen > conf->bytes) {
            nu_ev_free(ev);
            nu_fail(f, conf->cause, conf->side, "at byte %llu", (unsigned long long)conf->bytes);
            return;
        }
    }
    nu_forward(f, dir, ev);
}

const struct nu_filter_type nu_fail_at = {
    .name = "fail_at",
    .doc = "Fails at a byte.",
    .size = sizeof(struct fail_at),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .open = fail_at_open,
    .event = fail_at_event,
};
