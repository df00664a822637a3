/* Bind addresses: what kinds there are, UNIX socket files, errors that change nothing, listeners of
 * the program's own, and the log of it all. */
#include "tests/unit/l4/listener_help.h"

#include <sys/stat.h>

#define A0 "{name: a, bind: 127.0.0.1:0, filters: back}"

static const char *path_of(const char *name)
{
    static char path[FOLDER_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(path_of(name), &st) == 0;
}

/* A UNIX socket of somebody else. */
static int occupy(const char *name, bool answers)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%.100s", path_of(name));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    if (answers)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* A reload that has to fail, with these words; all is as before. */
static void refuse(const char *text, const char *words)
{
    struct served next = build(text);
    assert_int_equal(nu_listeners_bind(next.listeners, now.listeners, next.conf), NU_ERR_CONFIG);
    if (!strstr(nu_conf_report(next.conf), words))
        fail_msg("no \"%s\" in:\n%s", words, nu_conf_report(next.conf));
    discard(&next);
}

static void all_kinds_of_addresses(void **state)
{
    serve("listeners: {name: a, filters: back, bind: [127.0.0.1:0, \"[::1]:0\", unix:u.sock, "
          "\"unix:@nuncio-test\"]}");
    for (unsigned i = 0; i < 3; i++)
        for (int n = 0; n < 5; n++) {
            int fd = connect_to("a", i);
            assert_serves(fd);
            leave(fd);
        }
    assert_true(exists("u.sock"));
    assert_int_equal(bound("a", 3).kind, NU_ADDR_UNIX);
    serve_nothing();
    assert_false(exists("u.sock"));
}

static void a_unix_socket_has_the_mode_it_was_given(void **state)
{
    struct stat st;
    serve("listeners: {name: a, filters: back, bind: unix:u.sock, mode: \"0640\"}");
    assert_int_equal(lstat(path_of("u.sock"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    serve("listeners: {name: a, filters: back, bind: unix:u.sock, mode: \"0600\"}");
    assert_int_equal(lstat(path_of("u.sock"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    serve_nothing();
}

static void all_workers_accept_from_a_unix_socket(void **state)
{
    int fd[CLIENT_MAX];
    serve("listeners: {name: a, filters: back, bind: unix:u.sock}");
    for (int i = 0; i < CLIENT_MAX; i++) {
        fd[i] = connect_to("a", 0);
        event_base_loop(nu_worker_at((unsigned)i % WORKERS)->base, EVLOOP_NONBLOCK);
    }
    for (int i = 0; i < CLIENT_MAX; i++)
        assert_serves(fd[i]);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_true(nu_listener_connections(nu_worker_at(i)) > 0);
    for (int i = 0; i < CLIENT_MAX; i++)
        leave(fd[i]);
    serve_nothing();
}

static void a_dead_socket_file_is_replaced(void **state)
{
    close(occupy("u.sock", false));
    serve("listeners: {name: a, filters: back, bind: unix:u.sock}");
    int fd = connect_to("a", 0);
    assert_serves(fd);
    leave(fd);
    /* What somebody else has put there meanwhile stays. */
    unlink(path_of("u.sock"));
    int other = occupy("u.sock", true);
    serve_nothing();
    assert_true(exists("u.sock"));
    unlink(path_of("u.sock"));
    close(other);
}

static void a_live_socket_file_is_not_touched(void **state)
{
    int other = occupy("u.sock", true);
    refuse("listeners: {name: a, filters: back, bind: unix:u.sock}", "u.sock: address already in "
                                                                     "use");
    assert_true(exists("u.sock"));
    unlink(path_of("u.sock"));
    close(other);
    assert_int_equal(mkdir(path_of("dir"), 0700), 0);
    refuse("listeners: {name: a, filters: back, bind: unix:dir}", "is no socket");
    refuse("listeners: {name: a, filters: back, bind: unix:none/u.sock}",
           "no such file or directory");
}

/* Listens on a port, with or without the will to share it. */
static int busy_port(bool shares, struct nu_addr *addr)
{
    struct sockaddr_storage ss;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    nu_addr_parse(addr, "127.0.0.1:0", -1);
    socklen_t len = nu_addr_to_sockaddr(addr, &ss);
    if (shares)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&ss, &len);
    nu_addr_from_sockaddr(addr, &ss, len);
    return fd;
}

static void a_busy_port_changes_nothing(void **state)
{
    serve("listeners: " A0);
    int fd = connect_to("a", 0);
    assert_serves(fd);
    for (int shares = 0; shares < 2; shares++) {
        struct nu_addr addr;
        char text[256], words[256], at[NU_ADDR_TEXT_MAX];
        int other = busy_port(shares, &addr);
        nu_addr_str(&addr, at);
        snprintf(text, sizeof text,
                 "listeners:\n  - " A0 "\n  - {bind: [127.0.0.1:0, \"%s\"], "
                 "filters: back}\n",
                 at);
        snprintf(words, sizeof words,
                 "t.yaml:3:26: listeners[1].bind[1]: %s: address already in use", at);
        refuse(text, words);
        close(other);
    }
    assert_serves(fd);
    leave(fd);
    fd = connect_to("a", 0);
    assert_serves(fd);
    leave(fd);
    serve_nothing();
}

/* Our own listener on all addresses is no stranger to one on a single address. */
static void two_addresses_may_share_a_port(void **state)
{
    char text[256];
    serve("listeners: {name: a, bind: 0.0.0.0:0, filters: back}");
    unsigned port = bound("a", 0).port;
    serve_nothing();
    snprintf(text, sizeof text, "listeners: {name: a, bind: 0.0.0.0:%u, filters: back}", port);
    serve(text);
    snprintf(text, sizeof text,
             "listeners:\n  - {name: a, bind: 0.0.0.0:%u, filters: back}\n"
             "  - {name: b, bind: 127.0.0.1:%u, filters: greeter}\n",
             port, port);
    serve(text);
    int fd = connect_to("b", 0);
    assert_string_equal(hear(fd), "hello");
    leave(fd);
    serve_nothing();
}

static void files_are_opened_before_anything_listens(void **state)
{
    refuse("listeners: {name: a, bind: 127.0.0.1:0, filters: back, access_log: /dev}",
           "cannot open ");
    refuse("listeners: {name: a, bind: 127.0.0.1:0, chains: {filters: back, access_log: "
           "/dev}}",
           "cannot open ");
}

/* --- the log --- */

static const char *log_text(void)
{
    static char text[4096];
    for (unsigned i = 0; i <= WORKERS; i++)
        nu_access_log_flush(&nu_worker_at(i)->loop);
    FILE *f = fopen(path_of("a.log"), "r");
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

static void each_connection_is_logged(void **state)
{
    serve("listeners:\n"
          "  - name: a\n"
          "    bind: unix:u.sock\n"
          "    max_connections: 1\n"
          "    access_log: {path: a.log, format: \"%FILTER_CHAIN_NAME% %BYTES_RECEIVED% "
          "%BYTES_SENT% %CLOSE_CAUSE% %CLOSE_LAYER%\"}\n"
          "    chains:\n"
          "      - {name: one, match: {transport: plain}, filters: back}\n"
          "      - {name: two, match: {sni: a}, filters: back, access_log: []}\n");
    int fd = connect_to("a", 0);
    step();
    int more = connect_to("a", 0);
    assert_string_equal(hear(more), "");
    say(fd, "ping");
    assert_string_equal(hear(fd), "ping");
    leave(fd);
    fd = connect_to("a", 0);
    step();
    leave(fd);
    assert_string_equal(log_text(), "- 0 0 connection_limit listener\n"
                                    "one 4 4 client_closed sock\n"
                                    "- 0 0 client_closed sniff\n");
    close(more);
    serve_nothing();
}

/* --- of the program's own --- */

static struct nu_internal_listener *own(const char *address, const struct nu_filter_type *type)
{
    struct nu_addr addr;
    enum nu_err err;
    nu_addr_parse(&addr, address, -1);
    return nu_listener_internal(nu_worker_main(), "own", &addr, &(struct nu_place){type, NULL}, 1,
                                2, &err);
}

static void an_internal_listener_is_apart(void **state)
{
    char address[FOLDER_MAX + 48];
    snprintf(address, sizeof address, "unix:%s", path_of("own.sock"));
    struct nu_internal_listener *l = own(address, &greeter);
    assert_non_null(l);
    struct nu_addr addr;
    nu_addr_parse(&addr, address, -1);
    int fd = try_connect(&addr);
    assert_string_equal(hear(fd), "hello");
    assert_int_equal(connections(), 0); /* a drain does not wait for it */
    assert_int_equal(figure("own", NU_LISTENER_CX_ACTIVE), 1);
    assert_null(own(address, &greeter));
    assert_int_equal(errno, EADDRINUSE);
    nu_listener_internal_close(l);
    assert_string_equal(hear(fd), "");
    assert_false(exists("own.sock"));
    close(fd);
    l = own(address, &greeter);
    assert_non_null(l);
    nu_listener_internal_close(l); /* nobody came */
    step();
}

static void close_in_a_turn(struct nu_worker *worker, void *arg)
{
    nu_listener_internal_close(arg);
}

static void an_internal_listener_has_a_limit_and_can_be_left(void **state)
{
    char address[FOLDER_MAX + 48];
    snprintf(address, sizeof address, "unix:%s", path_of("own.sock"));
    struct nu_internal_listener *l = own(address, &greeter);
    struct nu_addr addr;
    int fd[3];
    nu_addr_parse(&addr, address, -1);
    int64_t refused = figure("own", NU_LISTENER_CX_OVERFLOW);
    for (int i = 0; i < 3; i++)
        fd[i] = try_connect(&addr);
    assert_string_equal(hear(fd[0]), "hello");
    assert_string_equal(hear(fd[1]), "hello");
    assert_string_equal(hear(fd[2]), "");
    assert_int_equal(figure("own", NU_LISTENER_CX_OVERFLOW), refused + 1);
    nu_listener_internal_drain(l);
    step();
    assert_false(exists("own.sock"));
    assert_int_equal(figure("own", NU_LISTENER_CX_ACTIVE), 2); /* they may go on */
    struct nu_internal_listener *next = own(address, &greeter);
    assert_non_null(next);
    nu_worker_post(nu_worker_main(), close_in_a_turn, l);
    assert_string_equal(hear(fd[0]), "");
    assert_true(exists("own.sock")); /* that of the next one */
    nu_listener_internal_close(next);
    step();
    for (int i = 0; i < 3; i++)
        close(fd[i]);
}

#define STORY(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(all_kinds_of_addresses),
        STORY(a_unix_socket_has_the_mode_it_was_given),
        STORY(all_workers_accept_from_a_unix_socket),
        STORY(a_dead_socket_file_is_replaced),
        STORY(a_live_socket_file_is_not_touched),
        STORY(a_busy_port_changes_nothing),
        STORY(two_addresses_may_share_a_port),
        STORY(files_are_opened_before_anything_listens),
        STORY(each_connection_is_logged),
        STORY(an_internal_listener_is_apart),
        STORY(an_internal_listener_has_a_limit_and_can_be_left),
    };
    return cmocka_run_group_tests(tests, start_workers, stop_workers);
}
