/* PROXY headers taken off a connection's front, and put before a leg's bytes. */
#include "l4/filters/proxy_protocol_in.h"
#include "l4/filters/proxy_protocol_out.h"

#include "tests/unit/l4/pre_help.h"

#define V1 "PROXY TCP4 192.0.2.7 198.51.100.1 4321 443\r\n"
/* TCP over IPv4, 192.0.2.7:258 to 198.51.100.1:443, an authority of "a.test". */
#define V2                                                                                         \
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x15\xc0\0\2\7\xc6\x33\x64\1\1\2\1\xbb\2\0\6"                   \
    "a.test"

static void proxy(enum nu_proxy_mode mode)
{
    pre_start(&nu_filter_proxy_in);
    pre.conf.proxy = mode;
}

static void assert_client(const char *client, const char *local, const char *direct)
{
    char text[NU_ADDR_TEXT_MAX];
    assert_string_equal(nu_addr_str(&pre.last.client, text), client);
    assert_string_equal(nu_addr_str(&pre.last.local, text), local);
    assert_string_equal(nu_addr_str(&pre.more.direct, text), direct);
}

static void believes_version_1(void **state)
{
    proxy(NU_PROXY_REQUIRE);
    assert_true(pre_send(V1 "rest", sizeof V1 + 3));
    assert_int_equal(pre.nexts, 1);
    assert_false(pre.sniffed);
    assert_got("rest", 4);
    assert_int_equal(pre_stat(NU_LISTENER_PROXY_FOUND), 1);
    pre_stop();
    assert_client("192.0.2.7:4321", "198.51.100.1:443", "10.0.0.1:1000");
}

static void keeps_what_version_2_adds(void **state)
{
    proxy(NU_PROXY_REQUIRE);
    assert_true(pre_send(V2, sizeof V2 - 1));
    assert_int_equal(pre.got_len, 0);
    assert_true(pre_send("x", 1));
    assert_got("x", 1);
    pre_stop();
    assert_client("192.0.2.7:258", "198.51.100.1:443", "10.0.0.1:1000");
    assert_int_equal(pre.more.proxy_tlv_len, 9);
    assert_memory_equal(pre.tlvs, "\2\0\6a.test", 9);
}

static void any_split_says_the_same(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {V1 "rest", sizeof V1 + 3},
        {V2 "rest", sizeof V2 + 3}
    };
    for (size_t r = 0; r < 2; r++)
        for (size_t cut = 1; cut < rows[r].len; cut++) {
            proxy(r ? NU_PROXY_REQUIRE : NU_PROXY_OPTIONAL);
            assert_true(pre_send(rows[r].bytes, cut));
            assert_true(pre_send(rows[r].bytes + cut, rows[r].len - cut));
            assert_got("rest", 4);
            pre_stop();
            assert_int_equal(pre.nexts, 1);
            assert_int_equal(pre.last.local.port, 443);
        }
}

static void single_bytes(void **state)
{
    proxy(NU_PROXY_REQUIRE);
    for (size_t i = 0; i < sizeof V2 - 1; i++)
        assert_true(pre_send(&V2[i], 1));
    assert_int_equal(pre.nexts, 1);
    assert_true(pre_send("rest", 4));
    assert_got("rest", 4);
    pre_stop();
}

static void local_and_unknown_keep_the_sockets_addresses(void **state)
{
    proxy(NU_PROXY_REQUIRE);
    assert_true(pre_send("PROXY UNKNOWN\r\n", 15));
    assert_true(pre_send("x", 1));
    pre_stop();
    assert_client("10.0.0.1:1000", "10.0.0.2:443", "-");
    proxy(NU_PROXY_REQUIRE);
    assert_true(pre_send("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0x", 17));
    assert_got("x", 1);
    pre_stop();
    assert_client("10.0.0.1:1000", "10.0.0.2:443", "-");
}

static void optional_passes_what_is_none(void **state)
{
    proxy(NU_PROXY_OPTIONAL);
    assert_true(pre_send("PRO", 3));
    assert_int_equal(pre.nexts, 0);
    assert_true(pre_send("GRAM", 4));
    assert_got("PROGRAM", 7);
    assert_int_equal(pre_stat(NU_LISTENER_PROXY_NOT_FOUND), 1);
    assert_true(pre_send(V1, sizeof V1 - 1)); /* only at the front */
    assert_int_equal(pre.got_len, 7 + sizeof V1 - 1);
    pre_stop();
    assert_client("10.0.0.1:1000", "10.0.0.2:443", "-");
}

static void require_closes_what_is_none(void **state)
{
    proxy(NU_PROXY_REQUIRE);
    assert_false(pre_send("GET", 3));
    assert_failed(NU_CAUSE_BAD_PROXY, NU_SIDE_CLIENT, "no PROXY header");
    assert_string_equal(pre.blamed, "proxy_protocol");
    assert_int_equal(pre_stat(NU_LISTENER_PROXY_NOT_FOUND), 1);
    pre_stop();
}

static void malformed_headers_close(void **state)
{
    for (int mode = NU_PROXY_REQUIRE; mode <= NU_PROXY_OPTIONAL; mode++) {
        proxy((enum nu_proxy_mode)mode);
        assert_false(pre_send("PROXY TCP9 1.1.1.1 1.1.1.1 1 1\r\n", 33));
        assert_failed(NU_CAUSE_BAD_PROXY, NU_SIDE_CLIENT,
                      "PROXY v1: family is not TCP4, TCP6 or UNKNOWN");
        assert_int_equal(pre_stat(NU_LISTENER_PROXY_BAD), 1);
        pre_stop();
    }
}

