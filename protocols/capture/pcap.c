/* pcap: a header of 24 bytes, then packets, each behind a head of 16 (libpcap's; draft-ietf-opsawg-
 * pcap). */
#include "protocols/capture/capture_priv.h"

#define HEADER_BYTES  24
#define RECORD_BYTES  16
#define PATCHED_BYTES 24 /* a record's head in files of Kuznetzov's patched libpcap */
#define NS            1000000000

static const struct {
    uint32_t magic;
    uint32_t ticks; /* a second */
    size_t record_head;
} kinds[] = {
    {0xa1b2c3d4, 1000000, RECORD_BYTES },
    {0xa1b23c4d, NS,      RECORD_BYTES },
    {0xa1b2cd34, 1000000, PATCHED_BYTES},
};

static enum nu_err record(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used,
                          struct nu_capture_event *out)
{
    const struct capture_interface *i = c->interface;
    if (len < c->record_head)
        return capture_more(c, c->record_head);
    uint32_t kept = capture_u32(c, bytes + 8), wire = capture_u32(c, bytes + 12);
    if (c->old_lens && kept > wire) {
        uint32_t other = kept;
        kept = wire;
        wire = other;
    }
    if (kept > NU_CAPTURE_PACKET_MAX)
        return capture_fail(c, NU_ERR_LIMIT, "a packet of more than 256 KiB");
    if (len - c->record_head < kept)
        return capture_more(c, c->record_head + kept);
    *out = (struct nu_capture_event){
        .kind = NU_CAPTURE_PACKET,
        .data = bytes + c->record_head,
        .len = kept,
        .wire_len = wire > kept ? wire : kept,
        .link = i->link,
        .time_ns = (int64_t)capture_u32(c, bytes) * NS +
                   (int64_t)capture_u32(c, bytes + 4) * (NS / (int64_t)i->ticks),
    };
    *used = c->record_head + kept;
    return NU_OK;
}

static bool find_kind(struct nu_capture *c, uint32_t magic, struct capture_interface *i)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        c->swapped = magic == __builtin_bswap32(kinds[k].magic);
        if (!c->swapped && magic != kinds[k].magic)
            continue;
        i->ticks = kinds[k].ticks;
        c->record_head = kinds[k].record_head;
        return true;
    }
    return false;
}

enum nu_err pcap_begin(struct nu_capture *c, const uint8_t *bytes, size_t len, size_t *used)
{
    uint32_t magic;
    struct capture_interface found = {0};
    memcpy(&magic, bytes, sizeof magic);
    if (!find_kind(c, magic, &found))
        return capture_fail(c, NU_NOT_THIS, "neither pcap nor pcapng");
    if (len < HEADER_BYTES)
        return capture_more(c, HEADER_BYTES);
    uint16_t major = capture_u16(c, bytes + 4), minor = capture_u16(c, bytes + 6);
    if (major != 2)
        return capture_fail(c, NU_ERR_SYNTAX, "a version of pcap other than 2");
    c->old_lens = minor <= 3;
    found.snaplen = capture_u32(c, bytes + 16);
    found.link = capture_u32(c, bytes + 20) & 0xffff; /* above: whether frames end in a checksum */
    c->snaplen = found.snaplen;
    *capture_add(c) = found;
    c->record = record;
    *used = HEADER_BYTES;
    return NU_OK;
}
