/* What the chain's unit tests share: a loop, a row of probes named a, b, c ... with one diary, and
 * a word for "this aborts". */
#ifndef NU_TESTS_CHAIN_KIT_H
#define NU_TESTS_CHAIN_KIT_H

#include "core/chain_priv.h"
#include "tests/filters/endpoint.h"
#include "tests/filters/filters.h"
#include "tests/filters/probe.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIT_PROBES 8

struct kit {
    struct nu_loop loop;
    struct nu_diary diary;
    struct nu_probe a[KIT_PROBES];
    struct nu_chain *chain; /* NULL once closed */
    unsigned closed;        /* times the owner was told */
    struct nu_result result;
    char details[64], blamed[32];
};

/* Of the test that runs: callbacks have no other way to it. */
static struct kit *kit;

static inline int kit_setup(void **state)
{
    static const char *const names[KIT_PROBES] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    kit = calloc(1, sizeof *kit);
    nu_loop_init(&kit->loop, 0);
    for (int i = 0; i < KIT_PROBES; i++)
        kit->a[i] = (struct nu_probe){.name = names[i], .diary = &kit->diary};
    *state = kit;
    return 0;
}

/* Whatever the test left is ended; the loop's own asserts say that nothing is lent or linked. */
static inline int kit_teardown(void **state)
{
    nu_list_each (node, &kit->loop.chains)
        nu_chain_abort(nu_container(node, struct nu_chain, link), NU_CAUSE_DRAIN);
    nu_loop_settle(&kit->loop);
    assert_int_equal(kit->loop.depth, 0);
    assert_int_equal(kit->loop.chain_count, 0);
    nu_loop_fini(&kit->loop);
    free(kit);
    return 0;
}

#define KIT_TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

static inline void kit_closed(struct nu_chain *chain, void *ctx)
{
    struct kit *k = ctx;
    k->closed++;
    k->result = nu_chain_result(chain);
    strncpy(k->details, nu_chain_details(chain), sizeof k->details - 1);
    strncpy(k->blamed, nu_chain_blamed(chain), sizeof k->blamed - 1);
    k->chain = NULL;
    nu_diary_add(&k->diary, "closed");
}

static inline struct nu_chain *kit_places(const struct nu_place *places, unsigned count)
{
    static const struct nu_chain_owner owner = {.closed = kit_closed};
    return kit->chain = nu_chain_new(&kit->loop, places, count, NULL, &owner, kit);
}

/* A chain of probes first..first+count-1 between an end on the left and one on the right. */
static inline struct nu_chain *kit_chain(unsigned count)
{
    struct nu_place places[KIT_PROBES];
    for (unsigned i = 0; i < count; i++)
        places[i] = (struct nu_place){i == 0           ? &nu_probe_left
                                      : i == count - 1 ? &nu_probe_right
                                                       : &nu_probe,
                                      &kit->a[i]};
    struct nu_chain *chain = kit_places(places, count);
    nu_diary_read(&kit->diary);
    return chain;
}

/* Two chains, a | b and c | d, with a joint between b and c; the first has the owner. */
static inline void kit_pair(void)
{
    const struct nu_place left[] = {
        {&nu_probe_left,  &kit->a[0]},
        {&nu_probe_joint, &kit->a[1]}
    };
    const struct nu_place right[] = {
        {&nu_probe_joint, &kit->a[2]},
        {&nu_probe_right, &kit->a[3]}
    };
    nu_chain_new(&kit->loop, right, 2, NULL, NULL, NULL);
    kit_places(left, 2);
    nu_join(kit->a[1].self, kit->a[2].self);
    nu_diary_read(&kit->diary);
}

#define assert_diary(text) assert_string_equal(nu_diary_read(&kit->diary), text)

/* Whether fn ends in an abort. In a child, whose last words are not heard. */
static inline bool dies(void (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        fn();
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static inline void kit_fail_limit(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_LIMIT, NU_SIDE_LOCAL, "%s", "");
}

static inline enum nu_open kit_hold_in_open(struct nu_filter *f)
{
    nu_hold(f, NU_FWD);
    return NU_OPEN;
}

static inline void kit_refused(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_REFUSED, NU_SIDE_UPSTREAM, "%s", "");
}

static inline void kit_part_here(struct nu_filter *f)
{
    nu_part(nu_probe_joint_of(f), nu_result_of(NU_CAUSE_LIMIT));
    assert_null(nu_probe_joint_of(f)->peer);
    nu_diary_add(&kit->diary, "parted");
}

static inline void kit_drop_rev(struct nu_filter *f)
{
    nu_drop(f, NU_REV);
}

#endif
