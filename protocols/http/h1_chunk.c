/* Chunked bodies (RFC 9112 7.1), byte by byte but for the data. Extensions are checked against
 * their grammar, bounded, and dropped. */
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"

#include <stdint.h>

/* Where in the extensions we are, RFC 9112 7.1.1 with its BWS; rows of next_ext. */
enum ext {
    EXT_NONE,   /* at the size's or a quoted value's end */
    EXT_BLANK,  /* white space, a semicolon must come */
    EXT_SEMI,   /* behind a semicolon */
    EXT_NAME,   /* in a name */
    EXT_NAMED,  /* white space behind it */
    EXT_EQUALS, /* behind "=" */
    EXT_VALUE,  /* in a token value */
    EXT_QUOTED, /* in a quoted one */
    EXT_ESCAPE, /* behind its backslash */
    EXT_STATES,
    EXT_BAD = EXT_STATES,
    EXT_DONE, /* CR */
};

enum kind { K_TOKEN, K_BLANK, K_SEMI, K_EQUALS, K_QUOTE, K_ESCAPE, K_CR, K_TEXT, K_BAD, KINDS };

static const uint8_t next_ext[EXT_STATES][KINDS] = {
#define ____ EXT_BAD
  /* a token character, blank, ;, =, ", \, CR, other text, anything else */
    [EXT_NONE] = {____,       EXT_BLANK,  EXT_SEMI,   ____,       ____,       ____,       EXT_DONE, ____, ____},
    [EXT_BLANK] = {____,       EXT_BLANK,  EXT_SEMI,   ____,       ____,       ____,       ____,     ____, ____},
    [EXT_SEMI] = {EXT_NAME,   EXT_SEMI,   ____,       ____,       ____,       ____,       ____,     ____, ____},
    [EXT_NAME] = {EXT_NAME,   EXT_NAMED,  EXT_SEMI,   EXT_EQUALS, ____,       ____,       EXT_DONE, ____, ____},
    [EXT_NAMED] = {____,       EXT_NAMED,  EXT_SEMI,   EXT_EQUALS, ____,       ____,       ____,     ____, ____},
    [EXT_EQUALS] = {EXT_VALUE,  EXT_EQUALS, ____,       ____,       EXT_QUOTED, ____,       ____,     ____, ____},
    [EXT_VALUE] = {EXT_VALUE,  EXT_BLANK,  EXT_SEMI,   ____,       ____,       ____,       EXT_DONE, ____, ____},
    [EXT_QUOTED] = {EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_NONE,   EXT_ESCAPE, ____,
                  EXT_QUOTED,                                                                             ____},
    [EXT_ESCAPE] = {EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, ____,
                  EXT_QUOTED,                                                                             ____},
#undef ____
};

static enum kind kind_of(char c)
{
    static const char marks[] = {
        [K_SEMI] = ';', [K_EQUALS] = '=', [K_QUOTE] = '"', [K_ESCAPE] = '\\', [K_CR] = '\r'};
    if (ch_is(c, CH_TOKEN))
        return K_TOKEN;
    if (c == ' ' || c == '\t')
        return K_BLANK;
    for (unsigned k = K_SEMI; k <= K_CR; k++)
        if (c == marks[k])
            return k;
    return ch_is_control(c) ? K_BAD : K_TEXT;
}

/* The size is known, its line over; what follows is most often at hand. */
static inline enum nu_h1_event size_done(struct nu_h1_parser *p, struct nu_slice *in,
                                         struct nu_h1_out *out)
{
    uint64_t cap = p->limits->body_bytes;
    p->digits = 0;
    if (cap && p->left > cap - p->body_bytes)
        return h1_fail(p, NU_H1_BODY_LARGE);
    h1_go(p, p->left ? H1_CHUNK : H1_TRAILERS);
    return p->left ? h1_chunk_data(p, in, out) : h1_trailers(p, in, out);
}

/* Both bytes at once, where they are at hand; else the steps for one byte look at them. */
static bool takes_crlf(struct nu_slice *in)
{
    if (in->len < 2 || in->data[0] != '\r' || in->data[1] != '\n')
        return false;
    h1_skip(in, 2);
    return true;
}

