/* Connecting; see dial.h. */
#include "l4/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* Options, then connect: what failed, with errno, or NULL. */
static const char *begin(int fd, const struct nu_addr *to, const struct nu_addr *client,
                         const struct nu_connect_options *options, bool *connecting)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(to, &ss);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one); /* lest urgent bytes get lost */
    if (to->kind != NU_ADDR_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const char *failed = nu_connect_options_apply(fd, to, client, options);
    if (failed)
        return failed;
    *connecting = false;
    if (connect(fd, (struct sockaddr *)&ss, len) == 0)
        return NULL;
    *connecting = errno == EINPROGRESS;
    return *connecting ? NULL : "";
}

void nu_dial(struct nu_sock_conf *sock, const struct nu_addr *to, const struct nu_addr *client,
             const struct nu_connect_options *options)
{
    sock->fd = nu_sockopt_socket(to, SOCK_STREAM, &options->opt);
    if (sock->fd < 0) {
        sock->fd = -errno;
        return;
    }
    const char *failed = begin(sock->fd, to, client, options, &sock->connecting);
    if (!failed)
        return;
    int err = errno;
    close(sock->fd);
    sock->fd = -err;
    sock->what = *failed ? failed : NULL;
    sock->connecting = false;
}
