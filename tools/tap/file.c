/* Capture files; see file.h. */
#include "tools/tap/file.h"

#include "core/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_BYTES (256u * 1024) /* read at once; grows for a large block, and stays */
#define IDLE_PACKETS 4096          /* between two looks at the clock */
#define PROGRESS_MS  200
#define WAIT_MS      100 /* between two looks at key logs while nothing comes */
#define NS_PER_MS    INT64_C(1000000)

struct reader {
    const struct tap_file_job *job;
    struct tap *tap;
    struct nu_capture *capture;
    uint8_t *window;
    size_t at, len, cap;
    uint64_t offset, size; /* of the file; size 0 = not known */
    uint64_t packets;
    int64_t shown_ms;
    bool waits;        /* it is no regular file */
    int64_t last_ns;   /* the time of the last packet */
    int64_t waited_ms; /* since it came, at least */
    bool failed;       /* reading did */
};

int tap_file_open(const char *path)
{
    return strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
}

/* --- the window --- */

static void make_space(struct reader *r, size_t wants)
{
    if (r->at)
        memmove(r->window, r->window + r->at, r->len - r->at);
    r->len -= r->at;
    r->at = 0;
    if (wants < WINDOW_BYTES)
        wants = WINDOW_BYTES;
    if (r->cap >= wants)
        return;
    r->window = realloc(r->window, wants);
    nu_assert(r->window != NULL);
    r->cap = wants;
}

/* Who writes into a pipe may take its time; meanwhile key logs grow, and connections are over. */
static void await_bytes(struct reader *r)
{
    struct pollfd readable = {.fd = r->job->fd, .events = POLLIN};
    while (r->waits && !*r->job->stop && poll(&readable, 1, WAIT_MS) <= 0) {
        r->waited_ms += WAIT_MS;
        if (r->last_ns)
            tap_tick(r->tap, r->last_ns + r->waited_ms * NS_PER_MS);
        r->job->idle(r->job->idle_ctx);
    }
}

/* At least `wants` bytes from `at` on. False: the file has no more. */
static bool fill(struct reader *r, size_t wants)
{
    make_space(r, wants);
    while (r->len < wants && !*r->job->stop) {
        await_bytes(r);
        if (*r->job->stop) /* perhaps while nothing was there: no read that would wait for it */
            return false;
        ssize_t n = read(r->job->fd, r->window + r->len, r->cap - r->len);
        if (n > 0) {
            r->len += (size_t)n;
            r->offset += (uint64_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "nuncio-tap: %s: cannot read: %s\n", r->job->path, strerror(errno));
            r->failed = true;
        }
        return false;
    }
    return r->len >= wants;
}

/* --- how far it is --- */

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

static void show_progress(struct reader *r)
{
    int64_t ms = now_ms();
    if (!r->job->progress || r->size < TAP_PROGRESS_FROM || ms - r->shown_ms < PROGRESS_MS)
        return;
    r->shown_ms = ms;
    fflush(stdout);
    fprintf(stderr, "\r%3u%%  %" PRIu64 " packets\033[K", (unsigned)(r->offset * 100 / r->size),
            r->packets);
}

static void end_progress(const struct reader *r)
{
    if (r->shown_ms)
        fputs("\r\033[K", stderr);
}

/* --- events --- */

static void take_packet(struct reader *r, const struct nu_capture_event *ev)
{
    if (++r->packets % IDLE_PACKETS == 0) {
        show_progress(r);
        r->job->idle(r->job->idle_ctx);
    }
    if (!tap_bpf_passes(r->job->bpf, ev))
        return;
    r->last_ns = ev->time_ns;
    r->waited_ms = 0;
    struct nu_capture_event packet = *ev;
    packet.len = ev->len < r->job->snaplen ? ev->len : r->job->snaplen;
    tap_packet(r->tap, &packet);
}

static void take_secrets(struct reader *r, const struct nu_capture_event *ev)
{
    if (ev->kind == NU_CAPTURE_SECRETS)
        tap_add_secrets(r->tap, (struct nu_piece){ev->data, ev->len});
}

static void take_all(struct reader *r, const struct nu_capture_event *ev)
{
    if (ev->kind == NU_CAPTURE_PACKET)
        take_packet(r, ev);
    else
        take_secrets(r, ev);
}

