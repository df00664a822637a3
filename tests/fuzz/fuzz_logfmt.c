/* Access log formats: any format either fails with a reason or gives lines that are whole: a line
 * of text is one line, an object is JSON, whatever the values hold.
 *
 * Input: one byte of choices, the format up to a NUL, the value of the operators. */
#include "core/assert.h"
#include "core/escape.h"
#include "core/logfmt.h"
#include "core/logtime.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct subject {
    const uint8_t *value;
    size_t len;
};

static bool write_value(struct nu_logbuf *out, const void *subject, const void *arg)
{
    const struct subject *s = subject;
    nu_logbuf_add(out, s->value, s->len);
    return s->len > 0;
}

static bool write_count(struct nu_logbuf *out, const void *subject, const void *arg)
{
    nu_logbuf_i64(out, -(int64_t)((const struct subject *)subject)->len);
    return true;
}

static bool write_arg(struct nu_logbuf *out, const void *subject, const void *arg)
{
    nu_logbuf_str(out, arg);
    return true;
}

static bool write_time(struct nu_logbuf *out, const void *subject, const void *arg)
{
    const struct subject *s = subject;
    nu_logbuf_time(out, arg, 1234567890123456789 + (int64_t)s->len * 100000000);
    return true;
}

static const struct nu_log_op ops[] = {
    {"VALUE", "", NU_LOG_TEXT,   NU_LOG_ARG_NONE,     NULL,               write_value},
    {"COUNT", "", NU_LOG_NUMBER, NU_LOG_ARG_NONE,     NULL,               write_count},
    {"ARG",   "", NU_LOG_TEXT,   NU_LOG_ARG_REQUIRED, NULL,               write_arg  },
    {"TIME",  "", NU_LOG_TEXT,   NU_LOG_ARG_OPTIONAL, nu_logtime_prepare, write_time },
};

/* Bytes of the JSON string that begins behind the quote at `p`, its closing quote included. */
static size_t string_len(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && *p != '"') {
        uint32_t code;
        size_t step = nu_utf8_decode(p, (size_t)(end - p), &code);
        nu_assert(step > 0 && code >= 0x20);
        if (*p == '\\') {
            nu_assert(p + 1 < end && strchr("\"\\bfnrtu", p[1]));
            step = p[1] == 'u' ? 6 : 2;
        }
        p += step;
    }
    nu_assert(p < end);
    return (size_t)(p + 1 - from);
}

/* A flat object: strings, numbers, null and true, and the signs between them. */
static void check_json(const char *p, size_t len)
{
    const char *end = p + len;
    nu_assert(len > 2 && p[0] == '{' && memcmp(end - 2, "}\n", 2) == 0);
    for (p++, end -= 2; p < end;) {
        nu_assert(strchr("\",:-0123456789nultre", *p));
        p += *p == '"' ? 1 + string_len(p + 1, end) : 1;
    }
}

static size_t newlines(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

static void check_text(const char *format, const struct nu_logbuf *line)
{
    size_t len = strlen(format);
    while (len && format[len - 1] == '\n')
        len--;
    nu_assert(line->len > 0 && line->data[line->len - 1] == '\n');
    /* An argument may hold newlines too: they are a value, and escaped. */
    nu_assert(newlines(line->data, line->len) <= newlines(format, len) + 1);
}

static void check_error(const struct nu_logfmt *format, const char *error)
{
    nu_assert(format == NULL && error != NULL && *error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool registered;
    if (!registered)
        nu_log_ops_register(ops, sizeof ops / sizeof *ops);
    registered = true;
    if (size < 1)
        return 0;
    bool json = data[0] & 1;
    struct nu_arena *arena = nu_arena_new(1024);
    char *format = nu_arena_strndup(arena, (const char *)data + 1, size - 1);
    size_t used = 1 + strlen(format);
    struct subject subject = {data + used, size - used};
    struct nu_logfmt_field fields[] = {
        {format, "%VALUE%"},
        {"f",    format   },
        {"n",    "%COUNT%"}
    };
    struct nu_logbuf line = {.data = NULL};
    struct nu_logfmt *compiled;
    const char *error;
    size_t bad;
    enum nu_err err = json ? nu_logfmt_json(&compiled, arena, fields, 3, &bad, &error)
                           : nu_logfmt_text(&compiled, arena, format, &error);
    if (err) {
        check_error(compiled, error);
    } else {
        nu_logfmt_write(compiled, &line, &subject);
        nu_assert(line.len <= NU_LOG_LINE_MAX);
        if (json)
            check_json(line.data, line.len);
        else
            check_text(format, &line);
    }
    nu_logbuf_free(&line);
    nu_arena_free(arena);
    return 0;
}
