/* Whether a connection speaks HTTP/2: by its preface or, where its beginning was missed, by frames
 * in a row. */
#include "protocols/http2/h2.h"
#include "tools/tap/h2_priv.h"

/* Who sends a block of fields that begins so: what comes first is a request's method, scheme or
 * path, or a response's status, and these are in the static table (RFC 7541 A). -1: not known. */
static int sender_of(const uint8_t *block, size_t len)
{
    size_t at = 0;
    while (at < len && (block[at] & 0xe0) == 0x20) { /* a table's size, of one byte or more */
        bool more = (block[at++] & 31) == 31;
        while (more && at < len)
            more = block[at++] & 128;
    }
    if (at >= len)
        return -1;
    block += at;
    if ((*block >= 0x88 && *block <= 0x8e) || *block == 0x48 || *block == 0x08 || *block == 0x18)
        return 1;
    return *block >= 0x81 && *block <= 0x87 ? 0 : -1;
}

/* The first sender that frames from `at` on tell of. */
static int who(struct nu_piece bytes, size_t at)
{
    while (bytes.len - at > NU_H2_FRAME_HEADER) {
        struct nu_h2_frame f = nu_h2_frame_read(bytes.data + at);
        size_t front = NU_H2_FRAME_HEADER + (f.flags & NU_H2_PADDED ? 1 : 0) +
                       (f.flags & NU_H2_WITH_PRIORITY ? 5 : 0);
        if (f.type == NU_H2_HEADERS && bytes.len - at > front) {
            int sender = sender_of(bytes.data + at + front, bytes.len - at - front);
            if (sender >= 0)
                return sender;
        }
        if (bytes.len - at - NU_H2_FRAME_HEADER <= f.len)
            return -1;
        at += NU_H2_FRAME_HEADER + f.len;
    }
    return -1;
}

/* A direction that nobody saw begin. */
static enum tap_found judge_middle(const struct tap_start *start, int dir)
{
    struct nu_piece first = start->first[dir];
    long at = start->whole[dir] || first.len == 0 ? -1 : nu_h2_find_frames(first);
    if (at < 0)
        return TAP_MORE;
    return who(first, (size_t)at) == !dir ? TAP_TURNED : TAP_YES;
}

/* SETTINGS first, as both must (RFC 9113 3.4). */
static bool is_settings(struct nu_piece first)
{
    if (first.len < NU_H2_FRAME_HEADER)
        return false;
    struct nu_h2_frame f = nu_h2_frame_read(first.data);
    return f.type == NU_H2_SETTINGS && f.flags == 0 && f.len <= 256 && nu_h2_frame_ok(&f);
}

static enum tap_found judge_begin(const struct tap_start *start, int dir)
{
    struct nu_piece first = start->first[dir];
    if (first.len == 0)
        return TAP_MORE;
    enum nu_err err = nu_h2_is_preface(first.data, first.len);
    return err == NU_OK ? TAP_YES : err == NU_MORE && !start->ended[dir] ? TAP_MORE : TAP_NO;
}

static enum tap_found turned(const struct tap_start *start, enum tap_found found)
{
    return found == TAP_TURNED && !start->may_turn ? TAP_YES : found;
}

static enum tap_found find(const struct tap_start *start)
{
    enum tap_found client, server;
    if (start->may_turn && start->whole[1] && judge_begin(start, 1) == TAP_YES)
        return TAP_TURNED;
    if (start->whole[0])
        return judge_begin(start, 0);
    if (start->whole[1] && start->first[1].len >= NU_H2_FRAME_HEADER)
        return is_settings(start->first[1]) ? TAP_YES : TAP_NO;
    client = judge_middle(start, 0);
    server = judge_middle(start, 1);
    if (client == TAP_TURNED || server == TAP_TURNED)
        return turned(start, TAP_TURNED);
    if (client == TAP_YES || server == TAP_YES)
        return TAP_YES;
    return tap_is_h1.find(start) == TAP_MORE ? TAP_MORE : TAP_NO; /* it is not to wait for this */
}

const struct tap_recognizer tap_is_h2 = {find, h2_open};
