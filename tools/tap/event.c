/* What is told, to whom; see event.h. */
#include "tools/tap/event.h"

#include "tls/unseal.h"
#include "tools/tap/fields.h"
#include "tools/tap/tap_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *tap_proto_str(enum tap_proto proto)
{
    static const char *const names[] = {"h1", "h2", "grpc"};
    return (unsigned)proto < sizeof names / sizeof *names ? names[proto] : "?";
}

struct tap_trouble tap_trouble_now(const struct tap_conn *conn)
{
    struct tap_trouble now = {.zero_windows = conn->flow->zero_windows};
    for (int dir = 0; dir < 2; dir++) {
        now.repeated[dir] = nu_flow_half(conn->flow, dir)->repeated;
        now.missing[dir] = conn->missing[dir];
    }
    return now;
}

void tap_note_add(struct tap_note *note, const char *fmt, ...)
{
    size_t at = strlen(note->text);
    if (at && at + 3 < sizeof note->text)
        at += (size_t)snprintf(note->text + at, sizeof note->text - at, "; ");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(note->text + at, sizeof note->text - at, fmt, ap);
    va_end(ap);
}

int64_t tap_ttfb_ns(const struct tap_exchange *x)
{
    bool known = x->message[0].first_ns && x->message[1].first_ns;
    return known ? x->message[1].first_ns - x->message[0].first_ns : -1;
}

int64_t tap_total_ns(const struct tap_exchange *x)
{
    bool known = x->message[0].first_ns && x->message[1].last_ns && x->message[1].complete;
    return known ? x->message[1].last_ns - x->message[0].first_ns : -1;
}

int64_t tap_proxy_ns(const struct tap_exchange *front, const struct tap_exchange *back)
{
    int64_t both = tap_ttfb_ns(front), server = tap_ttfb_ns(back);
    return both >= server && server >= 0 ? both - server : -1;
}

static const char *const by[] = {"client", "server"};

const char *tap_alert_str(const struct tap_conn *conn, char text[static TAP_ALERT_MAX])
{
    if (!conn->alert)
        return NULL;
    snprintf(text, TAP_ALERT_MAX, "%s: %s", by[conn->alert_by], nu_tls_alert_str(conn->alert));
    return text;
}

/* Why it is cut short: who gave up, what is not read. */
static void note_tls(struct tap_exchange *x)
{
    char text[TAP_ALERT_MAX];
    const char *alert = tap_alert_str(x->conn, text);
    if (alert)
        tap_note_add(&x->note, "alert by the %s", alert);
    for (int dir = 0; dir < 2; dir++)
        if (x->conn->unread[dir] && !x->message[dir].complete)
            tap_note_add(&x->note, "TLS of the %s: %s", by[dir], x->conn->unread[dir]);
}

/* Of the connection while the exchange went on: what slowed others on it has slowed this one. */
static void note_trouble(struct tap_exchange *x)
{
    struct tap_trouble now = tap_trouble_now(x->conn);
    for (int dir = 0; dir < 2; dir++) {
        uint64_t repeated = now.repeated[dir] - x->before.repeated[dir];
        if (repeated)
            tap_note_add(&x->note, "%" PRIu64 " retransmission%s by the %s", repeated,
                         repeated == 1 ? "" : "s", by[dir]);
    }
    uint64_t zero = now.zero_windows - x->before.zero_windows;
    if (zero)
        tap_note_add(&x->note, "%" PRIu64 " zero window%s", zero, zero == 1 ? "" : "s");
}

#define TELL(tap, what, ...)                                                                       \
    for (unsigned i = 0; i < (tap)->sinks; i++)                                                    \
        if ((tap)->sink[i].sink->what)                                                             \
    (tap)->sink[i].sink->what((tap)->sink[i].ctx, __VA_ARGS__)

/* Whether it is for the outputs. */
static bool is_wanted(const struct tap *t, const struct tap_record *r)
{
    if (t->quiet)
        return false;
    bool fits = !t->where || nu_where_passes(t->where, r);
    TELL(t, any, r, fits);
    return fits;
}

void tap_tell_exchange(struct tap_exchange *x)
{
    struct tap *t = x->conn->tap;
    t->figures.exchanges++;
    t->figures.incomplete += !x->complete;
    x->conn->told = true;
    note_trouble(x);
    if (!x->complete)
        note_tls(x);
    if (is_wanted(t, &(struct tap_record){.conn = x->conn, .exchange = x}))
        TELL(t, exchange, x);
}

void tap_tell_tls(const struct tap_tls *tls)
{
    struct tap *t = tls->conn->tap;
    tls->conn->told = tls->conn->told || !tls->decrypted; /* else what is in it will be */
    if (is_wanted(t, &(struct tap_record){.conn = tls->conn, .tls = tls}))
        TELL(t, tls, tls);
}

void tap_tell_ws(const struct tap_ws *message)
{
    struct tap *t = message->conn->tap;
    message->conn->told = true;
    if (is_wanted(t, &(struct tap_record){.conn = message->conn, .ws = message}))
        TELL(t, ws, message);
}

void tap_tell_proxy(const struct tap_proxy *proxy)
{
    struct tap *t = proxy->conn->tap;
    proxy->conn->source = proxy->source;
    if (is_wanted(t, &(struct tap_record){.conn = proxy->conn, .proxy = proxy}))
        TELL(t, proxy, proxy);
}

void tap_tell_conn(struct tap_conn *conn)
{
    struct tap *t = conn->tap;
    if (is_wanted(t, &(struct tap_record){.conn = conn, .is_conn = true}))
        TELL(t, conn, conn);
}

void tap_tell_plain(struct tap_conn *conn, int dir, struct nu_piece bytes, int64_t ns)
{
    struct tap *t = conn->tap;
    if (!t->quiet)
        TELL(t, plain, conn, dir, bytes, ns);
}

void tap_tell_raw(struct tap_conn *conn, int dir, struct nu_piece bytes, int64_t ns)
{
    struct tap *t = conn->tap;
    if (!t->quiet)
        TELL(t, raw, conn, dir, bytes, ns);
}

void tap_tell_secret_id(struct tap_conn *conn, const uint8_t *id)
{
    struct tap *t = conn->tap;
    if (!t->quiet)
        TELL(t, secret_id, conn, id);
}
