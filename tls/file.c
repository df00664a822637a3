/* Reading of files and their stamps; see file.h. */
#include "tls/file.h"

#include "core/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct tls_stamp tls_stamp_of(const char *path)
{
    struct stat st;
    if (!path || stat(path, &st) != 0)
        return (struct tls_stamp){0};
    return (struct tls_stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool tls_stamp_same(const struct tls_stamp *a, const struct tls_stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           same_time(a->mtime, b->mtime) && same_time(a->ctime, b->ctime);
}

/* Reads to the end, into memory that is wiped when freed: most of these files are secret. */
static bool read_all(int fd, BIO *out, const char *path, const char *key,
                     struct tls_problem *problem)
{
    char buf[16384];
    size_t total = 0;
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            OPENSSL_cleanse(buf, sizeof buf);
            return n == 0 ||
                   tls_problem(problem, key, "%s cannot be read: %s", path, strerror(errno));
        }
        total += (size_t)n;
        if (total > TLS_FILE_MAX)
            return tls_problem(problem, key, "%s is larger than %u MiB", path, TLS_FILE_MAX >> 20);
        nu_assert(BIO_write(out, buf, (int)n) == n);
    }
}

BIO *tls_file_open(const char *path, const char *key, struct tls_problem *problem)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == EACCES) {
        tls_problem(problem, key, "%s cannot be opened: %s (as user %u, group %u)", path,
                    strerror(errno), (unsigned)geteuid(), (unsigned)getegid());
        return NULL;
    }
    if (fd < 0) {
        tls_problem(problem, key, "%s cannot be opened: %s", path, strerror(errno));
        return NULL;
    }
    BIO *out = BIO_new(BIO_s_secmem());
    nu_assert(out != NULL);
    BIO_set_mem_eof_return(out, 0);
    BIO_set_flags(out, BIO_FLAGS_NONCLEAR_RST); /* BIO_reset goes back to the first byte */
    bool good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!good)
        tls_problem(problem, key, "%s is no file", path);
    else
        good = read_all(fd, out, path, key, problem);
    close(fd);
    if (good)
        return out;
    BIO_free(out);
    return NULL;
}
