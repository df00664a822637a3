/* A codec, a server's or a client's, with a user that writes down what it hears and answers as it
 * is told; shared by the unit tests and the fuzz target. */
#ifndef TESTS_UNIT_PROTOCOLS_HTTP2_H2_KIT_H
#define TESTS_UNIT_PROTOCOLS_HTTP2_H2_KIT_H

#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http2/h2.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIT_STREAMS 16 /* whose users live at once */

enum kit_answer {
    KIT_AT_END,  /* 200 and "ok" once the request is whole */
    KIT_AT_HEAD, /* the same, at once */
    KIT_NEVER,
    KIT_LEAVE, /* lets go at once */
    KIT_RESET, /* CANCEL at the first DATA */
};

struct kit {
    struct nu_block_pool *pool;
    struct nu_h2_conf conf;
    struct nu_h2 *h2;
    struct nu_h2_stream *streams[KIT_STREAMS];
    char *diary, *out;
    size_t diary_len, out_len;
    enum kit_answer answer;
    size_t body; /* bytes of the answer instead of "ok" */
    bool keep;   /* what is received is not taken */
    bool rich;   /* the answer has a 103 before it and trailers behind */
    bool client;
    bool upgrade; /* its requests are for WebSockets */
    unsigned kept, woken, room, sent, settings;
    int64_t now_ms;
};

__attribute__((format(printf, 2, 3))) static inline void kit_note(struct kit *k, const char *fmt,
                                                                  ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    k->diary = realloc(k->diary, k->diary_len + (size_t)n + 1);
    memcpy(k->diary + k->diary_len, text, (size_t)n + 1);
    k->diary_len += (size_t)n;
}

static inline void kit_leave(struct kit *k, struct nu_h2_stream *st)
{
    for (size_t i = 0; i < KIT_STREAMS; i++)
        if (k->streams[i] == st)
            k->streams[i] = NULL;
    nu_h2_let_go(st);
}

static inline void kit_say_hint(struct nu_h2_stream *st)
{
    struct nu_http_head *head = nu_http_head_new(st->arena);
    head->status = 103;
    nu_h2_say_interim(st, head);
}

static inline void kit_say_trailers(struct nu_h2_stream *st)
{
    struct nu_http_head *head = nu_http_head_new(st->arena);
    nu_http_add(head, NU_TEXT("x-end"), NU_TEXT("1"));
    nu_h2_say_trailers(st, head);
}

static inline void kit_respond(struct kit *k, struct nu_h2_stream *st)
{
    struct nu_http_head *head = nu_http_head_new(st->arena);
    head->status = 200;
    head->body = NU_BODY_LENGTH;
    head->has_length = true;
    head->content_length = k->body ? k->body : 2;
    if (k->rich)
        kit_say_hint(st);
    nu_h2_say_head(st, head);
    for (size_t left = k->body; left > 0;) {
        size_t n = left < 16384 ? left : 16384;
        struct nu_block *b = nu_block_get(k->pool, n);
        memset(nu_block_tail(b), 'x', n);
        if (nu_h2_say_data(st, nu_block_freeze(b, n)))
            kit_note(k, "full %d\n", st->id);
        nu_block_unref(b);
        left -= n;
    }
    if (!k->body)
        nu_h2_say_data(st, (struct nu_slice){(const uint8_t *)"ok", 2, NULL});
    if (k->rich)
        kit_say_trailers(st);
    nu_h2_say_end(st);
}

static inline void kit_head(void *ctx, struct nu_h2_stream *st)
{
    struct kit *k = ctx;
    size_t i = 0;
    if (k->client) {
        kit_note(k, "head %d %u %s\n", st->id, st->head->status,
                 nu_http_body_str((enum nu_http_body)st->head->body));
        return;
    }
    kit_note(k, "head %d %.*s %.*s %s\n", st->id, (int)st->head->method.len, st->head->method.at,
             (int)st->head->path.len, st->head->path.at,
             nu_h2_error_str((enum nu_h2_error)st->error));
    while (i < KIT_STREAMS && k->streams[i])
        i++;
    if (i == KIT_STREAMS || k->answer == KIT_LEAVE)
        return;
    k->streams[i] = st;
    st->user = k;
    if (k->answer == KIT_AT_HEAD || st->error)
        kit_respond(k, st);
}

static inline void kit_data(void *ctx, struct nu_h2_stream *st, struct nu_slice data)
{
    struct kit *k = ctx;
    kit_note(k, "%.*s", (int)(data.len < 200 ? data.len : 200), (const char *)data.data);
    if (k->keep)
        k->kept += (unsigned)data.len;
    else
        nu_h2_took(st, data.len);
    if (k->answer == KIT_RESET)
        nu_h2_say_reset(st, NU_H2_CODE_CANCEL);
    nu_slice_drop(&data);
}

static inline void kit_trail(void *ctx, struct nu_h2_stream *st, struct nu_http_head *head)
{
    kit_note(ctx, "\ntrail %d %u", st->id, head->count);
}

static inline void kit_end(void *ctx, struct nu_h2_stream *st)
{
    struct kit *k = ctx;
    kit_note(k, "\nend %d\n", st->id);
    if (k->answer == KIT_AT_END && !k->client)
        kit_respond(k, st);
}

static inline void kit_bad(void *ctx, struct nu_h2_stream *st)
{
    kit_note(ctx, "\nbad %d %s\n", st->id, nu_h2_error_str((enum nu_h2_error)st->error));
}

