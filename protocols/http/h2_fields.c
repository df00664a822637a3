/* Fields of HTTP/2 requests, responses and trailers; see h2_fields.h. */
#include "protocols/http/h2_fields.h"

#include "core/arena.h"
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"
#include "protocols/http/h1_write.h"
#include "protocols/http/head_priv.h"

enum pseudo { METHOD = 1, SCHEME = 2, AUTHORITY = 4, PATH = 8, PROTOCOL = 16, STATUS = 32 };

static const struct {
    const char *name;
    uint8_t bit;
} pseudos[] = {
    {":method",    METHOD   },
    {":scheme",    SCHEME   },
    {":authority", AUTHORITY},
    {":path",      PATH     },
    {":protocol",  PROTOCOL },
    {":status",    STATUS   },
};

static bool fail(struct nu_h2_fields *f, enum nu_h2_error error)
{
    if (!f->error)
        f->error = (uint8_t)error;
    return false;
}

void nu_h2_fields_begin(struct nu_h2_fields *f, enum nu_h2_block block, struct nu_http_head *head,
                        const struct nu_h2_limits *limits)
{
    *f = (struct nu_h2_fields){.limits = limits, .head = head, .block = (uint8_t)block};
    head->version = NU_HTTP_2;
    head->keep_alive = true;
}

static struct nu_text copied(const struct nu_h2_fields *f, struct nu_text text)
{
    return nu_text(nu_arena_strndup(f->head->arena, text.at, text.len), text.len);
}

/* --- pseudo-headers (RFC 9113 8.3) --- */

static enum pseudo pseudo_find(struct nu_text name)
{
    for (size_t i = 0; i < sizeof pseudos / sizeof *pseudos; i++)
        if (nu_text_is(name, pseudos[i].name))
            return pseudos[i].bit;
    return 0;
}

static struct nu_text *pseudo_slot(struct nu_http_head *head, enum pseudo which)
{
    switch (which) {
    case METHOD:
        return &head->method;
    case SCHEME:
        return &head->scheme;
    case AUTHORITY:
        return &head->authority;
    case PATH:
        return &head->path;
    default:
        return &head->protocol;
    }
}

/* Three digits; 101 has no meaning here (RFC 9113 8.6). */
static bool add_status(struct nu_h2_fields *f, struct nu_text value)
{
    unsigned status = 0;
    for (size_t i = 0; i < value.len && ch_is(value.at[i], CH_DIGIT); i++)
        status = status * 10 + (unsigned)(value.at[i] - '0');
    if (value.len != 3 || status < 100 || status > 599 || status == 101)
        return fail(f, NU_H2_STATUS);
    f->head->status = (uint16_t)status;
    return true;
}

static bool add_pseudo(struct nu_h2_fields *f, struct nu_text name, struct nu_text value)
{
    enum pseudo which = pseudo_find(name);
    if (f->block == NU_H2_TRAILERS)
        return fail(f, NU_H2_PSEUDO_BARRED);
    if (!which || (which == STATUS) != (f->block == NU_H2_RESPONSE))
        return fail(f, NU_H2_PSEUDO);
    if (f->regular)
        return fail(f, NU_H2_PSEUDO_LATE);
    if (f->seen & which)
        return fail(f, NU_H2_PSEUDO_TWICE);
    f->seen |= (uint8_t)which;
    if (which == STATUS)
        return add_status(f, value);
    if (which == METHOD) {
        enum nu_method method = nu_method_find(value.at, value.len);
        const char *known = nu_method_str(method);
        f->head->method_id = (uint8_t)method;
        f->head->method = method ? nu_text(known, value.len) : copied(f, value);
        return true;
    }
    *pseudo_slot(f->head, which) = copied(f, value);
    return true;
}

/* --- fields --- */

