/* The command of curl.h. */
#include "tools/tap/curl.h"

#include "core/escape.h"

#include <string.h>

/* --- quoting --- */

/* For single quotes, where only they need care. What a terminal could obey is a question mark: who
 * copies the command has looked at it. */
static void put_inside(struct tap_curl *c, struct nu_text text, bool lines)
{
    bool fine = tap_is_text((const uint8_t *)text.at, text.len);
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.at[i];
        bool drawn =
            (byte >= ' ' && byte != 0x7f) || (byte & 0x80 && fine) || (lines && byte == '\n');
        if (byte == '\'')
            tap_put(&c->out, "'\\''");
        else
            tap_put_char(&c->out, drawn ? byte : '?');
    }
}

static void put_quoted(struct tap_curl *c, struct nu_text text)
{
    put_inside(c, text, false);
}

/* For printf(1): every byte, also NUL, as an octal number unless it is plain; a hyphen, too, which
 * would begin an option. */
static void put_octal(struct tap_curl *c, struct nu_text bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char text[8] = {bytes.at[i], 0};
        bool plain = *text >= ' ' && *text < 0x7f && !strchr("'\\%-", *text);
        if (!plain)
            snprintf(text, sizeof text, "\\%03o", (unsigned char)bytes.at[i]);
        tap_put(&c->out, text);
    }
}

/* --- the request --- */

#define ARGUMENT_MAX (96u * 1024) /* bytes of one word of a command line; Linux takes 128 KiB */

static bool is_plain_text(const struct tap_message *m)
{
    bool odd = memchr(m->kept, '\r', m->kept_len) || memchr(m->kept, '\t', m->kept_len);
    return !odd && *m->kept != '@' && m->kept_len <= ARGUMENT_MAX &&
           tap_is_text(m->kept, m->kept_len);
}

/* What curl makes by itself, or must not be told. */
static bool is_curls_own(struct nu_text name, bool upgrades)
{
    static const char *const names[] = {"host", "content-length", "transfer-encoding", "expect",
                                        "http2-settings"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (nu_text_is_fold(name, names[i]))
            return true;
    return !upgrades && (nu_text_is_fold(name, "connection") || nu_text_is_fold(name, "upgrade"));
}

/* An option a line. */
static void put_option(struct tap_curl *c, const char *option)
{
    tap_put(&c->out, " \\\n  ");
    tap_put(&c->out, option);
}

static void put_field(struct tap_curl *c, struct nu_text name, struct nu_text value)
{
    put_option(c, "-H '");
    put_quoted(c, name);
    tap_put(&c->out, value.len ? ": " : ";");
    put_quoted(c, tap_masked(&c->out, name, value));
    tap_put_char(&c->out, '\'');
}

/* To WebSocket, say; curl does h2c by itself. */
static bool is_upgrade(const struct tap_exchange *x)
{
    const struct nu_http_head *head = x->message[0].head;
    return head && x->proto == TAP_H1 && nu_http_get(head, NU_HDR_UPGRADE) &&
           !nu_http_find(head, NU_TEXT("http2-settings"));
}

static void put_fields(struct tap_curl *c, const struct tap_exchange *x)
{
    const struct tap_message *m = &x->message[0];
    bool decoded = m->coding.len && m->body != m->body_wire, upgrades = is_upgrade(x);
    const struct nu_http_field *field = NULL;
    while (m->head && (field = nu_http_each(m->head, field))) {
        struct nu_text name = nu_text(field->name, field->name_len);
        if (!is_curls_own(name, upgrades) && *name.at != '@' &&
            !(decoded && nu_text_is_fold(name, "content-encoding")))
            put_field(c, name, nu_http_field_value(field));
    }
}

/* All are of these: what a host may be, or a target that curl leaves as it is. */
static bool is_made_of(struct nu_text text, const char *others)
{
    for (size_t i = 0; text.at && i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i], letter = c | 0x20;
        bool plain = (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (!c || !strchr(others, c)))
            return false;
    }
    return text.len > 0;
}

/* Where it names no host (HTTP/1.0), or one that is none: the address. */
static void put_origin(struct tap_curl *c, const struct tap_exchange *x)
{
    char text[NU_ADDR_TEXT_MAX];
    tap_put(&c->out, x->tls ? "https://" : "http://");
    if (is_made_of(x->host, ".-_:[]"))
        put_quoted(c, x->host);
    else
        tap_put(&c->out, nu_addr_str(nu_flow_from(x->conn->flow, 1), text));
}

