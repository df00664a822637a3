/* Requests and responses of an HTTP archive; see har_priv.h. */
#include "tools/tap/har_priv.h"

#include "core/escape.h"
#include "protocols/http/h1_write.h"

#include <string.h>

/* --- JSON --- */

void har_key(struct tap_har *h, const char *key)
{
    if (h->comma)
        tap_put_char(&h->out, ',');
    h->comma = true;
    if (!key)
        return;
    tap_put_char(&h->out, '"');
    tap_put(&h->out, key);
    tap_put(&h->out, "\":");
}

void har_open(struct tap_har *h, const char *key, char bracket)
{
    har_key(h, key);
    tap_put_char(&h->out, bracket);
    h->comma = false;
}

void har_close(struct tap_har *h, char bracket)
{
    tap_put_char(&h->out, bracket);
    h->comma = true;
}

static void put_string(struct tap_har *h, const char *at, size_t len)
{
    tap_put_char(&h->out, '"');
    if (len)
        nu_escape_json(&h->out.buf, at, len);
    tap_put_char(&h->out, '"');
}

void har_text(struct tap_har *h, const char *key, struct nu_text value)
{
    har_key(h, key);
    put_string(h, value.at, value.len);
}

void har_str(struct tap_har *h, const char *key, const char *value)
{
    har_text(h, key, nu_text(value, strlen(value)));
}