/* Capitals have no place in a name here (RFC 9113 8.2.1); a known one has none. */
static enum nu_h2_error check_name(struct nu_text name, enum nu_hdr id)
{
    if (name.len == 0)
        return NU_H2_NAME;
    if (id != NU_HDR_OTHER)
        return memcmp(name.at, nu_hdr_str(id), name.len) == 0 ? NU_H2_FINE : NU_H2_NAME;
    for (size_t i = 0; i < name.len; i++)
        if (!ch_is(name.at[i], CH_TOKEN) || (name.at[i] >= 'A' && name.at[i] <= 'Z'))
            return NU_H2_NAME;
    return name.len > NU_HTTP_NAME_MAX_BYTES ? NU_H2_NAME_LONG : NU_H2_FINE;
}

/* Those of HTTP/1 connections; TE may say that its sender takes trailers, no more. */
static enum nu_h2_error check_hop(const struct nu_h2_fields *f, enum nu_hdr id,
                                  struct nu_text value)
{
    if (f->block == NU_H2_TRAILERS && nu_hdr_flags(id) & NU_HDR_NO_TRAIL)
        return nu_hdr_flags(id) & NU_HDR_HOP ? NU_H2_CONNECTION : NU_H2_TRAILER_BARRED;
    if (id == NU_HDR_TE)
        return nu_text_is_fold(value, "trailers") ? NU_H2_FINE : NU_H2_TE;
    return nu_hdr_flags(id) & NU_HDR_HOP && id != NU_HDR_HTTP2_SETTINGS ? NU_H2_CONNECTION
                                                                        : NU_H2_FINE;
}

static bool add_regular(struct nu_h2_fields *f, struct nu_text name, struct nu_text value)
{
    enum nu_hdr id = nu_hdr_find(name.at, name.len);
    enum nu_h2_error error = check_name(name, id);
    f->regular = true;
    if (!error)
        error = check_hop(f, id, value);
    if (error)
        return fail(f, error);
    if (f->head->count >= f->limits->fields)
        return fail(f, NU_H2_FIELDS_MANY);
    f->cookies = f->cookies || (id == NU_HDR_COOKIE && f->head->known[id]);
    name = id ? nu_text(nu_hdr_str(id), name.len) : copied(f, name);
    return nu_http_push(f->head, id, name, copied(f, value)) || fail(f, NU_H2_FIELDS_MANY);
}

bool nu_h2_fields_add(struct nu_h2_fields *f, struct nu_text name, struct nu_text value)
{
    bool trailers = f->block == NU_H2_TRAILERS;
    f->bytes += name.len + value.len + NU_H2_FIELD_EXTRA;
    if (f->error)
        return false;
    if (f->bytes > (trailers ? f->limits->trailer_bytes : f->limits->head_bytes))
        return fail(f, trailers ? NU_H2_TRAILERS_LARGE : NU_H2_HEAD_LARGE);
    if (name.len > 0 && *name.at == ':')
        return nu_http_value_ok(value) ? add_pseudo(f, name, value) : fail(f, NU_H2_VALUE);
    if (!nu_http_value_ok(value))
        return fail(f, NU_H2_VALUE);
    return add_regular(f, name, value);
}

/* --- the whole request --- */

static enum nu_h2_error judge_method(const struct nu_http_head *head)
{
    if (head->method_id)
        return NU_H2_FINE;
    if (!nu_http_name_ok(head->method))
        return NU_H2_METHOD;
    return head->method.len > NU_H2_METHOD_MAX_BYTES ? NU_H2_METHOD_LONG : NU_H2_FINE;
}

static enum nu_h2_error judge_path(const struct nu_h2_fields *f)
{
    struct nu_http_head *head = f->head;
    struct nu_text path = head->path;
    if (path.len == 0 || ch_target(path.at, path.len) < path.len)
        return NU_H2_PATH;
    if (path.len > f->limits->target_bytes)
        return NU_H2_PATH_LONG;
    if (*path.at == '/')
        return NU_H2_FINE;
    head->form = NU_FORM_ASTERISK;
    return path.len == 1 && *path.at == '*' && head->method_id == NU_METHOD_OPTIONS ? NU_H2_FINE
                                                                                    : NU_H2_PATH;
}

/* CONNECT has a port and nothing else (RFC 9113 8.5). */
static enum nu_h2_error judge_connect(const struct nu_h2_fields *f)
{
    struct nu_http_head *head = f->head;
    head->form = NU_FORM_AUTHORITY;
    if (f->seen & (SCHEME | PATH))
        return NU_H2_PSEUDO_BARRED;
    return nu_http_is_host_port(head->authority) ? NU_H2_FINE : NU_H2_AUTHORITY;
}

