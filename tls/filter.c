/* TLS as a byte filter; see filter.h.
 *
 * Faces: bytes on both sides. Sees: DATA and END both ways. Stores: of the wire the rest of one
 * event, while the way ahead is blocked, and what OpenSSL has of an unfinished record; of the plain
 * side one event, while OpenSSL waits for the rest of a message. END(CLEAN) of the plain side
 * becomes close_notify and END; any other END goes on without. Holds the plain side from `open`
 * until the handshake is done (TLS_TIMER_HANDSHAKE), and while one of its events is stuck; holds
 * the wire while the way ahead is blocked and a record has gone on all the same, so that alerts and
 * KeyUpdates are heard though nobody takes payload (B6). `close` frees the SSL. */
#include "tls/filter_priv.h"

#include "core/assert.h"

#include <stdlib.h>

const char *tls_state_str(enum tls_state state)
{
    static const char *const names[] = {"handshake", "open", "shut", "failed"};
    nu_assert((unsigned)state < sizeof names / sizeof *names);
    return names[state];
}

/* Which states may follow which: a bit for each. */
static const uint8_t edges[] = {
    [TLS_HANDSHAKE] = 1 << TLS_OPEN | 1 << TLS_FAILED,
    [TLS_OPEN] = 1 << TLS_SHUT | 1 << TLS_FAILED,
    [TLS_SHUT] = 1 << TLS_FAILED,
    [TLS_FAILED] = 0,
};

void tls_set_state(struct tls *t, enum tls_state to)
{
    nu_assert(edges[t->state] >> to & 1);
    t->state = (uint8_t)to;
}

void tls_enter(struct tls *t, size_t expect)
{
    tls_bio_begin(&t->wire, nu_filter_loop(&t->filter)->blocks, expect);
}

void tls_leave(struct tls *t)
{
    struct nu_slice out = tls_bio_end();
    t->wire_out += out.len;
    if (out.len && !nu_bit(&t->filter, NU_B_ENDED, tls_outdir(t)))
        nu_forward_data(&t->filter, tls_outdir(t), out);
    else
        nu_slice_drop(&out);
}

/* --- from the wire --- */

static bool in_ended(const struct tls *t)
{
    return nu_bit(&t->filter, NU_B_ENDED, (enum nu_dir)t->in);
}

static bool reads(const struct tls *t)
{
    return (t->state == TLS_OPEN || t->state == TLS_SHUT) && !in_ended(t) &&
           !nu_chain_ended(t->filter.chain);
}

/* Ciphertext, or plaintext of a record that was begun. A partial record is not at hand. */
static bool at_hand(const struct tls *t)
{
    return t->wire.in.len || (t->filled && SSL_pending(t->conn.ssl));
}

/* close_notify: the only way in which the peer's bytes are whole. */
static void peer_closed(struct tls *t)
{
    enum nu_cause cause = tls_is_server(t) ? NU_CAUSE_CLIENT_FIN : NU_CAUSE_UPSTREAM_FIN;
    nu_slice_drop(&t->wire.in);
    nu_forward_end(&t->filter, (enum nu_dir)t->in, nu_result_of(cause));
    nu_drop(&t->filter, (enum nu_dir)t->in);
}

static void read_stopped(struct tls *t, int error)
{
    if (t->wire.closed)
        tls_refuse(t, tls_is_server(t) ? NU_CAUSE_TLS_ERROR : NU_CAUSE_UPSTREAM_TLS_ERROR,
                   "too many control messages");
    else if (error == SSL_ERROR_ZERO_RETURN)
        peer_closed(t);
    else if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ)
        tls_broken(t);
}

/* Records that are at hand, decrypted into one block as far as it goes; or only the next one. */
static void pull_block(struct tls *t, bool one)
{
    struct nu_block_pool *blocks = nu_filter_loop(&t->filter)->blocks;
    size_t want = t->wire.in.len < NU_BLOCK_TINY ? NU_BLOCK_TINY : t->wire.in.len;
    struct nu_block *b = nu_block_get(blocks, want < NU_BLOCK_MEDIUM ? want : NU_BLOCK_MEDIUM);
    size_t got = 0, n;
    int error = SSL_ERROR_NONE;
    tls_enter(t, 0);
    do {
        int answer = SSL_read_ex(t->conn.ssl, b->data + got, b->cap - got, &n);
        if (answer > 0)
            got += n;
        error = tls_bio_error(t->conn.ssl, answer);
        t->filled = got == b->cap;
    } while (error == SSL_ERROR_NONE && !one && got < b->cap && at_hand(t));
    tls_leave(t);
    if (got)
        nu_forward_data(&t->filter, (enum nu_dir)t->in, nu_block_freeze(b, got));
    nu_block_unref(b);
    if (got && one)
        t->ahead = true;
    if (got && t->state == TLS_SHUT)
        t->talks = true;
    read_stopped(t, error);
}

/* All that is at hand, while the way is free; where it is not, one record. */
static void pull(struct tls *t)
{
    enum nu_dir in = (enum nu_dir)t->in;
    while (reads(t) && at_hand(t)) {
        bool blocked = nu_blocked(&t->filter, in);
        if (blocked && t->ahead) {
            nu_slice_keep(nu_filter_loop(&t->filter)->blocks, &t->wire.in);
            nu_hold(&t->filter, in);
            return;
        }
        pull_block(t, blocked);
    }
    nu_slice_drop(&t->wire.in);
    nu_release(&t->filter, in);
}

static void from_plain(struct tls *t, struct nu_ev *ev);

/* What OpenSSL would not take in the midst of a message goes on once that is whole. */
static void go_on(struct tls *t)
{
    if (!t->stuck || t->state != TLS_OPEN || SSL_in_init(t->conn.ssl))
        return;
    struct nu_ev ev = t->waiting;
    t->stuck = false;
    nu_release(&t->filter, tls_outdir(t));
    from_plain(t, &ev);
}

