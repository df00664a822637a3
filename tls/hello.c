/* A server's look at the ClientHello while OpenSSL reads it: a cap that OpenSSL does not have (it
 * would reserve 128 KiB for whoever announces them), and facts for matches and logs that are known
 * even if the handshake then fails. It judges nothing: what it cannot read is left to OpenSSL. */
#include "tls/filter_priv.h"

#include "core/assert.h"
#include "core/table/hash.h"
#include "tls/fingerprint.h"

#include <stdlib.h>

#define ALPN_TEXT_MAX 256 /* bytes of offered names kept for logs */

static const char *sni_of(struct nu_arena *arena, const struct nu_client_hello *hello)
{
    char *name =
        nu_arena_strndup(arena, (const char *)nu_hello_bytes(hello, hello->sni), hello->sni.len);
    for (char *c = name; *c; c++)
        *c = (char)nu_fold((uint8_t)*c);
    return name;
}

/* As text; whole names as far as they fit. */
static const char *alpn_of(struct nu_arena *arena, const struct nu_client_hello *hello)
{
    char text[ALPN_TEXT_MAX];
    size_t at = 0;
    unsigned place = 0;
    struct nu_hello_span span;
    while (nu_hello_alpn_next(hello, &place, &span) && at + span.len + 1 < sizeof text) {
        const uint8_t *name = nu_hello_bytes(hello, span);
        if (span.len == 2 && nu_hello_is_grease((uint16_t)(name[0] << 8 | name[1])))
            continue;
        if (at)
            text[at++] = ',';
        for (size_t i = 0; i < span.len; i++, at++)
            text[at] = (char)(name[i] > ' ' && name[i] < 0x7f && name[i] != ',' ? name[i] : '?');
    }
    return at ? nu_arena_strndup(arena, text, at) : NULL;
}

/* A sniffer may have seen it before us. */
static void learn(struct tls *t)
{
    const struct nu_client_hello *hello = t->hello;
    struct nu_chain *chain = t->filter.chain;
    if (hello->sni.len || hello->alpn.len) {
        struct nu_facts_more *more = nu_chain_facts_more(chain);
        if (!more->sni && hello->sni.len)
            more->sni = sni_of(nu_chain_arena(chain), hello);
        if (!more->alpn && hello->alpn.len)
            more->alpn = alpn_of(nu_chain_arena(chain), hello);
        more->transport = NU_TRANSPORT_TLS;
    }
    nu_tls_fingerprint_hello(&t->conn, hello->msg, hello->msg_len);
}

/* OpenSSL sends alerts of its own only. */
static void say_too_long(struct tls *t)
{
    static const uint8_t decode_error[] = {21, 3, 1, 0, 2, 2, SSL_AD_DECODE_ERROR};
    t->alert_out = SSL_AD_DECODE_ERROR;
    t->wire_out += sizeof decode_error;
    nu_forward_data(&t->filter, tls_outdir(t),
                    (struct nu_slice){decode_error, sizeof decode_error, NULL});
    tls_refuse(t, NU_CAUSE_TLS_FAILED, "a ClientHello of over 16 KiB");
}

bool tls_hello_watch(struct tls *t)
{
    if (!t->conn.ssl) {
        t->hello = malloc(sizeof *t->hello);
        nu_assert(t->hello != NULL);
        nu_client_hello_init(t->hello);
    }
    if (!t->hello)
        return true;
    switch (nu_client_hello_feed(t->hello, t->wire.in.data, t->wire.in.len)) {
    case NU_MORE:
        return true;
    case NU_ERR_LIMIT:
        say_too_long(t);
        return false;
    case NU_OK:
        learn(t);
        break;
    default:
        break;
    }
    tls_hello_free(t);
    return true;
}

void tls_hello_free(struct tls *t)
{
    if (!t->hello)
        return;
    nu_client_hello_free(t->hello);
    free(t->hello);
    t->hello = NULL;
}
