/* STARTTLS for Postgres, in both roles; see starttls.h.
 *
 * Faces: bytes. Sees: all, until it is decided. Stores: up to 8 bytes of a start packet.
 * END: before a byte it passes; in the middle of the negotiation it is a failure.
 * Holds until the decision: terminating what the server says, originating what we say; bounded by
 * the handshake's timeout, or the leg's. `close` has nothing to free. */
#include "tls/starttls.h"

#include "core/assert.h"
#include "protocols/postgres.h"
#include "tls/filter.h"
#include "tls/starttls_priv.h"

#include <string.h>

/* A refused client may still be talking; closing at once could take the error from it. */
#define LINGER_MS 1000

enum { TIMER_HANDSHAKE };

struct starttls {
    struct nu_filter filter;
    const struct starttls_conf *conf;
    uint8_t head[NU_PG_HEAD_BYTES]; /* of the client's packet */
    uint8_t head_len;
    bool gss_refused; /* asked for once, as much as a client may */
    bool refused;     /* told that it needs TLS; its own end is awaited */
};

const char *nu_starttls_protocol_str(enum nu_starttls_protocol protocol)
{
    static const char *const names[] = {"postgres"};
    nu_assert((unsigned)protocol < sizeof names / sizeof *names);
    return names[protocol];
}

static struct starttls *self_of(struct nu_filter *f)
{
    return (struct starttls *)f;
}

/* The negotiation is over; `what` is static text. */
static void broken(struct nu_filter *f, const char *what)
{
    bool client = f->type == &starttls_server;
    nu_chain_facts_more(f->chain)->tls_failure = what;
    nu_fail(f, client ? NU_CAUSE_BAD_STARTTLS : NU_CAUSE_STARTTLS_REFUSED,
            client ? NU_SIDE_CLIENT : NU_SIDE_UPSTREAM, "%s", what);
}

/* --- terminating: the client asks --- */

/* What follows is for others. */
static void step_aside(struct nu_filter *f)
{
    nu_timer_stop(f, TIMER_HANDSHAKE);
    nu_bypass(f);
}

static void insert_tls(struct nu_filter *f)
{
    nu_insert(f, NU_FWD, &self_of(f)->conf->tls, 1);
}

static void say(struct nu_filter *f, enum nu_dir dir, const void *bytes, size_t len)
{
    nu_forward_data(f, dir, nu_slice_copy(nu_filter_loop(f)->blocks, bytes, len));
}

/* What was kept of a packet goes before the event that completed it. */
static void pass_on(struct nu_filter *f, struct nu_slice *rest, size_t kept)
{
    if (kept)
        say(f, NU_FWD, self_of(f)->head, kept);
    if (rest->len)
        nu_forward_data(f, NU_FWD, nu_slice_dup(*rest));
    step_aside(f);
}

static void end_refused(struct nu_filter *f)
{
    broken(f, "the client does not ask for TLS");
}

static void refuse_plain(struct nu_filter *f)
{
    uint8_t error[NU_PG_ERROR_MAX];
    size_t len = nu_pg_error(error, "28000", "this server takes TLS connections only");
    self_of(f)->refused = true;
    say(f, NU_REV, error, len);
    nu_forward_end(f, NU_REV, nu_result_of(NU_CAUSE_NONE));
    nu_timer_set(f, TIMER_HANDSHAKE, LINGER_MS, end_refused);
}

/* The client waits for our answer: whatever stands behind its request, somebody else has put
 * there. */
static void grant(struct nu_filter *f, const struct nu_slice *rest)
{
    if (rest->len || f->queue[NU_FWD]) {
        broken(f, "bytes behind the SSLRequest");
        return;
    }
    say(f, NU_REV, &(char){NU_PG_TLS_GRANTED}, 1);
    insert_tls(f);
    step_aside(f);
}

/* GSSAPI encryption is not ours; the client goes on with the next request. */
static bool refuse_gss(struct nu_filter *f)
{
    struct starttls *s = self_of(f);
    if (s->gss_refused) {
        broken(f, "a second GSSENCRequest");
        return false;
    }
    s->gss_refused = true;
    s->head_len = 0;
    say(f, NU_REV, &(char){NU_PG_TLS_REFUSED}, 1);
    return true;
}

/* Takes what belongs to the packet's head out of the event; how many bytes of the head were there
 * before. */
static size_t take_head(struct starttls *s, struct nu_slice *data)
{
    size_t kept = s->head_len, want = sizeof s->head - kept;
    size_t n = data->len < want ? data->len : want;
    memcpy(s->head + kept, data->data, n);
    s->head_len = (uint8_t)(kept + n);
    return kept;
}

/* Acts on one first packet. True: it is done with, and another one follows. */
static bool decide(struct nu_filter *f, enum nu_pg_first first, struct nu_slice *data, size_t kept)
{
    struct starttls *s = self_of(f);
    size_t head = s->head_len - kept;
    if (first == NU_PG_TLS_HELLO) {
        insert_tls(f);
        pass_on(f, data, kept);
    } else if (first == NU_PG_CANCEL_REQUEST || (first == NU_PG_STARTUP && s->conf->optional)) {
        pass_on(f, data, kept);
    } else if (first == NU_PG_STARTUP) {
        refuse_plain(f);
    } else {
        struct nu_slice used = nu_slice_split(data, head);
        nu_slice_drop(&used);
        if (first == NU_PG_GSSENC_REQUEST)
            return refuse_gss(f);
        grant(f, data);
    }
    return false;
}

