/* Codings by name and number; see coder.h. What they do stands in gzip.c and brotli.c. */
#include "core/assert.h"
#include "protocols/coding/coder_priv.h"

#include <string.h>
#include <strings.h>

const char *nu_coding_str(enum nu_coding coding)
{
    static const char *const names[NU_CODING_COUNT] = {"identity", "gzip", "br"};
    nu_assert((unsigned)coding < NU_CODING_COUNT);
    return names[coding];
}

const char *nu_code_state_str(enum nu_code_state state)
{
    static const char *const names[] = {"more", "full", "end", "bad"};
    nu_assert((unsigned)state < sizeof names / sizeof *names);
    return names[state];
}

static int is(const char *token, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(token, name, len) == 0;
}

enum nu_coding nu_coding_find(const char *token, size_t len)
{
    for (enum nu_coding c = NU_CODING_IDENTITY; c < NU_CODING_COUNT; c++)
        if (is(token, len, nu_coding_str(c)))
            return c;
    return is(token, len, "x-gzip") ? NU_CODING_GZIP : NU_CODING_COUNT; /* RFC 9110 8.4.1.3 */
}

struct nu_coder *nu_encoder_new(enum nu_coding coding, const struct nu_encoder_conf *conf)
{
    nu_assert(coding == NU_CODING_GZIP || coding == NU_CODING_BROTLI);
    return coding == NU_CODING_GZIP ? gzip_encoder(conf) : brotli_encoder(conf);
}

struct nu_coder *nu_decoder_new(enum nu_coding coding, size_t max_window)
{
    nu_assert(coding == NU_CODING_GZIP || coding == NU_CODING_BROTLI);
    return coding == NU_CODING_GZIP ? gzip_decoder() : brotli_decoder(max_window);
}

void nu_coder_free(struct nu_coder *coder)
{
    if (coder)
        coder->free(coder);
}

enum nu_code_state nu_code(struct nu_coder *coder, enum nu_code_what what, struct nu_code_io *io)
{
    return coder->run(coder, what, io);
}
