/* websocket: what a WebSocket may be: sizes, rate, the protocol itself; whether its client is still
 * there; and how it ends when it may not go on.
 *
 * Faces: WebSocket. Sees: MSG and END; the response's head, which starts it or makes it stand
 * aside. Stores nothing of what flows: a piece of a frame is judged and goes on as it came. END
 * passes. Holds nothing. Its timers: PING, drain, and the end of a closing handshake. `close`
 * counts how it ended.
 *
 * A WebSocket that may not go on is closed by us: both sides get a Close with the same code, as
 * soon as a frame in progress towards them is over, and what they say from then on is dropped. Who
 * has answered gets FIN; who has not within close_timeout, a reset. Where the frame that broke a
 * rule has gone on in part, that side cannot be told by a frame: it is cut. */
#include "l7/ws/websocket_priv.h"

#include "core/chain.h"
#include "l7/stream.h"
#include "protocols/ws/handshake.h"

#include <string.h>

#define SMALL_FRAGMENT  125 /* bytes: a fragment of no more counts as a message of its own */
#define PING_BYTES      8   /* of our PINGs: by them their PONGs are told from others */
#define DRAIN_SHARE(ms) ((ms) / 5 * 4) /* of the drain: the rest is for clients to answer */

enum { TIMER_PING, TIMER_DRAIN, TIMER_CLOSE };

static struct nu_loop *loop_of(const struct websocket *w)
{
    return nu_filter_loop(&w->filter);
}

static void count(const struct websocket *w, enum nu_ws_stat stat, int64_t n)
{
    nu_stat_add(w->conf->stats, loop_of(w)->shard, stat, n);
}

/* Where it stands alone, frames leave as the bytes that they are. */
static void send_on(struct websocket *w, enum nu_dir dir, struct nu_ev *ev)
{
    if (w->alone)
        nu_forward_data(&w->filter, dir, ev->u.msg.data);
    else
        nu_forward(&w->filter, dir, ev);
}

/* --- what it says itself --- */

static void say_now(struct websocket *w, enum nu_dir dir, enum nu_ws_opcode opcode,
                    const uint8_t *payload, size_t len)
{
    uint8_t frame[NU_WS_HEADER_MAX + NU_WS_CONTROL_MAX];
    uint64_t random = nu_loop_random(loop_of(w));
    uint8_t first = NU_WS_FIN | (uint8_t)opcode;
    size_t bytes =
        nu_ws_write(frame, first, payload, len, dir == NU_FWD ? (const uint8_t *)&random : NULL);
    struct nu_ev ev = {.kind = NU_MSG};
    ev.u.msg.data = nu_slice_copy(loop_of(w)->blocks, frame, bytes);
    ev.u.msg.first = first;
    ev.u.msg.head = (uint8_t)(bytes - len);
    ev.u.msg.last = true;
    send_on(w, dir, &ev);
}

static void say_close(struct websocket *w, enum nu_dir dir)
{
    uint8_t payload[NU_WS_CONTROL_MAX];
    size_t len = strlen(w->reason);
    payload[0] = (uint8_t)(w->code >> 8);
    payload[1] = (uint8_t)w->code;
    memcpy(payload + 2, w->reason, len); /* ours: all of them are short */
    w->closed[dir] = true;
    say_now(w, dir, NU_WS_CLOSE, payload, len + 2);
}

/* What may be said by now, if a frame is not in progress that way. */
static void say(struct websocket *w, enum nu_dir dir, uint8_t what)
{
    w->say[dir] |= what;
    if (w->inside[dir] || w->closed[dir] || w->over[dir])
        return;
    what = w->say[dir];
    w->say[dir] = 0;
    if (what & SAY_PING)
        say_now(w, dir, NU_WS_PING, (const uint8_t *)&w->ping, PING_BYTES);
    if (what & SAY_CLOSE)
        say_close(w, dir);
}

/* --- its end --- */

static void end(struct websocket *w, enum nu_dir dir, struct nu_result result)
{
    if (w->over[dir])
        return;
    w->over[dir] = true;
    nu_forward_end(&w->filter, dir, result);
}

