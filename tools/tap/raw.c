/* What nobody understands: its bytes are counted by the connection, and shown to who follows it. */
#include "tools/tap/event.h"

#include "core/assert.h"

#include <stdlib.h>

static void raw_feed(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t ns)
{
    tap_tell_plain(layer->conn, dir, bytes, ns);
}

static void raw_gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
}

static void raw_end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
}

static void raw_free(struct tap_layer *layer)
{
    tap_hold(layer->conn, -(int64_t)sizeof *layer);
    free(layer);
}

static const struct tap_layer_type raw_type = {
    .name = "raw",
    .feed = raw_feed,
    .gap = raw_gap,
    .end = raw_end,
    .free = raw_free,
};

static struct tap_layer *raw_open(struct tap_conn *conn, unsigned depth)
{
    struct tap_layer *layer = calloc(1, sizeof *layer);
    nu_assert(layer != NULL);
    *layer = (struct tap_layer){.type = &raw_type, .conn = conn, .depth = depth};
    tap_hold(conn, sizeof *layer);
    return layer;
}

static enum tap_found raw_find(const struct tap_start *start)
{
    return TAP_YES;
}

const struct tap_recognizer tap_is_raw = {raw_find, raw_open};
