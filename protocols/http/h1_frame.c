/* Judges a whole head: what Connection says, and what follows the head (RFC 9112 6.3, 7, 9.3;
 * RFC 9110 7.6.1). Anything that two implementations could frame differently is refused. */
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"

#include <stdint.h>

/* What Connection asked for. */
struct options {
    bool close, keep_alive, upgrade;
};

/* The fields that an option names are for this connection only. */
static enum nu_h1_error bind_fields(struct nu_http_head *head, struct nu_text name)
{
    if (!nu_http_name_ok(name))
        return NU_H1_CONNECTION;
    if (nu_hdr_flags(nu_hdr_find(name.at, name.len)) & NU_HDR_BOUND)
        return NU_H1_CONNECTION_BARRED;
    for (const struct nu_http_field *f = nu_http_find(head, name); f; f = nu_http_next(head, f))
        head->fields[f - head->fields].flags |= NU_HTTP_FIELD_HOP;
    return NU_H1_FINE;
}

static enum nu_h1_error read_option(struct nu_http_head *head, struct nu_text option,
                                    struct options *out)
{
    if (h1_is_word(option, "keep-alive"))
        out->keep_alive = true;
    else if (h1_is_word(option, "close"))
        out->close = true;
    else if (h1_is_word(option, "upgrade"))
        out->upgrade = true;
    else
        return bind_fields(head, option);
    return NU_H1_FINE;
}

/* Nearly all say nothing, or this one word. */
static bool read_common(const struct nu_http_field *field, struct options *out)
{
    if (!field)
        return true;
    if (field->flags & NU_HTTP_FIELD_SHARED)
        return false;
    out->close = h1_is_word(nu_http_field_value(field), "close");
    out->keep_alive = !out->close && h1_is_word(nu_http_field_value(field), "keep-alive");
    return out->close || out->keep_alive;
}

static enum nu_h1_error read_options(struct nu_http_head *head, struct options *out)
{
    unsigned count = 0;
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_CONNECTION);
    if (read_common(field, out))
        return NU_H1_FINE;
    for (; field; field = nu_http_next(head, field)) {
        struct nu_text rest = nu_http_field_value(field), option;
        while (nu_http_list_next(&rest, &option)) {
            if (++count > NU_H1_CONNECTION_OPTIONS)
                return NU_H1_CONNECTION_MANY;
            enum nu_h1_error error = read_option(head, option, out);
            if (error)
                return error;
        }
    }
    return NU_H1_FINE;
}

static enum nu_h1_error read_connection(struct nu_http_head *head, struct options *out)
{
    enum nu_h1_error error = read_options(head, out);
    head->keep_alive = !out->close && (head->version == NU_HTTP_1_1 || out->keep_alive);
    return error;
}

/* 1#protocol, where protocol is token ["/" token] (RFC 9110 7.8). */
static bool upgrade_ok(struct nu_text list)
{
    struct nu_text name;
    bool any = false;
    while (nu_http_list_next(&list, &name)) {
        size_t len = ch_span(name.at, name.len, CH_TOKEN);
        if (len == 0)
            return false;
        if (len < name.len && (name.at[len] != '/' ||
                               !nu_http_name_ok(nu_text(name.at + len + 1, name.len - len - 1))))
            return false;
        any = true;
    }
    return any;
}

/* HTTP/1.0 knows no upgrade: it is ignored there, and so is one that Connection does not name. */
static enum nu_h1_error read_upgrade(struct nu_http_head *head, const struct options *options)
{
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_UPGRADE);
    if (!field || !options->upgrade || head->version == NU_HTTP_1_0)
        return NU_H1_FINE;
    if (nu_http_next(head, field) || !upgrade_ok(nu_http_field_value(field)))
        return NU_H1_UPGRADE;
    head->upgrade = nu_http_field_value(field);
    return NU_H1_FINE;
}

static enum nu_h1_error read_length(struct nu_http_head *head)
{
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_CONTENT_LENGTH);
    if (!field)
        return NU_H1_FINE;
    if (nu_http_next(head, field))
        return NU_H1_LENGTH_MANY;
    uint64_t value = 0;
    if (field->value_len == 0 ||
        ch_span(field->value, field->value_len, CH_DIGIT) < field->value_len)
        return NU_H1_LENGTH;
    for (size_t i = 0; i < field->value_len; i++) {
        unsigned digit = (unsigned)(field->value[i] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10)
            return NU_H1_LENGTH_RANGE;
        value = value * 10 + digit;
    }
    head->has_length = true;
    head->content_length = value;
    return NU_H1_FINE;
}

/* Anything but one field with the one word "chunked" is refused; this says why: chunked is not
 * last, or not once (400), or follows codings that nobody here knows (501; RFC 9112 6.1). */
