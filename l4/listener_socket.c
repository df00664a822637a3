/* Sockets of one bind address: one a worker by SO_REUSEPORT; or one that all workers share by
 * descriptors of their own, of a UNIX path or from the service manager. Main thread; the points in
 * it are the workers'. */
#include "core/assert.h"
#include "l4/inherited.h"
#include "l4/listener_priv.h"
#include "l4/udp/point.h"

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

/* Those that accepted sockets inherit are set here, once. */
static int set_stream_options(int fd)
{
    set_flag(fd, SOL_SOCKET, SO_OOBINLINE); /* lest urgent bytes get lost */
    return set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
}

/* Of a socket that is not bound yet. SO_REUSEADDR would let datagrams go to whoever binds last. */
static int set_options(int fd, const struct nu_addr *addr, bool udp, bool shared)
{
    if (addr->kind == NU_ADDR_UNIX)
        return 0;
    if (udp ? nu_udp_socket_options(fd, addr)
            : set_flag(fd, SOL_SOCKET, SO_REUSEADDR) || set_stream_options(fd))
        return -1;
    if (shared && set_flag(fd, SOL_SOCKET, SO_REUSEPORT))
        return -1;
    return addr->kind == NU_ADDR_IP6 ? set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY) : 0;
}

static int open_bound(const struct listener_socket *s, bool shared)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(&s->bound, &ss);
    int fd = nu_sockopt_socket(&s->bound, s->udp ? SOCK_DGRAM : SOCK_STREAM, &s->options.opt);
    if (fd < 0)
        return -1;
    if (set_options(fd, &s->bound, s->udp, shared) ||
        nu_listen_options_apply(fd, &s->bound, &s->options) ||
        bind(fd, (struct sockaddr *)&ss, len))
        return close_failed(fd);
    return fd;
}

/* Worker i's descriptor. */
static void give(struct listener_socket *s, unsigned i, int fd)
{
    if (s->udp)
        nu_udp_point_init(&s->udp_points[i], fd);
    else
        nu_accept_init(&s->points[i], fd);
}

