/* What stands between OpenSSL and the chain: one pair of BIOs for each thread, shared by all of its
 * connections. Reading takes from the slice that a connection has in hand, writing fills a block;
 * around each call into OpenSSL the pair is lent to one connection, and what was written is given
 * to it when the call is over, so that no ciphertext can stay behind for the next one. */
#ifndef NU_TLS_BIO_H
#define NU_TLS_BIO_H

#include "core/block.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* A connection's part in it. */
struct tls_wire {
    struct nu_slice in; /* ciphertext not read yet */
    bool closed;        /* reading finds nothing from now on: the peer is to be cut */
};

/* Lends this thread's pair to the SSL for its whole life. */
void tls_bio_attach(SSL *ssl);

/* Before a call into OpenSSL: it reads from `wire`, and writes into blocks of the pool; `expect` is
 * about how many bytes, 0 = a few. Not nested; nothing else may run until tls_bio_end. */
void tls_bio_begin(struct tls_wire *wire, struct nu_block_pool *pool, size_t expect);
/* What SSL_get_error says of a call for payload, but not misled by what others left in the thread's
 * queue of errors: to look whether that is empty before each call would be 400 instructions of a
 * round trip. */
int tls_bio_error(const SSL *ssl, int answer);
/* After it: what was written, the caller's; len 0 = nothing. */
struct nu_slice tls_bio_end(void);

#endif