/* An extended CONNECT is what GET with Upgrade is in HTTP/1 (RFC 8441 4), and so it goes on. HTTP/1
 * has a key for it, which means nothing here. */
static enum nu_h2_error become_upgrade(struct nu_http_head *head)
{
    const char *get = nu_method_str(NU_METHOD_GET);
    if (head->method_id != NU_METHOD_CONNECT)
        return NU_H2_PSEUDO_BARRED;
    if (!nu_http_name_ok(head->protocol))
        return NU_H2_PROTOCOL;
    head->method_id = NU_METHOD_GET;
    head->method = nu_text(get, strlen(get));
    head->upgrade = head->protocol;
    nu_http_remove_known(head, NU_HDR_WS_KEY);
    return NU_H2_FINE;
}

static enum nu_h2_error judge_target(const struct nu_h2_fields *f)
{
    struct nu_http_head *head = f->head;
    enum nu_h2_error error = f->seen & PROTOCOL ? become_upgrade(head) : NU_H2_FINE;
    if (error)
        return error;
    if (head->method_id == NU_METHOD_CONNECT)
        return judge_connect(f);
    if ((f->seen & (SCHEME | PATH)) != (SCHEME | PATH))
        return NU_H2_PSEUDO_MISSING;
    if (!nu_text_is_fold(head->scheme, "http") && !nu_text_is_fold(head->scheme, "https"))
        return NU_H2_SCHEME;
    return judge_path(f);
}

static int port_of(const struct nu_http_head *head, int port)
{
    return port >= 0 ? port : head->scheme.len == 5 ? 443 : 80;
}

static bool agree(const struct nu_http_head *head, const struct h1_authority *a,
                  const struct h1_authority *b)
{
    return a->host.len == b->host.len && ch_equal_fold(a->host.at, b->host.at, b->host.len) &&
           port_of(head, a->port) == port_of(head, b->port);
}

static enum nu_h2_error judge_host(const struct nu_h2_fields *f)
{
    struct nu_http_head *head = f->head;
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_HOST);
    struct h1_authority named, host;
    bool has = f->seen & AUTHORITY;
    if (has && !h1_authority(head->authority, &named))
        return NU_H2_AUTHORITY;
    if (!field)
        return has ? NU_H2_FINE : NU_H2_HOST_MISSING;
    if (nu_http_next(head, field) || !h1_authority(nu_http_field_value(field), &host))
        return NU_H2_HOST;
    if (has)
        return agree(head, &named, &host) ? NU_H2_FINE : NU_H2_HOST_DIFFERS;
    head->authority = nu_http_field_value(field);
    return NU_H2_FINE;
}

static enum nu_h2_error judge_length(struct nu_http_head *head)
{
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_CONTENT_LENGTH);
    uint64_t value = 0;
    if (!field)
        return NU_H2_FINE;
    if (nu_http_next(head, field) || field->value_len == 0)
        return NU_H2_LENGTH;
    for (size_t i = 0; i < field->value_len; i++) {
        if (!ch_is(field->value[i], CH_DIGIT))
            return NU_H2_LENGTH;
        unsigned digit = (unsigned)(field->value[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10)
            return NU_H2_LENGTH;
        value = value * 10 + digit;
    }
    head->has_length = true;
    head->content_length = value;
    return NU_H2_FINE;
}

static enum nu_h2_error judge_body(const struct nu_h2_fields *f, bool last)
{
    struct nu_http_head *head = f->head;
    enum nu_h2_error error = judge_length(head);
    if (error)
        return error;
    if (last && head->has_length && head->content_length > 0)
        return NU_H2_LENGTH_DIFFERS;
    if (nu_h2_asks_tunnel(head)) /* what follows is no body */
        return head->has_length ? NU_H2_LENGTH : NU_H2_FINE;
    if (!last && !head->has_length)
        head->body = NU_BODY_CHUNKED;
    else if (head->has_length && head->content_length > 0)
        head->body = NU_BODY_LENGTH;
    if (f->limits->body_bytes && head->content_length > f->limits->body_bytes)
        return NU_H2_BODY_LARGE;
    return NU_H2_FINE;
}