static void wire_data(struct tls *t, struct nu_slice data)
{
    t->wire_in += data.len;
    t->wire.in = data;
    if (t->state == TLS_HANDSHAKE && !tls_shake(t)) {
        nu_slice_drop(&t->wire.in);
        return;
    }
    pull(t);
    go_on(t);
}

/* Without close_notify before it: whatever the socket believes, something may be missing. */
static void wire_end(struct tls *t, struct nu_result end)
{
    if (t->state == TLS_HANDSHAKE) {
        tls_deserted(t, end);
        return;
    }
    if (end.how == NU_CLEAN) {
        tls_count(t, NU_TLS_TRUNCATED);
        end = nu_result_of(tls_is_server(t) ? NU_CAUSE_CLIENT_CUT : NU_CAUSE_UPSTREAM_CUT);
        if (t->state == TLS_SHUT && !t->talks)
            end.cause =
                NU_CAUSE_NONE; /* told that all is said, many just leave: no news for a log */
    }
    if (t->stuck) /* will never move again */
        nu_fail(&t->filter, end.cause, end.side, "the wire ended within a message");
    else
        nu_forward_end(&t->filter, (enum nu_dir)t->in, end);
}

/* --- from the plain side --- */

static void stick(struct tls *t, const struct nu_ev *ev)
{
    t->waiting = *ev;
    t->stuck = true;
    nu_ev_keep(nu_filter_loop(&t->filter)->blocks, &t->waiting);
    nu_hold(&t->filter, tls_outdir(t));
}

static void plain_data(struct tls *t, struct nu_ev *ev)
{
    size_t n, len = ev->u.data.len;
    if (len == 0) {
        nu_ev_free(ev);
        return;
    }
    tls_enter(t, len + len / 64 + 64); /* headers and tags; more just takes a larger block */
    int answer = SSL_write_ex(t->conn.ssl, ev->u.data.data, len, &n);
    int error = tls_bio_error(t->conn.ssl, answer);
    tls_leave(t);
    if (error == SSL_ERROR_WANT_READ) {
        stick(t, ev);
        return;
    }
    nu_ev_free(ev);
    if (error != SSL_ERROR_NONE)
        tls_broken(t);
}

static void plain_end(struct tls *t, struct nu_ev *ev)
{
    if (ev->u.end.how == NU_CLEAN) {
        if (SSL_in_init(t->conn.ssl)) {
            stick(t, ev);
            return;
        }
        tls_enter(t, 0);
        SSL_shutdown(t->conn.ssl);
        tls_leave(t);
    }
    tls_set_state(t, TLS_SHUT);
    nu_forward(&t->filter, tls_outdir(t), ev);
}

static void from_plain(struct tls *t, struct nu_ev *ev)
{
    if (ev->kind == NU_END)
        plain_end(t, ev);
    else
        plain_data(t, ev);
}

/* --- the vtable --- */

static enum nu_open tls_open(struct nu_filter *f, const void *conf)
{
    struct tls *t = tls_of(f);
    t->conn.context = (struct nu_tls_context *)conf;
    t->conn.filter = f;
    t->in = t->conn.context->role == NU_TLS_SERVER ? NU_FWD : NU_REV;
    t->alert_in = t->alert_out = TLS_NO_ALERT;
    t->control = TLS_CONTROL_BURST;
    t->start_ms = t->refilled_ms = nu_filter_loop(f)->now_ms;
    nu_shield(f, (enum nu_dir)t->in);
    nu_hold(f, tls_outdir(t));
    if (t->conn.context->handshake_timeout_ms > 0)
        nu_timer_set(f, TLS_TIMER_HANDSHAKE, t->conn.context->handshake_timeout_ms, tls_too_late);
    return NU_OPEN;
}

/* A client speaks first; a server makes its SSL when somebody speaks. */
static void tls_start(struct nu_filter *f)
{
    struct tls *t = tls_of(f);
    if (tls_is_server(t))
        return;
    t->starting = true;
    t->reached = !nu_blocked(f, tls_outdir(t));
    tls_shake(t);
    t->starting = false;
}

static void tls_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct tls *t = tls_of(f);
    if (t->state == TLS_FAILED) {
        if (dir == (enum nu_dir)t->in && ev->kind == NU_END)
            tls_fail_now(f);
        nu_ev_free(ev);
    } else if (dir != (enum nu_dir)t->in) {
        from_plain(t, ev);
    } else if (ev->kind == NU_END) {
        wire_end(t, ev->u.end);
    } else {
        wire_data(t, ev->u.data);
    }
}

static void tls_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct tls *t = tls_of(f);
    t->reached = t->reached || (go && dir != (enum nu_dir)t->in);
    if (dir != (enum nu_dir)t->in || !go || !reads(t))
        return;
    t->ahead = false;
    pull(t);
    go_on(t);
}

static void tls_close(struct nu_filter *f)
{
    struct tls *t = tls_of(f);
    tls_cut_short(t);
    if (t->conn.ssl && t->state != TLS_FAILED) /* else OpenSSL takes the session for spoilt */
        SSL_set_shutdown(t->conn.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->conn.ssl);
    t->conn.ssl = NULL;
    tls_hello_free(t);
    nu_slice_drop(&t->wire.in);
    if (t->stuck)
        nu_ev_free(&t->waiting);
}

const struct nu_filter_type nu_tls_filter = {
    .name = "tls",
    .doc = "TLS: terminates a client's connection or originates one to a server.",
    .size = sizeof(struct tls),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .open = tls_open,
    .start = tls_start,
    .event = tls_event,
    .flow = tls_flow,
    .close = tls_close,
};
