/* The onlooker's cutter of HTTP/2 frames. Frames that lie whole in the input are not copied. */
#include "protocols/http2/cut.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define SEARCH_LEN_MAX    16384 /* of a frame that is taken for a find: nearly all stay under it */
#define SEARCH_STREAM_MAX 0xffffffu

struct nu_h2_frame nu_h2_frame_read(const uint8_t *at)
{
    return (struct nu_h2_frame){
        .len = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2],
        .type = at[3],
        .flags = at[4],
        .stream =
            (uint32_t)(at[5] & 127) << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8],
    };
}

/* What is fixed for a type: whether it has a stream, its shortest and longest payload, the flags
 * that mean something (RFC 9113 6). */
static const struct rule {
    uint8_t stream; /* 0, 1; 2 = either */
    uint8_t flags;
    uint32_t least, most;
} rules[] = {
    [NU_H2_DATA] = {1, 0x09, 0, UINT32_MAX},
    [NU_H2_HEADERS] = {1, 0x2d, 0, UINT32_MAX},
    [NU_H2_PRIORITY] = {1, 0,    5, 5         },
    [NU_H2_RST_STREAM] = {1, 0,    4, 4         },
    [NU_H2_SETTINGS] = {0, 0x01, 0, UINT32_MAX},
    [NU_H2_PUSH_PROMISE] = {1, 0x0c, 4, UINT32_MAX},
    [NU_H2_PING] = {0, 0x01, 8, 8         },
    [NU_H2_GOAWAY] = {0, 0,    8, UINT32_MAX},
    [NU_H2_WINDOW_UPDATE] = {2, 0,    4, 4         },
    [NU_H2_CONTINUATION] = {1, 0x04, 0, UINT32_MAX},
};
#define KNOWN (sizeof rules / sizeof *rules)

bool nu_h2_frame_ok(const struct nu_h2_frame *f)
{
    if (f->type >= KNOWN)
        return true;
    const struct rule *r = &rules[f->type];
    if (r->stream != 2 && (f->stream != 0) != r->stream)
        return false;
    if (f->type == NU_H2_SETTINGS && (f->len % 6 || (f->flags & NU_H2_ACK && f->len)))
        return false;
    return f->len >= r->least && f->len <= r->most;
}

/* What is likely, too: a find must be one. */
static bool is_likely(const uint8_t *at)
{
    struct nu_h2_frame f = nu_h2_frame_read(at);
    if (!nu_h2_frame_ok(&f) || f.type >= KNOWN || f.flags & ~rules[f.type].flags)
        return false;
    if (at[5] & 128 || f.stream > SEARCH_STREAM_MAX || f.len > SEARCH_LEN_MAX)
        return false;
    if (f.type == NU_H2_DATA && f.len == 0)
        return f.flags == NU_H2_END_STREAM;
    return f.type != NU_H2_HEADERS || f.len > 0;
}

/* From `from` on, where the answer is not known yet afterwards. */
static bool find(const uint8_t *at, size_t len, size_t *from)
{
    for (; len - *from >= NU_H2_FRAME_HEADER; ++*from) {
        if (!is_likely(at + *from))
            continue;
        size_t next = *from + NU_H2_FRAME_HEADER + nu_h2_frame_read(at + *from).len;
        if (next == len)
            return true;
        if (next + NU_H2_FRAME_HEADER > len)
            return false;
        if (is_likely(at + next))
            return true;
    }
    return false;
}

long nu_h2_find_frames(struct nu_piece bytes)
{
    for (size_t at = 0; bytes.len - at >= NU_H2_FRAME_HEADER; at++)
        if (find(bytes.data, bytes.len, &at))
            return (long)at;
    return -1;
}

void nu_h2_cut_search(struct nu_h2_cutter *c)
{
    c->searching = true;
    c->in_frame = c->holed = false;
    c->header_len = 0;
    c->kept_len = c->search_len = c->search_at = 0;
}

size_t nu_h2_cutter_memory(const struct nu_h2_cutter *c)
{
    return c->kept_cap + (c->search ? NU_H2_SEARCH_MAX : 0);
}

