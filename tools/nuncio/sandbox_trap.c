/* The handler of SIGSYS; see sandbox_trap.h. It runs in the middle of anything, on any thread, so
 * it calls write and nothing else. A thread that has SIGSYS blocked would be killed instead. */
#include "tools/nuncio/sandbox_trap.h"

#include "core/assert.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define EXIT_BY_TRAP (128 + SIGSYS) /* as a shell would show the signal */
#define CALLS        1024 /* numbers that are told by name, once each; both architectures end near 470 */

static char *names[CALLS];
static bool fatal[CALLS];
static _Atomic unsigned told[CALLS], count;

#if defined(__x86_64__)
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#endif

static size_t put(char *to, size_t room, const char *text)
{
    size_t len = strlen(text);
    if (len > room)
        len = room;
    memcpy(to, text, len);
    return len;
}

static void tell(unsigned call)
{
    char line[160], digits[12] = {0};
    size_t n = put(line, sizeof line, "sandbox: refused a system call, ");
    n += put(line + n, sizeof line - n, fatal[call] ? "this is the end: " : "it fails: ");
    char *at = digits + sizeof digits - 1;
    n += put(line + n, sizeof line - n, names[call] ? names[call] : "call");
    do
        *--at = (char)('0' + call % 10);
    while ((call /= 10));
    n += put(line + n, sizeof line - n, ", number ");
    n += put(line + n, sizeof line - n, at);
    n += put(line + n, sizeof line - n, "\n");
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}

#ifdef RESULT
static void refuse(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    unsigned call = (unsigned)info->si_syscall < CALLS ? (unsigned)info->si_syscall : CALLS - 1;
    int saved = errno;
    RESULT(uc) = -ENOSYS;
    if (!atomic_exchange(&told[call], 1)) {
        atomic_fetch_add(&count, 1);
        tell(call);
    }
    if (fatal[call])
        _exit(EXIT_BY_TRAP);
    errno = saved;
}

void nu_sandbox_trap_start(const int *ends, size_t ends_count)
{
    struct sigaction action = {.sa_sigaction = refuse, .sa_flags = SA_SIGINFO | SA_RESTART};
    for (size_t i = 0; i < ends_count; i++)
        if (ends[i] >= 0 && ends[i] < CALLS) /* negative: this architecture does not have it */
            fatal[ends[i]] = true;
    for (int i = 0; i < CALLS; i++)
        if (!names[i])
            names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
    nu_assert(sigaction(SIGSYS, &action, NULL) == 0);
}

uint32_t nu_sandbox_trap_action(void)
{
    return SCMP_ACT_TRAP;
}
#else
void nu_sandbox_trap_start(const int *ends, size_t ends_count)
{
}

/* Where a call's result lies is not known here: it fails in silence. */
uint32_t nu_sandbox_trap_action(void)
{
    return SCMP_ACT_ERRNO(ENOSYS);
}
#endif

unsigned nu_sandbox_trap_count(void)
{
    return atomic_load(&count);
}