typedef void take_fn(struct reader *r, const struct nu_capture_event *ev);

/* NU_MORE: to its end. */
static enum nu_err each(struct reader *r, take_fn *take)
{
    enum nu_err err = NU_OK;
    while (!*r->job->stop) {
        struct nu_capture_event ev;
        size_t used;
        err = nu_capture_next(r->capture, r->window + r->at, r->len - r->at, &used, &ev);
        r->at += used;
        if (err == NU_OK)
            take(r, &ev);
        else if (err != NU_MORE || !fill(r, nu_capture_wants(r->capture)))
            break;
    }
    return err;
}

/* --- files --- */

static void begin(struct reader *r, const struct tap_file_job *job, struct tap *tap)
{
    struct stat st;
    *r = (struct reader){.job = job, .tap = tap, .capture = nu_capture_new()};
    if (fstat(job->fd, &st) == 0 && S_ISREG(st.st_mode))
        r->size = (uint64_t)st.st_size;
    else
        r->waits = true;
    make_space(r, WINDOW_BYTES);
}

static void end(struct reader *r)
{
    nu_capture_free(r->capture);
    free(r->window);
}

static void go_back(const struct tap_file_job *job)
{
    if (lseek(job->fd, 0, SEEK_SET) != 0)
        fprintf(stderr, "nuncio-tap: %s: cannot go back: %s\n", job->path, strerror(errno));
}

void tap_file_secrets(const struct tap_file_job *job, struct tap *tap)
{
    static const uint8_t pcapng[4] = {0x0a, 0x0d, 0x0d, 0x0a};
    uint8_t first[4];
    struct reader r;
    if (pread(job->fd, first, sizeof first, 0) != sizeof first || memcmp(first, pcapng, 4) != 0)
        return;
    begin(&r, job, tap);
    each(&r, take_secrets);
    end(&r);
    go_back(job);
}

void tap_file_ahead(const struct tap_file_job *job, struct tap *tap)
{
    struct reader r;
    begin(&r, job, tap);
    each(&r, take_all);
    end_progress(&r);
    end(&r);
    go_back(job);
}

/* What programs like tcpdump -z leave behind. */
static void say_no_capture(const struct reader *r)
{
    static const struct {
        const char *magic, *program;
    } packers[] = {
        {"\x1f\x8b",     "gzip" },
        {"\x28\xb5\x2f", "zstd" },
        {"\xfd\x37\x7a", "xz"   },
        {"BZh",          "bzip2"},
    };
    const char *path = r->job->path;
    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
        size_t len = strlen(packers[i].magic);
        if (r->len - r->at < len || memcmp(r->window + r->at, packers[i].magic, len) != 0)
            continue;
        fprintf(stderr, "nuncio-tap: %s: is packed: %s -dc %s | nuncio-tap -r -\n", path,
                packers[i].program, path);
        return;
    }
    fprintf(stderr, "nuncio-tap: %s: is no capture: neither pcap nor pcapng\n", path);
}

/* True: it ended as it should. */
static bool judge(const struct reader *r, enum nu_err err)
{
    const char *path = r->job->path;
    size_t left = r->len - r->at;
    if (*r->job->stop || (err == NU_MORE && !r->failed && nu_capture_may_end(r->capture, left)))
        return true;
    if (r->failed)
        return false;
    if (err == NU_MORE && !r->offset)
        fprintf(stderr, "nuncio-tap: %s: is empty\n", path);
    else if (err == NU_NOT_THIS)
        say_no_capture(r);
    else if (err == NU_MORE)
        fprintf(stderr, "nuncio-tap: %s: is cut: it ends within a packet, after %" PRIu64 "\n",
                path, r->packets);
    else
        fprintf(stderr, "nuncio-tap: %s: is damaged after %" PRIu64 " packets: %s\n", path,
                r->packets, nu_capture_error(r->capture));
    return false;
}

bool tap_file_run(const struct tap_file_job *job, struct tap *tap)
{
    struct reader r;
    begin(&r, job, tap);
    enum nu_err err = each(&r, take_all);
    end_progress(&r);
    bool fine = judge(&r, err);
    end(&r);
    return fine;
}
