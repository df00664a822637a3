/* Handshakes that do not come off: too slow, too long, given up, refused; what each is called,
 * counted and logged as, and what is on the wire before the chain ends. */
#include "tests/unit/tls/raw_peer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* How it ended, for whom it counts, and the words in the access log and in our own line. */
static void failed(const struct tls_kit_context *c, enum nu_cause cause, const char *words)
{
    assert_null(kit->chain);
    assert_int_equal(kit->result.cause, cause);
    assert_string_equal(kit->blamed, "tls");
    assert_non_null(strstr(kit->details, words));
    assert_int_equal(kit->lines, 1);
    assert_non_null(strstr(kit->log[0], "handshake failed"));
    assert_non_null(strstr(kit->log[0], words));
    assert_non_null(strstr(kit->log[0], nu_cause_str(cause)));
    assert_int_equal(tls_kit_stat(c, NU_TLS_CONNECTION_ERROR), 1);
    assert_int_equal(tls_kit_stat(c, NU_TLS_HANDSHAKE), 0);
    assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
    raw_free();
}

static bool logged(const char *words)
{
    return kit->lines && strstr(kit->log[kit->lines - 1], words);
}

/* --- time */

static void a_silent_client_is_given_up(void **state)
{
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    tls_kit_run(9999);
    assert_non_null(kit->chain);
    tls_kit_run(2);
    failed(&kit->server, NU_CAUSE_TLS_TIMEOUT, "no handshake within 10000 ms");
    assert_int_equal(kit->result.how, NU_TIMEOUT);
}

/* Each byte in time, and all of them not. */
static void a_slow_client_is_given_up(void **state)
{
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    SSL_do_handshake(raw.ssl);
    for (int i = 0; i < 12 && kit->chain; i++) {
        raw_send_some(1);
        tls_kit_run(999);
    }
    failed(&kit->server, NU_CAUSE_TLS_TIMEOUT, "no handshake within 10000 ms");
}

static void a_silent_server_is_given_up(void **state)
{
    kit->client.pub.handshake_timeout_ms = 500;
    raw_chain(NU_TLS_CLIENT, TLS1_3_VERSION);
    tls_kit_run(499);
    assert_true(raw.heard > 100);
    tls_kit_run(2);
    failed(&kit->client, NU_CAUSE_UPSTREAM_TLS_TIMEOUT, "no handshake within 500 ms");
}

static void time_is_off_once_it_is_done(void **state)
{
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    assert_true(raw_shake());
    tls_kit_run(20000);
    assert_non_null(kit->chain);
    raw_free();
}

/* --- size */

/* OpenSSL would reserve what is announced. */
static void a_hello_may_have_16_kib(void **state)
{
    static const uint8_t start[] = {22, 3, 1, 0, 5, 1, 0, 0x40, 1, 3};
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    raw_give(start, sizeof start);
    assert_int_equal(raw.heard, 7);
    assert_int_equal(raw.last[0], SSL3_AL_FATAL);
    assert_int_equal(raw.last[1], SSL_AD_DECODE_ERROR);
    assert_true(raw.got_end);
    assert_true(logged("a ClientHello of over 16 KiB") && logged("alert_sent=\"decode error\""));
    tls_kit_run(TLS_LINGER_MS);
    failed(&kit->server, NU_CAUSE_TLS_FAILED, "a ClientHello of over 16 KiB");
}

/* A client's certificate that is announced as large as OpenSSL takes it, a record for each byte. */
static void a_handshake_may_have_256_kib(void **state)
{
    static uint8_t records[30 * 6];
    SSL_CTX_set_verify(kit->server.ctx, SSL_VERIFY_PEER, NULL);
    tls_kit_versions(TLS1_2_VERSION);
    raw_chain(NU_TLS_SERVER, TLS1_2_VERSION);
    SSL_do_handshake(raw.ssl);
    raw_send();
    for (size_t i = 0; i < sizeof records; i++)
        records[i] = (const uint8_t[]){22, 3, 3, 0, 1, 0}[i % 6];
    static const uint8_t start[] = {22, 3, 3, 0, 4, 11, 1, 0x80, 0}; /* 96 KiB to come */
    raw_give(start, sizeof start);
    for (unsigned sent = 0; sent < TLS_HANDSHAKE_MAX_BYTES + 1000 && kit->chain;
         sent += sizeof records)
        raw_give(records, sizeof records);
    tls_kit_run(TLS_LINGER_MS + 1);
    failed(&kit->server, NU_CAUSE_TLS_FAILED, "a handshake of over 256 KiB");
}

/* A chain of certificates that makes the server's flight larger than a block. */
static void a_long_flight_leaves_whole(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    for (int i = 0; i < 60; i++)
        assert_int_equal(SSL_CTX_add0_chain_cert(kit->server.ctx, tls_kit_cert(key, "x.test")), 1);
    EVP_PKEY_free(key);
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    assert_true(raw_shake());
    assert_true(raw.heard > NU_BLOCK_SMALL);
    raw_free();
}

/* --- the peer leaves */

/* A port scan, a health check: nobody tried anything. */
static void no_byte_is_no_failure(void **state)
{
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    raw_end(NU_CAUSE_CLIENT_FIN);
    tls_kit_run(2);
    assert_null(kit->chain);
    assert_int_equal(kit->lines, 0);
    assert_int_equal(tls_kit_stat(&kit->server, NU_TLS_CONNECTION_ERROR), 0);
    assert_int_equal(kit->right.got, 0);
    raw_free();
}

