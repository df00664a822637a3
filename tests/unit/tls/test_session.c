/* Sessions that servers gave us: for which connection each is offered, how often, and how many are
 * kept. */
#include "tests/unit/tls/tls_kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct nu_addr endpoint;
static const char *name; /* the server's, of the next connection */

static void prepare(struct nu_tls_conn *conn)
{
    if (name)
        nu_assert(SSL_set_tlsext_host_name(conn->ssl, name) == 1);
    nu_tls_session_offer(conn);
}

static int setup(void **state)
{
    tls_kit_setup(state);
    kit->client.prepare = prepare;
    nu_assert(nu_addr_parse(&endpoint, "192.0.2.1:443", -1) == NU_OK);
    name = "a.test";
    return 0;
}

/* One connection to the endpoint: whether the server took a session up again. */
static bool resumes(void)
{
    static const struct nu_chain_owner owner = {.closed = tls_kit_closed};
    struct nu_facts_exchange exchange = {.upstream = &endpoint};
    const struct nu_facts facts = {.exchange = &exchange};
    int64_t before = tls_kit_stat(&kit->client, NU_TLS_SESSION_REUSED);
    kit->left = kit->right = nu_endpoint_idle();
    kit->left.to_send = kit->right.to_send = 10;
    kit->left.end = NU_CAUSE_CLIENT_FIN;
    kit->right.end = NU_CAUSE_UPSTREAM_FIN;
    const struct nu_place places[] = {
        {&nu_source,     &kit->left      },
        {&nu_tls_filter, &kit->client.pub},
        {&nu_tls_filter, &kit->server.pub},
        {&nu_sink,       &kit->right     }
    };
    kit->chain = nu_chain_new(&kit->loop, places, 4, &facts, &owner, NULL);
    tls_kit_run(10);
    assert_null(kit->chain);
    assert_int_equal(kit->result.how, NU_CLEAN);
    return tls_kit_stat(&kit->client, NU_TLS_SESSION_REUSED) > before;
}

static void at(const char *text)
{
    nu_assert(nu_addr_parse(&endpoint, text, -1) == NU_OK);
}

static void the_same_server_knows_us(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        tls_kit_versions(versions[i]);
        at(i ? "192.0.2.2:443" : "192.0.2.1:443");
        assert_false(resumes());
        for (int n = 0; n < 5; n++)
            assert_true(resumes());
    }
}

static void each_endpoint_and_name_has_its_own(void **state)
{
    assert_false(resumes());
    at("192.0.2.1:444");
    assert_false(resumes());
    at("192.0.2.1:443");
    name = "b.test";
    assert_false(resumes());
    name = NULL;
    assert_false(resumes());
    name = "a.test";
    assert_true(resumes());
}

/* Other credentials are another SSL_CTX. */
static void each_context_has_its_own(void **state)
{
    assert_false(resumes());
    SSL_CTX_free(kit->client.ctx);
    nu_stats_put(kit->client.pub.stats);
    tls_kit_context(&kit->client, NU_TLS_CLIENT);
    kit->client.prepare = prepare;
    assert_false(resumes());
    assert_true(resumes());
}

/* RFC 8446 C.4: a ticket that is used twice ties two connections together. */
static void a_session_of_tls_13_is_offered_once(void **state)
{
    SSL_CTX_set_num_tickets(kit->server.ctx, 1);
    tls_kit_versions(TLS1_3_VERSION);
    assert_false(resumes());
    SSL_CTX_set_num_tickets(kit->server.ctx, 0);
    assert_true(resumes());
    assert_false(resumes());
}

/* As many as may begin at a time; the oldest goes. */
static void a_server_may_give_several(void **state)
{
    tls_kit_versions(TLS1_3_VERSION);
    SSL_CTX_set_num_tickets(kit->server.ctx, NU_TLS_SESSIONS_A_SERVER + 3);
    assert_false(resumes());
    SSL_CTX_set_num_tickets(kit->server.ctx, 0);
    for (int i = 0; i < NU_TLS_SESSIONS_A_SERVER; i++)
        assert_true(resumes());
    assert_false(resumes());
}

/* Of all servers: the one that was not heard of for longest goes. */
static void a_worker_keeps_so_many(void **state)
{
    char text[32];
    tls_kit_versions(TLS1_2_VERSION);
    assert_false(resumes());
    for (int i = 0; i < NU_TLS_SESSIONS_MAX - 1; i++) {
        snprintf(text, sizeof text, "198.51.100.1:%d", 1000 + i);
        at(text);
        assert_false(resumes());
    }
    at("192.0.2.1:443");
    assert_true(resumes()); /* which makes another one the oldest */
    at("203.0.113.1:443");
    assert_false(resumes());
    at("192.0.2.1:443");
    assert_true(resumes());
    at("198.51.100.1:1000");
    assert_false(resumes());
}

/* OpenSSL takes a session for spoilt whose connection ended without a word. */
static void a_connection_that_was_cut_leaves_its_session(void **state)
{
    static const struct nu_chain_owner owner = {.closed = tls_kit_closed};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct nu_facts_exchange exchange = {.upstream = &endpoint};
    const struct nu_facts facts = {.exchange = &exchange};
    const struct nu_place places[] = {
        {&nu_source,     &kit->left      },
        {&nu_tls_filter, &kit->client.pub},
        {&nu_tls_filter, &kit->server.pub},
        {&nu_sink,       &kit->right     }
    };
    for (int i = 0; i < 2; i++) {
        tls_kit_versions(versions[i]);
        at(i ? "192.0.2.2:443" : "192.0.2.1:443");
        kit->left = kit->right = nu_endpoint_idle();
        kit->chain = nu_chain_new(&kit->loop, places, 4, &facts, &owner, NULL);
        tls_kit_run(10);
        nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
        tls_kit_run(1);
        assert_true(resumes());
    }
}

static void without_an_endpoint_nothing_is_kept(void **state)
{
    for (int i = 0; i < 2; i++) {
        kit->left = kit->right = nu_endpoint_idle();
        kit->left.to_send = kit->right.to_send = 10;
        kit->left.end = NU_CAUSE_CLIENT_FIN;
        kit->right.end = NU_CAUSE_UPSTREAM_FIN;
        tls_kit_chain(NULL, 0);
        tls_kit_run(10);
        assert_null(kit->chain);
    }
    assert_int_equal(tls_kit_stat(&kit->client, NU_TLS_SESSION_REUSED), 0);
}

#define SESSION_TEST(test) cmocka_unit_test_setup_teardown(test, setup, tls_kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(the_same_server_knows_us),
        SESSION_TEST(each_endpoint_and_name_has_its_own),
        SESSION_TEST(each_context_has_its_own),
        SESSION_TEST(a_session_of_tls_13_is_offered_once),
        SESSION_TEST(a_server_may_give_several),
        SESSION_TEST(a_worker_keeps_so_many),
        SESSION_TEST(a_connection_that_was_cut_leaves_its_session),
        SESSION_TEST(without_an_endpoint_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
