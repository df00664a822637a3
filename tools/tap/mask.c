/* Credentials and cookies hidden, in fields, in URLs and in forms; see text.h. Which names say
 * so is told by protocols/http/secret.h. */
#include "tools/tap/text.h"

#include "protocols/http/secret.h"

#include <string.h>
#include <strings.h>

#define HIDDEN "***"

/* --- values --- */

static void hide(struct nu_logbuf *out, struct nu_text value)
{
    if (value.len)
        nu_logbuf_str(out, HIDDEN);
}

/* "Bearer ***": the scheme is no secret. */
static void hide_credentials(struct nu_logbuf *out, struct nu_text value)
{
    const char *blank = memchr(value.at, ' ', value.len);
    if (blank)
        nu_logbuf_add(out, value.at, (size_t)(blank + 1 - value.at));
    hide(out, value);
}

/* Bytes before the first of `stops`. */
static size_t until(struct nu_text text, const char *stops)
{
    size_t n = 0;
    while (n < text.len && (!text.at[n] || !strchr(stops, text.at[n])))
        n++;
    return n;
}

static struct nu_text behind(struct nu_text text, size_t n)
{
    return nu_text(text.at + n, text.len - n);
}

static void hide_pair(struct nu_logbuf *out, struct nu_text pair)
{
    size_t is = until(pair, "=");
    if (is < pair.len)
        nu_logbuf_add(out, pair.at, is + 1);
    nu_logbuf_str(out, HIDDEN);
}

/* "a=***; b=***" */
static void hide_cookies(struct nu_logbuf *out, struct nu_text rest)
{
    while (rest.len) {
        size_t len = until(rest, ";");
        hide_pair(out, nu_text(rest.at, len));
        rest = behind(rest, len);
        size_t gap = 0;
        while (gap < rest.len && (rest.at[gap] == ';' || rest.at[gap] == ' '))
            gap++;
        rest = behind(rest, gap);
        if (rest.len)
            nu_logbuf_str(out, "; ");
    }
}

/* "a=***; Path=/": what stands behind it is for the browser. */
static void hide_set_cookie(struct nu_logbuf *out, struct nu_text value)
{
    size_t len = until(value, ";");
    hide_pair(out, nu_text(value.at, len));
    nu_logbuf_add(out, value.at + len, value.len - len);
}

/* "user=a&token=***": in a query, a fragment, a form, behind a path. */
static void hide_parameters(struct nu_logbuf *out, struct nu_text rest)
{
    while (rest.len) {
        size_t end = until(rest, "?&;#"), is = until(rest, "=");
        if (is < end && nu_http_secret_parameter(nu_text(rest.at, is))) {
            nu_logbuf_add(out, rest.at, is + 1);
            end = is + 1 + until(behind(rest, is + 1), "?&;#");
            hide(out, nu_text(rest.at, end - is - 1));
        } else {
            nu_logbuf_add(out, rest.at, end);
        }
        if (end < rest.len)
            nu_logbuf_char(out, rest.at[end++]);
        rest = behind(rest, end);
    }
}

/* Bytes up to the quote that ends a string of JSON, which begins behind its first one. */
static size_t string_len(struct nu_text text)
{
    size_t n = 0;
    while (n < text.len && text.at[n] != '"')
        n += text.at[n] == '\\' ? 2 : 1;
    return n < text.len ? n : text.len;
}

/* So many bytes from the front go over to `out`; gives what is behind them. */
static struct nu_text pass_on(struct nu_logbuf *out, struct nu_text text, size_t len)
{
    len = len < text.len ? len : text.len;
    nu_logbuf_add(out, text.at, len);
    return behind(text, len);
}

/* {"user":"a","password":"***"}: texts only; of broken JSON, too. */
static void hide_members(struct nu_logbuf *out, struct nu_text rest)
{
    while (rest.len) {
        rest = pass_on(out, rest, until(rest, "\"") + 1);
        struct nu_text name = nu_text(rest.at, string_len(rest));
        rest = pass_on(out, rest, name.len + 1);
        size_t gap = 0;
        while (gap < rest.len && strchr(" \t\r\n:", rest.at[gap]) && rest.at[gap])
            gap++;
        bool text = gap && gap < rest.len && rest.at[gap] == '"';
        if (!text || !memchr(rest.at, ':', gap) || !nu_http_secret_member(name))
            continue;
        rest = pass_on(out, rest, gap + 1);
        size_t len = string_len(rest);
        hide(out, nu_text(rest.at, len));
        rest = pass_on(out, behind(rest, len), 1);
    }
}

