/* Listeners in service: accepting on all workers, choosing chains, limits, ends and their figures,
 * and reloads that lose nothing. */
#include "tests/unit/l4/listener_help.h"

#include "tests/unit/protocols/tls/hello_maker.h"

#define BIND0 "bind: 127.0.0.1:0"

static void all_workers_share_a_port(void **state)
{
    int fd[CLIENT_MAX];
    serve("listeners: {name: a, " BIND0 ", filters: back}");
    for (int i = 0; i < CLIENT_MAX; i++)
        fd[i] = connect_to("a", 0);
    for (int i = 0; i < CLIENT_MAX; i++)
        assert_serves(fd[i]);
    assert_int_equal(connections(), CLIENT_MAX);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_true(nu_listener_connections(nu_worker_at(i)) > 0); /* 1 in 2^63 that it is not */
    assert_int_equal(figure("a", NU_LISTENER_CX_ACTIVE), CLIENT_MAX);
    for (int i = 0; i < CLIENT_MAX; i++)
        leave(fd[i]);
    assert_int_equal(figure("a", NU_LISTENER_CX_TOTAL), CLIENT_MAX);
    assert_int_equal(figure("a", NU_LISTENER_CX_DESTROY), CLIENT_MAX);
    assert_int_equal(figure("a", NU_LISTENER_CX_LENGTH_MS), CLIENT_MAX);
    assert_int_equal(figure("a", NU_LISTENER_CX_ACTIVE), 0);
    assert_int_equal(figure("a", NU_LISTENER_PRE_CX_ACTIVE), 0);
    serve_nothing();
}

static void a_chain_that_speaks_first_is_heard(void **state)
{
    serve("listeners:\n  - name: a\n    bind: [127.0.0.1:0, 127.0.0.2:0]\n    chains:\n"
          "      - {match: {destination: 127.0.0.2/32}, filters: greeter}\n"
          "      - {match: {sni: a.test}, filters: back}\n");
    int fd = connect_to("a", 1);
    assert_string_equal(hear(fd), "hello");
    leave(fd);
    serve_nothing();
}

static void addresses_of_sockets_choose(void **state)
{
    serve("listeners:\n  - name: a\n    bind: 0.0.0.0:0\n    chains:\n"
          "      - {match: {destination: 127.0.0.9}, filters: greeter}\n"
          "      - {match: {source: 127.0.0.0/8}, filters: back}\n");
    struct nu_addr to = bound("a", 0);
    memcpy(to.ip, "\x7f\0\0\x9", 4);
    int fd = try_connect(&to);
    assert_string_equal(hear(fd), "hello");
    leave(fd);
    memcpy(to.ip, "\x7f\0\0\1", 4);
    fd = try_connect(&to);
    assert_serves(fd);
    leave(fd);
    serve_nothing();
}

static void sniffs_where_a_match_needs_it(void **state)
{
    serve("listeners:\n  - name: a\n    " BIND0 "\n    chains:\n"
          "      - {match: {sni: a.test}, filters: back}\n"
          "      - {match: {transport: plain}, filters: greeter}\n");
    start();
    put_usual_extensions();
    make_wire();
    int fd = connect_to("a", 0);
    step();
    assert_int_equal(figure("a", NU_LISTENER_PRE_CX_ACTIVE), 1);
    assert_int_equal(send(fd, wire.data, wire.len, 0), wire.len);
    assert_memory_equal(hear(fd), wire.data, wire.len);
    assert_int_equal(figure("a", NU_LISTENER_PRE_CX_ACTIVE), 0);
    leave(fd);
    fd = connect_to("a", 0);
    say(fd, "G");
    assert_memory_equal(hear(fd), "hello", 5);
    leave(fd);
    assert_int_equal(figure("a", NU_LISTENER_SNIFF_TLS_FOUND), 1);
    assert_int_equal(figure("a", NU_LISTENER_SNIFF_TLS_NOT_FOUND), 1);
    serve_nothing();
}

