/* Lines of write_keys.h. */
#include "tools/tap/write_keys.h"

#include <stdio.h>

#define TLS13_KEYS                                                                                 \
    (1u << NU_SECRET_CLIENT_HANDSHAKE | 1u << NU_SECRET_SERVER_HANDSHAKE |                         \
     1u << NU_SECRET_CLIENT_TRAFFIC | 1u << NU_SECRET_SERVER_TRAFFIC)

static size_t put_hex(char *at, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        at[2 * i] = digits[bytes[i] >> 4];
        at[2 * i + 1] = digits[bytes[i] & 15];
    }
    return 2 * len;
}

/* "CLIENT_RANDOM 00.. 11..\n"; an RSA premaster's id has 8 bytes. */
static size_t put_line(char line[static TAP_KEY_LINE_MAX], const uint8_t *id, enum nu_secret kind,
                       const uint8_t *secret, size_t len)
{
    size_t n = (size_t)snprintf(line, TAP_KEY_LINE_MAX, "%s ", nu_secret_str(kind));
    n += put_hex(line + n, id, kind == NU_SECRET_PREMASTER ? 8 : NU_SECRET_ID_BYTES);
    line[n++] = ' ';
    n += put_hex(line + n, secret, len);
    line[n++] = '\n';
    return n;
}

size_t tap_key_lines(struct tap_key_id *id, const struct nu_secrets *secrets,
                     char out[static TAP_KEY_LINES_MAX])
{
    size_t at = 0;
    for (unsigned kind = 0; kind < NU_SECRET_KINDS; kind++) {
        size_t len;
        const uint8_t *secret =
            id->written & 1u << kind
                ? NULL
                : nu_secrets_find(secrets, id->bytes, (enum nu_secret)kind, &len);
        if (!secret)
            continue;
        at += put_line(out + at, id->bytes, (enum nu_secret)kind, secret, len);
        id->written |= (uint8_t)(1u << kind);
    }
    return at;
}

bool tap_key_has_all(const struct tap_key_id *id)
{
    return id->written & 1u << NU_SECRET_MASTER || id->written & 1u << NU_SECRET_PREMASTER ||
           (id->written & TLS13_KEYS) == TLS13_KEYS;
}
