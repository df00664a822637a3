/* An onlooker's HPACK: cuts blocks into representations and keeps the dynamic table, whose entries
 * may have an unknown half. nghttp2 decodes the strings, lent one at a time as the value of a
 * literal, and has the static table. */
#include "protocols/http2/hpack.h"

#include "core/assert.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_BYTES 32 /* that each entry counts besides its texts (RFC 7541 4.1) */
#define STATIC      61
#define BASE_BYTES  1344 /* an inflater of nghttp2 whose table stays empty, as malloc counts it */

struct entry {
    size_t bytes; /* as counted against the limit */
    struct nu_text name, value;
    char text[];
};

struct nu_hpack {
    nghttp2_hd_inflater *strings;
    struct entry **ring; /* newest at `first` */
    uint32_t first, count, cap;
    size_t bytes, limit, settings;
};

/* Where a block is read. */
struct cursor {
    struct nu_hpack *hpack;
    const uint8_t *at, *end;
    char *name, *value; /* room for decoded strings; malloced when needed */
    nu_hpack_field *field;
    void *ctx;
};

struct nu_hpack *nu_hpack_new(void)
{
    struct nu_hpack *h = calloc(1, sizeof *h);
    nu_assert(h != NULL);
    int failed = nghttp2_hd_inflate_new(&h->strings);
    nu_assert(!failed);
    h->limit = h->settings = NU_HPACK_TABLE;
    return h;
}

static void evict_to(struct nu_hpack *h, size_t bytes)
{
    while (h->count && h->bytes > bytes) {
        struct entry *oldest = h->ring[(h->first + --h->count) % h->cap];
        h->bytes -= oldest->bytes;
        free(oldest);
    }
}

void nu_hpack_free(struct nu_hpack *h)
{
    if (!h)
        return;
    evict_to(h, 0);
    nghttp2_hd_inflate_del(h->strings);
    free(h->ring);
    free(h);
}

void nu_hpack_limit(struct nu_hpack *h, uint32_t bytes)
{
    /* Only upwards: a smaller one counts from the sender's own word on, which a block has. */
    h->settings = bytes < NU_HPACK_TABLE_MAX ? bytes : NU_HPACK_TABLE_MAX;
    if (h->settings > h->limit)
        h->limit = h->settings;
}

void nu_hpack_forget(struct nu_hpack *h)
{
    evict_to(h, 0);
}

size_t nu_hpack_memory(const struct nu_hpack *h)
{
    return sizeof *h + BASE_BYTES + h->cap * sizeof *h->ring + h->bytes +
           h->count * sizeof(struct entry);
}

static void grow(struct nu_hpack *h)
{
    uint32_t cap = h->cap ? h->cap * 2 : 16;
    struct entry **ring = malloc(cap * sizeof *ring);
    nu_assert(ring != NULL);
    for (uint32_t i = 0; i < h->count; i++)
        ring[i] = h->ring[(h->first + i) % h->cap];
    free(h->ring);
    h->ring = ring;
    h->cap = cap;
    h->first = 0;
}

static struct nu_text copy(char *to, struct nu_text from)
{
    if (!from.at)
        return from;
    memcpy(to, from.at, from.len);
    return nu_text(to, from.len);
}

/* The texts are not those of an entry that may be evicted: they are copied first. */
static void enter(struct nu_hpack *h, struct nu_text name, struct nu_text value)
{
    size_t text = name.len + value.len;
    struct entry *e = malloc(sizeof *e + text);
    nu_assert(e != NULL);
    e->bytes = text + ENTRY_BYTES;
    e->name = copy(e->text, name);
    e->value = copy(e->text + name.len, value);
    if (e->bytes > h->limit) { /* empties the table (RFC 7541 4.4) */
        evict_to(h, 0);
        free(e);
        return;
    }
    evict_to(h, h->limit - e->bytes);
    if (h->count == h->cap)
        grow(h);
    h->first = (h->first + h->cap - 1) % h->cap;
    h->ring[h->first] = e;
    h->count++;
    h->bytes += e->bytes;
}

/* Both unknown where there is no such entry, or nobody has seen it. */
static void look_up(const struct nu_hpack *h, uint64_t index, struct nu_text *name,
                    struct nu_text *value)
{
    *name = *value = nu_text(NULL, 0);
    if (index <= STATIC) {
        const nghttp2_nv *nv = nghttp2_hd_inflate_get_table_entry(h->strings, (size_t)index);
        *name = nu_text((const char *)nv->name, nv->namelen);
        *value = nu_text((const char *)nv->value, nv->valuelen);
    } else if (index - STATIC <= h->count) {
        const struct entry *e = h->ring[(h->first + (uint32_t)index - STATIC - 1) % h->cap];
        *name = e->name;
        *value = e->value;
    }
}

