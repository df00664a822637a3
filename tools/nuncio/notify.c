/* Messages to systemd; see notify.h. Datagrams of NAME=VALUE lines. What cannot be sent is lost:
 * systemd then does what it does for a silent service, and traffic never waits for it. */
#include "tools/nuncio/notify.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX   512   /* bytes: a few lines of ours */
#define STOP_SPARE_MS 10000 /* beyond the drain: the cut, the last log lines, the threads' ends */
#define LEAST_MS      1     /* between two signs of life, however short the watchdog */

static struct {
    int fd; /* -1: nobody listens */
    struct sockaddr_un to;
    socklen_t to_len;
    int64_t every_ms; /* between two signs of life; 0 = none are wanted */
    struct nu_timer timer;
    bool watched;
} notify = {.fd = -1};

/* A path, or an abstract name ("@" for its NUL). */
static bool set_target(const char *name)
{
    size_t len = strlen(name);
    if ((*name != '/' && *name != '@') || len >= sizeof notify.to.sun_path)
        return false;
    notify.to.sun_family = AF_UNIX;
    memcpy(notify.to.sun_path, name, len);
    if (*name == '@')
        notify.to.sun_path[0] = 0;
    notify.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*name == '/'));
    return true;
}

/* Half of the time that systemd waits, if it is this process that it waits for. */
static int64_t watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    long long n = strtoll(usec, NULL, 10);
    if (n <= 0)
        return 0;
    return n / 2000 > LEAST_MS ? n / 2000 : LEAST_MS;
}

void nu_notify_init(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (!name || !*name)
        return;
    if (!set_target(name)) {
        nu_log(NU_LOG_WARN, "server", "cannot notify: NOTIFY_SOCKET is not a UNIX socket's path");
        return;
    }
    notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    nu_assert(notify.fd >= 0);
    notify.every_ms = watchdog_ms();
}

void nu_notify_free(void)
{
    if (notify.fd >= 0)
        close(notify.fd);
    notify.fd = -1;
}

static void send_text(const char *text)
{
    if (notify.fd < 0)
        return;
    if (sendto(notify.fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&notify.to,
               notify.to_len) < 0)
        nu_log_limited(NU_LOG_WARN, "server", "cannot notify the service manager error=\"%s\"",
                       strerror(errno));
}

void nu_notify_ready(const char *fmt, ...)
{
    char text[MESSAGE_MAX] = "READY=1\nSTATUS=";
    size_t len = strlen(text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + len, sizeof text - len, fmt, ap);
    va_end(ap);
    send_text(text);
}

void nu_notify_reloading(void)
{
    char text[MESSAGE_MAX];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    send_text(text);
}

void nu_notify_stopping(int64_t most_ms)
{
    char text[MESSAGE_MAX];
    snprintf(text, sizeof text,
             "STOPPING=1\nSTATUS=draining, for %lld s at most\nEXTEND_TIMEOUT_USEC=%lld",
             (long long)(most_ms + 999) / 1000, (long long)(most_ms + STOP_SPARE_MS) * 1000);
    send_text(text);
}

/* --- signs of life --- */

static void here(struct nu_worker *worker, void *arg)
{
}

/* Every worker has run a post since the timer fired. */
static void all_answered(void *ctx)
{
    struct nu_loop *loop = &nu_worker_main()->loop;
    if (!notify.watched)
        return;
    send_text("WATCHDOG=1");
    nu_timer_arm(&loop->timers, &notify.timer, loop->now_ms + notify.every_ms);
}

static void ask_all(struct nu_timer *timer)
{
    nu_workers_all(here, NULL, all_answered, NULL);
}

void nu_notify_watch(void)
{
    notify.watched = notify.fd >= 0 && notify.every_ms > 0;
    notify.timer.fn = ask_all;
    if (notify.watched)
        ask_all(NULL);
}

void nu_notify_unwatch(void)
{
    if (notify.watched)
        nu_timer_disarm(&nu_worker_main()->loop.timers, &notify.timer);
    notify.watched = false;
}
