/* The line buffer; see logbuf.h. */
#include "core/logbuf.h"

#include "core/addr.h"
#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 512 /* most lines are shorter; doubled up to the limit */

void nu_logbuf_reset(struct nu_logbuf *buf)
{
    buf->len = 0;
    buf->limit = 0;
    buf->cut = false;
}

void nu_logbuf_free(struct nu_logbuf *buf)
{
    free(buf->data);
    *buf = (struct nu_logbuf){.data = NULL};
}

static void grow(struct nu_logbuf *buf, size_t need)
{
    size_t cap = buf->cap ? buf->cap : FIRST_BYTES;
    while (cap < need)
        cap *= 2;
    buf->data = realloc(buf->data, cap);
    nu_assert(buf->data != NULL);
    buf->cap = cap;
}

void nu_logbuf_add(struct nu_logbuf *buf, const void *bytes, size_t len)
{
    size_t limit = buf->limit ? buf->limit : NU_LOG_LINE_MAX;
    size_t room = limit > buf->len ? limit - buf->len : 0;
    if (len > room) {
        len = room;
        buf->cut = true;
    }
    if (!len)
        return;
    if (buf->cap - buf->len < len)
        grow(buf, buf->len + len);
    memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
}

void nu_logbuf_str(struct nu_logbuf *buf, const char *text)
{
    nu_logbuf_add(buf, text, strlen(text));
}

void nu_logbuf_char(struct nu_logbuf *buf, char c)
{
    nu_logbuf_add(buf, &c, 1);
}

/* Digits of `value` that end at `end`; returns where they begin. */
static char *digits_before(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

void nu_logbuf_u64(struct nu_logbuf *buf, uint64_t value)
{
    char digits[20], *end = digits + sizeof digits, *at = digits_before(end, value);
    nu_logbuf_add(buf, at, (size_t)(end - at));
}

void nu_logbuf_i64(struct nu_logbuf *buf, int64_t value)
{
    char digits[21], *end = digits + sizeof digits;
    char *at = digits_before(end, value < 0 ? -(uint64_t)value : (uint64_t)value);
    if (value < 0)
        *--at = '-';
    nu_logbuf_add(buf, at, (size_t)(end - at));
}

/* A peer may name a UNIX path (PROXY header): its spaces must not look like the next field. */
static void add_path(struct nu_logbuf *buf, const char *text)
{
    for (size_t n; *text; text += n + (text[n] == ' ')) {
        n = strcspn(text, " ");
        nu_logbuf_add(buf, text, n);
        if (text[n] == ' ')
            nu_logbuf_str(buf, "%20");
    }
}

void nu_logbuf_addr(struct nu_logbuf *buf, const struct nu_addr *addr, bool port)
{
    char text[NU_ADDR_TEXT_MAX];
    if (addr->kind == NU_ADDR_UNIX) {
        add_path(buf, nu_addr_str(addr, text));
        return;
    }
    if (addr->kind != NU_ADDR_IP4) {
        nu_logbuf_str(buf, port ? nu_addr_str(addr, text) : nu_addr_str_ip(addr, text));
        return;
    }
    char *end = text + sizeof text, *at = end;
    if (port) {
        at = digits_before(at, addr->port);
        *--at = ':';
    }
    for (int i = 3; i >= 0; i--) {
        at = digits_before(at, addr->ip[i]);
        if (i)
            *--at = '.';
    }
    nu_logbuf_add(buf, at, (size_t)(end - at));
}
