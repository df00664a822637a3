/* Byte classes and scans that the HTTP code shares. All scans stay inside the bytes they are given
 * and touch each once. */
#ifndef NU_PROTOCOLS_HTTP_CHARS_PRIV_H
#define NU_PROTOCOLS_HTTP_CHARS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    CH_TOKEN = 1,   /* tchar (RFC 9110 5.6.2) */
    CH_DIGIT = 2,   /* 0-9 */
    CH_HEX = 4,     /* 0-9 a-f A-F */
    CH_TARGET = 8,  /* visible ASCII but '#': a fragment has no place in a target (RFC 9112 3.2) */
    CH_HOST = 16,   /* of a reg-name, with '%' (RFC 3986 3.2.2) */
    CH_SCHEME = 32, /* after its first letter (RFC 3986 3.1) */
    CH_UNRESERVED = 64, /* (RFC 3986 2.3) */
};
extern const uint8_t nu_chars[256];

#define CH_FOLD UINT64_C(0x2020202020202020)
#define CH_LOW  UINT64_C(0x0101010101010101)
#define CH_HIGH UINT64_C(0x8080808080808080)

static inline bool ch_is(char c, unsigned classes)
{
    return nu_chars[(uint8_t)c] & classes;
}

/* 8 or 4 bytes, the first one lowest. */
static inline uint64_t ch_load8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

static inline uint64_t ch_load4(const char *p)
{
    uint32_t w;
    memcpy(&w, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap32(w);
#endif
    return w;
}

/* High bits mark the zero bytes of w; exact up to the lowest one. */
static inline uint64_t ch_zeros(uint64_t w)
{
    return (w - CH_LOW) & ~w & CH_HIGH;
}

/* High bits mark bytes under 0x20 and 0x7f; exact up to the lowest one. */
static inline uint64_t ch_controls(uint64_t w)
{
    return (((w - CH_FOLD) & ~w) | ch_zeros(w ^ CH_LOW * 0x7f)) & CH_HIGH;
}

static inline bool ch_is_control(char c)
{
    return ((uint8_t)c < 0x20 && c != '\t') || c == 0x7f;
}

#ifdef __SSE2__
/* Bits mark control characters that are no tabs. */
static inline unsigned ch_controls16(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

/* Bits mark bytes that are not CH_TARGET: outside of 0x21 to 0x7e, or '#'. */
static inline unsigned ch_strange16(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x21)); /* signed: from 0x80 on too */
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    __m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, del), hash));
}

/* Bits mark bytes equal to c. */
static inline unsigned ch_equal16(const char *p, char c)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(c)));
}

/* Bits mark bytes that are no letter, digit, "-" or ".": nearly all hosts are made of these. */
static inline unsigned ch_unusual16(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i mark = _mm_sub_epi8(v, _mm_set1_epi8('-')); /* "-", ".", "/", digits */
    letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8('z' - 'a')), letter);
    mark = _mm_cmpeq_epi8(_mm_min_epu8(mark, _mm_set1_epi8('9' - '-')), mark);
    mark = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('/')), mark);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, mark)) ^ 0xffff;
}
#endif

/* How many of `len` bytes from the first on are of these classes. */
static inline size_t ch_span(const char *p, size_t len, unsigned classes)
{
    size_t i = 0;
    while (i < len && ch_is(p[i], classes))
        i++;
    return i;
}

/* How many of `len` bytes stand before the first control character that is no tab. */
static inline size_t ch_text(const char *p, size_t len)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; len - i >= 16; i += 16) {
        unsigned found = ch_controls16(p + i);
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
#endif
    while (len - i >= 8) {
        uint64_t found = ch_controls(ch_load8(p + i));
        if (!found) {
            i += 8;
            continue;
        }
        i += (size_t)__builtin_ctzll(found) / 8;
        if (p[i] != '\t')
            return i;
        i++;
    }
    if (i < len && len >= 8) { /* the last 8 bytes: those before i go, zeros come in at the end */
        uint64_t rest = ch_load8(p + len - 8) >> 8 * (8 - (len - i));
        i += (size_t)__builtin_ctzll(ch_controls(rest)) / 8;
    }
    while (i < len && !ch_is_control(p[i]))
        i++;
    return i;
}

/* As ch_span for CH_TARGET. */
static inline size_t ch_target(const char *p, size_t len)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; len - i >= 16; i += 16) {
        unsigned found = ch_strange16(p + i);
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
#endif
    return i + ch_span(p + i, len - i, CH_TARGET);
}

/* As ch_span for CH_UNRESERVED. */
static inline size_t ch_unreserved(const char *p, size_t len)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; len - i >= 16; i += 16) {
        unsigned found = ch_unusual16(p + i);
        if (found) {
            i += (size_t)__builtin_ctz(found);
            break;
        }
    }
#endif
    return i + ch_span(p + i, len - i, CH_UNRESERVED);
}

/* How many of `len` bytes stand before the first `c`. */
static inline size_t ch_before(const char *p, size_t len, char c)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; len - i >= 16; i += 16) {
        unsigned found = ch_equal16(p + i, c);
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
#endif
    for (uint64_t all = CH_LOW * (uint8_t)c; len - i >= 8; i += 8) {
        uint64_t found = ch_zeros(ch_load8(p + i) ^ all);
        if (found)
            return i + (size_t)__builtin_ctzll(found) / 8;
    }
    while (i < len && p[i] != c)
        i++;
    return i;
}

/* Words differ in nothing but the case bit of letters, which is what has bit 6 in `is`, a word
 * without capitals, "@", brackets, "^", "_" or DEL. */
static inline bool ch_same_word(uint64_t w, uint64_t is)
{
    return ((w ^ is) & ~((is & CH_LOW * 0x40) >> 1)) == 0;
}

/* Equal to `is`, which has only small letters, digits and hyphens, but for the case of letters. */
static inline bool ch_is_name(const char *name, const char *is, size_t len)
{
    size_t i = 0;
    if (len < 4) {
        while (i < len && ch_same_word((uint8_t)name[i], (uint8_t)is[i]))
            i++;
        return i == len;
    }
    if (len < 8)
        return ch_same_word(ch_load4(name), ch_load4(is)) &&
               ch_same_word(ch_load4(name + len - 4), ch_load4(is + len - 4));
    for (; i + 8 < len; i += 8)
        if (!ch_same_word(ch_load8(name + i), ch_load8(is + i)))
            return false;
    return ch_same_word(ch_load8(name + len - 8), ch_load8(is + len - 8));
}

static inline char ch_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Equal but for the case of letters. */
static inline bool ch_equal_fold(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (ch_lower(a[i]) != ch_lower(b[i]))
            return false;
    return true;
}

/* 0 to 15; the byte must be CH_HEX. */
static inline unsigned ch_hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

#endif
