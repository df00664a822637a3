/* The lists of system calls and the filters made of them; see sandbox.h. libseccomp knows the
 * numbers of each architecture and writes the BPF; a name that an architecture does not have is
 * skipped by it. */
#include "tools/nuncio/sandbox.h"

#include "core/assert.h"
#include "tools/nuncio/sandbox_trap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCK_KIND        0xf /* of socket()'s type; the flags lie above */
#define O_WRITES         (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))
#define API_KILL_PROCESS 3          /* libseccomp's level that knows it; 0 = no filters at all */
#define WHOLE            UINT32_MAX /* of an int argument */

enum { WORKER = 1 << NU_SANDBOX_WORKER, MAIN = 1 << NU_SANDBOX_MAIN, BOTH = WORKER | MAIN };

#define S(name) SCMP_SYS(name)

static const int both[] = {
    /* sockets, pipes, logs that are open */
    S(read), S(write), S(readv), S(writev), S(recvfrom), S(recvmsg), S(recvmmsg), S(sendto),
    S(sendmsg), S(sendmmsg), S(splice), S(tee), S(sendfile), S(accept), S(accept4), S(connect),
    S(bind), S(listen), S(shutdown), S(close), S(getsockname), S(getpeername), S(getsockopt),
    S(setsockopt), S(pipe2), S(fcntl),
    /* waiting */
    S(epoll_ctl), S(epoll_wait), S(epoll_pwait), S(epoll_pwait2), S(poll), S(ppoll), S(futex),
    S(sched_yield), S(nanosleep), S(clock_nanosleep), S(restart_syscall),
    /* memory */
    S(brk), S(munmap), S(mremap), S(madvise),
    /* time, chance, who am I */
    S(clock_gettime), S(clock_getres), S(gettimeofday), S(time), S(getrandom), S(getpid), S(gettid),
    S(getuid), S(geteuid), S(getgid), S(getegid), S(sysinfo), S(uname), S(getcpu),
    S(sched_getaffinity),
    /* what libc looks up: the time zone, the number of CPUs */
    S(fstat), S(newfstatat), S(statx), S(stat), S(lstat), S(lseek),
    /* a thread's life and end */
    S(rt_sigaction), S(rt_sigprocmask), S(rt_sigreturn), S(sigaltstack), S(set_robust_list),
    S(rseq), S(exit), S(exit_group)};

static const int main_only[] = {
    /* config, logs, certificates, sockets with a path */
    S(open), S(openat), S(openat2), S(access), S(faccessat), S(faccessat2), S(readlink),
    S(readlinkat), S(getdents64), S(getcwd), S(unlink), S(unlinkat), S(chmod), S(fchmod),
    S(fchmodat), S(umask), S(pread64), S(pwrite64), S(ftruncate), S(fadvise64), S(statfs),
    S(fstatfs), S(flock), S(inotify_init1), S(inotify_add_watch), S(inotify_rm_watch),
    /* descriptors that are made anew */
    S(dup), S(dup2), S(dup3), S(eventfd2), S(epoll_create1), S(timerfd_create), S(timerfd_settime),
    S(socketpair),
    /* figures */
    S(prlimit64), S(getrlimit), S(getrusage), S(getppid), S(times)};

/* No library falls back from these and nothing here makes them: it is somebody else's code. */
static const int never[] = {S(execve),
                            S(execveat),
                            S(fork),
                            S(vfork),
                            S(ptrace),
                            S(process_vm_readv),
                            S(process_vm_writev),
                            S(pidfd_getfd),
                            S(mount),
                            S(umount2),
                            S(pivot_root),
                            S(chroot),
                            S(setns),
                            S(unshare),
                            S(bpf),
                            S(init_module),
                            S(finit_module),
                            S(delete_module),
                            S(kexec_load),
                            S(kexec_file_load),
                            S(open_by_handle_at),
                            S(userfaultfd),
                            S(keyctl),
                            S(add_key),
                            S(request_key),
                            S(perf_event_open)};

