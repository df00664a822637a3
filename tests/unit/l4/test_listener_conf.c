/* Listeners of a config: names, chains and matches they get, and what is said about wrong ones. */
#include "core/counted.h"
#include "l4/listener_priv.h"

#include "tests/unit/l4/conf_types.h"

struct got {
    struct nu_conf *conf;
    struct nu_arena *arena;
    struct nu_generation gen;
    struct nu_listeners *listeners;
    enum nu_err err;
};

static struct got read_text(const char *text)
{
    struct got got = {.arena = nu_arena_new(256), .gen = {.number = 1}};
    got.conf = conf_of(text);
    assert_non_null(nu_conf_root(got.conf));
    got.err = nu_listeners_build(&got.gen, got.conf, got.arena,
                                 nu_node_get(nu_conf_root(got.conf), "listeners"), &got.listeners);
    assert_int_equal(got.err != NU_OK, nu_conf_failed(got.conf));
    return got;
}

static void done(struct got *got)
{
    nu_listeners_discard(got->listeners);
    nu_conf_free(got->conf);
    nu_arena_free(got->arena);
}

static void one_chain_stands_right_there(void **state)
{
    struct got got = read_text("listeners:\n"
                               "  - bind: 127.0.0.1:80\n"
                               "    filters: [plain, bytes_end]\n");
    assert_report(got.conf, "");
    assert_int_equal(nu_listeners_count(got.listeners), 1);
    const struct listener *l = got.listeners->item[0];
    assert_string_equal(l->tally->name, "127.0.0.1:80");
    assert_string_equal(nu_stats_prefix(l->tally->stats), "listener.127.0.0.1:80");
    assert_int_equal(l->chain_count, 1);
    assert_ptr_equal(l->only, l->chains[0]);
    assert_string_equal(l->only->name, "127.0.0.1:80");
    assert_int_equal(l->only->place_count, 2);
    assert_int_equal(l->pre.timeout_ms, 15000);
    assert_int_equal(l->pre.proxy, NU_PROXY_OFF);
    assert_int_equal(l->max_connections, 0);
    assert_int_equal(l->mode, -1);
    assert_null(l->log);
    done(&got);
}

static void everything_can_be_said(void **state)
{
    struct got got =
        read_text("listeners:\n"
                  "  - name: edge\n"
                  "    bind: [\"[::1]:443\", unix:run/edge.sock, 0.0.0.0:0]\n"
                  "    mode: \"0660\"\n"
                  "    backlog: 100\n"
                  "    max_connections: 10\n"
                  "    proxy_protocol: optional\n"
                  "    sniff_timeout: 0\n"
                  "    access_log: all.log\n"
                  "    chains:\n"
                  "      - {match: {sni: [a.test, b.test], alpn: h2}, filters: bytes_end}\n"
                  "      - name: plain one\n"
                  "        match: {transport: plain, source: 10.0.0.0/8, source_port: [1, 2]}\n"
                  "        filters: [bytes_end]\n"
                  "        access_log: []\n"
                  "      - match: {destination: [\"::/0\"], destination_port: 443}\n"
                  "        filters: [bytes_end]\n"
                  "        access_log: [{path: own.log, format: json}]\n"
                  "      - filters: bytes_end\n");
    assert_report(got.conf, "");
    const struct listener *l = got.listeners->item[0];
    assert_int_equal(l->bind_count, 3);
    assert_string_equal(l->binds[1].text, "unix:/etc/run/edge.sock");
    assert_int_equal(l->mode, 0660);
    assert_int_equal(l->backlog, 100);
    assert_int_equal(l->max_connections, 10);
    assert_int_equal(l->pre.proxy, NU_PROXY_OPTIONAL);
    assert_int_equal(l->pre.timeout_ms, 0);
    assert_null(l->only);
    assert_string_equal(l->chains[0]->name, "edge/sni=a.test+1,alpn=h2");
    assert_string_equal(l->chains[1]->name, "plain one");
    assert_string_equal(l->chains[2]->name, "edge/destination_port=443,destination=::/0");
    assert_string_equal(l->chains[3]->name, "edge");
    assert_ptr_equal(l->chains[0]->log, l->log);
    assert_null(l->chains[1]->log);
    assert_ptr_not_equal(l->chains[2]->log, l->log);
    assert_non_null(l->chains[2]->log);
    done(&got);
}

