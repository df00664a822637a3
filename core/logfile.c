/* Log files; see logfile.h. A file has a part for each shard, touched by that shard's thread alone.
 * A part with waiting lines is on its shard's dirty list and holds a reference, so a file may be
 * let go by the config while a worker still has lines for it. */
#include "core/logfile.h"

#include "core/assert.h"
#include "core/list.h"
#include "core/log.h"
#include "core/logbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART_BYTES (NU_LOGFILE_FLUSH_BYTES + NU_LOG_LINE_MAX)
#define FILE_MODE  0640
#define PRIVATE    0600

enum { BUFFERED, COMPLETED, FAILED, BY_TIMER, LINES_LOST, REOPEN_FAILED };
static const struct nu_stat_def defs[] = {
    [BUFFERED] = {"write_buffered",   NU_COUNTER, NULL, "Lines put into a worker's buffer"        },
    [COMPLETED] = {"write_completed",  NU_COUNTER, NULL, "Writes to log files that succeeded"      },
    [FAILED] = {"write_failed",     NU_COUNTER, NULL, "Writes to log files that failed"         },
    [BY_TIMER] = {"flushed_by_timer", NU_COUNTER, NULL, "Buffers written before they were full"   },
    [LINES_LOST] = {"lines_lost",       NU_COUNTER, NULL, "Log lines dropped because a write failed"},
    [REOPEN_FAILED] = {"reopen_failed",    NU_COUNTER, NULL, "Files that rotation could not reopen"    },
};
const struct nu_stat_group nu_logfile_stats =
    NU_STAT_GROUP("filesystem", "Log files; their figures are common to all.", defs);

struct part {
    alignas(64) struct nu_list dirty; /* in its shard's list */
    struct nu_logfile *file;
    char *data; /* PART_BYTES while dirty, else NULL */
    size_t len;
};

struct nu_logfile {
    struct nu_list link; /* in `files` */
    char *path;
    unsigned refs;        /* under the lock */
    int fd;               /* for life: reopening puts another file behind it */
    bool standard;        /* /dev/stdout, /dev/stderr */
    bool private;         /* for its owner's eyes */
    _Atomic bool regular; /* never makes a writer wait for a reader */
    _Atomic bool torn;    /* the last line in it was cut by an error */
    struct part parts[];
};