void har_number(struct tap_har *h, const char *key, int64_t value)
{
    har_key(h, key);
    if (value < 0)
        tap_put_char(&h->out, '-');
    tap_put_u64(&h->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void put_bool(struct tap_har *h, const char *key, bool value)
{
    har_key(h, key);
    tap_put(&h->out, value ? "true" : "false");
}

/* --- bodies --- */

static void put_base64(struct tap_har *h, const uint8_t *at, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    tap_put_char(&h->out, '"');
    for (size_t i = 0; i < len; i += 3) {
        uint32_t three = (uint32_t)at[i] << 16 | (i + 1 < len ? (uint32_t)at[i + 1] << 8 : 0) |
                         (i + 2 < len ? at[i + 2] : 0);
        char text[5] = {digits[three >> 18], digits[three >> 12 & 63],
                        i + 1 < len ? digits[three >> 6 & 63] : '=',
                        i + 2 < len ? digits[three & 63] : '='};
        tap_put(&h->out, text);
    }
    tap_put_char(&h->out, '"');
}

/* The text, or base64 under the name that says so; then what is missing. */
static void put_body(struct tap_har *h, const struct tap_message *m, const char *encoding)
{
    char text[96];
    bool plain = tap_is_text(m->kept, m->kept_len);
    struct nu_text body = nu_text((const char *)m->kept, m->kept_len);
    if (plain)
        body = tap_masked_body(&h->scratch, m->type, body);
    tap_out_flush(&h->out); /* each body has the line's limit for itself */
    har_key(h, "text");
    if (plain)
        put_string(h, body.at, body.len);
    else
        put_base64(h, m->kept, m->kept_len);
    if (!plain)
        har_str(h, encoding, "base64");
    if (m->kept_len < m->body) {
        snprintf(text, sizeof text, "the first %zu of %llu bytes", m->kept_len,
                 (unsigned long long)m->body);
        har_str(h, "comment", text);
    }
    tap_out_flush(&h->out);
}

/* --- fields --- */

static void put_pair(struct tap_har *h, struct nu_text name, struct nu_text value)
{
    har_open(h, NULL, '{');
    har_text(h, "name", name);
    har_text(h, "value", value);
    har_close(h, '}');
}

static void put_fields(struct tap_har *h, const struct nu_http_head *head)
{
    const struct nu_http_field *field = NULL;
    har_open(h, "headers", '[');
    while (head && (field = nu_http_each(head, field))) {
        struct nu_text name = nu_text(field->name, field->name_len);
        put_pair(h, name, tap_masked(&h->scratch, name, nu_http_field_value(field)));
    }
    har_close(h, ']');
}

static struct nu_text trimmed(struct nu_text text)
{
    while (text.len && *text.at == ' ')
        text = nu_text(text.at + 1, text.len - 1);
    while (text.len && text.at[text.len - 1] == ' ')
        text.len--;
    return text;
}

/* Takes what stands before `mark` off the front; the mark, too. */
static struct nu_text cut(struct nu_text *rest, char mark)
{
    if (!rest->len)
        return *rest;
    const char *at = memchr(rest->at, mark, rest->len);
    struct nu_text front = nu_text(rest->at, at ? (size_t)(at - rest->at) : rest->len);
    size_t used = front.len + (at ? 1 : 0);
    *rest = nu_text(rest->at + used, rest->len - used);
    return front;
}

static void put_cookie(struct tap_har *h, struct nu_text pair)
{
    struct nu_text value = trimmed(pair), name = trimmed(cut(&value, '='));
    har_text(h, "name", name);
    har_text(h, "value", h->scratch.show_secrets ? trimmed(value) : NU_TEXT("***"));
}

static void put_cookies_sent(struct tap_har *h, const struct nu_http_head *head)
{
    const struct nu_http_field *field = head ? nu_http_get(head, NU_HDR_COOKIE) : NULL;
    har_open(h, "cookies", '[');
    for (; field; field = nu_http_next(head, field)) {
        struct nu_text rest = nu_http_field_value(field);
        while (rest.len) {
            har_open(h, NULL, '{');
            put_cookie(h, cut(&rest, ';'));
            har_close(h, '}');
        }
    }
    har_close(h, ']');
}

/* Path, domain and the like (RFC 6265 4.1); dates are told as headers only. */
static void put_attribute(struct tap_har *h, struct nu_text attribute)
{
    struct nu_text value = trimmed(attribute), name = trimmed(cut(&value, '='));
    if (nu_text_is_fold(name, "path"))
        har_text(h, "path", value);
    else if (nu_text_is_fold(name, "domain"))
        har_text(h, "domain", value);
    else if (nu_text_is_fold(name, "httponly"))
        put_bool(h, "httpOnly", true);
    else if (nu_text_is_fold(name, "secure"))
        put_bool(h, "secure", true);
}

static void put_cookies_set(struct tap_har *h, const struct nu_http_head *head)
{
    const struct nu_http_field *field = head ? nu_http_get(head, NU_HDR_SET_COOKIE) : NULL;
    har_open(h, "cookies", '[');
    for (; field; field = nu_http_next(head, field)) {
        struct nu_text rest = nu_http_field_value(field);
        har_open(h, NULL, '{');
        put_cookie(h, cut(&rest, ';'));
        while (rest.len)
            put_attribute(h, cut(&rest, ';'));
        har_close(h, '}');
    }
    har_close(h, ']');
}

/* --- requests --- */

static void put_version(struct tap_har *h, const struct tap_exchange *x, int dir)
{
    const struct nu_http_head *head = x->message[dir].head;
    const char *known = x->proto == TAP_H1 ? "HTTP/1.1" : "HTTP/2";
    har_str(h, "httpVersion",
            head && head->version == NU_HTTP_1_0 && x->proto == TAP_H1 ? "HTTP/1.0" : known);
}

/* Its host, else the server's address. */
static void put_host(struct tap_har *h, struct nu_logbuf *url, const struct tap_exchange *x)
{
    struct nu_text host = tap_masked_host(&h->scratch, x->host);
    if (host.len)
        nu_logbuf_add(url, host.at, host.len);
    else
        nu_logbuf_addr(url, nu_flow_from(x->conn->flow, 1), true);
}

/* CONNECT has no path, OPTIONS may have none. */
static void put_url(struct tap_har *h, const struct tap_exchange *x)
{
    struct nu_logbuf *url = &h->scratch.buf;
    bool path = x->target.len && *x->target.at == '/';
    bool whole = !path && x->target.len && memmem(x->target.at, x->target.len, "://", 3);
    nu_logbuf_reset(url);
    url->limit = TAP_LINE_MAX;
    if (!whole) {
        nu_logbuf_str(url, x->tls ? "https://" : "http://");
        put_host(h, url, x);
    }
    struct nu_text target =
        path || whole ? tap_masked_target(&h->scratch, x->target) : NU_TEXT("/");
    nu_logbuf_add(url, target.at, target.len);
    har_text(h, "url", nu_text(url->data, url->len));
}

static void put_query(struct tap_har *h, struct nu_text rest)
{
    cut(&rest, '?');
    har_open(h, "queryString", '[');
    while (rest.len) {
        struct nu_text value = cut(&rest, '&'), name = cut(&value, '=');
        if (name.len || value.len)
            put_pair(h, name, value);
    }
    har_close(h, ']');
}

void har_put_request(struct tap_har *h, const struct tap_exchange *x)
{
    const struct tap_message *m = &x->message[0];
    har_open(h, "request", '{');
    har_text(h, "method", x->method);
    put_url(h, x);
    put_version(h, x, 0);
    put_cookies_sent(h, m->head);
    put_fields(h, m->head);
    put_query(h, tap_masked_target(&h->scratch, x->target));
    if (m->kept_len) {
        har_open(h, "postData", '{');
        har_text(h, "mimeType", m->head ? nu_http_value(m->head, NU_HDR_CONTENT_TYPE) : m->type);
        put_body(h, m, "_encoding");
        har_close(h, '}');
    }
    har_number(h, "headersSize", -1);
    har_number(h, "bodySize", m->head ? (int64_t)m->body_wire : -1);
    har_close(h, '}');
}

/* --- responses --- */

static void put_content(struct tap_har *h, const struct tap_message *m)
{
    har_open(h, "content", '{');
    har_number(h, "size", (int64_t)m->body);
    if (m->body != m->body_wire && m->coding.len)
        har_number(h, "compression", (int64_t)m->body - (int64_t)m->body_wire);
    har_text(h, "mimeType", m->head ? nu_http_value(m->head, NU_HDR_CONTENT_TYPE) : nu_text("", 0));
    if (m->kept_len)
        put_body(h, m, "encoding");
    har_close(h, '}');
}

static struct nu_text reason_of(const struct tap_exchange *x)
{
    const struct nu_http_head *head = x->message[1].head;
    const char *usual = x->status ? nu_http_reason_str(x->status) : "";
    return head && head->reason.len ? head->reason : nu_text(usual, strlen(usual));
}

void har_put_response(struct tap_har *h, const struct tap_exchange *x)
{
    const struct tap_message *m = &x->message[1];
    har_open(h, "response", '{');
    har_number(h, "status", x->status); /* 0 where none came, as browsers write it */
    har_text(h, "statusText", reason_of(x));
    put_version(h, x, 1);
    put_cookies_set(h, m->head);
    put_fields(h, m->head);
    put_content(h, m);
    har_text(h, "redirectURL",
             m->head ? tap_masked(&h->scratch, NU_TEXT("location"),
                                  nu_http_value(m->head, NU_HDR_LOCATION))
                     : nu_text("", 0));
    har_number(h, "headersSize", -1);
    har_number(h, "bodySize", m->head ? (int64_t)m->body_wire : -1);
    har_close(h, '}');
}
