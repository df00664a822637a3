/* Both ends of write_ring.h: who asks, and the process that opens. */
#include "tools/tap/write_ring.h"

#include "core/assert.h"
#include "tools/nuncio/sandbox.h"
#include "tools/tap/guard.h"
#include "tools/tap/write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEM_MAX   200 /* bytes of a name before what the ring adds, and of its extension */
#define OPENER_FDS 5   /* standard ones, the socket, the directory */

struct tap_ring {
    int sock;
};

struct answer {
    int error; /* errno, or 0 with a descriptor */
    char name[NAME_MAX + 1];
};

/* The opener's. */
struct opener {
    int sock, dir;
    char stem[STEM_MAX + 1], extension[STEM_MAX + 1];
    unsigned files;
    unsigned opened;
    int64_t *seconds; /* of those that are kept, by number */
    bool owned;
    uid_t uid;
    gid_t gid;
};

/* --- the opener --- */

static void name_of(const struct opener *o, unsigned number, int64_t second,
                    char name[static NAME_MAX + 1])
{
    char stamp[32] = "";
    struct tm tm;
    time_t t = (time_t)second;
    if (localtime_r(&t, &tm))
        strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", &tm);
    int len = snprintf(name, NAME_MAX + 1, "%s_%05u_%s%s", o->stem, number % TAP_FILES_MAX, stamp,
                       o->extension);
    nu_assert(len > 0 && len <= NAME_MAX);
}

static void drop_oldest(const struct opener *o)
{
    char name[NAME_MAX + 1];
    if (!o->files || o->opened <= o->files)
        return;
    unsigned oldest = o->opened - o->files;
    name_of(o, oldest, o->seconds[oldest % o->files], name);
    unlinkat(o->dir, name, 0);
}

/* Readable by its owner: secrets may be in it. */
static int open_next(struct opener *o, int64_t second, struct answer *a)
{
    o->opened++;
    drop_oldest(o);
    if (o->files)
        o->seconds[o->opened % o->files] = second;
    name_of(o, o->opened, second, a->name);
    int fd = openat(o->dir, a->name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    a->error = fd < 0 ? errno : 0;
    if (fd >= 0 && o->owned && fchown(fd, o->uid, o->gid) != 0)
        a->error = errno;
    return fd;
}

static bool give(const struct opener *o, struct answer *a, int fd)
{
    char room[CMSG_SPACE(sizeof fd)] = "";
    struct iovec bytes = {a, sizeof *a};
    struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (!a->error) {
        m.msg_control = room;
        m.msg_controllen = sizeof room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(o->sock, &m, MSG_NOSIGNAL) == (ssize_t)sizeof *a;
}

/* It has root's rights where it was started with them, and no other use for them. */
static void confine(void)
{
    static const int calls[] = {SCMP_SYS(recvfrom), SCMP_SYS(sendmsg),      SCMP_SYS(openat),
                                SCMP_SYS(unlinkat), SCMP_SYS(fchown),       SCMP_SYS(close),
                                SCMP_SYS(exit),     SCMP_SYS(rt_sigreturn), SCMP_SYS(exit_group)};
    scmp_filter_ctx ctx = nu_sandbox_why_not() ? NULL : seccomp_init(SCMP_ACT_ERRNO(EPERM));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (size_t i = 0; ctx && i < sizeof calls / sizeof *calls; i++)
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    if (ctx)
        seccomp_load(ctx);
}

/* Until who asks has gone. Ctrl-C is for that one: it still has something to write. */
static void serve(struct opener *o)
{
    int64_t second;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    tzset();
    confine();
    while (recv(o->sock, &second, sizeof second, 0) == (ssize_t)sizeof second) {
        struct answer a = {0};
        int fd = open_next(o, second, &a);
        bool given = give(o, &a, fd);
        if (fd >= 0)
            close(fd);
        if (!given)
            break;
    }
    _exit(0);
}

/* Nothing else stays open: neither what is captured nor who reads the output. */
static void become_opener(struct opener *o)
{
    int sock = fcntl(o->sock, F_DUPFD, OPENER_FDS), dir = fcntl(o->dir, F_DUPFD, OPENER_FDS);
    o->sock = dup2(sock, STDERR_FILENO + 1);
    o->dir = dup2(dir, STDERR_FILENO + 2);
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close_range(OPENER_FDS, ~0u, 0);
    o->seconds = calloc(o->files ? o->files : 1, sizeof *o->seconds);
    nu_assert(o->seconds && o->sock >= 0 && o->dir >= 0);
    serve(o);
}

/* --- who asks --- */

/* "some/dir/name.pcapng" in its three parts; without an extension it is .pcapng. */
static bool split(struct opener *o, const char *path, char folder[static PATH_MAX])
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    const char *extension = dot && dot != name ? dot : ".pcapng";
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    size_t len = slash ? (size_t)(name - path) : 1;
    if (!stem || stem + strlen(extension) > STEM_MAX || len >= PATH_MAX) {
        errno = stem ? ENAMETOOLONG : EISDIR;
        return false;
    }
    snprintf(folder, PATH_MAX, "%.*s", (int)len, slash ? path : ".");
    snprintf(o->stem, sizeof o->stem, "%.*s", (int)stem, name);
    snprintf(o->extension, sizeof o->extension, "%s", extension);
    return true;
}

static bool prepare(struct opener *o, const char *path)
{
    char folder[PATH_MAX];
    o->dir = -1;
    if (!split(o, path, folder))
        return false;
    o->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return o->dir >= 0 && faccessat(o->dir, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

struct tap_ring *tap_ring_start(const char *path, unsigned files)
{
    int pair[2] = {-1, -1};
    pid_t child = -1;
    struct opener o = {.files = files};
    o.owned = tap_guard_owner(&o.uid, &o.gid);
    if (prepare(&o, path) && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
        o.sock = pair[1];
        child = fork();
    }
    if (child == 0) {
        close(pair[0]);
        become_opener(&o);
    }
    if (child < 0)
        fprintf(stderr, "nuncio-tap: %s: files cannot be made there: %s\n", path, strerror(errno));
    if (o.dir >= 0)
        close(o.dir);
    if (pair[1] >= 0)
        close(pair[1]);
    if (child < 0)
        return NULL;
    struct tap_ring *ring = malloc(sizeof *ring);
    nu_assert(ring != NULL);
    ring->sock = pair[0];
    return ring;
}

static int take(const struct tap_ring *ring, struct answer *a)
{
    int fd = -1;
    char room[CMSG_SPACE(sizeof fd)] = "";
    struct iovec bytes = {a, sizeof *a};
    struct msghdr m = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    ssize_t n;
    do
        n = recvmsg(ring->sock, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    if (n != (ssize_t)sizeof *a)
        a->error = EPIPE;
    return fd;
}

int tap_ring_next(struct tap_ring *ring, int64_t time_ns, char name[static NAME_MAX + 1])
{
    int64_t second = time_ns / 1000000000;
    struct answer a = {.error = EPIPE};
    int fd = -1;
    if (write(ring->sock, &second, sizeof second) == (ssize_t)sizeof second)
        fd = take(ring, &a);
    a.name[NAME_MAX] = 0;
    memcpy(name, a.name, sizeof a.name);
    if (!a.error)
        return fd;
    if (fd >= 0)
        close(fd);
    errno = a.error;
    return -1;
}

void tap_ring_end(struct tap_ring *ring)
{
    if (!ring)
        return;
    close(ring->sock);
    free(ring);
}
