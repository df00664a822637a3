/* Inside of the HTTP/2 reader only. layer_h2.c reads frames; h2_stream.c what they say of streams;
 * h2_find.c whether a connection speaks it. */
#ifndef NU_TOOLS_TAP_H2_PRIV_H
#define NU_TOOLS_TAP_H2_PRIV_H

#include "protocols/http2/cut.h"
#include "protocols/http2/hpack.h"
#include "tools/tap/exchange.h"

#define H2_BUCKETS     64   /* of streams by id; browsers have at most 100 at once */
#define H2_STREAMS_MAX 1024 /* at once; the one begun first makes room */
#define H2_BLOCKS_MAX  32   /* of fields on a stream, by direction: 1xx, head, trailers */
#define H2_GOAWAYS_MAX 4    /* that are looked at, by direction; two are usual */
#define H2_OVER        64   /* ids that are remembered as over: frames may be on their way */
#define H2_BLOCK_MAX   (256 * 1024) /* bytes of a block of fields; a longer one is not read */
#define H2_HEAD_MAX    (128 * 1024) /* bytes of a head that are kept: blocks can name much */
#define H2_FIELDS_MAX  500

struct h2_stream {
    struct nu_list all; /* in the order they were seen */
    struct h2_stream *next;
    struct tap_open *o;      /* NULL behind an extended CONNECT */
    struct tap_layer *inner; /* WebSocket, then */
    uint32_t id;
    bool broken[2]; /* frames may be missing */
    bool ended[2];  /* of `inner` */
    uint8_t blocks[2];
};

struct h2_side {
    struct nu_h2_cutter cutter;
    struct nu_hpack *hpack;
    uint8_t *block; /* of fields that lie in several frames; malloced */
    uint32_t block_len, block_cap;
    struct nu_h2_frame begun; /* the frame that the block began with */
    uint32_t about;           /* the stream it is about: a promised one, too */
    int64_t block_ns;
    bool in_block, block_long;
    uint64_t gone;   /* bytes of gaps that no stream was told of */
    uint8_t preface; /* bytes that are still to come of it */
    uint8_t goaways;
    bool ended;
    enum nu_flow_end how;
};

struct h2 {
    struct tap_layer layer; /* first member */
    struct h2_side side[2];
    struct nu_list all; /* streams */
    struct h2_stream *bucket[H2_BUCKETS];
    unsigned streams;
    uint32_t over[H2_OVER];
    unsigned overs;
    size_t held;
};

/* --- h2_stream.c --- */

/* Of a frame in `dir` that belongs to one; NULL: it is over. */
struct h2_stream *h2_stream_of(struct h2 *h, uint32_t id, int dir);
/* The one that a request of HTTP/1 opened; takes the exchange. */
void h2_stream_upgraded(struct h2 *h, struct tap_open *o);
/* A whole block of fields came. */
void h2_saw_block(struct h2 *h, int dir, const uint8_t *block, size_t len, int64_t ns);
/* The block of a stream is lost. */
void h2_saw_block_lost(struct h2 *h, int dir, int64_t ns);
void h2_saw_data(struct h2 *h, int dir, const struct nu_h2_cut *cut, int64_t ns);
void h2_saw_reset(struct h2 *h, int dir, uint32_t id, uint32_t code, int64_t ns);
/* Whatever they were saying in `dir`, some of it is missing. */
void h2_break_streams(struct h2 *h, int dir, uint64_t bytes, int64_t ns);
/* Nothing more comes: tells all. */
void h2_tell_all(struct h2 *h, int64_t ns);
void h2_shrink_streams(struct h2 *h);
void h2_free_streams(struct h2 *h);

/* --- layer_h2.c --- */

struct tap_layer *h2_open(struct tap_conn *conn, unsigned depth);

#endif
