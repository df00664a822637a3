/* The end of the admin's streams; see admin_filter.h.
 *
 * Faces: HTTP on the left, the chain's end. Sees all of a request, none of whose body it wants.
 * Stores: of a long answer only the piece in the making, since it makes one a loop turn, and none
 * while the client does not read. Holds nothing. END flushes nothing: the answer does not wait for
 * it. Waits for a count of connections or a reload, bounded by stream_idle_timeout; `close` cancels
 * that. */
#include "tools/nuncio/admin_filter.h"

#include "core/assert.h"
#include "l7/local_reply.h"
#include "l7/stream.h"
#include "tools/nuncio/admin_guard.h"
#include "tools/nuncio/admin_page.h"

#include <stdlib.h>
#include <string.h>

enum { TIMER_NEXT };

/* What has become of the answer. */
enum phase {
    ASKED,    /* the request's head has not come */
    WAITING,  /* for what the page needs */
    SENDING,  /* its head is sent, pieces follow */
    ANSWERED, /* all was said, or will never be */
};

struct answerer {
    struct nu_filter filter;
    struct nu_server *server;
    const struct nu_admin_page *page;
    struct nu_query query;
    struct nu_waiter waiter;
    char *told; /* what it was told, on its way into the chain */
    bool told_ok;
    uint8_t phase; /* enum phase */
    void *state;   /* of the page's source, while SENDING */
};

static struct answerer *self_of(struct nu_filter *f)
{
    return (struct answerer *)f;
}

static void set_phase(struct answerer *a, enum phase to)
{
    static const uint8_t edges[] = {
        [ASKED] = 1 << WAITING | 1 << SENDING | 1 << ANSWERED,
        [WAITING] = 1 << SENDING | 1 << ANSWERED,
        [SENDING] = 1 << ANSWERED,
        [ANSWERED] = 0,
    };
    nu_assert(edges[a->phase] >> to & 1);
    if (a->phase == SENDING)
        a->page->source->end(a->state);
    a->phase = (uint8_t)to;
}

/* --- answers --- */

/* What a browser may do with an answer: nothing but show it, and the page at / its own scripts. */
static void add_fields(struct nu_http_head *head, const char *type)
{
    static const struct {
        struct nu_text name, value;
    } fields[] = {
        {{"cache-control", 13},                {"no-cache, max-age=0", 19}},
        {{"x-content-type-options", 22},       {"nosniff", 7}             },
        {{"x-frame-options", 15},              {"DENY", 4}                },
        {{"cross-origin-resource-policy", 28}, {"same-origin", 11}        },
        {{"referrer-policy", 15},              {"no-referrer", 11}        },
        {{"content-security-policy", 23},
         NU_TEXT("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                 "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; "
                 "frame-ancestors 'none'")                                },
    };
    nu_http_add_known(head, NU_HDR_CONTENT_TYPE, nu_text(type, strlen(type)));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        nu_http_add(head, fields[i].name, fields[i].value);
}

static void reply(struct answerer *a, unsigned status, const char *type, const char *body,
                  size_t len)
{
    struct nu_http_head *head = nu_local_reply_head(&a->filter, status, len);
    add_fields(head, type);
    if (status == 405)
        nu_http_add(head, NU_TEXT("allow"),
                    a->page->changes ? NU_TEXT("POST") : NU_TEXT("GET, HEAD"));
    set_phase(a, ANSWERED);
    nu_local_reply_send(&a->filter, head, nu_text(body, len), "admin");
}

static void say(struct answerer *a, unsigned status, const char *text)
{
    reply(a, status, NU_ADMIN_TEXT, text, strlen(text));
}

static FILE *open_text(char **text, size_t *len)
{
    FILE *out = open_memstream(text, len);
    nu_assert(out != NULL);
    return out;
}

static void close_text(FILE *out)
{
    nu_assert(fclose(out) == 0);
}

/* --- answers in pieces --- */

