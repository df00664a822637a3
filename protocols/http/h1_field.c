/* Field lines of heads and trailers (RFC 9112 5). A line is whole here, not empty, and has no
 * control character but tabs. */
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"
#include "protocols/http/head_priv.h"

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A name that is not known need not be a token. */
static enum nu_h1_error check_name(const char *name, size_t len)
{
    if (len == 0)
        return NU_H1_FIELD_NAME;
    if (ch_span(name, len, CH_TOKEN) < len)
        return is_blank(name[len - 1]) ? NU_H1_FIELD_SPACE : NU_H1_FIELD_NAME;
    return len > NU_HTTP_NAME_MAX_BYTES ? NU_H1_FIELD_NAME_LONG : NU_H1_FINE;
}

/* A line whose first colon is at `name`, or not before its end. Inline in the loop too: a call
 * costs a tenth of it. */
__attribute__((always_inline)) static inline enum nu_h1_error read_line(struct nu_http_head *head,
                                                                        struct nu_text line,
                                                                        size_t name)
{
    if (is_blank(*line.at))
        return NU_H1_FOLD;
    if (name >= line.len)
        return NU_H1_FIELD_LINE;
    enum nu_hdr id = nu_hdr_find(line.at, name);
    if (id == NU_HDR_OTHER) {
        enum nu_h1_error error = check_name(line.at, name);
        if (error)
            return error;
    }
    const char *value = line.at + name + 1, *end = line.at + line.len;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    struct nu_text text = nu_text(value, (size_t)(end - value));
    return nu_http_push(head, id, nu_text(line.at, name), text) ? NU_H1_FINE : NU_H1_FIELDS_MANY;
}

enum nu_h1_error h1_field_line(struct nu_http_head *head, struct nu_text line)
{
    return read_line(head, line, ch_before(line.at, line.len, ':'));
}

/* The colon is looked for in all that is left: 16 bytes at a time also for a short line. One that
 * has none ends the loop. */
size_t h1_easy_lines(struct nu_http_head *head, const char *begin, size_t len, unsigned fields)
{
    const char *at = begin, *end = begin + len;
    while (head->count < fields && at < end && *at != '\r') {
        size_t left = (size_t)(end - at), text = ch_text(at, left);
        if (left < text + 2 || at[text] != '\r' || at[text + 1] != '\n' ||
            read_line(head, nu_text(at, text), ch_before(at, left, ':')) != NU_H1_FINE)
            break;
        at += text + 2;
    }
    return (size_t)(at - begin);
}
