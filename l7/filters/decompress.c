/* decompress: bodies go on as what they are, whatever coding they came in: requests to servers that
 * know none, responses to filters and clients that want to see them.
 *
 * A few bytes can stand for gigabytes. What is made is judged block by block: past max_size, or
 * max_ratio of what came, it ends.
 *
 * Faces: HTTP. Sees: all of a direction, until a HEAD says that its body stays as it is. Stores:
 * the rest of one DATA event and the decoder, a direction (coder.h says how much). END and TRAIL
 * wait for the decoder's rest; a body that is not whole is cut. Holds a direction while the way is
 * blocked; stream_idle_timeout bounds that. `close` frees both. */
#include "core/conf/schema.h"
#include "l7/filters/compress_conf.h"
#include "l7/filters/filters.h"
#include "l7/filters/recode.h"
#include "l7/http.h"
#include "l7/local_reply.h"
#include "l7/stream.h"

#include <string.h>

#define WINDOW_MAX (16 * 1024 * 1024) /* bytes; the largest there is (RFC 7932 9.1) */

enum direction { BOTH, REQUEST, RESPONSE };
static const char *const directions[] = {"both", "request", "response", NULL};

/* A row for requests, then one for responses. */
enum figure {
    DECOMPRESSED,
    NOT_DECOMPRESSED,
    UNCOMPRESSED_BYTES,
    COMPRESSED_BYTES,
    ERRORS,
    OVER_LIMIT,
    FIGURES /* of one direction */
};

#define FIGURES_OF(first, of, what)                                                                \
    [(first) + DECOMPRESSED] = {of ".decompressed", NU_COUNTER, NULL, what " decompressed."},      \
               [(first) + NOT_DECOMPRESSED] = {of ".not_decompressed", NU_COUNTER, NULL,           \
                                               what " that passed as they were."},                 \
               [(first) + UNCOMPRESSED_BYTES] = {of ".total_uncompressed_bytes", NU_COUNTER,       \
                                                 "bytes", "Of their bodies, decompressed."},       \
               [(first) + COMPRESSED_BYTES] = {of ".total_compressed_bytes", NU_COUNTER, "bytes",  \
                                               "Of the same, as they came."},                      \
               [(first) + ERRORS] = {of ".decompress_error", NU_COUNTER, NULL,                     \
                                     what " that are not of their coding, or not whole."},         \
               [(first) + OVER_LIMIT] = {of ".over_limit", NU_COUNTER, NULL,                       \
                                         what                                                      \
                                         " that became too large, or too large for what came."}

static const struct nu_stat_def defs[] = {
    FIGURES_OF(0, "request", "Requests"),
    FIGURES_OF(FIGURES, "response", "Responses"),
};

const struct nu_stat_group nu_decompress_stats =
    NU_STAT_GROUP("http.<name>.decompressor", "The decompress filters of an http filter.", defs);

struct decompress_conf {
    struct nu_vec codings; /* int: index of a coding's name */
    int direction;
    bool advertise, ignore_no_transform;
    int64_t max_size, max_ratio, max_window;

    /* --- prepared --- */
    enum nu_coding offered[NU_CODING_COUNT];
    struct nu_text accept; /* Accept-Encoding of all of them */
    struct nu_stats *stats;
};

struct decompress {
    struct nu_filter filter;
    const struct decompress_conf *conf;
    struct recode body[2];
    uint64_t told_taken[2], told_made[2]; /* stand in the figures */
    bool answered;                        /* a response's head has passed */
};

static void count(const struct decompress *d, enum nu_dir dir, enum figure figure, uint64_t n)
{
    unsigned first = dir == NU_FWD ? 0 : FIGURES;
    nu_stat_add(d->conf->stats, nu_filter_loop(&d->filter)->shard, first + figure, (int64_t)n);
}

static void tell(struct decompress *d, enum nu_dir dir)
{
    const struct recode *r = &d->body[dir];
    count(d, dir, UNCOMPRESSED_BYTES, r->made - d->told_made[dir]);
    count(d, dir, COMPRESSED_BYTES, r->taken - d->told_taken[dir]);
    d->told_made[dir] = r->made;
    d->told_taken[dir] = r->taken;
}

/* --- faults --- */

/* A request is refused as long as it can be. */
static void refuse(struct decompress *d, bool bad)
{
    struct nu_filter *f = &d->filter;
    if (d->answered)
        nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_CLIENT, "a request's body cannot be decompressed");
    else if (bad)
        nu_local_reply(f, 400, nu_text("", 0), "request_decompression_failed");
    else
        nu_local_reply(f, 413, nu_text("", 0), "request_decompressed_too_large");
}

