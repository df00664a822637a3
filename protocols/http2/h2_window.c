/* What is given back of a stream's window, and how large that is: bandwidth by delay, where
 * bandwidth is what the user takes.
 *
 * Delay is that of a PING and its ACK, from end to end, whatever relays stand between. What is
 * taken behind the PING tells the bandwidth, once it is a window's worth: over less, bursts would
 * be taken for it. One stream at a time is measured, and none that has not used its window once. */
#include "protocols/http2/h2_priv.h"

#define SMALL_FACTOR 3 /* that a window is larger than bandwidth by delay, at least */
#define LATE_FACTOR  8 /* round trips after which a measure tells that there was no need */
#define STEADY_MOST  6 /* doublings of the bytes between measures that change nothing */

static bool may_grow(const struct nu_h2_stream *st)
{
    const struct nu_h2 *h2 = st->h2;
    return !st->heard && st->window * 2 <= h2->conf->window_max &&
           h2->grown + st->window <= H2_GROWTH_MAX;
}

static void grow(struct nu_h2_stream *st)
{
    struct nu_h2 *h2 = st->h2;
    h2->grown += st->window;
    st->window *= 2;
    st->steady = 0;
    nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, st->id,
                                          (int32_t)st->window);
}

/* --- a measure --- */

static void begin(struct nu_h2_stream *st)
{
    struct nu_h2 *h2 = st->h2;
    h2->pinging = true;
    h2->measured = st;
    h2->measure_ms = h2->now_ms;
    st->sample = 0;
    nu_h2_flood_allow(&h2->buckets, NU_H2_FLOOD_PING, 1); /* for the ACK */
    nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, (const uint8_t *)H2_MEASURE_PING);
}

static uint64_t elapsed_ms(const struct nu_h2 *h2)
{
    return h2->now_ms > h2->measure_ms ? (uint64_t)(h2->now_ms - h2->measure_ms) : 1;
}

/* Behind a larger window comes the next measure at once; else ever later. */
static void end(struct nu_h2 *h2, bool small)
{
    struct nu_h2_stream *st = h2->measured;
    h2->measured = NULL;
    st->sample = 0;
    st->steady += st->steady < STEADY_MOST;
    if (!small || !may_grow(st))
        return;
    grow(st);
    if (may_grow(st))
        begin(st);
}

/* Whether there is an end to it: its stream took enough, or is in no hurry. */
static void look(struct nu_h2 *h2)
{
    const struct nu_h2_stream *st = h2->measured;
    if (!st || h2->pinging)
        return;
    uint64_t ms = elapsed_ms(h2);
    if (st->sample >= st->window)
        end(h2, st->sample * h2->rtt_ms * SMALL_FACTOR / ms >= st->window);
    else if (ms > h2->rtt_ms * LATE_FACTOR)
        end(h2, false);
}

/* --- what happens --- */

void h2_window_give(struct nu_h2_stream *st)
{
    struct nu_h2 *h2 = st->h2;
    nghttp2_session_consume_stream(h2->session, st->id, st->taken);
    st->sample += st->taken;
    st->taken = 0;
    look(h2);
    if (!h2->pinging && !h2->measured && st->sample >= (uint64_t)st->window << st->steady &&
        may_grow(st))
        begin(st);
}

void h2_window_acked(struct nu_h2 *h2)
{
    h2->pinging = false;
    h2->rtt_ms = elapsed_ms(h2);
    look(h2);
}

void h2_window_forget(struct nu_h2_stream *st)
{
    struct nu_h2 *h2 = st->h2;
    h2->grown -= st->window - h2->conf->stream_window;
    if (h2->measured == st)
        h2->measured = NULL;
}
