/* Request lines and status lines (RFC 9112 3 and 4). A line is whole here, and has no control
 * character but tabs. */
#include "core/arena.h"
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"

#define VERSION_BYTES 8 /* "HTTP/1.1" */

static enum nu_h1_error method_begins(struct nu_text text)
{
    size_t len = ch_span(text.at, text.len, CH_TOKEN);
    if (len > NU_H1_METHOD_MAX_BYTES)
        return NU_H1_METHOD_LONG;
    if (len == text.len)
        return NU_H1_FINE;
    return len > 0 && text.at[len] == ' ' ? NU_H1_FINE : NU_H1_METHOD;
}

static enum nu_h1_error version_begins(struct nu_text text)
{
    size_t len = text.len < 5 ? text.len : 5;
    return memcmp(text.at, "HTTP/", len) == 0 ? NU_H1_FINE : NU_H1_STATUS_LINE;
}

enum nu_h1_error h1_start_begins(enum h1_role role, struct nu_text text)
{
    return role == H1_REQUEST ? method_begins(text) : version_begins(text);
}

/* "HTTP/" DIGIT "." DIGIT, and those digits ours. */
static enum nu_h1_error version(struct nu_text text, uint8_t *out)
{
    if (text.len == VERSION_BYTES && memcmp(text.at, "HTTP/1.1", VERSION_BYTES) == 0) {
        *out = NU_HTTP_1_1;
        return NU_H1_FINE;
    }
    if (text.len != VERSION_BYTES || memcmp(text.at, "HTTP/", 5) != 0 ||
        !ch_is(text.at[5], CH_DIGIT) || text.at[6] != '.' || !ch_is(text.at[7], CH_DIGIT))
        return NU_H1_VERSION;
    if (text.at[5] != '1' || text.at[7] > '1')
        return NU_H1_VERSION_OTHER;
    *out = text.at[7] == '1' ? NU_HTTP_1_1 : NU_HTTP_1_0;
    return NU_H1_FINE;
}

/* "http" "://" authority path: empty paths become "/", or "*" for OPTIONS (RFC 9112 3.2.4). */
static enum nu_h1_error absolute(struct nu_http_head *head)
{
    struct nu_text rest = head->target;
    size_t len = ch_span(rest.at, rest.len, CH_SCHEME);
    if (rest.len < len + 3 || memcmp(rest.at + len, "://", 3) != 0)
        return NU_H1_TARGET_FORM;
    head->scheme = nu_text(rest.at, len);
    if (!nu_text_is_fold(head->scheme, "http") && !nu_text_is_fold(head->scheme, "https"))
        return NU_H1_SCHEME;
    rest = nu_text(rest.at + len + 3, rest.len - len - 3);
    for (len = 0; len < rest.len && rest.at[len] != '/' && rest.at[len] != '?';)
        len++;
    head->authority = nu_text(rest.at, len);
    head->path = nu_text(rest.at + len, rest.len - len);
    head->form = NU_FORM_ABSOLUTE;
    if (head->path.len == 0)
        head->path = head->method_id == NU_METHOD_OPTIONS ? NU_TEXT("*") : NU_TEXT("/");
    else if (*head->path.at == '?') {
        char *path = nu_arena_alloc(head->arena, head->path.len + 1);
        path[0] = '/';
        memcpy(path + 1, head->path.at, head->path.len);
        head->path = nu_text(path, head->path.len + 1);
    }
    return NU_H1_FINE;
}

static enum nu_h1_error form(struct nu_http_head *head)
{
    struct nu_text target = head->target;
    if (head->method_id == NU_METHOD_CONNECT) {
        head->form = NU_FORM_AUTHORITY;
        head->authority = target;
        return NU_H1_FINE;
    }
    head->path = target;
    if (*target.at == '/')
        return NU_H1_FINE;
    if (target.len == 1 && *target.at == '*' && head->method_id == NU_METHOD_OPTIONS) {
        head->form = NU_FORM_ASTERISK;
        return NU_H1_FINE;
    }
    return absolute(head);
}

enum nu_h1_error h1_request_line(struct nu_h1_parser *p, struct nu_text line)
{
    struct nu_http_head *head = p->head;
    size_t len = ch_before(line.at, line.len, ' ');
    head->method_id = (uint8_t)nu_method_find(line.at, len);
    enum nu_h1_error error = head->method_id ? NU_H1_FINE : method_begins(line);
    if (error)
        return error;
    if (len == line.len)
        return NU_H1_REQUEST_LINE;
    head->method = nu_text(line.at, len);

    struct nu_text rest = nu_text(line.at + len + 1, line.len - len - 1);
    len = ch_target(rest.at, rest.len);
    if (len > p->limits->target_bytes)
        return NU_H1_TARGET_LONG;
    if (len < rest.len && rest.at[len] != ' ')
        return NU_H1_TARGET;
    if (len == 0 || len == rest.len)
        return NU_H1_REQUEST_LINE;
    head->target = nu_text(rest.at, len);
    error = version(nu_text(rest.at + len + 1, rest.len - len - 1), &head->version);
    return error ? error : form(head);
}

/* VERSION SP 3DIGIT SP [ reason ]; the second space is there also without a reason. */
enum nu_h1_error h1_status_line(struct nu_h1_parser *p, struct nu_text line)
{
    struct nu_http_head *head = p->head;
    enum nu_h1_error error = version_begins(line);
    if (error)
        return error;
    if (line.len < VERSION_BYTES + 5 || line.at[VERSION_BYTES] != ' ')
        return NU_H1_STATUS_LINE;
    error = version(nu_text(line.at, VERSION_BYTES), &head->version);
    if (error)
        return error;
    const char *code = line.at + VERSION_BYTES + 1;
    if (ch_span(code, 3, CH_DIGIT) < 3 || code[3] != ' ')
        return NU_H1_STATUS_LINE;
    head->status = (uint16_t)((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
    head->reason = nu_text(code + 4, line.len - VERSION_BYTES - 5);
    head->method_id = p->method;
    return head->status >= 100 && head->status <= 599 ? NU_H1_FINE : NU_H1_STATUS;
}