/* Others than the first share its queue. */
static int share(struct listener_socket *s, int first)
{
    for (unsigned i = 1; i < s->count; i++) {
        int fd = fcntl(first, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return -1;
        give(s, i, fd);
    }
    return 0;
}

/* --- from the service manager --- */

/* True if there was one. Datagrams of one client must come to one worker, which is the first then:
 * it has the socket alone. */
static bool take_inherited(struct listener_socket *s, int *failed)
{
    int fd = nu_inherited_take(&s->bound, s->udp ? SOCK_DGRAM : SOCK_STREAM);
    if (fd < 0)
        return false;
    s->inherited = true;
    give(s, 0, fd);
    *failed = 0;
    if (s->udp)
        *failed = nu_udp_socket_options(fd, &s->bound);
    else if (s->bound.kind != NU_ADDR_UNIX)
        *failed = set_stream_options(fd);
    if (!*failed && !s->udp)
        *failed = share(s, fd);
    if (!*failed)
        *failed = nu_listen_options_apply(fd, &s->bound, &s->options);
    return true;
}

/* SO_REUSEPORT would let us share a busy port with another process of the same user: half of the
 * connections would go there. A socket without it may be bound only where nobody listens. */
static bool is_free(const struct listener_socket *s)
{
    int fd = open_bound(s, false);
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
    if (alone && s->bound.port && !is_free(s))
        return -1;
    for (unsigned i = 0; i < s->count; i++) {
        int fd = open_bound(s, true);
        if (fd < 0)
            return -1;
        give(s, i, fd);
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
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    socklen_t len = nu_addr_to_sockaddr(addr, &ss);
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
    int first = open_bound(s, true);
    if (first < 0)
        return -1;
    remember_file(s);
    give(s, 0, first);
    return share(s, first);
}

/* --- the object --- */

static void make_points(struct listener_socket *s)
{
    if (s->udp)
        s->udp_points = calloc(s->count, sizeof *s->udp_points);
    else
        s->points = calloc(s->count, sizeof *s->points);
    nu_assert(s->udp_points || s->points);
    for (unsigned i = 0; i < s->count; i++)
        give(s, i, -1);
}

static struct listener_socket *socket_new(const char *key, const struct nu_addr *addr, bool udp,
                                          unsigned workers)
{
    struct listener_socket *s = calloc(1, sizeof *s);
    nu_assert(s != NULL && workers > 0);
    s->refs = 1;
    s->udp = udp;
    s->key = strdup(key);
    s->count = workers;
    s->bound = *addr;
    if (addr->kind == NU_ADDR_UNIX)
        s->bound.path = strdup(addr->path);
    nu_assert(s->key && (addr->kind != NU_ADDR_UNIX || s->bound.path));
    make_points(s);
    return s;
}

static int open_socket(struct listener_socket *s, bool alone)
{
    int failed;
    if (take_inherited(s, &failed))
        return failed;
    return s->bound.kind == NU_ADDR_UNIX ? open_unix(s) : open_ip(s, alone);
}

struct listener_socket *nu_listener_socket_open(const char *key, const struct nu_addr *addr,
                                                bool udp, const struct nu_listen_options *options,
                                                unsigned workers, bool alone)
{
    struct listener_socket *s = socket_new(key, addr, udp, workers);
    s->options = *options;
    if (open_socket(s, alone)) {
        int error = errno;
        nu_listener_socket_put(s);
        errno = error;
        return NULL;
    }
    for (unsigned i = 0; i < workers; i++)
        if (udp)
            nu_udp_point_bound(&s->udp_points[i], &s->bound);
        else
            s->points[i].bound = s->bound;
    return s;
}

int nu_listener_socket_listen(struct listener_socket *s, int backlog, int mode)
{
    if (s->path && mode >= 0 && chmod(s->path, (mode_t)mode))
        return -1;
    for (unsigned i = 0; !s->udp && i < s->count; i++)
        if (listen(s->points[i].io.fd, backlog))
            return -1;
    return 0;
}

void nu_listener_socket_options(struct listener_socket *s, const struct nu_listen_options *now)
{
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): at worst the same is set again */
    if (memcmp(&s->options, now, sizeof *now) == 0)
        return;
    for (unsigned i = 0; i < s->count; i++) {
        int fd = s->udp ? s->udp_points[i].io.fd : s->points[i].io.fd;
        if (fd >= 0)
            nu_listen_options_change(fd, &s->bound, &s->options, now);
    }
    s->options = *now;
}

void nu_listener_socket_buffer(struct listener_socket *s, int64_t bytes)
{
    for (unsigned i = 0; s->udp && i < s->count; i++)
        nu_udp_point_buffer(&s->udp_points[i], bytes);
}

/* --- the end --- */

static struct nu_list lingering = {&lingering, &lingering};

static void remove_file(const struct listener_socket *s)
{
    struct stat st;
    if (s->path && lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
        unlink(s->path);
}

static void close_points(struct listener_socket *s)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->udp)
            nu_udp_point_close(&s->udp_points[i]);
        else if (s->points[i].io.fd >= 0)
            close(s->points[i].io.fd);
}

static void socket_free(struct listener_socket *s)
{
    close_points(s);
    remove_file(s);
    if (s->bound.kind == NU_ADDR_UNIX)
        free((char *)s->bound.path);
    free(s->path);
    free(s->points);
    free(s->udp_points);
    free(s->key);
    free(s);
}

static bool in_service(const struct listener_socket *s)
{
    for (unsigned i = 0; s->udp && i < s->count; i++)
        if (nu_udp_point_in_service(&s->udp_points[i]))
            return true;
    return false;
}

/* All points of datagrams are closed together: the kernel spreads clients over the sockets that
 * there are, so one less would send the others' clients elsewhere. */
void nu_listener_socket_put(struct listener_socket *s)
{
    if (--s->refs)
        return;
    if (in_service(s))
        nu_list_add_tail(&lingering, &s->lingering);
    else
        socket_free(s);
}

struct listener_socket *nu_listener_socket_ref(struct listener_socket *s)
{
    if (s->refs++ == 0)
        nu_list_del(&s->lingering);
    return s;
}

void nu_listener_sockets_lingering(void (*fn)(struct listener_socket *socket, void *ctx), void *ctx)
{
    nu_list_each (node, &lingering) {
        fn(nu_container(node, struct listener_socket, lingering), ctx);
    }
}

void nu_listener_sockets_sweep(struct nu_worker *worker, void *nothing)
{
    nu_list_each (node, &lingering) {
        struct listener_socket *s = nu_container(node, struct listener_socket, lingering);
        if (in_service(s))
            continue;
        nu_list_del(&s->lingering);
        socket_free(s);
    }
}