static void on_fault(struct decompress *d, enum nu_dir dir)
{
    bool bad = d->body[dir].fault_is == RECODE_BAD;
    count(d, dir, bad ? ERRORS : OVER_LIMIT, 1);
    if (dir == NU_FWD) {
        refuse(d, bad);
        return;
    }
    struct nu_stream *s = nu_stream_of(&d->filter);
    s->details = bad ? "response_decompression_failed" : "response_decompressed_too_large";
    nu_stream_flag(s, NU_FLAG_SERVER_ERROR);
    nu_fail(&d->filter, NU_CAUSE_UPSTREAM_PROTOCOL, NU_SIDE_UPSTREAM, "%s", s->details);
}

static void fault_fwd(struct nu_filter *f)
{
    on_fault((struct decompress *)f, NU_FWD);
}

static void fault_rev(struct nu_filter *f)
{
    on_fault((struct decompress *)f, NU_REV);
}

/* --- heads --- */

/* The coding that a body comes in, if that is one to be taken off; else IDENTITY. */
static enum nu_coding coding_of(const struct decompress_conf *conf, const struct nu_http_head *head)
{
    const struct nu_http_field *f = nu_http_get(head, NU_HDR_CONTENT_ENCODING);
    if (!f || nu_http_next(head, f))
        return NU_CODING_IDENTITY; /* none, or one upon another */
    struct nu_text value = nu_http_field_value(f);
    enum nu_coding coding = nu_coding_find(value.at, value.len);
    for (size_t i = 0; i < conf->codings.count; i++)
        if (conf->offered[i] == coding)
            return coding;
    return NU_CODING_IDENTITY;
}

static bool is_whole_body(const struct nu_http_head *head)
{
    return head->body != NU_BODY_NONE && head->body != NU_BODY_TUNNEL && head->status != 206 &&
           !nu_http_get(head, NU_HDR_CONTENT_RANGE);
}

static bool may_transform(const struct decompress_conf *conf, const struct nu_http_head *head)
{
    return conf->ignore_no_transform || !nu_field_has(head, NU_HDR_CACHE_CONTROL, "no-transform");
}

static void begin(struct decompress *d, enum nu_dir dir, enum nu_coding coding,
                  struct nu_http_head *head)
{
    d->body[dir] = (struct recode){
        .filter = &d->filter,
        .dir = (uint8_t)dir,
        .fault = dir == NU_FWD ? fault_fwd : fault_rev,
        .max_made = (uint64_t)d->conf->max_size,
        .max_ratio = (uint32_t)d->conf->max_ratio,
        .coder = nu_decoder_new(coding, (size_t)d->conf->max_window),
    };
    nu_http_remove_known(head, NU_HDR_CONTENT_ENCODING);
    compress_unframe(head);
    compress_weaken_etag(head);
    count(d, dir, DECOMPRESSED, 1);
}

static void on_head(struct decompress *d, enum nu_dir dir, struct nu_http_head *head)
{
    const struct decompress_conf *conf = d->conf;
    bool wanted = conf->direction == BOTH || (conf->direction == REQUEST) == (dir == NU_FWD);
    if (!wanted)
        return;
    enum nu_coding coding = coding_of(conf, head);
    if (coding != NU_CODING_IDENTITY && is_whole_body(head) && may_transform(conf, head))
        begin(d, dir, coding, head);
    else if (head->body != NU_BODY_NONE)
        count(d, dir, NOT_DECOMPRESSED, 1);
}

/* The value is the config's, which the stream outlives by nothing: it need not be copied. */
static void on_request(struct decompress *d, struct nu_http_head *head)
{
    enum nu_hdr id = NU_HDR_ACCEPT_ENCODING;
    on_head(d, NU_FWD, head);
    if (d->conf->direction != REQUEST && d->conf->advertise)
        nu_http_append(head, id, nu_text(nu_hdr_str(id), nu_hdr_len(id)), d->conf->accept);
}

/* --- events --- */

static void decompress_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct decompress *d = (struct decompress *)f;
    struct recode *body = &d->body[dir];
    if (ev->kind == NU_HEAD) {
        d->answered = d->answered || dir == NU_REV;
        if (dir == NU_FWD)
            on_request(d, (struct nu_http_head *)ev->u.head);
        else
            on_head(d, dir, (struct nu_http_head *)ev->u.head);
        if (!body->coder)
            nu_narrow(f, dir, 0);
        nu_forward(f, dir, ev);
        return;
    }
    if (!body->coder) { /* cut before its head */
        nu_forward(f, dir, ev);
        return;
    }
    if (ev->kind == NU_DATA)
        recode_data(body, ev->u.data);
    else
        recode_last(body, ev);
    tell(d, dir);
}

