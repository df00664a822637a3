/* Socket options: what may be written, what reaches the kernel, what connections inherit, and what
 * goes away again. Needs no rights; those that do are tested between machines. */
#include "l4/sockopt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct conf {
    struct nu_listen_options listen;
    struct nu_connect_options connect;
};

static const struct nu_field listen_fields[] = {NU_LISTEN_OPTION_FIELDS(struct conf, listen), {0}};
static const struct nu_field connect_fields[] = {NU_CONNECT_OPTION_FIELDS(struct conf, connect),
                                                 {0}};
static const struct nu_schema listens = {
    .name = "l", .doc = "", .size = sizeof(struct conf), .fields = listen_fields};
static const struct nu_schema connects = {
    .name = "c", .doc = "", .size = sizeof(struct conf), .fields = connect_fields};

/* The struct of a text; the report, "" where it is right, in `why`. */
static struct conf parse(const struct nu_schema *schema, const char *text, char why[2048])
{
    struct conf out;
    memset(&out, 0, sizeof out);
    struct nu_arena *arena = nu_arena_new(512);
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/", text, strlen(text));
    assert_non_null(nu_conf_root(conf));
    nu_schema_parse(schema, conf, arena, nu_conf_root(conf), &out);
    snprintf(why, 2048, "%s", nu_conf_report(conf));
    nu_conf_free(conf);
    nu_arena_free(arena);
    return out;
}

static struct conf good(const struct nu_schema *schema, const char *text)
{
    char why[2048];
    struct conf out = parse(schema, text, why);
    assert_string_equal(why, "");
    return out;
}

static struct nu_addr addr(const char *text)
{
    struct nu_addr a;
    assert_int_equal(nu_addr_parse(&a, text, 0), NU_OK);
    return a;
}

