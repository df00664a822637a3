/* OpenSSL by itself on the wire of one TLS filter, for tests of what no filter would say:
 *
 *     raw client | tls (server) | sink        source | tls (client) | raw server
 *
 * The test has raw.ssl in hand: it calls OpenSSL, then raw_send() to bring over what that wrote.
 * What the filter says is given to OpenSSL's input at once. */
#ifndef NU_TESTS_RAW_PEER_H
#define NU_TESTS_RAW_PEER_H

#include "tests/unit/tls/tls_kit.h"

static struct {
    SSL_CTX *ctx;
    SSL *ssl;
    struct nu_probe probe;
    enum nu_dir out; /* towards the filter */
    struct nu_ev ev; /* on its way */
    uint64_t heard;  /* bytes of the filter's */
    uint8_t last[2]; /* the last of them */
    bool got_end, blocked;
    struct nu_result end;
} raw;

static void raw_hears(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_END) {
        raw.got_end = true;
        raw.end = ev->u.end;
        nu_done(f, dir);
        return;
    }
    size_t len = ev->u.data.len;
    BIO_write(SSL_get_rbio(raw.ssl), ev->u.data.data, (int)len);
    raw.heard += len;
    for (size_t i = len < 2 ? 0 : len - 2; i < len; i++) {
        raw.last[0] = raw.last[1];
        raw.last[1] = ev->u.data.data[i];
    }
    nu_ev_free(ev);
}

static inline void raw_put(struct nu_filter *f)
{
    nu_forward(f, raw.out, &raw.ev);
}

static inline void raw_ask(struct nu_filter *f)
{
    raw.blocked = nu_blocked(f, raw.out);
}

/* Whether the filter would have a socket stop reading. */
static inline bool raw_blocked(void)
{
    nu_call(raw.probe.self, raw_ask);
    return raw.blocked;
}

/* Bytes for the filter, and a turn of the loop; nothing where the chain is over. */
static inline void raw_give(const void *bytes, size_t len)
{
    if (!raw.probe.self || nu_chain_ended(raw.probe.self->chain))
        return;
    struct nu_block *b = nu_block_get(kit->loop.blocks, len);
    memcpy(b->data, bytes, len);
    raw.ev = nu_ev_data(nu_block_freeze(b, len));
    nu_block_unref(b);
    nu_call(raw.probe.self, raw_put);
    tls_kit_run(1);
}

/* What OpenSSL has written, at most `most` bytes of it; how many there were. */
static inline size_t raw_send_some(size_t most)
{
    static uint8_t bytes[1 << 20];
    int n =
        BIO_read(SSL_get_wbio(raw.ssl), bytes, (int)(most < sizeof bytes ? most : sizeof bytes));
    if (n > 0)
        raw_give(bytes, (size_t)n);
    return n > 0 ? (size_t)n : 0;
}

static inline size_t raw_send(void)
{
    return raw_send_some(SIZE_MAX);
}

static inline void raw_end(enum nu_cause cause)
{
    raw.ev = nu_ev_end(nu_result_of(cause));
    nu_call(raw.probe.self, raw_put);
    tls_kit_run(1);
}

/* The chain with our filter in that role; OpenSSL's side is not begun. */
static inline void raw_chain(enum nu_tls_role role, int version)
{
    static const struct nu_chain_owner owner = {.closed = tls_kit_closed};
    bool server = role == NU_TLS_SERVER;
    memset(&raw, 0, sizeof raw);
    raw.probe.event = raw_hears;
    raw.out = server ? NU_FWD : NU_REV;
    raw.ctx = SSL_CTX_new(server ? TLS_client_method() : TLS_server_method());
    nu_assert(raw.ctx != NULL);
    if (!server)
        tls_kit_identity(raw.ctx, "raw.test");
    SSL_CTX_set_min_proto_version(raw.ctx, version);
    SSL_CTX_set_max_proto_version(raw.ctx, version);
    raw.ssl = SSL_new(raw.ctx);
    SSL_set_bio(raw.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (server)
        SSL_set_connect_state(raw.ssl);
    else
        SSL_set_accept_state(raw.ssl);
    const struct nu_place as_server[] = {
        {&nu_probe_left, &raw.probe      },
        {&nu_tls_filter, &kit->server.pub},
        {&nu_sink,       &kit->right     }
    };
    const struct nu_place as_client[] = {
        {&nu_source,      &kit->left      },
        {&nu_tls_filter,  &kit->client.pub},
        {&nu_probe_right, &raw.probe      }
    };
    kit->chain = nu_chain_new(&kit->loop, server ? as_server : as_client, 3, NULL, &owner, NULL);
    kit->tls[server] = raw.probe.self->next[raw.out];
}

/* OpenSSL's side of the handshake, as far as it goes; true once it is done. */
static inline bool raw_shake(void)
{
    for (int i = 0; i < 5 && SSL_do_handshake(raw.ssl) != 1; i++)
        raw_send();
    raw_send();
    tls_kit_run(1);
    return SSL_is_init_finished(raw.ssl);
}

/* Whether OpenSSL's side hears that many bytes of plain text, and nothing else. */
static inline bool raw_reads(size_t count)
{
    char text[1000];
    int n = SSL_read(raw.ssl, text, sizeof text);
    return n < 0 ? count == 0 : (size_t)n == count;
}

static inline void raw_free(void)
{
    SSL_free(raw.ssl);
    SSL_CTX_free(raw.ctx);
    raw.ssl = NULL;
    raw.ctx = NULL;
}

#endif
