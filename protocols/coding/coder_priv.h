/* Inside of protocols/coding only: a coder begins with what it does. */
#ifndef NU_PROTOCOLS_CODING_CODER_PRIV_H
#define NU_PROTOCOLS_CODING_CODER_PRIV_H

#include "protocols/coding/coder.h"

struct nu_coder {
    enum nu_code_state (*run)(struct nu_coder *coder, enum nu_code_what what,
                              struct nu_code_io *io);
    void (*free)(struct nu_coder *coder);
};

struct nu_coder *gzip_encoder(const struct nu_encoder_conf *conf);
struct nu_coder *gzip_decoder(void);
struct nu_coder *brotli_encoder(const struct nu_encoder_conf *conf);
struct nu_coder *brotli_decoder(size_t max_window);

#endif
