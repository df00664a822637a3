/* Tries of a request: what is sent once more, to whom, and what never is (rule X1); with filters in
 * the stream that are late or hold. */
#include "tests/unit/l7/proxy_kit.h"

#include "core/build.h"
#include "l7/attempt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80, 10.0.0.2:80]}, "                                \
    "{name: one, endpoints: [10.0.0.3:80]}]\n"                                                     \
    "routes: [{match: {path: /one}, cluster: one, retry: {when: [5xx], attempts: 2}},"             \
    " {match: {path: /try}, cluster: c, retry: {when: [5xx], attempts: 2}}, {cluster: c}]\n"
#define OK       "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok"
#define DOWN     "HTTP/1.1 500 x\r\nDate: x\r\nContent-Length: 2\r\n\r\nno"
#define ASK(how) how " HTTP/1.1\r\nHost: h\r\n\r\n"

static void assert_begins(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", text, with);
}

static void die(unsigned leg)
{
    kit_finish(&kit.leg[leg], NU_CAUSE_UPSTREAM_RST);
}

static void what_is_idempotent_is_sent_again(void **state)
{
    static const char *const methods[] = {ASK("GET /"),    ASK("HEAD /"),    ASK("PUT /"),
                                          ASK("DELETE /"), ASK("OPTIONS /"), ASK("TRACE /")};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        unsigned first = kit.legs;
        client_says(methods[i]);
        die(kit.legs - 1);
        assert_int_equal(kit.legs, first + 2);
        die(kit.legs - 1);
        assert_begins(client(), "HTTP/1.1 503 ");
    }
}

static void what_is_not_is_sent_once(void **state)
{
    static const char *const methods[] = {ASK("POST /"), ASK("PATCH /"), ASK("FOO /"),
                                          ASK("get /")};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        client_says(methods[i]);
        assert_int_equal(kit.legs, i + 1);
        die(kit.legs - 1);
        assert_begins(client(), "HTTP/1.1 503 ");
        assert_int_equal(kit.legs, i + 1);
    }
}

/* Nothing of it left this side. */
static void what_found_no_connection_is_sent_elsewhere(void **state)
{
    kit.late = true;
    client_says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    kit_abort(&kit.leg[0]);
    kit_turn();
    kit_connected(1);
    assert_begins(kit_heard(&kit.leg[1]), "POST / HTTP/1.1\r\n");
    server_says(1, OK);
    assert_string_equal(client(), OK);
    assert_string_equal(kit_heard(&kit.leg[0]), "");
}

static void a_kept_connection_that_dies_is_replaced(void **state)
{
    client_says(ASK("GET /1"));
    server_says(0, OK);
    client_says(ASK("GET /2"));
    server_says(1, OK); /* the other endpoint's turn */
    client();
    client_says(ASK("GET /3"));
    assert_int_equal(kit.legs, 2);
    die(0);
    assert_int_equal(kit.legs, 3);
    assert_begins(kit_heard(&kit.leg[2]), "GET /3 ");
    server_says(2, OK);
    assert_string_equal(client(), OK);
}

static void who_has_heard_something_is_not_asked_again(void **state)
{
    client_says(ASK("GET /"));
    server_says(0, "HTTP/1.1 103 x\r\n\r\n");
    die(0);
    assert_int_equal(kit.legs, 1);
    assert_begins(client(), "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 503 ");
}