static void read_wishes(struct nu_http_head *head)
{
    const struct nu_http_field *f = nu_http_get(head, NU_HDR_EXPECT);
    for (; f; f = nu_http_next(head, f)) {
        bool is_100 = nu_text_is_fold(nu_http_field_value(f), "100-continue");
        *(is_100 ? &head->expect_100 : &head->expect_other) = true;
    }
    head->te_trailers = nu_http_get(head, NU_HDR_TE) != NULL;
}

/* One field, as HTTP/1 and everybody who reads it wants it (RFC 9113 8.2.3). */
static void join_cookies(struct nu_http_head *head)
{
    const struct nu_http_field *first = nu_http_get(head, NU_HDR_COOKIE), *f;
    size_t len = 0;
    for (f = first; f; f = nu_http_next(head, f))
        len += f->value_len + 2;
    char *text = nu_arena_alloc(head->arena, len), *at = text;
    for (f = first; f; f = nu_http_next(head, f)) {
        memcpy(at, f->value, f->value_len);
        memcpy(at + f->value_len, "; ", 2);
        at += f->value_len + 2;
    }
    for (f = nu_http_next(head, first); f; f = nu_http_next(head, first))
        head->fields[f - head->fields].flags |= NU_HTTP_FIELD_GONE;
    struct nu_http_field *joined = &head->fields[first - head->fields];
    joined->value = text;
    joined->value_len = (uint32_t)(len - 2);
    joined->flags &= (uint8_t)~NU_HTTP_FIELD_SHARED;
}

/* --- the whole response --- */

/* 2xx opens it, and so does 101 where versions are not told apart (rule U1). A length means
 * nothing (RFC 9110 9.3.6). */
static enum nu_h2_error open_tunnel(struct nu_http_head *head)
{
    nu_http_remove_known(head, NU_HDR_CONTENT_LENGTH);
    nu_http_remove_known(head, NU_HDR_WS_ACCEPT);
    head->body = NU_BODY_TUNNEL;
    return NU_H2_FINE;
}

static bool has_no_body(const struct nu_http_head *head)
{
    return head->method_id == NU_METHOD_HEAD || head->status < 200 || head->status == 204 ||
           head->status == 304;
}

static enum nu_h2_error judge_response(const struct nu_h2_fields *f, bool last)
{
    struct nu_http_head *head = f->head;
    const char *reason = nu_http_reason_str(head->status);
    if (!(f->seen & STATUS))
        return NU_H2_PSEUDO_MISSING;
    head->reason = nu_text(reason, strlen(reason));
    if (f->tunnel && head->status >= 200 && head->status < 300)
        return open_tunnel(head);
    enum nu_h2_error error = judge_length(head);
    if (error || has_no_body(head))
        return error;
    if (!head->has_length)
        head->body = last ? NU_BODY_NONE : NU_BODY_CHUNKED;
    else if (head->content_length > 0)
        head->body = NU_BODY_LENGTH;
    return last && head->body == NU_BODY_LENGTH ? NU_H2_LENGTH_DIFFERS : NU_H2_FINE;
}

enum nu_h2_error nu_h2_fields_end(struct nu_h2_fields *f, bool last)
{
    struct nu_http_head *head = f->head;
    enum nu_h2_error error = (enum nu_h2_error)f->error;
    if (f->block == NU_H2_TRAILERS)
        return error || last ? error : NU_H2_TRAILERS_OPEN;
    if (f->block == NU_H2_RESPONSE)
        return error ? error : judge_response(f, last);
    head->target = head->path;
    if (f->cookies)
        join_cookies(head);
    if (!error && !(f->seen & METHOD))
        error = NU_H2_PSEUDO_MISSING;
    if (!error)
        error = judge_method(head);
    if (!error)
        error = judge_target(f);
    if (!error)
        error = judge_host(f);
    if (!error)
        error = judge_body(f, last);
    read_wishes(head);
    return error;
}
