"""A system call that fails on purpose: a library put before libc's, made on the spot by gcc."""
import os

from lib.process import command

# epoll_ctl says ENOSPC (the user's watches are used up) for a socket whose peer has the port NO_EPOLL_FOR.
SOURCE = r"""
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


def no_epoll_for(port, folder):
    """The environment in which a program cannot watch its connection from that client port."""
    source, library = folder / "no_epoll.c", folder / "no_epoll.so"
    source.write_text(SOURCE)
    command("gcc", "-shared", "-fPIC", "-O1", "-o", library, source, check=True)
    asan = f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"
    return {"LD_PRELOAD": str(library), "NO_EPOLL_FOR": str(port), "ASAN_OPTIONS": asan}
