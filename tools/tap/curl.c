/* The command of curl.h. */
#include "tools/tap/curl.h"

#include "core/escape.h"

#include <string.h>

/* --- quoting --- */

static void put_bytes(struct tap_curl *c, const char *at, size_t len)
{
    tap_put(&c->out, "");
    nu_logbuf_add(&c->out.buf, at, len);
}

/* In single quotes, where only they need care. What a terminal could obey is a question mark: who
 * copies the command has looked at it. */
static void put_quoted(struct tap_curl *c, struct nu_text text)
{
    bool fine = tap_is_text((const uint8_t *)text.at, text.len);
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.at[i];
        bool drawn = (byte >= ' ' && byte != 0x7f) || (byte & 0x80 && fine);
        if (byte == '\'')
            tap_put(&c->out, "'\\''");
        else
            tap_put_char(&c->out, drawn ? byte : '?');
    }
}

/* For printf(1): every byte, also NUL, as an octal number unless it is plain. */
static void put_octal(struct tap_curl *c, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char text[8] = {(char)bytes[i], 0};
        bool plain = bytes[i] >= ' ' && bytes[i] < 0x7f && !strchr("'\\%", bytes[i]);
        if (!plain)
            snprintf(text, sizeof text, "\\%03o", bytes[i]);
        tap_put(&c->out, text);
    }
}

/* --- the request --- */

static bool is_plain_text(const struct tap_message *m)
{
    return tap_is_text(m->kept, m->kept_len) && !memchr(m->kept, '\r', m->kept_len) &&
           *m->kept != '@';
}

/* What curl makes by itself, or must not be told. */
static bool is_curls_own(struct nu_text name)
{
    static const char *const names[] = {"host",          "content-length", "transfer-encoding",
                                        "connection",    "expect",         "upgrade",
                                        "http2-settings"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (nu_text_is_fold(name, names[i]))
            return true;
    return false;
}

/* An option a line. */
static void put_option(struct tap_curl *c, const char *option)
{
    tap_put(&c->out, " \\\n  ");
    tap_put(&c->out, option);
}

static void put_fields(struct tap_curl *c, const struct nu_http_head *head, bool decoded)
{
    const struct nu_http_field *field = NULL;
    while (head && (field = nu_http_each(head, field))) {
        struct nu_text name = nu_text(field->name, field->name_len);
        if (is_curls_own(name) || *name.at == '@' ||
            (decoded && nu_text_is_fold(name, "content-encoding")))
            continue;
        put_option(c, "-H '");
        put_quoted(c, name);
        tap_put(&c->out, field->value_len ? ": " : ";");
        if (tap_is_secret(name) && !c->out.show_secrets)
            tap_put_value(&c->out, name, NU_TEXT("x"));
        else
            put_quoted(c, nu_http_field_value(field));
        tap_put_char(&c->out, '\'');
    }
}

static void put_url(struct tap_curl *c, const struct tap_exchange *x)
{
    bool path = x->target.len && *x->target.at == '/';
    if (memchr(x->target.at, '[', x->target.len) || memchr(x->target.at, '{', x->target.len))
        tap_put(&c->out, " --globoff");
    tap_put(&c->out, " --url '"); /* whatever it begins with */
    if (path || nu_text_is(x->target, "*"))
        tap_put(&c->out, x->tls ? "https://" : "http://");
    if (path || nu_text_is(x->target, "*"))
        put_quoted(c, x->host);
    if (!nu_text_is(x->target, "*"))
        put_quoted(c, x->target);
    tap_put_char(&c->out, '\'');
}

/* The very server that had it, whatever its name means here. */
static void put_where(struct tap_curl *c, const struct tap_exchange *x)
{
    char text[NU_ADDR_TEXT_MAX];
    put_option(c, "--connect-to '::");
    tap_put(&c->out, nu_addr_str(nu_flow_from(x->conn->flow, 1), text));
    tap_put_char(&c->out, '\'');
}

static void put_method(struct tap_curl *c, const struct tap_exchange *x, bool body)
{
    if (nu_text_is(x->method, "HEAD"))
        tap_put(&c->out, " --head");
    else if (!nu_text_is(x->method, body ? "POST" : "GET")) {
        tap_put(&c->out, " -X '");
        put_quoted(c, x->method);
        tap_put_char(&c->out, '\'');
    }
}

static void put_body(struct tap_curl *c, const struct tap_message *m)
{
    if (!m->kept_len)
        return;
    if (m->head && !nu_http_get(m->head, NU_HDR_CONTENT_TYPE))
        put_option(c, "-H 'Content-Type:'"); /* curl's own would say that it is a form */
    if (!is_plain_text(m)) {
        put_option(c, "--data-binary @-");
        return;
    }
    put_option(c, "--data-binary '");
    for (const char *at = (const char *)m->kept, *end = at + m->kept_len; at < end; at++)
        if (*at == '\'')
            tap_put(&c->out, "'\\''");
        else
            put_bytes(c, at, 1);
    tap_put_char(&c->out, '\'');
}

static void curl_exchange(void *ctx, const struct tap_exchange *x)
{
    struct tap_curl *c = ctx;
    const struct tap_message *request = &x->message[0];
    if (x->conn->flow->number != c->id.flow || x->number != c->id.number)
        return;
    c->found = true;
    if (request->kept_len && !is_plain_text(request)) {
        tap_put(&c->out, "printf '");
        put_octal(c, request->kept, request->kept_len);
        tap_put(&c->out, "' |\n");
    }
    tap_put(&c->out, "curl");
    put_method(c, x, request->kept_len > 0);
    if (x->target.len && memchr(x->target.at, '.', x->target.len))
        tap_put(&c->out, " --path-as-is");
    if (x->proto != TAP_H1)
        tap_put(&c->out, x->tls ? " --http2" : " --http2-prior-knowledge");
    put_url(c, x);
    put_where(c, x);
    put_fields(c, request->head, request->coding.len && request->body != request->body_wire);
    put_body(c, request);
    tap_put_char(&c->out, '\n');
    if (request->body > request->kept_len)
        tap_put(&c->out, "# the body is longer than what could be kept of it\n");
    tap_out_flush(&c->out);
}

const struct tap_sink tap_curl_sink = {.exchange = curl_exchange};
