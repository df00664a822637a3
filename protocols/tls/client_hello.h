/* Reads a TLS ClientHello off the first bytes of a connection, however they are cut into segments
 * and records (RFC 8446 4.1.2, 5.1): for the sniffer, and for the tap (JA3, JA4). It judges nothing
 * that the server will judge anyway (ciphers, versions); it refuses what could be read two ways.
 * No socket, no clock; one thread per parser.
 *
 * Feed every chunk once, in order, while the answer is NU_MORE. The parser consumes nothing: the
 * caller keeps the bytes, it has to forward them. A hello that lies whole in one chunk and one
 * record is not copied; any other is gathered in a buffer of the parser's. Cost is linear in the
 * bytes, also when they come one by one. */
#ifndef NU_PROTOCOLS_TLS_CLIENT_HELLO_H
#define NU_PROTOCOLS_TLS_CLIENT_HELLO_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the handshake message without its 4-byte header. Hellos with post-quantum shares are 2 KiB,
 * with a big session ticket 4 KiB; beyond one full record nobody is honest. */
#define NU_HELLO_MAX_BYTES 16384
/* Records without payload before the hello is whole; RFC 8446 5.1 forbids them, old stacks made
 * them; each costs a peer 5 bytes, so some cap must end it. */
#define NU_HELLO_MAX_EMPTY_RECORDS 16
/* What a caller may have to hold until the answer is known: every byte in a record of its own. */
#define NU_HELLO_MAX_WIRE_BYTES (6 * (NU_HELLO_MAX_BYTES + 4) + 5 * NU_HELLO_MAX_EMPTY_RECORDS)

/* A part of the message, counted from its first byte (the handshake type). Absent = len 0. */
struct nu_hello_span {
    uint16_t at, len;
};

/* Bits of `grease`: where values reserved by RFC 8701 were seen. */
#define NU_HELLO_GREASE_CIPHER    1u
#define NU_HELLO_GREASE_EXTENSION 2u
#define NU_HELLO_GREASE_GROUP     4u
#define NU_HELLO_GREASE_VERSION   8u
#define NU_HELLO_GREASE_SIGNATURE 16u
#define NU_HELLO_GREASE_ALPN      32u

struct nu_client_hello {
    /* --- the answer, valid after NU_OK --- */
    const uint8_t *msg; /* type, length, body: in the caller's last chunk or in `own` */
    uint32_t msg_len;
    uint32_t wire_bytes; /* from the first byte fed to the hello's last, record headers included */
    uint16_t record_version; /* of the first record */
    uint16_t legacy_version;
    struct nu_hello_span random, session_id, compressions;
    struct nu_hello_span ciphers;            /* u16 each */
    struct nu_hello_span extensions;         /* walk with nu_hello_ext_next */
    struct nu_hello_span versions;           /* supported_versions, u16 each */
    struct nu_hello_span groups, signatures; /* u16 each */
    struct nu_hello_span points;             /* ec_point_formats, u8 each */
    struct nu_hello_span sni;  /* host_name: printable ASCII, 1 to 253 bytes, no trailing dot */
    struct nu_hello_span alpn; /* walk with nu_hello_alpn_next */
    uint8_t grease;            /* of NU_HELLO_GREASE_* */
    bool has_sni;              /* the extension was there, whatever was in it */
    bool sni_is_ip;            /* it named an IP literal (RFC 6066 3 forbids); sni is empty */
    bool sni_had_dot;          /* a trailing dot was cut off */

    /* --- how it ended --- */
    const char *reason; /* static text for NU_ERR_* and NU_NOT_THIS, else NULL */
    enum nu_err result; /* the last answer of nu_client_hello_feed */

    /* --- the parser's own --- */
    uint8_t head[5]; /* record header being read */
    uint8_t head_len;
    uint8_t empty_records;
    uint16_t record_left;
    uint32_t own_len, own_cap;
    uint8_t *own; /* gathered message, NULL while none is needed */
};

void nu_client_hello_init(struct nu_client_hello *ch);
/* Frees what was gathered. Any number of times. */
void nu_client_hello_free(struct nu_client_hello *ch);

/* Reads the next chunk. NU_MORE: not whole yet. NU_OK: all fields are set; spans are valid until
 * nu_client_hello_free and, when `msg` lies in the chunk, as long as that. NU_NOT_THIS: no TLS
 * handshake record (plain protocol, SSLv2 hello), known after 1 to 3 bytes. NU_ERR_SYNTAX: TLS but
 * malformed. NU_ERR_LIMIT: a cap above. Any but NU_MORE is final: later calls repeat it. Bytes
 * behind the hello are not looked at. */
enum nu_err nu_client_hello_feed(struct nu_client_hello *ch, const uint8_t *data, size_t len);

/* Instead of feeding: a message that somebody else has gathered, from its type on, without record
 * headers. NU_OK or NU_ERR_SYNTAX, as above; spans are valid as long as `msg` is. */
enum nu_err nu_client_hello_message(struct nu_client_hello *ch, const uint8_t *msg, size_t len);

static inline const uint8_t *nu_hello_bytes(const struct nu_client_hello *ch,
                                            struct nu_hello_span span)
{
    return ch->msg + span.at;
}

/* Number i of a span of 16-bit values; i < span.len / 2. */
static inline uint16_t nu_hello_u16(const struct nu_client_hello *ch, struct nu_hello_span span,
                                    unsigned i)
{
    const uint8_t *p = ch->msg + span.at + 2 * i;
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* 0x0a0a, 0x1a1a, ... 0xfafa (RFC 8701 2). */
static inline bool nu_hello_is_grease(uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

struct nu_hello_ext {
    uint16_t type;
    struct nu_hello_span body;
};
/* Extensions in wire order, GREASE included; start with *at = 0. False at the end. */
bool nu_hello_ext_next(const struct nu_client_hello *ch, unsigned *at, struct nu_hello_ext *ext);
/* Protocol names of ALPN in the client's order (RFC 7301 3.1); start with *at = 0. */
bool nu_hello_alpn_next(const struct nu_client_hello *ch, unsigned *at, struct nu_hello_span *name);

#endif
