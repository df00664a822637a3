/* The br coding (RFC 7932) by libbrotli. A stream says how large a window it wants, up to 16 MiB:
 * the decoder's memory is counted, and refused past a cap. */
#include "core/assert.h"
#include "protocols/coding/coder_priv.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

struct brotli {
    struct nu_coder coder; /* first member */
    BrotliEncoderState *encoder;
    BrotliDecoderState *decoder; /* one of the two */
    size_t taken, cap;           /* bytes of the decoder's memory */
    bool begun;
};

/* --- encoder --- */

static enum nu_code_state encode(struct nu_coder *coder, enum nu_code_what what,
                                 struct nu_code_io *io)
{
    static const BrotliEncoderOperation operations[] = {
        BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH, BROTLI_OPERATION_FINISH};
    BrotliEncoderState *e = ((struct brotli *)coder)->encoder;
    BROTLI_BOOL ok = BrotliEncoderCompressStream(e, operations[what], &io->in_len, &io->in,
                                                 &io->out_len, &io->out, NULL);
    nu_assert(ok);
    if (io->in_len > 0 || BrotliEncoderHasMoreOutput(e))
        return NU_CODE_FULL;
    if (what != NU_CODE_FINISH)
        return NU_CODE_MORE;
    return BrotliEncoderIsFinished(e) ? NU_CODE_END : NU_CODE_FULL;
}

static void encoder_free(struct nu_coder *coder)
{
    BrotliEncoderDestroyInstance(((struct brotli *)coder)->encoder);
    free(coder);
}

static struct brotli *allocate(void)
{
    struct brotli *b = calloc(1, sizeof *b);
    nu_assert(b != NULL);
    return b;
}

struct nu_coder *brotli_encoder(const struct nu_encoder_conf *conf)
{
    struct brotli *b = allocate();
    b->coder.run = encode;
    b->coder.free = encoder_free;
    b->encoder = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    nu_assert(b->encoder != NULL);
    BrotliEncoderSetParameter(b->encoder, BROTLI_PARAM_QUALITY, (uint32_t)conf->level);
    BrotliEncoderSetParameter(b->encoder, BROTLI_PARAM_LGWIN, (uint32_t)conf->window_bits);
    return &b->coder;
}

/* --- decoder --- */

static void *counted_alloc(void *opaque, size_t bytes)
{
    struct brotli *b = opaque;
    void *at = bytes <= b->cap && b->taken <= b->cap - bytes ? malloc(bytes) : NULL;
    b->taken += at ? malloc_usable_size(at) : 0;
    return at;
}

static void counted_free(void *opaque, void *at)
{
    struct brotli *b = opaque;
    b->taken -= at ? malloc_usable_size(at) : 0;
    free(at);
}

static enum nu_code_state decode(struct nu_coder *coder, enum nu_code_what what,
                                 struct nu_code_io *io)
{
    struct brotli *b = (struct brotli *)coder;
    b->begun = b->begun || io->in_len > 0;
    if (!b->begun)
        return what == NU_CODE_FINISH ? NU_CODE_END : NU_CODE_MORE;
    BrotliDecoderResult answer = BrotliDecoderDecompressStream(b->decoder, &io->in_len, &io->in,
                                                               &io->out_len, &io->out, NULL);
    if (answer == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT)
        return NU_CODE_FULL;
    if (answer == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT)
        return what == NU_CODE_FINISH ? NU_CODE_BAD : NU_CODE_MORE;
    if (answer == BROTLI_DECODER_RESULT_ERROR || io->in_len > 0)
        return NU_CODE_BAD;
    return what == NU_CODE_FINISH ? NU_CODE_END : NU_CODE_MORE;
}

static void decoder_free(struct nu_coder *coder)
{
    BrotliDecoderDestroyInstance(((struct brotli *)coder)->decoder);
    free(coder);
}

struct nu_coder *brotli_decoder(size_t max_window)
{
    struct brotli *b = allocate();
    b->coder.run = decode;
    b->coder.free = decoder_free;
    b->cap = 2 * max_window + NU_DECODER_TABLES;
    b->decoder = BrotliDecoderCreateInstance(counted_alloc, counted_free, b);
    nu_assert(b->decoder != NULL);
    return &b->coder;
}
