/* What the tests and the fuzzer of HTTP/1 share: reads a byte stream cut in any way and tells in
 * one line of text what came out, message after message. Every piece lies in a block of its own
 * that goes as soon as the parser has had it, so a text that is not kept alive is found by the
 * address sanitizer. */
#ifndef NU_TESTS_H1_KIT_H
#define NU_TESTS_H1_KIT_H

#include "core/arena.h"
#include "core/assert.h"
#include "protocols/http/h1.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the stream is to be read. */
struct h1_kit {
    bool response;
    enum nu_method method; /* what responses answer */
    bool upgrade;          /* asked for; for a request: granted */
    bool keep;             /* heads are compacted at once (E6) */
    bool pass;             /* what nu_h1_opaque allows goes past the parser */
    bool open;             /* the stream does not end: no eof at the end of the bytes */
    const struct nu_h1_limits *limits;
    /* The next piece's length, 1 to left; NULL = all. */
    size_t (*cut)(void *ctx, size_t done, size_t left);
    void *ctx;
};

/* Growing text. */
struct h1_text {
    char *at;
    size_t len, cap;
    bool data; /* the last event was DATA: more of it is joined */
};

__attribute__((format(printf, 2, 3))) static inline void h1_say(struct h1_text *t, const char *fmt,
                                                                ...)
{
    char *line;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&line, fmt, ap);
    va_end(ap);
    nu_assert(n >= 0);
    while (t->len + (size_t)n + 1 > t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->at = realloc(t->at, t->cap);
        nu_assert(t->at);
    }
    memcpy(t->at + t->len, line, (size_t)n + 1);
    t->len += (size_t)n;
    free(line);
}

/* Sixteen and more of the same letter are told as \{c*COUNT}, unless joined with what comes. */
static inline void h1_say_bytes(struct h1_text *t, const void *bytes, size_t len)
{
    const char *p = bytes;
    for (size_t i = 0, same; i < len; i += same) {
        for (same = 1; i + same < len && p[i + same] == p[i];)
            same++;
        if (t->data || same < 16)
            same = 1;
        if (same > 1)
            h1_say(t, "\\{%c*%zu}", p[i], same);
        else if ((uint8_t)p[i] < 0x20 || (uint8_t)p[i] >= 0x7f || p[i] == '\\')
            h1_say(t, "\\x%02x", (uint8_t)p[i]);
        else
            h1_say(t, "%c", p[i]);
    }
}

static inline void h1_say_text(struct h1_text *t, const char *what, struct nu_text text)
{
    h1_say(t, "%s", what);
    h1_say_bytes(t, text.at, text.len);
}

static inline void h1_say_facts(struct h1_text *t, const struct nu_http_head *h)
{
    if (h->status) {
        h1_say(t, "%u", h->status);
        h1_say_text(t, " ", h->reason);
    } else {
        h1_say_text(t, "", h->method);
        h1_say_text(t, " ", h->target);
        h1_say(t, " %s", nu_http_form_str(h->form));
        h1_say_text(t, " at=", h->authority);
        h1_say_text(t, " path=", h->path);
    }
    h1_say(t, " 1.%d %s", h->version % 10, nu_http_body_str(h->body));
    if (h->has_length)
        h1_say(t, "=%llu", (unsigned long long)h->content_length);
    h1_say(t, "%s%s%s%s", h->keep_alive ? " keep" : "", h->expect_100 ? " expect" : "",
           h->expect_other ? " expect?" : "", h->te_trailers ? " te" : "");
    if (h->upgrade.len)
        h1_say_text(t, " upgrade=", h->upgrade);
}

/* One line: facts and fields; a field for this connection only has a "!". */
static inline void h1_say_head(struct h1_text *t, const char *kind, const struct nu_http_head *h)
{
    h1_say(t, "%s ", kind);
    if (h->version)
        h1_say_facts(t, h);
    h1_say(t, " {");
    for (const struct nu_http_field *f = nu_http_each(h, NULL); f; f = nu_http_each(h, f)) {
        h1_say_text(t, f == h->fields ? "" : ", ", nu_text(f->name, f->name_len));
        h1_say(t, f->flags & NU_HTTP_FIELD_HOP ? "!" : "");
        h1_say_text(t, ": ", nu_http_field_value(f));
        nu_assert(f->id == nu_hdr_find(f->name, f->name_len));
    }
    h1_say(t, "}");
}

struct h1_run {
    const struct h1_kit *kit;
    struct h1_text log;
    struct nu_h1_parser parser;
    struct nu_arena *arena;
    struct nu_http_head
        *heads[256]; /* of this message: they are told at once and again at its end */
    struct nu_http_head *refused;
    size_t count, began;
    enum nu_h1_event last;
};

