/* The probe `http`, on main's loop: one request a connection, answered in full, in HTTP/1.1; or in
 * HTTP/2 (probe_h2.c), if the cluster speaks that.
 *
 * Faces: nothing | bytes. Sees: DATA and END of REV. Stores: the response's head, within the
 * codec's limits; its body is read, to know that it is whole, and discarded, up to
 * BODY_MAX_BYTES. END: the verdict. Holds never; the probe's timer bounds all. `close` gives back
 * the head. What is a good answer: probe_conf.c. */
#include "l4/health/probe.h"
#include "core/arena.h"
#include "l7/client.h"
#include "l7/probe_h2.h"
#include "l7/probe_priv.h"
#include "protocols/http/h1.h"
#include "protocols/http/h1_write.h"

#include <string.h>

#define BODY_MAX_BYTES (1u << 20) /* a front page may serve as a check; more is none */

static const struct nu_h1_limits limits = {.head_bytes = 60 * 1024,
                                           .target_bytes = 8 * 1024,
                                           .fields = 100,
                                           .trailer_bytes = 8 * 1024,
                                           .body_bytes = BODY_MAX_BYTES};

struct http_probe {
    struct nu_filter filter;
    const struct probe_conf *conf;
    struct nu_h1_parser parser;
    struct nu_http_head *head; /* of the response */
    bool asked;
};

/* --- asking --- */

/* As a browser would name the server: the port only where it is not the usual one. */
struct nu_text probe_host(const struct nu_filter *f, const char *host, struct nu_arena *arena)
{
    const struct nu_endpoint *e = nu_probe_endpoint(f);
    char addr[NU_ADDR_TEXT_MAX];
    const char *text = host;
    if (!text && e->addr.kind == NU_ADDR_UNIX)
        text = "localhost";
    if (!text && e->name && (e->addr.port == 80 || e->addr.port == 443))
        text = e->name;
    if (!text && e->name)
        text = e->host;
    if (!text)
        text = nu_arena_strdup(arena, nu_addr_str(&e->addr, addr));
    return nu_text(text, strlen(text));
}

static void add_fields(struct nu_http_head *head, const struct probe_conf *conf)
{
    const struct probe_header *field = conf->headers.items;
    nu_http_set(head, NU_TEXT("user-agent"), NU_TEXT(PROBE_USER_AGENT));
    for (size_t i = 0; i < conf->headers.count; i++)
        nu_http_set(head, nu_text(field[i].name, strlen(field[i].name)),
                    nu_text(field[i].value, strlen(field[i].value)));
}

static void fill_head(const struct nu_filter *f, const struct probe_conf *conf,
                      struct nu_http_head *head)
{
    head->method = nu_text(conf->method_name, strlen(conf->method_name));
    head->method_id = (uint8_t)conf->method;
    head->path = nu_text(conf->path, strlen(conf->path));
    head->authority = probe_host(f, conf->host, head->arena);
    add_fields(head, conf);
}

static enum nu_err write_request(struct http_probe *p, struct nu_arena *arena, struct nu_slice *out)
{
    struct nu_http_head *head = nu_http_head_new(arena);
    head->version = NU_HTTP_1_1;
    fill_head(&p->filter, p->conf, head);
    struct nu_block *block =
        nu_block_get(nu_filter_loop(&p->filter)->blocks, nu_h1_head_room(head));
    const struct nu_h1_how how = {.close = true};
    enum nu_err err = nu_h1_write_head(block, head, &how, out);
    nu_block_unref(block);
    return err;
}

static void ask_http1(struct http_probe *p)
{
    struct nu_arena *arena = nu_chain_arena(p->filter.chain);
    struct nu_slice request;
    p->asked = true;
    nu_h1_begin_response(&p->parser, arena, p->conf->method, false);
    if (write_request(p, arena, &request) == NU_OK)
        nu_forward_data(&p->filter, NU_FWD, request);
    else
        nu_probe_refuse(&p->filter, "the request cannot be written: look at host and headers");
}

static size_t ask_http2(struct nu_filter *f, const void *conf, struct nu_http_head *head,
                        uint8_t *body)
{
    fill_head(f, conf, head);
    return 0;
}

/* --- the answer --- */

static bool is_expected(const struct probe_conf *conf, unsigned status)
{
    const struct probe_range *range = conf->expected.items;
    for (size_t i = 0; i < conf->expected.count; i++)
        if (status >= range[i].first && status <= range[i].last)
            return true;
    return false;
}

void probe_refuse_status(struct nu_filter *f, unsigned status)
{
    const char *reason = nu_http_reason_str(status);
    nu_probe_refuse(f, "status %u%s%s", status, *reason ? " " : "", reason);
}

/* A status that is not wanted decides, whatever would follow. False: it is over. */
static bool take_head(struct http_probe *p, struct nu_http_head *head)
{
    unsigned status = head->status;
    if (is_expected(p->conf, status)) {
        p->head = head;
        return true;
    }
    nu_http_head_drop(head);
    probe_refuse_status(&p->filter, status);
    return false;
}