/* What curl would take for a list of URLs. */
static bool has_braces(struct nu_text text)
{
    for (size_t i = 0; text.at && i < text.len; i++)
        if (text.at[i] && strchr("[]{}", text.at[i]))
            return true;
    return false;
}

/* A URL if the target is a path that curl sends as it stands, else the target by its own option. */
static void put_url(struct tap_curl *c, const struct tap_exchange *x)
{
    struct nu_text target = tap_masked_target(&c->out, x->target);
    bool path = target.len && *target.at == '/' &&
                is_made_of(target, "/?&=.-_~%+:;,@!$'()*[]{}"); /* no fragment, nothing to encode */
    bool braces = has_braces(x->host) || (path && has_braces(target));
    tap_put(&c->out, braces ? " --globoff --url '" : " --url '"); /* whatever it begins with */
    put_origin(c, x);
    if (path)
        put_quoted(c, target);
    else
        tap_put_char(&c->out, '/');
    tap_put_char(&c->out, '\'');
    if (path || !target.len)
        return;
    tap_put(&c->out, " --request-target '");
    put_quoted(c, target);
    tap_put_char(&c->out, '\'');
}

/* The very server that had it, whatever its name means here; the Host that stood there, if any. */
static void put_where(struct tap_curl *c, const struct tap_exchange *x)
{
    char text[NU_ADDR_TEXT_MAX];
    put_option(c, "--connect-to '::");
    tap_put(&c->out, nu_addr_str(nu_flow_from(x->conn->flow, 1), text));
    tap_put_char(&c->out, '\'');
    if (is_made_of(x->host, ".-_:[]"))
        return;
    put_option(c, "-H 'Host:");
    if (x->host.len)
        tap_put_char(&c->out, ' ');
    put_quoted(c, tap_masked_host(&c->out, x->host));
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
    if (x->target.len && memchr(x->target.at, '.', x->target.len))
        tap_put(&c->out, " --path-as-is");
    if (x->proto == TAP_H1)
        tap_put(&c->out, x->tls ? " --http1.1" : "");
    else
        tap_put(&c->out, x->tls ? " --http2" : " --http2-prior-knowledge");
}

static struct nu_text body_of(struct tap_curl *c, const struct tap_message *m)
{
    return tap_masked_body(&c->out, m->type, nu_text((const char *)m->kept, m->kept_len));
}

static void put_body(struct tap_curl *c, const struct tap_message *m, bool piped)
{
    if (!m->kept_len)
        return;
    if (m->head && !nu_http_get(m->head, NU_HDR_CONTENT_TYPE))
        put_option(c, "-H 'Content-Type:'"); /* curl's own would say that it is a form */
    if (piped) {
        put_option(c, "--data-binary @-");
        return;
    }
    put_option(c, "--data-binary '");
    put_inside(c, body_of(c, m), true);
    tap_put_char(&c->out, '\'');
}

/* What the command cannot say. */
static void put_remarks(struct tap_curl *c, const struct tap_message *request)
{
    if (request->body > request->kept_len)
        tap_put(&c->out, "# the body is longer than what could be kept of it\n");
    if (c->out.hid)
        tap_put(&c->out, "# secrets stand there as ***: --show-secrets has them\n");
}

static void curl_exchange(void *ctx, const struct tap_exchange *x)
{
    struct tap_curl *c = ctx;
    const struct tap_message *request = &x->message[0];
    if (x->conn->flow->number != c->id.flow || x->number != c->id.number)
        return;
    c->found = true;
    bool piped = request->kept_len && !is_plain_text(request);
    if (piped) {
        tap_put(&c->out, "printf '");
        put_octal(c, body_of(c, request));
        tap_put(&c->out, "' |\n");
    }
    tap_put(&c->out, "curl");
    put_method(c, x, request->kept_len > 0);
    put_url(c, x);
    put_where(c, x);
    put_fields(c, x);
    put_body(c, request, piped);
    tap_put_char(&c->out, '\n');
    put_remarks(c, request);
    tap_out_flush(&c->out);
}

const struct tap_sink tap_curl_sink = {.exchange = curl_exchange};
