/* buffer: nothing of a request goes on before all of it is there; what is too much; what the client
 * is told meanwhile, and what goes with whom. */
#include "tests/unit/l7/filters/body_kit.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "filters: [buffer: 40000B]\n"                                                                  \
    "routes: [{match: {path: /off}, cluster: c, filters: {buffer: off}}, "                         \
    "{match: {path: /less}, cluster: c, filters: {buffer: {max_request_bytes: 5}}}, {cluster: c}]" \
    "\n"

static char words[40001];

static void lengths_become_known(void **state)
{
    client_says("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        client_says("4\r\nabcd\r\n");
        assert_int_equal(kit.legs, 0);
    }
    client_says("0\r\n\r\n");
    struct heard h = heard_by(&kit.leg[0]);
    assert_says(&h, "\r\nContent-Length: 12\r\n", true);
    assert_says(&h, "Transfer-Encoding", false);
    assert_int_equal(h.len, 12);
    assert_memory_equal(h.body, "abcdabcdabcd", 12);
    server_says(0, OK);
    assert_string_equal(client(), OK);
    forget(&kit.leg[0]);
    client_says("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    h = heard_by(&kit.leg[0]);
    assert_says(&h, "\r\nContent-Length: 0\r\n", true);
}

static void a_body_in_pieces_is_the_same(void **state)
{
    static const size_t steps[] = {1, 999, 16384, 40000};
    body_words(words, 40000, 1);
    for (size_t i = 0; i < 4; i++) {
        body_say(&kit.client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n", words,
                 40000, steps[i]);
        struct heard h = heard_by(&kit.leg[0]);
        assert_int_equal(h.len, 40000);
        assert_memory_equal(h.body, words, 40000);
        server_says(0, OK);
        forget(&kit.leg[0]);
        assert_string_equal(client(), OK);
    }
}

/* However small its pieces are. */
static void what_waits_takes_no_more_than_it_is(void **state)
{
    size_t before = nu_block_pool_lent(kit.loop.blocks);
    body_words(words, 40000, 1);
    body_say(&kit.client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n", words,
             39999, 1);
    assert_int_equal(kit.legs, 0);
    assert_true(nu_block_pool_lent(kit.loop.blocks) - before < 3 * NU_BLOCK_SMALL + 8192);
}

static void too_much_is_refused(void **state)
{
    static const char *const starts[] = {
        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 40001\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 40001\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9c41\r\n",
        "PUT /less HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n",
    };
    for (size_t i = 0; i < 4; i++) {
        body_say(&kit.client, starts[i], words, i == 1 ? 0 : i == 3 ? 6 : 40001, 5000);
        struct heard h = heard_by(&kit.client);
        assert_memory_equal(h.head, "HTTP/1.1 413 ", 13);
        assert_memory_equal(h.body, "Payload Too Large", h.len);
        kit_abort(&kit.client);
        kit_turn();
        kit_client();
    }
    assert_int_equal(kit.legs, 0);
    assert_int_equal(kit_stat(NU_HTTP_RQ_TOO_LARGE), 4);
}

/* Nobody else would tell it to (rule X2); the server need not be asked. */
static void a_client_that_waits_is_told_to_go_on(void **state)
{
    client_says("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_string_equal(client(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(kit.legs, 0);
    client_says("abc");
    struct heard h = heard_by(&kit.leg[0]);
    assert_says(&h, "Expect", false);
    assert_memory_equal(h.body, "abc", 3);
    server_says(0, OK);
    assert_string_equal(client(), OK);
}

static void trailers_go_with_chunks(void **state)
{
    client_says("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n0\r\nx: 1\r\n\r\n");
    struct heard h = heard_by(&kit.leg[0]);
    assert_says(&h, "Transfer-Encoding: chunked", true);
    assert_string_equal(h.body, "3\r\nabc\r\n0\r\nx: 1\r\n\r\n");
}

static void what_has_no_body_passes(void **state)
{
    asks("GET /", "");
    assert_non_null(served());
    client_says("PUT /off HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
    assert_non_null(strstr(kit_heard(&kit.leg[kit.legs - 1]), "\r\n\r\na"));
}

static void a_client_that_leaves_leaves_nothing(void **state)
{
    client_says("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\nabc");
    kit_finish(&kit.client, NU_CAUSE_CLIENT_RST);
    assert_int_equal(kit.legs, 0);
    assert_int_equal(kit.loop.chain_count, 0);
}

/* One that sends no more: answered as without the filter. */
static void waiting_has_an_end(void **state)
{
    client_says("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\nabc");
    for (int i = 0; i < 61; i++)
        nu_loop_advance(&kit.loop, 1000);
    struct heard h = heard_by(&kit.client);
    assert_memory_equal(h.head, "HTTP/1.1 408 ", 13);
    assert_int_equal(kit.legs, 0);
}

int main(void)
{
    filter_registered(&nu_filter_buffer);
    const struct CMUnitTest tests[] = {
        FILTER_TEST(lengths_become_known),
        FILTER_TEST(a_body_in_pieces_is_the_same),
        FILTER_TEST(what_waits_takes_no_more_than_it_is),
        FILTER_TEST(too_much_is_refused),
        FILTER_TEST(a_client_that_waits_is_told_to_go_on),
        FILTER_TEST(trailers_go_with_chunks),
        FILTER_TEST(what_has_no_body_passes),
        FILTER_TEST(a_client_that_leaves_leaves_nothing),
        FILTER_TEST(waiting_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
