/* Which response answers which request. Without loss they come in the same order. With it, what
 * each end had of the other's stream when it spoke says it: who asks again only when the answer is
 * there has acknowledged that answer, and nothing behind it. Where requests were sent ahead, so
 * that this does not tell them apart, only a request id does; else the answer stays alone. */
#include "tools/tap/h1_priv.h"

/* Bytes of its peer's stream that whoever speaks in `dir` has, by its last acknowledgment. Inside
 * of TLS bytes are other bytes: there it is what was read so far. */
static uint64_t had(const struct h1 *h, int dir)
{
    const struct tap_conn *conn = h->layer.conn;
    const struct nu_tcp_half *half = nu_flow_half(conn->flow, !dir);
    uint64_t count = h->side[!dir].count;
    if (conn->tls || !half->has_ack || !half->started)
        return count;
    int64_t ahead = (int32_t)(half->acked - half->next);
    return ahead < 0 && count < (uint64_t)-ahead ? 0 : count + (uint64_t)ahead;
}

void h1_unlist(struct h1 *h, struct tap_open *o)
{
    if (!nu_list_linked(&o->link))
        return;
    nu_list_del(&o->link);
    --*(o->early ? &h->earlies : &h->pendings);
    o->early = false;
}

static void wait_for_answer(struct h1 *h, struct tap_open *o)
{
    if (h->pendings == H1_PENDING_MAX) {
        struct tap_open *first = nu_container(h->pending.next, struct tap_open, link);
        tap_note_add(&first->x.note, "no response to it, nor to %d more requests", H1_PENDING_MAX);
        h1_tell(h, first);
        h->lossy = true;
    }
    nu_list_add_tail(&h->pending, &o->link);
    h->pendings++;
}

/* Bytes of the client that the server has acknowledged, and that have not come (yet). */
static uint64_t unseen(const struct h1 *h)
{
    const struct nu_tcp_half *half = nu_flow_half(h->layer.conn->flow, 0);
    if (!half->has_ack || !half->started || half->finished)
        return 0;
    int32_t ahead = (int32_t)(half->acked - half->next);
    ahead -= half->has_fin && half->acked == half->fin + 1; /* FIN counts as one */
    return ahead > 0 ? (uint64_t)ahead : 0;
}

/* An answer whose request is in a gap, it seems. */
static void note_unasked(struct h1 *h, struct tap_open *o)
{
    uint64_t *gone = &h->side[0].gone, missing = unseen(h);
    if (*gone)
        tap_note_add(&o->x.note, "gap of %lluB in the requests", (unsigned long long)*gone);
    else if (missing)
        tap_note_add(&o->x.note, "%lluB of the client before it were not captured",
                     (unsigned long long)missing);
    *gone = 0;
}

/* The first answer that was sent after the server had some of this request; those before it are
 * to requests that never came. */
static struct tap_open *early_answer(struct h1 *h, uint64_t begins)
{
    nu_list_each (it, &h->early) {
        struct tap_open *o = nu_container(it, struct tap_open, link);
        h1_unlist(h, o);
        if (o->server_had > begins)
            return o;
        note_unasked(h, o);
        if (o->over[1])
            h1_tell(h, o);
    }
    return NULL;
}

struct tap_open *h1_pair_request(struct h1 *h)
{
    struct h1_side *s = &h->side[0];
    struct tap_open *o = early_answer(h, s->begins);
    if (o) {
        o->over[0] = false;
        return o;
    }
    o = tap_open_new(h->layer.conn, TAP_H1);
    o->begins = s->begins;
    o->heard = had(h, 0);
    wait_for_answer(h, o);
    return o;
}

static struct tap_open *take_pending(struct h1 *h, struct tap_open *o)
{
    h1_unlist(h, o);
    return o;
}

/* The requests before this one were answered by what was missed. */
static void tell_lost_before(struct h1 *h, const struct tap_open *sure)
{
    nu_list_each (it, &h->pending) {
        struct tap_open *o = nu_container(it, struct tap_open, link);
        if (o == sure)
            return;
        take_pending(h, o);
        tap_note_add(&o->x.note, "its response was not captured");
        h1_over(h, o, 1, false, 0);
    }
}

