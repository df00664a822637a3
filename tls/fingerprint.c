/* JA3 and JA4 into facts; see fingerprint.h. */
#include "tls/fingerprint.h"

#include "protocols/tls/ja3.h"
#include "protocols/tls/ja4.h"

static void remember(struct nu_chain *chain, const struct nu_client_hello *hello, unsigned wanted)
{
    struct nu_facts_more *more = nu_chain_facts_more(chain);
    char ja3[NU_JA3_BYTES], ja4[NU_JA4_BYTES];
    if (wanted & NU_WANT_JA3 && !more->ja3 && nu_ja3(hello, ja3))
        more->ja3 = nu_arena_strdup(nu_chain_arena(chain), ja3);
    if (wanted & NU_WANT_JA4 && !more->ja4 && nu_ja4(hello, NU_JA4_TCP, ja4))
        more->ja4 = nu_arena_strdup(nu_chain_arena(chain), ja4);
}

void nu_tls_fingerprint_hello(struct nu_tls_conn *conn, const void *msg, size_t len)
{
    struct nu_chain *chain = conn->filter->chain;
    struct nu_client_hello hello;
    unsigned wanted = nu_chain_facts(chain)->wanted;
    if (wanted && nu_client_hello_message(&hello, msg, len) == NU_OK)
        remember(chain, &hello, wanted);
}
