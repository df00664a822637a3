/* A request on its way: what is removed, told and logged of it, whatever the client sent and has in
 * its certificate. Input: a byte for the mode, one for the certificate, its subject, URIs and host
 * names, each up to a NUL, then the head. Written again, the request is one to every reader; ours
 * is the last word in each list; the log has one line. */
#include "core/assert.h"
#include "core/facts.h"
#include "core/logfmt.h"
#include "l7/forwarded.h"
#include "l7/log_ops.h"
#include "l7/stream.h"
#include "protocols/http/h1.h"
#include "protocols/http/h1_write.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct nu_h1_limits wide = {1 << 20, 1 << 16, 4000, 1 << 16, 0};

/* A text of printable ASCII up to a NUL, as a certificate's names are; NULL: there is none. */
static char *take(const uint8_t **data, size_t *len)
{
    const uint8_t *nul = memchr(*data, 0, *len);
    if (!nul)
        return NULL;
    size_t n = (size_t)(nul - *data);
    for (size_t i = 0; i < n; i++)
        if ((*data)[i] < ' ' || (*data)[i] >= 0x7f)
            return NULL;
    char *text = strdup((const char *)*data);
    *data += n + 1;
    *len -= n + 1;
    return text;
}

/* Where the part that begins at `text` ends: at `stop` outside of quotes. */
static size_t part(struct nu_text text, char stop)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < text.len && (quoted || text.at[i] != stop); i++) {
        if (text.at[i] == '"')
            quoted = !quoted;
        else if (quoted && text.at[i] == '\\')
            i++;
    }
    nu_assert(!quoted && i <= text.len);
    return i;
}

/* The last element holds our pairs and no other: keys in order, one hash, and it is ours. */
static void judge_cert(struct nu_text value, bool alone)
{
    static const char *const keys[] = {"Hash=", "Subject=", "URI=", "DNS="};
    size_t n, hashes = 0, key = 0, elements = 0;
    for (;; value = nu_text(value.at + n + 1, value.len - n - 1), elements++)
        if ((n = part(value, ',')) == value.len)
            break;
    nu_assert(elements == 0 || !alone);
    for (;; value = nu_text(value.at + n + 1, value.len - n - 1)) {
        n = part(value, ';');
        while (key < 4 && strncmp(value.at, keys[key], strlen(keys[key])) != 0)
            key++;
        nu_assert(key < 4);
        hashes += key == 0;
        nu_assert(key != 0 || (n == 9 && memcmp(value.at, "Hash=ab12", 9) == 0));
        if (n == value.len)
            break;
    }
    nu_assert(hashes == 1);
}

/* The only one by that name, or NULL. */
static const struct nu_http_field *only(const struct nu_http_head *head, enum nu_hdr id)
{
    const struct nu_http_field *field = nu_http_get(head, id);
    nu_assert(!field || !nu_http_next(head, field));
    return field;
}

static void judge_head(const struct nu_forwarded_conf *c, const struct nu_http_head *head,
                       bool certificate)
{
    static const char peer[] = "192.0.2.1";
    struct nu_text list = nu_http_field_value(only(head, NU_HDR_XFF));
    struct nu_text tail = nu_text(list.at + list.len - (sizeof peer - 1), sizeof peer - 1);
    nu_assert(list.len >= tail.len && nu_text_is(tail, peer));
    nu_assert(list.len == tail.len || tail.at[-1] == ',');
    nu_assert(only(head, NU_HDR_XFP) && only(head, NU_HDR_REQUEST_ID));
    nu_assert(c->trusted_hops ||
              !(nu_http_get(head, NU_HDR_XFH) || nu_http_get(head, NU_HDR_X_REAL_IP) ||
                nu_http_get(head, NU_HDR_FORWARDED)));
    if (c->xfcc == NU_XFCC_SANITIZE || (!certificate && c->xfcc != NU_XFCC_ALWAYS_FORWARD))
        nu_assert(!nu_http_get(head, NU_HDR_XFCC));
    else if (c->xfcc == NU_XFCC_SANITIZE_SET || c->xfcc == NU_XFCC_APPEND_FORWARD)
        judge_cert(nu_http_field_value(only(head, NU_HDR_XFCC)), c->xfcc == NU_XFCC_SANITIZE_SET);
}

/* What leaves is one request with the same fields. */
static void judge_wire(struct nu_loop *loop, struct nu_arena *arena, struct nu_http_head *head)
{
    struct nu_block *block = nu_block_get(loop->blocks, nu_h1_head_room(head));
    struct nu_slice wire, in;
    struct nu_h1_parser parser;
    struct nu_h1_out out;
    if (nu_h1_write_head(block, head, &(struct nu_h1_how){0}, &wire) == NU_OK) {
        in = wire;
        nu_h1_init(&parser, &wide);
        nu_h1_begin_request(&parser, arena);
        nu_assert(nu_h1_read(&parser, &in, &out) == NU_H1_HEAD && in.len == 0);
        nu_assert(nu_http_get(out.head, NU_HDR_XFF)->value_len ==
                  nu_http_get(head, NU_HDR_XFF)->value_len);
        nu_http_head_drop(out.head);
        nu_slice_drop(&wire);
    }
    nu_block_unref(block);
}

