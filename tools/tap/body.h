/* A body on its way by: counted as sent and decoded, its first bytes kept for outputs that want
 * them. A body that is no good of its coding counts as sent. One thread. */
#ifndef NU_TOOLS_TAP_BODY_H
#define NU_TOOLS_TAP_BODY_H

#include "protocols/coding/coder.h"
#include "tools/tap/event.h"

#define TAP_DECODED_MAX (256u << 20) /* bytes that one body is decoded to: beyond it is a bomb */
#define TAP_BR_WINDOW   (4u << 20)   /* bytes that a br stream may look back, at most */

#define TAP_CODINGS_MAX 3 /* one in the other; each is said to multiply what it gets */

enum tap_coding { TAP_PLAIN, TAP_GZIP, TAP_BROTLI, TAP_DEFLATE, TAP_UNKNOWN };
const char *tap_coding_str(enum tap_coding coding);

struct tap_body {
    struct tap_conn *conn;
    /* While it is being decoded, in the order that the codings were put on: the last is opened
     * first. */
    struct nu_coder *coder[TAP_CODINGS_MAX];
    uint64_t made[TAP_CODINGS_MAX]; /* bytes that came out of each; of the first: decoded */
    uint64_t wire, spent;           /* bytes; see tap_may_decode */
    uint64_t missing;               /* in gaps */
    uint8_t *kept;
    uint32_t kept_len, kept_cap, room;
    uint32_t held; /* as told to tap_hold */
    uint8_t coding[TAP_CODINGS_MAX], codings;
    bool unknown;  /* one of them is; then none is looked into */
    bool decoding; /* until it is bad, has a gap, is a bomb */
    uint8_t bad;   /* which of them it never was of, from 1 on; 0 none */
    bool bomb;     /* its decoding was stopped for its size */
};

/* Zeroed before. `coding` is Content-Encoding's value. */
void tap_body_begin(struct tap_body *body, struct tap_conn *conn, struct nu_text coding);
void tap_body_data(struct tap_body *body, struct nu_piece bytes);
void tap_body_gap(struct tap_body *body, uint64_t bytes);
/* No more comes. What there is to say of it is added to the note; `whole`: it is to be whole. */
void tap_body_end(struct tap_body *body, bool whole, const char *whose, struct tap_note *note);
/* Lets go of all but the counts. */
void tap_body_shrink(struct tap_body *body);
/* Decoded bytes or, where it was not decoded, those sent: gaps within it are known bytes. */
uint64_t tap_body_len(const struct tap_body *body);

#endif
