/* The HTTP/2 side towards clients: what an `http` filter becomes once its client turns out to speak
 * it. */
#ifndef NU_L7_H2_SERVER_H
#define NU_L7_H2_SERVER_H

#include "core/err.h"
#include "l7/http.h"

/* Whether a connection that begins with these bytes speaks HTTP/2: TLS has agreed on it (ALPN), or
 * where nothing was agreed on it begins with the preface. NU_OK, NU_NOT_THIS, or NU_MORE. */
enum nu_err nu_h2_begins(struct nu_chain *chain, const struct nu_http_conf *conf,
                         const struct nu_slice *first);
/* `f`, of nu_filter_http, goes on as its HTTP/2 side. From its own callback; takes the bytes. What
 * counts connections as such has been counted; HTTP/2's own is counted here. */
void nu_h2_server_begin(struct nu_filter *f, const struct nu_http_conf *conf,
                        struct nu_slice first);

#endif
