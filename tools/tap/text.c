/* Writers of the lines for people; see text.h. */
#include "tools/tap/text.h"

#include "core/escape.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define NS_PER_S     INT64_C(1000000000)
#define DUMP_COLUMNS 16

void tap_out_free(struct tap_out *out)
{
    nu_logbuf_free(&out->buf);
    nu_logbuf_free(&out->scratch);
}

void tap_out_flush(struct tap_out *out)
{
    if (out->over_progress && out->buf.len)
        fputs("\r\033[K", stderr);
    fwrite(out->buf.data, 1, out->buf.len, out->file);
    nu_logbuf_reset(&out->buf);
}

static struct nu_logbuf *buf_of(struct tap_out *out)
{
    out->buf.limit = TAP_LINE_MAX;
    return &out->buf;
}

void tap_put(struct tap_out *out, const char *text)
{
    nu_logbuf_str(buf_of(out), text);
}

void tap_put_char(struct tap_out *out, char c)
{
    nu_logbuf_char(buf_of(out), c);
}

void tap_put_u64(struct tap_out *out, uint64_t n)
{
    nu_logbuf_u64(buf_of(out), n);
}

void tap_put_color(struct tap_out *out, enum tap_color color)
{
    static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[2m", "\033[32m",
                                        "\033[36m", "\033[33m", "\033[31m"};
    if (out->color)
        tap_put(out, codes[color]);
}

/* --- times and sizes --- */

void tap_put_clock(struct tap_out *out, int64_t ns)
{
    int64_t second = ns / NS_PER_S, rest = ns % NS_PER_S;
    if (rest < 0) {
        rest += NS_PER_S;
        second--;
    }
    if (!*out->clock || second != out->second) {
        struct tm tm;
        time_t t = (time_t)second;
        if (!localtime_r(&t, &tm) || !strftime(out->clock, sizeof out->clock, "%H:%M:%S", &tm))
            strcpy(out->clock, "??:??:??");
        out->second = second;
    }
    char fraction[8];
    unsigned ms = (unsigned)(rest / 1000000);
    fraction[0] = '.';
    fraction[1] = (char)('0' + ms / 100);
    fraction[2] = (char)('0' + ms / 10 % 10);
    fraction[3] = (char)('0' + ms % 10);
    fraction[4] = 0;
    tap_put(out, out->clock);
    tap_put(out, fraction);
}

void tap_put_size(struct tap_out *out, uint64_t bytes)
{
    static const char units[] = "BkMGTPE";
    char text[32];
    double n = (double)bytes;
    unsigned unit = 0;
    for (; n >= 999.5 && unit < sizeof units - 2; unit++)
        n /= 1000;
    snprintf(text, sizeof text, unit && n < 9.95 ? "%.1f%c" : "%.0f%c", n, units[unit]);
    tap_put(out, text);
}

void tap_put_duration(struct tap_out *out, int64_t ns)
{
    char text[32];
    double ms = (double)ns / 1e6;
    if (fabs(ms) < 99.95)
        snprintf(text, sizeof text, "%.1fms", ms);
    else if (fabs(ms) < 999.5)
        snprintf(text, sizeof text, "%.0fms", ms);
    else
        snprintf(text, sizeof text, "%.2fs", ms / 1e3);
    tap_put(out, text);
}

/* --- texts of the wire --- */

/* What moves the cursor or turns writing around is no character: C0, C1, marks of direction. */
static bool is_drawn(uint32_t code)
{
    bool turns = code == 0xad || code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
                 (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
                 code == 0xfeff || (code >= 0xfff0 && code <= 0xfffb) || code >= 0xe0000;
    return code >= ' ' && !(code >= 0x7f && code < 0xa0) && !turns;
}

static void put_escaped(struct tap_out *out, uint8_t byte)
{
    static const char named[] = "\n\r\t", letters[] = "nrt", hex[] = "0123456789abcdef";
    const char *at = byte ? strchr(named, byte) : NULL;
    char text[5] = {'\\', 'x', hex[byte >> 4], hex[byte & 15], 0};
    if (at) {
        text[1] = letters[at - named];
        text[2] = 0;
    }
    tap_put(out, text);
}

/* Bytes at the front that stand for themselves: plain ASCII. */
static size_t plain_run(const char *at, size_t len)
{
    size_t n = 0;
    while (n < len && at[n] >= ' ' && at[n] < 0x7f && at[n] != '\\')
        n++;
    return n;
}

void tap_put_safe(struct tap_out *out, struct nu_text text, size_t max)
{
    bool cut = max && text.len > max;
    const char *end = text.at + (cut ? max : text.len);
    for (const char *at = text.at; at < end;) {
        size_t run = plain_run(at, (size_t)(end - at));
        if (run) {
            nu_logbuf_add(buf_of(out), at, run);
            at += run;
            continue;
        }
        uint32_t code;
        size_t len = nu_utf8_decode(at, (size_t)(end - at), &code);
        if (*at == '\\')
            tap_put(out, "\\\\");
        else if (len > 1 && is_drawn(code))
            nu_logbuf_add(buf_of(out), at, len);
        else
            for (size_t i = 0; i < (len ? len : 1); i++)
                put_escaped(out, (uint8_t)at[i]);
        at += len ? len : 1;
    }
    if (cut)
        tap_put(out, "...");
}

bool tap_is_text(const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint32_t code;
        size_t n = nu_utf8_decode((const char *)bytes + at, len - at, &code);
        if (!n && at + 4 > len && at)
            return true; /* cut in the middle of a letter */
        if (!n || (!is_drawn(code) && !strchr("\r\n\t", (int)code)) || !code)
            return false;
        at += n;
    }
    return true;
}

/* Lines, their ends off; a carriage return before it, too. */
static void put_lines(struct tap_out *out, const char *margin, struct nu_text text)
{
    while (text.len) {
        const char *end = memchr(text.at, '\n', text.len);
        size_t len = end ? (size_t)(end - text.at) : text.len;
        size_t shown = len && text.at[len - 1] == '\r' ? len - 1 : len;
        tap_put(out, margin);
        tap_put_safe(out, nu_text(text.at, shown), 0);
        tap_put_char(out, '\n');
        len += end ? 1 : 0;
        text = nu_text(text.at + len, text.len - len);
    }
}

static void put_dump(struct tap_out *out, const char *margin, const uint8_t *bytes, size_t len)
{
    char text[32];
    for (size_t at = 0; at < len; at += DUMP_COLUMNS) {
        snprintf(text, sizeof text, "%06zx ", at);
        tap_put(out, margin);
        tap_put(out, text);
        for (size_t i = at; i < at + DUMP_COLUMNS; i++) {
            snprintf(text, sizeof text, i < len ? " %02x" : "   ", i < len ? bytes[i] : 0u);
            tap_put(out, text);
        }
        tap_put(out, "  ");
        for (size_t i = at; i < at + DUMP_COLUMNS && i < len; i++)
            tap_put_char(out, bytes[i] >= ' ' && bytes[i] < 0x7f ? (char)bytes[i] : '.');
        tap_put_char(out, '\n');
    }
}

void tap_put_body(struct tap_out *out, const char *margin, const uint8_t *bytes, size_t len)
{
    if (tap_is_text(bytes, len))
        put_lines(out, margin, nu_text((const char *)bytes, len));
    else
        put_dump(out, margin, bytes, len);
}