struct shard {
    alignas(64) struct nu_list dirty;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards files and refs */
static struct nu_list files = {&files, &files};
static struct shard *shards;
static unsigned shard_count;
static struct nu_stats *stats;

void nu_logfiles_init(unsigned count)
{
    nu_assert(count > 0 && (!shards || count == shard_count));
    if (shards)
        return;
    shards = aligned_alloc(alignof(struct shard), count * sizeof *shards);
    nu_assert(shards != NULL);
    for (unsigned i = 0; i < count; i++)
        nu_list_init(&shards[i].dirty);
    shard_count = count;
    stats = nu_stats_get(&nu_logfile_stats, "filesystem");
}

/* True if nobody else can read the open file now; errno says what hinders. Pipes and terminals are
 * as they are. */
static bool make_private(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return false;
    if (!S_ISREG(st.st_mode))
        return true;
    if (st.st_uid != geteuid()) {
        errno = EPERM;
        return false;
    }
    return (st.st_mode & 077) == 0 || fchmod(fd, PRIVATE) == 0;
}

/* The descriptor, or -1: it cannot be made private. */
static int only_private(int fd)
{
    if (fd < 0 || make_private(fd))
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* O_NONBLOCK matters for pipes only: a reader that sleeps must not stop traffic. */
static int open_path(const char *path, bool private)
{
    if (strcmp(path, "/dev/stdout") == 0)
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (strcmp(path, "/dev/stderr") == 0)
        return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = open(path, flags, private ? PRIVATE : FILE_MODE);
    return private ? only_private(fd) : fd;
}

static bool is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static struct nu_logfile *file_new(const char *path, int fd, bool private)
{
    size_t bytes = sizeof(struct nu_logfile) + shard_count * sizeof(struct part);
    struct nu_logfile *file = aligned_alloc(alignof(struct nu_logfile), bytes);
    nu_assert(file != NULL);
    memset(file, 0, bytes);
    file->path = strdup(path);
    nu_assert(file->path != NULL);
    file->fd = fd;
    file->private = private;
    file->standard = strncmp(path, "/dev/std", 8) == 0;
    file->regular = is_regular(fd);
    for (unsigned i = 0; i < shard_count; i++)
        file->parts[i].file = file;
    nu_list_add_tail(&files, &file->link);
    return file;
}

static struct nu_logfile *file_find(const char *path)
{
    nu_list_each (it, &files) {
        struct nu_logfile *file = nu_container(it, struct nu_logfile, link);
        if (strcmp(file->path, path) == 0)
            return file;
    }
    return NULL;
}

/* The open file of that path, or a new one; NULL with errno. */
static struct nu_logfile *find_or_open(const char *path, bool private)
{
    struct nu_logfile *file = file_find(path);
    if (file && file->private != private) {
        errno = EEXIST;
        return NULL;
    }
    if (file)
        return file;
    int fd = open_path(path, private);
    return fd < 0 ? NULL : file_new(path, fd, private);
}

static enum nu_err open_file(struct nu_logfile **out, const char *path, bool private)
{
    nu_assert(shards && path[0] == '/');
    pthread_mutex_lock(&lock);
    *out = find_or_open(path, private);
    if (*out)
        (*out)->refs++;
    pthread_mutex_unlock(&lock);
    return *out ? NU_OK : NU_ERR_SYSTEM;
}

enum nu_err nu_logfile_open(struct nu_logfile **out, const char *path)
{
    return open_file(out, path, false);
}

enum nu_err nu_logfile_open_private(struct nu_logfile **out, const char *path)
{
    return open_file(out, path, true);
}

void nu_logfile_put(struct nu_logfile *file)
{
    if (!file)
        return;
    pthread_mutex_lock(&lock);
    nu_assert(file->refs > 0);
    bool last = --file->refs == 0;
    if (last)
        nu_list_del(&file->link);
    pthread_mutex_unlock(&lock);
    if (!last)
        return;
    close(file->fd);
    free(file->path);
    free(file);
}

const char *nu_logfile_path(const struct nu_logfile *file)
{
    return file->path;
}

/* A pipe or terminal takes whole lines of up to PIPE_BUF at a time: what poll promised room for. */
static size_t chunk_len(const char *data, size_t len)
{
    if (len <= PIPE_BUF)
        return len;
    const char *end = memrchr(data, '\n', PIPE_BUF);
    if (!end)
        end = memchr(data, '\n', len);
    return end ? (size_t)(end + 1 - data) : len;
}

/* Writes some of it: bytes, or -1 with errno. */
static ssize_t write_some(struct nu_logfile *file, const char *data, size_t len)
{
    if (!atomic_load_explicit(&file->regular, memory_order_relaxed)) {
        struct pollfd p = {.fd = file->fd, .events = POLLOUT};
        if (poll(&p, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        len = chunk_len(data, len);
    }
    ssize_t n;
    do
        n = write(file->fd, data, len);
    while (n < 0 && errno == EINTR);
    return n;
}

static void lost(struct nu_logfile *file, unsigned shard, const char *data, size_t len)
{
    int cause = errno;
    int64_t lines = 0;
    for (const char *p = data, *end = data + len; p < end; p++)
        lines += *p == '\n';
    nu_stat_add(stats, shard, FAILED, 1);
    nu_stat_add(stats, shard, LINES_LOST, lines);
    nu_log_limited(NU_LOG_ERROR, "log",
                   "cannot write log file path=%s lines_lost=%lld error=\"%s\"", file->path,
                   (long long)lines, strerror(cause));
}

static void write_all(struct nu_logfile *file, unsigned shard, const char *data, size_t len)
{
    const char *at = data, *end = data + len;
    if (atomic_exchange_explicit(&file->torn, false, memory_order_relaxed) &&
        write_some(file, "\n", 1) != 1)
        atomic_store_explicit(&file->torn, true, memory_order_relaxed);
    while (at < end) {
        ssize_t n = write_some(file, at, (size_t)(end - at));
        if (n <= 0)
            break;
        at += n;
    }
    if (at == end) {
        nu_stat_add(stats, shard, COMPLETED, 1);
        return;
    }
    if (at > data && at[-1] != '\n')
        atomic_store_explicit(&file->torn, true, memory_order_relaxed);
    lost(file, shard, at, (size_t)(end - at));
}

static void part_start(struct part *part, unsigned shard)
{
    pthread_mutex_lock(&lock);
    part->file->refs++;
    pthread_mutex_unlock(&lock);
    part->data = malloc(PART_BYTES);
    nu_assert(part->data != NULL);
    nu_list_add_tail(&shards[shard].dirty, &part->dirty);
}

void nu_logfile_write(struct nu_logfile *file, unsigned shard, const char *line, size_t len)
{
    struct part *part = &file->parts[shard];
    nu_assert(shard < shard_count && len <= NU_LOG_LINE_MAX);
    if (!part->data)
        part_start(part, shard);
    memcpy(part->data + part->len, line, len);
    part->len += len;
    nu_stat_add(stats, shard, BUFFERED, 1);
    if (part->len < NU_LOGFILE_FLUSH_BYTES)
        return;
    write_all(file, shard, part->data, part->len);
    part->len = 0;
}

bool nu_logfile_pending(unsigned shard)
{
    return shards && !nu_list_empty(&shards[shard].dirty);
}

void nu_logfile_flush_shard(unsigned shard)
{
    if (!shards)
        return;
    for (struct nu_list *it; (it = nu_list_pop(&shards[shard].dirty)) != NULL;) {
        struct part *part = nu_container(it, struct part, dirty);
        if (part->len) {
            write_all(part->file, shard, part->data, part->len);
            nu_stat_add(stats, shard, BY_TIMER, 1);
        }
        free(part->data);
        part->data = NULL;
        part->len = 0;
        nu_logfile_put(part->file);
    }
}

static bool reopen(struct nu_logfile *file)
{
    int fd = open_path(file->path, file->private), r = -1;
    if (fd >= 0) {
        do
            r = dup3(fd, file->fd, O_CLOEXEC);
        while (r < 0 && (errno == EINTR || errno == EBUSY));
        if (r >= 0)
            file->regular = is_regular(fd);
        close(fd);
    }
    if (r >= 0) {
        file->torn = false;
        return true;
    }
    nu_stat_add(stats, shard_count - 1, REOPEN_FAILED, 1);
    nu_log(NU_LOG_ERROR, "log", "cannot reopen log file path=%s error=\"%m\"", file->path);
    return false;
}

unsigned nu_logfile_reopen_all(void)
{
    unsigned failed = 0;
    pthread_mutex_lock(&lock);
    nu_list_each (it, &files) {
        struct nu_logfile *file = nu_container(it, struct nu_logfile, link);
        if (!file->standard)
            failed += !reopen(file);
    }
    pthread_mutex_unlock(&lock);
    return failed;
}
