/* Tunnels on the HTTP/2 side towards clients (RFC 9113 8.5, RFC 8441): what a client says before
 * the answer waits for it, then each half ends by itself. Called by h2_stream.c, on its worker. */
#include "l7/h2_server_priv.h"
#include "l7/tunnel.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define EARLY_LEAST 256 /* bytes of the first room for what comes before the answer */

const char *h2_tunnel_state_str(enum h2_tunnel_state state)
{
    static const char *const names[] = {"none", "asked", "open", "refused"};
    nu_assert((unsigned)state < sizeof names / sizeof *names);
    return names[state];
}

void h2_tunnel_begin(struct h2_stream *s)
{
    s->tunnel = s->stream->tunnel ? H2_TUNNEL_ASKED : H2_TUNNEL_NONE;
}

/* --- before the answer --- */

/* One piece of memory, as pieces of DATA may be of a byte each. The client's window bounds it: none
 * of it is given back. */
static void keep_early(struct h2_stream *s, const struct nu_slice *data)
{
    size_t need = s->early_len + data->len, cap = s->early_cap ? s->early_cap : EARLY_LEAST;
    while (cap < need)
        cap *= 2;
    if (cap > s->early_cap) {
        s->early = realloc(s->early, cap);
        nu_assert(s->early != NULL);
        s->early_cap = (uint32_t)cap;
    }
    memcpy(s->early + s->early_len, data->data, data->len);
    s->early_len = (uint32_t)need;
}

bool h2_tunnel_takes(struct h2_stream *s, struct nu_slice data)
{
    if (s->tunnel != H2_TUNNEL_ASKED && s->tunnel != H2_TUNNEL_REFUSED)
        return false;
    if (s->tunnel == H2_TUNNEL_ASKED)
        keep_early(s, &data);
    nu_slice_drop(&data);
    return true;
}

bool h2_tunnel_takes_end(struct h2_stream *s)
{
    s->early_end = true;
    return s->tunnel == H2_TUNNEL_ASKED || s->tunnel == H2_TUNNEL_REFUSED;
}

static void pass_early(struct h2_stream *s)
{
    struct nu_filter *f = &s->filter;
    for (uint32_t at = 0, n; at < s->early_len; at += n) {
        n = s->early_len - at < NU_BLOCK_MEDIUM / 2 ? s->early_len - at : NU_BLOCK_MEDIUM / 2;
        struct nu_ev ev = nu_ev_data(nu_slice_copy(nu_filter_loop(f)->blocks, s->early + at, n));
        s->stream->request_bytes += n;
        s->waiting += n;
        h2_stream_pass(s, &ev);
    }
    free(s->early);
    s->early = NULL;
    s->early_len = s->early_cap = 0;
}

static void pass_end(struct h2_stream *s)
{
    struct nu_ev ev = nu_ev_end((struct nu_result){.how = NU_CLEAN});
    s->stream->request_ms = nu_filter_loop(&s->filter)->now_ms;
    h2_stream_pass(s, &ev);
}

/* --- the answer --- */

/* 2xx means that the tunnel is open, which only a server can say. */
void h2_tunnel_answer(const struct h2_stream *s, struct nu_http_head *head)
{
    const struct nu_http_head *request = s->stream->request;
    bool asked = request->method_id == NU_METHOD_CONNECT || request->protocol.len > 0;
    if (asked && head->body != NU_BODY_TUNNEL && head->status / 100 == 2)
        head->status = 501;
    if (head->status == 426)
        nu_tunnel_answer(s->stream, head);
}

void h2_tunnel_decided(struct h2_stream *s, const struct nu_http_head *head)
{
    bool open = head->body == NU_BODY_TUNNEL;
    if (s->tunnel != H2_TUNNEL_ASKED)
        return;
    s->tunnel = open ? H2_TUNNEL_OPEN : H2_TUNNEL_REFUSED;
    if (open)
        pass_early(s);
    if (!open || s->early_end)
        pass_end(s);
    if (s->mux) /* tunnel_idle_timeout may be the shortest */
        h2_watch(s->mux, h2_stream_deadline(s));
}

/* --- its end --- */

void h2_tunnel_half_over(struct h2_stream *s)
{
    if (s->tunnel == H2_TUNNEL_OPEN && s->st->heard && s->st->said_all)
        s->stream->response_ms = nu_filter_loop(&s->filter)->now_ms;
}

/* What TCP would say by a reset. */
enum nu_h2_code h2_tunnel_code(const struct h2_stream *s)
{
    return s->stream->request->method_id == NU_METHOD_CONNECT ? NU_H2_CODE_CONNECT_ERROR
                                                              : NU_H2_CODE_CANCEL;
}