/* The last request that was sent no later than the answer begins, unless the one before it was sent
 * with no more in hand. */
static struct tap_open *by_position(struct h1 *h, uint64_t begins)
{
    struct nu_list *it = h->pending.prev;
    while (it != &h->pending && nu_container(it, struct tap_open, link)->heard > begins)
        it = it->prev;
    if (it == &h->pending)
        return NULL;
    struct tap_open *best = nu_container(it, struct tap_open, link);
    bool alone = it->prev == &h->pending ||
                 nu_container(it->prev, struct tap_open, link)->heard != best->heard;
    return alone ? best : NULL;
}

static struct tap_open *answers_nobody(struct h1 *h, bool ambiguous)
{
    struct tap_open *o = tap_open_new(h->layer.conn, TAP_H1);
    const struct nu_tcp_half *client = nu_flow_half(h->layer.conn->flow, 0);
    o->over[0] = true;
    o->server_had = had(h, 1);
    if (ambiguous)
        tap_note_add(&o->x.note, "after a gap: it is not known which request this answers");
    else if (client->kept && h->earlies < H1_EARLY_MAX) {
        nu_list_add_tail(&h->early, &o->link);
        h->earlies++;
        o->early = true;
    } else
        note_unasked(h, o);
    return o;
}

struct tap_open *h1_pair_response(struct h1 *h)
{
    struct tap_open *o = NULL;
    if (nu_list_empty(&h->pending))
        return answers_nobody(h, false);
    o = nu_container(h->pending.next, struct tap_open, link);
    if (!h->lossy && !h->unsure)
        return take_pending(h, o);
    struct tap_open *sure = by_position(h, h->side[1].begins);
    if (!sure && h->lossy)
        return answers_nobody(h, true);
    if (!sure)
        return take_pending(h, o);
    tell_lost_before(h, sure);
    h->lossy = h->side[0].at == H1_SEARCH;
    h->unsure = false;
    return take_pending(h, sure);
}

void h1_tell(struct h1 *h, struct tap_open *o)
{
    h1_unlist(h, o);
    for (int dir = 0; dir < 2; dir++)
        if (h->side[dir].open == o)
            h->side[dir].open = NULL;
    bool asked = h->asks == o;
    tap_open_tell(o);
    if (asked)
        h1_decide(h, false, 0);
}

void h1_over(struct h1 *h, struct tap_open *o, int dir, bool complete, int64_t ns)
{
    if (h->side[dir].open == o)
        h->side[dir].open = NULL;
    if (tap_open_over(o, dir, complete, ns) && !o->early)
        h1_tell(h, o);
    else if (dir && h->asks == o)
        h1_decide(h, false, ns);
}

void h1_tell_waiting(struct h1 *h)
{
    unsigned long long gone = h->side[1].gone;
    while (!nu_list_empty(&h->early)) {
        struct tap_open *o = nu_container(h->early.next, struct tap_open, link);
        note_unasked(h, o);
        h1_tell(h, o);
    }
    while (!nu_list_empty(&h->pending)) {
        struct tap_open *o = nu_container(h->pending.next, struct tap_open, link);
        if (gone)
            tap_note_add(&o->x.note, "no response: gap of %lluB", gone);
        else
            tap_note_add(&o->x.note, "no response: %s", tap_end_str(h->side[1].how));
        h1_tell(h, o);
    }
}

static void free_open(struct h1 *h, struct tap_open *o)
{
    h1_unlist(h, o);
    for (int dir = 0; dir < 2; dir++)
        if (h->side[dir].open == o)
            h->side[dir].open = NULL;
    tap_open_free(o);
}

void h1_free_waiting(struct h1 *h)
{
    while (!nu_list_empty(&h->early))
        free_open(h, nu_container(h->early.next, struct tap_open, link));
    while (!nu_list_empty(&h->pending))
        free_open(h, nu_container(h->pending.next, struct tap_open, link));
    for (int dir = 0; dir < 2; dir++)
        if (h->side[dir].open)
            free_open(h, h->side[dir].open);
}