/* Both have said Close, but neither closes: they are told to. Else they are cut. */
static void on_close_timeout(struct nu_filter *f)
{
    struct websocket *w = ws_of(f);
    struct nu_result clean = {.how = NU_CLEAN, .side = NU_SIDE_LOCAL};
    if (w->forced || !w->closed[NU_FWD] || !w->closed[NU_REV]) {
        nu_fail(f, NU_CAUSE_IDLE, NU_SIDE_LOCAL, "%s", "no end of a closing handshake");
        return;
    }
    w->forced = true;
    nu_timer_set(f, TIMER_CLOSE, w->conf->close_timeout_ms, on_close_timeout);
    end(w, NU_FWD, clean);
    end(w, NU_REV, clean);
}

/* The closing handshake is under way: from now on it has so long. */
static void watch_close(struct websocket *w)
{
    nu_timer_stop(&w->filter, TIMER_PING);
    nu_timer_set(&w->filter, TIMER_CLOSE, w->conf->close_timeout_ms, on_close_timeout);
}

static void note_close(struct websocket *w, unsigned code, enum nu_side by)
{
    if (w->record->by)
        return;
    w->record->code = (uint16_t)code;
    w->record->by = (uint8_t)by;
}

/* Ends it from this side. `cut`: a frame that goes that way will never be whole. */
static void shut(struct websocket *w, unsigned code, const char *reason, const enum nu_dir *cut)
{
    w->code = (uint16_t)code;
    w->reason = reason;
    note_close(w, code, NU_SIDE_LOCAL);
    watch_close(w);
    if (cut && w->inside[*cut])
        end(w, *cut, (struct nu_result){.how = NU_TRUNCATED, .side = NU_SIDE_LOCAL});
    say(w, NU_FWD, SAY_CLOSE);
    say(w, NU_REV, SAY_CLOSE);
}

/* Who has answered our Close, or has nothing more to say, gets FIN. */
static void answered(struct websocket *w, enum nu_dir dir)
{
    enum nu_dir back = nu_opposite(dir);
    if (w->closed[back])
        end(w, back, (struct nu_result){.how = NU_CLEAN, .side = NU_SIDE_LOCAL});
}

/* A rule was broken by who sends in that direction. */
static void violated(struct websocket *w, enum nu_dir dir, unsigned code, const char *details,
                     const char *reason)
{
    struct nu_stream *s = nu_stream_of(&w->filter);
    bool client = dir == NU_FWD;
    enum nu_stream_flag flag = client ? NU_FLAG_CLIENT_ERROR : NU_FLAG_SERVER_ERROR;
    nu_stream_flag(s, code == NU_WS_CLOSE_POLICY ? NU_FLAG_RATE_LIMITED : flag);
    s->details = details;
    count(w,
          code == NU_WS_CLOSE_POLICY    ? NU_WS_RATE_LIMITED
          : code == NU_WS_CLOSE_TOO_BIG ? NU_WS_TOO_LARGE
                                        : NU_WS_PROTOCOL_ERROR,
          1);
    shut(w, code, reason, &dir);
}

/* --- what flows --- */

/* A token bucket that is one number: it holds a second's worth, and starts full. */
bool ws_is_too_fast(struct websocket *w, const struct nu_msg *msg)
{
    int64_t now = loop_of(w)->now_ms * 1000, second = 1000 * 1000;
    struct nu_ws_header h;
    if (!w->conf->messages_per_second)
        return false;
    nu_ws_read_header(msg->data.data, msg->head, &h);
    if (!w->check[NU_FWD].is_new && h.len > SMALL_FRAGMENT)
        return false;
    if (w->empty_us < now - second)
        w->empty_us = now - second;
    w->empty_us += second / w->conf->messages_per_second;
    return w->empty_us > now;
}

/* The answer to our PING is nobody else's. */
static bool is_our_pong(struct websocket *w, const struct nu_msg *msg)
{
    uint8_t payload[PING_BYTES];
    if (!w->ping || nu_ws_opcode(msg->first) != NU_WS_PONG ||
        msg->data.len - msg->head != PING_BYTES)
        return false;
    for (size_t i = 0; i < PING_BYTES; i++)
        payload[i] = msg->data.data[msg->head + i] ^ w->check[NU_FWD].mask[i & 3];
    if (memcmp(payload, &w->ping, PING_BYTES) != 0)
        return false;
    w->ping = 0;
    return true;
}

