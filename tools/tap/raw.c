/* What nobody understands: its bytes are counted by the connection, and shown to who follows it.
 * Until TLS begins in it, as it does behind STARTTLS, SOCKS or a database's own prelude: a client's
 * hello at the beginning of a segment is hardly anything else. */
#include "tools/tap/event.h"

#include "core/assert.h"
#include "tls/unseal.h"

#include <stdlib.h>

#define HANDSHAKE    22
#define CLIENT_HELLO 1
#define RECORD_HEAD  5
#define HELLO_LEAST  44 /* bytes: a random, a cipher, both heads */

struct raw {
    struct tap_layer layer;
    struct tap_layer *tls; /* since a hello */
};

static bool is_hello(struct nu_piece bytes)
{
    const uint8_t *p = bytes.data;
    return bytes.len >= HELLO_LEAST && p[0] == HANDSHAKE && p[RECORD_HEAD] == CLIENT_HELLO &&
           !p[RECORD_HEAD + 1] && nu_unseal_looks(p, bytes.len) == NU_OK;
}

static void raw_feed(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t ns)
{
    struct raw *r = (struct raw *)layer;
    if (!r->tls && !dir && layer->depth < TAP_DEPTH_MAX && is_hello(bytes))
        r->tls = tap_is_tls.open(layer->conn, layer->depth + 1);
    if (r->tls)
        tap_feed(r->tls, dir, bytes, ns);
    else
        tap_tell_raw(layer->conn, dir, bytes, ns);
}

static void raw_gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    const struct raw *r = (const struct raw *)layer;
    if (r->tls)
        tap_gap(r->tls, dir, bytes, ns);
}

static void raw_end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    const struct raw *r = (const struct raw *)layer;
    if (r->tls)
        tap_end(r->tls, dir, how, ns);
}

static void raw_shrink(struct tap_layer *layer)
{
    tap_shrink(((struct raw *)layer)->tls);
}

static void raw_free(struct tap_layer *layer)
{
    struct raw *r = (struct raw *)layer;
    tap_layer_free(r->tls);
    tap_hold(layer->conn, -(int64_t)sizeof *r);
    free(r);
}

static const struct tap_layer_type raw_type = {
    .name = "raw",
    .feed = raw_feed,
    .gap = raw_gap,
    .end = raw_end,
    .shrink = raw_shrink,
    .free = raw_free,
};

static struct tap_layer *raw_open(struct tap_conn *conn, unsigned depth)
{
    struct raw *r = calloc(1, sizeof *r);
    nu_assert(r != NULL);
    r->layer = (struct tap_layer){.type = &raw_type, .conn = conn, .depth = depth};
    tap_hold(conn, sizeof *r);
    return &r->layer;
}

static enum tap_found raw_find(const struct tap_start *start)
{
    return TAP_YES;
}

const struct tap_recognizer tap_is_raw = {raw_find, raw_open};
