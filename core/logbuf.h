/* A capped byte buffer that one log line is written into, and the writers for what log lines are
 * made of: bytes, numbers, addresses. No printf, no allocation once it has grown.
 *
 * One per worker, reused for every line. Whatever does not fit below `limit` is cut and marked. */
#ifndef NU_CORE_LOGBUF_H
#define NU_CORE_LOGBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nu_addr;

#define NU_LOG_LINE_MAX                                                                            \
    (16 * 1024)                 /* bytes a line, its newline included: a peer sizes the values */
#define NU_LOG_TIME_MAX      64 /* bytes of a formatted time; also what fits an uint8_t */
#define NU_LOG_FRACTIONS_MAX 4  /* %f in one time format; one is usual */

struct nu_logbuf {
    char *data; /* not NUL-terminated */
    size_t len, cap;
    size_t limit; /* bytes that may be used now; 0 = NU_LOG_LINE_MAX */
    bool cut;     /* something did not fit since nu_logbuf_reset */
    /* The second that was formatted last (logtime.c): lines of one second share its text. */
    struct {
        uint64_t id; /* of the time format; 0 = none */
        int64_t second;
        uint8_t len;
        uint8_t fraction_at[NU_LOG_FRACTIONS_MAX];
        char text[NU_LOG_TIME_MAX];
    } time;
};

/* A zeroed struct is an empty buffer. Reset keeps the memory, free gives it back. */
void nu_logbuf_reset(struct nu_logbuf *buf);
void nu_logbuf_free(struct nu_logbuf *buf);

/* Append raw, as much as fits; operators need not escape, logfmt does it behind them. */
void nu_logbuf_add(struct nu_logbuf *buf, const void *bytes, size_t len);
void nu_logbuf_str(struct nu_logbuf *buf, const char *text);
void nu_logbuf_char(struct nu_logbuf *buf, char c);
void nu_logbuf_u64(struct nu_logbuf *buf, uint64_t value);
void nu_logbuf_i64(struct nu_logbuf *buf, int64_t value);
/* "1.2.3.4:80" or without the port; as nu_addr_str, but without its printf for IPv4. */
void nu_logbuf_addr(struct nu_logbuf *buf, const struct nu_addr *addr, bool port);

#endif
