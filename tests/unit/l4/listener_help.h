/* For tests of listeners in service: two workers without threads, stepped by hand, generations from
 * texts, and clients on real sockets. On loopback what one side has sent is there for the other. */
#ifndef TESTS_L4_LISTENER_HELP_H
#define TESTS_L4_LISTENER_HELP_H

#include "core/logfile.h"
#include "core/worker.h"
#include "l4/listener_priv.h"
#include "tests/unit/folder.h"
#include "tests/unit/l4/conf_types.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define WORKERS    2
#define WAIT_MS    5000 /* for what is on its way already */
#define CLIENT_MAX 64

static char folder[FOLDER_MAX];
static unsigned drains;       /* signals that `back` got */
static unsigned configs_gone; /* of `witness` filters */

/* --- filters --- */

/* Sends back what comes; greets when asked to. */
static inline void back_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    bool end = ev->kind == NU_END;
    nu_forward(f, NU_REV, ev);
    if (end)
        nu_done(f, dir);
}

static inline void back_signal(struct nu_filter *f, enum nu_signal signal)
{
    drains += signal == NU_DRAIN;
}

static inline void greet(struct nu_filter *f)
{
    nu_forward_data(f, NU_REV, nu_slice_copy(nu_filter_loop(f)->blocks, "hello", 5));
}

#define BACK(name_)                                                                                \
    TRIAL(name_, NU_FACE_BYTES, NU_FACE_NONE), .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), 0},    \
                                               .event = back_event, .signal = back_signal
static const struct nu_filter_type back = {BACK("back")};
static const struct nu_filter_type greeter = {BACK("greeter"), .start = greet};

/* Counts when its config goes. */
static inline void config_gone(void *ctx)
{
    configs_gone++;
}

static inline enum nu_err witness_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                          struct nu_arena *arena, const struct nu_node *node,
                                          void *parsed)
{
    nu_arena_on_free(arena, config_gone, NULL);
    return NU_OK;
}

/* A config that goes does so by a post to main, which another thread may run at once. */
static inline void witness_close(struct nu_filter *f)
{
    assert_null(nu_worker_main()->posts);
}
static const struct nu_filter_type witness = {TRIAL("witness", NU_SAME, NU_SAME),
                                              .prepare = witness_prepare, .close = witness_close};

/* --- generations --- */

struct served {
    struct nu_generation gen;
    struct nu_conf *conf;
    struct nu_listeners *listeners;
};

static struct served now; /* what serves; listeners NULL = nothing */

static inline void step(void)
{
    for (int round = 0; round < 4; round++)
        for (unsigned i = 0; i <= WORKERS; i++)
            event_base_loop(nu_worker_at(i)->base, EVLOOP_NONBLOCK);
}

static inline struct served build(const char *text)
{
    struct served s = {
        .gen = {.number = now.gen.number + 1, .drain_timeout_ms = 30000}
    };
    s.gen.arena = nu_arena_new(1024);
    s.conf = nu_conf_from_text("t.yaml", folder, text, strlen(text));
    nu_listeners_build(&s.gen, s.conf, s.gen.arena, nu_node_get(nu_conf_root(s.conf), "listeners"),
                       &s.listeners);
    if (nu_conf_failed(s.conf))
        fail_msg("%s", nu_conf_report(s.conf));
    return s;
}

static inline void discard(struct served *s)
{
    nu_listeners_discard(s->listeners);
    nu_conf_free(s->conf);
    nu_arena_free(s->gen.arena);
}

/* The config that served goes, but for what connections pin. */
static inline void retire(struct served *gone)
{
    if (!gone->listeners)
        return;
    for (unsigned i = 0; i <= WORKERS; i++)
        nu_listeners_retire_on(gone->listeners, i);
    step();
    nu_listeners_free(gone->listeners);
    nu_arena_free(gone->gen.arena);
}

static inline void switch_to(struct served *next)
{
    struct served old = now;
    for (unsigned i = 0; i <= WORKERS; i++)
        nu_listeners_switch_on(nu_worker_at(i), next->listeners, old.listeners);
    now = *next;
    retire(&old);
}

/* A reload that has to succeed. */
static inline void serve(const char *text)
{
    struct served next = build(text);
    if (nu_listeners_bind(next.listeners, now.listeners, next.conf) != NU_OK)
        fail_msg("%s", nu_conf_report(next.conf));
    nu_conf_free(next.conf);
    switch_to(&next);
}

/* Everything is taken down: nothing may be left over. */
static inline void serve_nothing(void)
{
    struct served nothing = {.gen = {.number = now.gen.number}};
    switch_to(&nothing);
    step();
}

struct found_bind {
    const char *name;
    unsigned skip;
    struct nu_addr addr;
};

static inline void look_bind(const char *name, const struct nu_addr *bound, bool udp, void *ctx)
{
    struct found_bind *found = ctx;
    if (found->addr.kind == NU_ADDR_NONE && strcmp(name, found->name) == 0 && found->skip-- == 0)
        found->addr = *bound;
}

/* The i-th address of a listener that serves. */
static inline struct nu_addr bound(const char *name, unsigned i)
{
    struct found_bind found = {.name = name, .skip = i};
    nu_listeners_each(now.listeners, look_bind, &found);
    assert_int_not_equal(found.addr.kind, NU_ADDR_NONE);
    return found.addr;
}

static inline unsigned connections(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i <= WORKERS; i++)
        sum += nu_listener_connections(nu_worker_at(i));
    return sum;
}

static inline int64_t figure(const char *name, enum nu_listener_stat stat)
{
    struct nu_tally *tally = nu_tally_get(name);
    int64_t value = nu_stat_read(tally->stats, stat);
    nu_tally_put(tally);
    return value;
}

/* --- clients --- */

/* -1 with errno if nobody listens. */
static inline int try_connect(const struct nu_addr *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(addr, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&ss, len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static inline int connect_to(const char *name, unsigned i)
{
    struct nu_addr addr = bound(name, i);
    int fd = try_connect(&addr);
    assert_true(fd >= 0);
    return fd;
}

/* What comes within a while, as text: bytes, "" at the end, "reset". Valid until the next call. */
static inline const char *hear(int fd)
{
    static char text[1024];
    struct pollfd p = {fd, POLLIN, 0};
    for (int waited = 0; poll(&p, 1, 1) == 0; waited++) {
        assert_true(waited < WAIT_MS);
        step();
    }
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    if (n < 0)
        return errno == ECONNRESET ? "reset" : strerror(errno);
    text[n] = 0;
    return text;
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    step();
}

static inline void assert_serves(int fd)
{
    say(fd, "ping");
    assert_string_equal(hear(fd), "ping");
}

/* Closes, and waits until the worker has noticed. */
static inline void leave(int fd)
{
    unsigned before = connections();
    close(fd);
    for (int waited = 0; connections() == before; waited++) {
        assert_true(waited < WAIT_MS);
        step();
        poll(NULL, 0, 1);
    }
}

static inline int start_workers(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    register_trials();
    nu_registry_add(&back);
    nu_registry_add(&greeter);
    nu_registry_add(&witness);
    nu_log_ops_l4();
    nu_workers_init(WORKERS);
    nu_logfiles_init(WORKERS + 1);
    return folder_make(folder) ? 0 : -1;
}

static inline int stop_workers(void **state)
{
    nu_workers_free();
    folder_remove(folder);
    return 0;
}

static inline int fresh(void **state)
{
    drains = configs_gone = 0;
    return 0;
}

#endif
