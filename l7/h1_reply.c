/* The writing half of the HTTP/1 side towards clients: responses of the stream in progress. */
#include "core/assert.h"
#include "core/serving.h"
#include "l7/age.h"
#include "l7/h1_body.h"
#include "l7/h1_server_priv.h"
#include "l7/tunnel.h"
#include "protocols/http/h1_write.h"

static bool write_head(struct h1_server *s, struct nu_http_head *head, const struct nu_h1_how *how)
{
    struct nu_filter *f = &s->filter;
    struct nu_slice out;
    if (nu_h1_make_head(nu_filter_loop(f)->blocks, head, how, &out)) {
        nu_fail(f, NU_CAUSE_INTERNAL, NU_SIDE_LOCAL, "a response head that cannot be written");
        return false;
    }
    nu_forward_data(f, NU_REV, out);
    return true;
}

/* What a server would rather speak with its client, which we are. 426 says it to whoever asked. */
static void forget_offers(struct nu_http_head *head)
{
    if (head->status != 426 && head->body != NU_BODY_TUNNEL)
        head->upgrade = nu_text("", 0);
}

/* Not to clients of HTTP/1.0, which know none (RFC 9110 15.2). */
static void on_interim(struct h1_server *s, struct nu_http_head *head)
{
    forget_offers(head);
    if (s->stream->request->version >= NU_HTTP_1_1 && s->out == OUT_NONE)
        write_head(s, head, &(struct nu_h1_how){0});
}

/* How the body's end is told from what follows, to this client. */
static enum out_state frame(struct nu_http_head *head, const struct nu_http_head *request)
{
    bool chunks = request->version >= NU_HTTP_1_1;
    if (head->body == NU_BODY_CHUNKED || head->body == NU_BODY_CLOSE)
        head->body = chunks ? NU_BODY_CHUNKED : NU_BODY_CLOSE;
    return head->body == NU_BODY_CHUNKED ? OUT_CHUNKED
           : head->body == NU_BODY_CLOSE ? OUT_CLOSE
                                         : OUT_PLAIN;
}

/* Whether what is left of the request may be more than one would read for nothing (T6). A client
 * that waits to be told to go on may never send it, and then its next request is none (RFC 9110
 * 10.1.1). */
static bool much_is_left(const struct h1_server *s)
{
    const struct nu_http_head *request = s->stream->request;
    if (s->in != IN_BODY)
        return false;
    return !request->has_length || (request->expect_100 && s->stream->request_bytes == 0) ||
           request->content_length - s->stream->request_bytes > NU_HTTP_DISCARD_MAX;
}

/* While it does not want new work, connections end with their next response, so that clients and
 * load balancers open others elsewhere before this place is gone. */
static bool is_leaving(const struct h1_server *s, const struct nu_http_head *head)
{
    if (s->closing || head->body == NU_BODY_TUNNEL || nu_serving())
        return false;
    h1_count(s, NU_HTTP_CX_DRAIN_CLOSE, 1);
    return true;
}

/* It is too old, or this was its last request. */
static bool is_worn(struct h1_server *s, const struct nu_http_head *head)
{
    int64_t old = nu_http_old_at(nu_chain_facts(s->filter.chain), s->conf);
    bool many = s->conf->max_requests && s->served >= s->conf->max_requests;
    if (s->closing || head->body == NU_BODY_TUNNEL || !(many || (old && old <= h1_now(s))))
        return false;
    h1_count(s, many ? NU_HTTP_CX_MAX_REQUESTS : NU_HTTP_CX_MAX_DURATION, 1);
    s->why = many ? NU_CAUSE_MAX_REQUESTS : NU_CAUSE_MAX_DURATION;
    return true;
}

static void on_response(struct h1_server *s, struct nu_http_head *head)
{
    const struct nu_http_head *request = s->stream->request;
    forget_offers(head);
    nu_stream_respond(s->stream, head);
    s->out = (uint8_t)frame(head, request);
    h1_tunnel_decided(s, head->body == NU_BODY_TUNNEL);
    s->closing = s->closing || s->half_closed || !request->keep_alive || s->stream->close ||
                 s->out == OUT_CLOSE || much_is_left(s);
    s->closing = s->closing || is_worn(s, head) || is_leaving(s, head);
    if (head->body == NU_BODY_TUNNEL)
        s->closing = false;
    struct nu_h1_how how = {.close = s->closing,
                            .keep_alive = !s->closing && request->version == NU_HTTP_1_0};
    nu_tunnel_answer(s->stream, head);
    write_head(s, head, &how);
    h1_tunnel_pass(s);
}

static void on_data(struct h1_server *s, struct nu_slice data)
{
    s->stream->response_bytes += data.len;
    if (s->out == OUT_CHUNKED)
        nu_h1_forward_chunk(&s->filter, NU_REV, data);
    else
        nu_forward_data(&s->filter, NU_REV, data);
}

static void on_trailers(struct h1_server *s, const struct nu_http_head *trail)
{
    if (s->out == OUT_CHUNKED && nu_h1_forward_trailers(&s->filter, NU_REV, trail))
        s->out = OUT_TRAILED;
}

/* The response is whole, and with it the stream is over; the rest of the request may still be under
 * way. */
static void on_end(struct h1_server *s)
{
    struct nu_result result = {.how = s->in == IN_DONE ? NU_CLEAN : NU_CANCELLED,
                               .side = NU_SIDE_LOCAL};
    if (s->in == IN_TUNNEL) {
        h1_tunnel_ended(s);
        return;
    }
    if (s->out == OUT_CHUNKED)
        nu_forward_data(&s->filter, NU_REV, nu_h1_last_chunk());
    s->stream->response_ms = h1_now(s);
    nu_part(&s->joint, result);
    s->stream = NULL;
    s->out = OUT_NONE;
    h1_response_over(s);
}

/* The stream broke: what the client has of the response must be seen to be cut, and without chunks
 * or a length only a reset says so. */
static void on_cut(struct h1_server *s, struct nu_result result)
{
    bool begun = s->out != OUT_NONE;
    h1_tunnel_count(s);
    if (result.how == NU_CLEAN || begun)
        result.how = NU_TRUNCATED;
    nu_part(&s->joint, result);
    s->stream = NULL;
    s->out = OUT_NONE;
    h1_end(s, result);
}

void h1_reply_event(struct h1_server *s, struct nu_ev *ev)
{
    switch (ev->kind) {
    case NU_INTERIM:
        on_interim(s, (struct nu_http_head *)ev->u.head);
        break;
    case NU_HEAD:
        on_response(s, (struct nu_http_head *)ev->u.head);
        break;
    case NU_DATA:
        on_data(s, ev->u.data);
        break;
    case NU_TRAIL:
        on_trailers(s, (struct nu_http_head *)ev->u.head);
        break;
    case NU_END:
        if (ev->u.end.how == NU_CLEAN && s->out != OUT_NONE)
            on_end(s);
        else
            on_cut(s, ev->u.end);
        break;
    default:
        nu_ev_free(ev);
    }
}
