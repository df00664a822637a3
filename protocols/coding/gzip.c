/* The gzip coding (RFC 1952) by zlib. A decoder takes several members one after another, as gzip
 * does; what else follows a member is an error. */
#include "core/assert.h"
#include "protocols/coding/coder_priv.h"

#include <stdlib.h>
#include <zlib.h>

#define GZIP_HEADER 16 /* added to window bits: with header and checksum of gzip */

struct gzip {
    struct nu_coder coder; /* first member */
    z_stream z;
    uint8_t begun; /* decoder: bytes have come */
    uint8_t ended; /* decoder: and none of a member that is not whole */
};

/* zlib counts in 32 bits. */
static unsigned part(size_t len)
{
    return len < UINT32_MAX / 2 ? (unsigned)len : UINT32_MAX / 2;
}

static void lend(z_stream *z, const struct nu_code_io *io)
{
    z->next_in = (Bytef *)io->in; /* not written to */
    z->avail_in = part(io->in_len);
    z->next_out = io->out;
    z->avail_out = part(io->out_len);
}

static void take_back(const z_stream *z, struct nu_code_io *io)
{
    io->in_len -= (size_t)(z->next_in - io->in);
    io->in = z->next_in;
    io->out_len -= (size_t)(z->next_out - io->out);
    io->out = z->next_out;
}

/* --- encoder --- */

static enum nu_code_state encode(struct nu_coder *coder, enum nu_code_what what,
                                 struct nu_code_io *io)
{
    static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *z = &((struct gzip *)coder)->z;
    lend(z, io);
    int answer = deflate(z, flush[what]);
    take_back(z, io);
    nu_assert(answer != Z_STREAM_ERROR);
    if (answer == Z_STREAM_END)
        return NU_CODE_END;
    return io->out_len == 0 || what == NU_CODE_FINISH ? NU_CODE_FULL : NU_CODE_MORE;
}

static void encoder_free(struct nu_coder *coder)
{
    deflateEnd(&((struct gzip *)coder)->z);
    free(coder);
}

struct nu_coder *gzip_encoder(const struct nu_encoder_conf *conf)
{
    struct gzip *g = calloc(1, sizeof *g);
    nu_assert(g != NULL);
    g->coder.run = encode;
    g->coder.free = encoder_free;
    int answer = deflateInit2(&g->z, conf->level, Z_DEFLATED, conf->window_bits + GZIP_HEADER,
                              conf->memory_level, Z_DEFAULT_STRATEGY);
    nu_assert(answer == Z_OK);
    return &g->coder;
}

/* --- decoder --- */

/* Until input or room is used up. Behind a member another may begin. */
static int decode_some(struct gzip *g)
{
    z_stream *z = &g->z;
    int answer = Z_OK;
    while (answer == Z_OK && z->avail_in > 0 && z->avail_out > 0) {
        if (g->ended)
            inflateReset(z);
        answer = inflate(z, Z_NO_FLUSH);
        g->ended = answer == Z_STREAM_END;
        answer = g->ended ? Z_OK : answer;
    }
    if (answer == Z_OK && z->avail_in == 0 && z->avail_out > 0 && !g->ended)
        answer = inflate(z, Z_NO_FLUSH); /* what was kept inside for want of room */
    if (answer == Z_STREAM_END)
        g->ended = 1;
    return answer == Z_STREAM_END || answer == Z_BUF_ERROR ? Z_OK : answer;
}

static enum nu_code_state decode(struct nu_coder *coder, enum nu_code_what what,
                                 struct nu_code_io *io)
{
    struct gzip *g = (struct gzip *)coder;
    g->begun |= io->in_len > 0;
    lend(&g->z, io);
    int answer = g->begun ? decode_some(g) : Z_OK;
    take_back(&g->z, io);
    if (answer != Z_OK)
        return NU_CODE_BAD;
    if (io->out_len == 0)
        return NU_CODE_FULL;
    if (what != NU_CODE_FINISH)
        return NU_CODE_MORE;
    return g->ended || !g->begun ? NU_CODE_END : NU_CODE_BAD;
}

static void decoder_free(struct nu_coder *coder)
{
    inflateEnd(&((struct gzip *)coder)->z);
    free(coder);
}

struct nu_coder *gzip_decoder(void)
{
    struct gzip *g = calloc(1, sizeof *g);
    nu_assert(g != NULL);
    g->coder.run = decode;
    g->coder.free = decoder_free;
    int answer = inflateInit2(&g->z, MAX_WBITS + GZIP_HEADER);
    nu_assert(answer == Z_OK);
    return &g->coder;
}
