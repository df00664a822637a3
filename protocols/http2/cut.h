/* Frames of HTTP/2 (RFC 9113 4) as an onlooker cuts them out of captured bytes: behind a gap, or
 * where a capture began within, it looks for the next place where frames surely begin. An endpoint
 * has nghttp2's codec (h2.h). No socket, no clock; one thread per direction. */
#ifndef NU_PROTOCOLS_HTTP2_CUT_H
#define NU_PROTOCOLS_HTTP2_CUT_H

#include "protocols/capture/link.h"

#include <stdbool.h>

#define NU_H2_FRAME_HEADER 9
/* Frames other than DATA come whole; longer ones are told as lost. Four times what is allowed
 * unless SETTINGS say otherwise, and no head has more. */
#define NU_H2_WHOLE_MAX (64u * 1024)
/* Bytes that are kept while it looks for a place: two frames of the usual most, for their chain. */
#define NU_H2_SEARCH_MAX (40u * 1024)

enum nu_h2_type {
    NU_H2_DATA,
    NU_H2_HEADERS,
    NU_H2_PRIORITY,
    NU_H2_RST_STREAM,
    NU_H2_SETTINGS,
    NU_H2_PUSH_PROMISE,
    NU_H2_PING,
    NU_H2_GOAWAY,
    NU_H2_WINDOW_UPDATE,
    NU_H2_CONTINUATION,
};
enum { NU_H2_END_STREAM = 1, NU_H2_ACK = 1, NU_H2_END_HEADERS = 4, NU_H2_PADDED = 8 };
enum { NU_H2_WITH_PRIORITY = 0x20 };

struct nu_h2_frame {
    uint32_t len; /* of the payload */
    uint8_t type; /* enum nu_h2_type, or what nobody knows */
    uint8_t flags;
    uint32_t stream;
};
/* Of NU_H2_FRAME_HEADER bytes. */
struct nu_h2_frame nu_h2_frame_read(const uint8_t *at);
/* Whether a frame may be like that, by what is fixed for its type. */
bool nu_h2_frame_ok(const struct nu_h2_frame *frame);
/* Where in the bytes frames surely begin: two in a row, or one that ends with them. -1: nowhere. */
long nu_h2_find_frames(struct nu_piece bytes);

enum nu_h2_cut_what {
    NU_H2_CUT_NONE,    /* all bytes were used */
    NU_H2_CUT_FRAME,   /* not DATA: whole, payload without padding */
    NU_H2_CUT_DATA,    /* a piece of a DATA frame, padding aside; perhaps empty */
    NU_H2_CUT_MISSING, /* so many bytes of it are missing */
    NU_H2_CUT_LOST,    /* a frame that is not DATA could not be kept, or has bad padding */
    NU_H2_CUT_BROKEN,  /* no frame begins here: a place is looked for from now on */
    NU_H2_CUT_FOUND,   /* and was found, `len` bytes later */
};
struct nu_h2_cut {
    enum nu_h2_cut_what what;
    struct nu_h2_frame frame;
    struct nu_piece data;
    uint64_t len; /* MISSING, FOUND */
    bool last;    /* DATA, MISSING: of the frame */
};

/* Zeroed memory is one at the start of a frame; treat as private. */
struct nu_h2_cutter {
    struct nu_h2_frame frame; /* in progress */
    uint32_t left;            /* of its payload, padding aside */
    uint32_t padding;         /* behind that */
    uint8_t header[NU_H2_FRAME_HEADER];
    uint8_t header_len;
    bool in_frame, pad_unread, holed, searching;
    uint8_t *kept; /* of a frame that reads have cut */
    uint32_t kept_len, kept_cap;
    uint8_t *search; /* what is searched; behind a find, what is read next */
    uint32_t search_len, search_at;
    uint64_t skipped; /* while searching */
};

/* Takes the next piece off the front of `in`; again until NONE. `data` is good until the next call.
 */
void nu_h2_cut(struct nu_h2_cutter *c, struct nu_piece *in, struct nu_h2_cut *out);
/* So many bytes are missing here, after nu_h2_cut said NONE; again, with what it leaves of them,
 * until NONE. */
void nu_h2_cut_gap(struct nu_h2_cutter *c, uint64_t *bytes, struct nu_h2_cut *out);
/* Frames may begin anywhere. */
void nu_h2_cut_search(struct nu_h2_cutter *c);
/* Bytes that it keeps. */
size_t nu_h2_cutter_memory(const struct nu_h2_cutter *c);
void nu_h2_cutter_free(struct nu_h2_cutter *c);

#endif
