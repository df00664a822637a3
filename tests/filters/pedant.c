/* pedant: says when somebody breaks the contract, and changes nothing. Any face; sees all. Stores
 * where in the grammar each direction is; never holds; nothing to close. */
#include "core/assert.h"
#include "tests/filters/filters.h"

#include <stdio.h>
#include <stdlib.h>

enum place { P_START, P_BODY, P_TRAILED, P_ENDED, P_BAD };

struct pedant {
    struct nu_filter f;
    uint8_t place[2]; /* enum place */
    bool entered;
};

static void print_and_abort(const struct nu_filter *f, const char *what)
{
    fprintf(stderr, "pedant between %s and %s: %s\n",
            f->next[NU_REV] ? f->next[NU_REV]->type->name : "nothing",
            f->next[NU_FWD] ? f->next[NU_FWD]->type->name : "nothing", what);
    abort();
}

void (*nu_pedant_fault)(const struct nu_filter *f, const char *what) = print_and_abort;

/* What f itself says about one of its sides; NONE: nothing that binds. */
static enum nu_face says(const struct nu_filter *f, int side)
{
    return f->bypassed ? NU_SAME : (enum nu_face)f->type->face[side];
}

/* The face that comes from one side: that of the first filter there which has one of its own. */
static enum nu_face face_from(const struct nu_filter *f, enum nu_dir way)
{
    do
        f = f->next[way];
    while (f && says(f, way == NU_REV) == NU_SAME);
    return f ? says(f, way == NU_REV) : NU_FACE_NONE;
}

static uint16_t kinds_of(enum nu_face face)
{
    static const uint16_t kinds[] = {
        [NU_FACE_NONE] = NU_SEES_ALL,
        [NU_FACE_BYTES] = 1 << NU_DATA | 1 << NU_END,
        [NU_FACE_HTTP] =
            1 << NU_INTERIM | 1 << NU_HEAD | 1 << NU_DATA | 1 << NU_TRAIL | 1 << NU_END,
        [NU_FACE_WS] = 1 << NU_MSG | 1 << NU_END,
        [NU_FACE_DGRAM] = 1 << NU_DGRAM | 1 << NU_END,
    };
    return kinds[face];
}

/* Where an HTTP message is after one more event; P_BAD: it may not come here. */
static enum place after(enum place now, enum nu_dir dir, const struct nu_ev *ev)
{
    switch (ev->kind) {
    case NU_INTERIM:
        return now == P_START && dir == NU_REV ? P_START : P_BAD;
    case NU_HEAD:
        return now == P_START ? P_BODY : P_BAD;
    case NU_DATA:
        return now == P_BODY ? P_BODY : P_BAD;
    case NU_TRAIL:
        return now == P_BODY ? P_TRAILED : P_BAD;
    case NU_END:
        return now != P_START || ev->u.end.how != NU_CLEAN ? P_ENDED : P_BAD;
    default:
        return P_BAD;
    }
}

/* The first fault of an event, or NULL. */
static const char *judge(struct pedant *p, enum nu_dir dir, const struct nu_ev *ev)
{
    enum nu_face left = face_from(&p->f, NU_REV), right = face_from(&p->f, NU_FWD);
    enum place now = (enum place)p->place[dir];
    if (p->entered)
        return "entered while a callback is on the stack";
    if (left && right && left != right)
        return "neighbours speak different things";
    if (now == P_ENDED)
        return ev->kind == NU_END ? "a second END" : "an event behind END";
    enum nu_face face = left ? left : right;
    if (!(kinds_of(face) & NU_SEES(ev->kind)))
        return "a kind that this face does not have";
    if (face == NU_FACE_HTTP)
        now = after(now, dir, ev);
    if (now == P_BAD)
        return "out of the message's order";
    p->place[dir] = (uint8_t)(ev->kind == NU_END ? P_ENDED : now);
    return NULL;
}

static void pedant_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct pedant *p = (struct pedant *)f;
    const char *what = judge(p, dir, ev);
    if (what)
        nu_pedant_fault(f, what);
    p->entered = true;
    nu_forward(f, dir, ev);
    p->entered = false;
}

const struct nu_filter_type nu_pedant = {
    .name = "pedant",
    .doc = "Asserts the chain's contract.",
    .size = sizeof(struct pedant),
    .face = NU_FACES(NU_SAME, NU_SAME),
    .flags = NU_F_INTERNAL | NU_F_TEST,
    .sees = {NU_SEES_ALL, NU_SEES_ALL},
    .event = pedant_event,
};
