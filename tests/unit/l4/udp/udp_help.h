/* For tests of listeners of datagrams in service: filters for their chains, and clients. */
#ifndef TESTS_L4_UDP_HELP_H
#define TESTS_L4_UDP_HELP_H

#include "l4/filters/filters.h"
#include "l4/udp/session.h"
#include "l4/udp/udp.h"
#include "tests/filters/filters.h"
#include "tests/unit/l4/listener_help.h"

/* --- filters --- */

static inline void dback_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    back_event(f, dir, ev);
}
static const struct nu_filter_type dback = {
    TRIAL("dback", NU_FACE_DGRAM, NU_FACE_NONE),
    .sees = {NU_SEES(NU_DGRAM) | NU_SEES(NU_END), 0},
    .event = dback_event,
    .signal = back_signal,
};

/* Lets one datagram through, then holds, for ever. */
static inline void stuck_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_hold(f, dir);
    nu_forward(f, dir, ev);
}
static const struct nu_filter_type stuck = {
    TRIAL("stuck", NU_SAME, NU_SAME), .sees = {NU_SEES(NU_DGRAM), 0},
         .event = stuck_event
};

static inline enum nu_open deny_open(struct nu_filter *f, const void *conf)
{
    nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "not today");
    return NU_REFUSE;
}
static const struct nu_filter_type deny = {TRIAL("deny", NU_SAME, NU_SAME), .open = deny_open};

/* Answers with its name whatever comes. */
static inline void name_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    const char *name = f->type->name;
    if (ev->kind == NU_END) {
        nu_forward_end(f, NU_REV, ev->u.end);
        nu_done(f, dir);
        return;
    }
    struct nu_ev answer = {.kind = NU_DGRAM};
    answer.u.data = nu_slice_copy(nu_filter_loop(f)->blocks, name, strlen(name));
    nu_ev_free(ev);
    nu_forward(f, NU_REV, &answer);
}
#define NAMED(name_)                                                                               \
    TRIAL(name_, NU_FACE_DGRAM, NU_FACE_NONE), .sees = {NU_SEES(NU_DGRAM) | NU_SEES(NU_END), 0},   \
                                               .event = name_event
static const struct nu_filter_type one = {NAMED("one")}, two = {NAMED("two")};

/* Answers each datagram with more than a point's queue has places. */
static inline void shout_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_END) {
        name_event(f, dir, ev);
        return;
    }
    nu_ev_free(ev);
    for (int i = 0; i < NU_UDP_OUT_MOST + 100; i++) {
        struct nu_ev answer = {.kind = NU_DGRAM};
        answer.u.data = nu_slice_copy(nu_filter_loop(f)->blocks, "!", 1);
        nu_forward(f, NU_REV, &answer);
    }
}
static const struct nu_filter_type shout = {
    TRIAL("shout", NU_FACE_DGRAM, NU_FACE_NONE),
    .sees = {NU_SEES(NU_DGRAM) | NU_SEES(NU_END), 0},
    .event = shout_event,
};

/* As in the chain's own tests, but a config may name it. */
static struct nu_filter_type critic;

static inline int start_udp(void **state)
{
    static const struct nu_filter_type *const types[] = {
        &dback, &stuck, &deny, &one, &two, &shout, &critic, &nu_filter_throttle};
    critic = nu_pedant;
    critic.name = "critic";
    critic.flags = NU_F_TEST;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        nu_registry_add(types[i]);
    nu_udp_register();
    return start_workers(state);
}

static inline int stop_udp(void **state)
{
    for (unsigned i = 0; i <= WORKERS; i++)
        nu_udp_batch_free(i);
    return stop_workers(state);
}

/* --- clients --- */

/* A client's socket of 127.0.0.1 or ::1 that knows no other peer. */
static inline int client_to(const struct nu_addr *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(addr, &ss);
    int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    return fd;
}

static inline int client_of(const char *name)
{
    struct nu_addr addr = bound(name, 0);
    return client_to(&addr);
}

/* Whether something has come, now that the workers have had their turns. */
static inline bool has_answer(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    step();
    return poll(&p, 1, 0) == 1;
}

static inline void assert_silence(int fd)
{
    say(fd, "anybody?");
    assert_false(has_answer(fd));
}

static inline int64_t udp_figure(const char *name, enum nu_udp_listener_stat stat)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "listener.%s.udp", name);
    struct nu_stats *stats = nu_stats_get(&nu_udp_listener_stats, prefix);
    int64_t value = nu_stat_read(stats, stat);
    nu_stats_put(stats);
    return value;
}

/* By whomever. */
static inline int64_t dropped(const char *name)
{
    return udp_figure(name, NU_UDP_RX_DROPPED) + udp_figure(name, NU_UDP_RX_DISCARDED);
}

/* Timers that fall due within that time do so, for all workers; then it is now again, as the next
 * wake-up will say. */
static inline void later(int64_t ms)
{
    for (unsigned i = 0; i <= WORKERS; i++) {
        struct nu_loop *loop = &nu_worker_at(i)->loop;
        nu_loop_advance(loop, ms);
        loop->now_ms -= ms;
        loop->timers.ran_ms = loop->now_ms;
    }
}

#endif