static enum nu_h1_error bad_coding(const struct nu_http_head *head,
                                   const struct nu_http_field *field)
{
    unsigned chunked = 0, others = 0;
    bool last = false;
    for (; field; field = nu_http_next(head, field)) {
        struct nu_text rest = nu_http_field_value(field), coding;
        while (nu_http_list_next(&rest, &coding)) {
            last = h1_is_word(coding, "chunked");
            *(last ? &chunked : &others) += 1;
        }
    }
    return last && chunked == 1 && others > 0 ? NU_H1_TE_UNKNOWN : NU_H1_TE;
}

static enum nu_h1_error read_coding(struct nu_http_head *head, bool *chunked)
{
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_TRANSFER_ENCODING);
    *chunked = field != NULL;
    if (!field)
        return NU_H1_FINE;
    if (head->version == NU_HTTP_1_0)
        return NU_H1_TE_BARRED;
    if (head->has_length)
        return NU_H1_LENGTH_AND_TE;
    if (nu_http_next(head, field) || !h1_is_word(nu_http_field_value(field), "chunked"))
        return bad_coding(head, field);
    return NU_H1_FINE;
}

static void read_expect(struct nu_http_head *head)
{
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_EXPECT);
    if (head->version == NU_HTTP_1_0)
        return; /* RFC 9110 10.1.1 */
    for (; field; field = nu_http_next(head, field)) {
        bool is_100 = h1_is_word(nu_http_field_value(field), "100-continue");
        *(is_100 ? &head->expect_100 : &head->expect_other) = true;
    }
}

static void read_te(struct nu_http_head *head)
{
    const struct nu_http_field *field = nu_http_get(head, NU_HDR_TE);
    for (; field; field = nu_http_next(head, field)) {
        struct nu_text rest = nu_http_field_value(field), coding;
        while (nu_http_list_next(&rest, &coding))
            head->te_trailers |= h1_is_word(coding, "trailers");
    }
}

/* What all heads have in common. */
static enum nu_h1_error judge(struct nu_http_head *head, struct options *options, bool *chunked)
{
    enum nu_h1_error error = read_connection(head, options);
    if (!error)
        error = read_upgrade(head, options);
    if (!error)
        error = read_length(head);
    return error ? error : read_coding(head, chunked);
}

static enum nu_h1_error frame(struct nu_h1_parser *p, struct nu_http_head *head, bool chunked)
{
    if (chunked) {
        head->body = NU_BODY_CHUNKED;
    } else if (head->has_length && head->content_length > 0) {
        head->body = NU_BODY_LENGTH;
        if (p->limits->body_bytes && head->content_length > p->limits->body_bytes)
            return NU_H1_BODY_LARGE;
    }
    return NU_H1_FINE;
}

/* What has no body by its nature must not be framed as if it had one: another reader may believe
 * it. A length of 0 says the same as none. */
static enum nu_h1_error barred(const struct nu_http_head *head, bool chunked)
{
    if (chunked)
        return NU_H1_TE_BARRED;
    return head->has_length && head->content_length > 0 ? NU_H1_LENGTH_BARRED : NU_H1_FINE;
}

enum nu_h1_error h1_judge_request(struct nu_h1_parser *p, struct nu_http_head *head)
{
    struct options options = {0};
    bool chunked;
    enum nu_h1_error error = h1_judge_host(head);
    if (!error)
        error = judge(head, &options, &chunked);
    if (error)
        return error;
    read_expect(head);
    read_te(head);
    return head->method_id == NU_METHOD_CONNECT ? barred(head, chunked) : frame(p, head, chunked);
}

/* 101 and 2xx to CONNECT; what such a 2xx says of framing is to be ignored (RFC 9110 9.3.6). */
static enum nu_h1_error judge_tunnel(struct nu_h1_parser *p, struct nu_http_head *head,
                                     bool chunked)
{
    head->body = NU_BODY_TUNNEL;
    head->keep_alive = false;
    if (head->status != 101) {
        head->has_length = false;
        head->content_length = 0;
        return NU_H1_FINE;
    }
    if (!p->upgrade || head->upgrade.len == 0)
        return NU_H1_UPGRADE_UNASKED;
    return barred(head, chunked);
}

enum nu_h1_error h1_judge_response(struct nu_h1_parser *p, struct nu_http_head *head)
{
    struct options options = {0};
    bool chunked;
    unsigned status = head->status;
    enum nu_h1_error error = judge(head, &options, &chunked);
    if (error)
        return error;
    if (status == 101 || (p->method == NU_METHOD_CONNECT && status / 100 == 2))
        return judge_tunnel(p, head, chunked);
    if (status < 200 || status == 204)
        return barred(head, chunked);
    if (p->method == NU_METHOD_HEAD || status == 304)
        return NU_H1_FINE;
    if (!chunked && !head->has_length) {
        head->body = NU_BODY_CLOSE;
        head->keep_alive = false;
        return NU_H1_FINE;
    }
    return frame(p, head, chunked);
}
