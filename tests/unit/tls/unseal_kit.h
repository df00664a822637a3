/* Real TLS to read along: two of OpenSSL's SSL objects face to face in memory, what passes between
 * them, what they said in plain, and their key log. */
#ifndef TESTS_UNIT_TLS_UNSEAL_KIT_H
#define TESTS_UNIT_TLS_UNSEAL_KIT_H

#include "tests/unit/tls/pki.h"
#include "tls/unseal.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define WIRE_STEPS 4096
#define TEXT_MAX   (256 * 1024)

/* What a connection does beside a handshake and some data. */
enum {
    RESUME = 1,       /* the connection before it is resumed, by ticket */
    BY_ID = 2,        /* up to TLS 1.2, by session id */
    EARLY = 4,        /* 0-RTT */
    EARLY_LOST = 8,   /* 0-RTT that the server refuses */
    RETRY = 16,       /* HelloRetryRequest */
    UPDATE = 32,      /* both sides update their keys in between */
    CLIENT_CERT = 64, /* asked for, and sent */
    MAC_INSIDE = 128, /* no encrypt-then-MAC */
    NO_EMS = 256,     /* no extended master secret */
    SMALL = 512,      /* records of 512 bytes */
    PADDED = 1024,    /* to 256 bytes */
    AGAIN = 2048,     /* the client negotiates anew, up to TLS 1.2 */
    RSA_KEY = 4096,   /* a certificate of that kind */
    BULK = 8192,      /* 100 KiB each way, else a few bytes */
};

struct text {
    uint8_t data[TEXT_MAX];
    size_t len;
};

static inline void text_add(struct text *t, const void *data, size_t len)
{
    assert_true(t->len + len <= sizeof t->data);
    memcpy(t->data + t->len, data, len);
    t->len += len;
}

struct wire {
    struct {
        int dir;
        size_t at, len;
    } step[WIRE_STEPS];
    unsigned steps;
    unsigned talk;        /* the first behind the handshake */
    struct text bytes;    /* all of them */
    struct text plain[2]; /* what was said */
    struct text keys;     /* the log */
};

static struct wire wire;
static EVP_PKEY *kit_ec, *kit_rsa;
static SSL_SESSION *kit_session;

static void kit_keylog(const SSL *ssl, const char *line)
{
    if (SSL_is_server(ssl))
        return;
    text_add(&wire.keys, line, strlen(line));
    text_add(&wire.keys, "\n", 1);
}

static int kit_new_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(kit_session);
    kit_session = session;
    return 1;
}

static int kit_any_cert(int ok, X509_STORE_CTX *store)
{
    return 1;
}

static void kit_identity(SSL_CTX *ctx, EVP_PKEY *key, const char *name)
{
    X509 *cert = pki_cert(key, name, NULL);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(cert);
}

static int kit_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
                    const unsigned char *in, unsigned in_len, void *arg)
{
    *out = in + 4;
    *len = in[3];
    return SSL_TLSEXT_ERR_OK;
}

static int kit_no_early(SSL *ssl, void *arg)
{
    return 0;
}

static void kit_common(SSL_CTX *ctx, int version, const char *cipher, unsigned flags)
{
    char list[128];
    snprintf(list, sizeof list, "%s:@SECLEVEL=0", cipher);
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    if (version == TLS1_3_VERSION)
        assert_int_equal(SSL_CTX_set_ciphersuites(ctx, cipher), 1);
    else
        assert_int_equal(SSL_CTX_set_cipher_list(ctx, list), 1);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_keylog_callback(ctx, kit_keylog);
    SSL_CTX_set_options(ctx, (flags & BY_ID ? SSL_OP_NO_TICKET : 0) |
                                 (flags & MAC_INSIDE ? SSL_OP_NO_ENCRYPT_THEN_MAC : 0) |
                                 (flags & NO_EMS ? SSL_OP_NO_EXTENDED_MASTER_SECRET : 0) |
                                 (flags & AGAIN ? SSL_OP_ALLOW_CLIENT_RENEGOTIATION : 0));
    if (flags & SMALL)
        SSL_CTX_set_max_send_fragment(ctx, 512);
    if (flags & PADDED)
        SSL_CTX_set_block_padding(ctx, 256);
}

