/* Records to handshake message: the outer half of the ClientHello reader. Strips record headers,
 * finds the message's end, gathers it where it is scattered; client_hello_body.c reads what is in
 * it. See client_hello.h for the contract. */
#include "protocols/tls/client_hello.h"

#include "core/assert.h"
#include "protocols/tls/client_hello_priv.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_HEAD       5  /* type, version, length */
#define RECORD_HANDSHAKE  22 /* ContentType (RFC 8446 5.1) */
#define RECORD_MAX_BYTES  16384
#define MESSAGE_HEAD      4 /* type, 24-bit length (RFC 8446 4) */
#define OWN_FIRST_BYTES   512
#define MESSAGE_MAX_BYTES (MESSAGE_HEAD + NU_HELLO_MAX_BYTES)

void nu_client_hello_init(struct nu_client_hello *ch)
{
    memset(ch, 0, sizeof *ch);
    ch->result = NU_MORE;
}

void nu_client_hello_free(struct nu_client_hello *ch)
{
    free(ch->own);
    ch->own = NULL;
    ch->own_len = ch->own_cap = 0;
}

static enum nu_err stop(struct nu_client_hello *ch, enum nu_err result, const char *reason)
{
    ch->reason = reason;
    return ch->result = result;
}

/* In the first record header a surprise means another protocol; later it breaks a hello. */
static enum nu_err surprise(struct nu_client_hello *ch, const char *reason)
{
    bool first = ch->wire_bytes <= RECORD_HEAD;
    return stop(ch, first ? NU_NOT_THIS : NU_ERR_SYNTAX, reason);
}

/* The version of any record but the first is not looked at beyond its major: RFC 8446 5.1 wants it
 * ignored for all purposes. */
static enum nu_err check_record_version(struct nu_client_hello *ch)
{
    if (ch->head[1] != 3)
        return surprise(ch, "no TLS record version");
    if (ch->head_len < 3 || ch->wire_bytes > RECORD_HEAD)
        return NU_MORE;
    if (ch->head[2] > 4)
        return surprise(ch, "no TLS record version");
    ch->record_version = (uint16_t)(ch->head[1] << 8 | ch->head[2]);
    return NU_MORE;
}

static enum nu_err end_record_head(struct nu_client_hello *ch)
{
    ch->head_len = 0;
    ch->record_left = (uint16_t)(ch->head[3] << 8 | ch->head[4]);
    if (ch->record_left > RECORD_MAX_BYTES)
        return stop(ch, NU_ERR_SYNTAX, "record longer than 16 KiB");
    if (ch->record_left == 0 && ++ch->empty_records > NU_HELLO_MAX_EMPTY_RECORDS)
        return stop(ch, NU_ERR_LIMIT, "too many empty records");
    return NU_MORE;
}

/* One byte of a record header, judged at once: a plain protocol must not wait for five. */
static enum nu_err take_record_head(struct nu_client_hello *ch, uint8_t byte)
{
    ch->wire_bytes++;
    ch->head[ch->head_len++] = byte;
    if (ch->head_len == 1 && byte != RECORD_HANDSHAKE)
        return surprise(ch, "no TLS handshake record");
    if (ch->head_len == 2 || ch->head_len == 3)
        return check_record_version(ch);
    return ch->head_len == RECORD_HEAD ? end_record_head(ch) : NU_MORE;
}

/* The length of the whole message from its first bytes, 0 while they are too few. */
static enum nu_err message_len(struct nu_client_hello *ch, const uint8_t *msg, uint32_t have,
                               uint32_t *total)
{
    *total = 0;
    if (have > 0 && msg[0] != 1) /* HandshakeType client_hello */
        return stop(ch, NU_ERR_SYNTAX, "first handshake message is no ClientHello");
    if (have < MESSAGE_HEAD)
        return NU_MORE;
    uint32_t body = (uint32_t)(msg[1] << 16 | msg[2] << 8 | msg[3]);
    if (body > NU_HELLO_MAX_BYTES)
        return stop(ch, NU_ERR_LIMIT, "ClientHello longer than 16 KiB");
    *total = MESSAGE_HEAD + body;
    return NU_MORE;
}

static void gather(struct nu_client_hello *ch, const uint8_t *data, uint32_t len)
{
    nu_assert(ch->own_len + len <= MESSAGE_MAX_BYTES);
    if (ch->own_len + len > ch->own_cap) {
        uint32_t cap = ch->own_cap ? ch->own_cap : OWN_FIRST_BYTES;
        while (cap < ch->own_len + len)
            cap *= 2;
        ch->own = realloc(ch->own, cap);
        nu_assert(ch->own != NULL);
        ch->own_cap = cap;
    }
    memcpy(ch->own + ch->own_len, data, len);
    ch->own_len += len;
}

static void advance(struct nu_client_hello *ch, uint32_t len)
{
    ch->wire_bytes += len;
    ch->record_left -= (uint16_t)len;
}

static enum nu_err finish(struct nu_client_hello *ch, const uint8_t *msg, uint32_t len)
{
    ch->msg = msg;
    ch->msg_len = len;
    const char *reason = nu_hello_read_body(ch);
    return stop(ch, reason ? NU_ERR_SYNTAX : NU_OK, reason);
}

/* Gathers up to the 4 bytes that tell the message's length, or up to its end; reports how many of
 * `len` it took. */
static enum nu_err gather_payload(struct nu_client_hello *ch, const uint8_t *data, uint32_t len,
                                  uint32_t *took)
{
    uint32_t total;
    message_len(ch, ch->own, ch->own_len, &total);
    uint32_t want = (total ? total : MESSAGE_HEAD) - ch->own_len;
    *took = len < want ? len : want;
    gather(ch, data, *took);
    advance(ch, *took);
    if (message_len(ch, ch->own, ch->own_len, &total) != NU_MORE)
        return ch->result;
    return total && ch->own_len == total ? finish(ch, ch->own, total) : NU_MORE;
}

/* A run of one record's payload. The message is read in place where it lies whole in the run. */
static enum nu_err take_payload(struct nu_client_hello *ch, const uint8_t *data, uint32_t len,
                                uint32_t *took)
{
    uint32_t total = 0;
    *took = 0;
    if (ch->own_len == 0 && message_len(ch, data, len, &total) != NU_MORE)
        return ch->result;
    if (total == 0 || total > len)
        return gather_payload(ch, data, len, took);
    advance(ch, total);
    *took = total;
    return finish(ch, data, total);
}

enum nu_err nu_client_hello_feed(struct nu_client_hello *ch, const uint8_t *data, size_t len)
{
    while (len > 0 && ch->result == NU_MORE) {
        uint32_t took = 1;
        if (ch->record_left == 0)
            take_record_head(ch, *data);
        else
            take_payload(ch, data, len < ch->record_left ? (uint32_t)len : ch->record_left, &took);
        data += took;
        len -= took;
    }
    return ch->result;
}

enum nu_err nu_client_hello_message(struct nu_client_hello *ch, const uint8_t *msg, size_t len)
{
    uint32_t total;
    nu_client_hello_init(ch);
    if (message_len(ch, msg, len < MESSAGE_HEAD ? (uint32_t)len : MESSAGE_HEAD, &total) != NU_MORE)
        return ch->result;
    if (total == 0 || total != len)
        return stop(ch, NU_ERR_SYNTAX, "truncated ClientHello");
    return finish(ch, msg, total);
}
