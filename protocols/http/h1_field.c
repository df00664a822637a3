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

enum nu_h1_error h1_field_line(struct nu_http_head *head, struct nu_text line)
{
    if (is_blank(*line.at))
        return NU_H1_FOLD;
    size_t name = ch_before(line.at, line.len, ':');
    if (name == line.len)
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
