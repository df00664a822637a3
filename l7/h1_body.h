/* What of a chunked body leaves a filter, the same on both sides of HTTP/1. */
#ifndef NU_L7_H1_BODY_H
#define NU_L7_H1_BODY_H

#include "core/filter.h"
#include "protocols/http/head.h"

/* Forwards the data as a chunk; takes it. No data: nothing, since that would be the last chunk. */
void nu_h1_forward_chunk(struct nu_filter *f, enum nu_dir dir, struct nu_slice data);
/* Forwards the last chunk and the trailers. False: they hold what must not be sent, nothing was. */
bool nu_h1_forward_trailers(struct nu_filter *f, enum nu_dir dir, const struct nu_http_head *trail);

#endif
