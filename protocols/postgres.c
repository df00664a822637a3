/* The first packet of a Postgres connection; see postgres.h. */
#include "protocols/postgres.h"

#include "core/assert.h"

#include <stdio.h>
#include <string.h>

#define TLS_HANDSHAKE 22 /* a record's first byte; a length would not begin with it */
#define CODE_CANCEL   80877102u
#define CODE_SSL      80877103u
#define CODE_GSSENC   80877104u
#define CANCEL_MIN    16         /* a 4-byte key, as up to version 17 */
#define CANCEL_MAX    (12 + 256) /* longer keys since protocol 3.2 */

const uint8_t nu_pg_ssl_request[NU_PG_HEAD_BYTES] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};

const char *nu_pg_first_str(enum nu_pg_first first)
{
    static const char *const names[] = {"SSLRequest", "GSSENCRequest", "CancelRequest",
                                        "StartupMessage", "TLS ClientHello"};
    nu_assert((unsigned)first < sizeof names / sizeof *names);
    return names[first];
}

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A length of at most NU_PG_MAX_BYTES, as far as it has come. */
static enum nu_err check_length(const uint8_t *data, size_t len)
{
    uint8_t head[4] = {0, 0, 0, NU_PG_HEAD_BYTES};
    memcpy(head, data, len < sizeof head ? len : sizeof head);
    if (len < sizeof head)
        head[3] = 0;
    uint32_t length = u32(head);
    if (length > NU_PG_MAX_BYTES || (len >= sizeof head && length < NU_PG_HEAD_BYTES))
        return NU_NOT_THIS;
    return len < NU_PG_HEAD_BYTES ? NU_MORE : NU_OK;
}

/* Codes of packets, and how long those may be. Protocol versions have their own row: 2 and 3, the
 * server says which minor ones it speaks. */
static const struct {
    uint32_t code, mask, min, max;
    enum nu_pg_first first;
} codes[] = {
    {CODE_SSL,    UINT32_MAX, NU_PG_HEAD_BYTES, NU_PG_HEAD_BYTES, NU_PG_SSL_REQUEST   },
    {CODE_GSSENC, UINT32_MAX, NU_PG_HEAD_BYTES, NU_PG_HEAD_BYTES, NU_PG_GSSENC_REQUEST},
    {CODE_CANCEL, UINT32_MAX, CANCEL_MIN,       CANCEL_MAX,       NU_PG_CANCEL_REQUEST},
    {3u << 16,    0xffff0000, NU_PG_HEAD_BYTES, NU_PG_MAX_BYTES,  NU_PG_STARTUP       },
    {2u << 16,    0xffff0000, NU_PG_HEAD_BYTES, NU_PG_MAX_BYTES,  NU_PG_STARTUP       },
};

enum nu_err nu_pg_first_read(const uint8_t *data, size_t len, enum nu_pg_first *out)
{
    *out = NU_PG_STARTUP;
    if (len == 0)
        return NU_MORE;
    if (data[0] == TLS_HANDSHAKE) {
        *out = NU_PG_TLS_HELLO;
        return NU_OK;
    }
    enum nu_err err = check_length(data, len);
    if (err != NU_OK)
        return err;
    uint32_t length = u32(data), code = u32(data + 4);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if ((code & codes[i].mask) == codes[i].code && length >= codes[i].min &&
            length <= codes[i].max) {
            *out = codes[i].first;
            return NU_OK;
        }
    return NU_NOT_THIS;
}

size_t nu_pg_error(uint8_t out[static NU_PG_ERROR_MAX], const char *sqlstate, const char *message)
{
    char fields[NU_PG_ERROR_MAX - 5];
    int n =
        snprintf(fields, sizeof fields - 1, "SFATAL%cVFATAL%cC%s%cM%s", 0, 0, sqlstate, 0, message);
    nu_assert(n > 0 && strlen(sqlstate) == 5);
    size_t len = (size_t)n < sizeof fields - 2 ? (size_t)n : sizeof fields - 2;
    fields[len] = fields[len + 1] = 0;
    len += 2;
    size_t length = 4 + len;
    memcpy(out, (uint8_t[]){'E', 0, 0, (uint8_t)(length >> 8), (uint8_t)length}, 5);
    memcpy(out + 5, fields, len);
    return 5 + len;
}
