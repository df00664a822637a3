/* buffer: a request goes on only when all of it has come, so that slow clients cost servers
 * nothing, and servers learn the length of every body.
 *
 * Faces: HTTP. Sees: of a request all that has a body, else nothing. Stores: the body, up to
 * max_request_bytes and a block, copied together so that pieces of a byte cost no more; past that
 * the answer is 413. END sends it all on. Holds nothing: what waits is its own; request_timeout and
 * stream_idle_timeout bound the wait. `close` drops what has not gone. */
#include "core/conf/schema.h"
#include "l7/filters/filters.h"
#include "l7/http.h"
#include "l7/local_reply.h"
#include "l7/stream.h"

#include <string.h>

#define PIECE NU_BLOCK_SMALL /* blocks that a body is copied into */

struct buffer_conf {
    int64_t max_request_bytes;
};

struct piece {
    struct piece *next;
    struct nu_block *block;
};

struct buffer {
    struct nu_filter filter;
    const struct buffer_conf *conf;
    struct nu_ev head;
    struct piece *first, *last; /* in the stream's arena */
    uint64_t bytes;
};

/* --- what waits --- */

static void add_piece(struct buffer *b)
{
    struct piece *p = nu_arena_alloc(nu_stream_of(&b->filter)->arena, sizeof *p);
    p->block = nu_block_get(nu_filter_loop(&b->filter)->blocks, PIECE);
    if (b->last)
        b->last->next = p;
    else
        b->first = p;
    b->last = p;
}

static void keep(struct buffer *b, struct nu_slice data)
{
    b->bytes += data.len;
    for (size_t at = 0, n; at < data.len; at += n) {
        if (!b->last || nu_block_room(b->last->block) == 0)
            add_piece(b);
        size_t room = nu_block_room(b->last->block), left = data.len - at;
        n = left < room ? left : room;
        memcpy(nu_block_tail(b->last->block), data.data + at, n);
        b->last->block->used += (uint32_t)n;
    }
    nu_slice_drop(&data);
}

/* The slice takes over the block's reference. */
static struct nu_slice take_first(struct buffer *b)
{
    struct nu_block *block = b->first->block;
    b->first = b->first->next;
    return (struct nu_slice){block->data, block->used, block};
}

/* --- events --- */

/* Nobody else tells the client to go on (X2): the server is not asked before the body is there. */
static void say_go_on(struct buffer *b, struct nu_http_head *request)
{
    struct nu_http_head *head = nu_http_head_new(request->arena);
    struct nu_ev ev = {.kind = NU_INTERIM, .u.head = &head->head};
    head->status = 100;
    head->version = NU_HTTP_1_1;
    head->keep_alive = true;
    request->expect_100 = false;
    nu_http_remove_known(request, NU_HDR_EXPECT);
    nu_forward(&b->filter, NU_REV, &ev);
}

static void refuse(struct buffer *b)
{
    struct nu_filter *f = &b->filter;
    nu_stat_add(nu_stream_of(f)->conf->stats, nu_filter_loop(f)->shard, NU_HTTP_RQ_TOO_LARGE, 1);
    nu_local_reply(f, 413, NU_TEXT("Payload Too Large"), "request_payload_too_large");
}

static bool is_too_large(const struct buffer *b, uint64_t bytes)
{
    return bytes > (uint64_t)b->conf->max_request_bytes;
}

static void on_head(struct buffer *b, struct nu_ev *ev)
{
    struct nu_http_head *head = (struct nu_http_head *)ev->u.head;
    b->head = *ev;
    if (head->has_length && is_too_large(b, head->content_length)) {
        refuse(b);
        return;
    }
    nu_http_head_keep(head);
    if (head->expect_100)
        say_go_on(b, head);
}

/* The length is known now. Trailers need chunks, though. */
static void send_all(struct buffer *b, bool trailers)
{
    struct nu_http_head *head = (struct nu_http_head *)b->head.u.head;
    struct nu_ev ev = b->head;
    if (!trailers && head->body == NU_BODY_CHUNKED) {
        head->body = b->bytes ? NU_BODY_LENGTH : NU_BODY_NONE;
        head->has_length = true;
        head->content_length = b->bytes;
    }
    nu_bypass(&b->filter);
    nu_forward(&b->filter, NU_FWD, &ev);
    while (b->first)
        nu_forward_data(&b->filter, NU_FWD, take_first(b));
}

static void buffer_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct buffer *b = (struct buffer *)f;
    if (ev->kind == NU_HEAD) {
        on_head(b, ev);
    } else if (ev->kind == NU_DATA) {
        if (is_too_large(b, b->bytes + ev->u.data.len)) {
            nu_ev_free(ev);
            refuse(b);
            return;
        }
        keep(b, ev->u.data);
    } else { /* TRAIL or END; a request that is cut is nothing to be sent */
        if (ev->kind == NU_TRAIL || ev->u.end.how == NU_CLEAN)
            send_all(b, ev->kind == NU_TRAIL);
        nu_forward(f, dir, ev);
    }
}

static bool has_no_body(const struct nu_stream *s)
{
    return s->tunnel || s->request->body == NU_BODY_NONE;
}

static bool buffer_spare(const void *conf, const struct nu_facts *facts)
{
    return has_no_body(facts->exchange->stream);
}

static enum nu_open buffer_open(struct nu_filter *f, const void *conf)
{
    ((struct buffer *)f)->conf = conf;
    return has_no_body(nu_stream_of(f)) ? NU_PASS : NU_OPEN;
}

static void buffer_close(struct nu_filter *f)
{
    struct buffer *b = (struct buffer *)f;
    while (b->first) {
        struct nu_slice s = take_first(b);
        nu_slice_drop(&s);
    }
}

static const struct nu_field fields[] = {
    {.key = "max_request_bytes",
     .type = NU_SIZE,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct buffer_conf, max_request_bytes),
     .min = 1,
     .max = UINT32_MAX,
     .doc =
         "Bytes of a body, beyond which a request is answered with 413. So much memory a request "
         "may take."},
    {0      }
};

static const struct nu_schema schema = {
    .name = "buffer",
    .doc = "Sends a request on only when all of it has come, with its length. Clients that expect "
           "100 are told to go on.",
    .size = sizeof(struct buffer_conf),
    .fields = fields,
    .scalar = "max_request_bytes",
};

const struct nu_filter_type nu_filter_buffer = {
    .name = "buffer",
    .doc = "Sends a request on only when all of it has come.",
    .size = sizeof(struct buffer),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD) | NU_SEES(NU_DATA) | NU_SEES(NU_TRAIL) | NU_SEES(NU_END), 0},
    .schema = &schema,
    .spare = buffer_spare,
    .open = buffer_open,
    .event = buffer_event,
    .close = buffer_close,
};
