/* A ClientHello from what it offers, for the tests of its fingerprints. */
#ifndef TESTS_UNIT_OFFER_H
#define TESTS_UNIT_OFFER_H

#include "protocols/tls/client_hello.h"
#include "tests/unit/protocols/tls/hello_maker.h"

#define OFFER_MAX 40

/* Lists end with -1. An extension that has a list below gets it as its body. */
struct offer {
    unsigned version;
    int ciphers[OFFER_MAX], extensions[OFFER_MAX];
    int groups[OFFER_MAX], points[OFFER_MAX], signatures[OFFER_MAX], versions[OFFER_MAX];
    const char *alpn; /* as on the wire, without the list's length */
    size_t alpn_len;
};

static inline void put_list(struct bytes *b, unsigned width, unsigned each, const int *list)
{
    struct bytes *items = &wire;
    items->len = 0;
    for (; *list >= 0; list++)
        put_n(items, each, (unsigned)*list);
    put_vec(b, width, items->data, items->len);
}

static inline void put_offered(const struct offer *o, unsigned type)
{
    static struct bytes body;
    body.len = 0;
    if (type == 0) {
        put_sni(&exts, 0, "a.test", 6);
        return;
    }
    if (type == 10)
        put_list(&body, 2, 2, o->groups);
    if (type == 11)
        put_list(&body, 1, 1, o->points);
    if (type == 13)
        put_list(&body, 2, 2, o->signatures);
    if (type == 16)
        put_vec(&body, 2, o->alpn, o->alpn_len);
    if (type == 43)
        put_list(&body, 1, 2, o->versions);
    put_ext(&exts, type, body.data, body.len);
}

/* The hello in `msg`, read into ch. Its answer. */
static inline enum nu_err make_offer(const struct offer *o, struct nu_client_hello *ch)
{
    static struct bytes body;
    start();
    body.len = 0;
    put_n(&body, 2, o->version);
    for (unsigned i = 0; i < 32; i++)
        put_n(&body, 1, i);
    put_vec(&body, 1, "", 0);
    put_list(&body, 2, 2, o->ciphers);
    put_vec(&body, 1, "", 1);
    for (const int *type = o->extensions; *type >= 0; type++)
        put_offered(o, (unsigned)*type);
    if (exts.len)
        put_vec(&body, 2, exts.data, exts.len);
    put_message(&msg, 1, body.data, body.len);
    return nu_client_hello_message(ch, msg.data, msg.len);
}

#endif