static int get(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void reads_what_users_write(void **state)
{
    struct nu_sockopt o =
        good(&listens,
             "{freebind: true, interface: lo, socket: {dscp: af41, mark: 0x10, ttl: 9, "
             "keepalive: {time: 1500ms, interval: 2s, probes: 3}, user_timeout: 4s, fast_open: 5}}")
            .listen.opt;
    assert_true(o.freebind && !o.transparent && o.keepalive);
    assert_string_equal(o.interface, "lo");
    assert_int_equal(o.dscp, 34);
    assert_int_equal(o.mark, 16);
    assert_int_equal(o.ttl, 9);
    assert_int_equal(o.keepalive_time_ms, 1500);
    assert_int_equal(o.user_timeout_ms, 4000);
    assert_int_equal(o.fast_open, 5);
    assert_int_equal(good(&listens, "socket: {dscp: 63}").listen.opt.dscp, 63);
    assert_int_equal(good(&connects, "socket: {fast_open: on}").connect.opt.fast_open, 1);
    assert_int_equal(good(&connects, "socket: {fast_open: off}").connect.opt.fast_open, 0);
}

static void keepalive_is_off_until_it_is_written(void **state)
{
    static const struct {
        const char *text;
        bool on;
    } rows[] = {
        {"{}",                             false},
        {"socket: {}",                     false},
        {"socket: {ttl: 1}",               false},
        {"socket: {keepalive: 0}",         false},
        {"socket: {keepalive: {time: 0}}", false},
        {"socket: {keepalive: 30s}",       true },
        {"socket: {keepalive: {}}",        true },
        {"socket: {keepalive: }",          true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (good(&listens, rows[i].text).listen.opt.keepalive != rows[i].on)
            fail_msg("%s", rows[i].text);
}

static void says_what_is_wrong(void **state)
{
    static const struct {
        const struct nu_schema *schema;
        const char *text, *why;
    } rows[] = {
        {&listens,  "socket: {dscp: 64}",                      "expected a DSCP"                 },
        {&listens,  "socket: {dscp: gold}",                    "like ef, af41"                   },
        {&listens,  "socket: {mark: 4294967296}",              "a number of 32 bits"             },
        {&listens,  "socket: {mark: 0x}",                      "a number of 32 bits"             },
        {&listens,  "socket: {mark: [1]}",                     "found a list"                    },
        {&listens,  "socket: {ttl: 256}",                      "expected 1 to 255"               },
        {&listens,  "socket: {ttl: 0}",                        "expected 1 to 255"               },
        {&listens,  "socket: {congestion: nosuch}",            "no congestion control \"nosuch\""},
        {&listens,  "socket: {congestion: a-name-of-17-char}", "the name of a congestion control"},
        {&listens,  "socket: {mptcp: maybe}",                  "true or false"                   },
        {&listens,  "socket: {user_timeout: 5}",               "expected a duration"             },
        {&listens,  "interface: a-name-of-17-char",            "the name of a network interface" },
        {&listens,  "interface: a/b",                          "the name of a network interface" },
        {&listens,  "socket: {ttll: 1}",                       "did you mean \"ttl\""            },
        {&connects, "socket: {fast_open: 5}",                  "true or false"                   },
        {&connects, "bind_source: a.test",                     "an IP address without a port"    },
        {&connects, "bind_source: 10.0.0.1:80",                "an IP address without a port"    },
        {&connects, "bind_source: [10.0.0.1, 10.0.0.2]",       "one address of a family"         },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[2048];
        parse(rows[i].schema, rows[i].text, why);
        if (!strstr(why, rows[i].why))
            fail_msg("%s says\n%snot %s", rows[i].text, why, rows[i].why);
    }
}

static void knows_what_does_not_go_together(void **state)
{
    static const struct {
        const char *text, *addr, *why;
        int type;
    } rows[] = {
        {"{}",                                                                        "unix:/x",    "",                       SOCK_STREAM},
        {"{transparent: true, freebind: on}",                                         "unix:/x",    "is for IP addresses",    SOCK_STREAM},
        {"{transparent: false, original_dst: off, freebind: no, ipv4_compat: false}", "unix:/x",    "",
         SOCK_STREAM                                                                                                                     },
        {"ipv4_compat: true",                                                         "0.0.0.0:80", "is for IPv6 addresses",  SOCK_STREAM},
        {"ipv4_compat: true",                                                         "[::]:80",    "",                       SOCK_STREAM},
        {"socket: {keepalive: 1s, ttl: 3}",                                           "0.0.0.0:53", "\"keepalive\" is TCP's", SOCK_DGRAM },
        {"socket: {ttl: 3, dscp: 1}",                                                 "0.0.0.0:53", "",                       SOCK_DGRAM },
        {"transparent: true",                                                         "0.0.0.0:53", "is for TCP",             SOCK_DGRAM },
        {"original_dst: true",                                                        "0.0.0.0:53", "is for TCP",             SOCK_DGRAM },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct conf out = {0};
        struct nu_addr a = addr(rows[i].addr);
        struct nu_arena *arena = nu_arena_new(512);
        struct nu_conf *conf = nu_conf_from_text("t", "/", rows[i].text, strlen(rows[i].text));
        const struct nu_node *root = nu_conf_root(conf);
        assert_int_equal(nu_schema_parse(&listens, conf, arena, root, &out), NU_OK);
        enum nu_err err = nu_listen_options_check(conf, root, &out.listen, &a, rows[i].type);
        assert_int_equal(err == NU_OK, !*rows[i].why);
        assert_non_null(strstr(nu_conf_report(conf), rows[i].why));
        nu_conf_free(conf);
        nu_arena_free(arena);
    }
}

/* A listening socket with these options, and a connection that it accepted. */
static int accepted(const struct nu_listen_options *options, const char *bind_to,
                    const char *connect_to, int *listening)
{
    struct sockaddr_storage ss, to;
    struct nu_addr a = addr(bind_to), target = addr(connect_to);
    socklen_t len = nu_addr_to_sockaddr(&a, &ss);
    int fd = nu_sockopt_socket(&a, SOCK_STREAM, &options->opt);
    assert_int_equal(nu_listen_options_apply(fd, &a, options), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    nu_addr_from_sockaddr(&a, &ss, len);
    target.port = a.port;
    len = nu_addr_to_sockaddr(&target, &to);
    int client = socket(to.ss_family, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&to, len), 0);
    int conn = accept(fd, NULL, NULL);
    assert_true(conn >= 0);
    close(client);
    *listening = fd;
    return conn;
}

static void connections_inherit_them(void **state)
{
    struct nu_listen_options options =
        good(&listens,
             "socket: {dscp: ef, ttl: 9, keepalive: {time: 77s, interval: 5s, probes: 3}, "
             "user_timeout: 4s, congestion: reno}")
            .listen;
    int listening, fd = accepted(&options, "127.0.0.1:0", "127.0.0.1:0", &listening);
    char name[NU_CONGESTION_MAX] = "";
    socklen_t len = sizeof name;
    assert_int_equal(get(fd, IPPROTO_IP, IP_TOS), 46 << 2);
    assert_int_equal(get(fd, IPPROTO_IP, IP_TTL), 9);
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 4000);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    assert_string_equal(name, "reno");
    close(fd);
    close(listening);
}

static void one_socket_takes_both_families(void **state)
{
    struct nu_listen_options options =
        good(&listens, "{ipv4_compat: true, socket: {dscp: ef}}").listen;
    struct nu_addr bound = addr("[::]:0"), direct, local;
    char text[NU_ADDR_TEXT_MAX];
    int listening, fd = accepted(&options, "[::]:0", "127.0.0.1:0", &listening);
    assert_int_equal(get(fd, IPPROTO_IP, IP_TOS), 46 << 2);
    nu_listen_options_local(fd, &bound, &options, &direct, &local);
    assert_string_equal(nu_addr_str_ip(&local, text), "127.0.0.1");
    assert_true(nu_addr_equal(&direct, &local));
    close(fd);
    close(listening);
}

/* From one config to the next on a socket in service: what is no longer asked for goes. */
static void options_change_under_way(void **state)
{
    struct nu_listen_options was =
        good(&listens,
             "socket: {dscp: 10, ttl: 9, keepalive: 60s, user_timeout: 4s, congestion: reno}")
            .listen;
    struct nu_listen_options now = good(&listens, "socket: {dscp: 20}").listen;
    struct nu_listen_options fixed = good(&listens, "freebind: true").listen;
    struct nu_addr a = addr("127.0.0.1:0");
    int fd = nu_sockopt_socket(&a, SOCK_STREAM, &was.opt);
    int plain = nu_sockopt_socket(&a, SOCK_STREAM, &now.opt);
    char name[NU_CONGESTION_MAX] = "", normal[NU_CONGESTION_MAX] = "";
    socklen_t len = sizeof name;
    assert_int_equal(nu_listen_options_apply(fd, &a, &was), 0);
    assert_true(nu_listen_options_change(fd, &a, &was, &now));
    assert_int_equal(get(fd, IPPROTO_IP, IP_TOS), 20 << 2);
    assert_int_equal(get(fd, IPPROTO_IP, IP_TTL), get(plain, IPPROTO_IP, IP_TTL));
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    len = sizeof normal;
    assert_int_equal(getsockopt(plain, IPPROTO_TCP, TCP_CONGESTION, normal, &len), 0);
    assert_string_equal(name, normal);
    assert_false(nu_listen_options_change(fd, &a, &now, &fixed));
    close(fd);
    close(plain);
}

static void connections_come_from_where_they_should(void **state)
{
    struct nu_connect_options options =
        good(&connects, "bind_source: [127.0.0.9, \"::1\"]").connect;
    struct nu_addr to = addr("127.0.0.1:9"), client = addr("[::1]:7"), from;
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    int fd = nu_sockopt_socket(&to, SOCK_STREAM, &options.opt);
    assert_null(nu_connect_options_apply(fd, &to, &client, &options));
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
    nu_addr_from_sockaddr(&from, &ss, len);
    assert_int_equal(from.ip[3], 9);
    assert_int_equal(from.port, 0); /* chosen when the server's end is known */
    close(fd);
    options = good(&connects, "bind_source: 192.0.2.7").connect;
    fd = nu_sockopt_socket(&to, SOCK_STREAM, &options.opt);
    assert_string_equal(nu_connect_options_apply(fd, &to, NULL, &options), "bind_source");
    assert_int_equal(errno, EADDRNOTAVAIL);
    close(fd);
}

static void rights_are_asked_for_where_they_are_needed(void **state)
{
    static const struct {
        const char *text;
        bool needs;
    } rows[] = {
        {"{}",                         false},
        {"freebind: true",             false},
        {"socket: {ttl: 3, dscp: ef}", false},
        {"socket: {congestion: reno}", false},
        {"transparent: true",          true },
        {"socket: {mark: 1}",          true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_sockopt opt = good(&listens, rows[i].text).listen.opt;
        if (nu_sockopt_needs_net_admin(&opt) != rows[i].needs)
            fail_msg("%s", rows[i].text);
    }
}

static void an_interface_that_is_not_there(void **state)
{
    char why[NU_SOCKOPT_WHY_MAX];
    struct nu_addr a = addr("0.0.0.0:0");
    struct nu_sockopt opt = good(&listens, "interface: nosuch0").listen.opt;
    assert_string_equal(nu_sockopt_why(&a, SOCK_STREAM, &opt, true, why),
                        "interface: no such device (no interface has that name)");
    assert_int_equal(errno, ENODEV);
    assert_non_null(strstr(nu_sockopt_why(&a, SOCK_DGRAM, &opt, false, why), "bind_source.interf"));
    opt = (struct nu_sockopt){.keepalive = true, .fast_open = 4};
    assert_null(nu_sockopt_why(&a, SOCK_DGRAM, &opt, true, why)); /* TCP's: not UDP's business */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_users_write),
        cmocka_unit_test(keepalive_is_off_until_it_is_written),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(knows_what_does_not_go_together),
        cmocka_unit_test(connections_inherit_them),
        cmocka_unit_test(one_socket_takes_both_families),
        cmocka_unit_test(options_change_under_way),
        cmocka_unit_test(connections_come_from_where_they_should),
        cmocka_unit_test(rights_are_asked_for_where_they_are_needed),
        cmocka_unit_test(an_interface_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
