/* Lines of a head, however reads cut them. Bytes that lie whole in one read stay where they are;
 * what is left of a read when the next one must come is copied to a segment in the message's arena,
 * whole lines and the beginning of the cut one, which then grows there until it is whole. */
#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http/chars_priv.h"
#include "protocols/http/h1_priv.h"
#include "protocols/http/head_priv.h"

#define SEGMENT_MIN 1024u /* bytes; most heads that are cut at all fit */

void h1_lines_reset(struct nu_h1_parser *p)
{
    p->run = NULL;
    p->seg_line = p->seg_used;
    p->seen = 0;
    p->head_bytes = 0;
}

void h1_lines_pin(struct nu_h1_parser *p, const struct nu_slice *in)
{
    if (!p->run)
        return;
    struct nu_slice run = {p->run, (size_t)(in->data - p->run), in->block};
    h1_split(&run, run.len, &p->head->wire);
}

void h1_lines_salvage(struct nu_h1_parser *p, const struct nu_slice *in)
{
    if (!p->run)
        return;
    const char *from = (const char *)p->run;
    size_t len = (size_t)((const char *)in->data - from);
    const char *to = nu_arena_strndup(p->arena, from, len);
    nu_http_head_move(p->head, &(struct nu_http_move){from, len, to});
    p->run = NULL;
}

/* Room for `more` bytes behind what is used; a cut line of `keep` bytes moves to a new segment. */
static void reserve(struct nu_h1_parser *p, size_t keep, size_t more)
{
    if (p->seg_cap - p->seg_used >= more)
        return;
    size_t cap = 2 * (keep + more) > SEGMENT_MIN ? 2 * (keep + more) : SEGMENT_MIN;
    char *seg = nu_arena_alloc(p->arena, cap);
    if (keep)
        memcpy(seg, p->seg + p->seg_line, keep);
    p->seg = seg;
    p->seg_line = 0;
    p->seg_used = (uint32_t)keep;
    p->seg_cap = (uint32_t)cap;
}

/* The read ends inside of the head: takes all of it, and the whole lines before. */
static void stash(struct nu_h1_parser *p, struct nu_slice *in)
{
    const uint8_t *from = p->run ? p->run : in->data;
    size_t whole = (size_t)(in->data - from), len = whole + in->len;
    if (len == 0)
        return;
    reserve(p, 0, len);
    char *to = p->seg + p->seg_used;
    memcpy(to, from, len);
    if (whole)
        nu_http_head_move(p->head, &(struct nu_http_move){(const char *)from, whole, to});
    p->seg_line = p->seg_used + (uint32_t)whole;
    p->seg_used += (uint32_t)len;
    p->run = NULL;
    h1_skip(in, in->len);
}

static enum nu_h1_error stray(char c)
{
    if (c == '\n')
        return NU_H1_BARE_LF;
    if (c == '\r')
        return NU_H1_BARE_CR;
    return c ? NU_H1_CONTROL : NU_H1_NUL;
}

/* `text` bytes of the `len` at hand are text: what comes then, if anything? */
static enum h1_line ends(const char *at, size_t text, size_t len, size_t room,
                         enum nu_h1_error *error)
{
    if (text + 1 < len && at[text] == '\r' && at[text + 1] == '\n')
        return H1_TOOK;
    if (text < len && (at[text] != '\r' || text + 1 < len)) {
        *error = stray(at[text]);
        return H1_BAD;
    }
    return len == room ? H1_LONG : H1_CUT;
}

/* The line began in an earlier read: its next bytes go behind those. */
static enum h1_line take_cut(struct nu_h1_parser *p, struct nu_slice *in, size_t room,
                             struct nu_text *line, enum nu_h1_error *error)
{
    size_t have = p->seg_used - p->seg_line, len = room - have < in->len ? room - have : in->len;
    size_t to_lf = ch_before((const char *)in->data, len, '\n');
    len = to_lf < len ? to_lf + 1 : len;
    reserve(p, have, len);
    if (len)
        memcpy(p->seg + p->seg_used, in->data, len);
    p->seg_used += (uint32_t)len;
    h1_skip(in, len);

    const char *at = p->seg + p->seg_line;
    size_t text = p->seen + ch_text(at + p->seen, have + len - p->seen);
    enum h1_line is = ends(at, text, have + len, room, error);
    *line = nu_text(at, text);
    p->seen = (uint32_t)text;
    if (is == H1_TOOK) {
        p->seg_line = p->seg_used;
        p->seen = 0;
        p->head_bytes += (uint32_t)text + 2;
    }
    return is;
}

enum h1_line h1_take_hard_line(struct nu_h1_parser *p, struct nu_slice *in, size_t room,
                               struct nu_text *line, enum nu_h1_error *error)
{
    if (p->seg_used > p->seg_line)
        return take_cut(p, in, room, line, error);
    size_t len = in->len < room ? in->len : room, text = ch_text((const char *)in->data, len);
    enum h1_line is = ends((const char *)in->data, text, len, room, error);
    *line = nu_text((const char *)in->data, text);
    nu_assert(is != H1_TOOK); /* h1_take_line took it */
    if (is == H1_CUT) {
        stash(p, in);
        p->seen = (uint32_t)text;
        *line = p->seg ? nu_text(p->seg + p->seg_line, text) : nu_text("", 0);
    }
    return is;
}