static inline void h1_kit_begin(struct h1_run *r)
{
    r->arena = nu_arena_new(256);
    r->count = 0;
    r->began = r->log.len;
    if (r->kit->response)
        nu_h1_begin_response(&r->parser, r->arena, r->kit->method, r->kit->upgrade);
    else
        nu_h1_begin_request(&r->parser, r->arena);
}

/* What was lent must say the same now that all blocks but those it holds are gone. */
static inline void h1_kit_finish(struct h1_run *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct h1_text again = {0};
        h1_say_head(&again, "", r->heads[i]);
        nu_assert(memmem(r->log.at + r->began, r->log.len - r->began, again.at, again.len));
        free(again.at);
        nu_http_head_drop(r->heads[i]);
    }
    if (r->refused) { /* readable, and in nobody's block */
        struct h1_text last = {0};
        h1_say_head(&last, "", r->refused);
        free(last.at);
        nu_assert(r->refused->wire.block == NULL);
    }
    nu_arena_free(r->arena);
    r->arena = NULL;
}

static inline bool h1_kit_tunnels(const struct h1_run *r)
{
    const struct nu_http_head *h = r->heads[0];
    return !r->kit->response && r->count > 0 && r->kit->upgrade &&
           (h->method_id == NU_METHOD_CONNECT || h->upgrade.len > 0);
}

static inline void h1_kit_head(struct h1_run *r, const char *kind, struct nu_http_head *head)
{
    nu_assert(r->count < sizeof r->heads / sizeof *r->heads);
    r->heads[r->count++] = head;
    if (r->kit->keep)
        nu_http_head_keep(head);
    h1_say_head(&r->log, kind, head);
}

static inline void h1_kit_tell(struct h1_run *r, enum nu_h1_event event, struct nu_h1_out *out)
{
    static const char *const kinds[] = {
        [NU_H1_INTERIM] = "INTERIM", [NU_H1_HEAD] = "HEAD", [NU_H1_TRAIL] = "TRAIL"};
    r->last = event;
    if (event == NU_H1_MORE)
        return;
    bool joined = event == NU_H1_DATA && r->log.data;
    if (!joined && r->log.len)
        h1_say(&r->log, " | ");
    r->log.data = event == NU_H1_DATA;
    if (event == NU_H1_ERROR)
        r->refused = out->head;
    else if (out->head)
        h1_kit_head(r, kinds[event], out->head);
    if (event == NU_H1_DATA) {
        nu_assert(out->data.len > 0);
        h1_say(&r->log, joined ? "" : "DATA ");
        h1_say_bytes(&r->log, out->data.data, out->data.len);
        nu_slice_drop(&out->data);
    }
    if (event == NU_H1_ERROR)
        h1_say(&r->log, "ERROR %s", nu_h1_error_str(out->error));
    if (event == NU_H1_END)
        h1_say(&r->log, "END");
}

/* Body bytes that the parser need not see; true if there were any. */
static inline bool h1_kit_pass(struct h1_run *r, struct nu_slice *in)
{
    uint64_t opaque = r->kit->pass && r->last != NU_H1_END ? nu_h1_opaque(&r->parser) : 0;
    if (opaque == 0 || in->len == 0)
        return false;
    struct nu_h1_out out = {.data =
                                nu_slice_split(in, in->len < opaque ? in->len : (size_t)opaque)};
    nu_h1_passed(&r->parser, out.data.len);
    h1_kit_tell(r, NU_H1_DATA, &out);
    return true;
}

/* One piece, event by event. */
static inline void h1_kit_feed(struct h1_run *r, struct nu_slice *in)
{
    do {
        struct nu_h1_out out;
        if (r->last == NU_H1_END && in->len > 0) {
            if (h1_kit_tunnels(r)) {
                nu_h1_tunnel(&r->parser);
            } else {
                h1_kit_finish(r);
                h1_kit_begin(r);
            }
        } else if (r->last == NU_H1_END) {
            return;
        }
        if (!h1_kit_pass(r, in))
            h1_kit_tell(r, nu_h1_read(&r->parser, in, &out), &out);
    } while (r->last != NU_H1_MORE && r->last != NU_H1_ERROR);
    nu_assert(r->last == NU_H1_ERROR || in->len == 0);
}

