/* Content codings as streams: bytes in, bytes out, any number at a time (RFC 9110 8.4.1). gzip is
 * zlib's, br is libbrotli's. No socket, no clock; a coder is touched by one thread. */
#ifndef NU_PROTOCOLS_CODING_CODER_H
#define NU_PROTOCOLS_CODING_CODER_H

#include <stddef.h>
#include <stdint.h>

enum nu_coding { NU_CODING_IDENTITY, NU_CODING_GZIP, NU_CODING_BROTLI, NU_CODING_COUNT };
/* As Content-Encoding has it: "identity", "gzip", "br". */
const char *nu_coding_str(enum nu_coding coding);
/* By its token, in any case of letters, x-gzip too; NU_CODING_COUNT: none that is known. */
enum nu_coding nu_coding_find(const char *token, size_t len);

enum nu_code_what {
    NU_CODE_RUN,    /* take input; output may stay inside */
    NU_CODE_FLUSH,  /* all that was taken so far is to come out */
    NU_CODE_FINISH, /* and nothing follows it */
};

enum nu_code_state {
    NU_CODE_MORE, /* the input is used up, and what was asked for is done */
    NU_CODE_FULL, /* there is no room for more output: again with the same input and more room */
    NU_CODE_END,  /* FINISH: all is out */
    NU_CODE_BAD,  /* decoder: not of this coding, cut short, or over a limit of memory */
};
const char *nu_code_state_str(enum nu_code_state state);

/* What is used up of `in`, and written of `out`, is taken off both. */
struct nu_code_io {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
};

struct nu_coder;

/* How hard to try. Memory of an encoder: gzip 2^(window_bits + 2) + 2^(memory_level + 9) bytes and
 * 6 KiB. br, measured: 1 MiB at most for level 3 with 18 bits, 4 MiB for level 5, 48 MiB for level
 * 9 with 22. */
struct nu_encoder_conf {
    int level;        /* gzip 1 to 9, br 0 to 11 */
    int window_bits;  /* gzip 9 to 15, br 10 to 24 */
    int memory_level; /* gzip 1 to 9 */
};

/* GZIP or BROTLI; freed with nu_coder_free. Never NULL. */
struct nu_coder *nu_encoder_new(enum nu_coding coding, const struct nu_encoder_conf *conf);
/* `max_window` bytes: what a br stream may ask for, in memory that it takes at most twice, and
 * NU_DECODER_TABLES besides; gzip always has 32 KiB. Never NULL. */
struct nu_coder *nu_decoder_new(enum nu_coding coding, size_t max_window);
/* For "deflate", which nobody here says: zlib's format (RFC 9110 8.4.1.2) or, as many servers have
 * it, bare deflate. Takes 44 KiB. Never NULL. */
struct nu_coder *nu_deflate_decoder_new(void);
/* NULL is fine. */
void nu_coder_free(struct nu_coder *coder);

#define NU_DECODER_TABLES (4u << 20) /* bytes; the prefix codes of a br stream, at their worst */

/* One step. A decoder that is told FINISH says whether its stream was whole: END, else BAD; a body
 * of no bytes at all is. After BAD nothing but free. */
enum nu_code_state nu_code(struct nu_coder *coder, enum nu_code_what what, struct nu_code_io *io);

#endif
