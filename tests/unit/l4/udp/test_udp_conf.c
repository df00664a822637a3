/* What a config may say of listeners of datagrams, and what it may not. */
#include "core/worker.h"
#include "l4/listener_priv.h"
#include "tests/unit/l4/conf_types.h"

struct got {
    struct nu_generation gen;
    struct nu_conf *conf;
    struct nu_listeners *listeners;
};

static const struct nu_filter_type dgram_end = {
    TRIAL("dgram_end", NU_FACE_DGRAM, NU_FACE_NONE),
    .sees = {NU_SEES(NU_DGRAM) | NU_SEES(NU_END), 0},
    .event = swallow,
};

static struct got read_text(const char *text)
{
    struct got got = {.gen = {.number = 1}};
    got.gen.arena = nu_arena_new(1024);
    got.conf = nu_conf_from_text("t.yaml", "/", text, strlen(text));
    nu_listeners_build(&got.gen, got.conf, got.gen.arena,
                       nu_node_get(nu_conf_root(got.conf), "listeners"), &got.listeners);
    return got;
}

static void done(struct got *got)
{
    nu_listeners_discard(got->listeners);
    nu_conf_free(got->conf);
    nu_arena_free(got->gen.arena);
}

static struct got read_one(const char *keys)
{
    static char text[512]; /* the report shows it */
    snprintf(text, sizeof text, "listeners:\n  - {%s}\n", keys);
    return read_text(text);
}

static struct listener *only(const struct got *got)
{
    assert_string_equal(nu_conf_report(got->conf), "");
    assert_int_equal(got->listeners->count, 1);
    return got->listeners->item[0];
}

static void defaults_stand_without_a_key(void **state)
{
    struct got got = read_one("bind: \"udp://0.0.0.0:53\", filters: dgram_end");
    const struct listener *l = only(&got);
    assert_true(l->is_udp && l->binds[0].udp);
    assert_string_equal(l->binds[0].text, "udp://0.0.0.0:53");
    assert_string_equal(l->tally->name, "udp://0.0.0.0:53");
    assert_int_equal(l->udp.max_sessions, 16384);
    assert_int_equal(l->udp.max_per_source, 0);
    assert_int_equal(l->udp.receive_buffer, 1 << 20);
    assert_null(l->tally->sources);
    done(&got);
}

static void limits_are_read(void **state)
{
    struct got got =
        read_one("bind: [\"udp://0.0.0.0:53\", \"udp://[::]:53\"], filters: dgram_end, "
                 "udp: {max_sessions: 7, max_sessions_per_source: 2, "
                 "receive_buffer: 64KiB}");
    const struct listener *l = only(&got);
    assert_int_equal(l->bind_count, 2);
    assert_int_equal(l->udp.max_sessions, 7);
    assert_int_equal(l->udp.max_per_source, 2);
    assert_int_equal(l->udp.receive_buffer, 65536);
    assert_non_null(l->tally->sources);
    done(&got);
}

/* TCP and UDP of one port are two addresses. */
static void streams_and_datagrams_share_a_port(void **state)
{
    struct got got = read_text("listeners:\n"
                               "  - {bind: 1.1.1.1:53, filters: bytes_end}\n"
                               "  - {bind: \"udp://1.1.1.1:53\", filters: dgram_end}\n");
    assert_string_equal(nu_conf_report(got.conf), "");
    done(&got);
}

/* What check --print writes for a listener can be read again. */
static void defaults_of_streams_do_no_harm(void **state)
{
    struct got got = read_one("bind: \"udp://1.1.1.1:1\", filters: dgram_end, backlog: 4096, "
                              "max_connections: 0, proxy_protocol: off, sniff_timeout: 15s");
    only(&got);
    done(&got);
}

