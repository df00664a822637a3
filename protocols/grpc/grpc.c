/* Fields of gRPC; see grpc.h. */
#include "protocols/grpc/grpc.h"

#include "core/assert.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_DIGITS_MAX 8 /* TimeoutValue */
#define STATUS_DIGITS_MAX  3 /* names end at 16; what is more is no number of a status */

const char *nu_grpc_status_str(enum nu_grpc_status status)
{
#define WORD(id, word) word,
    static const char *const words[] = {NU_GRPC_STATUSES(WORD)};
#undef WORD
    nu_assert((unsigned)status < NU_GRPC_STATUS_COUNT);
    return words[status];
}

const char *nu_grpc_status_snake(enum nu_grpc_status status)
{
#define NAME(id, word) #id,
    static const char *const names[] = {NU_GRPC_STATUSES(NAME)};
#undef NAME
    nu_assert((unsigned)status < NU_GRPC_STATUS_COUNT);
    return names[status];
}

bool nu_grpc_is(const struct nu_http_head *head)
{
    static const char grpc[] = "application/grpc";
    const size_t len = sizeof grpc - 1;
    struct nu_text type = nu_http_value(head, NU_HDR_CONTENT_TYPE);
    if (type.len < len || !nu_text_is_fold(nu_text(type.at, len), grpc))
        return false;
    return type.len == len || memchr("+; \t", type.at[len], 4) != NULL;
}

/* Up to `most` digits at the front; how many there are, 0 = none or too many. */
static size_t read_digits(struct nu_text text, size_t most, int64_t *number)
{
    size_t n = 0;
    *number = 0;
    for (; n < text.len && text.at[n] >= '0' && text.at[n] <= '9'; n++) {
        if (n == most)
            return 0;
        *number = *number * 10 + (text.at[n] - '0');
    }
    return n;
}

int nu_grpc_status_read(struct nu_text value)
{
    int64_t number;
    size_t n = read_digits(value, STATUS_DIGITS_MAX, &number);
    return n > 0 && n == value.len ? (int)number : -1;
}

enum nu_grpc_status nu_grpc_status_of_http(unsigned status)
{
    switch (status) {
    case 400:
        return NU_GRPC_INTERNAL;
    case 401:
        return NU_GRPC_UNAUTHENTICATED;
    case 403:
        return NU_GRPC_PERMISSION_DENIED;
    case 404:
        return NU_GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return NU_GRPC_UNAVAILABLE;
    default:
        return NU_GRPC_UNKNOWN;
    }
}

/* --- grpc-timeout --- */

static const struct {
    char unit;
    int64_t ns;
} units[] = {
    {'m', 1000000      },
    {'S', 1000000000   },
    {'M', 60000000000  },
    {'H', 3600000000000},
    {'u', 1000         },
    {'n', 1            },
};

enum nu_err nu_grpc_timeout_read(struct nu_text value, int64_t *ms)
{
    int64_t number;
    size_t digits = read_digits(value, TIMEOUT_DIGITS_MAX, &number);
    *ms = 0;
    if (digits == 0 || value.len != digits + 1)
        return NU_ERR_SYNTAX;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].unit != value.at[digits])
            continue;
        int64_t ns = units[i].ns;
        *ms =
            ns >= 1000000 ? number * (ns / 1000000) : (number + 1000000 / ns - 1) / (1000000 / ns);
        return NU_OK;
    }
    return NU_ERR_SYNTAX;
}

struct nu_text nu_grpc_timeout_write(struct nu_arena *arena, int64_t ms)
{
    unsigned i = 0;
    while (i < 3 && ms / (units[i].ns / 1000000) > 99999999)
        i++;
    int64_t number = ms / (units[i].ns / 1000000);
    char text[24];
    int len = snprintf(text, sizeof text, "%lld%c",
                       (long long)(number < 99999999 ? number : 99999999), units[i].unit);
    return nu_text(nu_arena_strndup(arena, text, (size_t)len), (size_t)len);
}

/* --- grpc-message --- */

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c <= 0x7e && c != '%';
}

struct nu_text nu_grpc_message_write(struct nu_arena *arena, struct nu_text text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = text.len;
    if (len > NU_GRPC_MESSAGE_MAX_BYTES) {
        len = NU_GRPC_MESSAGE_MAX_BYTES;
        for (unsigned i = 0; i < 3 && ((unsigned char)text.at[len] & 0xc0) == 0x80; i++)
            len--;
    }
    char *out = nu_arena_alloc(arena, 3 * len + 1), *at = out;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool blank_at_end = c == ' ' && (i == 0 || i + 1 == len); /* no field may have these */
        if (is_plain(c) && !blank_at_end) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return nu_text(out, (size_t)(at - out));
}
