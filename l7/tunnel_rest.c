/* Putting streams of open tunnels away; see tunnel_rest.h.
 *
 * Only plain ones: of two filters, answered by the first server that was tried, without flags. What
 * the facts of the connection say is not kept twice; of the heads only what some log asks for. */
#include "l7/tunnel_rest.h"

#include "core/assert.h"
#include "l7/forwarded.h"
#include "l7/http.h"
#include "l7/log_field.h"
#include "l7/route/route.h"
#include "l7/router.h"
#include "l7/stream.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES                                                                                \
    2048 /* a stream and two heads of few fields, for as long as it takes to end                   \
          */

static const char answered[] = "via_upstream";

struct nu_tunnel_rest {
    struct nu_router_rest router;
    int64_t start_ms;
    uint64_t request_bytes, response_bytes;
    uint32_t first_byte_ms; /* after start_ms */
    uint32_t bytes;         /* of the pieces below */
    uint16_t status;
    uint8_t method_id, version, form, response_version;
    uint8_t pieces[];
};

/* What a piece is of: texts of the request's head, fields, and the address a header named. */
enum piece {
    PIECE_METHOD,
    PIECE_TARGET,
    PIECE_SCHEME,
    PIECE_AUTHORITY,
    PIECE_PATH,
    PIECE_FIELD,
    PIECE_ANSWER_FIELD,
    PIECE_CLIENT
};

/* In front of each: the name is empty for all but fields without a number. */
struct mark {
    uint8_t piece, id;
    uint16_t name_len;
    uint32_t value_len;
};

/* --- writing --- */

/* `at` NULL: only counts. */
struct writer {
    uint8_t *at;
    size_t bytes;
};

static void put(struct writer *w, const void *from, size_t len)
{
    if (w->at && len > 0)
        memcpy(w->at + w->bytes, from, len);
    w->bytes += len;
}

static void put_piece(struct writer *w, enum piece piece, enum nu_hdr id, struct nu_text name,
                      struct nu_text value)
{
    struct mark mark = {(uint8_t)piece, (uint8_t)id, (uint16_t)name.len, (uint32_t)value.len};
    put(w, &mark, sizeof mark);
    put(w, name.at, name.len);
    put(w, value.at, value.len);
}

static void put_text(struct writer *w, enum piece piece, struct nu_text text)
{
    if (text.len > 0)
        put_piece(w, piece, NU_HDR_OTHER, nu_text("", 0), text);
}

static void put_fields(struct writer *w, enum piece piece, const struct nu_http_head *head)
{
    const struct nu_http_field *field = NULL;
    while ((field = nu_http_each(head, field)) != NULL) {
        bool named = field->id == NU_HDR_OTHER;
        if (lf_is_wanted(piece == PIECE_ANSWER_FIELD, field))
            put_piece(w, piece, (enum nu_hdr)field->id,
                      nu_text(field->name, named ? field->name_len : 0),
                      nu_http_field_value(field));
    }
}

/* A header that is trusted may have named another client than the connection's. */
static void put_client(struct writer *w, const struct nu_stream *s, const struct nu_addr *peer)
{
    const struct nu_addr *client = &nu_chain_facts(s->chain)->client;
    if (!nu_addr_equal(client, peer))
        put_text(w, PIECE_CLIENT, nu_text((const char *)client, sizeof *client));
}

static void put_all(struct writer *w, const struct nu_stream *s, const struct nu_addr *peer)
{
    const struct nu_http_head *head = s->request;
    if (head->method_id == NU_METHOD_OTHER)
        put_text(w, PIECE_METHOD, head->method);
    if (s->route->rewrite) /* else nobody asks what the path was before */
        put_text(w, PIECE_TARGET, head->target);
    put_text(w, PIECE_SCHEME, head->scheme);
    put_text(w, PIECE_AUTHORITY, head->authority);
    put_text(w, PIECE_PATH, head->path);
    put_fields(w, PIECE_FIELD, head);
    put_fields(w, PIECE_ANSWER_FIELD, s->response);
    put_client(w, s, peer);
}

/* --- putting away --- */

static bool is_plain(const struct nu_stream *s)
{
    const struct nu_filter *left = nu_chain_end(s->chain, NU_REV);
    return left->next[NU_FWD] == s->router && !s->flags && !s->websocket && !s->trailers &&
           !s->local && s->pinned && s->chains == 1 && s->details &&
           strcmp(s->details, answered) == 0;
}

