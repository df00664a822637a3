/* Frames of IEEE 802.11 as captured in the air: the heads that drivers put before them (radiotap,
 * Prism's, AVS', PPI), and data frames themselves. Those that are encrypted, or a fragment, carry
 * nothing that can be read; of several MSDUs in one frame the first is. See link_priv.h. */
#include "protocols/capture/link_priv.h"

#define TYPE_DATA    0x08 /* of the first byte's 0x0c; what follows are bits of it, too */
#define QOS          0x80
#define WITHOUT_DATA 0x40
#define TO_DS        0x01 /* of the second byte */
#define FROM_DS      0x02
#define MORE_PARTS   0x04
#define PROTECTED    0x40
#define ORDER        0x80 /* HT control is there, in QoS frames */
#define AMSDU        0x80 /* of QoS control */

#define RADIOTAP_TSFT     1u /* of the first word of what is present */
#define RADIOTAP_FLAGS    2u
#define RADIOTAP_MORE     0x80000000u
#define RADIOTAP_DATA_PAD 0x20   /* the header is filled up to words */
#define AVS_MAGIC         0x8021 /* in front of 0x1001 or 0x1002 */

static uint32_t le32(const uint8_t *b)
{
    return (uint32_t)link_le16(b + 2) << 16 | link_le16(b);
}

/* Bytes of a data frame's header; 0: it has nothing to read. */
static size_t header_bytes(struct nu_piece frame)
{
    const uint8_t *b = frame.data;
    bool carries = (b[0] & 0x0f) == TYPE_DATA && !(b[0] & WITHOUT_DATA);
    if (!carries || b[1] & (PROTECTED | MORE_PARTS) || b[22] & 0x0f)
        return 0;
    size_t bytes = 24;
    if (b[1] & TO_DS && b[1] & FROM_DS)
        bytes += 6;
    if (b[0] & QOS)
        bytes += 2u + (b[1] & ORDER ? 4 : 0);
    return bytes;
}

static enum nu_err wlan(struct peel *p, bool padded)
{
    const uint8_t *b = p->rest.data;
    if (p->rest.len < 24)
        return NU_ERR_SYNTAX;
    size_t bytes = header_bytes(p->rest);
    if (!bytes)
        return NU_NOT_THIS;
    size_t all = padded ? (bytes + 3) & ~(size_t)3 : bytes;
    size_t control = bytes - 2u - (b[1] & ORDER ? 4 : 0);
    if (p->rest.len < all)
        return NU_ERR_SYNTAX;
    bool several = b[0] & QOS && b[control] & AMSDU;
    enum nu_err err = link_cut(p, all + (several ? 14 : 0));
    return err ? err : link_then(p, link_llc);
}

enum nu_err link_wlan(struct peel *p)
{
    return wlan(p, false);
}

/* Which fields are there is said by words of bits; the flags come first but for a time stamp that
 * is aligned (radiotap.org). */
static uint8_t radiotap_flags(const uint8_t *b, size_t len)
{
    uint32_t present = le32(b + 4), word = present;
    size_t at = 8;
    for (; word & RADIOTAP_MORE && at + 4 <= len; at += 4)
        word = le32(b + at);
    if (present & RADIOTAP_TSFT)
        at = ((at + 7) & ~(size_t)7) + 8;
    return present & RADIOTAP_FLAGS && at < len ? b[at] : 0;
}

enum nu_err link_radiotap(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    if (p->rest.len < 8)
        return NU_ERR_SYNTAX;
    size_t len = link_le16(b + 2);
    if (b[0] != 0 || len < 8)
        return NU_NOT_THIS;
    if (p->rest.len < len)
        return NU_ERR_SYNTAX;
    bool padded = radiotap_flags(b, len) & RADIOTAP_DATA_PAD;
    link_cut(p, len);
    return wlan(p, padded);
}

enum nu_err link_avs(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    enum nu_err err = link_cut(p, 8);
    if (err)
        return err;
    uint32_t len = (uint32_t)link_be16(b + 4) << 16 | link_be16(b + 6);
    err = len < 8 ? NU_NOT_THIS : link_cut(p, len - 8);
    return err ? err : link_then(p, link_wlan);
}

/* Its length is in the order of whoever captured; some put AVS' head under the same number. */
enum nu_err link_prism(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    if (p->rest.len < 8)
        return NU_ERR_SYNTAX;
    if (link_be16(b) == AVS_MAGIC)
        return link_then(p, link_avs);
    uint32_t len = le32(b + 4);
    if (len > 0xffff)
        len = __builtin_bswap32(len);
    enum nu_err err = len < 8 ? NU_NOT_THIS : link_cut(p, len);
    return err ? err : link_then(p, link_wlan);
}

enum nu_err link_ppi(struct peel *p)
{
    const uint8_t *b = p->rest.data;
    if (p->rest.len < 8)
        return NU_ERR_SYNTAX;
    uint32_t link = le32(b + 4);
    size_t len = link_le16(b + 2);
    enum nu_err err = len < 8 ? NU_NOT_THIS : link_cut(p, len);
    if (err)
        return err;
    p->next = link == NU_LINK_WLAN ? link_wlan : link == NU_LINK_ETHERNET ? link_ethernet : NULL;
    return p->next ? NU_OK : NU_NOT_THIS;
}
