/* ws_open and ws_shut: the ends of the part of a stream's chain in which WebSocket frames flow.
 *
 * Faces: HTTP outside, WebSocket between them. ws_open sees DATA from the client and makes frames
 * of it, and what frames come from the server it gives back as bytes; ws_shut is its mirror. The
 * response's head decides whether they do anything. Store: a frame's beginning that reads have cut,
 * 139 bytes at most; and what a client of HTTP/2 sent before the answer, one read. END: what is
 * held of a frame is dropped, for a cut frame is none. Hold the client's bytes until the answer,
 * which the route's timeout bounds. `close` drops what is held. */
#include "core/chain.h"
#include "l7/stream.h"
#include "l7/ws/websocket.h"

struct ws_end {
    struct nu_filter filter;
    struct nu_ws_cutter cutter;
    struct nu_slice early; /* came before the answer */
    uint8_t in;            /* the direction whose bytes become frames */
    bool opened;
};

static struct ws_end *self_of(struct nu_filter *f)
{
    return (struct ws_end *)f;
}

bool nu_ws_may_open(const struct nu_stream *s)
{
    return s->tunnel && !s->status && nu_text_is_fold(s->request->upgrade, "websocket");
}

bool nu_ws_spare(const void *conf, const struct nu_facts *facts)
{
    return !nu_ws_may_open(facts->exchange->stream);
}

bool nu_ws_has_opened(const struct nu_stream *s, const struct nu_head *response)
{
    const struct nu_http_head *head = (const struct nu_http_head *)response;
    return head->body == NU_BODY_TUNNEL && nu_ws_may_open(s);
}

static void cut_frames(struct ws_end *e, struct nu_slice data)
{
    struct nu_filter *f = &e->filter;
    struct nu_ev ev = {.kind = NU_MSG};
    while (nu_ws_cut(&e->cutter, nu_filter_loop(f)->blocks, &data, &ev.u.msg)) {
        nu_forward(f, (enum nu_dir)e->in, &ev);
        ev.kind = NU_MSG;
    }
}

/* What a client sends before it knows that it may. */
static void wait_for_answer(struct ws_end *e, struct nu_slice data)
{
    e->early = data;
    nu_slice_keep(nu_filter_loop(&e->filter)->blocks, &e->early);
    nu_hold(&e->filter, NU_FWD);
}

static void on_answer(struct ws_end *e, struct nu_ev *ev)
{
    struct nu_filter *f = &e->filter;
    struct nu_slice early = e->early;
    e->early = (struct nu_slice){0};
    e->opened = nu_ws_has_opened(nu_stream_of(f), ev->u.head);
    nu_forward(f, NU_REV, ev);
    nu_release(f, NU_FWD);
    if (e->opened && early.len > 0)
        cut_frames(e, early);
    else if (early.len > 0)
        nu_forward_data(f, NU_FWD, early);
    if (!e->opened)
        nu_bypass(f);
}

static void end_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct ws_end *e = self_of(f);
    if (ev->kind == NU_HEAD)
        on_answer(e, ev);
    else if (ev->kind == NU_MSG)
        nu_forward_data(f, dir, ev->u.msg.data);
    else if (e->opened)
        cut_frames(e, ev->u.data);
    else
        wait_for_answer(e, ev->u.data);
}

static enum nu_open end_open(struct nu_filter *f, const void *conf)
{
    self_of(f)->in = f->type == &nu_ws_open ? NU_FWD : NU_REV;
    return nu_ws_may_open(nu_stream_of(f)) ? NU_OPEN : NU_PASS;
}

static void end_close(struct nu_filter *f)
{
    nu_ws_cutter_free(&self_of(f)->cutter);
    nu_slice_drop(&self_of(f)->early);
}

static bool speaks(const struct nu_place *places, unsigned count, unsigned i)
{
    return i < count && places[i].type->face[0] == NU_FACE_WS;
}

unsigned nu_ws_put_ends(const struct nu_place *places, unsigned count, struct nu_place *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        bool speaking = speaks(places, count, i);
        bool first = speaking && (i == 0 || !speaks(places, count, i - 1));
        bool last = speaking && !speaks(places, count, i + 1);
        if (first && last && places[i].type == &nu_filter_websocket) {
            out[n++] = (struct nu_place){&nu_ws_alone, places[i].conf};
            continue;
        }
        if (first)
            out[n++] = (struct nu_place){&nu_ws_open, NULL};
        out[n++] = places[i];
        if (last)
            out[n++] = (struct nu_place){&nu_ws_shut, NULL};
    }
    return n;
}

const struct nu_filter_type nu_ws_open = {
    .name = "ws_open",
    .doc = "WebSocket frames begin to its right.",
    .size = sizeof(struct ws_end),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_WS),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA), NU_SEES(NU_HEAD) | NU_SEES(NU_MSG)},
    .spare = nu_ws_spare,
    .open = end_open,
    .event = end_event,
    .close = end_close,
};

const struct nu_filter_type nu_ws_shut = {
    .name = "ws_shut",
    .doc = "WebSocket frames end to its left.",
    .size = sizeof(struct ws_end),
    .face = NU_FACES(NU_FACE_WS, NU_FACE_HTTP),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_MSG), NU_SEES(NU_HEAD) | NU_SEES(NU_DATA)},
    .spare = nu_ws_spare,
    .open = end_open,
    .event = end_event,
    .close = end_close,
};
