/* The HTTP/1 side towards servers: what a response is at every cut, what ends a connection and what
 * keeps it, and how a server's faults look to the client. */
#include "tests/unit/l7/proxy_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80], pool: {max_requests: 3}}]\n"                   \
    "routes: [{cluster: c}]\n"
#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok"

static int64_t stat_of(enum nu_cluster_stat stat)
{
    return nu_stat_read(nu_cluster_at(kit.gen.clusters, 0)->stats, stat);
}

static void ask(void)
{
    client();
    client_says(GET);
}

/* What the client gets of a response, by which time the connection is kept, or over. */
struct row {
    const char *said, *begins;
    enum { KEPT, OVER } then;
};

static const struct row rows[] = {
    {OK,                                                                           OK,              KEPT},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",                               "HTTP/1.1 200 ", KEPT},
    {"HTTP/1.1 204 x\r\n\r\n",                                                     "HTTP/1.1 204 ", KEPT},
    {"HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n",                                "HTTP/1.1 304 ", KEPT},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",   "HTTP/1.1 200 ",
     KEPT                                                                                               },
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: b\r\n\r\n",     "HTTP/1.1 200 ",
     KEPT                                                                                               },
    {"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",         "HTTP/1.1 103 ", KEPT},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",          "HTTP/1.1 200 ", OVER},
    {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",                               "HTTP/1.1 200 ", OVER},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",     "HTTP/1.1 200 ",
     KEPT                                                                                               },
    {OK "HTTP/1.1 200 OK\r\n",                                                     OK,              OVER},
    {OK "x",                                                                       OK,              OVER},
    {"garbage\r\n\r\n",                                                            "HTTP/1.1 502 ", OVER},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 502 ",
     OVER                                                                                               },
    {"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",        "HTTP/1.1 502 ", OVER},
};

static void responses_at_every_cut(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t cut = 0, len = strlen(rows[i].said); cut < len; cut++) {
            kit_begin(CONF);
            kit_client();
            ask();
            kit_say_bytes(&kit.leg[0], rows[i].said, cut);
            kit_say_bytes(&kit.leg[0], rows[i].said + cut, len - cut);
            kit_turn();
            if (strncmp(client(), rows[i].begins, strlen(rows[i].begins)) != 0)
                fail_msg("row %zu, cut %zu", i, cut);
            assert_int_equal(kit.ended, rows[i].then == OVER);
            assert_int_equal(kit.client.ends, 0);
            kit_end();
        }
}

static void a_kept_connection_that_speaks_is_closed(void **state)
{
    ask();
    server_says(0, OK);
    assert_int_equal(kit.ended, 0);
    server_says(0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert_int_equal(kit.ended, 1);
    assert_int_equal(stat_of(NU_CLUSTER_CX_PROTOCOL_ERROR), 1);
    ask();
    server_says(1, OK);
    assert_string_equal(client(), OK);
}

static void a_kept_connection_that_ends_is_not_used(void **state)
{
    static const enum nu_cause causes[] = {NU_CAUSE_UPSTREAM_FIN, NU_CAUSE_UPSTREAM_RST};
    for (unsigned i = 0; i < 2; i++) {
        ask();
        server_says(i, OK);
        kit_finish(&kit.leg[i], causes[i]);
        assert_int_equal(kit.ended, i + 1);
    }
    ask();
    assert_int_equal(kit.legs, 3);
}

static void a_connection_serves_so_many_requests(void **state)
{
    for (unsigned i = 0; i < 7; i++) {
        ask();
        server_says(i / 3, OK);
        assert_string_equal(client(), OK);
    }
    assert_int_equal(kit.legs, 3);
    assert_int_equal(kit.ended, 2);
}

static void an_idle_connection_is_closed(void **state)
{
    ask();
    server_says(0, OK);
    nu_loop_advance(&kit.loop, 1800 * 1000);
    ask();
    server_says(0, OK);
    nu_loop_advance(&kit.loop, 3599 * 1000);
    assert_int_equal(kit.ended, 0);
    nu_loop_advance(&kit.loop, 1000);
    assert_int_equal(kit.ended, 1);
    assert_int_equal(stat_of(NU_CLUSTER_CX_IDLE_TIMEOUT), 1);
}

static void connections_that_do_not_come_about(void **state)
{
    kit.late = true;
    client_says("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    nu_loop_advance(&kit.loop, nu_cluster_at(kit.gen.clusters, 0)->connect_timeout_ms);
    assert_int_equal(kit.ended, 1);
    assert_int_equal(strncmp(client(), "HTTP/1.1 503 ", 13), 0);
    assert_string_equal(kit_heard(&kit.leg[0]), "");
    client_says("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(kit.legs, 2);
    kit_connected(1);
    assert_non_null(strstr(kit_heard(&kit.leg[1]), "\r\n\r\nabc"));
    server_says(1, OK);
    assert_string_equal(client(), OK);
}

/* A response that is whole is whole, however the server goes on. */
static void a_server_that_answers_early_and_goes(void **state)
{
    static const enum nu_cause causes[] = {NU_CAUSE_UPSTREAM_FIN, NU_CAUSE_UPSTREAM_RST};
    for (unsigned i = 0; i < 2; i++) {
        client_says("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
        server_says(i, OK);
        kit_finish(&kit.leg[i], causes[i]);
        assert_string_equal(client(), OK);
        client_says("bc");
        assert_int_equal(kit.client.ends, 0);
        assert_int_equal(kit.ended, i + 1);
    }
}

static void a_cut_request_never_looks_whole(void **state)
{
    client_says("PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    kit_finish(&kit.client, NU_CAUSE_CLIENT_RST);
    assert_null(strstr(kit_heard(&kit.leg[0]), "0\r\n\r\n"));
    assert_int_equal(kit.leg[0].ends, 0);
    assert_int_equal(kit.ended, 1);
    assert_int_equal(kit.chains, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses_at_every_cut),
        KIT_TEST(a_kept_connection_that_speaks_is_closed),
        KIT_TEST(a_kept_connection_that_ends_is_not_used),
        KIT_TEST(a_connection_serves_so_many_requests),
        KIT_TEST(an_idle_connection_is_closed),
        KIT_TEST(connections_that_do_not_come_about),
        KIT_TEST(a_server_that_answers_early_and_goes),
        KIT_TEST(a_cut_request_never_looks_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