static SSL_CTX *kit_server(int version, const char *cipher, unsigned flags)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    kit_common(ctx, version, cipher, flags);
    kit_identity(ctx, flags & RSA_KEY ? kit_rsa : kit_ec, "server.test");
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"kit", 3);
    SSL_CTX_set_max_early_data(ctx, 16384);
    SSL_CTX_set_recv_max_early_data(ctx, 16384);
    SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY); /* it would spoil tickets for a retry */
    if (flags & EARLY_LOST)
        SSL_CTX_set_allow_early_data_cb(ctx, kit_no_early, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, kit_alpn, NULL);
    if (flags & RETRY)
        SSL_CTX_set1_groups_list(ctx, "P-384");
    if (flags & CLIENT_CERT)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, kit_any_cert);
    return ctx;
}

static SSL_CTX *kit_client(int version, const char *cipher, unsigned flags)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    kit_common(ctx, version, cipher, flags);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, kit_new_session);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\2h2\3foo", 7);
    if (flags & RETRY)
        SSL_CTX_set1_groups_list(ctx, "X25519:P-384");
    if (flags & CLIENT_CERT)
        kit_identity(ctx, kit_ec, "client.test");
    return ctx;
}

/* --- a connection --- */

struct pair {
    SSL *end[2]; /* client, server */
};

static void kit_record(int dir, const uint8_t *bytes, size_t len)
{
    assert_true(wire.steps < WIRE_STEPS);
    wire.step[wire.steps].dir = dir;
    wire.step[wire.steps].at = wire.bytes.len;
    wire.step[wire.steps++].len = len;
    text_add(&wire.bytes, bytes, len);
}

/* What `dir` wants to send is sent; false: nothing. */
static bool kit_move(struct pair *p, int dir)
{
    static uint8_t buf[32768];
    int n = BIO_read(SSL_get_wbio(p->end[dir]), buf, sizeof buf);
    if (n <= 0)
        return false;
    kit_record(dir, buf, (size_t)n);
    assert_int_equal(BIO_write(SSL_get_rbio(p->end[!dir]), buf, n), n);
    return true;
}

static void kit_hear(struct pair *p, int dir)
{
    static uint8_t buf[32768];
    size_t n;
    while (SSL_read_ex(p->end[!dir], buf, sizeof buf, &n) == 1)
        ;
}

static void kit_say(struct pair *p, int dir, size_t len)
{
    static uint8_t buf[16384];
    size_t n;
    for (size_t done = 0; done < len; done += n) {
        size_t want = len - done < sizeof buf ? len - done : sizeof buf;
        for (size_t i = 0; i < want; i++)
            buf[i] = (uint8_t)(wire.plain[dir].len + i + 7 * (unsigned)dir);
        assert_int_equal(SSL_write_ex(p->end[dir], buf, want, &n), 1);
        text_add(&wire.plain[dir], buf, n);
        while (kit_move(p, dir))
            ;
        kit_hear(p, dir);
    }
}

static void kit_flush(struct pair *p)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (int dir = 0; dir < 2; dir++)
            while (kit_move(p, dir)) {
                kit_hear(p, dir);
                moved = true;
            }
    }
}

static void kit_early(struct pair *p, unsigned flags)
{
    char text[64] = "early data of the client", got[64];
    size_t n;
    assert_int_equal(SSL_write_early_data(p->end[0], text, strlen(text), &n), 1);
    while (kit_move(p, 0))
        ;
    int r = SSL_read_early_data(p->end[1], got, sizeof got, &n);
    if (flags & EARLY_LOST)
        return;
    assert_int_equal(r, SSL_READ_EARLY_DATA_SUCCESS);
    text_add(&wire.plain[0], got, n);
    while (kit_move(p, 1))
        ;
}