static inline void kit_room(void *ctx, struct nu_h2_stream *st)
{
    ((struct kit *)ctx)->room++;
}

static inline void kit_sent(void *ctx, struct nu_h2_stream *st)
{
    struct kit *k = ctx;
    k->sent++;
    if (!k->client)
        kit_leave(k, st);
}

static inline void kit_cut(void *ctx, struct nu_h2_stream *st)
{
    kit_note(ctx, "cut %d %s %s\n", st->id, nu_h2_code_str(st->code), st->by_peer ? "peer" : "us");
    kit_leave(ctx, st);
}

static inline void kit_wake(void *ctx)
{
    ((struct kit *)ctx)->woken++;
}

static inline void kit_emit(void *ctx, struct nu_slice bytes)
{
    struct kit *k = ctx;
    nu_assert(bytes.len > 0);
    k->out = realloc(k->out, k->out_len + bytes.len);
    memcpy(k->out + k->out_len, bytes.data, bytes.len);
    k->out_len += bytes.len;
    nu_slice_drop(&bytes);
}

static inline void kit_count(void *ctx, enum nu_h2_count what)
{
    nu_assert(what < NU_H2_COUNTS);
}

static inline void kit_interim(void *ctx, struct nu_h2_stream *st, struct nu_http_head *head)
{
    kit_note(ctx, "interim %d %u\n", st->id, head->status);
}

static inline void kit_goaway(void *ctx)
{
    kit_note(ctx, "%s", "goaway\n");
}

static inline void kit_settings(void *ctx)
{
    ((struct kit *)ctx)->settings++;
}

static const struct nu_h2_handler kit_handler = {
    kit_head, kit_data, kit_trail, kit_end,   kit_bad,     kit_room,   kit_sent,
    kit_cut,  kit_wake, kit_emit,  kit_count, kit_interim, kit_goaway, kit_settings};

static inline struct kit *kit_new(enum kit_answer answer)
{
    struct kit *k = calloc(1, sizeof *k);
    nu_assert(k != NULL);
    k->answer = answer;
    k->pool = nu_block_pool_new();
    k->conf = (struct nu_h2_conf){.limits = NU_H2_LIMITS_DEFAULT,
                                  .streams = 100,
                                  .stream_window = 65536,
                                  .window_max = 1 << 20,
                                  .conn_window = 1 << 20};
    kit_note(k, "%s", "");
    return k;
}

static inline void kit_begin(struct kit *k)
{
    k->h2 = nu_h2_server_new(&k->conf, &kit_handler, k, k->pool);
}

static inline void kit_begin_client(struct kit *k)
{
    k->client = true;
    k->h2 = nu_h2_client_new(&k->conf, &kit_handler, k, k->pool, false);
}

/* A request with so many bytes of a body, if any; it is said at once. */
static inline struct nu_h2_stream *kit_ask(struct kit *k, const char *method, size_t body)
{
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_http_head *head = nu_http_head_new(arena);
    head->method = nu_text(method, strlen(method));
    head->method_id = (uint8_t)nu_method_find(method, strlen(method));
    head->authority = NU_TEXT("a.test");
    head->path = NU_TEXT("/");
    head->body = body ? NU_BODY_CHUNKED : NU_BODY_NONE;
    head->upgrade = k->upgrade ? NU_TEXT("websocket") : nu_text("", 0);
    struct nu_h2_stream *st = nu_h2_ask(k->h2, arena, head, k);
    size_t i = 0;
    while (k->streams[i])
        nu_assert(++i < KIT_STREAMS);
    k->streams[i] = st;
    for (; body > 0; body--)
        nu_h2_say_data(st, (struct nu_slice){(const uint8_t *)"x", 1, NULL});
    nu_h2_say_end(st);
    return st;
}

static inline enum nu_err kit_read(struct kit *k, const void *bytes, size_t len)
{
    enum nu_err err = nu_h2_read(k->h2, nu_slice_copy(k->pool, bytes, len), k->now_ms);
    while (nu_h2_write(k->h2, 65536, k->now_ms))
        continue;
    return err;
}

/* Every block must be back. */
static inline void kit_free(struct kit *k)
{
    if (k->h2)
        nu_h2_free(k->h2);
    for (size_t i = 0; i < KIT_STREAMS; i++)
        if (k->streams[i])
            kit_leave(k, k->streams[i]);
    nu_block_pool_free(k->pool);
    free(k->diary);
    free(k->out);
    free(k);
}

/* --- frames --- */

struct kit_bytes {
    uint8_t at[1 << 17];
    size_t len;
};

static inline void kit_put(struct kit_bytes *b, const void *bytes, size_t len)
{
    nu_assert(b->len + len <= sizeof b->at);
    memcpy(b->at + b->len, bytes, len);
    b->len += len;
}

static inline void kit_frame(struct kit_bytes *b, unsigned type, unsigned flags, uint32_t stream,
                             const void *payload, size_t len)
{
    const uint8_t head[9] = {
        (uint8_t)(len >> 16),    (uint8_t)(len >> 8),    (uint8_t)len,
        (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
        (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    kit_put(b, head, 9);
    kit_put(b, payload, len);
}

static inline void kit_preface(struct kit_bytes *b)
{
    kit_put(b, NU_H2_PREFACE, NU_H2_PREFACE_LEN);
    kit_frame(b, 4, 0, 0, "", 0);
}

#endif
