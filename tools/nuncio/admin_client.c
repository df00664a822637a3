/* Asks the admin of a running process; see admin_client.h. */
#include "tools/nuncio/admin_client.h"

#include "core/assert.h"
#include "core/block.h"
#include "protocols/http/h1.h"
#include "tools/nuncio/root.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An answer being read. */
struct answer {
    int fd;
    struct nu_block_pool *pool;
    struct nu_arena *arena;
    struct nu_h1_parser parser;
    unsigned status;
    bool over;
    nu_admin_sink_fn *sink;
    void *ctx;
    char *say;
};

static unsigned fail(char *say, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static unsigned fail(char *say, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(say, NU_ADMIN_SAY_MAX, fmt, ap);
    va_end(ap);
    return 0;
}

static int connect_to(const struct nu_addr *addr)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(addr, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_request(int fd, const struct nu_addr *addr, const char *method, const char *target)
{
    char host[NU_ADDR_TEXT_MAX] = "localhost", *text;
    if (addr->kind != NU_ADDR_UNIX)
        nu_addr_str(addr, host);
    int len = asprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", method,
                       target, host, strcmp(method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
    nu_assert(len > 0);
    bool sent = write_all(fd, text, (size_t)len);
    free(text);
    return sent;
}

static void take(struct answer *a, enum nu_h1_event event, struct nu_h1_out *out)
{
    if (event == NU_H1_HEAD) {
        a->status = out->head->status;
        nu_http_head_drop(out->head);
    } else if (event == NU_H1_DATA) {
        a->sink(a->ctx, out->data.data, out->data.len);
        nu_slice_drop(&out->data);
    } else if (event == NU_H1_END) {
        a->over = true;
    } else if (event == NU_H1_ERROR) {
        a->over = true;
        a->status = fail(a->say, "the answer is no HTTP: %s", nu_h1_error_str(out->error));
    }
}

static void read_events(struct answer *a, struct nu_slice *in)
{
    struct nu_h1_out out;
    enum nu_h1_event event;
    do {
        event = nu_h1_read(&a->parser, in, &out);
        take(a, event, &out);
    } while (event != NU_H1_MORE && !a->over);
}

/* The peer has closed; whatever else can be read by then was read. */
static void read_eof(struct answer *a)
{
    struct nu_h1_out out;
    if (nu_h1_eof(&a->parser, &out) != NU_H1_END)
        a->status = fail(a->say, "the connection was closed before the answer's end");
    a->over = true;
}

static void read_some(struct answer *a)
{
    struct nu_block *block = nu_block_get(a->pool, NU_BLOCK_SMALL);
    ssize_t n = read(a->fd, nu_block_tail(block), nu_block_room(block));
    if (n > 0) {
        struct nu_slice in = nu_block_freeze(block, (size_t)n);
        read_events(a, &in);
        nu_slice_drop(&in);
    } else if (n == 0) {
        read_eof(a);
    } else if (errno != EINTR) {
        a->status = fail(a->say, "the answer cannot be read: %s", strerror(errno));
        a->over = true;
    }
    nu_block_unref(block);
}

static void read_answer(struct answer *a)
{
    static const struct nu_h1_limits limits = NU_H1_LIMITS_DEFAULT;
    a->pool = nu_block_pool_new();
    a->arena = nu_arena_new(NU_H1_ARENA_BYTES);
    nu_h1_init(&a->parser, &limits);
    nu_h1_begin_response(&a->parser, a->arena, NU_METHOD_GET, false);
    while (!a->over)
        read_some(a);
    nu_arena_free(a->arena);
    nu_block_pool_free(a->pool);
}

unsigned nu_admin_ask(const char *address, const char *method, const char *target,
                      nu_admin_sink_fn *sink, void *ctx, char say[static NU_ADMIN_SAY_MAX])
{
    struct answer a = {.sink = sink, .ctx = ctx, .say = say};
    struct nu_addr addr;
    *say = 0;
    enum nu_err err = nu_admin_address(address, &addr);
    nu_assert(err == NU_OK);
    a.fd = connect_to(&addr);
    if (a.fd < 0)
        return fail(say, "cannot connect to %.300s: %s. Is nuncio running there?", address,
                    strerror(errno));
    if (send_request(a.fd, &addr, method, target))
        read_answer(&a);
    else
        fail(say, "cannot write to %.300s: %s", address, strerror(errno));
    close(a.fd);
    return a.status;
}

char *nu_admin_address_of(const char *path, char **say)
{
    struct nu_conf *conf = nu_conf_load(path);
    struct nu_arena *arena = nu_arena_new(1024);
    const char *address;
    char *copy = NULL;
    *say = NULL;
    if (nu_root_admin(conf, arena, &address) != NU_OK)
        nu_assert(asprintf(say, "%s", nu_conf_report(conf)) >= 0);
    else if (!address)
        nu_assert(asprintf(say, "%s has no admin address: add the line \"admin: on\"\n", path) >=
                  0);
    else
        copy = strdup(address);
    nu_assert(copy || *say);
    nu_arena_free(arena);
    nu_conf_free(conf);
    return copy;
}

void nu_admin_encode(const char *text, char *out)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            *out++ = (char)c;
        else
            out += sprintf(out, "%%%02X", c);
    }
    *out = 0;
}