/* False: there will be nothing more to read. */
static bool take(struct http_probe *p, enum nu_h1_event event, struct nu_h1_out *out)
{
    switch (event) {
    case NU_H1_HEAD:
        return take_head(p, out->head);
    case NU_H1_DATA:
        nu_slice_drop(&out->data);
        return true;
    case NU_H1_INTERIM:
    case NU_H1_TRAIL:
        nu_http_head_drop(out->head);
        return true;
    case NU_H1_END:
        nu_probe_pass(&p->filter);
        return false;
    case NU_H1_ERROR:
        if (out->head)
            nu_http_head_drop(out->head);
        nu_probe_refuse(&p->filter, "no good response: %s", nu_h1_error_text(out->error));
        return false;
    case NU_H1_MORE:
        break;
    }
    return false;
}

static void read_answer(struct http_probe *p, struct nu_slice *in)
{
    struct nu_h1_out out;
    while (take(p, nu_h1_read(&p->parser, in, &out), &out))
        ;
}

/* The server has closed: a body may end so. */
static void read_end(struct http_probe *p, struct nu_result result)
{
    struct nu_h1_out out;
    if (result.how != NU_CLEAN)
        nu_probe_refuse(&p->filter, "the connection broke before the whole response");
    else if (!p->asked || nu_h1_idle(&p->parser))
        nu_probe_refuse(&p->filter, "closed without a response");
    else
        take(p, nu_h1_eof(&p->parser, &out), &out);
}

/* --- which version --- */

static void judge_head(struct nu_filter *f, const void *conf, const struct nu_http_head *head)
{
    if (!is_expected(conf, head->status))
        probe_refuse_status(f, head->status);
}

static void judge(struct nu_filter *f, const void *conf, const struct probe_answer *answer)
{
    nu_probe_pass(f);
}

static const struct probe_way way = {.ask = ask_http2, .head = judge_head, .end = judge};

/* As clients' requests go: by what the cluster says, or what its server agreed to. */
static void ask(struct http_probe *p)
{
    struct nu_filter *f = &p->filter;
    const struct nu_cluster *cluster = nu_probe_cluster(f);
    enum nu_client_protocol protocol = nu_client_protocol_of(cluster);
    bool plain = cluster->near_count == 0;
    bool agreed = plain ? protocol == NU_CLIENT_HTTP2 : probe_h2_is_agreed(f);
    if (protocol == NU_CLIENT_HTTP1 || (protocol == NU_CLIENT_AUTO && !agreed))
        ask_http1(p);
    else if (agreed)
        probe_h2_become(f, &way, p->conf);
    else
        probe_h2_refuse(f);
}

static void offer(struct nu_filter *f)
{
    enum nu_client_protocol protocol = nu_client_protocol_of(nu_probe_cluster(f));
    if (protocol != NU_CLIENT_HTTP1)
        probe_h2_offer(f, protocol == NU_CLIENT_HTTP2 ? "h2" : "h2,http/1.1");
}

/* --- the filter --- */

static void http_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct http_probe *p = (struct http_probe *)f;
    if (!p->asked && ev->kind == NU_DATA && nu_client_protocol_of(nu_probe_cluster(f)))
        ask(p); /* a server of HTTP/2 may speak first */
    if (f->type != &probe_filter) {
        f->type->event(f, dir, ev);
        return;
    }
    if (ev->kind == NU_END)
        read_end(p, ev->u.end);
    else if (p->asked)
        read_answer(p, &ev->u.data);
    else
        nu_probe_refuse(f, "it spoke first, so it speaks no HTTP");
    nu_ev_free(ev);
}

static enum nu_open http_open(struct nu_filter *f, const void *conf)
{
    struct http_probe *p = (struct http_probe *)f;
    p->conf = conf;
    nu_h1_init(&p->parser, &limits);
    offer(f);
    return NU_OPEN;
}

static void http_start(struct nu_filter *f)
{
    if (!nu_blocked(f, NU_FWD))
        ask((struct http_probe *)f);
}

static void http_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct http_probe *p = (struct http_probe *)f;
    if (dir == NU_FWD && go && !p->asked)
        ask(p);
}

static void http_close(struct nu_filter *f)
{
    struct http_probe *p = (struct http_probe *)f;
    if (p->head)
        nu_http_head_drop(p->head);
}

const struct nu_filter_type probe_filter = {
    .name = "http_probe",
    .doc = "Asks a server for a page, and looks at the status.",
    .size = sizeof(struct http_probe),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_BYTES),
    .flags = NU_F_INTERNAL,
    .sees = {0, NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .open = http_open,
    .start = http_start,
    .event = http_event,
    .flow = http_flow,
    .close = http_close,
};
