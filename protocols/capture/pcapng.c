/* pcapng: blocks of a type, a length, a body and the length again. Sections begin with a block that
 * says the byte order; interfaces are described before the packets that came by them. */
#include "protocols/capture/capture_priv.h"

#define BLOCK_LEAST 12 /* type, length, length */
#define NS          1000000000

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET_OLD = 2,
    BLOCK_PACKET_SIMPLE = 3,
    BLOCK_PACKET = 6,
    BLOCK_SECRETS = 10,
};

#define SECTION_MAGIC   0x1a2b3c4du
#define SECRETS_TLS_LOG 0x544c534bu
#define OPTION_TSRESOL  9
#define OPTION_TSOFFSET 14

struct block {
    const uint8_t *body;
    uint32_t len;
};

static enum nu_err broken(struct nu_capture *c, const char *why)
{
    return capture_fail(c, NU_ERR_SYNTAX, why);
}

static enum nu_err section(struct nu_capture *c, struct block b, struct nu_capture_event *out)
{
    if (b.len < 16)
        return broken(c, "a section header that is too short");
    if (capture_u16(c, b.body + 4) != 1)
        return broken(c, "a version of pcapng other than 1");
    c->first += c->count;
    c->count = 0;
    return NU_NOT_THIS;
}

/* if_tsresol: a power of ten, or with the high bit of two. */
static bool set_ticks(struct capture_interface *i, uint8_t resolution)
{
    unsigned power = resolution & 0x7f;
    if (resolution & 0x80) {
        i->ticks = power < 63 ? 1ULL << power : 0;
        return i->ticks != 0;
    }
    for (i->ticks = 1; power && i->ticks <= UINT64_MAX / 100; power--)
        i->ticks *= 10;
    return power == 0;
}

static bool read_option(struct nu_capture *c, struct capture_interface *i, uint16_t code,
                        const uint8_t *value, uint16_t len)
{
    if (code == OPTION_TSRESOL && len == 1)
        return set_ticks(i, value[0]);
    if (code == OPTION_TSOFFSET && len == 8) {
        uint64_t offset;
        memcpy(&offset, value, sizeof offset);
        i->offset = (int64_t)(c->swapped ? __builtin_bswap64(offset) : offset);
    }
    return true;
}

static enum nu_err interface(struct nu_capture *c, struct block b, struct nu_capture_event *out)
{
    if (b.len < 8)
        return broken(c, "an interface description that is too short");
    struct capture_interface *i = capture_add(c);
    if (!i)
        return NU_ERR_LIMIT;
    i->link = capture_u16(c, b.body);
    i->snaplen = capture_u32(c, b.body + 4);
    i->ticks = 1000000;
    c->snaplen = i->snaplen > c->snaplen ? i->snaplen : c->snaplen;
    for (uint32_t at = 8; at + 4 <= b.len;) {
        uint16_t code = capture_u16(c, b.body + at), len = capture_u16(c, b.body + at + 2);
        at += 4;
        if (code == 0)
            break;
        if (len > b.len - at)
            return broken(c, "an interface option beyond its block");
        if (!read_option(c, i, code, b.body + at, len))
            return broken(c, "a resolution of time stamps that is too fine");
        at += (len + 3u) & ~3u;
    }
    return NU_NOT_THIS;
}

/* Ticks since 1970 in nanoseconds; what is beyond 64 bits is not a time. */
static int64_t to_ns(const struct capture_interface *i, uint64_t ticks)
{
    uint64_t seconds = ticks / i->ticks, rest = ticks % i->ticks;
    int64_t s, ns;
    if (seconds > INT64_MAX || __builtin_add_overflow((int64_t)seconds, i->offset, &s) ||
        __builtin_mul_overflow(s, (int64_t)NS, &ns))
        return 0;
    return ns + (int64_t)((__uint128_t)rest * NS / i->ticks);
}

static enum nu_err packet(struct nu_capture *c, struct block b, uint32_t number, unsigned head,
                          struct nu_capture_event *out)
{
    if (number >= c->count)
        return broken(c, "a packet of an interface that was not described");
    const struct capture_interface *i = &c->interface[number];
    uint64_t ticks = (uint64_t)capture_u32(c, b.body + 4) << 32 | capture_u32(c, b.body + 8);
    uint32_t kept = capture_u32(c, b.body + 12), wire = capture_u32(c, b.body + 16);
    if (kept > b.len - head)
        return broken(c, "a packet beyond its block");
    if (kept > NU_CAPTURE_PACKET_MAX)
        return capture_fail(c, NU_ERR_LIMIT, "a packet of more than 256 KiB");
    *out = (struct nu_capture_event){
        .kind = NU_CAPTURE_PACKET,
        .data = b.body + head,
        .len = kept,
        .wire_len = wire > kept ? wire : kept,
        .link = i->link,
        .interface = c->first + number,
        .time_ns = to_ns(i, ticks),
    };
    return NU_OK;
}

