/* Capture files, from their first byte to the bytes of connections. The input is the file; it is
 * read whole and in pieces whose sizes come from the input, and both must tell the same. */
#include "core/assert.h"
#include "protocols/capture/capture.h"
#include "protocols/capture/flow.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MEMORY (1024u * 1024)

/* What was told, as a hash; and the grammar of what may be told. */
struct listener {
    uint64_t hash, open;
};

static void mix(struct listener *l, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        l->hash = (l->hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
}

static void on_open(void *ctx, struct nu_flow *flow)
{
    struct listener *l = ctx;
    l->open++;
    flow->user = l;
}

static void on_data(void *ctx, struct nu_flow *flow, int dir, struct nu_piece bytes, int64_t ns)
{
    nu_assert(flow->user == ctx && bytes.len > 0 && (dir == 0 || dir == 1));
    nu_assert(!flow->ended[dir ^ flow->turned]);
    mix(ctx, bytes.data, bytes.len);
    if (!flow->sure && bytes.data[0] == 'H')
        nu_flow_turn(flow);
}

static void on_gap(void *ctx, struct nu_flow *flow, int dir, uint64_t bytes, int64_t ns)
{
    nu_assert(bytes > 0 && !flow->ended[dir ^ flow->turned]);
    mix(ctx, &bytes, sizeof bytes);
}

static void on_end(void *ctx, struct nu_flow *flow, int dir, enum nu_flow_end how, int64_t ns)
{
    mix(ctx, &how, sizeof how);
}

static void on_close(void *ctx, struct nu_flow *flow)
{
    struct listener *l = ctx;
    nu_assert(l->open > 0);
    l->open--;
    for (int dir = 0; dir < 2; dir++) {
        nu_assert(nu_flow_half(flow, dir)->missing <= nu_flow_half(flow, dir)->told);
        mix(l, nu_flow_from(flow, dir)->ip, 4);
    }
}

static const struct nu_flow_handler handler = {on_open, on_data, on_gap, on_end, on_close};

static uint64_t read_file(const uint8_t *data, size_t len, bool pieces)
{
    struct listener l = {0};
    struct nu_flows *flows = nu_flows_new(&handler, &l, MEMORY);
    struct nu_capture *c = nu_capture_new();
    struct nu_capture_event ev;
    size_t at = 0, end = pieces ? 0 : len, used;
    for (;;) {
        enum nu_err err = nu_capture_next(c, data + at, end - at, &used, &ev);
        at += used;
        if (err == NU_OK && ev.kind == NU_CAPTURE_PACKET)
            nu_flows_frame(flows, ev.link, (struct nu_piece){ev.data, ev.len}, ev.time_ns);
        else if (err == NU_MORE && end < len)
            end += 1 + data[end] % 61u < len - end ? 1 + data[end] % 61u : len - end;
        else if (err)
            break;
        nu_assert(nu_flows_memory(flows) < MEMORY + 8 * 1024 * 1024); /* and fragments, the table */
    }
    nu_assert(*nu_capture_error(c) || nu_capture_may_end(c, 0) || nu_capture_wants(c) > end - at);
    mix(&l, &(uint32_t){nu_capture_snaplen(c)}, 4);
    nu_capture_free(c);
    struct nu_flow_figures figures = nu_flows_figures(flows);
    nu_assert(figures.flows >= figures.evicted &&
              figures.packets >= figures.not_ip + figures.not_tcp);
    nu_flows_free(flows);
    nu_assert(l.open == 0);
    return l.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    nu_assert(read_file(data, len, false) == read_file(data, len, true));
    return 0;
}
