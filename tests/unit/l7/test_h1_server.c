/* The HTTP/1 side towards clients, in front of a router and servers that the test speaks for:
 * splits, timers, ends, and what is left of a request after its answer. */
#include "tests/unit/l7/proxy_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "routes: [{match: {path: /own}, respond: {status: 200, body: hi}}, {cluster: c}]\n"
#define OK_2 "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok"

static const char *server(unsigned leg)
{
    return kit_heard(&kit.leg[leg]);
}

static void assert_begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", text, with);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" has no \"%s\"", text, part);
}

static void assert_ended(enum nu_how how)
{
    assert_int_equal(kit.client.ends, 1);
    assert_int_equal(kit.client.result.how, how);
}

static void a_request_and_its_answer(void **state)
{
    client_says("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_begins(server(0), "GET /a HTTP/1.1\r\nHost: h\r\n");
    server_says(0, OK_2);
    assert_string_equal(client(), OK_2);
    client_says("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_begins(server(0), "GET /b ");
    assert_int_equal(kit.legs, 1);
}

/* The same bytes, cut anywhere, mean the same to both sides. */
static void splits_change_nothing(void **state)
{
    static const char asked[] = "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "3\r\nabc\r\n0\r\nx: 1\r\n\r\nGET /own HTTP/1.1\r\nHost: h\r\n\r\n";
    static const char said[] = "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nDate: x\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ny: 2\r\n\r\n";
    for (size_t cut = 1; cut < sizeof asked - 1; cut++) {
        kit_say_bytes(&kit.client, asked, cut);
        kit_say_bytes(&kit.client, asked + cut, sizeof asked - 1 - cut);
        const char *got = server(0);
        assert_begins(got, "PUT /a HTTP/1.1\r\nHost: h\r\n");
        assert_has(got, "\r\nx: 1\r\n\r\n");
        size_t at = cut % (sizeof said - 1);
        kit_say_bytes(&kit.leg[0], said, at);
        kit_say_bytes(&kit.leg[0], said + at, sizeof said - 1 - at);
        kit_turn();
        got = client();
        assert_begins(got, "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n");
        assert_has(got, "0\r\ny: 2\r\n\r\nHTTP/1.1 200 OK\r\n");
        assert_string_equal(got + strlen(got) - 2, "hi");
    }
    assert_int_equal(kit.legs, 1);
}

/* The stream and its memory are gone when the rest of the request comes. */
static void trailers_behind_the_answer(void **state)
{
    client_says("POST /own HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_has(client(), "\r\nConnection: close\r\n");
    client_says("0\r\nx-late: 1\r\nx-more");
    client_says(": 2\r\n\r\nGET /own HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_string_equal(client(), "");
    assert_ended(NU_CLEAN);
    nu_loop_advance(&kit.loop, NU_HTTP_LINGER_MS);
    assert_int_equal(kit.chains, 0);
}

static void a_short_rest_is_read_for_nothing(void **state)
{
    client_says("POST /own HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    const char *got = client();
    assert_begins(got, "HTTP/1.1 200 OK\r\n");
    assert_null(strstr(got, "close"));
    client_says("cdeGET /own HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_begins(client(), "HTTP/1.1 200 OK\r\n");
    client_says("POST /own HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    client();
    nu_loop_advance(&kit.loop, NU_HTTP_LINGER_MS);
    assert_ended(NU_CLEAN);
}

static void pipelined_requests_wait_for_their_turn(void **state)
{
    client_says("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    kit_finish(&kit.client, NU_CAUSE_CLIENT_FIN);
    assert_null(strstr(server(0), "/2"));
    server_says(0, OK_2);
    assert_string_equal(client(), OK_2);
    assert_begins(server(0), "GET /2 ");
    server_says(0, OK_2);
    assert_has(client(), "\r\nConnection: close\r\n\r\nok");
    assert_ended(NU_CLEAN);
    assert_int_equal(kit.chains, 0);
}

/* --- time */

static void a_slow_head(void **state)
{
    client_says("GET / HTTP/1.1\r\n");
    nu_loop_advance(&kit.loop, 9999);
    assert_string_equal(client(), "");
    nu_loop_advance(&kit.loop, 1);
    assert_begins(client(), "HTTP/1.1 408 ");
    assert_ended(NU_CLEAN);
    assert_int_equal(kit_stat(NU_HTTP_RQ_HEADER_TIMEOUT), 1);
}

static void a_client_that_says_nothing(void **state)
{
    client_says("\r\n");
    nu_loop_advance(&kit.loop, 9999);
    assert_int_equal(kit.client.ends, 0);
    nu_loop_advance(&kit.loop, 1);
    assert_string_equal(client(), "");
    assert_ended(NU_CLEAN);
}

/* Old clients send one behind a body: it begins no request. */
static void an_empty_line_begins_nothing(void **state)
{
    client_says("GET /own HTTP/1.1\r\nHost: h\r\n\r\n\r\n");
    assert_begins(client(), "HTTP/1.1 200 OK\r\n");
    nu_loop_advance(&kit.loop, 100 * 1000);
    client_says("GET /own HTTP/1.1\r\n");
    nu_loop_advance(&kit.loop, 9999);
    client_says("Host: h\r\n\r\n\r\n");
    assert_begins(client(), "HTTP/1.1 200 OK\r\n");
    nu_loop_advance(&kit.loop, 3600 * 1000);
    assert_string_equal(client(), "");
    assert_ended(NU_CLEAN);
    assert_int_equal(kit_stat(NU_HTTP_CX_IDLE_TIMEOUT), 1);
}

static void a_slow_body(void **state)
{
    client_says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    nu_loop_advance(&kit.loop, 60 * 1000);
    assert_begins(client(), "HTTP/1.1 408 ");
    assert_ended(NU_CLEAN);
    assert_int_equal(kit.ended, 1);
}

static void the_routes_timeout(void **state)
{
    client_says("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    nu_loop_advance(&kit.loop, 15 * 1000);
    assert_begins(client(), "HTTP/1.1 504 ");
    assert_int_equal(kit.client.ends, 0);
    assert_int_equal(kit.ended, 1);
}

static void the_routes_timeout_in_mid_response(void **state)
{
    client_says("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server_says(0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    nu_loop_advance(&kit.loop, 15 * 1000);
    assert_has(client(), "\r\n\r\nabc");
    assert_ended(NU_TRUNCATED);
}

static void a_client_that_takes_nothing(void **state)
{
    client_says("GET /own HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    client();
    nu_loop_advance(&kit.loop, NU_HTTP_LINGER_MS);
    assert_int_equal(kit.chains, 0);
    kit_client();
    nu_outside_hold(kit.client.probe.self, NU_REV, true);
    client_says("GET /own HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    nu_loop_advance(&kit.loop, 299 * 1000);
    assert_int_equal(kit.chains, 1);
    nu_loop_advance(&kit.loop, 2 * 1000);
    assert_int_equal(kit.chains, 0);
}

/* --- ends */

static void a_client_that_leaves_in_a_head(void **state)
{
    client_says("GET / HT");
    kit_finish(&kit.client, NU_CAUSE_CLIENT_FIN);
    assert_begins(client(), "HTTP/1.1 400 ");
    assert_int_equal(kit.chains, 0);
}

static void a_client_that_leaves_in_a_body(void **state)
{
    client_says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    kit_finish(&kit.client, NU_CAUSE_CLIENT_FIN);
    assert_string_equal(client(), "");
    assert_int_equal(kit.chains, 0);
    assert_int_equal(kit.leg[0].ends, 0); /* cut, not ended */
    assert_int_equal(kit.ended, 1);
}

static void a_client_that_breaks_its_body(void **state)
{
    client_says("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client_says("x\r\n");
    assert_begins(client(), "HTTP/1.1 400 ");
    assert_ended(NU_CLEAN);
    assert_null(strstr(server(0), "0\r\n\r\n"));
}

static void a_client_that_breaks_its_body_after_the_answer_began(void **state)
{
    client_says("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    server_says(0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    client_says("x\r\n");
    assert_ended(NU_TRUNCATED);
}

static void a_half_closed_client_is_answered_in_time(void **state)
{
    client_says("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    kit_finish(&kit.client, NU_CAUSE_CLIENT_FIN);
    nu_loop_advance(&kit.loop, 999);
    assert_int_equal(kit.chains, 1);
    nu_loop_advance(&kit.loop, 1);
    assert_int_equal(kit.chains, 0);
    assert_int_equal(kit.ended, 1);
}

static void drain(void **state)
{
    client_says("\r\n");
    nu_chain_signal(kit.client.probe.self->chain, NU_DRAIN);
    kit_turn();
    assert_ended(NU_CLEAN);
    nu_loop_advance(&kit.loop, NU_HTTP_LINGER_MS);
    kit_client();
    client_says("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    nu_chain_signal(kit.client.probe.self->chain, NU_DRAIN);
    kit_turn();
    assert_int_equal(kit.client.ends, 0);
    server_says(0, OK_2);
    assert_has(client(), "\r\nConnection: close\r\n\r\nok");
    assert_ended(NU_CLEAN);
}

/* --- tunnels */

#define KEY     "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 1.3 */
#define ACCEPT  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define OFFER   "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: "
#define UPGRADE OFFER "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n"
#define SWITCH  "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" ACCEPT "\r\n"
#define IDLE_MS (3600 * 1000) /* tunnel_idle_timeout */

/* The server's half ended long ago, and the client says nothing. */
static void an_idle_half_of_a_tunnel(void **state)
{
    client_says(UPGRADE);
    server_says(0, SWITCH "bye");
    kit_finish(&kit.leg[0], NU_CAUSE_UPSTREAM_FIN);
    assert_has(client(), "\r\n\r\nbye");
    assert_ended(NU_CLEAN);
    nu_loop_advance(&kit.loop, IDLE_MS - 1);
    assert_int_equal(kit.chains, 1);
    nu_loop_advance(&kit.loop, 1);
    assert_int_equal(kit.chains, 0);
    assert_int_equal(kit.ended, 1);
}

static void an_idle_tunnel(void **state)
{
    client_says(UPGRADE);
    server_says(0, SWITCH);
    nu_loop_advance(&kit.loop, IDLE_MS - 1);
    assert_int_equal(kit.client.ends, 0);
    nu_loop_advance(&kit.loop, 1);
    assert_ended(NU_TRUNCATED);
    assert_int_equal(kit.ended, 1);
}

/* The first of several that the route allows; the server is asked for that one. */
static void the_protocol_among_several(void **state)
{
    client_says(OFFER "foo/2, WebSocket, bar\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: " KEY "\r\n\r\n");
    assert_has(kit.leg[0].got, "\r\nUpgrade: WebSocket\r\n");
    server_says(0, SWITCH "x");
    assert_has(client(), "\r\n\r\nx");
}

static void a_handshake_that_is_none(void **state)
{
    static const struct {
        const char *rest, *begins;
    } rows[] = {
        {"\r\n",                                                            "HTTP/1.1 426 "},
        {"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",  "HTTP/1.1 426 "},
        {"Sec-WebSocket-Version: 13\r\n\r\n",                               "HTTP/1.1 400 "},
        {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short==\r\n\r\n", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        client_says(OFFER "websocket\r\n");
        client_says(rows[i].rest);
        assert_memory_equal(kit.client.got, rows[i].begins, strlen(rows[i].begins));
        assert_int_equal(kit.legs, 0);
        if (rows[i].begins[9] == '4' && rows[i].begins[10] == '2') {
            assert_has(kit.client.got, "\r\nsec-websocket-version: 13\r\n");
            assert_has(kit.client.got, "\r\nUpgrade: websocket\r\n");
        }
        kit.client.len = 0;
    }
}

/* A server that grants what was not asked, or to another key than ours, is not believed. */
static void an_answer_to_another_handshake(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: foo\r\n" ACCEPT "\r\n",
        ("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOoA\r\n\r\n"),
    };
    for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
        client_says(UPGRADE);
        server_says(i, answers[i]);
        assert_has(client(), "HTTP/1.1 502 ");
        assert_int_equal(kit.ended, i + 1);
    }
}

/* What a server would rather speak is said to us, not to the client. */
static void offers_are_not_passed_on(void **state)
{
    client_says("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server_says(
        0, "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n");
    assert_null(strcasestr(client(), "upgrade"));
    client_says("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server_says(
        0, "HTTP/1.1 426 x\r\nConnection: upgrade\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n");
    assert_has(client(), "\r\nUpgrade: h2\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(a_request_and_its_answer),
        KIT_TEST(splits_change_nothing),
        KIT_TEST(trailers_behind_the_answer),
        KIT_TEST(a_short_rest_is_read_for_nothing),
        KIT_TEST(pipelined_requests_wait_for_their_turn),
        KIT_TEST(a_slow_head),
        KIT_TEST(a_client_that_says_nothing),
        KIT_TEST(an_empty_line_begins_nothing),
        KIT_TEST(a_slow_body),
        KIT_TEST(the_routes_timeout),
        KIT_TEST(the_routes_timeout_in_mid_response),
        KIT_TEST(a_client_that_takes_nothing),
        KIT_TEST(a_client_that_leaves_in_a_head),
        KIT_TEST(a_client_that_leaves_in_a_body),
        KIT_TEST(a_client_that_breaks_its_body),
        KIT_TEST(a_client_that_breaks_its_body_after_the_answer_began),
        KIT_TEST(a_half_closed_client_is_answered_in_time),
        KIT_TEST(drain),
        KIT_TEST(an_idle_half_of_a_tunnel),
        KIT_TEST(an_idle_tunnel),
        KIT_TEST(the_protocol_among_several),
        KIT_TEST(a_handshake_that_is_none),
        KIT_TEST(an_answer_to_another_handshake),
        KIT_TEST(offers_are_not_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
