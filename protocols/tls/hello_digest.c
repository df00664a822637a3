/* Text into libcrypto's digests by way of a small buffer; see hello_digest_priv.h. */
#include "protocols/tls/hello_digest_priv.h"

#include "core/assert.h"

#include <string.h>

static void drop_ctx(struct hello_digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
}

void hello_digest_start(struct hello_digest *d, const EVP_MD *algorithm)
{
    d->len = d->total = 0;
    d->ctx = EVP_MD_CTX_new();
    nu_assert(d->ctx != NULL);
    if (!EVP_DigestInit_ex(d->ctx, algorithm, NULL))
        drop_ctx(d);
}

static void flush(struct hello_digest *d)
{
    if (d->ctx && !EVP_DigestUpdate(d->ctx, d->text, d->len))
        drop_ctx(d);
    d->len = 0;
}

void hello_digest_put(struct hello_digest *d, const char *text, size_t len)
{
    nu_assert(len <= sizeof d->text);
    if (d->len + len > sizeof d->text)
        flush(d);
    memcpy(d->text + d->len, text, len);
    d->len += len;
    d->total += len;
}

bool hello_digest_end(struct hello_digest *d, char *out, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    flush(d);
    bool fine = d->ctx && EVP_DigestFinal_ex(d->ctx, sum, &len) && len * 2 >= digits;
    drop_ctx(d);
    for (size_t i = 0; fine && i < digits; i++)
        out[i] = hex[i % 2 ? sum[i / 2] & 15 : sum[i / 2] >> 4];
    out[fine ? digits : 0] = 0;
    return fine;
}