static void a_proxy_header_is_read_before_sniffing(void **state)
{
    serve("listeners:\n  - name: a\n    " BIND0 "\n    proxy_protocol: require\n    chains:\n"
          "      - {match: {destination: 8.0.0.0/8}, filters: greeter}\n"
          "      - {match: {transport: plain}, filters: back}\n");
    int fd = connect_to("a", 0);
    say(fd, "PROXY TCP4 9.1.1.1 8.1.1.1 1 2\r\n");
    assert_string_equal(hear(fd), "hello"); /* no sniff is needed then */
    leave(fd);
    fd = connect_to("a", 0);
    say(fd, "PROXY TCP4 7.1.1.1 7.1.1.1 1 2\r\nping");
    assert_string_equal(hear(fd), "ping");
    leave(fd);
    assert_int_equal(figure("a", NU_LISTENER_PROXY_FOUND), 2);
    assert_int_equal(figure("a", NU_LISTENER_SNIFF_TLS_NOT_FOUND), 1);
    serve_nothing();
}

static void what_no_chain_takes_is_closed(void **state)
{
    serve("listeners: {name: a, " BIND0 ", chains: {match: {source: 9.9.9.9}, filters: back}}");
    int fd = connect_to("a", 0);
    assert_string_equal(hear(fd), "");
    close(fd);
    assert_int_equal(connections(), 0);
    assert_int_equal(figure("a", NU_LISTENER_NO_FILTER_CHAIN_MATCH), 1);
    serve_nothing();
}

static void the_limit_is_exact(void **state)
{
    serve("listeners: {name: a, " BIND0 ", filters: back, max_connections: 2}");
    int one = connect_to("a", 0), two = connect_to("a", 0);
    step();
    for (int i = 0; i < 5; i++) {
        int more = connect_to("a", 0);
        assert_string_equal(hear(more), "");
        close(more);
    }
    assert_int_equal(figure("a", NU_LISTENER_CX_OVERFLOW), 5);
    assert_int_equal(connections(), 2);
    leave(one);
    one = connect_to("a", 0);
    assert_serves(one);
    assert_serves(two);
    /* A new limit counts those that are there. */
    serve("listeners: {name: a, " BIND0 ", filters: back, max_connections: 3}");
    int three = connect_to("a", 0);
    assert_serves(three);
    int four = connect_to("a", 0);
    assert_string_equal(hear(four), "");
    leave(one);
    leave(two);
    leave(three);
    close(four);
    serve_nothing();
}

/* --- reloads --- */

static void a_reload_keeps_sockets_and_connections(void **state)
{
    serve("listeners: {name: a, " BIND0 ", filters: [witness, back]}");
    struct nu_addr before = bound("a", 0);
    int old = connect_to("a", 0);
    assert_serves(old);
    for (int i = 0; i < 3; i++) {
        serve("listeners: {name: a, " BIND0 ", filters: [witness, greeter]}");
        struct nu_addr after = bound("a", 0);
        assert_true(nu_addr_equal(&before, &after));
        int fd = connect_to("a", 0);
        assert_string_equal(hear(fd), "hello");
        leave(fd);
        assert_serves(old);
    }
    assert_int_equal(configs_gone, 2); /* all but the pinned first and the one that serves */
    assert_int_equal(drains, 0);
    leave(old);
    step();
    assert_int_equal(configs_gone, 3);
    serve_nothing();
    assert_int_equal(configs_gone, 4);
}

static void a_socket_may_change_its_listener(void **state)
{
    serve("listeners: {name: a, bind: [127.0.0.1:0, 127.0.0.3:0], filters: back}");
    struct nu_addr first = bound("a", 0);
    char text[256], addr[NU_ADDR_TEXT_MAX];
    snprintf(text, sizeof text, "listeners: {name: b, bind: \"%s\", filters: greeter}",
             nu_addr_str(&first, addr));
    int fd = try_connect(&first);
    assert_serves(fd);
    leave(fd);
    serve_nothing();
    serve(text);
    snprintf(text, sizeof text, "listeners: {name: c, bind: \"%s\", filters: back}", addr);
    int waiting = try_connect(&first); /* in the queue while the listener's name changes */
    serve(text);
    assert_serves(waiting);
    assert_int_equal(figure("c", NU_LISTENER_CX_TOTAL), 1);
    leave(waiting);
    serve_nothing();
}

