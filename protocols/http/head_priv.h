/* For codecs that fill heads: bytes that move. */
#ifndef NU_PROTOCOLS_HTTP_HEAD_PRIV_H
#define NU_PROTOCOLS_HTTP_HEAD_PRIV_H

#include "protocols/http/head.h"

/* `len` bytes were copied from one place to another. */
struct nu_http_move {
    const char *from;
    size_t len;
    const char *to;
};
/* Texts that lay in the old place now point into the new one. */
void nu_http_head_move(struct nu_http_head *head, const struct nu_http_move *move);

#endif
