/* Checks in HTTP/2; see probe_h2.h. On main's loop.
 *
 * Faces: nothing | bytes. Sees: DATA and END of REV. Stores: the answer's heads, within the codec's
 * limits, and PROBE_H2_KEPT_BYTES of its body; the rest is read, to know that it is whole, and
 * discarded, up to BODY_MAX_BYTES. END: the verdict. Holds never; the probe's timer bounds all.
 * `close` gives back the codec and its stream. */
#include "l7/probe_h2.h"

#include "core/arena.h"
#include "core/chain.h"
#include "l4/health/probe.h"
#include "protocols/http2/h2.h"

#include <string.h>

#define BODY_MAX_BYTES (1u << 20) /* as in HTTP/1 */
#define WRITE_BYTES    (64u * 1024)

static const struct nu_h2_conf limits = {.limits = NU_H2_LIMITS_DEFAULT,
                                         .streams = 1,
                                         .stream_window = 64 * 1024,
                                         .window_max = 64 * 1024,
                                         .conn_window = 64 * 1024};

/* --- ALPN --- */

static bool is_plain(const struct nu_filter *f)
{
    return nu_probe_cluster(f)->near_count == 0;
}

static const char *alpn_of(const struct nu_filter *f)
{
    const struct nu_tls_facts *tls = nu_chain_facts(f->chain)->tls;
    return tls && tls->alpn ? tls->alpn : "";
}

void probe_h2_offer(struct nu_filter *f, const char *alpn)
{
    if (!is_plain(f))
        nu_chain_facts_exchange(f->chain)->offer_alpn = alpn;
}

bool probe_h2_is_agreed(const struct nu_filter *f)
{
    return strcmp(alpn_of(f), "h2") == 0;
}

void probe_h2_refuse(struct nu_filter *f)
{
    const char *alpn = alpn_of(f);
    nu_probe_refuse(f, "the server agreed to %s, and not to h2 (ALPN)",
                    *alpn ? alpn : "no protocol");
}

/* --- the codec's events --- */

static bool is_over(const struct nu_filter *f)
{
    return nu_chain_ended(f->chain) || nu_bit(f, NU_B_ENDED, NU_FWD);
}

static void on_head(void *ctx, struct nu_h2_stream *st)
{
    struct probe_h2 *p = ctx;
    p->answer.head = st->head;
    p->way->head(&p->filter, p->conf, st->head);
}

static void on_data(void *ctx, struct nu_h2_stream *st, struct nu_slice data)
{
    struct probe_h2 *p = ctx;
    size_t len = p->answer.len, n = data.len;
    if (len < PROBE_H2_KEPT_BYTES)
        memcpy(p->kept + len, data.data,
               n < PROBE_H2_KEPT_BYTES - len ? n : PROBE_H2_KEPT_BYTES - len);
    p->answer.len += n;
    nu_slice_drop(&data);
    nu_h2_took(st, n);
    if (p->answer.len > BODY_MAX_BYTES)
        nu_probe_refuse(&p->filter, "no good response: the body is over its limit");
}

static void on_trail(void *ctx, struct nu_h2_stream *st, struct nu_http_head *head)
{
    struct probe_h2 *p = ctx;
    p->answer.trailers = head;
}

static void on_end(void *ctx, struct nu_h2_stream *st)
{
    struct probe_h2 *p = ctx;
    p->way->end(&p->filter, p->conf, &p->answer);
}

static void on_bad(void *ctx, struct nu_h2_stream *st)
{
    struct probe_h2 *p = ctx;
    nu_probe_refuse(&p->filter, "no good response: %s",
                    nu_h2_error_str((enum nu_h2_error)st->error));
}

static void on_cut(void *ctx, struct nu_h2_stream *st)
{
    struct probe_h2 *p = ctx;
    nu_probe_refuse(&p->filter, "the request was reset: %s", nu_h2_code_str(st->code));
}

static void on_emit(void *ctx, struct nu_slice bytes)
{
    struct probe_h2 *p = ctx;
    if (is_over(&p->filter))
        nu_slice_drop(&bytes);
    else
        nu_forward_data(&p->filter, NU_FWD, bytes);
}

