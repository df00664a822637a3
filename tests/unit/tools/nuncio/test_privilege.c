/* Users and groups as configs name them; and, where the tests run as root, becoming one of them in
 * a child. */
#include "tools/nuncio/root.h"

#include "core/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct loaded {
    struct nu_conf *conf;
    struct nu_arena *arena;
    struct nu_root root;
    enum nu_err err;
};

static struct loaded load(const char *text)
{
    struct loaded l = {.arena = nu_arena_new(256)};
    l.conf = nu_conf_from_text("t.yaml", "/etc", text, strlen(text));
    l.err = nu_schema_parse(&nu_root_schema, l.conf, l.arena, nu_conf_root(l.conf), &l.root);
    return l;
}

static void drop(struct loaded *l)
{
    nu_conf_free(l->conf);
    nu_arena_free(l->arena);
}

/* root is user 0 and group 0 everywhere. */
static void finds_users_and_groups(void **state)
{
    static const struct {
        const char *text, *user, *name;
        unsigned uid, gid;
    } rows[] = {
        {"workers: 1",                          NULL,         NULL,   0,          0         },
        {"user: root",                          "root",       "root", 0,          0         },
        {"user: 0",                             "0",          "root", 0,          0         },
        {"user: root\ngroup: 7",                "root",       "root", 0,          7         },
        {"user: 4000000000\ngroup: root",       "4000000000", NULL,   4000000000, 0         },
        {"user: 4294967294\ngroup: 4294967294", "4294967294", NULL,   4294967294, 4294967294},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct loaded l = load(rows[i].text);
        const struct nu_identity *id = &l.root.identity;
        assert_int_equal(l.err, NU_OK);
        assert_true(rows[i].user ? strcmp(id->user, rows[i].user) == 0 : !id->user);
        assert_true(rows[i].name ? strcmp(id->name, rows[i].name) == 0 : !id->name);
        assert_int_equal(id->uid, rows[i].uid);
        assert_int_equal(id->gid, rows[i].gid);
        drop(&l);
    }
}

static void tells_what_cannot_be(void **state)
{
    static const char *const rows[][2] = {
        {"user: no-such-user-here",          "no user \"no-such-user-here\""},
        {"user: root\ngroup: no-such-group", "no group \"no-such-group\""   },
        {"group: root",                      "a group without `user`"       },
        {"user: 4000000000",                 "say `group`, too"             },
        {"user: 4294967295\ngroup: 0",       "no user \"4294967295\""       },
        {"user: 0x0",                        "no user \"0x0\""              },
        {"user: -1",                         "no user \"-1\""               },
        {"user: \"\"",                       "empty"                        },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct loaded l = load(rows[i][0]);
        assert_int_equal(l.err, NU_ERR_CONFIG);
        if (!strstr(nu_conf_report(l.conf), rows[i][1]))
            fail_msg("%s: %s", rows[i][0], nu_conf_report(l.conf));
        drop(&l);
    }
}

/* --- becoming somebody --- */

static uint64_t effective(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    nu_assert(syscall(SYS_capget, &head, data) == 0);
    nu_assert(data[0].effective == data[0].permitted && data[1].permitted == 0);
    return data[0].effective;
}

static bool only_of(uint64_t caps)
{
    return (effective() & ~caps) == 0;
}

#define BIT(cap) ((uint64_t)1 << (cap))

/* Of this thread alone: glibc asks all threads, and aborts when a sanitizer's own, which has kept
 * its capabilities, may what this one may not. */
static bool may_set_groups(void)
{
    return syscall(SYS_setgroups, 0, NULL) == 0;
}

static void become_a_stranger(void)
{
    struct loaded l = load("user: 4000000000\ngroup: 4000000001\n");
    gid_t groups[1];
    nu_assert(nu_privilege_become(&l.root.identity, false, l.conf, nu_conf_root(l.conf)) == NU_OK);
    nu_assert(getuid() == 4000000000 && geteuid() == 4000000000 && getgid() == 4000000001);
    nu_assert(getgroups(0, groups) == 0);
    nu_assert(only_of(BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW)));
    nu_privilege_settle(false);
    nu_assert(only_of(BIT(CAP_NET_BIND_SERVICE)));
    nu_assert(setresuid(0, 0, 0) != 0 && !may_set_groups());
    nu_assert(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    nu_assert(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    nu_assert(access("/root", R_OK) != 0);
    drop(&l);
}

static void stay_root(void)
{
    struct loaded l = load("user: root\n");
    nu_assert(nu_privilege_become(&l.root.identity, true, l.conf, nu_conf_root(l.conf)) == NU_OK);
    nu_privilege_settle(true);
    nu_assert(only_of(BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) |
                      BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH)));
    nu_assert(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 && !may_set_groups());
    drop(&l);
}

/* A config for root's start, run by somebody else. */
static void become_nobody_special(void)
{
    struct loaded l = load("user: root\n");
    nu_assert(geteuid() != 0 || setresuid(4000000000, 4000000000, 4000000000) == 0);
    nu_assert(nu_privilege_become(&l.root.identity, false, l.conf, nu_conf_root(l.conf)) ==
              NU_ERR_CONFIG);
    nu_assert(strstr(nu_conf_report(l.conf), "user: cannot become root: "));
    nu_assert(strstr(nu_conf_report(l.conf), "started as root"));
    drop(&l);
}

static void in_child(void (*story)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        story();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void root_becomes_a_user(void **state)
{
    if (geteuid())
        skip();
    in_child(become_a_stranger);
}

static void root_may_stay_with_little(void **state)
{
    if (geteuid())
        skip();
    in_child(stay_root);
}

static void others_cannot(void **state)
{
    in_child(become_nobody_special);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_users_and_groups), cmocka_unit_test(tells_what_cannot_be),
        cmocka_unit_test(root_becomes_a_user),    cmocka_unit_test(root_may_stay_with_little),
        cmocka_unit_test(others_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
