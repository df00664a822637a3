/* Escaping for log lines; see escape.h. */
#include "core/escape.h"

#include <string.h>

static const char hex[] = "0123456789abcdef";

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

bool nu_escape_plain(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_plain((unsigned char)bytes[i]))
            return false;
    return true;
}

size_t nu_utf8_decode(const char *bytes, size_t len, uint32_t *code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)bytes;
    *code = len ? p[0] : 0;
    if (len == 0 || p[0] < 0x80)
        return len != 0;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > len)
        return 0;
    uint32_t value = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    if (value < smallest[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 0;
    *code = value;
    return n;
}

/* Appends all of it or nothing. */
static bool add_whole(struct nu_logbuf *out, const char *bytes, size_t len)
{
    size_t before = out->len;
    nu_logbuf_add(out, bytes, len);
    if (out->len - before == len)
        return true;
    out->len = before;
    return false;
}

static size_t plain_run(const char *bytes, size_t len)
{
    size_t n = 0;
    while (n < len && is_plain((unsigned char)bytes[n]))
        n++;
    return n;
}

void nu_escape_text(struct nu_logbuf *out, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        size_t run = plain_run(bytes + i, len - i);
        nu_logbuf_add(out, bytes + i, run);
        i += run;
        if (i == len)
            return;
        unsigned char c = (unsigned char)bytes[i];
        char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
        if (!add_whole(out, escape, sizeof escape))
            return;
    }
}

/* One code point that is not plain ASCII; false when it did not fit. */
static bool add_json(struct nu_logbuf *out, const char *bytes, size_t len, uint32_t code)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, letter */
    if (code >= 0xa0)
        return add_whole(out, bytes, len);
    for (const char *p = named; *p; p += 2)
        if (code == (unsigned char)*p)
            return add_whole(out, (char[2]){'\\', p[1]}, 2);
    return add_whole(out, (char[6]){'\\', 'u', '0', '0', hex[code >> 4 & 15], hex[code & 15]}, 6);
}

void nu_escape_json(struct nu_logbuf *out, const char *bytes, size_t len)
{
    while (len) {
        size_t run = plain_run(bytes, len);
        nu_logbuf_add(out, bytes, run);
        bytes += run;
        len -= run;
        if (!len)
            return;
        uint32_t code;
        size_t step = nu_utf8_decode(bytes, len, &code);
        bool fits = step ? add_json(out, bytes, step, code) : add_whole(out, "\\ufffd", 6);
        if (!fits)
            return;
        step += !step;
        bytes += step;
        len -= step;
    }
}