static void on_client_data(struct nu_filter *f, struct nu_slice *data)
{
    struct starttls *s = self_of(f);
    enum nu_pg_first first;
    bool more = true;
    while (more && data->len && !s->refused) {
        size_t kept = take_head(s, data);
        enum nu_err answer = nu_pg_first_read(s->head, s->head_len, &first);
        if (answer == NU_NOT_THIS)
            broken(f, "no Postgres start packet");
        more = answer == NU_OK && decide(f, first, data, kept);
    }
}

static void on_timeout(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_STARTTLS_TIMEOUT, NU_SIDE_CLIENT, "no request for TLS within %lld ms",
            (long long)self_of(f)->conf->timeout_ms);
}

static enum nu_open server_open(struct nu_filter *f, const void *conf)
{
    const struct starttls_conf *c = conf;
    self_of(f)->conf = c;
    if (c->timeout_ms > 0)
        nu_timer_set(f, TIMER_HANDSHAKE, c->timeout_ms, on_timeout);
    nu_shield(f, NU_FWD); /* it answers before anybody knows a server */
    nu_hold(f, NU_REV);
    return NU_OPEN;
}

static void server_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DATA) {
        on_client_data(f, &ev->u.data);
        nu_ev_free(ev);
    } else if (self_of(f)->refused) {
        end_refused(f);
    } else if (ev->u.end.how == NU_CLEAN && self_of(f)->head_len) {
        broken(f, "the client left within its start packet");
    } else {
        nu_forward(f, dir, ev);
        step_aside(f);
    }
}

const struct nu_filter_type starttls_server = {
    .name = "starttls",
    .doc = "Answers a client that asks for TLS in plain.",
    .size = sizeof(struct starttls),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), 0},
    .open = server_open,
    .event = server_event,
};

/* --- originating: we ask --- */

static enum nu_open client_open(struct nu_filter *f, const void *conf)
{
    self_of(f)->conf = conf;
    nu_hold(f, NU_FWD);
    return NU_OPEN;
}

/* TLS stands between us and its leg from the beginning; what it says waits here. */
static void client_start(struct nu_filter *f)
{
    nu_insert(f, NU_REV, &self_of(f)->conf->tls, 1);
    say(f, NU_FWD, nu_pg_ssl_request, sizeof nu_pg_ssl_request);
}

static void on_answer(struct nu_filter *f, const struct nu_slice *data)
{
    if (data->data[0] == NU_PG_TLS_REFUSED)
        broken(f, "the server does not speak TLS");
    else if (data->data[0] != NU_PG_TLS_GRANTED)
        broken(f, "no answer to the SSLRequest that Postgres has");
    else if (data->len > 1 || f->queue[NU_REV])
        broken(f, "bytes behind the answer to the SSLRequest");
    else
        nu_bypass(f);
}

static void client_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DATA) {
        if (ev->u.data.len)
            on_answer(f, &ev->u.data);
        nu_ev_free(ev);
    } else if (dir == NU_REV && ev->u.end.how == NU_CLEAN) {
        broken(f, "the server left without an answer to the SSLRequest");
    } else {
        nu_forward(f, dir, ev);
    }
}

const struct nu_filter_type starttls_client = {
    .name = "starttls",
    .doc = "Asks a server in plain for TLS.",
    .size = sizeof(struct starttls),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .open = client_open,
    .start = client_start,
    .event = client_event,
};

/* --- config --- */

static const char *const protocols[] = {"postgres", NULL};

#define PROTOCOL_ROW                                                                               \
    {                                                                                              \
        .key = "protocol", .type = NU_ENUM, .flags = NU_REQUIRED,                                  \
        .offset = offsetof(struct nu_starttls, protocol), .choices = protocols,                    \
        .doc = "Whose request for TLS is spoken."                                                  \
    }

static const struct nu_field fields[] = {
    PROTOCOL_ROW,
    {.key = "optional",
      .type = NU_BOOL,
      .offset = offsetof(struct nu_starttls, optional),
      .fallback = "no",
      .doc = "Clients that do not ask for TLS are served in plain. Otherwise they are refused with "
            "an error of the protocol."},
    {0}
};

static const struct nu_field client_fields[] = {PROTOCOL_ROW, {0}};

const struct nu_schema nu_starttls_schema = {
    .name = "starttls",
    .doc = "TLS begins when the client has asked for it in plain. It may also begin with TLS at "
           "once (sslnegotiation=direct of PostgreSQL 17); requests for GSSAPI encryption are "
           "declined, and cancel requests pass in plain as old clients send them.",
    .size = sizeof(struct nu_starttls),
    .fields = fields,
    .scalar = "protocol",
};

const struct nu_schema nu_starttls_client_schema = {
    .name = "starttls",
    .doc = "The server is asked for TLS in plain; one that does not agree is not spoken to.",
    .size = sizeof(struct nu_starttls),
    .fields = client_fields,
    .scalar = "protocol",
};

struct nu_place nu_starttls_place(const struct nu_starttls *starttls,
                                  struct nu_tls_context *context, struct nu_arena *owner)
{
    struct starttls_conf *conf = nu_arena_alloc(owner, sizeof *conf);
    conf->tls = (struct nu_place){&nu_tls_filter, context};
    conf->timeout_ms = context->handshake_timeout_ms;
    conf->optional = starttls->optional;
    bool server = context->role == NU_TLS_SERVER;
    return (struct nu_place){server ? &starttls_server : &starttls_client, conf};
}