void ws_count(struct websocket *w, enum nu_dir dir, unsigned messages, size_t bytes)
{
    bool rx = dir == NU_FWD;
    count(w, rx ? NU_WS_RX_BYTES : NU_WS_TX_BYTES, (int64_t)bytes);
    if (!messages)
        return;
    count(w, rx ? NU_WS_RX_MESSAGES : NU_WS_TX_MESSAGES, messages);
    w->record->messages[dir] += messages;
}

void ws_heard(struct websocket *w)
{
    w->heard_ms = loop_of(w)->now_ms;
    w->asked = false;
}

static void pass(struct websocket *w, enum nu_dir dir, struct nu_ev *ev)
{
    bool last = ev->u.msg.last;
    w->inside[dir] = !last;
    send_on(w, dir, ev);
    if (last && w->say[dir])
        say(w, dir, 0);
}

/* A Close that came: both have said theirs, or one is still to. */
static void on_close(struct websocket *w, enum nu_dir dir, struct nu_ev *ev)
{
    note_close(w, w->check[dir].code, dir == NU_FWD ? NU_SIDE_CLIENT : NU_SIDE_UPSTREAM);
    w->closed[dir] = true;
    pass(w, dir, ev);
    watch_close(w);
}

/* While we close it: the rest of a frame goes on, so that a Close can follow it, and an answer is
 * looked for. */
static void while_closing(struct websocket *w, enum nu_dir dir, struct nu_ev *ev)
{
    const struct nu_msg *msg = &ev->u.msg;
    if (w->inside[dir] && !w->over[dir] && !msg->head) {
        pass(w, dir, ev);
        return;
    }
    if (msg->head && nu_ws_opcode(msg->first) == NU_WS_CLOSE)
        answered(w, dir);
    nu_ev_free(ev);
}

void ws_on_msg(struct websocket *w, enum nu_dir dir, struct nu_ev *ev)
{
    const struct nu_msg *msg = &ev->u.msg;
    if (w->code) {
        while_closing(w, dir, ev);
        return;
    }
    if (w->closed[dir]) { /* nothing follows a Close (RFC 6455 5.5.1) */
        nu_ev_free(ev);
        return;
    }
    enum nu_ws_error error = nu_ws_check(&w->check[dir], &w->conf->rules, msg);
    if (dir == NU_FWD)
        ws_heard(w);
    if (error) {
        violated(w, dir, nu_ws_error_code(error), nu_ws_error_str(error),
                 nu_ws_error_reason(error));
        nu_ev_free(ev);
    } else if (dir == NU_FWD && is_our_pong(w, msg)) {
        nu_ev_free(ev);
    } else if (dir == NU_FWD && msg->head && ws_is_too_fast(w, msg)) {
        violated(w, dir, NU_WS_CLOSE_POLICY, "websocket_rate_limited", "too many messages");
        nu_ev_free(ev);
    } else {
        ws_count(w, dir, ws_begins_message(&w->check[dir], msg), msg->data.len - msg->head);
        if (msg->head && nu_ws_opcode(msg->first) == NU_WS_CLOSE)
            on_close(w, dir, ev);
        else
            pass(w, dir, ev);
    }
}

static void on_end(struct websocket *w, enum nu_dir dir, struct nu_result result)
{
    nu_timer_stop(&w->filter, TIMER_PING); /* who has said all can answer none */
    if (w->code && w->closed[dir])         /* its Close has told that side all */
        result = (struct nu_result){.how = NU_CLEAN, .side = NU_SIDE_LOCAL};
    if (w->code)
        answered(w, dir);
    end(w, dir, result);
}

/* --- time --- */

static void on_ping(struct nu_filter *f)
{
    struct websocket *w = ws_of(f);
    int64_t interval = w->conf->ping_interval_ms, now = loop_of(w)->now_ms;
    int64_t quiet = now - w->heard_ms;
    if (w->asked && quiet >= 2 * interval) {
        count(w, NU_WS_PING_TIMEOUT, 1);
        nu_stream_flag(nu_stream_of(f), NU_FLAG_CLIENT_GONE);
        nu_stream_of(f)->details = "websocket_ping_timeout";
        shut(w, NU_WS_CLOSE_GOING_AWAY, "no answer to a ping", NULL);
        return;
    }
    if (quiet >= interval && !w->inside[NU_REV]) {
        w->ping = nu_loop_random(loop_of(w)) | 1;
        w->asked = true;
        count(w, NU_WS_PINGS, 1);
        say(w, NU_REV, SAY_PING);
        quiet = 0;
    }
    nu_timer_set(f, TIMER_PING, quiet < interval ? interval - quiet : interval, on_ping);
}