/* Allowed where (argument & mask) == value. */
static const struct row {
    int call, who;
    unsigned arg;
    uint64_t mask, value;
} rows[] = {
    {S(mmap),     BOTH,   2, PROT_EXEC, 0           }, /* no new code */
    {S(mprotect), BOTH,   2, PROT_EXEC, 0           },
    {S(open),     WORKER, 1, O_WRITES,  O_RDONLY    }, /* /dev/null in reserve, the time zone */
    {S(openat),   WORKER, 2, O_WRITES,  O_RDONLY    },
    {S(ioctl),    BOTH,   1, WHOLE,     SIOCOUTQ    },
    {S(ioctl),    BOTH,   1, WHOLE,     FIONREAD    },
    {S(ioctl),    BOTH,   1, WHOLE,     FIONBIO     },
    {S(ioctl),    BOTH,   1, WHOLE,     TCGETS      }, /* stdio asks: is it a terminal? */
    {S(ioctl),    MAIN,   1, WHOLE,     SIOCGIFINDEX}, /* interfaces by name */
    {S(ioctl),    MAIN,   1, WHOLE,     SIOCGIFNAME },
    {S(prctl),    BOTH,   0, WHOLE,     PR_SET_NAME },
    {S(prctl),    BOTH,   0, WHOLE,     PR_SET_VMA  }, /* newer mallocs name their memory */
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

const char *nu_sandbox_str(enum nu_sandbox kind)
{
    static const char *const names[] = {"worker", "main"};
    return (unsigned)kind < COUNT(names) ? names[kind] : "?";
}

/* --- making a filter; 0 or a negative error, as libseccomp has it --- */

/* libseccomp's own macros leave a field out, which clang warns of. */
static struct scmp_arg_cmp equal(unsigned arg, uint64_t value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp masked(unsigned arg, uint64_t mask, uint64_t value)
{
    return (struct scmp_arg_cmp){
        .arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

static int add_all(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t count)
{
    int err = 0;
    for (size_t i = 0; i < count && !err; i++)
        err = seccomp_rule_add(ctx, action, calls[i], 0);
    return err;
}

static int add_rows(scmp_filter_ctx ctx, enum nu_sandbox kind)
{
    int err = 0;
    for (size_t i = 0; i < COUNT(rows) && !err; i++)
        if (rows[i].who & 1 << kind)
            err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, rows[i].call, 1,
                                   masked(rows[i].arg, rows[i].mask, rows[i].value));
    return err;
}

/* UNIX and IP, stream and datagram: no raw sockets, no exotic families with their histories. */
static int add_sockets(scmp_filter_ctx ctx)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    int err = 0;
    for (size_t i = 0; i < COUNT(families) * COUNT(types) && !err; i++)
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                               equal(0, (unsigned)families[i / COUNT(types)]),
                               masked(1, SOCK_KIND, (unsigned)types[i % COUNT(types)]));
    return err;
}

/* abort() signals its own thread; other processes are none of our business. */
static int add_signals(scmp_filter_ctx ctx)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, equal(0, (unsigned)getpid()));
}

/* Main reads long lists in threads of its own kind; never a process. The flags of clone3 lie in
 * memory, where no filter looks: libc goes on to clone. */
static int add_threads(scmp_filter_ctx ctx)
{
#ifdef __s390__
    const unsigned flags = 1;
#else
    const unsigned flags = 0;
#endif
    int err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (err)
        return err;
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                            masked(flags, CLONE_THREAD, CLONE_THREAD));
}

/* Where somebody forbids the call seccomp(2) around us, as systemd's @system-service does, filters
 * are set by prctl; that way cannot end a process by itself. The trap's handler does it then. */
static bool can_kill_process(void)
{
    return seccomp_api_get() >= API_KILL_PROCESS;
}

static int add_lists(scmp_filter_ctx ctx, enum nu_sandbox kind)
{
    int err = add_all(ctx, SCMP_ACT_ALLOW, both, COUNT(both));
    if (!err && kind == NU_SANDBOX_MAIN)
        err = add_all(ctx, SCMP_ACT_ALLOW, main_only, COUNT(main_only));
    if (!err && kind == NU_SANDBOX_MAIN)
        err = add_threads(ctx);
    if (!err && can_kill_process()) /* else they are trapped like all that is on no list */
        err = add_all(ctx, SCMP_ACT_KILL_PROCESS, never, COUNT(never));
    return err;
}

static scmp_filter_ctx make(enum nu_sandbox kind)
{
    scmp_filter_ctx ctx = seccomp_init(nu_sandbox_trap_action());
    if (!ctx)
        return NULL;
    int err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
                               can_kill_process() ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_KILL_THREAD);
    if (!err)
        err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    if (!err)
        err = add_lists(ctx, kind);
    if (!err)
        err = add_rows(ctx, kind);
    if (!err)
        err = add_sockets(ctx);
    if (!err)
        err = add_signals(ctx);
    if (!err)
        return ctx;
    seccomp_release(ctx);
    errno = -err;
    return NULL;
}

/* --- the doors --- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

const char *nu_sandbox_why_not(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (SANITIZED)
        return "built with a sanitizer";
    return preload && strstr(preload, "/vgpreload_") ? "runs under valgrind" : NULL;
}

enum nu_err nu_sandbox_prepare(void)
{
    if (seccomp_api_get() < 1) { /* the kernel has no filters */
        errno = ENOSYS;
        return NU_ERR_SYSTEM;
    }
    scmp_filter_ctx ctx = make(NU_SANDBOX_MAIN);
    if (!ctx)
        return NU_ERR_SYSTEM;
    seccomp_release(ctx);
    nu_sandbox_trap_start(never, COUNT(never));
    return NU_OK;
}

void nu_sandbox_enter(enum nu_sandbox kind)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* libseccomp has globals */
    pthread_mutex_lock(&lock);
    scmp_filter_ctx ctx = make(kind);
    nu_assert(ctx && seccomp_load(ctx) == 0);
    seccomp_release(ctx);
    pthread_mutex_unlock(&lock);
}

unsigned nu_sandbox_refused(void)
{
    return nu_sandbox_trap_count();
}