/* Also the name and password before a host. */
static void hide_in_url(struct nu_logbuf *out, struct nu_text url)
{
    const char *slashes = memmem(url.at, url.len, "//", 2);
    if (slashes && (slashes == url.at || slashes[-1] == ':')) {
        size_t from = (size_t)(slashes + 2 - url.at);
        struct nu_text authority = behind(url, from);
        authority.len = until(authority, "/?#");
        const char *at = memrchr(authority.at, '@', authority.len);
        if (at) {
            nu_logbuf_add(out, url.at, from);
            nu_logbuf_str(out, HIDDEN);
            url = behind(url, (size_t)(at - url.at));
        }
    }
    hide_parameters(out, url);
}

/* --- fields --- */

typedef void hide_fn(struct nu_logbuf *out, struct nu_text value);

static hide_fn *hides(struct nu_text name)
{
    static hide_fn *const by[] = {
        [NU_HTTP_SECRET_NONE] = NULL,
        [NU_HTTP_SECRET_VALUE] = hide,
        [NU_HTTP_SECRET_CREDENTIALS] = hide_credentials,
        [NU_HTTP_SECRET_COOKIES] = hide_cookies,
        [NU_HTTP_SECRET_SET_COOKIE] = hide_set_cookie,
        [NU_HTTP_SECRET_URL] = hide_in_url,
    };
    return by[nu_http_secret_field(name)];
}

/* "Cookie: a=***", where a line stands among bytes of something else. */
static void hide_lines(struct nu_logbuf *out, struct nu_text rest)
{
    while (rest.len) {
        struct nu_text line = nu_text(rest.at, until(rest, "\r\n"));
        size_t name = until(line, ":"), begins = name + 1;
        while (begins < line.len && line.at[begins] == ' ')
            begins++;
        hide_fn *by = begins < line.len ? hides(nu_text(line.at, name)) : NULL;
        if (by) {
            nu_logbuf_add(out, line.at, begins);
            by(out, behind(line, begins));
            rest = behind(rest, line.len);
        }
        rest = pass_on(out, rest, by ? 1 : line.len + 1);
    }
}

static struct nu_text masked(struct tap_out *out, hide_fn *by, struct nu_text value)
{
    struct nu_logbuf *scratch = &out->scratch;
    scratch->limit = TAP_LINE_MAX;
    nu_logbuf_reset(scratch);
    by(scratch, value);
    if (scratch->len == value.len && memcmp(scratch->data, value.at, value.len) == 0)
        return value;
    out->hid = true;
    return nu_text(scratch->data, scratch->len);
}

struct nu_text tap_masked(struct tap_out *out, struct nu_text name, struct nu_text value)
{
    hide_fn *by = out->show_secrets || !value.len ? NULL : hides(name);
    return by ? masked(out, by, value) : value;
}

struct nu_text tap_masked_target(struct tap_out *out, struct nu_text target)
{
    bool may = !out->show_secrets && until(target, "=@") < target.len;
    return may ? masked(out, hide_in_url, target) : target;
}

struct nu_text tap_masked_host(struct tap_out *out, struct nu_text host)
{
    const char *at = host.len && !out->show_secrets ? memrchr(host.at, '@', host.len) : NULL;
    out->hid |= at != NULL;
    return at ? behind(host, (size_t)(at + 1 - host.at)) : host;
}

struct nu_text tap_masked_body(struct tap_out *out, struct nu_text type, struct nu_text body)
{
    if (out->show_secrets || !body.len)
        return body;
    if (nu_text_is_fold(type, "application/x-www-form-urlencoded"))
        return masked(out, hide_parameters, body);
    bool json = type.len >= 4 && strncasecmp(type.at + type.len - 4, "json", 4) == 0;
    return json ? masked(out, hide_members, body) : body;
}

struct nu_text tap_masked_message(struct tap_out *out, struct nu_text message)
{
    bool json = message.len && (*message.at == '{' || *message.at == '[');
    return json ? tap_masked_body(out, NU_TEXT("json"), message) : message;
}

struct nu_text tap_masked_lines(struct tap_out *out, struct nu_text text)
{
    return out->show_secrets || !text.len ? text : masked(out, hide_lines, text);
}

void tap_put_value(struct tap_out *out, struct nu_text name, struct nu_text value)
{
    tap_put_safe(out, tap_masked(out, name, value), 0);
}