static void unnamed_ones_on_port_0_get_names(void **state)
{
    struct got got = read_text("listeners:\n"
                               "  - {bind: 127.0.0.1:0, filters: bytes_end}\n"
                               "  - {bind: 127.0.0.1:0, filters: bytes_end}\n");
    assert_report(got.conf, "");
    assert_string_equal(got.listeners->item[0]->tally->name, "127.0.0.1:0");
    assert_string_equal(got.listeners->item[1]->tally->name, "127.0.0.1:0#2");
    done(&got);
}

/* A config, and the first line of what is said about it behind the file's name, in turn. */
static const char *const whole[] = {
    "listeners:\n"
    "  - filters: bytes_end\n",
    "2:5: listeners[0]: missing key \"bind\"",
    "listeners:\n"
    "  - bind: []\n"
    "    filters: bytes_end\n",
    "2:11: listeners[0].bind: the list must not be empty",
    "listeners:\n"
    "  - bind: 1.1.1.1\n"
    "    filters: bytes_end\n",
    "2:11: listeners[0].bind: found \"1.1.1.1\", expected an address to listen on, like "
    "0.0.0.0:80, \"[::]:80\", unix:/path or udp://0.0.0.0:53; port 0 = a free one",
    "listeners:\n"
    "  - bind: {}\n"
    "    filters: bytes_end\n",
    "2:11: listeners[0].bind: found a map, expected an address to listen on, like 0.0.0.0:80, "
    "\"[::]:80\", unix:/path or udp://0.0.0.0:53; port 0 = a free one",
    "listeners:\n"
    "  - bind: 1.1.1.1:1\n",
    "2:5: listeners[0]: missing key \"filters\"",
    "listeners:\n"
    "  - bind: 1.1.1.1:1\n"
    "    chains: []\n",
    "3:13: listeners[0].chains: the list must not be empty",
    "listeners:\n"
    "  - {name: a, bind: 1.1.1.1:1, filters: bytes_end}\n"
    "  - {name: a, bind: 1.1.1.1:2, filters: bytes_end}\n",
    "3:12: listeners[1].name: the listener in line 2 has the name \"a\" already",
    "listeners:\n"
    "  - {name: a, bind: 1.1.1.1:1, filters: bytes_end}\n"
    "  - {name: b, bind: [2.2.2.2:2, 1.1.1.1:1], filters: bytes_end}\n",
    "3:33: listeners[1].bind[1]: 1.1.1.1:1 is bound in line 2 already",
    "listeners:\n"
    "  - bind: 1.1.1.1:1\n"
    "    chains:\n"
    "      - {filters: bytes_end}\n"
    "      - {filters: bytes_end}\n",
    "5:9: listeners[0].chains[1]: takes every connection, as chain \"1.1.1.1:1\" in line 4 does",
    "listeners:\n"
    "  - bind: 1.1.1.1:1\n"
    "    chains:\n"
    "      - {match: {sni: [a.test, b.test]}, filters: bytes_end}\n"
    "      - {match: {sni: B.TEST}, filters: bytes_end}\n",
    "5:17: listeners[0].chains[1].match: takes the same connections as chain "
    "\"1.1.1.1:1/sni=a.test+1\" in line 4: sni b.test",
    "listeners:\n"
    "  - bind: 1.1.1.1:1\n"
    "    chains:\n"
    "      - {name: x, match: {sni: a.test}, filters: bytes_end}\n"
    "      - {name: x, filters: bytes_end}\n",
    "5:16: listeners[0].chains[1].name: the chain in line 4 has the name \"x\" already",
};

/* What stands beside a bind and filters in line 2, and what is said, in turn. */
static const char *const listener[] = {
    "chains: [{filters: bytes_end}]",
    "2:23: listeners[0]: \"filters\" and \"chains\" exclude each other: filters stand either here "
    "or in each chain",
    "nmae: x",
    "2:43: listeners[0]: unknown key \"nmae\"",
    "mode: 660x",
    "2:49: listeners[0].mode: found \"660x\", expected an octal mode like \"0660\"",
    "mode: 1777",
    "2:49: listeners[0].mode: found \"1777\", expected an octal mode like \"0660\"",
    "backlog: 0",
    "2:52: listeners[0].backlog: 0 is out of range, expected 1 to 65535",
    "proxy_protocol: on",
    "2:59: listeners[0].proxy_protocol: found \"on\", expected off, require or optional",
    "sniff_timeout: 15",
    "2:58: listeners[0].sniff_timeout: found \"15\", expected a duration like 250ms, 15s or 1h, 0 "
    "= off",
    "access_log: {format: json}",
    "2:43: listeners[0].access_log: missing key \"path\"",
    "access_log: {path: x, format: \"%DURRATION%\"}",
    "2:73: listeners[0].access_log.format: unknown operator \"DURRATION\", did you mean "
    "\"DURATION\"?",
};