void nu_h2_cutter_free(struct nu_h2_cutter *c)
{
    free(c->kept);
    free(c->search);
    *c = (struct nu_h2_cutter){0};
}

/* Takes in as much as there is room for; true: frames begin at search_at. */
static bool search(struct nu_h2_cutter *c, struct nu_piece *in)
{
    size_t room, n, from = 0;
    if (!c->search)
        c->search = calloc(1, NU_H2_SEARCH_MAX);
    nu_assert(c->search != NULL);
    room = NU_H2_SEARCH_MAX - c->search_len;
    n = in->len < room ? in->len : room;
    if (n)
        memcpy(c->search + c->search_len, in->data, n);
    c->search_len += (uint32_t)n;
    *in = (struct nu_piece){in->data + n, in->len - n};
    if (c->search_len < NU_H2_FRAME_HEADER)
        return false;
    bool found = find(c->search, c->search_len, &from); /* what it waits for fits the room */
    c->skipped += from;
    c->search_len -= (uint32_t)from;
    memmove(c->search, c->search + from, c->search_len);
    return found;
}

static void begin_frame(struct nu_h2_cutter *c)
{
    c->frame = nu_h2_frame_read(c->header);
    c->header_len = 0;
    c->in_frame = true;
    c->left = c->frame.len;
    c->padding = 0;
    c->holed = false;
    c->kept_len = 0;
    c->pad_unread = c->frame.type == NU_H2_DATA && c->frame.flags & NU_H2_PADDED && c->left;
}

/* False: there is more to be read of it. */
static bool take_header(struct nu_h2_cutter *c, struct nu_piece *in)
{
    size_t n = NU_H2_FRAME_HEADER - c->header_len;
    n = n < in->len ? n : in->len;
    memcpy(c->header + c->header_len, in->data, n);
    *in = (struct nu_piece){in->data + n, in->len - n};
    c->header_len += (uint8_t)n;
    return c->header_len == NU_H2_FRAME_HEADER;
}

static void take_padding_len(struct nu_h2_cutter *c, struct nu_piece *in)
{
    c->pad_unread = false;
    c->left--;
    c->padding = *in->data < c->left ? *in->data : c->left;
    c->left -= c->padding;
    *in = (struct nu_piece){in->data + 1, in->len - 1};
}

static void pass(struct nu_piece *in, uint32_t *left, struct nu_piece *part)
{
    size_t n = in->len < *left ? in->len : *left;
    *part = (struct nu_piece){in->data, n};
    *in = (struct nu_piece){in->data + n, in->len - n};
    *left -= (uint32_t)n;
}

/* NONE only where input is used up. */
static void take_data(struct nu_h2_cutter *c, struct nu_piece *in, struct nu_h2_cut *out)
{
    struct nu_piece padding;
    bool had = c->left > 0;
    if (c->pad_unread && in->len) {
        take_padding_len(c, in);
        had = c->left > 0;
    }
    if (c->pad_unread)
        return;
    pass(in, &c->left, &out->data);
    if (c->left == 0)
        pass(in, &c->padding, &padding);
    out->last = c->left == 0 && c->padding == 0;
    c->in_frame = !out->last;
    if (out->last || (had && out->data.len))
        out->what = NU_H2_CUT_DATA;
}

static void keep(struct nu_h2_cutter *c, struct nu_piece part)
{
    if (c->frame.len > NU_H2_WHOLE_MAX)
        c->holed = true;
    if (c->holed || part.len == 0)
        return;
    if (c->kept_cap < c->frame.len) {
        c->kept_cap = c->frame.len;
        free(c->kept);
        c->kept = malloc(c->kept_cap);
        nu_assert(c->kept != NULL && c->kept_len == 0);
    }
    memcpy(c->kept + c->kept_len, part.data, part.len);
    c->kept_len += (uint32_t)part.len;
}

