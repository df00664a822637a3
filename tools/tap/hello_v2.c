/* From SSL 2's ClientHello to TLS's; see hello_v2.h. */
#include "tools/tap/hello_v2.h"

#include <string.h>

#define FRONT     11 /* bytes: length, type, version, three lengths */
#define RANDOM    32
#define CIPHER    3 /* bytes of one; the first is 0 where it is TLS's */
#define ID_MOST   32
#define CHALLENGE 16 /* bytes at least */

static size_t be16(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* Lengths of what follows the front. */
struct sizes {
    size_t whole, ciphers, id, challenge;
};

static enum nu_err look(struct nu_piece in, struct sizes *s)
{
    const uint8_t *p = in.data;
    if ((in.len > 0 && !(p[0] & 0x80)) || (in.len > 2 && p[2] != 1) || (in.len > 3 && p[3] != 3))
        return NU_NOT_THIS;
    if (in.len < FRONT)
        return NU_MORE;
    *s = (struct sizes){2 + (be16(p) & 0x7fff), be16(p + 5), be16(p + 7), be16(p + 9)};
    bool fits = s->whole == FRONT + s->ciphers + s->id + s->challenge;
    if (!fits || s->whole > TAP_HELLO_V2_MAX || !s->ciphers || s->ciphers % CIPHER ||
        s->id > ID_MOST || s->challenge < CHALLENGE || s->challenge > RANDOM)
        return NU_NOT_THIS;
    return in.len < s->whole ? NU_MORE : NU_OK;
}

static uint8_t *put16(uint8_t *at, size_t n)
{
    at[0] = (uint8_t)(n >> 8);
    at[1] = (uint8_t)n;
    return at + 2;
}

static uint8_t *put_ciphers(uint8_t *at, const uint8_t *from, size_t len)
{
    uint8_t *count = at;
    at += 2;
    for (size_t i = 0; i < len; i += CIPHER)
        if (from[i] == 0) {
            memcpy(at, from + i + 1, 2);
            at += 2;
        }
    put16(count, (size_t)(at - count - 2));
    return at;
}

enum nu_err tap_hello_v2(struct nu_piece in, struct tap_hello_v2 *out)
{
    struct sizes s;
    enum nu_err err = look(in, &s);
    if (err)
        return err;
    const uint8_t *ciphers = in.data + FRONT, *id = ciphers + s.ciphers;
    uint8_t *body = out->record + 9, *at = body;
    memcpy(at, in.data + 3, 2);
    memset(at + 2, 0, RANDOM); /* the challenge is its end */
    memcpy(at + 2 + RANDOM - s.challenge, id + s.id, s.challenge);
    at += 2 + RANDOM;
    *at++ = (uint8_t)s.id;
    memcpy(at, id, s.id);
    at = put_ciphers(at + s.id, ciphers, s.ciphers);
    *at++ = 1; /* no compression */
    *at++ = 0;
    memcpy(out->record, "\x16\x03\x01\0\0\1\0", 7);
    put16(out->record + 3, (size_t)(at - body) + 4);
    put16(out->record + 7, (size_t)(at - body));
    out->len = (size_t)(at - out->record);
    out->used = s.whole;
    return NU_OK;
}
