/* Who is meant, of several that could be: all pairs are judged once, then the strongest evidence
 * is asked first; see join_match.h. */
#include "tools/tap/join_match.h"

static bool is_crowded(const struct join_edges *e, enum join_by by)
{
    return e->dropped >= by;
}

static void add_edge(struct join_edges *e, struct join_face *to, struct join_verdict v)
{
    struct join_edge *at = &e->edge[e->count];
    if (e->count < JOIN_EDGES_MAX) {
        *at = (struct join_edge){to, v};
        e->count++;
        return;
    }
    at = e->edge;
    for (unsigned i = 1; i < e->count; i++)
        if (e->edge[i].verdict.by < at->verdict.by)
            at = &e->edge[i];
    enum join_by less = v.by < at->verdict.by ? v.by : at->verdict.by;
    e->dropped = less > e->dropped ? less : e->dropped;
    if (v.by > at->verdict.by)
        *at = (struct join_edge){to, v};
}

static void link_pair(struct join_face *front, struct join_face *back)
{
    struct join_verdict v = join_judge(front, back);
    if (!v.by)
        return;
    add_edge(&front->backs, back, v);
    add_edge(&back->fronts, front, v);
    back->awaited |= front->open || (!front->due && !front->alone);
}

static void forget(struct join_face *face)
{
    face->fronts.count = face->backs.count = 0;
    face->fronts.dropped = face->backs.dropped = JOIN_NONE;
    face->awaited = false;
}

static size_t add_span(struct join_span *span, size_t n, struct join_face *face)
{
    forget(face);
    if (face->back)
        return n;
    span[n] = (struct join_span){face->x->message[0].first_ns, face->end_ns, face};
    return n + 1;
}

bool join_link(const struct join_field *field)
{
    bool any = false;
    size_t n = 0;
    for (size_t i = 0; i < field->tolds; i++)
        n = add_span(field->span, n, field->told[i]);
    for (size_t i = 0; i < field->opens; i++)
        n = add_span(field->span, n, &field->open[i]);
    for (size_t j = 0; j < field->tolds; j++) {
        struct join_face *back = field->told[j];
        int64_t from = back->x->message[0].first_ns;
        for (size_t i = 0; i < n && !back->front; i++) {
            const struct join_span *s = &field->span[i];
            if (s->from_ns <= from && from <= s->end_ns && s->face != back)
                link_pair(s->face, back);
        }
        any |= back->awaited;
    }
    return any;
}

/* --- marks --- */

/* The same server has heard that from another request meanwhile: it says nothing. */
static bool is_worn(const struct join_face *other, const struct join_face *front,
                    const struct join_mark *mark)
{
    const struct tap_message *o = other->x->message, *f = front->x->message;
    bool meanwhile = o[0].first_ns <= front->end_ns && other->end_ns >= f[0].first_ns;
    return other != front && meanwhile && nu_addr_equal(other->server, front->server) &&
           join_has_mark(other, mark);
}

static bool is_fresh(const struct join_field *field, const struct join_face *front,
                     const struct join_mark *mark)
{
    for (size_t i = 0; i < field->tolds; i++)
        if (is_worn(field->told[i], front, mark))
            return false;
    for (size_t i = 0; i < field->opens; i++)
        if (is_worn(&field->open[i], front, mark))
            return false;
    return true;
}

static bool share_fresh(const struct join_field *field, const struct join_face *front,
                        const struct join_face *back, bool id)
{
    for (unsigned i = 0; i < front->marks; i++)
        if ((front->mark[i].kind > JOIN_MARK_VALUE) == id && join_has_mark(back, &front->mark[i]) &&
            is_fresh(field, front, &front->mark[i]))
            return true;
    return false;
}

/* --- rivals --- */

/* Of several proxies in a row, the next one: all others are behind it. By marks only: what merely
 * looks alike may be of somebody else. */
static bool is_next(const struct join_face *front, const struct join_face *back, enum join_by by)
{
    for (unsigned i = 0; i < front->backs.count; i++) {
        const struct join_edge *e = &front->backs.edge[i];
        if (e->to == back || e->to->front || e->verdict.by < by)
            continue;
        bool given_up = back->x->status && !e->to->x->status; /* and was tried again */
        if (by < JOIN_VALUE || (!given_up && join_judge(back, e->to).by < by))
            return false;
    }
    return true;
}

/* Nobody else could be in front of it, but for those that are in front of both. */
static bool is_only(const struct join_face *front, const struct join_face *back, enum join_by by)
{
    for (unsigned i = 0; i < back->fronts.count; i++) {
        const struct join_edge *e = &back->fronts.edge[i];
        if (e->to == front || e->to->back || e->verdict.by < by)
            continue;
        if (by < JOIN_VALUE || join_judge(e->to, front).by < by)
            return false;
    }
    return true;
}

/* Requests seem to go from the one server to the other and, as well, the other way round: looks do
 * not say which of them is the proxy. */
static bool goes_both_ways(const struct join_face *front, const struct join_face *back)
{
    for (unsigned i = 0; i < back->backs.count; i++)
        if (nu_addr_equal(back->backs.edge[i].to->server, front->server))
            return true;
    for (unsigned i = 0; i < front->fronts.count; i++)
        if (nu_addr_equal(front->fronts.edge[i].to->server, back->server))
            return true;
    return is_crowded(&back->backs, JOIN_LOOKS) || is_crowded(&front->fronts, JOIN_LOOKS);
}

static bool is_meant(const struct join_field *field, const struct join_face *front,
                     const struct join_edge *e, enum join_by by)
{
    enum join_by how = by < JOIN_VALUE ? e->verdict.looks : e->verdict.by;
    if (how < by || is_crowded(&e->to->fronts, by) || !is_next(front, e->to, by) ||
        !is_only(front, e->to, by))
        return false;
    if (by >= JOIN_VALUE)
        return share_fresh(field, front, e->to, how == JOIN_ID);
    if (front->x->message[0].first_ns <= field->lost_ns)
        return false;
    return how != JOIN_LOOKS || !goes_both_ways(front, e->to);
}

bool join_tie(const struct join_field *field, struct join_face *front, enum join_by by)
{
    for (unsigned i = 0; i < front->backs.count && !is_crowded(&front->backs, by); i++) {
        const struct join_edge *e = &front->backs.edge[i];
        if (e->to->front || !is_meant(field, front, e, by))
            continue;
        front->by = by < JOIN_VALUE ? e->verdict.looks : e->verdict.by;
        front->back = e->to;
        e->to->front = front;
        return true;
    }
    return false;
}

bool join_may_find(const struct join_face *front, bool any)
{
    for (unsigned i = 0; i < front->backs.count; i++) {
        const struct join_face *back = front->backs.edge[i].to;
        if (!back->front && back->awaited)
            return true;
    }
    return any && is_crowded(&front->backs, JOIN_LOOKS);
}

bool join_may_front(const struct join_face *back)
{
    for (unsigned i = 0; i < back->fronts.count; i++) {
        const struct join_face *front = back->fronts.edge[i].to;
        if (!front->back && !front->alone)
            return true;
    }
    return back->awaited;
}
