/* `websocket` where no other filter speaks frames: without ws_open and ws_shut it cuts bytes into
 * frames by itself. As a rule all that a read brought may pass; then it has only looked, no piece
 * of it becomes an event, and bytes go from socket to socket (D1).
 *
 * Faces: HTTP. Sees: DATA and END; the response's head, which starts it or makes it stand aside.
 * Stores: a frame's beginning that reads have cut, 139 bytes at most, a direction; and what a
 * client of HTTP/2 sent before the answer, one read. END: what is held of a frame is dropped, for a
 * cut frame is none. Holds the client's bytes until the answer, which the route's timeout bounds.
 * Its timers are the other form's. `close` drops what is held. */
#include "l7/ws/websocket_priv.h"

/* What a look may have to forget. */
struct before {
    struct nu_ws_check check;
    struct nu_ws_cutter cutter;
    int64_t empty_us;
};

static void forget(struct websocket *w, enum nu_dir dir, const struct before *before)
{
    w->check[dir] = before->check;
    w->cutter[dir] = before->cutter;
    w->empty_us = before->empty_us;
}

/* False: more is to be done about this piece than to let it by. */
static bool passes(struct websocket *w, enum nu_dir dir, const struct nu_msg *msg)
{
    enum nu_ws_opcode opcode = nu_ws_opcode(msg->first);
    if (opcode == NU_WS_CLOSE || (opcode == NU_WS_PONG && w->ping))
        return false;
    if (nu_ws_check(&w->check[dir], &w->conf->rules, msg))
        return false;
    return dir == NU_REV || !msg->head || !ws_is_too_fast(w, msg);
}

static bool alone_look(struct nu_filter *f, enum nu_dir dir, const uint8_t *at, size_t len)
{
    struct websocket *w = ws_of(f);
    unsigned messages = 0;
    size_t payload = 0;
    struct nu_msg msg;
    if (!w->record || w->code || w->closed[dir] || w->say[dir] || w->cutter[dir].held.len > 0)
        return false;
    struct before before = {w->check[dir], w->cutter[dir], w->empty_us};
    for (; len > 0; at += msg.data.len, len -= msg.data.len) {
        if (!nu_ws_peek(&w->cutter[dir], at, len, &msg) || !passes(w, dir, &msg)) {
            forget(w, dir, &before);
            return false;
        }
        messages += ws_begins_message(&w->check[dir], &msg);
        payload += msg.data.len - msg.head;
    }
    w->inside[dir] = w->cutter[dir].left > 0;
    if (dir == NU_FWD)
        ws_heard(w);
    ws_count(w, dir, messages, payload);
    return true;
}

static void cut_frames(struct websocket *w, enum nu_dir dir, struct nu_slice data)
{
    struct nu_filter *f = &w->filter;
    struct nu_ev ev = {.kind = NU_MSG};
    while (!nu_chain_ended(f->chain) &&
           nu_ws_cut(&w->cutter[dir], nu_filter_loop(f)->blocks, &data, &ev.u.msg)) {
        ws_on_msg(w, dir, &ev);
        ev.kind = NU_MSG;
    }
    nu_slice_drop(&data);
}

static void on_data(struct websocket *w, enum nu_dir dir, struct nu_slice data)
{
    if (alone_look(&w->filter, dir, data.data, data.len))
        nu_forward_data(&w->filter, dir, data);
    else
        cut_frames(w, dir, data);
}

/* What a client sends before it knows that it may. */
static void wait_for_answer(struct websocket *w, struct nu_slice data)
{
    w->early = data;
    nu_slice_keep(nu_filter_loop(&w->filter)->blocks, &w->early);
    nu_hold(&w->filter, NU_FWD);
}

static void on_answer(struct websocket *w, struct nu_ev *ev)
{
    struct nu_filter *f = &w->filter;
    struct nu_slice early = w->early;
    w->early = (struct nu_slice){0};
    ws_event(f, NU_REV, ev);
    nu_release(f, NU_FWD);
    if (w->record && early.len > 0)
        on_data(w, NU_FWD, early);
    else if (early.len > 0)
        nu_forward_data(f, NU_FWD, early);
}

static void alone_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct websocket *w = ws_of(f);
    if (ev->kind == NU_HEAD)
        on_answer(w, ev);
    else if (ev->kind == NU_END)
        ws_event(f, dir, ev);
    else if (w->record)
        on_data(w, dir, ev->u.data);
    else
        wait_for_answer(w, ev->u.data);
}

static enum nu_open alone_open(struct nu_filter *f, const void *conf)
{
    ws_of(f)->alone = true;
    return ws_open(f, conf);
}

static void alone_close(struct nu_filter *f)
{
    struct websocket *w = ws_of(f);
    nu_ws_cutter_free(&w->cutter[NU_FWD]);
    nu_ws_cutter_free(&w->cutter[NU_REV]);
    nu_slice_drop(&w->early);
    ws_close(f);
}

const struct nu_filter_type nu_ws_alone = {
    .name = "websocket",
    .doc = "The filter websocket where it is the only one that sees frames.",
    .size = sizeof(struct websocket),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END),
             NU_SEES(NU_HEAD) | NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .spare = nu_ws_spare,
    .open = alone_open,
    .event = alone_event,
    .look = alone_look,
    .signal = ws_signal,
    .close = alone_close,
};
