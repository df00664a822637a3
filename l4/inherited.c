/* Passed sockets; see inherited.h. The originals stay open to the end: the manager holds them, too,
 * so a client's connection would wait in the queue either way, and a listener that a reload brings
 * back finds its socket again. */
#include "l4/inherited.h"

#include "core/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_FD 3 /* of the passed ones, by the protocol */

struct passed {
    int fd;   /* -1: there is none of that number */
    int type; /* SOCK_STREAM or SOCK_DGRAM; 0 = nothing that we could use */
    struct nu_addr addr;
    char *name, *path;
    bool taken;
};

static struct {
    struct passed *item;
    size_t count;
} all;

static int option_of(int fd, int option)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) ? 0 : value;
}

/* A stream socket that does not listen is a connection (Accept=yes): not for us. */
static int usable_type(int fd)
{
    int type = option_of(fd, SO_TYPE);
    if (type == SOCK_STREAM)
        return option_of(fd, SO_ACCEPTCONN) ? type : 0;
    return type == SOCK_DGRAM ? type : 0;
}

/* nu_addr_from_sockaddr keeps no path of an abstract name; here it is the name's "@" form. */
static void learn_path(struct passed *p, const struct sockaddr_un *un, socklen_t len)
{
    size_t size = len > offsetof(struct sockaddr_un, sun_path)
                      ? len - offsetof(struct sockaddr_un, sun_path)
                      : 0;
    p->path = calloc(1, size + 1);
    nu_assert(p->path != NULL);
    memcpy(p->path, un->sun_path, size);
    if (size && !*p->path)
        *p->path = '@';
    p->addr = (struct nu_addr){.kind = NU_ADDR_UNIX, .path = p->path};
}

static void look(struct passed *p)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    if (fcntl(p->fd, F_SETFD, FD_CLOEXEC)) {
        p->fd = -1;
        return;
    }
    p->type = usable_type(p->fd);
    if (!p->type || getsockname(p->fd, (struct sockaddr *)&ss, &len))
        return;
    if (ss.ss_family == AF_UNIX)
        learn_path(p, (const struct sockaddr_un *)&ss, len);
    else
        nu_addr_from_sockaddr(&p->addr, &ss, len);
}

/* A whole number of a variable, or -1. */
static long number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return -1;
    errno = 0;
    long n = strtol(text, &end, 10);
    return errno || *end ? -1 : n;
}

/* Names are separated by colons, one a descriptor. */
static void take_names(const char *names)
{
    for (size_t i = 0; i < all.count; i++) {
        size_t len = names ? strcspn(names, ":") : 0;
        all.item[i].name = len ? strndup(names, len) : strdup("unknown");
        nu_assert(all.item[i].name != NULL);
        if (names)
            names += len + (names[len] == ':');
    }
}

void nu_inherited_init(void)
{
    long count = number_of("LISTEN_FDS");
    bool ours = number_of("LISTEN_PID") == (long)getpid();
    nu_assert(!all.item);
    if (ours && count > 0) {
        all.count = count < NU_INHERITED_MAX ? (size_t)count : NU_INHERITED_MAX;
        all.item = calloc(all.count, sizeof *all.item);
        nu_assert(all.item != NULL);
        take_names(getenv("LISTEN_FDNAMES"));
    }
    for (size_t i = 0; i < all.count; i++) {
        all.item[i].fd = FIRST_FD + (int)i;
        look(&all.item[i]);
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
}

void nu_inherited_free(void)
{
    for (size_t i = 0; i < all.count; i++) {
        if (all.item[i].fd >= 0)
            close(all.item[i].fd);
        free(all.item[i].name);
        free(all.item[i].path);
    }
    free(all.item);
    all.item = NULL;
    all.count = 0;
}

int nu_inherited_take(const struct nu_addr *addr, int type)
{
    for (size_t i = 0; i < all.count; i++) {
        struct passed *p = &all.item[i];
        if (p->type != type || p->addr.kind == NU_ADDR_NONE || !nu_addr_equal(&p->addr, addr))
            continue;
        int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return -1;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        p->taken = true;
        return fd;
    }
    return -1;
}

void nu_inherited_unused(void (*fn)(const char *name, const struct nu_addr *addr, void *ctx),
                         void *ctx)
{
    for (size_t i = 0; i < all.count; i++) {
        const struct passed *p = &all.item[i];
        bool usable = p->type && p->addr.kind != NU_ADDR_NONE;
        if (!p->taken)
            fn(p->name, usable ? &p->addr : NULL, ctx);
    }
}
