/* Credentials and cookies in fields, hidden; see text.h. A name says what a value is, never the
 * value itself. */
#include "tools/tap/text.h"

#include <string.h>

#define HIDDEN "***"

static void put_hidden(struct tap_out *out, struct nu_text value)
{
    if (value.len)
        tap_put(out, HIDDEN);
}

/* "Bearer ***": the scheme is no secret. */
static void put_credentials(struct tap_out *out, struct nu_text value)
{
    const char *blank = memchr(value.at, ' ', value.len);
    if (blank)
        tap_put_safe(out, nu_text(value.at, (size_t)(blank + 1 - value.at)), 0);
    put_hidden(out, value);
}

static void put_pair(struct tap_out *out, struct nu_text pair)
{
    const char *is = memchr(pair.at, '=', pair.len);
    if (is)
        tap_put_safe(out, nu_text(pair.at, (size_t)(is + 1 - pair.at)), 0);
    tap_put(out, HIDDEN);
}

static struct nu_text up_to_semicolon(struct nu_text text)
{
    const char *end = memchr(text.at, ';', text.len);
    return nu_text(text.at, end ? (size_t)(end - text.at) : text.len);
}

/* "a=***; b=***" */
static void put_cookies(struct tap_out *out, struct nu_text rest)
{
    while (rest.len) {
        struct nu_text pair = up_to_semicolon(rest);
        put_pair(out, pair);
        rest = nu_text(rest.at + pair.len, rest.len - pair.len);
        size_t gap = 0;
        while (gap < rest.len && (rest.at[gap] == ';' || rest.at[gap] == ' '))
            gap++;
        tap_put(out, gap && rest.len > gap ? "; " : "");
        rest = nu_text(rest.at + gap, rest.len - gap);
    }
}

/* "a=***; Path=/": what stands behind it is for the browser. */
static void put_set_cookie(struct tap_out *out, struct nu_text value)
{
    struct nu_text pair = up_to_semicolon(value);
    put_pair(out, pair);
    tap_put_safe(out, nu_text(value.at + pair.len, value.len - pair.len), 0);
}

static const struct row {
    const char *name;
    void (*put)(struct tap_out *out, struct nu_text value);
} rows[] = {
    {"authorization",        put_credentials},
    {"proxy-authorization",  put_credentials},
    {"cookie",               put_cookies    },
    {"set-cookie",           put_set_cookie },
    {"x-api-key",            put_hidden     },
    {"api-key",              put_hidden     },
    {"apikey",               put_hidden     },
    {"x-auth-token",         put_hidden     },
    {"x-access-token",       put_hidden     },
    {"x-csrf-token",         put_hidden     },
    {"x-xsrf-token",         put_hidden     },
    {"x-amz-security-token", put_hidden     },
    {"x-vault-token",        put_hidden     },
    {"private-token",        put_hidden     },
};

static const struct row *row_of(struct nu_text name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (nu_text_is_fold(name, rows[i].name))
            return &rows[i];
    return NULL;
}

bool tap_is_secret(struct nu_text name)
{
    return row_of(name) != NULL;
}

void tap_put_value(struct tap_out *out, struct nu_text name, struct nu_text value)
{
    const struct row *row = out->show_secrets ? NULL : row_of(name);
    if (row)
        row->put(out, value);
    else
        tap_put_safe(out, value, 0);
}
