/* The program's own log on stderr: time, level, component, message, key=value. Any thread; one
 * write a line. Never on the hot path, never anything secret. Bytes of peers are escaped. */
#ifndef NU_CORE_LOG_H
#define NU_CORE_LOG_H

#include <stddef.h>

enum nu_log_level { NU_LOG_DEBUG, NU_LOG_INFO, NU_LOG_WARN, NU_LOG_ERROR };
const char *nu_log_level_str(enum nu_log_level level);

void nu_log_set_level(enum nu_log_level level);
enum nu_log_level nu_log_get_level(void);
/* Tests catch lines here instead of stderr, without newline, one at a time; NULL = stderr again.
 * The sink must not log. */
void nu_log_set_sink(void (*sink)(const char *line, void *ctx), void *ctx);

/* `component`: "listener", "cluster". The message is a short sentence, then key=value pairs in the
 * format. */
void nu_log(enum nu_log_level level, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* `text` as a value: as it is, or in quotes where it is empty or has blanks, quotes or backslashes
 * in it (those escaped). NULL is "-". What does not fit `size` is cut; returns buf. */
const char *nu_log_quote(char *buf, size_t size, const char *text);
#define NU_LOG_QUOTE_MAX 512 /* bytes of buf that suit names and paths */

/* The same as nu_log at most once a second for each call site; the next line says how many were
 * held back. */
#define nu_log_limited(level, component, ...) NU_LOG_LIMITED(1, 1, level, component, __VA_ARGS__)
/* The same for lines of which each one counts: NU_LOG_BURST at once, then NU_LOG_RATE a second. A
 * reader gets every one unless somebody makes them in masses. */
#define nu_log_each(level, component, ...)                                                         \
    NU_LOG_LIMITED(NU_LOG_BURST, NU_LOG_RATE, level, component, __VA_ARGS__)
#define NU_LOG_BURST 500 /* lines: a second or two of a busy server's failures, some 200 KiB */
#define NU_LOG_RATE  50  /* lines a second: 20 KiB/s as long as a flood lasts */

#define NU_LOG_LIMITED(burst, rate, level, component, ...)                                         \
    do {                                                                                           \
        static struct nu_log_limit limit_;                                                         \
        if (nu_log_allowed(&limit_, burst, rate))                                                  \
            nu_log_held(&limit_, level, component, __VA_ARGS__);                                   \
    } while (0)

struct nu_log_limit {
    _Atomic long spent_ms; /* up to when, on the clock, the rate is used up */
    _Atomic unsigned held;
};
/* The two halves of it. Any thread. */
int nu_log_allowed(struct nu_log_limit *limit, unsigned burst, unsigned rate);
void nu_log_held(struct nu_log_limit *limit, enum nu_log_level level, const char *component,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
