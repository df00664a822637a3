/* Heads, trailers and chunk framing as bytes; see h1_write.h. Room is measured first, then every
 * text is checked while it is copied: this is the last place that could stop a forged line. */
#include "protocols/http/h1_write.h"

#include "core/assert.h"
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"

/* Start line's fixed parts, framing and Connection fields, ends of lines; the longest take 150. */
#define FIXED_BYTES 256

struct out {
    char *at;
    bool bad; /* a text that must not be sent came */
};

static void put(struct out *o, struct nu_text text)
{
    if (text.len)
        memcpy(o->at, text.at, text.len);
    o->at += text.len;
}

/* Copies 8 bytes and tells whether one of them is a control character. */
static uint64_t move8(char *to, const char *from)
{
    uint64_t found = ch_controls(ch_load8(from));
    memcpy(to, from, 8);
    return found;
}

/* Names and values that are shorter than a word: 4 bytes twice, which overlap, or one by one. */
static uint64_t move_few(char *to, const char *from, size_t len)
{
    uint64_t found = 0;
    if (len >= 4) {
        found = ch_controls(ch_load4(from) << 32 | ch_load4(from + len - 4));
        memcpy(to, from, 4);
        memcpy(to + len - 4, from + len - 4, 4);
        return found;
    }
    for (size_t i = 0; i < len; i++) {
        found |= ch_is_control(from[i]);
        to[i] = from[i];
    }
    return found;
}

#ifdef __SSE2__
static uint64_t move16(char *to, const char *from)
{
    uint64_t found = ch_controls16(from);
    memcpy(to, from, 16);
    return found;
}

static uint64_t move_many(char *to, const char *from, size_t len)
{
    uint64_t found = move16(to + len - 16, from + len - 16);
    for (size_t i = 0; i + 16 < len; i += 16)
        found |= move16(to + i, from + i);
    return found;
}
#define MANY 16 /* bytes, from which on it pays */
#else
#define move_many(to, from, len) 0
#define MANY                     SIZE_MAX
#endif

/* Copies 16 or 8 bytes at a time, the last of them again where they overlap, and looks at them on
 * the way. */
static void put_checked(struct out *o, const char *from, size_t len)
{
    char *to = o->at;
    uint64_t found;
    if (len >= MANY) {
        found = move_many(to, from, len);
    } else if (len >= 8) {
        found = move8(to + len - 8, from + len - 8);
        for (size_t i = 0; i + 8 < len; i += 8)
            found |= move8(to + i, from + i);
    } else {
        found = move_few(to, from, len);
    }
    o->at = to + len;
    if (found && ch_text(from, len) < len) /* a tab is none of the bad ones */
        o->bad = true;
}

static void put_number(struct out *o, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    put(o, nu_text(digits + at, sizeof digits - at));
}

#define PUT(o, literal) put(o, NU_TEXT(literal))

static void put_fields(struct out *o, const struct nu_http_head *head, unsigned barred)
{
    for (unsigned i = 0; i < head->count; i++) {
        const struct nu_http_field *f = &head->fields[i];
        if (f->flags & (NU_HTTP_FIELD_GONE | NU_HTTP_FIELD_HOP) || nu_hdr_flags(f->id) & barred)
            continue;
        put_checked(o, f->name, f->name_len);
        PUT(o, ": ");
        put_checked(o, f->value, f->value_len);
        PUT(o, "\r\n");
        if (f->id == NU_HDR_OTHER && !nu_http_name_ok(nu_text(f->name, f->name_len)))
            o->bad = true;
    }
}

static size_t fields_room(const struct nu_http_head *head)
{
    size_t room = 0;
    for (unsigned i = 0; i < head->count; i++)
        room += head->fields[i].name_len + (size_t)head->fields[i].value_len + 4;
    return room;
}

size_t nu_h1_head_room(const struct nu_http_head *head)
{
    return FIXED_BYTES + head->method.len + head->path.len + 2 * head->authority.len +
           head->reason.len + head->upgrade.len + fields_room(head);
}

/* A path, "*", or for CONNECT the authority. */
static bool target_ok(const struct nu_http_head *head)
{
    struct h1_authority authority;
    struct nu_text path = head->path;
    if (head->method_id == NU_METHOD_CONNECT)
        return nu_http_is_host_port(head->authority);
    if (!h1_authority(head->authority, &authority) || path.len == 0 ||
        ch_target(path.at, path.len) < path.len)
        return false;
    return *path.at == '/' || (path.len == 1 && *path.at == '*');
}

static void put_request_line(struct out *o, const struct nu_http_head *head)
{
    if (!nu_http_name_ok(head->method) || !target_ok(head) ||
        head->method_id != nu_method_find(head->method.at, head->method.len)) {
        o->bad = true;
        return;
    }
    put(o, head->method);
    PUT(o, " ");
    put(o, head->method_id == NU_METHOD_CONNECT ? head->authority : head->path);
    PUT(o, " HTTP/1.1\r\nHost: ");
    put(o, head->authority);
    PUT(o, "\r\n");
}

static void put_status_line(struct out *o, const struct nu_http_head *head)
{
    if (head->status < 100 || head->status > 599) {
        o->bad = true;
        return;
    }
    const char *reason = nu_http_reason_str(head->status);
    PUT(o, "HTTP/1.1 ");
    put_number(o, head->status);
    PUT(o, " ");
    if (head->reason.len)
        put_checked(o, head->reason.at, head->reason.len);
    else
        put(o, nu_text(reason, strlen(reason)));
    PUT(o, "\r\n");
}