static void a_body_is_sent_again_as_it_was(void **state)
{
    client_says("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    die(0);
    client_says("3\r\ndef\r\n0\r\nx: 1\r\n\r\n");
    const char *got = kit_heard(&kit.leg[1]);
    assert_non_null(strstr(got, "\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nx: 1\r\n\r\n"));
    die(1);
}

/* What is kept is bounded in memory, however small its pieces are. */
static void a_body_past_the_cap_is_not_sent_again(void **state)
{
    static char piece[NU_REPLAY_MAX];
    memset(piece, 'x', sizeof piece);
    for (int small = 0; small < 2; small++) {
        unsigned first = kit.legs;
        client_says("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
        for (int i = 0; i < (small ? NU_REPLAY_MAX / NU_REPLAY_EACH : 2); i++)
            kit_say_bytes(&kit.client, piece, small ? 1 : sizeof piece);
        die(first);
        assert_begins(client(), "HTTP/1.1 503 ");
        assert_int_equal(kit.legs, first + 1);
        kit_finish(&kit.client, NU_CAUSE_CLIENT_RST);
        kit_client();
    }
}

static void a_waiting_body_holds_the_client(void **state)
{
    static char piece[NU_REPLAY_MAX];
    kit.late = true;
    client_says("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n");
    kit_say_bytes(&kit.client, piece, sizeof piece);
    assert_true(nu_blocked(kit.client.probe.self, NU_FWD));
    kit_connected(0);
    assert_false(nu_blocked(kit.client.probe.self, NU_FWD));
    assert_true(kit.leg[0].len > sizeof piece);
    client_says("x");
    server_says(0, OK);
    assert_string_equal(client(), OK);
}

static void a_route_may_ask_another(void **state)
{
    client_says(ASK("POST /try"));
    server_says(0, DOWN);
    assert_string_equal(client(), "");
    assert_int_equal(kit.legs, 2);
    server_says(1, OK);
    assert_string_equal(client(), OK);
}

/* Every try from leg `at` on is answered so; the next leg. */
static unsigned each_is_down(unsigned at)
{
    for (; at < kit.legs; at++) {
        assert_string_equal(client(), "");
        server_says(at, DOWN);
        nu_loop_advance(&kit.loop, 250); /* an endpoint that has had its turn is given a pause */
    }
    return at;
}

static void the_last_answer_is_the_clients(void **state)
{
    client_says(ASK("GET /one"));
    unsigned legs = each_is_down(0);
    assert_true(legs > 1);
    assert_string_equal(client(), DOWN);
    client_says(ASK("GET /try"));
    assert_true(each_is_down(legs) > legs + 1);
    assert_string_equal(client(), DOWN);
}

static void no_place_for_a_connection(void **state)
{
    kit.full = true;
    client_says(ASK("GET /"));
    assert_begins(client(), "HTTP/1.1 503 ");
    assert_int_equal(kit.client.ends, 0);
}

/* --- filters between the codec and the router */

static unsigned late(const struct nu_place *places, unsigned count, struct nu_place *out)
{
    static const struct nu_late_conf conf = {.delay_ms = 20 * 1000};
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        out[n++] = places[i];
        if (places[i].type == &nu_stream_in)
            out[n++] = (struct nu_place){&nu_late, &conf};
    }
    return n;
}

/* The route's timeout passes while a filter still has the head. */
static void an_answer_that_a_filter_holds(void **state)
{
    nu_chain_set_expander(late);
    client_says(ASK("GET /"));
    nu_loop_advance(&kit.loop, 20 * 1000);
    server_says(0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    nu_loop_advance(&kit.loop, 15 * 1000);
    nu_loop_advance(&kit.loop, 20 * 1000);
    assert_begins(client(), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(kit.client.result.how, NU_TRUNCATED);
    assert_int_equal(kit.ended, 1);
}

/* Whole, though the server went before a filter let it pass. */
static void an_early_answer_that_a_filter_holds(void **state)
{
    nu_chain_set_expander(late);
    client_says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
    nu_loop_advance(&kit.loop, 20 * 1000);
    server_says(0, OK);
    die(0);
    nu_loop_advance(&kit.loop, 20 * 1000);
    assert_string_equal(client(), OK);
    assert_int_equal(kit.client.ends, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(what_is_idempotent_is_sent_again),
        KIT_TEST(what_is_not_is_sent_once),
        KIT_TEST(what_found_no_connection_is_sent_elsewhere),
        KIT_TEST(a_kept_connection_that_dies_is_replaced),
        KIT_TEST(who_has_heard_something_is_not_asked_again),
        KIT_TEST(a_body_is_sent_again_as_it_was),
        KIT_TEST(a_body_past_the_cap_is_not_sent_again),
        KIT_TEST(a_waiting_body_holds_the_client),
        KIT_TEST(a_route_may_ask_another),
        KIT_TEST(the_last_answer_is_the_clients),
        KIT_TEST(no_place_for_a_connection),
        KIT_TEST(an_answer_that_a_filter_holds),
        KIT_TEST(an_early_answer_that_a_filter_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
