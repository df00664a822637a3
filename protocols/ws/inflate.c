/* permessage-deflate's receiving side, by zlib. */
#include "protocols/ws/inflate.h"

#include "core/assert.h"
#include "protocols/ws/handshake.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const uint8_t tail[] = {0, 0, 0xff, 0xff}; /* what a sender leaves out (RFC 7692 7.2.2) */

/* The same stream with other bytes before it. */
struct second {
    z_stream z;
    bool ended;
    uint8_t out[NU_WS_INFLATE_ROOM];
};

struct nu_ws_inflate {
    z_stream z;
    struct second *second; /* as if plain messages were context, too; NULL = none came */
    bool fresh;            /* every message begins anew */
    bool ended;  /* a final block came: the rest of the message, if any, is a stream of its own */
    bool broken; /* no later message can be read */
    uint8_t tail_at;
};

static uint8_t window_of(struct nu_text value)
{
    unsigned bits = 0;
    for (size_t i = 0; i < value.len && bits < 100; i++)
        if (value.at[i] >= '0' && value.at[i] <= '9')
            bits = bits * 10 + (unsigned)(value.at[i] - '0');
    return bits >= 8 && bits <= 15 ? (uint8_t)bits : 15;
}

static struct nu_text trim(struct nu_text t)
{
    while (t.len && (*t.at == ' ' || *t.at == '\t'))
        t = nu_text(t.at + 1, t.len - 1);
    while (t.len && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
        t.len--;
    return t;
}

/* Takes what stands before the next `stop` off the front. */
static struct nu_text until(struct nu_text *rest, char stop)
{
    size_t n = 0;
    while (n < rest->len && rest->at[n] != stop)
        n++;
    struct nu_text part = nu_text(rest->at, n);
    n += n < rest->len;
    *rest = nu_text(rest->at + n, rest->len - n);
    return trim(part);
}

static void parameter(struct nu_ws_deflate *d, struct nu_text text)
{
    struct nu_text name = until(&text, '=');
    if (nu_text_is_fold(name, "client_no_context_takeover"))
        d->fresh[0] = true;
    else if (nu_text_is_fold(name, "server_no_context_takeover"))
        d->fresh[1] = true;
    else if (nu_text_is_fold(name, "client_max_window_bits"))
        d->windows[0] = window_of(text);
    else if (nu_text_is_fold(name, "server_max_window_bits"))
        d->windows[1] = window_of(text);
}

static void extension(struct nu_ws_deflate *d, struct nu_text element)
{
    struct nu_text name = until(&element, ';');
    if (d->on || !nu_text_is_fold(name, "permessage-deflate"))
        return;
    d->on = true;
    while (element.len)
        parameter(d, until(&element, ';'));
}

struct nu_ws_deflate nu_ws_deflate_of(const struct nu_http_head *response)
{
    struct nu_ws_deflate d = {
        .windows = {15, 15}
    };
    const struct nu_http_field *f = nu_http_get(response, NU_HDR_WS_EXTENSIONS);
    for (; f; f = nu_http_next(response, f)) {
        struct nu_text rest = nu_http_field_value(f), element;
        while (rest.len && nu_http_list_next(&rest, &element))
            extension(&d, element);
    }
    return d;
}

struct nu_ws_inflate *nu_ws_inflate_new(const struct nu_ws_deflate *deflate, unsigned dir)
{
    struct nu_ws_inflate *w = calloc(1, sizeof *w);
    nu_assert(w != NULL);
    w->fresh = deflate->fresh[dir];
    /* zlib's deflate makes 9 of 8, and a larger window reads all that a smaller one does. */
    int bits = deflate->windows[dir] < 9 ? 9 : deflate->windows[dir];
    int answer = inflateInit2(&w->z, -bits);
    nu_assert(answer == Z_OK);
    return w;
}

static void drop_second(struct nu_ws_inflate *w)
{
    if (!w->second)
        return;
    inflateEnd(&w->second->z);
    free(w->second);
    w->second = NULL;
}

void nu_ws_inflate_free(struct nu_ws_inflate *w)
{
    if (!w)
        return;
    drop_second(w);
    inflateEnd(&w->z);
    free(w);
}

void nu_ws_inflate_plain(struct nu_ws_inflate *w, const uint8_t *bytes, size_t len)
{
    if (w->fresh || w->broken || len == 0)
        return;
    if (!w->second) {
        w->second = calloc(1, sizeof *w->second);
        nu_assert(w->second != NULL);
        int answer = inflateCopy(&w->second->z, &w->z);
        nu_assert(answer == Z_OK);
    }
    for (size_t n; len; bytes += n, len -= n) {
        n = len < 32768 ? len : 32768;
        inflateSetDictionary(&w->second->z, bytes, (unsigned)n);
    }
}

/* A final block, which hardly anybody sends, is followed by a stream of its own. */
static int run(z_stream *z, bool *ended)
{
    int answer = Z_OK;
    while (answer == Z_OK && z->avail_out && (z->avail_in || !*ended)) {
        if (*ended)
            inflateReset(z);
        answer = inflate(z, Z_NO_FLUSH);
        *ended = answer == Z_STREAM_END;
        answer = *ended ? Z_OK : answer;
    }
    return answer == Z_BUF_ERROR ? Z_OK : answer;
}

/* Both make the same number of bytes of the same input, as long as they can. */
static int run_second(struct nu_ws_inflate *w, const z_stream *before)
{
    struct second *s = w->second;
    s->z.next_in = before->next_in;
    s->z.avail_in = before->avail_in;
    s->z.next_out = s->out;
    s->z.avail_out = before->avail_out;
    return run(&s->z, &s->ended);
}

/* The first one failed: the second's view was right all the time. */
static void take_second(struct nu_ws_inflate *w, uint8_t *out, size_t room)
{
    struct second *s = w->second;
    memcpy(out, s->out, room - s->z.avail_out);
    inflateEnd(&w->z);
    int answer = inflateCopy(&w->z, &s->z);
    nu_assert(answer == Z_OK);
    w->z.next_out = out + (room - s->z.avail_out);
    w->ended = s->ended;
    drop_second(w);
}

enum nu_err nu_ws_inflate(struct nu_ws_inflate *w, const uint8_t **in, size_t *in_len, uint8_t *out,
                          size_t room, size_t *len)
{
    *len = 0;
    if (w->broken)
        return NU_ERR_SYNTAX;
    room = room < NU_WS_INFLATE_ROOM ? room : NU_WS_INFLATE_ROOM;
    w->z.next_in = (Bytef *)*in; /* not written to */
    w->z.avail_in = *in_len < UINT32_MAX ? (unsigned)*in_len : UINT32_MAX;
    w->z.next_out = out;
    w->z.avail_out = (unsigned)room;
    z_stream before = w->z;
    int answer = run(&w->z, &w->ended);
    if (w->second && run_second(w, &before) != Z_OK)
        drop_second(w);
    if (answer != Z_OK && w->second) {
        take_second(w, out, room);
        answer = Z_OK;
    }
    *in_len -= (size_t)(w->z.next_in - *in);
    *in = w->z.next_in;
    *len = room - w->z.avail_out;
    if (answer == Z_OK)
        return *in_len || !w->z.avail_out ? NU_MORE : NU_OK;
    w->broken = true;
    return NU_ERR_SYNTAX;
}

enum nu_err nu_ws_inflate_end(struct nu_ws_inflate *w, uint8_t *out, size_t room, size_t *len)
{
    const uint8_t *in = tail + w->tail_at;
    size_t left = sizeof tail - w->tail_at;
    enum nu_err err = nu_ws_inflate(w, &in, &left, out, room, len);
    w->tail_at = (uint8_t)(sizeof tail - left);
    if (err != NU_OK)
        return err;
    w->tail_at = 0;
    if (w->fresh)
        inflateReset(&w->z);
    w->ended = w->ended && !w->fresh;
    return NU_OK;
}

bool nu_ws_inflate_skip(struct nu_ws_inflate *w)
{
    w->tail_at = 0;
    drop_second(w);
    w->broken = !w->fresh;
    w->ended = false;
    inflateReset(&w->z);
    return !w->broken;
}
