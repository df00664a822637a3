/* The sniffer: what it learns from a ClientHello however that is cut, that it never changes a byte,
 * and how it ends where there is none. */
#include "l4/sniff.h"

#include "tests/unit/l4/pre_help.h"
#include "tests/unit/protocols/tls/hello_maker.h"

static void sniff(void)
{
    pre_start(&nu_filter_sniff);
    start();
    put_usual_extensions();
    make_wire();
}

static void learns_from_a_hello(void **state)
{
    sniff();
    put(&wire, "early data", 10);
    assert_true(pre_send(wire.data, wire.len));
    assert_int_equal(pre.nexts, 1);
    assert_true(pre.sniffed);
    assert_int_equal(pre.input.transport, NU_TRANSPORT_TLS);
    assert_string_equal(pre.names[0], "a.test");
    assert_int_equal(pre.input.alpn_count, 2);
    assert_string_equal(pre.names[1], "h2");
    assert_got(wire.data, wire.len);
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_TLS_FOUND), 1);
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_SNI_FOUND), 1);
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_ALPN_FOUND), 1);
    pre_stop();
    assert_string_equal(pre.sni, "a.test");
    assert_string_equal(pre.alpn, "h2,http/1.1");
    assert_int_equal(pre.more.transport, NU_TRANSPORT_TLS);
}

/* Afterwards bytes and END pass both ways without a look. */
static void gets_out_of_the_way(void **state)
{
    sniff();
    pre_send(wire.data, wire.len);
    size_t before = wire.len;
    put(&wire, "more", 4);
    assert_true(pre_send("more", 4));
    assert_got(wire.data, before + 4);
    nu_say(pre.server.self, NU_REV, "back");
    nu_loop_advance(&pre.loop, 5000); /* the timer is gone, too */
    assert_non_null(pre.chain);
    assert_int_equal(pre_stat(NU_LISTENER_PRE_CX_TIMEOUT), 0);
    pre_send_end(NU_CAUSE_CLIENT_FIN);
    assert_true(pre.got_end);
    pre_stop();
}

static void any_split_says_the_same(void **state)
{
    sniff();
    pre_stop();
    for (size_t cut = 1; cut < wire.len; cut++) {
        pre_start(&nu_filter_sniff);
        assert_true(pre_send(wire.data, cut));
        assert_int_equal(pre.nexts, 0);
        assert_int_equal(pre.got_len, 0);
        assert_true(pre_send(wire.data + cut, wire.len - cut));
        assert_string_equal(pre.names[0], "a.test");
        assert_got(wire.data, wire.len);
        pre_stop();
    }
}

/* 16 KiB of hello, one byte a segment and a record: what is kept stays in proportion. */
static void single_bytes_cost_linear_memory(void **state)
{
    pre_start(&nu_filter_sniff);
    start();
    static const char padding[15000];
    put_usual_extensions();
    put_ext(&exts, 21, padding, sizeof padding);
    put_hello(&msg, exts.data, exts.len);
    put_records(&wire, msg.data, msg.len, 1);
    for (size_t i = 0; i + 1 < wire.len; i++) {
        assert_true(pre_send(wire.data + i, 1));
        assert_in_range(nu_block_pool_lent(pre.loop.blocks), 1, 4 * i + 16 * 1024);
    }
    assert_int_equal(pre.nexts, 0);
    assert_true(pre_send(wire.data + wire.len - 1, 1));
    assert_string_equal(pre.names[0], "a.test");
    assert_got(wire.data, wire.len);
    pre_stop();
}

static void plain_bytes_pass_at_once(void **state)
{
    pre_start(&nu_filter_sniff);
    assert_true(pre_send("GET / HTTP/1.1\r\n", 16));
    assert_int_equal(pre.input.transport, NU_TRANSPORT_PLAIN);
    assert_int_equal(pre.input.sni.len, 0);
    assert_got("GET / HTTP/1.1\r\n", 16);
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_TLS_NOT_FOUND), 1);
    pre_stop();
    assert_string_equal(pre.sni, "-");
    assert_int_equal(pre.more.transport, NU_TRANSPORT_PLAIN);
}

/* A first byte like TLS's, then something else. */
static void plain_bytes_that_begin_alike(void **state)
{
    pre_start(&nu_filter_sniff);
    assert_true(pre_send("\x16", 1));
    assert_int_equal(pre.nexts, 0);
    assert_true(pre_send("x", 1));
    assert_int_equal(pre.input.transport, NU_TRANSPORT_PLAIN);
    assert_got("\x16x", 2);
    pre_stop();
}

static void a_hello_without_names(void **state)
{
    pre_start(&nu_filter_sniff);
    start();
    make_wire();
    assert_true(pre_send(wire.data, wire.len));
    assert_int_equal(pre.input.transport, NU_TRANSPORT_TLS);
    assert_int_equal(pre.input.sni.len, 0);
    assert_int_equal(pre.input.alpn_count, 0);
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_SNI_NOT_FOUND), 1);
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_ALPN_NOT_FOUND), 1);
    pre_stop();
    assert_string_equal(pre.alpn, "-");
}