/* False: the digits say more than we count. */
static bool read_digits(struct nu_h1_parser *p, struct nu_slice *in)
{
    const char *begin = (const char *)in->data, *at = begin, *end = begin + in->len;
    uint64_t left = p->left;
    unsigned digits = p->digits;
    bool fine = true;
    for (; at < end && ch_is(*at, CH_HEX); at++) {
        fine = ++digits <= NU_H1_CHUNK_DIGITS_MAX && left <= INT64_MAX >> 4;
        if (!fine)
            break;
        left = left << 4 | ch_hex(*at);
    }
    p->left = left;
    p->digits = (uint8_t)digits;
    h1_skip(in, (size_t)(at - begin));
    return fine;
}

enum nu_h1_event h1_chunk_size(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out)
{
    if (!read_digits(p, in))
        return h1_fail(p, NU_H1_CHUNK_RANGE);
    if (in->len == 0)
        return NU_H1_MORE;
    if (p->digits == 0)
        return h1_fail(p, NU_H1_CHUNK_SIZE);
    if (takes_crlf(in))
        return size_done(p, in, out);
    p->ext = EXT_NONE;
    p->line_ext = 0;
    h1_go(p, H1_EXT);
    return H1_AGAIN;
}

/* A bad byte right behind the digits belongs to the size. */
static enum nu_h1_error bad_ext(const struct nu_h1_parser *p, char c)
{
    if (c == '\n')
        return NU_H1_BARE_LF;
    return p->line_ext == 0 ? NU_H1_CHUNK_SIZE : NU_H1_CHUNK_EXT;
}

enum nu_h1_event h1_chunk_ext(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out)
{
    (void)out;
    while (in->len > 0) {
        char c = (char)*in->data;
        unsigned next = next_ext[p->ext][kind_of(c)];
        if (next == EXT_BAD)
            return h1_fail(p, bad_ext(p, c));
        h1_skip(in, 1);
        if (next == EXT_DONE) {
            h1_go(p, H1_SIZE_LF);
            return H1_AGAIN;
        }
        p->ext = (uint8_t)next;
        if (++p->line_ext > NU_H1_CHUNK_EXT_MAX ||
            ++p->ext_bytes > NU_H1_CHUNK_EXT_BUDGET + p->body_bytes)
            return h1_fail(p, NU_H1_CHUNK_EXT_LONG);
    }
    return NU_H1_MORE;
}

static bool takes(struct nu_slice *in, char c)
{
    if (*in->data != (uint8_t)c)
        return false;
    h1_skip(in, 1);
    return true;
}

enum nu_h1_event h1_chunk_size_lf(struct nu_h1_parser *p, struct nu_slice *in,
                                  struct nu_h1_out *out)
{
    if (in->len == 0)
        return NU_H1_MORE;
    if (!takes(in, '\n'))
        return h1_fail(p, NU_H1_BARE_CR);
    return size_done(p, in, out);
}

/* The CRLF behind the data goes with its last bytes where it is at hand. */
enum nu_h1_event h1_chunk_data(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out)
{
    if (in->len == 0)
        return NU_H1_MORE;
    h1_split(in, p->left, &out->data);
    p->left -= out->data.len;
    p->body_bytes += out->data.len;
    if (p->left == 0)
        h1_go(p, takes_crlf(in) ? H1_SIZE : H1_CHUNK_CR);
    return NU_H1_DATA;
}

enum nu_h1_event h1_chunk_cr(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out)
{
    (void)out;
    if (in->len == 0)
        return NU_H1_MORE;
    if (!takes(in, '\r'))
        return h1_fail(p, NU_H1_CHUNK_END);
    h1_go(p, H1_CHUNK_LF);
    return H1_AGAIN;
}

enum nu_h1_event h1_chunk_lf(struct nu_h1_parser *p, struct nu_slice *in, struct nu_h1_out *out)
{
    (void)out;
    if (in->len == 0)
        return NU_H1_MORE;
    if (!takes(in, '\n'))
        return h1_fail(p, NU_H1_CHUNK_END);
    h1_go(p, H1_SIZE);
    return H1_AGAIN;
}
