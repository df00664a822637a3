/* The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): reads the header that a
 * load balancer puts before a connection's bytes, and writes one. Strict where the text is: what
 * begins like a header and is none is an error, never data. No socket, no clock. */
#ifndef NU_PROTOCOLS_PROXY_PROTOCOL_H
#define NU_PROTOCOLS_PROXY_PROTOCOL_H

#include "core/addr.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nu_arena;

#define NU_PROXY_V1_MAX_BYTES 107 /* with its CRLF (2.1) */
/* Whole v2 header. The format allows 64 KiB; real ones with TLS details and a client's name stay
 * under 1 KiB, and every connection may make us hold this much. */
#define NU_PROXY_MAX_BYTES    4096
#define NU_PROXY_ID_MAX_BYTES 128 /* PP2_TYPE_UNIQUE_ID (2.2.5) */

enum nu_proxy_transport { NU_PROXY_UNSPEC, NU_PROXY_STREAM, NU_PROXY_DGRAM };
const char *nu_proxy_transport_str(enum nu_proxy_transport transport);

/* TLV types of 2.2; others occur and are passed over by those who don't know them. */
enum nu_proxy_tlv_type {
    NU_PROXY_TLV_ALPN = 0x01,
    NU_PROXY_TLV_AUTHORITY = 0x02,
    NU_PROXY_TLV_CRC32C = 0x03,
    NU_PROXY_TLV_NOOP = 0x04,
    NU_PROXY_TLV_UNIQUE_ID = 0x05,
    NU_PROXY_TLV_SSL = 0x20,
    NU_PROXY_TLV_NETNS = 0x30,
};
/* "authority", ...; "unknown" for any other number. */
const char *nu_proxy_tlv_type_str(enum nu_proxy_tlv_type type);

struct nu_proxy_bytes {
    const uint8_t *data;
    size_t len;
};

struct nu_proxy_header {
    uint8_t version;    /* 1 or 2 */
    bool local;         /* v2 LOCAL: the balancer speaks for itself; use the socket's addresses */
    uint8_t transport;  /* enum nu_proxy_transport */
    struct nu_addr src; /* both NU_ADDR_NONE for LOCAL, UNKNOWN, UNSPEC: use the socket's. */
    struct nu_addr dst; /* UNIX: path is NULL until nu_proxy_keep */
    size_t bytes;       /* what the header took on the wire; what follows is the stream's */
    /* All TLVs, well-formed; walk with nu_proxy_tlv_next. None where LOCAL or UNSPEC carry bytes
     * that are no TLVs, which the text allows. */
    struct nu_proxy_bytes tlvs;
    struct nu_proxy_bytes src_path, dst_path; /* UNIX: up to 108 bytes, cut at the first NUL */
    const char *reason;                       /* static text for errors, else NULL */
};

/* Parses the first `len` bytes of a stream, which the caller holds in one piece; slices point into
 * them. NU_MORE: ask again with more (cost until then: at most one look at NU_PROXY_V1_MAX_BYTES).
 * NU_OK. NU_NOT_THIS: it is no PROXY header, known at the first byte that differs. NU_ERR_SYNTAX,
 * NU_ERR_LIMIT: it is one, malformed or over NU_PROXY_MAX_BYTES. `out` is set on every path. */
enum nu_err nu_proxy_parse(const uint8_t *data, size_t len, struct nu_proxy_header *out);

/* The same for bytes that come in pieces. Feed every chunk once, in order, while the answer is
 * NU_MORE. Nothing is consumed: on NU_OK the caller drops header.bytes from the front of what it
 * fed, on NU_NOT_THIS it passes all of it on. A header whole in the first chunk is not copied, and
 * slices point into that chunk; else into the reader, until it is freed. */
struct nu_proxy_reader {
    struct nu_proxy_header header;
    enum nu_err result; /* the last answer */
    uint8_t *own;       /* gathered bytes, NULL while none are needed */
    size_t own_len, own_cap;
};
void nu_proxy_reader_init(struct nu_proxy_reader *reader);
enum nu_err nu_proxy_reader_feed(struct nu_proxy_reader *reader, const uint8_t *data, size_t len);
void nu_proxy_reader_free(struct nu_proxy_reader *reader);

/* Copies slices and UNIX paths to the arena, so that the header lives as long as that. */
void nu_proxy_keep(struct nu_proxy_header *header, struct nu_arena *arena);

struct nu_proxy_tlv {
    uint8_t type;
    struct nu_proxy_bytes value;
};
/* Takes the first TLV off `rest`. False at its end, or when the next is cut short (never for
 * header.tlvs; perhaps for the inner ones of an SSL TLV, which start at its 6th byte). */
bool nu_proxy_tlv_next(struct nu_proxy_bytes *rest, struct nu_proxy_tlv *tlv);
/* The first TLV of that type; false if there is none. */
bool nu_proxy_tlv_find(const struct nu_proxy_header *header, enum nu_proxy_tlv_type type,
                       struct nu_proxy_bytes *value);

/* Writes "PROXY TCP4 ..." to out and returns its length, at most NU_PROXY_V1_MAX_BYTES; no NUL.
 * IPv4 beside IPv6 is written IPv4-mapped; what is no pair of IP addresses becomes UNKNOWN. */
size_t nu_proxy_write_v1(uint8_t out[static NU_PROXY_V1_MAX_BYTES], const struct nu_addr *src,
                         const struct nu_addr *dst);

/* What to write; zeroed = a PROXY header of UNSPEC without TLVs. */
struct nu_proxy_v2 {
    bool local;
    uint8_t transport;         /* enum nu_proxy_transport; UNSPEC is taken as STREAM */
    const struct nu_addr *src; /* NULL, or families that don't go together: UNSPEC */
    const struct nu_addr *dst;
    struct nu_proxy_bytes authority; /* the client's SNI; len 0 = leave out, for all of these */
    struct nu_proxy_bytes alpn;
    struct nu_proxy_bytes unique_id; /* at most NU_PROXY_ID_MAX_BYTES */
    bool crc32c;                     /* add a checksum */
};
/* Writes a v2 header to out and returns its length; 0 if it does not fit cap or a TLV is longer
 * than allowed. NU_PROXY_MAX_BYTES fits all that nuncio writes. */
size_t nu_proxy_write_v2(uint8_t *out, size_t cap_bytes, const struct nu_proxy_v2 *what);

#endif