/* Logs get text whatever a client calls its protocols; only so much of it. */
static void offered_names_become_text(void **state)
{
    struct bytes list = {.len = 0}, names = {.len = 0};
    pre_start(&nu_filter_sniff);
    start();
    put_vec(&names, 1, "\x2a\x2a", 2); /* GREASE */
    put_vec(&names, 1, "a,b\n", 4);
    for (int i = 0; i < 40; i++)
        put_vec(&names, 1, "a-rather-long-name", 18);
    put_vec(&list, 2, names.data, names.len);
    put_ext(&exts, 16, list.data, list.len);
    make_wire();
    assert_true(pre_send(wire.data, wire.len));
    assert_int_equal(pre.input.alpn_count, NU_MATCH_MAX_ALPN);
    assert_int_equal(pre.input.alpn[0].len, 4);
    pre_stop();
    assert_memory_equal(pre.alpn, "a?b?,a-rather-long-name,", 24);
    assert_in_range(strlen(pre.alpn), 200, 255);
    assert_string_equal(pre.alpn + strlen(pre.alpn) - 18, "a-rather-long-name");
}

static void bad_hellos_close(void **state)
{
    static const char cut[] = "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    pre_start(&nu_filter_sniff);
    assert_false(pre_send(cut, sizeof cut - 1));
    assert_failed(NU_CAUSE_BAD_HELLO, NU_SIDE_CLIENT, "truncated ClientHello");
    assert_string_equal(pre.blamed, "sniff");
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_CLIENT_HELLO_BAD), 1);
    pre_stop();
    pre_start(&nu_filter_sniff);
    assert_false(pre_send("\x16\x03\x01\x40\x00\x01\x00\x40\x01", 9));
    assert_int_equal(pre.result.cause, NU_CAUSE_BAD_HELLO);
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_CLIENT_HELLO_TOO_LARGE), 1);
    pre_stop();
}

static void no_chain_closes(void **state)
{
    sniff();
    pre.refuse = true;
    assert_false(pre_send(wire.data, wire.len));
    assert_failed(NU_CAUSE_NO_CHAIN, NU_SIDE_LOCAL, "");
    assert_int_equal(pre_stat(NU_LISTENER_NO_FILTER_CHAIN_MATCH), 1);
    pre_stop();
    assert_string_equal(pre.sni, "a.test"); /* for the log */
}

static void a_timeout_goes_on_without(void **state)
{
    pre_start(&nu_filter_sniff);
    pre_send("\x16\x03", 2);
    nu_loop_advance(&pre.loop, 999);
    assert_int_equal(pre.nexts, 0);
    nu_loop_advance(&pre.loop, 1);
    assert_int_equal(pre.nexts, 1);
    assert_int_equal(pre.input.transport, NU_TRANSPORT_UNKNOWN);
    assert_got("\x16\x03", 2);
    assert_int_equal(pre_stat(NU_LISTENER_PRE_CX_TIMEOUT), 1);
    pre_stop();
}

static void a_timeout_without_a_chain_closes(void **state)
{
    pre_start(&nu_filter_sniff);
    pre.refuse = true;
    nu_loop_advance(&pre.loop, 1000);
    assert_failed(NU_CAUSE_SNIFF_TIMEOUT, NU_SIDE_CLIENT, "");
    pre_stop();
}

static void an_end_goes_on_without(void **state)
{
    pre_start(&nu_filter_sniff);
    pre_send("\x16", 1);
    pre_send_end(NU_CAUSE_CLIENT_FIN);
    assert_int_equal(pre.input.transport, NU_TRANSPORT_UNKNOWN);
    assert_got("\x16", 1);
    assert_true(pre.got_end);
    assert_int_equal(pre_stat(NU_LISTENER_SNIFF_CLOSED), 1);
    pre_stop();
}

static void an_end_without_a_chain_closes(void **state)
{
    pre_start(&nu_filter_sniff);
    pre.refuse = true;
    assert_false(pre_send_end(NU_CAUSE_CLIENT_FIN));
    assert_failed(NU_CAUSE_CLIENT_FIN, NU_SIDE_CLIENT, "");
    assert_int_equal(pre_stat(NU_LISTENER_NO_FILTER_CHAIN_MATCH), 0);
    pre_stop();
}

static void a_vanished_client_gets_no_chain(void **state)
{
    pre_start(&nu_filter_sniff);
    pre_send("\x16", 1);
    assert_false(pre_send_end(NU_CAUSE_CLIENT_RST));
    assert_failed(NU_CAUSE_CLIENT_RST, NU_SIDE_CLIENT, "");
    assert_int_equal(pre.nexts, 0);
    pre_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_from_a_hello),
        cmocka_unit_test(gets_out_of_the_way),
        cmocka_unit_test(any_split_says_the_same),
        cmocka_unit_test(single_bytes_cost_linear_memory),
        cmocka_unit_test(plain_bytes_pass_at_once),
        cmocka_unit_test(plain_bytes_that_begin_alike),
        cmocka_unit_test(a_hello_without_names),
        cmocka_unit_test(offered_names_become_text),
        cmocka_unit_test(bad_hellos_close),
        cmocka_unit_test(no_chain_closes),
        cmocka_unit_test(a_timeout_goes_on_without),
        cmocka_unit_test(a_timeout_without_a_chain_closes),
        cmocka_unit_test(an_end_goes_on_without),
        cmocka_unit_test(an_end_without_a_chain_closes),
        cmocka_unit_test(a_vanished_client_gets_no_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