/* Padding and priority go (RFC 9113 6.2). */
static bool strip(const struct nu_h2_frame *f, struct nu_piece *p)
{
    bool head = f->type == NU_H2_HEADERS;
    if (!head && f->type != NU_H2_PUSH_PROMISE)
        return true;
    size_t front = head && f->flags & NU_H2_WITH_PRIORITY ? 5 : 0, back = 0;
    if (f->flags & NU_H2_PADDED) {
        if (p->len == 0)
            return false;
        back = *p->data;
        front++;
    }
    if (front + back > p->len)
        return false;
    *p = (struct nu_piece){p->data + front, p->len - front - back};
    return true;
}

static void end_frame(struct nu_h2_cutter *c, struct nu_h2_cut *out)
{
    c->in_frame = false;
    out->last = true;
    out->what = !c->holed && strip(&c->frame, &out->data) ? NU_H2_CUT_FRAME : NU_H2_CUT_LOST;
}

static void take_whole(struct nu_h2_cutter *c, struct nu_piece *in, struct nu_h2_cut *out)
{
    struct nu_piece part;
    bool first = c->left == c->frame.len && !c->holed;
    pass(in, &c->left, &part);
    if (c->left || !first || c->frame.len > NU_H2_WHOLE_MAX)
        keep(c, part);
    if (c->left)
        return;
    out->data = first ? part : (struct nu_piece){c->kept, c->kept_len};
    end_frame(c, out);
}

/* A frame's payload may be empty: then no byte is needed to go on. */
static void cut(struct nu_h2_cutter *c, struct nu_piece *in, struct nu_h2_cut *out)
{
    while (out->what == NU_H2_CUT_NONE && (in->len || (c->in_frame && !c->left && !c->padding))) {
        if (c->in_frame) {
            out->frame = c->frame;
            (c->frame.type == NU_H2_DATA ? take_data : take_whole)(c, in, out);
        } else if (take_header(c, in)) {
            begin_frame(c);
            if (nu_h2_frame_ok(&c->frame))
                continue;
            nu_h2_cut_search(c);
            out->what = NU_H2_CUT_BROKEN;
        }
    }
}

void nu_h2_cut(struct nu_h2_cutter *c, struct nu_piece *in, struct nu_h2_cut *out)
{
    *out = (struct nu_h2_cut){0};
    while (c->searching && in->len) {
        if (!search(c, in))
            continue;
        c->searching = false;
        *out = (struct nu_h2_cut){.what = NU_H2_CUT_FOUND, .len = c->skipped};
        c->skipped = 0;
        return;
    }
    if (c->searching)
        return;
    if (c->search_at < c->search_len) {
        struct nu_piece again = {c->search + c->search_at, c->search_len - c->search_at};
        cut(c, &again, out);
        if (c->searching) {
            memmove(c->search, again.data, again.len);
            c->search_len = (uint32_t)again.len;
        } else {
            c->search_at = c->search_len - (uint32_t)again.len;
        }
        if (out->what != NU_H2_CUT_NONE)
            return;
    }
    cut(c, in, out);
}

static void miss(struct nu_h2_cutter *c, uint64_t *bytes, struct nu_h2_cut *out)
{
    uint64_t all = (uint64_t)c->left + c->padding;
    uint64_t n = *bytes < all ? *bytes : all;
    *bytes -= n;
    out->frame = c->frame;
    out->len = n < c->left ? n : c->left;
    c->padding -= (uint32_t)(n - out->len);
    c->left -= (uint32_t)out->len;
    c->pad_unread = false;
    c->holed = true;
    out->last = c->left == 0 && c->padding == 0;
    if (c->frame.type == NU_H2_DATA)
        out->what = NU_H2_CUT_MISSING;
    else if (out->last)
        out->what = NU_H2_CUT_LOST;
    c->in_frame = !out->last;
}

void nu_h2_cut_gap(struct nu_h2_cutter *c, uint64_t *bytes, struct nu_h2_cut *out)
{
    *out = (struct nu_h2_cut){0};
    if (*bytes == 0)
        return;
    if (c->searching) {
        c->skipped += c->search_len + *bytes;
        c->search_len = 0;
        *bytes = 0;
        return;
    }
    if (c->in_frame) {
        miss(c, bytes, out);
        return;
    }
    c->skipped = *bytes + c->header_len;
    *bytes = 0;
    nu_h2_cut_search(c);
    out->what = NU_H2_CUT_BROKEN;
}