/* Keys of a listener, and what is said of them. */
static const char *const mistakes[] = {
    "bind: \"udp://unix:/x\", filters: dgram_end",
    "listeners[0].bind: datagrams of UNIX sockets are not supported",
    "bind: \"udp://nowhere\", filters: dgram_end",
    "listeners[0].bind: found \"udp://nowhere\", expected an address to listen on, like "
    "0.0.0.0:80, "
    "\"[::]:80\", unix:/path or udp://0.0.0.0:53; port 0 = a free one",
    "bind: [\"udp://1.1.1.1:1\", \"1.1.1.1:1\"], filters: dgram_end",
    "listeners[0].bind[1]: streams and datagrams need a listener each: their chains differ",
    "bind: [\"udp://1.1.1.1:1\", \"udp://1.1.1.1:1\"], filters: dgram_end",
    "listeners[0].bind[1]: udp://1.1.1.1:1 is bound in line 2 already",
    "bind: \"udp://1.1.1.1:1\", filters: bytes_end",
    "listeners[0].filters: wrong chain order: bytes_end takes bytes, but it gets datagrams here",
    "bind: \"1.1.1.1:1\", filters: dgram_end",
    "listeners[0].filters: wrong chain order: dgram_end takes datagrams, but it gets bytes here",
    "bind: \"1.1.1.1:1\", filters: bytes_end, udp: {}",
    "listeners[0]: \"udp\" is for listeners with udp:// addresses",
    "bind: \"udp://1.1.1.1:1\", filters: dgram_end, max_connections: 1",
    "listeners[0]: \"max_connections\" is for streams: a udp listener has udp.max_sessions",
    "bind: \"udp://1.1.1.1:1\", filters: dgram_end, proxy_protocol: require",
    "listeners[0]: \"proxy_protocol\" is for listeners of streams, this one is udp",
    "bind: \"udp://1.1.1.1:1\", filters: dgram_end, sniff_timeout: 1s",
    "listeners[0]: \"sniff_timeout\" is for listeners of streams, this one is udp",
    "bind: \"udp://1.1.1.1:1\", filters: dgram_end, backlog: 5",
    "listeners[0]: \"backlog\" is for listeners of streams, this one is udp",
    "bind: \"udp://1.1.1.1:1\", filters: dgram_end, mode: \"0600\"",
    "listeners[0]: \"mode\" is for listeners of streams, this one is udp",
    "bind: \"udp://1.1.1.1:1\", chains: [{filters: dgram_end, match: {sni: a.test}}]",
    "listeners[0].chains[0].match: \"sni\" is for streams: a udp listener does not look into "
    "datagrams",
    "bind: \"udp://1.1.1.1:1\", chains: [{filters: dgram_end, match: {ja4: "
    "t13d1516h2_8daaf6152771_e5627efa2ab1}}]",
    "listeners[0].chains[0].match: \"ja4\" is for streams: a udp listener does not look into "
    "datagrams",
    "bind: \"udp://1.1.1.1:1\", chains: [{filters: dgram_end, match: {alpn: h2}}]",
    "listeners[0].chains[0].match: \"alpn\" is for streams: a udp listener does not look into "
    "datagrams",
    "bind: \"udp://1.1.1.1:1\", chains: [{filters: dgram_end, match: {transport: tls}}]",
    "listeners[0].chains[0].match: \"transport\" is for streams: a udp listener does not look into "
    "datagrams",
    "bind: \"udp://1.1.1.1:1\", filters: dgram_end, udp: {max_sessions: 0}",
    "listeners[0].udp.max_sessions: 0 is out of range, expected 1 to 2147483647",
};

static void mistakes_are_told(void **state)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i += 2) {
        struct got got = read_one(mistakes[i]);
        char first[512];
        snprintf(first, sizeof first, "%s", nu_conf_report(got.conf));
        first[strcspn(first, "\n")] = 0;
        const char *said = strstr(first, ": ");
        if (nu_conf_error_count(got.conf) != 1 || !said || strcmp(said + 2, mistakes[i + 1]) != 0)
            fail_msg("{%s}\nsays %s\nnot  %s", mistakes[i], nu_conf_report(got.conf),
                     mistakes[i + 1]);
        done(&got);
    }
}

static int setup(void **state)
{
    register_trials();
    nu_registry_add(&dgram_end);
    nu_workers_init(1);
    return 0;
}

static int teardown(void **state)
{
    nu_workers_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stand_without_a_key),
        cmocka_unit_test(limits_are_read),
        cmocka_unit_test(streams_and_datagrams_share_a_port),
        cmocka_unit_test(defaults_of_streams_do_no_harm),
        cmocka_unit_test(mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
