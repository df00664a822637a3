/* Characters of a config text: UTF-8, what a terminal shows, and where lines start. Lines break
 * where libyaml breaks them, so that its marks and ours agree. */
#include "core/conf/conf_priv.h"

#include <string.h>

unsigned nu_text_decode(const char *s, size_t len, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000}; /* shorter forms are overlong */
    unsigned char c = (unsigned char)*s;
    unsigned n = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
    *code = n == 1 ? c : c & (0x7fu >> n);
    if (n == 0 || n > len)
        return 0;
    for (unsigned i = 1; i < n; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | ((unsigned char)s[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
    return *code < least[n] || *code > 0x10ffff || surrogate ? 0 : n;
}

struct range {
    uint32_t first, last;
};

static bool in_ranges(const struct range *r, size_t count, uint32_t code)
{
    for (size_t i = 0; i < count; i++)
        if (code >= r[i].first && code <= r[i].last)
            return true;
    return false;
}

#define IN(table, code) in_ranges(table, sizeof(table) / sizeof *(table), code)

bool nu_text_printable(uint32_t code)
{
    /* controls, zero-width and direction marks (they make a line look like another), specials */
    static const struct range hidden[] = {
        {0,        0x1f      },
        {0x7f,     0x9f      },
        {0xad,     0xad      },
        {0x200b,   0x200f    },
        {0x2028,   0x202e    },
        {0x2060,   0x206f    },
        {0xd800,   0xdfff    },
        {0xfeff,   0xfeff    },
        {0xfff0,   0xfffb    },
        {0xfffe,   0xffff    },
        {0xe0000,  0xe0fff   },
        {0x110000, UINT32_MAX}
    };
    return code >= 0x20 && (code < 0x7f || !IN(hidden, code));
}

unsigned nu_text_columns(uint32_t code)
{
    static const struct range none[] = {
        {0x300,  0x36f },
        {0x20d0, 0x20ff},
        {0xfe00, 0xfe0f}
    };
    static const struct range wide[] = {
        {0x1100,  0x115f },
        {0x2e80,  0xa4cf },
        {0xac00,  0xd7a3 },
        {0xf900,  0xfaff },
        {0xfe30,  0xfe6f },
        {0xff00,  0xff60 },
        {0x1f300, 0x1faff},
        {0x20000, 0x3fffd}
    };
    if (code < 0x300)
        return 1;
    return IN(none, code) ? 0 : IN(wide, code) ? 2 : 1;
}

/* Bytes of the line break at s: CR LF, LF, CR, NEL, LS, PS; 0 if there is none. */
static unsigned break_len(const char *s, size_t len)
{
    if (s[0] == '\n')
        return 1;
    if (s[0] == '\r')
        return len > 1 && s[1] == '\n' ? 2 : 1;
    if (len > 1 && memcmp(s, "\xc2\x85", 2) == 0)
        return 2;
    if (len > 2 && (memcmp(s, "\xe2\x80\xa8", 3) == 0 || memcmp(s, "\xe2\x80\xa9", 3) == 0))
        return 3;
    return 0;
}

static bool may_break(char c)
{
    return c == '\n' || c == '\r' || c == '\xc2' || c == '\xe2';
}

size_t nu_text_line_len(const char *text, size_t len, size_t at)
{
    size_t end = at;
    while (end < len && !(may_break(text[end]) && break_len(text + end, len - end)))
        end++;
    return end - at;
}

size_t nu_text_next_line(const char *text, size_t len, size_t at)
{
    at += nu_text_line_len(text, len, at);
    return at < len ? at + break_len(text + at, len - at) : len;
}

size_t nu_text_seek(struct nu_conf *conf, uint32_t line)
{
    struct nu_text_cursor *c = &conf->cursor;
    if (c->line == 0 || c->line > line)
        *c = (struct nu_text_cursor){0, 1};
    while (c->line < line && c->at < conf->len) {
        c->at = nu_text_next_line(conf->text, conf->len, c->at);
        c->line++;
    }
    return c->at;
}

void nu_text_advance(const struct nu_conf *conf, size_t from, size_t to, struct nu_place *place)
{
    size_t next;
    while ((next = nu_text_next_line(conf->text, conf->len, from)) <= to && next < conf->len) {
        from = next;
        place->line++;
        place->column = 1;
    }
    for (; from < to; place->column++) {
        uint32_t code;
        unsigned n = nu_text_decode(conf->text + from, to - from, &code);
        from += n ? n : 1;
    }
}

/* What libyaml takes unescaped (YAML 1.1, 5.1). */
static bool allowed(uint32_t code)
{
    if (code < 0x20)
        return code == '\t' || code == '\n' || code == '\r';
    if (code < 0xa0)
        return code < 0x7f || code == 0x85;
    return code != 0xfeff && code != 0xfffe && code != 0xffff;
}

static enum nu_err refuse(struct nu_conf *conf, size_t at, unsigned bytes, uint32_t code)
{
    struct nu_place place = {1, 1, 1};
    nu_text_advance(conf, 0, at, &place);
    if (bytes == 0)
        nu_conf_error_at(conf, place, NULL, "not UTF-8 text: byte 0x%02x",
                         (unsigned char)conf->text[at]);
    else if (code == 0)
        nu_conf_error_at(conf, place, NULL, "a NUL byte: is this a text file?");
    else
        nu_conf_error_at(conf, place, NULL, "control character U+%04X; write it as \"\\%s%0*x\"",
                         code, code < 0x100 ? "x" : "u", code < 0x100 ? 2 : 4, code);
    return NU_ERR_SYNTAX;
}

enum nu_err nu_text_check(struct nu_conf *conf)
{
    const char *text = conf->text;
    for (size_t i = 0; i < conf->len;) {
        if (text[i] >= 0x20 && text[i] < 0x7f) {
            i++;
            continue;
        }
        uint32_t code;
        unsigned n = nu_text_decode(text + i, conf->len - i, &code);
        if (n == 0 || !allowed(code))
            return refuse(conf, i, n, code);
        i += n;
    }
    return NU_OK;
}
