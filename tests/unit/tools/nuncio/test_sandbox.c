/* The filters at work, each in a child that enters one and makes a call: it works, it fails and is
 * told, or it is the child's end. Calls are made by number: a libc may have other ways. */
#include "tools/nuncio/sandbox.h"

#include "core/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum outcome { WORKS, REFUSED, KILLED };

struct row {
    const char *name;
    enum outcome worker, main;
    long call, arg[4];
};

#define STR(text) ((long)(text))

static const struct row rows[] = {
    {"read",               WORKS,   WORKS,   SYS_read,             {-1}                                                    },
    {"execve",             KILLED,  KILLED,  SYS_execve,           {STR("/bin/true")}                                      },
    {"execveat",           KILLED,  KILLED,  SYS_execveat,         {AT_FDCWD, STR("/bin/true")}                            },
    {"ptrace",             KILLED,  KILLED,  SYS_ptrace,           {0}                                                     },
    {"process_vm_readv",   KILLED,  KILLED,  SYS_process_vm_readv, {1}                                                     },
    {"mount",              KILLED,  KILLED,  SYS_mount,            {0}                                                     },
    {"unshare",            KILLED,  KILLED,  SYS_unshare,          {0}                                                     },
    {"bpf",                KILLED,  KILLED,  SYS_bpf,              {0}                                                     },
    {"clone",              REFUSED, REFUSED, SYS_clone,            {SIGCHLD}                                               },
    {"setuid",             REFUSED, REFUSED, SYS_setuid,           {0}                                                     },
    {"kill",               REFUSED, REFUSED, SYS_kill,             {1, 0}                                                  },
    {"tgkill to another",  REFUSED, REFUSED, SYS_tgkill,           {1, 1, 0}                                               },
    {"open to read",       WORKS,   WORKS,   SYS_openat,           {AT_FDCWD, STR("/dev/null"), O_RDONLY}                  },
    {"open to write",      REFUSED, WORKS,   SYS_openat,           {AT_FDCWD, STR("/dev/null"), O_WRONLY}                  },
    {"open to append",     REFUSED, WORKS,   SYS_openat,           {AT_FDCWD, STR("/dev/null"), O_RDWR | O_APPEND}         },
    {"create",             REFUSED, WORKS,   SYS_openat,           {AT_FDCWD, STR("/dev/null"), O_RDONLY | O_CREAT, 0600}  },
    {"nameless file",
     REFUSED,                       WORKS,
     SYS_openat,                                                   {AT_FDCWD, STR("/dev/null"), O_RDONLY | O_TMPFILE, 0600}},
    {"unlink",             REFUSED, WORKS,   SYS_unlinkat,         {AT_FDCWD, STR("/no/such"), 0}                          },
    {"rename",             REFUSED, REFUSED, SYS_renameat2,        {AT_FDCWD, STR("/no"), AT_FDCWD, STR("/x")}             },
    {"TCP",                WORKS,   WORKS,   SYS_socket,           {AF_INET, SOCK_STREAM | SOCK_NONBLOCK}                  },
    {"UDP",                WORKS,   WORKS,   SYS_socket,           {AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC}                   },
    {"UNIX",               WORKS,   WORKS,   SYS_socket,           {AF_UNIX, SOCK_STREAM}                                  },
    {"raw",                REFUSED, REFUSED, SYS_socket,           {AF_INET, SOCK_RAW, 1}                                  },
    {"packet",             REFUSED, REFUSED, SYS_socket,           {AF_PACKET, SOCK_DGRAM}                                 },
    {"netlink",            REFUSED, REFUSED, SYS_socket,           {AF_NETLINK, SOCK_DGRAM}                                },
    {"type of a terminal", REFUSED, REFUSED, SYS_ioctl,            {0, TIOCSTI}                                            },
    {"inotify",            REFUSED, WORKS,   SYS_inotify_init1,    {0}                                                     },
    {"memory",             WORKS,   WORKS,   SYS_mmap,             {0, 4096, PROT_READ, MAP_PRIVATE}                       },
    {"code",               REFUSED, REFUSED, SYS_mmap,             {0, 4096, PROT_EXEC, MAP_PRIVATE}                       },
    {"memory as code",     REFUSED, REFUSED, SYS_mprotect,         {0, 0, PROT_READ | PROT_EXEC}                           },
    {"no such call",       REFUSED, REFUSED, 1023,                 {0}                                                     },
};

