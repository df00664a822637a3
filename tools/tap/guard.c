/* Rights and system calls given up; see guard.h. */
#include "tools/tap/guard.h"

#include "tools/nuncio/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOBODY  65534u
#define WHOLE   UINT32_MAX /* of an int argument */
#define S(name) SCMP_SYS(name)

/* --- rights --- */

/* Of the variables that sudo sets; they are root's word, since only root gets here. */
static unsigned id_from(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    unsigned long long n = text ? strtoull(text, &end, 10) : 0;
    return text && *text >= '0' && *text <= '9' && !*end && n && n < NOBODY ? (unsigned)n : NOBODY;
}

bool tap_guard_owner(uid_t *uid, gid_t *gid)
{
    *uid = id_from("SUDO_UID");
    *gid = id_from("SUDO_GID");
    return geteuid() == 0 && *uid != NOBODY && *gid != NOBODY;
}

static int give_up_root(void)
{
    uid_t uid = id_from("SUDO_UID");
    gid_t gid = id_from("SUDO_GID");
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)) {
        fprintf(stderr, "nuncio-tap: cannot give up root: %s\n", strerror(errno));
        return -1;
    }
    return 0;
}

static void give_up_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) != 0)
        fprintf(stderr, "nuncio-tap: cannot give up capabilities: %s\n", strerror(errno));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* --- system calls --- */

static const int allowed[] = {
    /* packets, key logs, lines; all is open already */
    S(read), S(readv), S(pread64), S(write), S(writev), S(lseek), S(close), S(recvfrom), S(recvmsg),
    S(getsockopt), S(poll), S(ppoll), S(fstat), S(newfstatat), S(fcntl), S(ftruncate),
    /* memory, time, chance */
    S(brk), S(munmap), S(mremap), S(madvise), S(clock_gettime), S(gettimeofday), S(time),
    S(getrandom), S(futex), S(getpid), S(gettid), S(sched_yield), S(restart_syscall),
    S(clock_nanosleep), S(nanosleep),
    /* the end */
    S(rt_sigaction), S(rt_sigprocmask), S(rt_sigreturn), S(exit), S(exit_group)};

/* --replay */
static const int connecting[] = {S(socket), S(connect), S(sendto), S(setsockopt)};

/* Allowed where (argument & mask) == value. */
static const struct {
    int call;
    unsigned arg;
    uint64_t mask, value;
} rows[] = {
    {S(mmap),     2, PROT_EXEC, 0           }, /* no new code */
    {S(mprotect), 2, PROT_EXEC, 0           },
    {S(ioctl),    1, WHOLE,     TCGETS      }, /* stdio asks: is it a terminal? */
    {S(ioctl),    1, WHOLE,     TIOCGWINSZ  },
    {S(ioctl),    1, WHOLE,     SIOCGIFFLAGS}, /* libpcap asks: is the interface still there? */
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* 0 or a negative error, as libseccomp has it. */
static int add_rules(scmp_filter_ctx ctx)
{
    int err = 0;
    for (size_t i = 0; i < COUNT(allowed) && !err; i++)
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; i < COUNT(rows) && !err; i++) {
        struct scmp_arg_cmp cmp = {.arg = rows[i].arg,
                                   .op = SCMP_CMP_MASKED_EQ,
                                   .datum_a = rows[i].mask,
                                   .datum_b = rows[i].value};
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, rows[i].call, 1, cmp);
    }
    struct scmp_arg_cmp self = {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (unsigned)getpid()};
    return err ? err : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, S(tgkill), 1, self); /* abort() */
}

/* What is not on the list fails; nothing here needs it. */
static void give_up_calls(bool connects)
{
    scmp_filter_ctx ctx = nu_sandbox_why_not() ? NULL : seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!ctx)
        return;
    int err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    err = err ? err : add_rules(ctx);
    for (size_t i = 0; i < COUNT(connecting) && connects && !err; i++)
        err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, connecting[i], 0);
    err = err ? err : seccomp_load(ctx);
    if (err)
        fprintf(stderr, "nuncio-tap: no seccomp filter: %s\n", strerror(-err));
    seccomp_release(ctx);
}

int tap_guard(bool connects)
{
    tzset(); /* the last file that is read */
    if (give_up_root())
        return -1;
    give_up_capabilities();
    give_up_calls(connects);
    return 0;
}