static void on_drain(struct nu_filter *f)
{
    struct websocket *w = ws_of(f);
    if (w->code || w->closed[NU_FWD] || w->closed[NU_REV])
        return;
    count(w, NU_WS_DRAIN_CLOSE, 1);
    nu_stream_of(f)->details = "websocket_drain";
    shut(w, NU_WS_CLOSE_GOING_AWAY, "server is shutting down", NULL);
}

/* Not all at once: clients come back at once, and to the others. */
static void drain(struct websocket *w)
{
    uint64_t window = (uint64_t)DRAIN_SHARE(w->conf->drain_ms);
    int64_t wait = (int64_t)(nu_loop_random(loop_of(w)) % (window + 1));
    nu_timer_set(&w->filter, TIMER_DRAIN, wait, on_drain);
}

void ws_signal(struct nu_filter *f, enum nu_signal signal)
{
    struct websocket *w = ws_of(f);
    w->draining = w->draining || signal == NU_DRAIN;
    if (signal == NU_DRAIN && w->record)
        drain(w);
}

/* --- the filter --- */

/* Spread, lest all that came at once go on to speak at once. */
static void watch_client(struct websocket *w)
{
    int64_t half = w->conf->ping_interval_ms / 2;
    if (half > 0)
        nu_timer_set(&w->filter, TIMER_PING,
                     half + (int64_t)(nu_loop_random(loop_of(w)) % (uint64_t)half), on_ping);
}

static void begin(struct websocket *w, const struct nu_head *response)
{
    struct nu_stream *s = nu_stream_of(&w->filter);
    bool deflate = nu_ws_is_deflate((const struct nu_http_head *)response);
    w->check[NU_FWD].masked = true;
    w->check[NU_FWD].deflate = w->check[NU_REV].deflate = deflate;
    w->heard_ms = loop_of(w)->now_ms;
    s->websocket = w->record = &w->for_log;
    w->record->code = NU_WS_CLOSE_ABNORMAL;
    count(w, NU_WS_TOTAL, 1);
    count(w, NU_WS_ACTIVE, 1);
    watch_client(w);
    if (w->draining)
        drain(w);
}

void ws_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct websocket *w = ws_of(f);
    if (ev->kind == NU_MSG) {
        ws_on_msg(w, dir, ev);
    } else if (ev->kind == NU_END) {
        on_end(w, dir, ev->u.end);
    } else {
        bool opened = nu_ws_has_opened(nu_stream_of(f), ev->u.head);
        if (opened)
            begin(w, ev->u.head);
        nu_forward(f, dir, ev);
        if (!opened)
            nu_bypass(f);
    }
}

enum nu_open ws_open(struct nu_filter *f, const void *conf)
{
    ws_of(f)->conf = conf;
    return nu_ws_may_open(nu_stream_of(f)) ? NU_OPEN : NU_PASS;
}

void ws_close(struct nu_filter *f)
{
    struct websocket *w = ws_of(f);
    if (!w->record)
        return;
    count(w, NU_WS_ACTIVE, -1);
    count(w, nu_ws_close_stat(w->record->code), 1);
}

const struct nu_filter_type nu_filter_websocket = {
    .name = "websocket",
    .doc = "Keeps WebSockets within limits and to their protocol.",
    .size = sizeof(struct websocket),
    .face = NU_FACES(NU_FACE_WS, NU_FACE_WS),
    .sees = {NU_SEES(NU_MSG) | NU_SEES(NU_END),
             NU_SEES(NU_HEAD) | NU_SEES(NU_MSG) | NU_SEES(NU_END)},
    .schema = &nu_websocket_schema,
    .prepare = nu_websocket_prepare,
    .spare = nu_ws_spare,
    .open = ws_open,
    .event = ws_event,
    .signal = ws_signal,
    .close = ws_close,
};