/* In the child: 0 works, 1 refused and told. */
static int make_call(enum nu_sandbox kind, const struct row *row)
{
    int told[2];
    nu_assert(pipe(told) == 0 && dup2(told[1], STDERR_FILENO) == STDERR_FILENO);
    nu_sandbox_enter(kind);
    errno = 0;
    long got = syscall(row->call, row->arg[0], row->arg[1], row->arg[2], row->arg[3], -1, 0);
    bool refused = got < 0 && errno == ENOSYS;
    struct pollfd news = {.fd = told[0], .events = POLLIN};
    bool heard = poll(&news, 1, 0) == 1;
    nu_assert(refused == heard && nu_sandbox_refused() == (unsigned)refused);
    return refused;
}

static enum outcome outcome_of(enum nu_sandbox kind, const struct row *row)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(make_call(kind, row));
    assert_int_equal(waitpid(child, &status, 0), child);
    bool by_trap =
        WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGSYS; /* no seccomp(2) here */
    if (by_trap || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS))
        return KILLED;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        fail_msg("%s in %s: status %#x", row->name, nu_sandbox_str(kind), (unsigned)status);
    return WEXITSTATUS(status) ? REFUSED : WORKS;
}

static void each_call_has_its_outcome(void **state)
{
    assert_int_equal(nu_sandbox_prepare(), NU_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        print_message("%s\n", rows[i].name);
        assert_int_equal(outcome_of(NU_SANDBOX_WORKER, &rows[i]), rows[i].worker);
        assert_int_equal(outcome_of(NU_SANDBOX_MAIN, &rows[i]), rows[i].main);
    }
}

/* --- what is told --- */

static void refuse_twice(int to)
{
    dup2(to, STDERR_FILENO);
    nu_sandbox_enter(NU_SANDBOX_WORKER);
    for (int i = 0; i < 2; i++)
        syscall(SYS_setuid, 0);
    syscall(SYS_setgid, 0);
    _exit((int)nu_sandbox_refused());
}

static void a_call_is_told_once_by_its_name(void **state)
{
    char text[1024] = "", expected[256];
    int pipes[2], status;
    assert_int_equal(nu_sandbox_prepare(), NU_OK);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0)
        refuse_twice(pipes[1]);
    close(pipes[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 2 << 8);
    assert_true(read(pipes[0], text, sizeof text - 1) > 0);
    close(pipes[0]);
    snprintf(expected, sizeof expected,
             "sandbox: refused a system call, it fails: setuid, number %d\n"
             "sandbox: refused a system call, it fails: setgid, number %d\n",
             SYS_setuid, SYS_setgid);
    assert_string_equal(text, expected);
}

/* --- threads --- */

static void *confined(void *arg)
{
    nu_sandbox_enter(NU_SANDBOX_WORKER);
    return NULL;
}

/* A filter is its thread's: who started it goes on opening files. */
static void others_are_not_confined(void **state)
{
    int status;
    assert_int_equal(nu_sandbox_prepare(), NU_OK);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        nu_assert(pthread_create(&thread, NULL, confined, NULL) == 0);
        nu_assert(pthread_join(thread, NULL) == 0);
        _exit(open("/dev/null", O_WRONLY) < 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void *same_filter(void *arg)
{
    return syscall(SYS_setuid, 0) < 0 && syscall(SYS_unlinkat, AT_FDCWD, "/no/such", 0) < 0 ? arg
                                                                                            : NULL;
}

/* libc has all signals blocked meanwhile, so a refusal would be the process's end. */
static void main_starts_threads_of_its_kind(void **state)
{
    int status;
    assert_int_equal(nu_sandbox_prepare(), NU_OK);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        void *fine = NULL;
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        nu_sandbox_enter(NU_SANDBOX_MAIN);
        nu_assert(pthread_create(&thread, NULL, same_filter, &status) == 0);
        nu_assert(nu_sandbox_refused() <= 1);
        nu_assert(pthread_join(thread, &fine) == 0 && fine == &status);
        _exit((int)nu_sandbox_refused());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 1 << 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_has_its_outcome),
        cmocka_unit_test(a_call_is_told_once_by_its_name),
        cmocka_unit_test(others_are_not_confined),
        cmocka_unit_test(main_starts_threads_of_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
