/* The PROXY header in front of a client's bytes; what follows is guessed anew. */
#include "core/assert.h"
#include "protocols/proxy_protocol.h"
#include "tools/tap/event.h"

#include <stdlib.h>

struct proxy {
    struct tap_layer layer; /* first member */
    struct nu_proxy_reader reader;
    struct tap_layer *inner;
    bool done; /* of the header */
};

/* Both ways; the one that turned a connection's sides is beyond doubt: only clients begin so. */
static enum tap_found judge(const struct tap_start *start, int dir)
{
    struct nu_proxy_header header;
    struct nu_piece first = start->first[dir];
    if (!start->whole[dir])
        return TAP_NO;
    switch (nu_proxy_parse(first.data, first.len, &header)) {
    case NU_OK:
        return TAP_YES;
    case NU_MORE:
        return start->ended[dir] ? TAP_NO : TAP_MORE;
    default:
        return TAP_NO;
    }
}

static enum tap_found find(const struct tap_start *start)
{
    enum tap_found client = judge(start, 0);
    if (client != TAP_YES && start->may_turn && start->first[1].len && judge(start, 1) == TAP_YES)
        return TAP_TURNED;
    return client;
}

static void tell(struct proxy *p, int64_t ns)
{
    const struct nu_proxy_header *h = &p->reader.header;
    struct tap_proxy event = {.conn = p->layer.conn, .time_ns = ns, .version = h->version};
    event.local = h->local || h->src.kind == NU_ADDR_NONE;
    if (!event.local) {
        event.source = h->src;
        event.destination = h->dst;
    }
    tap_tell_proxy(&event);
}

/* The header ends within these bytes, or there is none: what is the inner layer's then. */
static void feed_header(struct proxy *p, struct nu_piece bytes, int64_t ns)
{
    size_t before = p->reader.own_len;
    enum nu_err err = nu_proxy_reader_feed(&p->reader, bytes.data, bytes.len);
    if (err == NU_MORE)
        return;
    p->done = true;
    size_t header = err == NU_OK ? p->reader.header.bytes : 0;
    if (err == NU_OK)
        tell(p, ns);
    if (header < before) { /* it was none after all: the recognizer knew less */
        tap_feed(p->inner, 0, (struct nu_piece){p->reader.own, before}, ns);
        header = before;
    }
    header -= before;
    if (header < bytes.len)
        tap_feed(p->inner, 0, (struct nu_piece){bytes.data + header, bytes.len - header}, ns);
    nu_proxy_reader_free(&p->reader);
}

static void feed(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t ns)
{
    struct proxy *p = (struct proxy *)layer;
    if (dir == 0 && !p->done)
        feed_header(p, bytes, ns);
    else
        tap_feed(p->inner, dir, bytes, ns);
}

static void give_up(struct proxy *p)
{
    p->done = true;
    nu_proxy_reader_free(&p->reader);
}

static void gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    struct proxy *p = (struct proxy *)layer;
    if (dir == 0 && !p->done)
        give_up(p);
    tap_gap(p->inner, dir, bytes, ns);
}

static void end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    struct proxy *p = (struct proxy *)layer;
    if (dir == 0 && !p->done)
        give_up(p);
    tap_end(p->inner, dir, how, ns);
}

static void shrink(struct tap_layer *layer)
{
    tap_shrink(((struct proxy *)layer)->inner);
}

static void layer_free(struct tap_layer *layer)
{
    struct proxy *p = (struct proxy *)layer;
    nu_proxy_reader_free(&p->reader);
    tap_layer_free(p->inner);
    tap_hold(layer->conn, -(int64_t)sizeof *p);
    free(p);
}

static struct tap_layer *open_layer(struct tap_conn *conn, unsigned depth)
{
    static const struct tap_layer_type type = {"proxy", feed, gap, end, shrink, layer_free};
    struct proxy *p = calloc(1, sizeof *p);
    nu_assert(p != NULL);
    p->layer = (struct tap_layer){&type, conn, depth};
    p->inner = tap_guess_new(conn, depth + 1, NULL);
    nu_proxy_reader_init(&p->reader);
    tap_hold(conn, sizeof *p);
    return &p->layer;
}

const struct tap_recognizer tap_is_proxy = {find, open_layer};
