/* What a peer may say beside its data: KeyUpdate, renegotiation, tickets, alerts; how much of it,
 * and that it is heard at any time. */
#include "tests/unit/tls/raw_peer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void open_to(enum nu_tls_role role, int version)
{
    raw_chain(role, version);
    assert_true(raw_shake());
}

/* Our filter decrypts what the peer says now. */
static bool says(const char *text)
{
    struct nu_test_end *end = raw.out == NU_FWD ? &kit->right : &kit->left;
    uint64_t before = end->got;
    assert_true(SSL_write(raw.ssl, text, (int)strlen(text)) > 0);
    raw_send();
    tls_kit_run(2);
    return end->got == before + strlen(text);
}

static void update_keys(int type)
{
    assert_int_equal(SSL_key_update(raw.ssl, type), 1);
    assert_int_equal(SSL_do_handshake(raw.ssl), 1);
    raw_send();
}

static bool refused(enum nu_cause cause)
{
    tls_kit_run(2);
    return !kit->chain && kit->result.cause == cause && strstr(kit->details, "too many control");
}

static void key_updates_work_both_ways(void **state)
{
    open_to(NU_TLS_SERVER, TLS1_3_VERSION);
    for (int i = 0; i < 5; i++) {
        update_keys(SSL_KEY_UPDATE_REQUESTED);
        assert_true(says("hello"));
        kit->right.to_send = 0;
        nu_endpoint_send(&kit->right, 10);
        tls_kit_run(2);
        assert_true(raw_reads(10));
    }
    raw_free();
}

static void key_updates_have_a_bound(void **state)
{
    for (int type = SSL_KEY_UPDATE_NOT_REQUESTED; type <= SSL_KEY_UPDATE_REQUESTED; type++) {
        open_to(NU_TLS_SERVER, TLS1_3_VERSION);
        for (int i = 0; i < TLS_CONTROL_BURST; i++)
            update_keys(type);
        assert_true(says("still here"));
        update_keys(type);
        assert_true(refused(NU_CAUSE_TLS_ERROR));
        raw_free();
    }
    assert_int_equal(tls_kit_stat(&kit->server, NU_TLS_CONNECTION_ERROR), 2);
}

/* One more each second, never more than the burst. */
static void the_bound_is_refilled(void **state)
{
    open_to(NU_TLS_SERVER, TLS1_3_VERSION);
    tls_kit_run(3600);
    tls_kit_of(1)->control = 2;
    update_keys(SSL_KEY_UPDATE_NOT_REQUESTED);
    tls_kit_run(TLS_CONTROL_REFILL_MS * 3);
    for (int i = 0; i < 3; i++)
        update_keys(SSL_KEY_UPDATE_NOT_REQUESTED);
    assert_true(says("yes"));
    nu_loop_advance(&kit->loop, INT64_C(1000000));
    for (int i = 0; i < TLS_CONTROL_BURST + 1; i++)
        update_keys(SSL_KEY_UPDATE_NOT_REQUESTED);
    assert_true(refused(NU_CAUSE_TLS_ERROR));
    raw_free();
}

/* A server's HelloRequests are answered by nothing but a warning, and not for long. */
static void servers_may_not_renegotiate(void **state)
{
    open_to(NU_TLS_CLIENT, TLS1_2_VERSION);
    for (int i = 0; i < TLS_CONTROL_BURST / 2; i++) {
        assert_int_equal(SSL_renegotiate(raw.ssl), 1);
        SSL_do_handshake(raw.ssl);
        raw_send();
    }
    assert_non_null(kit->chain);
    assert_int_equal(kit->tls[0] ? tls_kit_of(0)->state : TLS_FAILED, TLS_OPEN);
    assert_int_equal(tls_kit_of(0)->alert_out, SSL_AD_NO_RENEGOTIATION);
    for (int i = 0; i < TLS_CONTROL_BURST; i++) {
        SSL_renegotiate(raw.ssl);
        SSL_do_handshake(raw.ssl);
        raw_send();
    }
    assert_true(refused(NU_CAUSE_UPSTREAM_TLS_ERROR));
    raw_free();
}

static void clients_may_not_renegotiate(void **state)
{
    open_to(NU_TLS_SERVER, TLS1_2_VERSION);
    assert_int_equal(SSL_renegotiate(raw.ssl), 1);
    SSL_do_handshake(raw.ssl);
    raw_send();
    assert_int_equal(tls_kit_of(1)->alert_out, SSL_AD_NO_RENEGOTIATION);
    assert_int_equal(tls_kit_of(1)->state, TLS_OPEN);
    assert_int_equal(tls_kit_stat(&kit->server, NU_TLS_HANDSHAKE), 1);
    raw_free();
}

/* B6: nobody takes payload, and control is heard all the same, until a record has gone too far. */
static void control_is_heard_while_payload_waits(void **state)
{
    open_to(NU_TLS_SERVER, TLS1_3_VERSION);
    for (int i = 1; i <= 2; i++) {
        kit->right.window = 0;
        assert_true(SSL_write(raw.ssl, kit, 5000) == 5000); /* more than it takes */
        raw_send();
        assert_int_equal(kit->right.waiting, 5000);
        assert_false(raw_blocked());
        update_keys(SSL_KEY_UPDATE_REQUESTED);
        assert_int_equal(tls_kit_of(1)->control, TLS_CONTROL_BURST - i);
        nu_endpoint_send(&kit->right, 10); /* before it goes the answer */
        tls_kit_run(2);
        assert_true(raw_reads(10));
        for (int n = 0; n < 3; n++) {
            assert_true(SSL_write(raw.ssl, kit, 100) == 100);
            raw_send();
        }
        assert_int_equal(kit->right.waiting, 5000); /* one waits before it, two before us */
        assert_true(raw_blocked());
        nu_endpoint_open(&kit->right, 1000000);
        tls_kit_run(2);
        assert_int_equal(kit->right.got, 5300 * (uint64_t)i);
    }
    raw_free();
}

