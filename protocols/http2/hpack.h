/* HPACK (RFC 7541) as an onlooker reads it: one direction of a connection whose beginning, or some
 * of whose blocks, it may have missed. What such a block refers to and nobody has seen is told as
 * unknown, never as something else: references count from the newest entry, so all that was
 * entered since the last miss is sure. An endpoint has nghttp2's own (h2.h).
 *
 * Strings and the static table are nghttp2's. No socket, no clock; one thread per direction. */
#ifndef NU_PROTOCOLS_HTTP2_HPACK_H
#define NU_PROTOCOLS_HTTP2_HPACK_H

#include "core/err.h"
#include "protocols/http/head.h"

#define NU_HPACK_TABLE      4096        /* bytes, unless SETTINGS say otherwise (RFC 9113 6.5.2) */
#define NU_HPACK_TABLE_MAX  (64 * 1024) /* bytes that are kept whatever they say; most say this */
#define NU_HPACK_STRING_MAX (32 * 1024) /* bytes of a name or value; a longer one is not known */

struct nu_hpack;

/* Knows no entry: right for a connection seen from its start, too. Never NULL. */
struct nu_hpack *nu_hpack_new(void);
/* NULL is fine. */
void nu_hpack_free(struct nu_hpack *hpack);

/* SETTINGS_HEADER_TABLE_SIZE of who receives these blocks. */
void nu_hpack_limit(struct nu_hpack *hpack, uint32_t bytes);
/* Blocks were missed: no entry is known. */
void nu_hpack_forget(struct nu_hpack *hpack);

/* A field; `at` is NULL of what is not known. Lent for the call. */
typedef void nu_hpack_field(void *ctx, struct nu_text name, struct nu_text value);
/* A whole block. NU_ERR_SYNTAX: it is none from some place on; no entry is known any more. */
enum nu_err nu_hpack_read(struct nu_hpack *hpack, const uint8_t *block, size_t len,
                          nu_hpack_field *field, void *ctx);

/* Bytes that it takes, about. */
size_t nu_hpack_memory(const struct nu_hpack *hpack);

#endif
