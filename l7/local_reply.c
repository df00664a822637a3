/* Answers that are our own; see local_reply.h. The config's list (`local_replies`) is read in
 * local_reply_conf.c. On the stream's worker. */
#include "l7/local_reply.h"

#include "core/chain.h"
#include "l7/grpc.h"
#include "l7/http.h"
#include "l7/local_reply_priv.h"
#include "l7/stream.h"
#include "protocols/http/h1_write.h"

#include <string.h>

/* A response to HEAD tells the length of what GET would have got; 204 and 304 have no body, and the
 * first no length either (RFC 9110 8.6, 15.3.5, 15.4.5). */
static void frame(struct nu_http_head *head, size_t body_len)
{
    bool none = head->status == 204 || head->status == 304;
    head->has_length = head->status != 204;
    head->content_length = none ? 0 : body_len;
    head->body = NU_BODY_NONE;
    if (head->content_length > 0 && head->method_id != NU_METHOD_HEAD)
        head->body = NU_BODY_LENGTH;
}

static struct nu_http_head *new_head(const struct nu_stream *s, unsigned status, size_t body_len)
{
    struct nu_http_head *head = nu_http_head_new(s->arena);
    const char *reason = nu_http_reason_str(status);
    head->status = (uint16_t)status;
    head->version = NU_HTTP_1_1;
    head->keep_alive = true;
    head->reason = nu_text(reason, strlen(reason));
    head->method_id = s->request->method_id;
    frame(head, body_len);
    return head;
}

struct nu_http_head *nu_local_reply_head(struct nu_filter *f, unsigned status, size_t body_len)
{
    return new_head(nu_stream_of(f), status, body_len);
}

struct nu_http_head *nu_local_reply_as(struct nu_filter *f, unsigned status, struct nu_text body,
                                       struct nu_text type)
{
    const struct nu_stream *s = nu_stream_of(f);
    bool grpc = nu_grpc_is_answer(s, status);
    struct nu_http_head *head = new_head(s, grpc ? 200 : status, grpc ? 0 : body.len);
    if (grpc)
        nu_grpc_answer(s, head, status, body);
    else if (type.len > 0)
        nu_http_append(head, NU_HDR_CONTENT_TYPE, NU_TEXT("content-type"), type);
    return head;
}

/* What a server may still say is for nobody. The router is mostly over by the END that nu_drop sent
 * it; not where that passed before, or waits behind a filter that holds. It may be on the stack. */
static void leave_server(struct nu_filter *f, const struct nu_stream *s)
{
    if (!f->next[NU_FWD])
        return;
    nu_drop(f, NU_REV);
    nu_timer_set(s->router, NU_ROUTER_TIMER_LEAVE, 0, s->leave);
}

void nu_local_reply_send(struct nu_filter *f, struct nu_http_head *head, struct nu_text body,
                         const char *details)
{
    struct nu_stream *s = nu_stream_of(f);
    bool has_body = head->body == NU_BODY_LENGTH; /* a filter may frame it otherwise */
    struct nu_slice copy = {.len = 0};
    struct nu_ev ev = {.kind = NU_HEAD, .u.head = &head->head};
    s->local = true;
    s->details = details;
    if (has_body)
        copy = nu_slice_copy(nu_filter_loop(f)->blocks, body.at, body.len);
    nu_forward(f, NU_REV, &ev);
    if (has_body)
        nu_forward_data(f, NU_REV, copy);
    nu_forward_end(f, NU_REV, (struct nu_result){.how = NU_CLEAN, .side = NU_SIDE_LOCAL});
    nu_drop(f, NU_FWD);
    leave_server(f, s);
}

static bool has_status(const struct local_reply *r, unsigned status)
{
    for (size_t i = 0; i < r->status.count; i++) {
        const struct status_range *range = (const struct status_range *)r->status.items + i;
        if (status >= range->first && status <= range->last)
            return true;
    }
    return r->status.count == 0;
}

static const struct local_reply *find(const struct nu_local_replies *replies, unsigned status,
                                      uint32_t flags)
{
    for (size_t i = 0; replies && i < replies->count; i++) {
        const struct local_reply *r = &replies->reply[i];
        if (has_status(r, status) && (r->flags == 0 || (r->flags & flags)))
            return r;
    }
    return NULL;
}

void nu_local_reply(struct nu_filter *f, unsigned status, struct nu_text body, const char *details)
{
    nu_local_reply_with(f, status, body, details, NULL);
}

void nu_local_reply_with(struct nu_filter *f, unsigned status, struct nu_text body,
                         const char *details,
                         void (*add)(struct nu_filter *f, struct nu_http_head *head))
{
    struct nu_stream *s = nu_stream_of(f);
    const struct local_reply *r = find(s->conf->replies, status, s->flags);
    struct nu_text type = NU_TEXT("text/plain");
    if (r && r->status_to)
        status = (unsigned)r->status_to;
    if (r && r->has_body)
        body = r->text;
    if (r && r->content_type)
        type = nu_text(r->content_type, strlen(r->content_type));
    if (body.len == 0 || status == 204 || status == 304)
        type.len = 0;
    struct nu_http_head *head = nu_local_reply_as(f, status, body, type);
    s->status = head->status;
    if (add)
        add(f, head);
    if (r)
        nu_head_edits_apply(r->edits, head, f->chain);
    nu_local_reply_send(f, head, body, details);
}

const char *nu_local_reply_body(const struct nu_stream *s)
{
    static const struct {
        const char *details, *body;
    } rows[] = {
        {"request_header_timeout",  "request header timeout"},
        {"request_overall_timeout", "request timeout"       },
        {"stream_idle_timeout",     "stream timeout"        },
    };
    if (s->flags >> NU_FLAG_CLIENT_ERROR & 1)
        return nu_http_reason_str(s->status);
    for (size_t i = 0; s->details && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].details, s->details) == 0)
            return rows[i].body;
    return "";
}