/* Both have the same layout but for the interface: 32 bits, or 16 and a drop count. */
static enum nu_err enhanced(struct nu_capture *c, struct block b, struct nu_capture_event *out)
{
    return b.len < 20 ? broken(c, "a packet block that is too short")
                      : packet(c, b, capture_u32(c, b.body), 20, out);
}

static enum nu_err old_packet(struct nu_capture *c, struct block b, struct nu_capture_event *out)
{
    return b.len < 20 ? broken(c, "a packet block that is too short")
                      : packet(c, b, capture_u16(c, b.body), 20, out);
}

/* Without time and captured length: that is what the interface's snap length leaves. */
static enum nu_err simple(struct nu_capture *c, struct block b, struct nu_capture_event *out)
{
    if (b.len < 4)
        return broken(c, "a packet block that is too short");
    if (c->count == 0)
        return broken(c, "a packet of an interface that was not described");
    uint32_t wire = capture_u32(c, b.body), kept = wire, snap = c->interface->snaplen;
    if (snap && kept > snap)
        kept = snap;
    if (kept > b.len - 4)
        return broken(c, "a packet beyond its block");
    if (kept > NU_CAPTURE_PACKET_MAX)
        return capture_fail(c, NU_ERR_LIMIT, "a packet of more than 256 KiB");
    *out = (struct nu_capture_event){
        .kind = NU_CAPTURE_PACKET,
        .data = b.body + 4,
        .len = kept,
        .wire_len = wire,
        .link = c->interface->link,
        .interface = c->first,
    };
    return NU_OK;
}

static enum nu_err secrets(struct nu_capture *c, struct block b, struct nu_capture_event *out)
{
    if (b.len < 8)
        return broken(c, "a secrets block that is too short");
    uint32_t type = capture_u32(c, b.body), len = capture_u32(c, b.body + 4);
    if (len > b.len - 8)
        return broken(c, "secrets beyond their block");
    if (type != SECRETS_TLS_LOG)
        return NU_NOT_THIS;
    *out = (struct nu_capture_event){
        .kind = NU_CAPTURE_SECRETS, .data = b.body + 8, .len = len, .wire_len = len};
    return NU_OK;
}

static const struct {
    uint32_t type;
    enum nu_err (*read)(struct nu_capture *c, struct block b, struct nu_capture_event *out);
} readers[] = {
    {BLOCK_PACKET,        enhanced  },
    {BLOCK_PACKET_SIMPLE, simple    },
    {BLOCK_PACKET_OLD,    old_packet},
    {BLOCK_INTERFACE,     interface },
    {BLOCK_SECRETS,       secrets   },
    {BLOCK_SECTION,       section   },
};

static enum nu_err read_block(struct nu_capture *c, uint32_t type, struct block b,
                              struct nu_capture_event *out)
{
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (readers[i].type == type)
            return readers[i].read(c, b, out);
    return NU_NOT_THIS; /* names, figures, what others invented */
}

/* The length of a section's own block is already in the order that its magic tells. */
static enum nu_err find_order(struct nu_capture *c, const uint8_t *bytes)
{
    uint32_t magic;
    memcpy(&magic, bytes + 8, sizeof magic);
    c->swapped = magic == __builtin_bswap32(SECTION_MAGIC);
    return c->swapped || magic == SECTION_MAGIC ? NU_OK : broken(c, "a section of no byte order");
}

enum nu_err pcapng_record(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used,
                          struct nu_capture_event *out)
{
    if (len < BLOCK_LEAST)
        return capture_more(c, BLOCK_LEAST);
    uint32_t type = capture_u32(c, bytes);
    if (type == BLOCK_SECTION && find_order(c, bytes))
        return NU_ERR_SYNTAX;
    uint32_t total = capture_u32(c, bytes + 4);
    if (total < BLOCK_LEAST || total % 4)
        return broken(c, "a block of an impossible length");
    if (total > NU_CAPTURE_BLOCK_MAX)
        return capture_fail(c, NU_ERR_LIMIT, "a block of more than 16 MiB");
    if (len < total)
        return capture_more(c, total);
    if (capture_u32(c, bytes + total - 4) != total)
        return broken(c, "a block whose lengths differ");
    struct block b = {bytes + 8, total - BLOCK_LEAST};
    *used = total;
    return read_block(c, type, b, out);
}
