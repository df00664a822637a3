"""A system call that goes wrong on purpose: a library put before libc's, made on the spot by gcc."""
import os

from lib.poll import eventually
from lib.process import command

# epoll_ctl says ENOSPC (the user's watches are used up) for a socket whose peer has the port NO_EPOLL_FOR.
NO_EPOLL = r"""
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof peer;
    const char *port = getenv("NO_EPOLL_FOR");
    if (op == EPOLL_CTL_ADD && port && getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
        ntohs(peer.sin_port) == atoi(port)) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}
"""


# accept4 of a worker does what WHEN_ACCEPTING says: hangs for good, or tries what only somebody else's code would.
AT_ACCEPT = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    int got = (int)syscall(SYS_accept4, fd, addr, len, flags);
    const char *what = getenv("WHEN_ACCEPTING");
    char *const words[] = {"true", NULL};
    if (got < 0 || !what || gettid() == getpid())
        return got;
    while (strcmp(what, "hang") == 0)
        sleep(1000);
    if (strcmp(what, "execve") == 0)
        execve("/bin/true", words, words);
    if (strcmp(what, "setuid") == 0 && syscall(SYS_setuid, 0) == 0)
        abort();
    return got;
}
"""


# Runs its words with seccomp(2) forbidden, as a service manager may do; only prctl is left to set filters by.
FORBID = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sock_filter rows[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rows / sizeof *rows, rows};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        return 9;
    execvp(argv[1], argv + 1);
    return 8;
}
"""


def without_seccomp_call(folder):
    """A program that runs its arguments with seccomp(2) forbidden."""
    (folder / "forbid.c").write_text(FORBID)
    command("gcc", "-O1", "-o", folder / "forbid", folder / "forbid.c", check=True)
    return folder / "forbid"


def preload(source, folder, **env):
    """The environment in which a program has the library, and the variables given."""
    library = folder / "preload.so"
    library.with_suffix(".c").write_text(source)
    command("gcc", "-shared", "-fPIC", "-O1", "-o", library, library.with_suffix(".c"), check=True)
    asan = f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": asan, **env}


def no_epoll_for(port, folder):
    """The environment in which a program cannot watch its connection from that client port."""
    return preload(NO_EPOLL, folder, NO_EPOLL_FOR=str(port))


def when_accepting(what, folder):
    """The environment in which a worker does that ("hang", "execve", "setuid") with the first connection it accepts."""
    return preload(AT_ACCEPT, folder, WHEN_ACCEPTING=what)


# Appends a line to CALL_LOG for each call that moves bytes over a socket: r or w, the peer's port, how many.
COUNT_CALLS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <errno.h>

static int log_fd = -1;

__attribute__((constructor)) static void begin(void)
{
    log_fd = open(getenv("CALL_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static ssize_t note(char kind, int fd, ssize_t count)
{
    struct sockaddr_in peer = {0};
    socklen_t len = sizeof peer;
    char line[64];
    int error = errno;
    if (count > 0 && getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET)
        dprintf(log_fd, "%c %d %zd\n", kind, ntohs(peer.sin_port), count);
    errno = error;
    return count;
}

#define NEXT(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t read(int fd, void *buf, size_t len) { NEXT(read); return note('r', fd, next(fd, buf, len)); }
ssize_t readv(int fd, const struct iovec *v, int n) { NEXT(readv); return note('r', fd, next(fd, v, n)); }
ssize_t recv(int fd, void *buf, size_t len, int how) { NEXT(recv); return note('r', fd, next(fd, buf, len, how)); }
ssize_t writev(int fd, const struct iovec *v, int n) { NEXT(writev); return note('w', fd, next(fd, v, n)); }
ssize_t send(int fd, const void *buf, size_t len, int how) { NEXT(send); return note('w', fd, next(fd, buf, len, how)); }
ssize_t sendmsg(int fd, const struct msghdr *m, int how) { NEXT(sendmsg); return note('w', fd, next(fd, m, how)); }
"""


class count_calls:
    """`env` has a program note its reads and writes of sockets."""

    def __init__(self, folder):
        self.log = folder / "calls"
        self.log.touch()
        self.env = preload(COUNT_CALLS, folder, CALL_LOG=str(self.log))

    def sizes(self, kind, port, total):
        """How many bytes each call of that kind ("r", "w") moved, once it is `total` in all; they are noted just behind the call."""
        def look():
            rows = (line.split() for line in self.log.read_text().splitlines())
            sizes = [int(row[2]) for row in rows if row[:2] == [kind, str(port)]]
            return sum(sizes) == total and sizes
        return eventually(look, what=f"{total} bytes {kind} at port {port}")
