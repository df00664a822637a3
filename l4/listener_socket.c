/* Listening sockets of one bind address: one a worker by SO_REUSEPORT, or for UNIX one that all
 * workers share by descriptors of their own. Main thread; the points in it are the workers'. */
#include "core/assert.h"
#include "l4/listener_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int set_flag(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on);
}

static int close_failed(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* An abstract name has no file: a NUL takes the place of its "@". */
static socklen_t to_sockaddr(const struct nu_addr *addr, struct sockaddr_storage *ss)
{
    socklen_t len = nu_addr_to_sockaddr(addr, ss);
    if (addr->kind != NU_ADDR_UNIX || *addr->path != '@')
        return len;
    struct sockaddr_un *un = (struct sockaddr_un *)ss;
    un->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(addr->path));
}

static int new_socket(const struct nu_addr *addr)
{
    int family = addr->kind == NU_ADDR_UNIX  ? AF_UNIX
                 : addr->kind == NU_ADDR_IP6 ? AF_INET6
                                             : AF_INET;
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Options that accepted sockets inherit are set here, once. */
static int set_options(int fd, const struct nu_addr *addr, bool shared)
{
    if (addr->kind == NU_ADDR_UNIX)
        return 0;
    set_flag(fd, SOL_SOCKET, SO_OOBINLINE); /* lest urgent bytes get lost */
    if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR) || set_flag(fd, IPPROTO_TCP, TCP_NODELAY) ||
        (shared && set_flag(fd, SOL_SOCKET, SO_REUSEPORT)))
        return -1;
    return addr->kind == NU_ADDR_IP6 ? set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY) : 0;
}

static int open_bound(const struct nu_addr *addr, bool shared)
{
    struct sockaddr_storage ss;
    socklen_t len = to_sockaddr(addr, &ss);
    int fd = new_socket(addr);
    if (fd < 0)
        return -1;
    if (set_options(fd, addr, shared) || bind(fd, (struct sockaddr *)&ss, len))
        return close_failed(fd);
    return fd;
}

/* SO_REUSEPORT would let us share a busy port with another process of the same user: half of the
 * connections would go there. A socket without it may be bound only where nobody listens. */
static bool is_free(const struct nu_addr *addr)
{
    int fd = open_bound(addr, false);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* --- IP --- */

static int learn_port(struct listener_socket *s, int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &len))
        return -1;
    nu_addr_from_sockaddr(&s->bound, &ss, len);
    return 0;
}

/* The first socket of port 0 gets a free one; the others take the same. */
static int open_ip(struct listener_socket *s, bool alone)
{
    if (alone && s->bound.port && !is_free(&s->bound))
        return -1;
    for (unsigned i = 0; i < s->count; i++) {
        int fd = open_bound(&s->bound, true);
        if (fd < 0)
            return -1;
        nu_accept_init(&s->points[i], fd);
        if (s->bound.port == 0 && learn_port(s, fd))
            return -1;
    }
    return 0;
}

/* --- UNIX --- */

/* Removes a socket file that nobody answers behind: its process died. -1 with errno if the path is
 * taken by anything else. */
static int clear_path(const struct nu_addr *addr)
{
    struct sockaddr_storage ss;
    struct stat st;
    if (*addr->path == '@' || lstat(addr->path, &st))
        return 0; /* bind will say what is wrong, if anything */
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    int fd = new_socket(addr);
    if (fd < 0)
        return -1;
    socklen_t len = to_sockaddr(addr, &ss);
    bool dead = connect(fd, (struct sockaddr *)&ss, len) && errno == ECONNREFUSED;
    close(fd);
    if (!dead) {
        errno = EADDRINUSE;
        return -1;
    }
    return unlink(addr->path);
}

static void remember_file(struct listener_socket *s)
{
    struct stat st;
    if (*s->bound.path == '@' || lstat(s->bound.path, &st))
        return;
    s->path = strdup(s->bound.path);
    nu_assert(s->path != NULL);
    s->device = st.st_dev;
    s->inode = st.st_ino;
}

static int open_unix(struct listener_socket *s)
{
    if (clear_path(&s->bound))
        return -1;
    int first = open_bound(&s->bound, true);
    if (first < 0)
        return -1;
    remember_file(s);
    nu_accept_init(&s->points[0], first);
    for (unsigned i = 1; i < s->count; i++) {
        int fd = fcntl(first, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return -1;
        nu_accept_init(&s->points[i], fd);
    }
    return 0;
}

/* --- the object --- */

static struct listener_socket *socket_new(const char *key, const struct nu_addr *addr,
                                          unsigned workers)
{
    struct listener_socket *s = calloc(1, sizeof *s);
    nu_assert(s != NULL && workers > 0);
    s->refs = 1;
    s->key = strdup(key);
    s->count = workers;
    s->points = calloc(workers, sizeof *s->points);
    s->bound = *addr;
    if (addr->kind == NU_ADDR_UNIX)
        s->bound.path = strdup(addr->path);
    nu_assert(s->key && s->points && (addr->kind != NU_ADDR_UNIX || s->bound.path));
    for (unsigned i = 0; i < workers; i++)
        nu_accept_init(&s->points[i], -1);
    return s;
}

struct listener_socket *nu_listener_socket_open(const char *key, const struct nu_addr *addr,
                                                unsigned workers, bool alone)
{
    struct listener_socket *s = socket_new(key, addr, workers);
    int failed = addr->kind == NU_ADDR_UNIX ? open_unix(s) : open_ip(s, alone);
    if (failed) {
        int error = errno;
        nu_listener_socket_put(s);
        errno = error;
        return NULL;
    }
    for (unsigned i = 0; i < workers; i++)
        s->points[i].bound = s->bound;
    return s;
}

int nu_listener_socket_listen(struct listener_socket *s, int backlog, int mode)
{
    if (s->path && mode >= 0 && chmod(s->path, (mode_t)mode))
        return -1;
    for (unsigned i = 0; i < s->count; i++)
        if (listen(s->points[i].io.fd, backlog))
            return -1;
    return 0;
}

static void remove_file(const struct listener_socket *s)
{
    struct stat st;
    if (s->path && lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
        unlink(s->path);
}

void nu_listener_socket_put(struct listener_socket *s)
{
    if (--s->refs)
        return;
    for (unsigned i = 0; i < s->count; i++)
        if (s->points[i].io.fd >= 0)
            close(s->points[i].io.fd);
    remove_file(s);
    if (s->bound.kind == NU_ADDR_UNIX)
        free((char *)s->bound.path);
    free(s->path);
    free(s->points);
    free(s->key);
    free(s);
}
