/* What the tap makes of a capture for others to read: the capture written again has its packets,
 * the archive is JSON, and each request of a replay is one request to a strict parser. The input is
 * the file. */
#include "core/assert.h"
#include "protocols/capture/capture.h"
#include "protocols/http/h1.h"
#include "protocols/http/h1_write.h"
#include "tools/tap/har.h"
#include "tools/tap/replay_parts.h"
#include "tools/tap/write.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define BODIES     4096 /* bytes kept of each */
#define JSON_DEPTH 16

/* A file of memory that can be opened by its path. */
struct scratch {
    int fd;
    char path[64];
};

static void scratch_new(struct scratch *s)
{
    s->fd = memfd_create("fuzz", MFD_CLOEXEC);
    nu_assert(s->fd >= 0);
    snprintf(s->path, sizeof s->path, "/proc/self/fd/%d", s->fd);
}

/* NUL behind it; the caller's. */
static char *scratch_read(const struct scratch *s, size_t *len)
{
    off_t size = lseek(s->fd, 0, SEEK_END);
    char *bytes = calloc(1, (size_t)size + 1);
    nu_assert(bytes && pread(s->fd, bytes, (size_t)size, 0) == size);
    *len = (size_t)size;
    close(s->fd);
    return bytes;
}

/* --- JSON (RFC 8259), as far as archives use it --- */

static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++) {
        nu_assert((uint8_t)*at >= ' ');
        if (*at == '\\') {
            at++;
            nu_assert(*at && strchr("\"\\/bfnrtu", *at));
        }
    }
    return at + 1;
}

static const char *skip_blank(const char *at)
{
    return at + strspn(at, " \n");
}

static const char *skip_value(const char *at, unsigned depth);

static const char *skip_members(const char *at, char close, unsigned depth)
{
    at = skip_blank(at + 1);
    while (*at != close) {
        if (close == '}') {
            nu_assert(*at == '"');
            at = skip_string(at);
            nu_assert(*at == ':');
            at++;
        }
        at = skip_blank(skip_value(at, depth + 1));
        nu_assert(*at == close || *at == ',');
        at = *at == ',' ? skip_blank(at + 1) : at;
        nu_assert(*at != close || at[-1] != ',');
    }
    return at + 1;
}

static const char *skip_value(const char *at, unsigned depth)
{
    nu_assert(depth < JSON_DEPTH);
    if (*at == '"')
        return skip_string(at);
    if (*at == '{' || *at == '[')
        return skip_members(at, *at == '{' ? '}' : ']', depth);
    size_t word = strspn(at, "-.0123456789");
    word = word ? word : strncmp(at, "true", 4) == 0 ? 4 : strncmp(at, "false", 5) == 0 ? 5 : 0;
    nu_assert(word);
    return at + word;
}

static void judge_archive(const struct scratch *s)
{
    size_t len;
    char *text = scratch_read(s, &len);
    nu_assert(strlen(text) == len && strcmp(skip_value(text, 0), "\n") == 0);
    free(text);
}

/* --- the capture --- */

static void count_packets(const char *bytes, size_t len, uint64_t *count)
{
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t used, at = 0;
    while (!nu_capture_next(c, (const uint8_t *)bytes + at, len - at, &used, &ev)) {
        at += used;
        *count += ev.kind == NU_CAPTURE_PACKET;
    }
    at += used;
    nu_assert(nu_capture_may_end(c, len - at));
    nu_capture_free(c);
}

static void judge_capture(const struct scratch *s, uint64_t packets, bool all)
{
    size_t len;
    uint64_t count = 0;
    char *bytes = scratch_read(s, &len);
    count_packets(bytes, len, &count);
    nu_assert(all ? count == packets : count <= packets);
    free(bytes);
}

/* --- the replay --- */

static void judge_request(struct nu_block_pool *pool, const struct replay_item *item)
{
    static const struct nu_h1_limits limits = {1u << 20, 1u << 20, 4096, 1u << 20, 0};
    struct nu_slice text;
    struct nu_h1_parser parser;
    struct nu_h1_out out;
    struct nu_h1_how how = {0};
    if (nu_h1_make_head(pool, item->head, &how, &text))
        return;
    struct nu_arena *arena = nu_arena_new(NU_H1_ARENA_BYTES);
    nu_h1_init(&parser, &limits);
    nu_h1_begin_request(&parser, arena);
    nu_assert(nu_h1_read(&parser, &text, &out) == NU_H1_HEAD && text.len == 0);
    nu_assert(out.head->content_length == item->body_len);
    nu_http_head_drop(out.head);
    nu_slice_drop(&text);
    nu_arena_free(arena);
}

static void judge_replay(const struct tap_replay *replay)
{
    struct nu_block_pool *pool = nu_block_pool_new();
    const struct replay_item *item;
    for (size_t i = 0; (item = replay_item_at(replay, i)); i++)
        judge_request(pool, item);
    nu_block_pool_free(pool);
}

/* --- all --- */

static uint64_t read_file(struct tap *tap, const uint8_t *data, size_t len)
{
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t used;
    uint64_t packets = 0;
    for (; !nu_capture_next(c, data, len, &used, &ev); data += used, len -= used) {
        packets += ev.kind == NU_CAPTURE_PACKET;
        if (ev.kind == NU_CAPTURE_PACKET)
            tap_packet(tap, &ev);
        else
            tap_add_secrets(tap, (struct nu_piece){ev.data, ev.len});
    }
    nu_capture_free(c);
    return packets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct scratch capture, archive;
    scratch_new(&capture);
    scratch_new(&archive);
    struct tap_har har = {.path = archive.path, .source = -1};
    struct tap_pen_conf pen_conf = {.target.path = capture.path,
                                    .memory_max = 64 * 1024,
                                    .hold_ns = len % 3 ? -1 : 1000000000,
                                    .chosen_only = len % 2};
    struct tap_replay_conf replay_conf = {.url = "http://a.test", .memory_max = 1u << 20};
    struct tap_pen *pen = tap_pen_open(&pen_conf, -1);
    struct tap_replay *replay = replay_new(&replay_conf);
    struct tap *tap = tap_new(TAP_MEMORY_LEAST);
    nu_assert(pen && tap_har_open(&har));
    tap_pen_attach(pen, tap);
    tap_add_sink(tap, &tap_har_sink, &har);
    tap_add_sink(tap, &tap_replay_sink, replay);
    tap_want_bodies(tap, BODIES, 0);
    uint64_t packets = read_file(tap, data, len);
    tap_finish(tap);
    packets -= pen_conf.chosen_only ? 0 : tap_pen_missing(pen);
    nu_assert(tap_pen_close(pen) && tap_har_close(&har));
    judge_capture(&capture, packets, !pen_conf.chosen_only);
    judge_archive(&archive);
    judge_replay(replay);
    tap_replay_free(replay);
    tap_free(tap);
    return 0;
}
