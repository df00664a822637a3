/* Compiled time formats; see logtime.h. A format is a list of pieces: strftime text, the epoch, or
 * a fraction. The text of a second is kept in the line buffer, and only its fractions are filled in
 * anew for the lines of that second. */
#include "core/logtime.h"

#include "core/assert.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ISO_MS     "%Y-%m-%dT%H:%M:%S.%3fZ"
#define PIECES_MAX 16 /* cuts in a time format; ISO_MS has three */

enum piece_kind { STRFTIME, EPOCH, FRACTION };

struct piece {
    enum piece_kind kind;
    uint8_t width;    /* FRACTION: digits */
    const char *text; /* STRFTIME: its format */
};

struct time_format {
    uint64_t id; /* never used twice, so that a cached second cannot be another format's */
    unsigned count;
    struct piece pieces[PIECES_MAX];
};

/* Renders the whole of `second`, fractions as zeros, into the buffer's cache. False: too long. */
static bool render(struct nu_logbuf *buf, const struct time_format *format, int64_t second)
{
    struct tm tm;
    time_t t = (time_t)second;
    size_t n = 0, size = sizeof buf->time.text;
    unsigned fractions = 0;
    if (!gmtime_r(&t, &tm))
        return false;
    tm.tm_zone = "UTC";
    for (unsigned i = 0; i < format->count && n < size; i++) {
        const struct piece *piece = &format->pieces[i];
        if (piece->kind == FRACTION)
            buf->time.fraction_at[fractions++] = (uint8_t)n;
        size_t add = piece->kind == STRFTIME
                         ? strftime(buf->time.text + n, size - n, piece->text, &tm)
                         : (size_t)snprintf(buf->time.text + n, size - n, "%0*lld", piece->width,
                                            piece->kind == EPOCH ? (long long)second : 0LL);
        if (add == 0 || add >= size - n)
            return false;
        n += add;
    }
    buf->time.len = (uint8_t)n;
    buf->time.id = format->id;
    buf->time.second = second;
    return true;
}

static void fill_fraction(char *at, unsigned width, uint32_t nanos)
{
    for (unsigned skip = width; skip < 9; skip++)
        nanos /= 10;
    for (unsigned i = width; i-- > 0; nanos /= 10)
        at[i] = (char)('0' + nanos % 10);
}

static void put_time(struct nu_logbuf *buf, const struct time_format *format, int64_t second,
                     int64_t nanos)
{
    bool cached = buf->time.id == format->id && buf->time.second == second;
    if (!cached && !render(buf, format, second)) {
        buf->time.id = 0;
        return;
    }
    unsigned fractions = 0;
    for (unsigned i = 0; i < format->count; i++)
        if (format->pieces[i].kind == FRACTION)
            fill_fraction(buf->time.text + buf->time.fraction_at[fractions++],
                          format->pieces[i].width, (uint32_t)nanos);
    nu_logbuf_add(buf, buf->time.text, buf->time.len);
}

void nu_logbuf_time(struct nu_logbuf *buf, const void *prepared, int64_t ns)
{
    int64_t second = ns / 1000000000, nanos = ns % 1000000000;
    if (nanos < 0) {
        second--;
        nanos += 1000000000;
    }
    put_time(buf, prepared, second, nanos);
}

void nu_logbuf_time_s(struct nu_logbuf *buf, const void *prepared, int64_t second)
{
    put_time(buf, prepared, second, 0);
}

/* A conversion that starts at `p` ('%'): its length, and what it is; 0 where strftime would not
 * know it or write another line. */
static size_t conversion(const char *p, struct piece *piece)
{
    size_t n = 1;
    *piece = (struct piece){.kind = STRFTIME};
    if (p[1] >= '1' && p[1] <= '9' && p[2] == 'f') {
        *piece = (struct piece){.kind = FRACTION, .width = (uint8_t)(p[1] - '0')};
        return 3;
    }
    if (p[1] == 'f' || p[1] == 's') {
        bool epoch = p[1] == 's';
        *piece = (struct piece){.kind = epoch ? EPOCH : FRACTION, .width = epoch ? 1 : 9};
        return 2;
    }
    n += strspn(p + n, "_-0^#");
    return p[n] && strchr("aAbBcCdDeFgGhHIjklmMprRSTuUVwWxXyYzZ%", p[n]) ? n + 1 : 0;
}

static bool add_piece(struct time_format *format, struct piece piece)
{
    if (format->count == PIECES_MAX)
        return false;
    format->pieces[format->count++] = piece;
    return true;
}

static const char *split(struct time_format *format, struct nu_arena *arena, const char *text)
{
    unsigned fractions = 0;
    const char *from = text, *p = text;
    for (;;) {
        struct piece piece = {.kind = STRFTIME};
        size_t len = *p == '%' ? conversion(p, &piece) : 1;
        if (!len)
            return nu_arena_printf(arena, "unknown time conversion \"%.2s\"", p);
        if (*p && piece.kind == STRFTIME) {
            p += len;
            continue;
        }
        struct piece before = {.text = nu_arena_strndup(arena, from, (size_t)(p - from))};
        if ((p > from && !add_piece(format, before)) || (*p && !add_piece(format, piece)))
            return "the time format has too many parts";
        fractions += *p && piece.kind == FRACTION;
        if (fractions > NU_LOG_FRACTIONS_MAX)
            return "the time format has too many fractions";
        if (!*p)
            return NULL;
        from = p += len;
    }
}

enum nu_err nu_logtime_prepare(struct nu_arena *arena, const char *arg, const void **out,
                               const char **error)
{
    static _Atomic uint64_t ids;
    struct nu_logbuf scratch = {.data = NULL};
    struct time_format *format = nu_arena_alloc(arena, sizeof *format);
    *out = NULL;
    format->id = atomic_fetch_add(&ids, 1) + 1;
    *error = split(format, arena, arg ? arg : ISO_MS);
    /* A Wednesday in September is as long as a date gets. */
    if (!*error && (format->count == 0 || !render(&scratch, format, 1695859199)))
        *error = nu_arena_printf(arena, "the time format is empty or gives more than %d bytes",
                                 NU_LOG_TIME_MAX - 1);
    if (*error)
        return NU_ERR_CONFIG;
    *out = format;
    return NU_OK;
}