static void on_interim(void *ctx, struct nu_h2_stream *st, struct nu_http_head *head)
{
}

static void on_stream(void *ctx, struct nu_h2_stream *st)
{
}

static void on_count(void *ctx, enum nu_h2_count what)
{
}

static void on_nothing(void *ctx)
{
}

static const struct nu_h2_handler handler = {
    .head = on_head,
    .data = on_data,
    .trail = on_trail,
    .end = on_end,
    .bad = on_bad,
    .room = on_stream,
    .sent = on_stream,
    .cut = on_cut,
    .wake = on_nothing, /* what was said is written after each reading */
    .emit = on_emit,
    .count = on_count,
    .interim = on_interim,
    .goaway = on_nothing,
    .settings = on_nothing,
};

/* --- both ways --- */

static int64_t now_ms(const struct probe_h2 *p)
{
    return nu_filter_loop(&p->filter)->now_ms;
}

/* A server that asks for more than goes out at once waits for the next `flow`. */
static void write_out(struct probe_h2 *p)
{
    struct nu_filter *f = &p->filter;
    while (!is_over(f) && !nu_blocked(f, NU_FWD) && nu_h2_write(p->h2, WRITE_BYTES, now_ms(p)))
        continue;
    if (is_over(f) || nu_h2_is_alive(p->h2))
        return;
    uint32_t code = nu_h2_goaway_code(p->h2);
    if (code == NU_H2_CODE_NO_ERROR)
        nu_probe_refuse(f, "the connection ended without a whole response");
    else
        nu_probe_refuse(f, "it speaks no good HTTP/2: %s", nu_h2_code_str(code));
}

static void probe_h2_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct probe_h2 *p = (struct probe_h2 *)f;
    if (ev->kind == NU_DATA) {
        nu_h2_read(p->h2, ev->u.data, now_ms(p)); /* an error is said by GOAWAY, and noticed so */
        write_out(p);
        return;
    }
    if (ev->u.end.how != NU_CLEAN)
        nu_probe_refuse(f, "the connection broke before the whole response");
    else
        nu_probe_refuse(f, "closed without a%s response", p->answer.head ? " whole" : "");
}

static void probe_h2_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (dir == NU_FWD && go)
        write_out((struct probe_h2 *)f);
}

static void probe_h2_close(struct nu_filter *f)
{
    struct probe_h2 *p = (struct probe_h2 *)f;
    if (p->st)
        nu_h2_let_go(p->st);
    if (p->h2)
        nu_h2_free(p->h2);
}

static const struct nu_filter_type probe_h2_filter = {
    .name = "h2_probe",
    .doc = "Asks a server a question in HTTP/2, and looks at the answer.",
    .size = sizeof(struct probe_h2),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .event = probe_h2_event,
    .flow = probe_h2_flow,
    .close = probe_h2_close,
};

/* --- asking --- */

static void ask(struct probe_h2 *p, struct nu_arena *arena)
{
    uint8_t body[PROBE_BODY_MAX];
    struct nu_http_head *head = nu_http_head_new(arena);
    head->version = NU_HTTP_2;
    size_t len = p->way->ask(&p->filter, p->conf, head, body);
    p->st = nu_h2_ask(p->h2, nu_arena_share(arena), head, p);
    if (len > 0)
        nu_h2_say_data(p->st, nu_slice_copy(nu_filter_loop(&p->filter)->blocks, body, len));
    nu_h2_say_end(p->st);
    write_out(p);
}

void probe_h2_become(struct nu_filter *f, const struct probe_way *way, const void *conf)
{
    struct probe_h2 *p = (struct probe_h2 *)f;
    struct nu_arena *arena = nu_chain_arena(f->chain);
    bool secure = !is_plain(f);
    nu_become(f, &probe_h2_filter);
    p->way = way;
    p->conf = conf;
    p->answer.body = p->kept = nu_arena_alloc(arena, PROBE_H2_KEPT_BYTES);
    p->h2 = nu_h2_client_new(&limits, &handler, p, nu_filter_loop(f)->blocks, secure);
    if (secure)
        nu_h2_gather(p->h2);
    ask(p, arena);
}
