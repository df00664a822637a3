/* check: counts and hashes what passes. Any face; sees all. Stores its sums, in the test's struct;
 * never holds. */
#include "tests/filters/filters.h"

struct check {
    struct nu_filter f;
    struct nu_check_report *report;
};

uint64_t nu_test_hash(uint64_t hash, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static enum nu_open check_open(struct nu_filter *f, const void *conf)
{
    struct nu_check_report *report = (struct nu_check_report *)conf;
    *report = (struct nu_check_report){
        .hash = {NU_HASH_START, NU_HASH_START}
    };
    ((struct check *)f)->report = report;
    return NU_OPEN;
}

static void check_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct nu_check_report *report = ((struct check *)f)->report;
    report->bytes[dir] += nu_ev_bytes(ev);
    if (ev->kind == NU_END) {
        report->ended[dir] = true;
        report->end[dir] = ev->u.end;
    } else if (nu_ev_bytes(ev)) {
        const struct nu_slice *s = ev->kind == NU_MSG ? &ev->u.msg.data : &ev->u.data;
        report->hash[dir] = nu_test_hash(report->hash[dir], s->data, s->len);
    }
    nu_forward(f, dir, ev);
}

const struct nu_filter_type nu_check = {
    .name = "check",
    .doc = "Counts and hashes.",
    .size = sizeof(struct check),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .open = check_open,
    .event = check_event,
};
