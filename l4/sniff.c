/* The ClientHello sniffer; see sniff.h.
 *
 * Faces: bytes. Sees: DATA and END from the client, until it has decided. Stores: the bytes up to
 * the hello's end, at most NU_HELLO_MAX_WIRE_BYTES and one read.
 * END: decides without sniffed facts, then hands on bytes and END. Holds: never, the parser's caps
 * end it, and the timer of sniff_timeout. `close` frees parser and bytes. */
#include "l4/sniff.h"

#include "core/assert.h"
#include "core/table/hash.h"
#include "l4/listener.h"
#include "l4/pre.h"
#include "protocols/tls/client_hello.h"
#include "protocols/tls/ja3.h"
#include "protocols/tls/ja4.h"

#include <stdlib.h>
#include <string.h>

#define ALPN_TEXT_MAX 256 /* bytes of offered protocols kept for logs and filters */

/* Exists until the decision: a connection sniffed long ago costs nothing. */
struct sniffing {
    const struct nu_pre_conf *conf;
    struct nu_client_hello hello;
    struct nu_kept kept;
};

struct sniff {
    struct nu_filter filter;
    struct sniffing *now; /* NULL once decided */
};

static struct sniffing *now_of(struct nu_filter *f)
{
    return ((struct sniff *)f)->now;
}

static void count(struct nu_filter *f, enum nu_listener_stat stat)
{
    nu_stat_add(now_of(f)->conf->stats, nu_filter_loop(f)->shard, stat, 1);
}

static void end_sniffing(struct sniffing *s)
{
    nu_client_hello_free(&s->hello);
    nu_kept_drop(&s->kept);
    free(s);
}

/* The chain is there, or this one fails. What was kept goes on, and all that follows by itself. */
static bool go_on(struct nu_filter *f, const struct nu_match_input *sniffed,
                  enum nu_cause otherwise)
{
    struct sniffing *s = now_of(f);
    nu_timer_stop(f, 0);
    if (!s->conf->next(f, sniffed)) {
        if (otherwise != NU_CAUSE_CLIENT_FIN)
            count(f, NU_LISTENER_NO_FILTER_CHAIN_MATCH);
        nu_fail(f, otherwise, nu_cause_row(otherwise)->side, "%s", "");
        return false;
    }
    ((struct sniff *)f)->now = NULL; /* its conf may be gone from here on */
    nu_kept_forward(&s->kept, f);
    end_sniffing(s);
    nu_bypass(f);
    return true;
}

static const char *sni_fact(struct nu_chain *chain, const struct nu_client_hello *hello)
{
    char *name = nu_arena_strndup(nu_chain_arena(chain),
                                  (const char *)nu_hello_bytes(hello, hello->sni), hello->sni.len);
    for (char *c = name; *c; c++)
        *c = (char)nu_fold((uint8_t)*c);
    return name;
}

static bool is_grease(const char *name, size_t len)
{
    return len == 2 && name[0] == name[1] && (name[0] & 0x0f) == 0x0a;
}

/* Appends a name as text; false when the text is full. */
static bool add_alpn_text(char *text, size_t *at, const char *name, size_t len)
{
    if (*at + len + 1 >= ALPN_TEXT_MAX)
        return false;
    if (*at)
        text[(*at)++] = ',';
    for (size_t i = 0; i < len; i++)
        text[(*at)++] = name[i] > ' ' && name[i] < 0x7f && name[i] != ',' ? name[i] : '?';
    return true;
}

/* The offered names: for the match as they are, for logs as text. */
static const char *alpn_fact(struct nu_chain *chain, const struct nu_client_hello *hello,
                             struct nu_match_input *in)
{
    char text[ALPN_TEXT_MAX];
    size_t at = 0;
    unsigned place = 0;
    bool room = true;
    struct nu_hello_span span;
    while (in->alpn_count < NU_MATCH_MAX_ALPN && nu_hello_alpn_next(hello, &place, &span)) {
        const char *name = (const char *)nu_hello_bytes(hello, span);
        if (is_grease(name, span.len))
            continue;
        in->alpn[in->alpn_count++] = (struct nu_match_name){name, span.len};
        room = room && add_alpn_text(text, &at, name, span.len);
    }
    return at ? nu_arena_strndup(nu_chain_arena(chain), text, at) : NULL;
}

/* They cost a hash or two, so only where a match or a log asks for them. */
static void fingerprint(struct nu_filter *f, struct nu_facts_more *more, struct nu_match_input *in)
{
    struct nu_arena *arena = nu_chain_arena(f->chain);
    const struct sniffing *s = now_of(f);
    char ja3[NU_JA3_BYTES], ja4[NU_JA4_BYTES];
    if (s->conf->wanted & NU_WANT_JA3 && nu_ja3(&s->hello, ja3))
        in->ja3 = more->ja3 = nu_arena_strdup(arena, ja3);
    if (s->conf->wanted & NU_WANT_JA4 && nu_ja4(&s->hello, NU_JA4_TCP, ja4))
        in->ja4 = more->ja4 = nu_arena_strdup(arena, ja4);
}