/* A response that says nothing of itself yet. */
static void judge_response(const struct nu_forwarded_conf *c, struct nu_stream *stream)
{
    struct nu_http_head *head = nu_http_head_new(stream->arena);
    head->status = 200;
    head->version = stream->request->version;
    nu_forwarded_response(c, stream, head);
    nu_assert(only(head, NU_HDR_SERVER) && only(head, NU_HDR_DATE));
    nu_assert(!only(head, NU_HDR_VIA) == !c->via);
    nu_assert(c->show_request_id || !only(head, NU_HDR_REQUEST_ID));
}

static void judge_line(struct nu_chain *chain)
{
    static struct nu_arena *arena;
    static struct nu_logfmt *format;
    struct nu_logbuf line = {.data = NULL};
    const char *error;
    if (!arena) {
        arena = nu_arena_new(4096);
        nu_log_ops_l4();
        nu_log_ops_l7();
        nu_assert(nu_logfmt_text(&format, arena, nu_http_log_defaults.text, &error) == NU_OK);
    }
    nu_logfmt_write(format, &line, chain);
    nu_assert(line.len <= NU_LOG_LINE_MAX);
    nu_assert(memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    nu_logbuf_free(&line);
}

static void nothing(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_ev_free(ev);
}

static const struct nu_filter_type left = {
    .name = "left",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_HTTP),
    .sees = {0, NU_SEES_ALL},
    .event = nothing
};
static const struct nu_filter_type right = {
    .name = "right",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_FACE_HTTP, NU_FACE_NONE),
    .sees = {NU_SEES_ALL, 0},
    .event = nothing
};

static void one(struct nu_loop *loop, uint8_t mode, const struct nu_tls_facts *tls,
                struct nu_http_head *head, struct nu_arena *arena)
{
    int details[] = {NU_XFCC_CERT, NU_XFCC_CHAIN, NU_XFCC_SUBJECT, NU_XFCC_URI, NU_XFCC_DNS};
    const struct nu_forwarded_conf conf = {
        .xfcc = mode % 5,
        .xfcc_details = {details, mode & 128 ? 5 : 0},
        .trusted_hops = mode >> 5 & 3,
        .request_id = true,
        .keep_request_id = mode & 16,
        .via = mode & 8 ? "edge" : NULL,
        .server = "nuncio"
    };
    const struct nu_place places[] = {
        {&left,  NULL},
        {&right, NULL}
    };
    struct nu_stream stream = {.request = head, .arena = arena, .start_ms = 1};
    struct nu_facts_exchange exchange = {.stream = &stream};
    struct nu_facts facts = {.exchange = &exchange, .tls = (struct nu_tls_facts *)tls};
    nu_assert(nu_addr_parse(&facts.client, "192.0.2.1:9", -1) == NU_OK);
    nu_forwarded_request(&conf, &stream, &facts);
    judge_head(&conf, head, tls->peer != NULL);
    nu_forwarded_host(head, head->authority);
    judge_response(&conf, &stream);
    judge_wire(loop, arena, head);
    stream.chain = nu_chain_new(loop, places, 2, &facts, NULL, &stream);
    judge_line(stream.chain);
    nu_chain_abort(stream.chain, NU_CAUSE_DRAIN);
    nu_loop_settle(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_loop loop;
    struct nu_h1_parser parser;
    struct nu_h1_out out;
    uint8_t mode = len > 1 ? data[0] : 0, certificate = len > 1 ? data[1] : 0;
    data += len > 1 ? 2 : len;
    len -= len > 1 ? 2 : len;
    char *subject = take(&data, &len), *uri = take(&data, &len), *dns = take(&data, &len);
    const struct nu_tls_peer peer = {.subject = subject, .uri = uri, .dns = dns, .sha256 = "ab12"};
    const struct nu_tls_facts tls = {.peer = certificate & 1 ? &peer : NULL};
    struct nu_arena *arena = nu_arena_new(1024);
    nu_loop_init(&loop, 0);
    struct nu_slice in = nu_slice_copy(loop.blocks, data, len), rest = in;
    nu_h1_init(&parser, &wide);
    nu_h1_begin_request(&parser, arena);
    if (subject && uri && dns && len && nu_h1_read(&parser, &rest, &out) == NU_H1_HEAD) {
        one(&loop, mode, &tls, out.head, arena);
        nu_http_head_drop(out.head);
    }
    nu_slice_drop(&in);
    nu_arena_free(arena);
    nu_loop_fini(&loop);
    free(subject);
    free(uri);
    free(dns);
    return 0;
}
