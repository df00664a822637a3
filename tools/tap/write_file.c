/* See write_file.h. */
#include "tools/tap/write_file.h"

#include "core/assert.h"
#include "tools/tap/guard.h"
#include "tools/tap/write_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tap_outfile {
    struct tap_target target;
    struct tap_ring *ring; /* or NULL */
    int fd;                /* -1 = none yet */
    bool regular;
    uint64_t bytes;   /* of this file */
    int64_t first_ns; /* of its packets */
    char name[NAME_MAX + 1];
};

static bool complain(const struct tap_outfile *f, const char *what)
{
    const char *of_ring = f->ring ? ": " : "";
    fprintf(stderr, "nuncio-tap: %s%s%s: %s: %s\n", f->target.path, of_ring, f->name, what,
            strerror(errno));
    return false;
}

static bool is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

bool tap_is_same_file(int fd, int other)
{
    struct stat a, b;
    return other >= 0 && fstat(fd, &a) == 0 && fstat(other, &b) == 0 && S_ISREG(a.st_mode) &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Emptied only when it is known not to be the one that is read. Secrets may be in it. */
static bool open_only(struct tap_outfile *f, int source)
{
    uid_t uid;
    gid_t gid;
    if (strcmp(f->target.path, "-") == 0) {
        f->fd = STDOUT_FILENO;
        return true;
    }
    f->fd = open(f->target.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (f->fd < 0)
        return complain(f, "cannot write");
    f->regular = is_regular(f->fd);
    if (tap_is_same_file(f->fd, source)) {
        fprintf(stderr, "nuncio-tap: %s: is the file that is read\n", f->target.path);
        return false;
    }
    if (f->regular && ftruncate(f->fd, 0) != 0)
        return complain(f, "cannot be emptied");
    if (f->regular && tap_guard_owner(&uid, &gid) && fchown(f->fd, uid, gid) != 0)
        return complain(f, "cannot be given to who called sudo");
    return true;
}

struct tap_outfile *tap_outfile_open(const struct tap_target *target, int source)
{
    struct tap_outfile *f = calloc(1, sizeof *f);
    nu_assert(f != NULL);
    f->target = *target;
    f->fd = -1;
    if (target->file_bytes || target->file_ns) {
        f->ring = tap_ring_start(target->path, target->files);
        f->regular = true;
        if (f->ring)
            return f;
    } else if (open_only(f, source)) {
        return f;
    }
    tap_outfile_close(f);
    return NULL;
}

bool tap_outfile_is_over(const struct tap_outfile *f, size_t len, int64_t time_ns)
{
    return f->ring && f->fd >= 0 &&
           ((f->target.file_bytes && f->bytes + len > f->target.file_bytes) ||
            (f->target.file_ns && time_ns - f->first_ns >= f->target.file_ns));
}

bool tap_outfile_next(struct tap_outfile *f, int64_t time_ns)
{
    f->first_ns = time_ns;
    if (!f->ring)
        return true;
    if (f->fd >= 0)
        close(f->fd);
    f->bytes = 0;
    f->fd = tap_ring_next(f->ring, time_ns, f->name);
    return f->fd >= 0 || complain(f, "cannot be made");
}

/* What did not get there whole is taken back: the file ends with a block. */
static bool failed(struct tap_outfile *f, size_t written)
{
    int error = errno;
    if (f->regular && written && ftruncate(f->fd, (off_t)f->bytes) == 0)
        lseek(f->fd, 0, SEEK_END);
    errno = error;
    return error == EPIPE && !f->regular ? false : complain(f, "cannot write");
}

bool tap_outfile_write(struct tap_outfile *f, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(f->fd, (const char *)bytes + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(f, at);
        at += (size_t)n;
    }
    f->bytes += len;
    return true;
}

bool tap_outfile_close(struct tap_outfile *f)
{
    bool fine = true;
    if (!f)
        return true;
    if (f->fd >= 0 && f->fd != STDOUT_FILENO && close(f->fd) != 0)
        fine = complain(f, "cannot write");
    tap_ring_end(f->ring);
    free(f);
    return fine;
}