/* Reads all of it. The caller frees the text. */
static inline char *h1_kit_read(const struct h1_kit *kit, const void *bytes, size_t len)
{
    static const struct nu_h1_limits limits = NU_H1_LIMITS_DEFAULT;
    struct h1_run r = {.kit = kit};
    struct nu_block_pool *pool = nu_block_pool_new();
    nu_h1_init(&r.parser, kit->limits ? kit->limits : &limits);
    h1_kit_begin(&r);
    for (size_t at = 0, n; at < len && r.last != NU_H1_ERROR; at += n) {
        n = kit->cut ? kit->cut(kit->ctx, at, len - at) : len - at;
        struct nu_slice piece = nu_slice_copy(pool, (const uint8_t *)bytes + at, n), in = piece;
        h1_kit_feed(&r, &in);
        nu_slice_drop(&piece);
    }
    if (!kit->open && r.last != NU_H1_ERROR && r.last != NU_H1_END) {
        struct nu_h1_out out;
        h1_kit_tell(&r, nu_h1_eof(&r.parser, &out), &out);
    }
    h1_say(&r.log, "%s", "");
    h1_kit_finish(&r);
    nu_block_pool_free(pool);
    return r.log.at;
}

static inline void h1_append(struct h1_text *t, const char *bytes, size_t len)
{
    if (t->len + len > t->cap) {
        t->cap = (t->len + len) * 2;
        t->at = realloc(t->at, t->cap);
        nu_assert(t->at);
    }
    if (len)
        memcpy(t->at + t->len, bytes, len);
    t->len += len;
}

static inline const char *h1_unescape(const char *from, char stop, struct h1_text *to);

/* TEXT*COUNT} */
static inline const char *h1_repeat(const char *from, struct h1_text *to)
{
    struct h1_text inner = {0};
    char *end;
    from = h1_unescape(from, '*', &inner);
    for (unsigned long n = strtoul(from + 1, &end, 10); n > 0; n--)
        h1_append(to, inner.at, inner.len);
    nu_assert(*end == '}');
    free(inner.at);
    return end;
}

static inline const char *h1_unescape(const char *from, char stop, struct h1_text *to)
{
    static const char names[] = "rnt0\\", values[] = "\r\n\t\0\\";
    for (; *from && *from != stop; from++) {
        if (*from != '\\') {
            h1_append(to, from, 1);
        } else if (*++from == '{') {
            from = h1_repeat(from + 1, to);
        } else if (*from == 'x') {
            char hex[3] = {from[1], from[2], 0}, c = (char)strtoul(hex, NULL, 16);
            h1_append(to, &c, 1);
            from += 2;
        } else {
            nu_assert(*from && strchr(names, *from));
            h1_append(to, values + (strchr(names, *from) - names), 1);
        }
    }
    return from;
}

/* \r \n \t \0 \\ \xHH, and \{TEXT*COUNT} for what repeats (a '*' in TEXT is \x2a). The caller
 * frees `out`. */
static inline size_t h1_kit_unescape(const char *from, char **out)
{
    struct h1_text text = {0};
    h1_unescape(from, 0, &text);
    *out = text.at;
    return text.len;
}

/* A data file's line, cut at tabs; empty lines and those that begin with '#' are passed over. */
#define H1_COLUMNS 6
struct h1_row {
    char *column[H1_COLUMNS];
    unsigned columns, line;
    char *text;
};

static inline FILE *h1_kit_open(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "%s: run the test in the top folder\n", path);
        exit(1);
    }
    return file;
}

/* False at the end; frees the text of the row before. Start with a zeroed row. */
static inline bool h1_kit_row(FILE *file, struct h1_row *row)
{
    size_t cap = 0;
    ssize_t len;
    free(row->text);
    row->text = NULL;
    while ((len = getline(&row->text, &cap, file)) >= 0) {
        row->line++;
        if (len && row->text[len - 1] == '\n')
            row->text[len - 1] = 0;
        if (!*row->text || *row->text == '#')
            continue;
        row->columns = 0;
        for (char *at = row->text; at && row->columns < H1_COLUMNS;) {
            row->column[row->columns++] = strsep(&at, "\t");
        }
        return true;
    }
    free(row->text);
    row->text = NULL;
    return false;
}

/* "req", "req+upgrade", "res", "res:HEAD", "res:GET+upgrade". */
static inline struct h1_kit h1_kit_side(const char *side)
{
    struct h1_kit kit = {.response = strncmp(side, "res", 3) == 0, .method = NU_METHOD_GET};
    kit.upgrade = strstr(side, "+upgrade") != NULL;
    if (side[3] == ':')
        kit.method = nu_method_find(side + 4, strcspn(side + 4, "+"));
    return kit;
}

#endif
