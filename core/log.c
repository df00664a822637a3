/* The program's own log; see log.h. A line is put together on the stack and leaves in one write, so
 * that lines of several threads never mix; a write that fails is lost, there is nobody to tell. */
#include "core/log.h"

#include "core/escape.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096 /* of a line as written: a pipe takes it in one piece (PIPE_BUF) */

static _Atomic int threshold = NU_LOG_INFO;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*sink_fn)(const char *line, void *ctx);
static void *sink_ctx;

const char *nu_log_level_str(enum nu_log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return (unsigned)level < sizeof names / sizeof *names ? names[level] : "?";
}

void nu_log_set_level(enum nu_log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum nu_log_level nu_log_get_level(void)
{
    return (enum nu_log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

void nu_log_set_sink(void (*sink)(const char *line, void *ctx), void *ctx)
{
    pthread_mutex_lock(&sink_lock);
    sink_fn = sink;
    sink_ctx = ctx;
    pthread_mutex_unlock(&sink_lock);
}

/* Copies what prints, other bytes as \xHH, until `room` is used up. */
static size_t copy_safe(char *to, size_t room, const char *from, size_t len)
{
    size_t n = 0;
    for (size_t step; len; from += step, len -= step) {
        uint32_t code;
        step = nu_utf8_decode(from, len, &code);
        bool prints = step && code >= 0x20 && !(code >= 0x7f && code < 0xa0);
        if (!step)
            step = 1;
        if (room - n < (prints ? step : 4 * step))
            break;
        for (size_t i = 0; i < step; i++)
            if (prints)
                to[n++] = from[i];
            else
                n += (size_t)snprintf(to + n, 5, "\\x%02x", (unsigned char)from[i]);
    }
    return n;
}

static size_t put_head(char *line, size_t size, enum nu_log_level level, const char *component)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
    int more = snprintf(line + n, size - n, ".%03ldZ %-5s %-9s ", now.tv_nsec / 1000000,
                        nu_log_level_str(level), component);
    return more > 0 && (size_t)more < size - n ? n + (size_t)more : n;
}

static void emit(char *line, size_t len)
{
    pthread_mutex_lock(&sink_lock);
    void (*fn)(const char *, void *) = sink_fn;
    if (fn) {
        line[len] = 0;
        fn(line, sink_ctx);
    }
    pthread_mutex_unlock(&sink_lock);
    if (fn)
        return;
    line[len] = '\n';
    while (write(STDERR_FILENO, line, len + 1) < 0 && errno == EINTR)
        ;
}

__attribute__((format(printf, 4, 0))) static void log_line(enum nu_log_level level,
                                                           const char *component, unsigned held,
                                                           const char *fmt, va_list ap)
{
    int saved = errno;
    char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    if (n < 0)
        raw[0] = 0;
    if (held && n >= 0 && (size_t)n < sizeof raw)
        snprintf(raw + n, sizeof raw - (size_t)n, " held_back=%u", held);
    size_t len = put_head(line, sizeof line / 2, level, component);
    len += copy_safe(line + len, sizeof line - 1 - len, raw, strlen(raw));
    emit(line, len);
    errno = saved;
}

void nu_log(enum nu_log_level level, const char *component, const char *fmt, ...)
{
    if (level < nu_log_get_level())
        return;
    va_list ap;
    va_start(ap, fmt);
    log_line(level, component, 0, fmt, ap);
    va_end(ap);
}

const char *nu_log_quote(char *buf, size_t size, const char *text)
{
    size_t n = 0;
    if (!text || (*text && !strpbrk(text, " \t\n\"\\="))) {
        snprintf(buf, size, "%s", text ? text : "-");
        return buf;
    }
    if (size < sizeof "\"\"")
        return memset(buf, 0, size);
    buf[n++] = '"';
    for (; *text; text++) {
        bool escape = *text == '"' || *text == '\\';
        if (n + escape + 1 + sizeof "\"" > size)
            break;
        if (escape)
            buf[n++] = '\\';
        buf[n++] = *text;
    }
    buf[n++] = '"';
    buf[n] = 0;
    return buf;
}

/* Each line uses up 1/rate seconds of the clock; `burst` of them may be used up in advance. */
int nu_log_allowed(struct nu_log_limit *limit, unsigned burst, unsigned rate)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long now_ms = (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    long a_line_ms = 1000 / (long)rate, spent = atomic_load(&limit->spent_ms), from;
    do {
        from = spent > now_ms ? spent : now_ms;
        if (from + a_line_ms > now_ms + (long)burst * a_line_ms) {
            atomic_fetch_add(&limit->held, 1);
            return 0;
        }
    } while (!atomic_compare_exchange_weak(&limit->spent_ms, &spent, from + a_line_ms));
    return 1;
}

void nu_log_held(struct nu_log_limit *limit, enum nu_log_level level, const char *component,
                 const char *fmt, ...)
{
    unsigned held = atomic_exchange(&limit->held, 0);
    if (level < nu_log_get_level())
        return;
    va_list ap;
    va_start(ap, fmt);
    log_line(level, component, held, fmt, ap);
    va_end(ap);
}