/* An integer with a prefix of so many bits (RFC 7541 5.1). */
static bool take_number(struct cursor *c, unsigned bits, uint64_t *out)
{
    uint8_t most = (uint8_t)((1u << bits) - 1);
    *out = c->at < c->end ? *c->at & most : 0;
    if (c->at == c->end)
        return false;
    c->at++;
    if (*out < most)
        return true;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (c->at == c->end)
            return false;
        *out += (uint64_t)(*c->at & 127) << shift;
        if (!(*c->at++ & 128))
            return true;
    }
    return false;
}

/* nghttp2 reads it as the value of ":authority", not indexed. */
static bool decode(struct nu_hpack *h, const uint8_t *at, size_t len, char *room,
                   struct nu_text *out)
{
    static const uint8_t literal = 1;
    nghttp2_nv nv;
    int flags = 0;
    if (nghttp2_hd_inflate_hd2(h->strings, &nv, &flags, &literal, 1, 0) < 0)
        return false;
    for (;;) {
        flags = 0;
        ssize_t took = nghttp2_hd_inflate_hd2(h->strings, &nv, &flags, at, len, 1);
        if (took < 0)
            return false;
        at += took;
        len -= (size_t)took;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            memcpy(room, nv.value, nv.valuelen);
            *out = nu_text(room, nv.valuelen);
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            return nghttp2_hd_inflate_end_headers(h->strings) == 0;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && len == 0)
            return false;
    }
}

/* After an error an inflater is of no use. */
static bool decode_or_renew(struct nu_hpack *h, const uint8_t *at, size_t len, char *room,
                            struct nu_text *out)
{
    if (decode(h, at, len, room, out))
        return true;
    nghttp2_hd_inflate_del(h->strings);
    int failed = nghttp2_hd_inflate_new(&h->strings);
    nu_assert(!failed);
    return false;
}

/* Huffman's shortest code has 5 bits: a string is at most 8/5 of its bytes. */
static char *room_for(char **room)
{
    if (!*room)
        *room = malloc(NU_HPACK_STRING_MAX * 8 / 5 + 1);
    nu_assert(*room != NULL);
    return *room;
}

static bool take_string(struct cursor *c, char **room, struct nu_text *out)
{
    const uint8_t *begin = c->at;
    bool huffman = c->at < c->end && *c->at & 128;
    uint64_t len;
    *out = nu_text(NULL, 0);
    if (!take_number(c, 7, &len) || len > (size_t)(c->end - c->at))
        return false;
    const uint8_t *at = c->at;
    c->at += len;
    if (len > NU_HPACK_STRING_MAX)
        return true;
    if (huffman)
        return decode_or_renew(c->hpack, begin, (size_t)(c->at - begin), room_for(room), out);
    *out = nu_text((const char *)at, (size_t)len);
    return true;
}

static bool indexed(struct cursor *c)
{
    struct nu_text name, value;
    uint64_t index;
    if (!take_number(c, 7, &index) || index == 0)
        return false;
    look_up(c->hpack, index, &name, &value);
    c->field(c->ctx, name, value);
    return true;
}

static bool literal(struct cursor *c, unsigned bits, bool enters)
{
    struct nu_text name, value;
    uint64_t index;
    if (!take_number(c, bits, &index))
        return false;
    if (index)
        look_up(c->hpack, index, &name, &value);
    else if (!take_string(c, &c->name, &name))
        return false;
    if (!take_string(c, &c->value, &value))
        return false;
    c->field(c->ctx, name, value);
    if (enters)
        enter(c->hpack, name, value);
    return true;
}

static bool table_size(struct cursor *c)
{
    uint64_t bytes;
    if (!take_number(c, 5, &bytes))
        return false;
    evict_to(c->hpack, (size_t)bytes);
    c->hpack->limit = bytes < NU_HPACK_TABLE_MAX ? (size_t)bytes : NU_HPACK_TABLE_MAX;
    return true;
}

/* RFC 7541 6. */
static bool representation(struct cursor *c)
{
    uint8_t first = *c->at;
    if (first & 0x80)
        return indexed(c);
    if (first & 0x40)
        return literal(c, 6, true);
    if (first & 0x20)
        return table_size(c);
    return literal(c, 4, false);
}

enum nu_err nu_hpack_read(struct nu_hpack *h, const uint8_t *block, size_t len,
                          nu_hpack_field *field, void *ctx)
{
    struct cursor c = {.hpack = h, .at = block, .end = block + len, .field = field, .ctx = ctx};
    bool fine = true;
    while (fine && c.at < c.end)
        fine = representation(&c);
    free(c.name);
    free(c.value);
    if (!fine)
        nu_hpack_forget(h);
    return fine ? NU_OK : NU_ERR_SYNTAX;
}
