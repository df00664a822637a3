/* JA3; see ja3.h. One list after the other goes into the digest. */
#include "protocols/tls/ja3.h"

#include "protocols/tls/hello_digest_priv.h"

#include <stdio.h>

/* One list: values behind their first are parted by a dash, lists by a comma. */
struct list {
    struct hello_digest *digest;
    bool any;
};

static void put_number(struct list *list, unsigned value)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%s%u", list->any ? "-" : "", value);
    hello_digest_put(list->digest, text, (size_t)len);
    list->any = true;
}

static void put_values(struct hello_digest *d, const struct nu_client_hello *ch,
                       struct nu_hello_span span)
{
    struct list list = {d, false};
    hello_digest_put(d, ",", 1);
    for (unsigned i = 0; i < span.len / 2u; i++) {
        uint16_t value = nu_hello_u16(ch, span, i);
        if (!nu_hello_is_grease(value))
            put_number(&list, value);
    }
}

static void put_extensions(struct hello_digest *d, const struct nu_client_hello *ch)
{
    struct list list = {d, false};
    struct nu_hello_ext ext;
    unsigned at = 0;
    hello_digest_put(d, ",", 1);
    while (nu_hello_ext_next(ch, &at, &ext))
        if (!nu_hello_is_grease(ext.type))
            put_number(&list, ext.type);
}

static void put_points(struct hello_digest *d, const struct nu_client_hello *ch)
{
    struct list list = {d, false};
    const uint8_t *points = nu_hello_bytes(ch, ch->points);
    hello_digest_put(d, ",", 1);
    for (unsigned i = 0; i < ch->points.len; i++)
        put_number(&list, points[i]);
}

bool nu_ja3(const struct nu_client_hello *ch, char out[static NU_JA3_BYTES])
{
    struct hello_digest digest;
    hello_digest_start(&digest, EVP_md5());
    put_number(&(struct list){&digest, false}, ch->legacy_version);
    put_values(&digest, ch, ch->ciphers);
    put_extensions(&digest, ch);
    put_values(&digest, ch, ch->groups);
    put_points(&digest, ch);
    return hello_digest_end(&digest, out, NU_JA3_BYTES - 1);
}