static void a_removed_listener_serves_its_queue(void **state)
{
    serve("listeners:\n  - {name: a, " BIND0 ", filters: back}\n"
          "  - {name: b, " BIND0 ", filters: back}\n");
    int stays = connect_to("a", 0), old = connect_to("b", 0), fd[20];
    assert_serves(stays);
    assert_serves(old);
    struct nu_addr gone = bound("b", 0);
    for (int i = 0; i < 20; i++)
        fd[i] = connect_to("b", 0); /* nobody has accepted them */
    serve("listeners: {name: a, " BIND0 ", filters: back}");
    assert_int_equal(try_connect(&gone), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(drains, 21); /* told, not cut; the one that stays is not told */
    for (int i = 0; i < 20; i++) {
        assert_serves(fd[i]);
        leave(fd[i]);
    }
    assert_serves(old);
    assert_serves(stays);
    leave(old);
    leave(stays);
    serve_nothing();
}

static void a_connection_may_sniff_across_reloads(void **state)
{
    static const char text[] = "listeners:\n  - name: a\n    " BIND0 "\n    chains:\n"
                               "      - {match: {transport: plain}, filters: [witness, back]}\n"
                               "      - {match: {sni: a.test}, filters: [witness, back]}\n";
    serve(text);
    int chooses = connect_to("a", 0), leaves = connect_to("a", 0);
    step();
    serve(text);
    serve("listeners: {name: a, " BIND0 ", filters: greeter}");
    assert_int_equal(configs_gone, 2); /* the second config; the first is being used */
    assert_serves(chooses);
    leave(leaves);
    step();
    assert_int_equal(configs_gone, 3); /* the chain that nobody chose */
    leave(chooses);
    step();
    assert_int_equal(configs_gone, 4);
    serve_nothing();
}

static void cut(struct nu_worker *worker, void *arg)
{
    nu_listener_abort_all(worker, NU_CAUSE_DRAIN);
}

static void a_drain_tells_and_then_cuts(void **state)
{
    serve("listeners:\n  - {name: a, " BIND0 ", filters: back}\n"
          "  - {name: b, " BIND0 ", chains: {match: {transport: plain}, filters: back}}\n");
    int fd = connect_to("a", 0), sniffing = connect_to("b", 0);
    assert_serves(fd);
    step();
    struct served old = now, nothing = {.gen = {.number = 100}};
    for (unsigned i = 0; i <= WORKERS; i++)
        nu_listeners_switch_on(nu_worker_at(i), NULL, old.listeners);
    assert_int_equal(drains, 1);
    assert_serves(fd);
    assert_int_equal(connections(), 2);
    for (unsigned i = 0; i <= WORKERS; i++)
        nu_worker_post(nu_worker_at(i), cut, NULL);
    assert_string_equal(hear(fd), "");
    assert_string_equal(hear(sniffing), "");
    assert_int_equal(connections(), 0);
    now = nothing;
    retire(&old);
    close(fd);
    close(sniffing);
}

#define STORY(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(all_workers_share_a_port),
        STORY(a_chain_that_speaks_first_is_heard),
        STORY(addresses_of_sockets_choose),
        STORY(sniffs_where_a_match_needs_it),
        STORY(a_proxy_header_is_read_before_sniffing),
        STORY(what_no_chain_takes_is_closed),
        STORY(the_limit_is_exact),
        STORY(a_reload_keeps_sockets_and_connections),
        STORY(a_socket_may_change_its_listener),
        STORY(a_removed_listener_serves_its_queue),
        STORY(a_connection_may_sniff_across_reloads),
        STORY(a_drain_tells_and_then_cuts),
    };
    return cmocka_run_group_tests(tests, start_workers, stop_workers);
}