static void alerts_are_heard_while_payload_waits(void **state)
{
    static const uint8_t internal_error[] = {21, 3, 3, 0, 2, 2, SSL_AD_INTERNAL_ERROR};
    kit->right.window = 0;
    kit->right.high_water = 5;
    open_to(NU_TLS_SERVER, TLS1_2_VERSION);
    SSL_write(raw.ssl, "more than it takes", 18);
    raw_send();
    raw_give(internal_error, sizeof internal_error); /* not encrypted: fatal in its own way */
    tls_kit_run(2);
    assert_null(kit->chain);
    assert_int_equal(kit->result.cause, NU_CAUSE_TLS_ERROR);
    raw_free();
}

static int large_ticket(SSL *ssl, void *arg)
{
    static uint8_t filling[2000];
    return SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl), filling, sizeof filling);
}

static SSL_TICKET_RETURN any_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                    size_t len, SSL_TICKET_STATUS status, void *arg)
{
    return SSL_TICKET_RETURN_IGNORE;
}

/* A server whose ticket takes several records, of which the client has the first. */
static void half_a_ticket(void)
{
    raw_chain(NU_TLS_CLIENT, TLS1_3_VERSION);
    SSL_CTX_set_session_ticket_cb(raw.ctx, large_ticket, any_ticket, NULL);
    SSL_set_max_send_fragment(raw.ssl, 512);
    SSL_set_num_tickets(raw.ssl, 1);
    tls_kit_run(1);
    SSL_do_handshake(raw.ssl); /* takes the hello */
    raw_send();
    tls_kit_run(1);
    assert_int_equal(SSL_do_handshake(raw.ssl), 1);
    assert_int_equal(tls_kit_of(0)->state, TLS_OPEN);
    assert_int_equal(raw_send_some(600), 600);
}

static void what_is_said_within_a_message_waits_for_its_rest(void **state)
{
    half_a_ticket();
    nu_endpoint_send(&kit->left, 100);
    tls_kit_run(3);
    assert_true(tls_kit_of(0)->stuck && raw_reads(0));
    nu_endpoint_send(&kit->left, 200);
    tls_kit_run(3);
    raw_send();
    tls_kit_run(3);
    assert_false(tls_kit_of(0)->stuck);
    assert_true(raw_reads(100) && raw_reads(200));
    raw_free();
}

static void an_end_waits_too(void **state)
{
    half_a_ticket();
    nu_endpoint_finish(&kit->left, NU_CAUSE_CLIENT_FIN);
    tls_kit_run(3);
    assert_true(tls_kit_of(0)->stuck && !raw.got_end);
    raw_send();
    tls_kit_run(3);
    assert_true(raw.got_end && raw.end.how == NU_CLEAN);
    assert_true(raw_reads(0));
    assert_true(SSL_get_shutdown(raw.ssl) & SSL_RECEIVED_SHUTDOWN);
    raw_free();
}

static void what_waits_for_a_rest_that_never_comes_fails(void **state)
{
    static const enum nu_cause ends[] = {NU_CAUSE_UPSTREAM_FIN, NU_CAUSE_UPSTREAM_RST};
    for (int i = 0; i < 2; i++) {
        half_a_ticket();
        nu_endpoint_send(&kit->left, 100);
        tls_kit_run(3);
        raw_end(ends[i]);
        tls_kit_run(2);
        assert_null(kit->chain);
        assert_int_equal(kit->result.cause, i ? NU_CAUSE_UPSTREAM_RST : NU_CAUSE_UPSTREAM_CUT);
        if (i == 0) /* else the END has said it all (T2) */
            assert_string_equal(kit->details, "the wire ended within a message");
        assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
        raw_free();
        kit->left = nu_endpoint_idle();
    }
}

/* --- how it leaves --- */

/* Behind our close_notify a peer may leave without its own: no news, unless it went on talking. */
static void leaving_without_close_notify(void **state)
{
    for (int talks = 0; talks < 2; talks++) {
        open_to(NU_TLS_CLIENT, TLS1_3_VERSION);
        nu_endpoint_finish(&kit->left, NU_CAUSE_CLIENT_FIN);
        tls_kit_run(2);
        assert_true(raw.got_end && raw.end.how == NU_CLEAN);
        if (talks)
            assert_true(says("one thing more"));
        raw_end(NU_CAUSE_UPSTREAM_FIN);
        tls_kit_run(2);
        assert_null(kit->chain);
        assert_int_equal(kit->left.result.how, NU_TRUNCATED);
        assert_int_equal(kit->result.cause, talks ? NU_CAUSE_UPSTREAM_CUT : NU_CAUSE_CLIENT_FIN);
        raw_free();
        kit->left = nu_endpoint_idle();
    }
    assert_int_equal(tls_kit_stat(&kit->client, NU_TLS_TRUNCATED), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(key_updates_work_both_ways),
        TLS_TEST(key_updates_have_a_bound),
        TLS_TEST(the_bound_is_refilled),
        TLS_TEST(servers_may_not_renegotiate),
        TLS_TEST(clients_may_not_renegotiate),
        TLS_TEST(control_is_heard_while_payload_waits),
        TLS_TEST(alerts_are_heard_while_payload_waits),
        TLS_TEST(what_is_said_within_a_message_waits_for_its_rest),
        TLS_TEST(an_end_waits_too),
        TLS_TEST(what_waits_for_a_rest_that_never_comes_fails),
        TLS_TEST(leaving_without_close_notify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