static struct nu_tunnel_rest *pack(const struct nu_stream *s, const struct nu_addr *peer)
{
    struct writer w = {0};
    put_all(&w, s, peer);
    struct nu_tunnel_rest *rest = malloc(sizeof *rest + w.bytes);
    nu_assert(rest != NULL);
    *rest = (struct nu_tunnel_rest){
        .start_ms = s->start_ms,
        .request_bytes = s->request_bytes,
        .response_bytes = s->response_bytes,
        .first_byte_ms = (uint32_t)(s->first_byte_ms - s->start_ms),
        .bytes = (uint32_t)w.bytes,
        .status = s->status,
        .method_id = s->request->method_id,
        .version = s->request->version,
        .form = s->request->form,
        .response_version = s->response->version,
    };
    w = (struct writer){.at = rest->pieces};
    put_all(&w, s, peer);
    return rest;
}

struct nu_tunnel_rest *nu_tunnel_rest(struct nu_stream *s)
{
    const struct nu_filter *codec = nu_stream_codec(s);
    if (!codec || !is_plain(s) || !nu_router_may_rest(s->router) || !nu_joint_skip(s->chain))
        return NULL;
    struct nu_tunnel_rest *rest = pack(s, &nu_chain_facts(codec->chain)->client);
    nu_router_rest(s->router, &rest->router);
    nu_stream_put_away(s);
    return rest;
}

/* --- bringing back --- */

struct reader {
    const uint8_t *at, *end;
    struct nu_http_head *request, *response;
    struct nu_addr client;
};

static void add_field(struct nu_http_head *head, const struct mark *mark, struct nu_text name,
                      struct nu_text value)
{
    enum nu_hdr id = (enum nu_hdr)mark->id;
    if (id != NU_HDR_OTHER)
        name = nu_text(nu_hdr_str(id), nu_hdr_len(id));
    nu_http_append(head, id, name, value);
}

static void read_piece(struct reader *r)
{
    struct mark mark;
    memcpy(&mark, r->at, sizeof mark);
    struct nu_text name = nu_text((const char *)r->at + sizeof mark, mark.name_len);
    struct nu_text value = nu_text(name.at + name.len, mark.value_len);
    struct nu_text *const texts[] = {
        [PIECE_METHOD] = &r->request->method, [PIECE_TARGET] = &r->request->target,
        [PIECE_SCHEME] = &r->request->scheme, [PIECE_AUTHORITY] = &r->request->authority,
        [PIECE_PATH] = &r->request->path,
    };
    r->at = (const uint8_t *)value.at + value.len;
    if (mark.piece <= PIECE_PATH)
        *texts[mark.piece] = value;
    else if (mark.piece == PIECE_CLIENT)
        memcpy(&r->client, value.at, sizeof r->client);
    else
        add_field(mark.piece == PIECE_FIELD ? r->request : r->response, &mark, name, value);
}

/* Texts point into the pieces, which are the arena's. */
static struct reader unpack(const struct nu_tunnel_rest *rest, struct nu_arena *arena)
{
    const char *pieces = nu_arena_strndup(arena, (const char *)rest->pieces, rest->bytes);
    struct reader r = {.at = (const uint8_t *)pieces,
                       .end = (const uint8_t *)pieces + rest->bytes,
                       .request = nu_http_head_new(arena),
                       .response = nu_http_head_new(arena)};
    const char *method = nu_method_str((enum nu_method)rest->method_id);
    r.request->method = nu_text(method, strlen(method));
    r.request->method_id = r.response->method_id = rest->method_id;
    r.request->version = rest->version;
    r.request->form = rest->form;
    r.response->version = rest->response_version;
    r.response->status = rest->status;
    r.response->body = NU_BODY_TUNNEL;
    while (r.at < r.end)
        read_piece(&r);
    return r;
}

struct nu_stream *nu_tunnel_wake(struct nu_tunnel_rest *rest, struct nu_filter *codec,
                                 const struct nu_http_conf *conf)
{
    struct nu_arena *arena = nu_arena_new(ARENA_BYTES);
    struct reader r = unpack(rest, arena);
    struct nu_stream *s =
        nu_stream_again(codec, conf, r.request, r.client.kind ? &r.client : NULL, rest->start_ms);
    s->route = rest->router.route;
    s->tunnel = true;
    s->response = r.response;
    s->status = rest->status;
    s->details = answered;
    s->first_byte_ms = rest->start_ms + rest->first_byte_ms;
    s->request_bytes = rest->request_bytes;
    s->response_bytes = rest->response_bytes;
    nu_joint_between(codec, s->chain);
    nu_router_again(s->router, &rest->router);
    free(rest);
    return s;
}

const struct nu_route *nu_tunnel_rest_route(const struct nu_tunnel_rest *rest)
{
    return rest->router.route;
}