static void learn_hello(struct nu_filter *f, struct nu_facts_more *more, struct nu_match_input *in)
{
    const struct nu_client_hello *hello = &now_of(f)->hello;
    count(f, NU_LISTENER_SNIFF_TLS_FOUND);
    in->transport = NU_TRANSPORT_TLS;
    if (hello->sni.len) {
        more->sni = sni_fact(f->chain, hello);
        in->sni = (struct nu_match_name){more->sni, hello->sni.len};
    }
    more->alpn = alpn_fact(f->chain, hello, in);
    fingerprint(f, more, in);
    count(f, more->sni ? NU_LISTENER_SNIFF_SNI_FOUND : NU_LISTENER_SNIFF_SNI_NOT_FOUND);
    count(f, more->alpn ? NU_LISTENER_SNIFF_ALPN_FOUND : NU_LISTENER_SNIFF_ALPN_NOT_FOUND);
}

/* Facts are written before the bytes that they describe go on (I1). */
static void learn(struct nu_filter *f, enum nu_err answer, struct nu_match_input *in)
{
    struct nu_facts_more *more = nu_chain_facts_more(f->chain);
    if (answer == NU_OK) {
        learn_hello(f, more, in);
    } else {
        in->transport = NU_TRANSPORT_PLAIN;
        count(f, NU_LISTENER_SNIFF_TLS_NOT_FOUND);
    }
    more->transport = (uint8_t)in->transport;
}

static void bad_hello(struct nu_filter *f, enum nu_err answer)
{
    count(f, answer == NU_ERR_LIMIT ? NU_LISTENER_SNIFF_CLIENT_HELLO_TOO_LARGE
                                    : NU_LISTENER_SNIFF_CLIENT_HELLO_BAD);
    nu_fail(f, NU_CAUSE_BAD_HELLO, NU_SIDE_CLIENT, "%s", now_of(f)->hello.reason);
}

static void on_data(struct nu_filter *f, struct nu_ev *ev)
{
    struct sniffing *s = now_of(f);
    struct nu_match_input in = {.transport = NU_TRANSPORT_UNKNOWN};
    enum nu_err answer = nu_client_hello_feed(&s->hello, ev->u.data.data, ev->u.data.len);
    if (answer == NU_MORE)
        nu_kept_add(&s->kept, nu_filter_loop(f)->blocks, &ev->u.data);
    else if (answer != NU_OK && answer != NU_NOT_THIS)
        bad_hello(f, answer);
    else {
        learn(f, answer, &in);
        if (go_on(f, &in, NU_CAUSE_NO_CHAIN)) {
            nu_forward(f, NU_FWD, ev);
            return;
        }
    }
    nu_ev_free(ev);
}

static void go_on_without(struct nu_filter *f, enum nu_cause otherwise, const struct nu_ev *end)
{
    struct nu_match_input unknown = {.transport = NU_TRANSPORT_UNKNOWN};
    if (go_on(f, &unknown, otherwise) && end)
        nu_forward_end(f, NU_FWD, end->u.end);
}

static void on_end(struct nu_filter *f, const struct nu_ev *ev)
{
    enum nu_cause cause = ev->u.end.cause ? ev->u.end.cause : NU_CAUSE_CLIENT_FIN;
    count(f, NU_LISTENER_SNIFF_CLOSED);
    if (ev->u.end.how == NU_CLEAN)
        go_on_without(f, cause, ev);
    else /* nobody is left to serve */
        nu_fail(f, cause, ev->u.end.side, "%s", "");
}

static void on_timeout(struct nu_filter *f)
{
    count(f, NU_LISTENER_PRE_CX_TIMEOUT);
    go_on_without(f, NU_CAUSE_SNIFF_TIMEOUT, NULL);
}

static enum nu_open sniff_open(struct nu_filter *f, const void *conf)
{
    struct sniffing *s = calloc(1, sizeof *s);
    nu_assert(s != NULL);
    s->conf = conf;
    nu_client_hello_init(&s->hello);
    ((struct sniff *)f)->now = s;
    if (s->conf->timeout_ms)
        nu_timer_set(f, 0, s->conf->timeout_ms, on_timeout);
    return NU_OPEN;
}

static void sniff_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_END)
        on_end(f, ev);
    else
        on_data(f, ev);
}

static void sniff_close(struct nu_filter *f)
{
    if (now_of(f))
        end_sniffing(now_of(f));
}

const struct nu_filter_type nu_filter_sniff = {
    .name = "sniff",
    .doc = "Reads SNI, ALPN and transport off a connection's first bytes.",
    .size = sizeof(struct sniff),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), 0},
    .open = sniff_open,
    .event = sniff_event,
    .close = sniff_close,
};
