/* Key logs that grow; see keylog.h. A pipe is as good as a file: nothing here waits. */
#include "tools/tap/keylog.h"

#include "core/assert.h"
#include "tools/tap/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM 65536 /* bytes read at once; a line is much shorter */

struct log {
    int fd;
    size_t len; /* of a line whose end has not come */
    char line[ROOM];
};

struct tap_keylogs {
    struct log *log[TAP_KEYLOGS_MAX];
    unsigned count;
};

struct tap_keylogs *tap_keylogs_new(void)
{
    struct tap_keylogs *logs = calloc(1, sizeof *logs);
    nu_assert(logs != NULL);
    return logs;
}

bool tap_keylogs_open(struct tap_keylogs *logs, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        fprintf(stderr, "nuncio-tap: %s: %s%s\n", path, strerror(errno),
                errno == ENOENT ? " (touch it: what is written to it is read)" : "");
        return false;
    }
    struct log *log = calloc(1, sizeof *log);
    nu_assert(log && logs->count < TAP_KEYLOGS_MAX);
    log->fd = fd;
    logs->log[logs->count++] = log;
    return true;
}

/* Up to the last end of a line; the rest stays, but for a line that there is no room for. */
static void hand_on(struct log *log, struct tap *tap, bool all)
{
    const char *end = memrchr(log->line, '\n', log->len);
    size_t whole = end ? (size_t)(end + 1 - log->line) : log->len == ROOM ? ROOM : 0;
    size_t len = all ? log->len : whole;
    if (!len)
        return;
    tap_add_secrets(tap, (struct nu_piece){(const uint8_t *)log->line, len});
    memmove(log->line, log->line + len, log->len - len);
    log->len -= len;
}

void tap_keylogs_read(struct tap_keylogs *logs, struct tap *tap, bool end)
{
    for (unsigned i = 0; i < logs->count; i++) {
        struct log *log = logs->log[i];
        ssize_t n;
        while ((n = read(log->fd, log->line + log->len, ROOM - log->len)) > 0) {
            log->len += (size_t)n;
            hand_on(log, tap, false);
        }
        hand_on(log, tap, end);
    }
}

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

bool tap_keylogs_again(const struct tap_keylogs *logs, struct tap *tap)
{
    struct log *again = calloc(1, sizeof *again);
    bool files = true;
    nu_assert(again != NULL);
    for (unsigned i = 0; i < logs->count && files; i++) {
        ssize_t n;
        off_t at = 0;
        int fd = logs->log[i]->fd;
        files = is_file(fd);
        while (files && (n = pread(fd, again->line + again->len, ROOM - again->len, at)) > 0) {
            at += n;
            again->len += (size_t)n;
            hand_on(again, tap, false);
        }
        hand_on(again, tap, true);
    }
    free(again);
    return files;
}

void tap_keylogs_free(struct tap_keylogs *logs)
{
    for (unsigned i = 0; logs && i < logs->count; i++) {
        close(logs->log[i]->fd);
        free(logs->log[i]);
    }
    free(logs);
}