static void next_piece(struct nu_filter *f)
{
    struct answerer *a = self_of(f);
    char *text;
    size_t len;
    if (a->phase != SENDING || nu_blocked(f, NU_REV))
        return;
    FILE *out = open_text(&text, &len);
    bool more = a->page->source->more(a->state, out);
    close_text(out);
    if (len)
        nu_forward_data(f, NU_REV, nu_slice_copy(nu_filter_loop(f)->blocks, text, len));
    free(text);
    if (more) {
        nu_timer_set(f, TIMER_NEXT, 0, next_piece);
        return;
    }
    set_phase(a, ANSWERED);
    nu_forward_end(f, NU_REV, (struct nu_result){.how = NU_CLEAN, .side = NU_SIDE_LOCAL});
    nu_drop(f, NU_FWD);
}

static void begin_pieces(struct answerer *a)
{
    struct nu_filter *f = &a->filter;
    struct nu_stream *s = nu_stream_of(f);
    struct nu_http_head *head = nu_local_reply_head(f, 200, 0);
    struct nu_ev ev = {.kind = NU_HEAD, .u.head = &head->head};
    add_fields(head, nu_admin_page_type(a->page, &a->query));
    head->has_length = false;
    head->body = NU_BODY_CHUNKED;
    s->local = true;
    s->details = "admin";
    set_phase(a, SENDING);
    nu_forward(f, NU_REV, &ev);
    next_piece(f);
}

/* Of HEAD, only whether it could be had. */
static void begin_none(struct answerer *a)
{
    struct nu_filter *f = &a->filter;
    struct nu_http_head *head = nu_local_reply_head(f, 200, 0);
    add_fields(head, nu_admin_page_type(a->page, &a->query));
    head->has_length = false;
    set_phase(a, SENDING);
    set_phase(a, ANSWERED);
    nu_local_reply_send(f, head, nu_text("", 0), "admin");
}

/* --- pages --- */

static void show(struct answerer *a, uint64_t connections)
{
    const struct nu_admin_page *page = a->page;
    const struct nu_admin_request request = {a->server, page, &a->query, connections};
    const char *type = NU_ADMIN_TEXT;
    char *text;
    size_t len;
    FILE *out = open_text(&text, &len);
    unsigned status =
        page->source ? page->source->begin(&request, &a->state, out) : page->run(&request, out);
    close_text(out);
    if (!page->source && status == 200)
        type = nu_admin_page_type(page, &a->query);
    if (page->source && status == 200 &&
        nu_stream_of(&a->filter)->request->method_id == NU_METHOD_HEAD)
        begin_none(a);
    else if (page->source && status == 200)
        begin_pieces(a);
    else
        reply(a, status, type, text, len);
    free(text);
}

static void resume(struct nu_filter *f)
{
    struct answerer *a = self_of(f);
    char *told = a->told;
    a->told = NULL;
    if (a->page->need == NU_ADMIN_CENSUS)
        show(a, strtoull(told, NULL, 10));
    else
        say(a, a->told_ok ? 200 : 500, told);
    free(told);
}

static void told(struct nu_waiter *waiter, bool ok, const char *text)
{
    struct answerer *a = nu_container(waiter, struct answerer, waiter);
    nu_assert(!a->told && a->phase == WAITING);
    nu_assert(asprintf(&a->told, "%s%s", ok ? "" : "error: ", text) >= 0);
    a->told_ok = ok;
    nu_call(&a->filter, resume);
}

static void give(struct answerer *a)
{
    if (a->page->need == NU_ADMIN_NOTHING) {
        show(a, 0);
        return;
    }
    set_phase(a, WAITING);
    if (a->page->need == NU_ADMIN_CENSUS)
        nu_census(&a->waiter);
    else
        nu_reload(a->server, &a->waiter);
}

/* --- requests --- */

static bool may_use(const struct nu_admin_page *page, const struct nu_http_head *request)
{
    if (page->changes)
        return request->method_id == NU_METHOD_POST;
    return request->method_id == NU_METHOD_GET || request->method_id == NU_METHOD_HEAD;
}

