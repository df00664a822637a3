/* The whole tap over a capture file: all layers, and all outputs, whose lines must be fit for a
 * terminal whatever the file holds. The input is the file. */
#include "core/assert.h"
#include "protocols/capture/capture.h"
#include "tools/tap/curl.h"
#include "tools/tap/join.h"
#include "tools/tap/json.h"
#include "tools/tap/line.h"
#include "tools/tap/stats.h"
#include "tools/tap/tap.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define BODIES 4096 /* bytes kept of each */

/* Lines and their ends only: nothing that a terminal obeys. */
static ssize_t judge(void *cookie, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        nu_assert((uint8_t)bytes[i] >= ' ' || bytes[i] == '\n');
    return (ssize_t)len;
}

static FILE *judging(void)
{
    FILE *file = fopencookie(NULL, "w", (cookie_io_functions_t){.write = judge});
    nu_assert(file != NULL);
    return file;
}

struct outputs {
    struct tap_lines lines, followed, joined;
    struct tap_json json, joined_json;
    struct tap_join *join[2];
    struct tap_curl curl;
    struct tap_stats stats;
    FILE *file;
};

static void add(struct tap *tap, struct outputs *o)
{
    o->file = judging();
    struct tap_out out = {.file = o->file};
    *o = (struct outputs){
        .lines = {.out = out,    .verbose = 2},
        .followed = {.out = out,             .verbose = 2, .only = {.flow = 1}},
        .joined = {.out = out,.verbose = 2},
        .joined_json = {.out = out,             .verbose = 2},
        .json = {.out = out,             .verbose = 2},
        .curl = {.out = out,    .id = {.flow = 1, .number = 1}},
        .stats = {.out = out            },
        .file = o->file
    };
    tap_add_sink(tap, &tap_line_sink, &o->lines);
    tap_add_sink(tap, &tap_line_sink, &o->followed);
    tap_add_sink(tap, &tap_json_sink, &o->json);
    tap_add_sink(tap, &tap_curl_sink, &o->curl);
    tap_add_sink(tap, &tap_stats_sink, &o->stats);
    struct tap_join_conf conf = {&tap_line_sink, &o->joined, 1 << 16, tap};
    o->join[0] = tap_join_new(&conf);
    conf.sink = &tap_json_sink;
    conf.ctx = &o->joined_json;
    o->join[1] = tap_join_new(&conf);
    for (int i = 0; i < 2; i++)
        tap_add_sink(tap, &tap_join_sink, o->join[i]);
    tap_want_bodies(tap, BODIES, 0);
}

static void drop(struct outputs *o)
{
    fclose(o->file);
    for (int i = 0; i < 2; i++)
        tap_join_free(o->join[i]);
    tap_out_free(&o->joined.out);
    tap_out_free(&o->joined_json.out);
    tap_out_free(&o->lines.out);
    tap_out_free(&o->followed.out);
    tap_out_free(&o->json.out);
    tap_out_free(&o->curl.out);
    tap_stats_free(&o->stats);
}

static void read_file(struct tap *tap, const uint8_t *data, size_t len)
{
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t used;
    for (; !nu_capture_next(c, data, len, &used, &ev); data += used, len -= used) {
        struct nu_piece bytes = {ev.data, ev.len};
        if (ev.kind == NU_CAPTURE_PACKET)
            tap_frame(tap, ev.link, bytes, ev.wire_len, ev.time_ns);
        else
            tap_add_secrets(tap, bytes);
    }
    nu_capture_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct outputs *o = calloc(1, sizeof *o);
    struct tap *tap = tap_new(TAP_MEMORY_LEAST);
    nu_assert(o != NULL);
    add(tap, o);
    tap_expect_secrets(tap, len & 1);
    read_file(tap, data, len);
    tap_finish(tap);
    struct tap_figures figures = tap_figures(tap);
    nu_assert(figures.incomplete <= figures.exchanges);
    tap_free(tap);
    drop(o);
    free(o);
    return 0;
}