/* A response to whose reader no length would mean "until close" (RFC 9112 6.3, rules 1 to 3). */
static bool needs_length(const struct nu_http_head *head)
{
    unsigned status = head->status;
    return status >= 200 && status != 204 && status != 304 && head->method_id != NU_METHOD_HEAD &&
           !(head->method_id == NU_METHOD_CONNECT && status < 300);
}

static bool may_have_length(const struct nu_http_head *head)
{
    unsigned status = head->status;
    if (status == 0)
        return head->method_id != NU_METHOD_CONNECT;
    return needs_length(head) || status == 304 ||
           (head->method_id == NU_METHOD_HEAD && status >= 200 && status != 204);
}

static void put_length(struct out *o, uint64_t length)
{
    PUT(o, "Content-Length: ");
    put_number(o, length);
    PUT(o, "\r\n");
}

static void put_framing(struct out *o, const struct nu_http_head *head)
{
    if (head->body == NU_BODY_CHUNKED)
        PUT(o, "Transfer-Encoding: chunked\r\n");
    else if (head->body == NU_BODY_LENGTH ||
             (head->body == NU_BODY_NONE && head->has_length && may_have_length(head)))
        put_length(o, head->content_length);
    else if (head->body == NU_BODY_NONE && needs_length(head))
        put_length(o, 0);
}

static void put_connection(struct out *o, const struct nu_http_head *head,
                           const struct nu_h1_how *how)
{
    bool close = how->close || head->body == NU_BODY_CLOSE;
    if (head->upgrade.len) {
        if (close)
            PUT(o, "Connection: close, upgrade\r\nUpgrade: ");
        else
            PUT(o, "Connection: upgrade\r\nUpgrade: ");
        put_checked(o, head->upgrade.at, head->upgrade.len);
        PUT(o, "\r\n");
    } else if (close) {
        PUT(o, "Connection: close\r\n");
    } else if (how->keep_alive) {
        PUT(o, "Connection: keep-alive\r\n");
    }
}

/* What must not be said together: a body where none can be, or of an unknown end to a server. */
static bool body_ok(const struct nu_http_head *head)
{
    bool none = head->body == NU_BODY_NONE, tunnel = head->body == NU_BODY_TUNNEL;
    if (head->status == 0)
        return head->method_id == NU_METHOD_CONNECT ? none : head->body <= NU_BODY_CHUNKED;
    if (head->status == 101 || (head->method_id == NU_METHOD_CONNECT && head->status / 100 == 2))
        return tunnel;
    return needs_length(head) ? !tunnel : none;
}

/* Freezes what was written, unless it must not be sent. */
static enum nu_err done(struct nu_block *block, const struct out *o, struct nu_slice *slice)
{
    if (o->bad)
        return NU_ERR_SYNTAX;
    *slice = nu_block_freeze(block, (size_t)(o->at - (char *)nu_block_tail(block)));
    return NU_OK;
}

static enum nu_err write_head(struct nu_block *block, const struct nu_http_head *head,
                              const struct nu_h1_how *how, struct nu_slice *out)
{
    struct out o = {(char *)nu_block_tail(block), !body_ok(head)};
    *out = (struct nu_slice){0};
    if (head->status)
        put_status_line(&o, head);
    else
        put_request_line(&o, head);
    put_fields(&o, head, NU_HDR_FRAMING);
    put_framing(&o, head);
    put_connection(&o, head, how);
    PUT(&o, "\r\n");
    return done(block, &o, out);
}

enum nu_err nu_h1_write_head(struct nu_block *block, const struct nu_http_head *head,
                             const struct nu_h1_how *how, struct nu_slice *out)
{
    *out = (struct nu_slice){0};
    if (nu_block_room(block) < nu_h1_head_room(head))
        return NU_ERR_LIMIT;
    return write_head(block, head, how, out);
}

enum nu_err nu_h1_make_head(struct nu_block_pool *pool, const struct nu_http_head *head,
                            const struct nu_h1_how *how, struct nu_slice *out)
{
    size_t room = nu_h1_head_room(head);
    struct nu_block *block = nu_block_get(pool, room < NU_BLOCK_TINY ? NU_BLOCK_TINY : room);
    enum nu_err err = write_head(block, head, how, out);
    nu_block_unref(block);
    return err;
}

enum nu_err nu_h1_write_trailers(struct nu_block *block, const struct nu_http_head *trail,
                                 struct nu_slice *out)
{
    struct out o = {(char *)nu_block_tail(block), false};
    *out = (struct nu_slice){0};
    if (nu_block_room(block) < nu_h1_head_room(trail))
        return NU_ERR_LIMIT;
    PUT(&o, "0\r\n");
    put_fields(&o, trail, NU_HDR_NO_TRAIL);
    PUT(&o, "\r\n");
    return done(block, &o, out);
}

size_t nu_h1_chunk_head(uint8_t out[static NU_H1_CHUNK_HEAD_MAX], uint64_t len)
{
    if (len == 0)
        return 0;
    size_t digits = (64 - (size_t)__builtin_clzll(len) + 3) / 4;
    for (size_t i = digits; i-- > 0; len >>= 4)
        out[i] = (uint8_t) "0123456789abcdef"[len & 15];
    memcpy(out + digits, "\r\n", 2);
    return digits + 2;
}

struct nu_slice nu_h1_chunk_tail(void)
{
    return (struct nu_slice){(const uint8_t *)"\r\n", 2, NULL};
}

struct nu_slice nu_h1_last_chunk(void)
{
    return (struct nu_slice){(const uint8_t *)"0\r\n\r\n", 5, NULL};
}