/* The same for a match. */
static const char *const match[] = {
    "{sni: \"*a.test\"}",
    "2:45: listeners[0].chains.match.sni: \"*a.test\" is no host name to match: \"*\" may only be "
    "the whole first label",
    "{sni: 10.0.0.1}",
    "2:45: listeners[0].chains.match.sni: \"10.0.0.1\" is no host name to match: an IP address is "
    "no host name",
    "{sni: []}",
    "2:45: listeners[0].chains.match.sni: the list must not be empty",
    "{alpn: \"\"}",
    "2:46: listeners[0].chains.match.alpn: found \"\", expected a protocol like h2 or http/1.1, of "
    "1 to 255 bytes",
    "{transport: udp}",
    "2:51: listeners[0].chains.match.transport: found \"udp\", expected any, plain or tls",
    "{source: 10.0.0.1/8}",
    "2:48: listeners[0].chains.match.source: found \"10.0.0.1/8\", expected a network like "
    "10.0.0.0/8 or 2001:db8::/32",
    "{source_port: 70000}",
    "2:53: listeners[0].chains.match.source_port: 70000 is out of range, expected 1 to 65535",
};

static void assert_said(const char *text, const char *report)
{
    struct got got = read_text(text);
    char first[512];
    snprintf(first, sizeof first, "%s", nu_conf_report(got.conf));
    first[strcspn(first, "\n")] = 0;
    assert_memory_equal(first, "t.yaml:", 7);
    assert_string_equal(first + 7, report);
    assert_int_equal(nu_conf_error_count(got.conf), 1);
    done(&got);
}

static void mistakes_are_shown_at_their_place(void **state)
{
    char text[512];
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i += 2)
        assert_said(whole[i], whole[i + 1]);
    for (size_t i = 0; i < sizeof listener / sizeof *listener; i += 2) {
        snprintf(text, sizeof text, "listeners:\n  - {bind: 1.1.1.1:1, filters: bytes_end, %s}\n",
                 listener[i]);
        assert_said(text, listener[i + 1]);
    }
    for (size_t i = 0; i < sizeof match / sizeof *match; i += 2) {
        snprintf(text, sizeof text,
                 "listeners:\n  - {bind: 1.1.1.1:1, chains: {match: %s, filters: bytes_end}}\n",
                 match[i]);
        assert_said(text, match[i + 1]);
    }
}

static void all_mistakes_are_found(void **state)
{
    struct got got = read_text("listeners:\n"
                               "  - bind: nowhere\n"
                               "    chains:\n"
                               "      - {match: {sni: \"*\", transport: x}, filters: [nothing]}\n"
                               "      - {filters: bytes_end, access_log: {path: x, format: y}}\n"
                               "  - {bind: 1.1.1.1:1}\n");
    assert_int_equal(nu_conf_error_count(got.conf), 5);
    done(&got);
}

static void no_listeners_are_none(void **state)
{
    struct got got = read_text("workers: 1\n");
    assert_int_equal(got.err, NU_OK);
    assert_int_equal(nu_listeners_count(got.listeners), 0);
    done(&got);
    got = read_text("listeners: []\n");
    assert_int_equal(nu_listeners_count(got.listeners), 0);
    done(&got);
}

static void ten_thousand_chains_are_small(void **state)
{
    static char text[1 << 20];
    size_t at = (size_t)sprintf(text, "listeners:\n  - bind: 127.0.0.1:1\n    chains:\n");
    for (int i = 0; i < 10000; i++)
        at += (size_t)sprintf(text + at,
                              "      - {match: {sni: service-%05d.test}, filters: bytes_end}\n", i);
    struct got got = read_text(text);
    assert_int_equal(got.err, NU_OK);
    const struct listener *l = got.listeners->item[0];
    assert_int_equal(l->chain_count, 10000);
    assert_in_range(nu_arena_bytes(l->chains[5000]->arena), 1, 1024);
    assert_in_range(nu_arena_bytes(l->arena), 1, 200 * 10000);
    done(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_chain_stands_right_there),
        cmocka_unit_test(everything_can_be_said),
        cmocka_unit_test(unnamed_ones_on_port_0_get_names),
        cmocka_unit_test(mistakes_are_shown_at_their_place),
        cmocka_unit_test(all_mistakes_are_found),
        cmocka_unit_test(no_listeners_are_none),
        cmocka_unit_test(ten_thousand_chains_are_small),
    };
    nu_stats_init(1);
    nu_log_ops_l4();
    register_trials();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
