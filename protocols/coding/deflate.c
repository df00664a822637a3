/* The deflate coding by zlib, decoding only: its first byte says whether it has zlib's header. */
#include "core/assert.h"
#include "protocols/coding/coder_priv.h"

#include <stdlib.h>
#include <zlib.h>

struct deflated {
    struct nu_coder coder; /* first member */
    z_stream z;
    uint8_t begun, ended;
};

/* 8 is the method in zlib's header (RFC 1950 2.2), and no block of deflate that anybody makes
 * begins so: it would be a stored one with bits set that are to be nothing. */
static void begin(struct deflated *d, uint8_t first)
{
    d->begun = 1;
    int answer = inflateInit2(&d->z, (first & 15) == Z_DEFLATED ? MAX_WBITS : -MAX_WBITS);
    nu_assert(answer == Z_OK);
}

static enum nu_code_state answer_of(const struct deflated *d, int answer, enum nu_code_what what,
                                    const struct nu_code_io *io)
{
    if (answer != Z_OK && answer != Z_BUF_ERROR && answer != Z_STREAM_END)
        return NU_CODE_BAD;
    if (d->ended && io->in_len)
        return NU_CODE_BAD;
    if (io->out_len == 0 && !d->ended)
        return NU_CODE_FULL;
    if (what != NU_CODE_FINISH)
        return NU_CODE_MORE;
    return d->ended ? NU_CODE_END : NU_CODE_BAD;
}

static enum nu_code_state decode(struct nu_coder *coder, enum nu_code_what what,
                                 struct nu_code_io *io)
{
    struct deflated *d = (struct deflated *)coder;
    if (!d->begun && io->in_len == 0)
        return what == NU_CODE_FINISH ? NU_CODE_END : NU_CODE_MORE;
    if (!d->begun)
        begin(d, *io->in);
    d->z.next_in = (Bytef *)io->in; /* not written to */
    d->z.avail_in = io->in_len < UINT32_MAX ? (unsigned)io->in_len : UINT32_MAX;
    d->z.next_out = io->out;
    d->z.avail_out = io->out_len < UINT32_MAX ? (unsigned)io->out_len : UINT32_MAX;
    int answer = d->ended ? Z_OK : inflate(&d->z, Z_NO_FLUSH);
    if (answer == Z_STREAM_END)
        d->ended = 1;
    io->in_len -= (size_t)(d->z.next_in - io->in);
    io->in = d->z.next_in;
    io->out_len -= (size_t)(d->z.next_out - io->out);
    io->out = d->z.next_out;
    return answer_of(d, answer, what, io);
}

static void decoder_free(struct nu_coder *coder)
{
    struct deflated *d = (struct deflated *)coder;
    if (d->begun)
        inflateEnd(&d->z);
    free(d);
}

struct nu_coder *nu_deflate_decoder_new(void)
{
    struct deflated *d = calloc(1, sizeof *d);
    nu_assert(d != NULL);
    d->coder.run = decode;
    d->coder.free = decoder_free;
    return &d->coder;
}
