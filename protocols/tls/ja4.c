/* JA4; see ja4.h. Values reserved by RFC 8701 (GREASE) are passed over wherever they stand. */
#include "protocols/tls/ja4.h"

#include "core/assert.h"
#include "protocols/tls/hello_digest_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXT_SERVER_NAME 0
#define EXT_ALPN        16
#define HASH_DIGITS     12
#define COUNT_SHOWN_MAX 99
/* As many as a hello has room for: two bytes a cipher, four an extension. */
#define VALUES_MAX (NU_HELLO_MAX_BYTES / 2)

struct values {
    unsigned count;
    uint16_t value[VALUES_MAX];
};

const char *nu_ja4_carrier_str(enum nu_ja4_carrier carrier)
{
    static const char *const names[] = {"t", "q", "d"};
    nu_assert((unsigned)carrier < sizeof names / sizeof *names);
    return names[carrier];
}

/* --- the readable part --- */

static const char *version_text(unsigned version)
{
    static const struct {
        uint16_t version;
        const char *text;
    } rows[] = {
        {0x0304, "13"},
        {0x0303, "12"},
        {0x0302, "11"},
        {0x0301, "10"},
        {0x0300, "s3"},
        {0x0002, "s2"},
        {0xfeff, "d1"},
        {0xfefd, "d2"},
        {0xfefc, "d3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].version == version)
            return rows[i].text;
    return "00";
}

/* The highest one offered; the hello's own field where it offers none by extension. */
static unsigned highest_version(const struct nu_client_hello *ch)
{
    unsigned best = 0;
    for (unsigned i = 0; i < ch->versions.len / 2u; i++) {
        uint16_t version = nu_hello_u16(ch, ch->versions, i);
        if (!nu_hello_is_grease(version) && version > best)
            best = version;
    }
    return ch->versions.len ? best : ch->legacy_version;
}

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* First and last character of the first name, or of its hexadecimal form where one of the two is
 * neither letter nor digit; "00" without a name. */
static void alpn_text(const struct nu_client_hello *ch, char out[static 3])
{
    static const char hex[] = "0123456789abcdef";
    struct nu_hello_span name;
    unsigned at = 0;
    strcpy(out, "00");
    while (nu_hello_alpn_next(ch, &at, &name)) {
        const uint8_t *text = nu_hello_bytes(ch, name);
        uint8_t first = text[0], last = text[name.len - 1];
        if (name.len == 2 && nu_hello_is_grease((uint16_t)(first << 8 | last)))
            continue;
        bool plain = is_alphanumeric(first) && is_alphanumeric(last);
        out[0] = plain ? (char)first : hex[first >> 4];
        out[1] = plain ? (char)last : hex[last & 15];
        return;
    }
}

static unsigned shown(unsigned count)
{
    return count < COUNT_SHOWN_MAX ? count : COUNT_SHOWN_MAX;
}

/* --- the hashes --- */

static int by_value(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void sort(struct values *v)
{
    qsort(v->value, v->count, sizeof *v->value, by_value);
}

static void add(struct values *v, uint16_t value)
{
    nu_assert(v->count < VALUES_MAX);
    if (!nu_hello_is_grease(value))
        v->value[v->count++] = value;
}

static void take_list(const struct nu_client_hello *ch, struct nu_hello_span span, struct values *v)
{
    v->count = 0;
    for (unsigned i = 0; i < span.len / 2u; i++)
        add(v, nu_hello_u16(ch, span, i));
}

/* Those that are hashed; returns how many there are with the two that are told elsewhere. */
static unsigned take_extensions(const struct nu_client_hello *ch, struct values *v, bool *named)
{
    struct nu_hello_ext ext;
    unsigned at = 0, told = 0;
    v->count = 0;
    *named = false;
    while (nu_hello_ext_next(ch, &at, &ext)) {
        *named = *named || ext.type == EXT_SERVER_NAME;
        if (ext.type == EXT_SERVER_NAME || ext.type == EXT_ALPN)
            told++;
        else
            add(v, ext.type);
    }
    return v->count + told;
}

static void put_values(struct hello_digest *d, const struct values *v, const char *before)
{
    for (unsigned i = 0; i < v->count; i++) {
        char text[8];
        int len = snprintf(text, sizeof text, "%s%04x", i ? "," : before, v->value[i]);
        hello_digest_put(d, text, (size_t)len);
    }
}

/* Of nothing there is no hash, but zeros that say so. */
static bool end_hash(struct hello_digest *d, bool empty, char *out)
{
    bool fine = hello_digest_end(d, out, HASH_DIGITS);
    if (fine && empty)
        strcpy(out, "000000000000");
    return fine;
}

static bool hash_ciphers(const struct values *ciphers, char *out)
{
    struct hello_digest digest;
    hello_digest_start(&digest, EVP_sha256());
    put_values(&digest, ciphers, "");
    return end_hash(&digest, ciphers->count == 0, out);
}

/* `v` holds the sorted extensions and is used again for the signature algorithms. */
static bool hash_extensions(const struct nu_client_hello *ch, struct values *v, char *out)
{
    struct hello_digest digest;
    bool empty = v->count == 0;
    hello_digest_start(&digest, EVP_sha256());
    put_values(&digest, v, "");
    take_list(ch, ch->signatures, v);
    put_values(&digest, v, "_");
    return end_hash(&digest, empty, out);
}

bool nu_ja4(const struct nu_client_hello *ch, enum nu_ja4_carrier carrier,
            char out[static NU_JA4_BYTES])
{
    struct values v;
    char ciphers_hash[HASH_DIGITS + 1], extensions_hash[HASH_DIGITS + 1], alpn[3];
    bool named;
    take_list(ch, ch->ciphers, &v);
    unsigned ciphers = v.count;
    sort(&v);
    bool fine = hash_ciphers(&v, ciphers_hash);
    unsigned extensions = take_extensions(ch, &v, &named);
    sort(&v);
    fine = hash_extensions(ch, &v, extensions_hash) && fine;
    alpn_text(ch, alpn);
    snprintf(out, NU_JA4_BYTES, "%s%s%c%02u%02u%s_%s_%s", nu_ja4_carrier_str(carrier),
             version_text(highest_version(ch)), named ? 'd' : 'i', shown(ciphers),
             shown(extensions), alpn, ciphers_hash, extensions_hash);
    if (!fine)
        *out = 0;
    return fine;
}
