/* compress: responses leave in a coding that the client takes.
 *
 * What a turn brings of a body leaves with the turn, so that events and answers in pieces are not
 * held up. The encoder is made with the first response that needs one.
 *
 * Faces: HTTP. Sees: the request's HEAD; of a response all, unless its HEAD says that it stays as
 * it is: then it bypasses itself. Stores: the rest of one DATA event, and the encoder (coder.h says
 * how much). END and TRAIL wait for the encoder's rest. Holds REV while the way is blocked;
 * stream_idle_timeout bounds that. `close` frees both. */
#include "l7/filters/compress_conf.h"
#include "l7/filters/filters.h"
#include "l7/filters/recode.h"
#include "l7/stream.h"

#include <string.h>

enum { TIMER_FLUSH };

struct compress {
    struct nu_filter filter;
    const struct compress_conf *conf;
    struct recode body;
    uint64_t told_taken, told_made; /* stand in the figures */
    struct nu_text accept;          /* what the client takes */
};

static void count(const struct compress *c, enum compress_stat stat, uint64_t n)
{
    nu_stat_add(c->conf->stats, nu_filter_loop(&c->filter)->shard, stat, (int64_t)n);
}

/* --- may it be compressed? --- */

static bool has_type(const struct compress_conf *conf, const struct nu_http_head *head)
{
    const struct nu_http_field *f = nu_http_get(head, NU_HDR_CONTENT_TYPE);
    if (!f)
        return true;
    struct nu_text value = nu_http_field_value(f);
    const char *end = memchr(value.at, ';', value.len);
    value.len = end ? (size_t)(end - value.at) : value.len;
    while (value.len > 0 && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
        value.len--;
    for (size_t i = 0; i < conf->content_type.count; i++) {
        struct nu_text type = conf->types[i];
        if (type.len == value.len && strncasecmp(type.at, value.at, value.len) == 0)
            return true;
    }
    return false;
}

/* Parts of a body, and what says how it is coded, stay as they are. */
static bool is_plain(const struct nu_http_head *head)
{
    return head->status != 204 && head->status != 206 && head->status != 304 &&
           !nu_http_get(head, NU_HDR_CONTENT_RANGE) &&
           !nu_http_get(head, NU_HDR_CONTENT_ENCODING) &&
           !nu_field_has(head, NU_HDR_CACHE_CONTROL, "no-transform");
}

static bool is_long(const struct compress *c, const struct nu_http_head *head)
{
    if (!head->has_length || (int64_t)head->content_length >= c->conf->min_content_length)
        return true;
    count(c, COMPRESS_CONTENT_LENGTH_TOO_SMALL, 1);
    return false;
}

static bool has_good_etag(const struct compress *c, const struct nu_http_head *head)
{
    if (!c->conf->disable_on_etag || !nu_http_get(head, NU_HDR_ETAG))
        return true;
    count(c, COMPRESS_NOT_COMPRESSED_ETAG, 1);
    return false;
}

static bool may_be(const struct compress *c, const struct nu_http_head *head)
{
    return is_plain(head) && is_long(c, head) && has_type(c->conf, head) && has_good_etag(c, head);
}

/* --- the response's head --- */

/* The same resource differs by what the client takes: caches have to know. */
static void vary(struct nu_http_head *head)
{
    if (!nu_field_has(head, NU_HDR_VARY, "accept-encoding") &&
        !nu_field_has(head, NU_HDR_VARY, "*"))
        nu_http_add_known(head, NU_HDR_VARY, NU_TEXT("Accept-Encoding"));
}

void compress_weaken_etag(struct nu_http_head *head)
{
    struct nu_text etag = nu_http_value(head, NU_HDR_ETAG);
    if (etag.len == 0 || (etag.len >= 2 && memcmp(etag.at, "W/", 2) == 0))
        return;
    const char *weak = nu_arena_printf(head->arena, "W/%.*s", (int)etag.len, etag.at);
    nu_http_set_known(head, NU_HDR_ETAG, nu_text(weak, strlen(weak)));
}

void compress_unframe(struct nu_http_head *head)
{
    nu_http_remove_known(head, NU_HDR_CONTENT_LENGTH);
    nu_http_remove_known(head, NU_HDR_ACCEPT_RANGES);
    head->has_length = false;
    head->content_length = 0;
    if (head->body == NU_BODY_LENGTH)
        head->body = NU_BODY_CHUNKED;
}

static void begin(struct compress *c, enum nu_coding coding, struct nu_http_head *head)
{
    const char *name = nu_coding_str(coding);
    const struct compress_conf *conf = c->conf;
    c->body.filter = &c->filter;
    c->body.dir = NU_REV;
    c->body.coder =
        nu_encoder_new(coding, coding == NU_CODING_GZIP ? &conf->gzip.how : &conf->brotli.how);
    nu_http_add_known(head, NU_HDR_CONTENT_ENCODING, nu_text(name, strlen(name)));
    compress_unframe(head);
    compress_weaken_etag(head);
    count(c, COMPRESS_COMPRESSED, 1);
}

/* What the client takes matters only now: most responses are not for compressing. */
static enum nu_coding choose(const struct compress *c)
{
    static const uint8_t stats[] = {
        [NU_ACCEPT_NONE] = COMPRESS_NO_ACCEPT_HEADER,
        [NU_ACCEPT_NAMED] = COMPRESS_HEADER_COMPRESSOR_USED,
        [NU_ACCEPT_WILDCARD] = COMPRESS_HEADER_WILDCARD,
        [NU_ACCEPT_IDENTITY] = COMPRESS_HEADER_IDENTITY,
        [NU_ACCEPT_NOT] = COMPRESS_HEADER_NOT_VALID,
    };
    enum nu_accept_why why;
    enum nu_coding coding =
        nu_accept_coding(c->accept, c->conf->offered, c->conf->codings.count, &why);
    count(c, (enum compress_stat)stats[why], 1);
    return coding;
}

static void on_response(struct compress *c, struct nu_ev *ev)
{
    struct nu_http_head *head = (struct nu_http_head *)ev->u.head;
    bool may = may_be(c, head), body = head->body != NU_BODY_NONE && head->body != NU_BODY_TUNNEL;
    enum nu_coding coding = may ? choose(c) : NU_CODING_IDENTITY;
    if (may)
        vary(head);
    if (coding != NU_CODING_IDENTITY && body) {
        begin(c, coding, head);
    } else {
        count(c, COMPRESS_NOT_COMPRESSED, 1);
        nu_bypass(&c->filter);
    }
    nu_forward(&c->filter, NU_REV, ev);
}

/* --- its body --- */

static void tell(struct compress *c)
{
    count(c, COMPRESS_TOTAL_UNCOMPRESSED_BYTES, c->body.taken - c->told_taken);
    count(c, COMPRESS_TOTAL_COMPRESSED_BYTES, c->body.made - c->told_made);
    c->told_taken = c->body.taken;
    c->told_made = c->body.made;
}

static void on_turn_over(struct nu_filter *f)
{
    struct compress *c = (struct compress *)f;
    recode_flush(&c->body);
    tell(c);
}

static void on_request(struct compress *c, struct nu_ev *ev)
{
    struct nu_http_head *head = (struct nu_http_head *)ev->u.head;
    c->accept = nu_accept_copy(head, nu_stream_of(&c->filter)->arena);
    if (c->conf->remove_accept_encoding)
        nu_http_remove_known(head, NU_HDR_ACCEPT_ENCODING);
    nu_forward(&c->filter, NU_FWD, ev);
}

static void compress_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct compress *c = (struct compress *)f;
    if (dir == NU_FWD) {
        on_request(c, ev);
    } else if (ev->kind == NU_HEAD) {
        on_response(c, ev);
    } else if (!c->body.coder) { /* cut before its head */
        nu_forward(f, dir, ev);
    } else if (ev->kind == NU_DATA) {
        recode_data(&c->body, ev->u.data);
        nu_timer_set(f, TIMER_FLUSH, 0, on_turn_over);
    } else {
        recode_last(&c->body, ev);
        tell(c);
    }
}

static void compress_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct compress *c = (struct compress *)f;
    if (dir != NU_REV || !go || !c->body.coder)
        return;
    recode_go(&c->body);
    if (!c->body.finished)
        nu_timer_set(f, TIMER_FLUSH, 0, on_turn_over);
    tell(c);
}

static bool compress_spare(const void *conf, const struct nu_facts *facts)
{
    return facts->exchange->stream->tunnel;
}

static enum nu_open compress_open(struct nu_filter *f, const void *conf)
{
    ((struct compress *)f)->conf = conf;
    return nu_stream_of(f)->tunnel ? NU_PASS : NU_OPEN;
}

static void compress_close(struct nu_filter *f)
{
    recode_free(&((struct compress *)f)->body);
}

const struct nu_filter_type nu_filter_compress = {
    .name = "compress",
    .doc = "Compresses responses for clients that take it.",
    .size = sizeof(struct compress),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD),
             NU_SEES(NU_HEAD) | NU_SEES(NU_DATA) | NU_SEES(NU_TRAIL) | NU_SEES(NU_END)},
    .schema = &compress_schema,
    .prepare = compress_prepare,
    .spare = compress_spare,
    .open = compress_open,
    .event = compress_event,
    .flow = compress_flow,
    .close = compress_close,
};