static void decompress_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct decompress *d = (struct decompress *)f;
    if (!go || !d->body[dir].coder)
        return;
    recode_go(&d->body[dir]);
    tell(d, dir);
}

static bool decompress_spare(const void *conf, const struct nu_facts *facts)
{
    const struct decompress_conf *c = conf;
    const struct nu_stream *s = facts->exchange->stream;
    return s->tunnel || (c->direction == REQUEST && s->request->body == NU_BODY_NONE);
}

static enum nu_open decompress_open(struct nu_filter *f, const void *conf)
{
    ((struct decompress *)f)->conf = conf;
    return nu_stream_of(f)->tunnel ? NU_PASS : NU_OPEN;
}

static void decompress_close(struct nu_filter *f)
{
    recode_free(&((struct decompress *)f)->body[NU_FWD]);
    recode_free(&((struct decompress *)f)->body[NU_REV]);
}

/* --- config --- */

static enum nu_err decompress_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                      struct nu_arena *arena, const struct nu_node *node,
                                      void *parsed)
{
    struct decompress_conf *c = parsed;
    enum nu_err err = compress_offer(conf, node, &c->codings, c->offered);
    c->stats = nu_http_filter_stats(&nu_decompress_stats, arena, node, "decompressor");
    const char *accept = "";
    for (size_t i = 0; !err && i < c->codings.count; i++)
        accept =
            nu_arena_printf(arena, "%s%s%s", accept, i ? ", " : "", nu_coding_str(c->offered[i]));
    c->accept = nu_text(accept, strlen(accept));
    return err;
}

#define AT(member) .offset = offsetof(struct decompress_conf, member)

static const struct nu_field fields[] = {
    {.key = "codings",
     .type = NU_ENUM,
     .flags = NU_LIST | NU_NONEMPTY,
     AT(codings),
     .fallback = "[gzip, brotli]",
     .choices = compress_codings,
     .doc = "Those that are taken off. A body that has several, one upon another, stays as it is."},
    {.key = "direction",
     .type = NU_ENUM,
     AT(direction),
     .fallback = "both",
     .choices = directions,
     .doc = "Whose bodies."},
    {.key = "advertise_accept_encoding",
     .type = NU_BOOL,
     AT(advertise),
     .fallback = "true",
     .doc = "Tell servers by Accept-Encoding, beside what the client takes, that they may compress "
            "responses."},
    {.key = "ignore_no_transform",
     .type = NU_BOOL,
     AT(ignore_no_transform),
     .fallback = "false",
     .doc = "Also what says `Cache-Control: no-transform`."},
    {.key = "max_ratio",
     .type = NU_INT,
     AT(max_ratio),
     .fallback = "100",
     .max = 1000000,
     .doc =
         "A body may become so many times as long as it came, once it has 256 KiB: more is taken "
         "for an attack. 0 = any."},
    {.key = "max_size",
     .type = NU_SIZE,
     AT(max_size),
     .fallback = "0",
     .doc = "Bytes that a body may become; 0 = any number."},
    {.key = "max_window",
     .type = NU_SIZE,
     AT(max_window),
     .fallback = "4MiB",
     .min = 1024,
     .max = WINDOW_MAX,
     .doc = "What brotli may look back; a stream takes up to twice that in memory. gzip has 32 KiB "
            "always."},
    {0                                                                                            }
};

static const struct nu_schema schema = {
    .name = "decompress",
    .doc = "Takes gzip and brotli off bodies. A request that cannot be decompressed is answered "
           "with 400, one that becomes too large with 413; such a response is cut. Parts (206) and "
           "bodies with another coding stay as they are.",
    .size = sizeof(struct decompress_conf),
    .fields = fields,
    .scalar = "codings",
};

const struct nu_filter_type nu_filter_decompress = {
    .name = "decompress",
    .doc = "Takes gzip and brotli off bodies of requests and responses.",
    .size = sizeof(struct decompress),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_HTTP),
    .sees = {NU_SEES(NU_HEAD) | NU_SEES(NU_DATA) | NU_SEES(NU_TRAIL) | NU_SEES(NU_END),
             NU_SEES(NU_HEAD) | NU_SEES(NU_DATA) | NU_SEES(NU_TRAIL) | NU_SEES(NU_END)},
    .schema = &schema,
    .prepare = decompress_prepare,
    .spare = decompress_spare,
    .open = decompress_open,
    .event = decompress_event,
    .flow = decompress_flow,
    .close = decompress_close,
};
