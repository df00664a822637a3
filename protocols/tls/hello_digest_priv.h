/* Text that is hashed as it is written: what JA3 and JA4 have in common. No text is ever kept, so a
 * hello full of ciphers costs time and no memory. */
#ifndef NU_PROTOCOLS_TLS_HELLO_DIGEST_PRIV_H
#define NU_PROTOCOLS_TLS_HELLO_DIGEST_PRIV_H

#include "protocols/tls/client_hello.h"

#include <openssl/evp.h>

struct hello_digest {
    EVP_MD_CTX *ctx; /* NULL: the algorithm is not to be had (FIPS) */
    size_t len;
    size_t total; /* bytes put in */
    char text[256];
};

void hello_digest_start(struct hello_digest *d, const EVP_MD *algorithm);
void hello_digest_put(struct hello_digest *d, const char *text, size_t len);
/* The first `digits` of the digest in lower-case hexadecimal, and a NUL. False: there is none, and
 * out is "". Ends the digest. */
bool hello_digest_end(struct hello_digest *d, char *out, size_t digits);

#endif
