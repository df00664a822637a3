/* PROXY headers. The input is what is on the wire: read in one piece and byte by byte, which must
 * agree; what was read is written again and must read the same. */
#include "core/arena.h"
#include "core/assert.h"
#include "protocols/proxy_protocol.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void same(const struct nu_proxy_header *a, const struct nu_proxy_header *b)
{
    nu_assert(a->src.kind == b->src.kind && a->dst.kind == b->dst.kind);
    if (a->src.kind == NU_ADDR_UNIX)
        nu_assert(a->src_path.len == b->src_path.len && a->dst_path.len == b->dst_path.len);
    else
        nu_assert(nu_addr_equal(&a->src, &b->src) && nu_addr_equal(&a->dst, &b->dst));
}

/* Writes what was read, in both versions, and reads it back. */
static void write_again(struct nu_proxy_header *h)
{
    uint8_t out[NU_PROXY_MAX_BYTES];
    struct nu_proxy_header again;
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_proxy_v2 v2 = {.local = h->local,
                             .transport = h->transport,
                             .src = &h->src,
                             .dst = &h->dst,
                             .crc32c = true};
    nu_proxy_keep(h, arena);
    nu_proxy_tlv_find(h, NU_PROXY_TLV_AUTHORITY, &v2.authority);
    nu_proxy_tlv_find(h, NU_PROXY_TLV_ALPN, &v2.alpn);
    nu_proxy_tlv_find(h, NU_PROXY_TLV_UNIQUE_ID, &v2.unique_id);
    size_t len = nu_proxy_write_v2(out, sizeof out, &v2);
    if (len > 0) {
        nu_assert(nu_proxy_parse(out, len, &again) == NU_OK && again.bytes == len);
        same(h, &again);
    }
    len = nu_proxy_write_v1(out, &h->src, &h->dst);
    nu_assert(nu_proxy_parse(out, len, &again) == NU_OK && again.bytes == len);
    if (h->src.kind != NU_ADDR_UNIX)
        same(h, &again);
    nu_arena_free(arena);
}

/* Every TLV lies in its place; the inner ones of an SSL TLV may be anything. */
static void touch(const struct nu_proxy_header *h)
{
    struct nu_proxy_bytes rest = h->tlvs;
    size_t bytes = 0;
    for (struct nu_proxy_tlv tlv, inner; nu_proxy_tlv_next(&rest, &tlv);) {
        bytes += 3 + tlv.value.len;
        nu_assert(nu_proxy_tlv_type_str(tlv.type) != NULL);
        if (tlv.type != NU_PROXY_TLV_SSL || tlv.value.len < 5)
            continue;
        struct nu_proxy_bytes ssl = {tlv.value.data + 5, tlv.value.len - 5};
        while (nu_proxy_tlv_next(&ssl, &inner))
            nu_assert(inner.value.data + inner.value.len <= rest.data);
    }
    nu_assert(bytes == h->tlvs.len);
    nu_assert(nu_proxy_transport_str(h->transport) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_proxy_header once;
    struct nu_proxy_reader reader;
    enum nu_err err = nu_proxy_parse(data, len, &once);
    nu_assert((err == NU_OK || err == NU_MORE) == (once.reason == NULL));
    nu_proxy_reader_init(&reader);
    size_t fed = 0;
    while (fed < len && reader.result == NU_MORE)
        nu_proxy_reader_feed(&reader, data + fed++, 1);
    nu_assert(reader.result == err && reader.header.reason == once.reason);
    if (err == NU_OK) {
        nu_assert(once.bytes == fed && reader.header.bytes == fed);
        same(&once, &reader.header);
        touch(&once);
        touch(&reader.header);
        write_again(&once);
    }
    nu_proxy_reader_free(&reader);
    return 0;
}
