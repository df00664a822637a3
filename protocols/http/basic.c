/* Credentials in a field; see basic.h. */
#include "protocols/http/basic.h"

#include <string.h>
#include <strings.h>

const char *nu_basic_str(enum nu_basic result)
{
    static const char *const names[] = {"ok", "another scheme", "bad"};
    return (unsigned)result < sizeof names / sizeof *names ? names[result] : "?";
}

/* 0 to 63, or -1. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t without_padding(struct nu_text text)
{
    size_t len = text.len;
    for (int i = 0; i < 2 && text.len % 4 == 0 && len > 0 && text.at[len - 1] == '='; i++)
        len--;
    return len;
}

int nu_base64_decode(struct nu_text text, uint8_t *out, size_t max)
{
    size_t len = without_padding(text), n = 0;
    uint32_t bits = 0;
    if (len % 4 == 1 || len / 4 * 3 + len % 4 * 3 / 4 > max)
        return -1;
    for (size_t i = 0; i < len; i++) {
        int d = digit(text.at[i]);
        if (d < 0)
            return -1;
        bits = bits << 6 | (uint32_t)d;
        if (i % 4 > 0)
            out[n++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    return (int)n;
}

enum nu_basic nu_basic_read(struct nu_text value, char room[static NU_BASIC_MAX_BYTES],
                            struct nu_text *name, struct nu_text *password)
{
    static const char scheme[] = "basic ";
    size_t skip = sizeof scheme - 1;
    *name = *password = nu_text("", 0);
    if (value.len < skip || strncasecmp(value.at, scheme, skip) != 0)
        return NU_BASIC_OTHER;
    while (skip < value.len && value.at[skip] == ' ')
        skip++;
    int len = nu_base64_decode(nu_text(value.at + skip, value.len - skip), (uint8_t *)room,
                               NU_BASIC_MAX_BYTES);
    if (len < 0 || memchr(room, 0, (size_t)len))
        return NU_BASIC_BAD;
    const char *colon = memchr(room, ':', (size_t)len);
    if (!colon)
        return NU_BASIC_BAD;
    *name = nu_text(room, (size_t)(colon - room));
    *password = nu_text(colon + 1, (size_t)(room + len - colon - 1));
    return NU_BASIC_OK;
}