static void no_chain_closes(void **state)
{
    proxy(NU_PROXY_REQUIRE);
    pre.refuse = true;
    assert_false(pre_send(V1 "rest", sizeof V1 + 3));
    assert_failed(NU_CAUSE_NO_CHAIN, NU_SIDE_LOCAL, "");
    assert_int_equal(pre_stat(NU_LISTENER_NO_FILTER_CHAIN_MATCH), 1);
    pre_stop();
}

static void a_timeout_closes_or_goes_on(void **state)
{
    proxy(NU_PROXY_REQUIRE);
    pre_send("PROXY", 5);
    nu_loop_advance(&pre.loop, 1000);
    assert_failed(NU_CAUSE_PROXY_TIMEOUT, NU_SIDE_CLIENT, "");
    pre_stop();
    proxy(NU_PROXY_OPTIONAL);
    pre_send("PROXY", 5);
    nu_loop_advance(&pre.loop, 1000);
    assert_got("PROXY", 5);
    assert_int_equal(pre_stat(NU_LISTENER_PRE_CX_TIMEOUT), 1);
    pre_stop();
}

static void an_end_closes_or_goes_on(void **state)
{
    proxy(NU_PROXY_REQUIRE);
    assert_false(pre_send_end(NU_CAUSE_CLIENT_FIN));
    assert_failed(NU_CAUSE_CLIENT_FIN, NU_SIDE_CLIENT, "closed before the PROXY header was whole");
    pre_stop();
    proxy(NU_PROXY_REQUIRE);
    pre_send("PROXY", 5);
    assert_false(pre_send_end(NU_CAUSE_CLIENT_FIN));
    assert_int_equal(pre.result.cause, NU_CAUSE_BAD_PROXY);
    pre_stop();
    proxy(NU_PROXY_OPTIONAL);
    pre_send("PROXY", 5);
    pre_send_end(NU_CAUSE_CLIENT_FIN);
    assert_got("PROXY", 5);
    assert_true(pre.got_end);
    pre_stop();
    proxy(NU_PROXY_OPTIONAL);
    assert_false(pre_send_end(NU_CAUSE_CLIENT_RST));
    assert_failed(NU_CAUSE_CLIENT_RST, NU_SIDE_CLIENT, "");
    pre_stop();
}

/* --- out --- */

static void leg(const struct nu_proxy_out_conf *conf)
{
    struct nu_place places[] = {
        {&nu_probe_left,       &pre.client},
        {&nu_filter_proxy_out, conf       },
        {&nu_probe_right,      &pre.server}
    };
    pre.chain = nu_chain_new(&pre.loop, places, 3, NULL, &pre_owner, NULL);
}

/* A chain of ours for what a leg says, in place of the usual one. */
static void leg_start(void)
{
    proxy(NU_PROXY_OPTIONAL);
    pre_send_end(NU_CAUSE_CLIENT_RST);
    assert_null(pre.chain);
}

static void sends_the_header_first(void **state)
{
    struct nu_proxy_out_conf conf = {.version = 1};
    leg_start();
    nu_addr_parse(&conf.client, "192.0.2.7:4321", -1);
    nu_addr_parse(&conf.local, "198.51.100.1:443", -1);
    leg(&conf);
    assert_true(pre_send("rest", 4));
    assert_got(V1 "rest", sizeof V1 + 3);
    pre_stop();
}

static void says_what_the_client_asked_for(void **state)
{
    struct nu_proxy_out_conf conf = {.version = 2, .sni = "a.test"};
    leg_start();
    nu_addr_parse(&conf.client, "192.0.2.7:258", -1);
    nu_addr_parse(&conf.local, "198.51.100.1:443", -1);
    leg(&conf);
    assert_got(V2, sizeof V2 - 1);
    pre_stop();
    leg_start();
    conf.alpn = "h2,http/1.1";
    leg(&conf);
    assert_non_null(memmem(pre.got, pre.got_len, "\1\0\2h2", 5));
    assert_null(memmem(pre.got, pre.got_len, "http", 4));
    pre_stop();
}

static void takes_the_facts_of_a_chain(void **state)
{
    struct nu_proxy_out_conf conf;
    char text[NU_ADDR_TEXT_MAX];
    proxy(NU_PROXY_REQUIRE);
    nu_proxy_out_conf(&conf, 2, pre.chain);
    assert_null(conf.sni);
    nu_chain_facts_more(pre.chain)->sni = "b.test";
    nu_proxy_out_conf(&conf, 2, pre.chain);
    assert_string_equal(conf.sni, "b.test");
    assert_string_equal(nu_addr_str(&conf.client, text), "10.0.0.1:1000");
    assert_string_equal(nu_addr_str(&conf.local, text), "10.0.0.2:443");
    pre_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_version_1),
        cmocka_unit_test(keeps_what_version_2_adds),
        cmocka_unit_test(any_split_says_the_same),
        cmocka_unit_test(single_bytes),
        cmocka_unit_test(local_and_unknown_keep_the_sockets_addresses),
        cmocka_unit_test(optional_passes_what_is_none),
        cmocka_unit_test(require_closes_what_is_none),
        cmocka_unit_test(malformed_headers_close),
        cmocka_unit_test(no_chain_closes),
        cmocka_unit_test(a_timeout_closes_or_goes_on),
        cmocka_unit_test(an_end_closes_or_goes_on),
        cmocka_unit_test(sends_the_header_first),
        cmocka_unit_test(says_what_the_client_asked_for),
        cmocka_unit_test(takes_the_facts_of_a_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