static void a_client_that_leaves(void **state)
{
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    SSL_do_handshake(raw.ssl);
    raw_send();
    raw_end(NU_CAUSE_CLIENT_FIN);
    tls_kit_run(2);
    failed(&kit->server, NU_CAUSE_TLS_FAILED, "closed within the handshake");
}

static void a_server_that_leaves(void **state)
{
    raw_chain(NU_TLS_CLIENT, TLS1_3_VERSION);
    raw_end(NU_CAUSE_UPSTREAM_FIN);
    tls_kit_run(2);
    failed(&kit->client, NU_CAUSE_UPSTREAM_TLS_FAILED, "closed within the handshake");
}

static void a_server_that_speaks_something_else(void **state)
{
    raw_chain(NU_TLS_CLIENT, TLS1_3_VERSION);
    raw_give("220 mail.test ESMTP\r\n", 21);
    tls_kit_run(2);
    failed(&kit->client, NU_CAUSE_UPSTREAM_TLS_FAILED, "wrong version number");
}

/* --- refused */

/* A client in TLS 1.3 believes to be done, and talks, when the refusal comes. */
static void refuse_a_talking_client(void)
{
    SSL_CTX_set_verify(kit->server.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    raw_shake();
    assert_true(raw.got_end && kit->chain);
    assert_int_equal(raw.end.how, NU_CLEAN); /* FIN, not RST: the alert is to arrive */
    SSL_write(raw.ssl, "GET /", 5);
    raw_send();
    assert_true(SSL_read(raw.ssl, (char[1]){0}, 1) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
    assert_int_equal(kit->right.got, 0);
}

static void a_refused_client_has_time_to_read(void **state)
{
    refuse_a_talking_client();
    nu_endpoint_send(&kit->right, 10); /* nothing of it goes to that client */
    uint64_t heard = raw.heard;
    tls_kit_run(TLS_LINGER_MS - 10);
    assert_non_null(kit->chain);
    tls_kit_run(10);
    assert_int_equal(raw.heard, heard);
    assert_null(kit->chain);
    assert_int_equal(kit->result.cause, NU_CAUSE_TLS_NO_CERT);
    assert_int_equal(tls_kit_stat(&kit->server, NU_TLS_FAIL_VERIFY_NO_CERT), 1);
    assert_true(logged("alert_sent=\"certificate required\""));
    raw_free();
}

static void a_refused_client_that_leaves_is_not_waited_for(void **state)
{
    refuse_a_talking_client();
    raw_end(NU_CAUSE_CLIENT_FIN);
    tls_kit_run(1);
    assert_null(kit->chain);
    assert_int_equal(kit->result.cause, NU_CAUSE_TLS_NO_CERT);
    assert_int_equal(kit->lines, 1);
    raw_free();
}

static void an_alert_is_named(void **state)
{
    static const struct {
        uint8_t number;
        const char *name;
    } rows[] = {
        {SSL_AD_HANDSHAKE_FAILURE,      "alert_received=\"handshake failure\""   },
        {TLS13_AD_CERTIFICATE_REQUIRED, "alert_received=\"certificate required\""},
        {TLS13_AD_MISSING_EXTENSION,    "alert_received=\"missing extension\""   },
        {77,                            "alert_received=\"number 77\""           },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint8_t alert[] = {21, 3, 3, 0, 2, SSL3_AL_FATAL, rows[i].number};
        kit->lines = 0;
        raw_chain(NU_TLS_CLIENT, TLS1_3_VERSION);
        raw_give(alert, sizeof alert);
        tls_kit_run(2);
        assert_null(kit->chain);
        assert_true(logged(rows[i].name));
        raw_free();
    }
}

/* --- what waits for it */

/* Plain bytes and END of both sides from before the handshake go on behind it, in order. */
static void what_came_before_waits(void **state)
{
    kit->right.to_send = 3000;
    kit->right.end = NU_CAUSE_UPSTREAM_FIN;
    raw_chain(NU_TLS_SERVER, TLS1_3_VERSION);
    tls_kit_run(100);
    assert_int_equal(raw.heard, 0);
    raw_shake();
    tls_kit_run(2);
    char text[4096];
    int n, got = 0;
    while ((n = SSL_read(raw.ssl, text, sizeof text)) > 0)
        got += n;
    assert_int_equal(got, 3000);
    assert_int_equal(SSL_get_error(raw.ssl, n), SSL_ERROR_ZERO_RETURN);
    assert_true(raw.got_end && raw.end.how == NU_CLEAN);
    assert_non_null(kit->chain); /* the client may go on */
    raw_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(a_silent_client_is_given_up),
        TLS_TEST(a_slow_client_is_given_up),
        TLS_TEST(a_silent_server_is_given_up),
        TLS_TEST(time_is_off_once_it_is_done),
        TLS_TEST(a_hello_may_have_16_kib),
        TLS_TEST(a_handshake_may_have_256_kib),
        TLS_TEST(a_long_flight_leaves_whole),
        TLS_TEST(no_byte_is_no_failure),
        TLS_TEST(a_client_that_leaves),
        TLS_TEST(a_server_that_leaves),
        TLS_TEST(a_server_that_speaks_something_else),
        TLS_TEST(a_refused_client_has_time_to_read),
        TLS_TEST(a_refused_client_that_leaves_is_not_waited_for),
        TLS_TEST(an_alert_is_named),
        TLS_TEST(what_came_before_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
