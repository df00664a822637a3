/* Reads the fields of an HTTP/2 header block into a head (RFC 9113 8), and says what is wrong with
 * them. What could not be said in HTTP/1 without ambiguity is refused here, whatever the server
 * speaks. Where the fields come from (HPACK) is the codec's; no socket, no clock. */
#ifndef NU_PROTOCOLS_HTTP_H2_FIELDS_H
#define NU_PROTOCOLS_HTTP_H2_FIELDS_H

#include "protocols/http/head.h"
#include "protocols/http2/error.h"

#define NU_H2_METHOD_MAX_BYTES 32 /* as in HTTP/1 */
#define NU_H2_FIELD_EXTRA      32 /* that each field counts more (RFC 9113 6.5.2) */

struct nu_h2_limits {
    uint32_t head_bytes;    /* names, values, and NU_H2_FIELD_EXTRA for each field */
    uint32_t target_bytes;  /* of :path */
    uint32_t fields;        /* each costs a slot in the arena */
    uint32_t trailer_bytes; /* counted like those of the head */
    uint64_t body_bytes;    /* 0 = any size */
};

/* As in HTTP/1, and for the same reasons (h1.h). */
#define NU_H2_LIMITS_DEFAULT                                                                       \
    {                                                                                              \
        .head_bytes = 60 * 1024, .target_bytes = 8 * 1024, .fields = 100,                          \
        .trailer_bytes = 8 * 1024, .body_bytes = 0                                                 \
    }

/* Whether a request is for a tunnel: CONNECT, or an upgrade. */
static inline bool nu_h2_asks_tunnel(const struct nu_http_head *request)
{
    return request->method_id == NU_METHOD_CONNECT || request->upgrade.len > 0;
}

enum nu_h2_block { NU_H2_REQUEST, NU_H2_RESPONSE, NU_H2_TRAILERS };

/* A block being read; treat as private. */
struct nu_h2_fields {
    const struct nu_h2_limits *limits;
    struct nu_http_head *head;
    uint64_t bytes; /* so far, also of what is not kept */
    uint8_t block;  /* enum nu_h2_block */
    uint8_t error;  /* enum nu_h2_error: the first */
    uint8_t seen;   /* pseudo-headers: a bit each */
    bool regular;   /* a field that is none has come */
    bool cookies;   /* more than one cookie field has come */
    bool tunnel;    /* of a response: 2xx opens what its request asked for */
};

/* The limits are borrowed until the block's end; the head is empty and has its arena; that of a
 * response has method_id, of the request, and f->tunnel is set behind this call. */
void nu_h2_fields_begin(struct nu_h2_fields *f, enum nu_h2_block block, struct nu_http_head *head,
                        const struct nu_h2_limits *limits);
/* One field as decoded; copied. False: it was over a limit or wrong, and nothing more is kept of
 * this block. */
bool nu_h2_fields_add(struct nu_h2_fields *f, struct nu_text name, struct nu_text value);
/* The block is whole: judges it, and sets the head's facts. `last`: the stream ends with it. */
enum nu_h2_error nu_h2_fields_end(struct nu_h2_fields *f, bool last);

#endif