static void check_query(struct answerer *a, enum nu_err err)
{
    char *text;
    size_t len;
    FILE *out = open_text(&text, &len);
    unsigned status = 400;
    if (err == NU_ERR_SYNTAX)
        fputs("error: the query is not well-formed\n", out);
    else if (err)
        fputs("error: the query has too many names, or one of them twice\n", out);
    else
        status = nu_admin_page_check(a->page, &a->query, out);
    close_text(out);
    if (status)
        reply(a, status, NU_ADMIN_TEXT, text, len);
    else
        give(a);
    free(text);
}

static void on_head(struct answerer *a)
{
    struct nu_stream *s = nu_stream_of(&a->filter);
    struct nu_text path;
    if (s->status) { /* it could not be read */
        const char *body = nu_local_reply_body(s);
        set_phase(a, ANSWERED);
        nu_local_reply(&a->filter, s->status, nu_text(body, strlen(body)), s->details);
        return;
    }
    const char *foreign = nu_admin_guard(s->request, &nu_chain_facts(a->filter.chain)->local);
    enum nu_err err = nu_query_parse(s->request->path, s->arena, &path, &a->query);
    a->page = nu_admin_page_find(path);
    if (foreign)
        say(a, 403, nu_arena_printf(s->arena, "error: refused: %s\n", foreign));
    else if (!a->page)
        say(a, 404, "error: there is no such page; /help lists them\n");
    else if (!may_use(a->page, s->request))
        say(a, 405,
            a->page->changes ? "error: this changes something: it takes POST\n"
                             : "error: this only shows something: it takes GET\n");
    else
        check_query(a, err);
}

/* The client, or the codec for it, gave the request up. */
static void on_cut(struct answerer *a, struct nu_result result)
{
    struct nu_filter *f = &a->filter;
    nu_waiter_cancel(&a->waiter);
    if (a->phase != ANSWERED)
        set_phase(a, ANSWERED);
    if (!nu_bit(f, NU_B_ENDED, NU_REV))
        nu_forward_end(f, NU_REV, result);
    nu_done(f, NU_FWD);
}

static void admin_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct answerer *a = self_of(f);
    if (ev->kind == NU_HEAD)
        on_head(a);
    else if (ev->kind == NU_END && ev->u.end.how != NU_CLEAN)
        on_cut(a, ev->u.end);
    else if (ev->kind == NU_DATA)
        nu_slice_drop(&ev->u.data);
}

static void admin_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    if (dir == NU_REV && go)
        next_piece(f);
}

/* From the codec: it took too long, or the request turned out to be broken. */
static void on_answer(struct nu_filter *f)
{
    struct answerer *a = self_of(f);
    struct nu_stream *s = nu_stream_of(f);
    const char *body = nu_local_reply_body(s);
    bool begun = a->phase == SENDING;
    nu_waiter_cancel(&a->waiter);
    if (a->phase == ANSWERED)
        return;
    set_phase(a, ANSWERED);
    if (!begun) {
        nu_local_reply(f, s->status, nu_text(body, strlen(body)), s->details);
        return;
    }
    nu_forward_end(f, NU_REV, nu_result_of(NU_CAUSE_IDLE));
    nu_drop(f, NU_FWD);
}

/* --- the filter --- */

static enum nu_open admin_open(struct nu_filter *f, const void *conf)
{
    struct answerer *a = self_of(f);
    a->server = (struct nu_server *)conf;
    a->waiter.told = told;
    nu_stream_of(f)->answer = on_answer;
    return NU_OPEN;
}

static void admin_close(struct nu_filter *f)
{
    struct answerer *a = self_of(f);
    nu_waiter_cancel(&a->waiter);
    if (a->phase != ANSWERED)
        set_phase(a, ANSWERED);
    free(a->told);
}

const struct nu_filter_type nu_admin_filter = {
    .name = "admin",
    .doc = "Answers what is asked of the process.",
    .size = sizeof(struct answerer),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_NONE),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES_ALL, 0},
    .open = admin_open,
    .event = admin_event,
    .flow = admin_flow,
    .close = admin_close,
};