static void kit_shake(struct pair *p)
{
    for (int i = 0; i < 20; i++) {
        SSL_do_handshake(p->end[0]);
        while (kit_move(p, 0))
            ;
        uint8_t none;
        size_t n;
        if (SSL_get_early_data_status(p->end[1]) != SSL_EARLY_DATA_NOT_SENT)
            SSL_read_early_data(p->end[1], &none, 1, &n);
        SSL_do_handshake(p->end[1]);
        while (kit_move(p, 1))
            ;
    }
    assert_true(SSL_is_init_finished(p->end[0]) && SSL_is_init_finished(p->end[1]));
}

static void kit_talk(struct pair *p, unsigned flags)
{
    size_t much = flags & BULK ? 100 * 1024 : 300;
    kit_say(p, 0, 40);
    kit_say(p, 1, much);
    if (flags & UPDATE) {
        SSL_key_update(p->end[0], SSL_KEY_UPDATE_REQUESTED);
        kit_say(p, 0, 50);
        kit_say(p, 1, 60);
        SSL_key_update(p->end[1], SSL_KEY_UPDATE_NOT_REQUESTED);
        kit_say(p, 1, 70);
    }
    if (flags & AGAIN) {
        assert_int_equal(SSL_renegotiate(p->end[0]), 1);
        SSL_do_handshake(p->end[0]);
        kit_flush(p);
    }
    kit_say(p, 0, much);
    kit_say(p, 1, 30);
    SSL_shutdown(p->end[0]);
    kit_flush(p);
    SSL_shutdown(p->end[1]);
    kit_flush(p);
}

static SSL *kit_end(SSL_CTX *ctx, bool server)
{
    SSL *ssl = SSL_new(ctx);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    if (!server)
        SSL_set_tlsext_host_name(ssl, "name.test");
    return ssl;
}

/* Fills `wire` with one connection. `session` NULL: a full handshake. */
static void kit_connect(SSL_CTX *server, SSL_CTX *client, SSL_SESSION *session, unsigned flags)
{
    struct pair p = {
        {kit_end(client, false), kit_end(server, true)}
    };
    wire.steps = 0;
    wire.bytes.len = wire.plain[0].len = wire.plain[1].len = wire.keys.len = 0;
    if (session)
        assert_int_equal(SSL_set_session(p.end[0], session), 1);
    if (session && flags & (EARLY | EARLY_LOST))
        kit_early(&p, flags);
    kit_shake(&p);
    assert_int_equal(SSL_session_reused(p.end[1]), session != NULL);
    wire.talk = wire.steps;
    kit_talk(&p, flags);
    SSL_free(p.end[0]);
    SSL_free(p.end[1]);
}

static inline void kit_make(int version, const char *cipher, unsigned flags)
{
    if (!kit_ec)
        kit_ec = EVP_EC_gen("P-256");
    if (!kit_rsa && flags & RSA_KEY)
        kit_rsa = EVP_RSA_gen(2048);
    SSL_CTX *server = kit_server(version, cipher, flags);
    SSL_CTX *client = kit_client(version, cipher, flags);
    kit_connect(server, client, NULL, flags);
    if (flags & RESUME) {
        SSL_SESSION *session = kit_session;
        kit_session = NULL;
        assert_non_null(session);
        kit_connect(server, client, session, flags);
        SSL_SESSION_free(session);
    }
    SSL_SESSION_free(kit_session);
    kit_session = NULL;
    SSL_CTX_free(server);
    SSL_CTX_free(client);
}

static inline void kit_free(void)
{
    EVP_PKEY_free(kit_ec);
    EVP_PKEY_free(kit_rsa);
    kit_ec = kit_rsa = NULL;
}

#endif
