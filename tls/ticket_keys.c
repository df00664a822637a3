/* Ticket keys out of a file's bytes; see ticket_keys.h. */
#include "tls/ticket_keys.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#define LONG_BYTES  80u
#define SHORT_BYTES 48u
#define BASE64_MAX  108u /* of LONG_BYTES */

/* The short form has the AES key before the HMAC key, the long one behind it (nginx). */
static bool read_raw(const uint8_t *raw, size_t len, struct nu_ticket_key *key)
{
    if (len != LONG_BYTES && len != SHORT_BYTES)
        return false;
    *key = (struct nu_ticket_key){.half = len == LONG_BYTES ? 32 : 16};
    memcpy(key->name, raw, sizeof key->name);
    raw += sizeof key->name;
    memcpy(len == LONG_BYTES ? key->hmac : key->aes, raw, key->half);
    memcpy(len == LONG_BYTES ? key->aes : key->hmac, raw + key->half, key->half);
    return true;
}

static bool read_line(const uint8_t *line, size_t len, struct nu_ticket_key *key)
{
    uint8_t raw[BASE64_MAX];
    if (len == 0 || len > BASE64_MAX || len % 4 || memchr(line, '=', len - 2))
        return false;
    int n = EVP_DecodeBlock(raw, line, (int)len);
    if (n < 0)
        return false;
    n -= (line[len - 1] == '=') + (line[len - 2] == '=');
    bool good = read_raw(raw, (size_t)n, key);
    OPENSSL_cleanse(raw, sizeof raw);
    return good;
}

static enum nu_err wrong(enum nu_err err, const char *what, const char **why)
{
    *why = what;
    return err;
}

static size_t trimmed(const uint8_t *line, size_t len)
{
    while (len && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    return len;
}

enum nu_err nu_ticket_keys_parse(const uint8_t *text, size_t len, struct nu_ticket_key *out,
                                 unsigned most, unsigned *count, unsigned *seal, const char **why)
{
    *why = NULL;
    *count = *seal = 0;
    if (most && read_raw(text, len, out)) {
        *count = 1;
        return NU_OK;
    }
    for (size_t at = 0; at < len;) {
        const uint8_t *line = text + at, *end = memchr(line, '\n', len - at);
        size_t whole = end ? (size_t)(end - line) : len - at, n = trimmed(line, whole);
        at += whole + 1;
        if (n == 0)
            continue;
        if (*count == most)
            return wrong(NU_ERR_LIMIT, "too many ticket keys", why);
        if (!read_line(line, n, &out[*count]))
            return wrong(NU_ERR_SYNTAX,
                         "neither 80 or 48 bytes nor lines of as many in Base64: no ticket key",
                         why);
        ++*count;
    }
    if (*count == 0)
        return wrong(NU_ERR_SYNTAX, "holds no ticket key", why);
    *seal = *count > 1 ? *count - 2 : 0; /* the last one only opens until all machines have it */
    return NU_OK;
}
