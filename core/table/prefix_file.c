/* Lists of networks from files; what they say is prefix_text.c's. See prefix_file.h. */
#include "core/table/prefix_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void set_fault(struct nu_prefix_fault *fault, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void set_fault(struct nu_prefix_fault *fault, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(fault->what, sizeof fault->what, fmt, ap);
    va_end(ap);
}

/* All of it up to what its size was: more is a change that its watcher hears of. NULL with errno.
 */
static char *read_all(int fd, size_t size, size_t *len)
{
    char *text = malloc(size + 1);
    *len = 0;
    while (text && *len < size) {
        ssize_t n = read(fd, text + *len, size - *len);
        if (n == 0)
            break;
        if (n > 0) {
            *len += (size_t)n;
        } else if (errno != EINTR) {
            free(text);
            return NULL;
        }
    }
    return text;
}

static enum nu_err load(int fd, const struct stat *st, struct nu_cidr_table **out,
                        struct nu_prefix_fault *fault)
{
    size_t len;
    if (!S_ISREG(st->st_mode)) {
        set_fault(fault, "is no regular file");
        return NU_ERR_SYSTEM;
    }
    if (st->st_size > (off_t)NU_PREFIX_FILE_MAX_BYTES) {
        set_fault(fault, "is larger than %u MiB", NU_PREFIX_FILE_MAX_BYTES >> 20);
        return NU_ERR_LIMIT;
    }
    char *text = read_all(fd, (size_t)st->st_size, &len);
    if (!text) {
        set_fault(fault, "cannot be read: %s", strerrordesc_np(errno));
        return NU_ERR_SYSTEM;
    }
    enum nu_err err = nu_prefix_parse(text, len, out, fault);
    free(text);
    return err;
}

enum nu_err nu_prefix_file_load(const char *path, struct nu_cidr_table **out, struct stat *st,
                                struct nu_prefix_fault *fault)
{
    *out = NULL;
    *fault = (struct nu_prefix_fault){0};
    *st = (struct stat){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, st) != 0) {
        set_fault(fault, "cannot be read: %s", strerrordesc_np(errno));
        if (fd >= 0)
            close(fd);
        return NU_ERR_SYSTEM;
    }
    enum nu_err err = load(fd, st, out, fault);
    close(fd);
    return err;
}
