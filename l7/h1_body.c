/* Chunks and trailers of HTTP/1; see h1_body.h. On the filter's worker, from its own callback. */
#include "l7/h1_body.h"

#include "core/chain.h"
#include "protocols/http/h1_write.h"

void nu_h1_forward_chunk(struct nu_filter *f, enum nu_dir dir, struct nu_slice data)
{
    struct nu_block *b = nu_block_get(nu_filter_loop(f)->blocks, NU_H1_CHUNK_HEAD_MAX);
    size_t n = nu_h1_chunk_head(nu_block_tail(b), data.len);
    if (n > 0) {
        nu_forward_data(f, dir, nu_block_freeze(b, n));
        nu_forward_data(f, dir, data);
        nu_forward_data(f, dir, nu_h1_chunk_tail());
    } else {
        nu_slice_drop(&data);
    }
    nu_block_unref(b);
}

bool nu_h1_forward_trailers(struct nu_filter *f, enum nu_dir dir, const struct nu_http_head *trail)
{
    struct nu_slice out;
    struct nu_block *b = nu_block_get(nu_filter_loop(f)->blocks, nu_h1_head_room(trail));
    bool fine = nu_h1_write_trailers(b, trail, &out) == NU_OK;
    if (fine)
        nu_forward_data(f, dir, out);
    nu_block_unref(b);
    return fine;
}
