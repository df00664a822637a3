/* Bodies of all versions of HTTP, and what they are decoded to. */
#include "tools/tap/body.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define ROUND      (16 * 1024) /* bytes that are decoded at once */
#define KEPT_FIRST 2048        /* bytes of a body that is kept, doubled as it grows */

const char *tap_coding_str(enum tap_coding coding)
{
    static const char *const names[] = {"plain", "gzip", "br", "deflate", "unknown"};
    nu_assert((unsigned)coding < sizeof names / sizeof *names);
    return names[coding];
}

/* Bytes that a decoder takes, as counted; br asks for its window twice as it is used. */
static const uint32_t decoder_bytes[] = {[TAP_GZIP] = 44 * 1024,
                                         [TAP_BROTLI] = 512 * 1024,
                                         [TAP_DEFLATE] = 44 * 1024,
                                         [TAP_UNKNOWN] = 0};

static enum tap_coding find(struct nu_text text)
{
    enum nu_coding known = nu_coding_find(text.at, text.len);
    if (known == NU_CODING_IDENTITY)
        return TAP_PLAIN;
    if (nu_text_is_fold(text, "deflate"))
        return TAP_DEFLATE;
    return known == NU_CODING_GZIP     ? TAP_GZIP
           : known == NU_CODING_BROTLI ? TAP_BROTLI
                                       : TAP_UNKNOWN;
}

static void read_codings(struct tap_body *b, struct nu_text list)
{
    struct nu_text element;
    while (list.len && nu_http_list_next(&list, &element)) {
        enum tap_coding coding = find(element);
        b->unknown |=
            coding == TAP_UNKNOWN || (coding != TAP_PLAIN && b->codings == TAP_CODINGS_MAX);
        if (coding != TAP_PLAIN && !b->unknown)
            b->coding[b->codings++] = (uint8_t)coding;
    }
    if (b->unknown)
        b->codings = 0;
    b->decoding = b->codings > 0;
}

void tap_body_begin(struct tap_body *b, struct tap_conn *conn, struct nu_text coding)
{
    size_t room = tap_body_room(conn);
    b->conn = conn;
    read_codings(b, coding);
    b->room = room < UINT32_MAX / 2 ? (uint32_t)room : UINT32_MAX / 2;
}

static void hold(struct tap_body *b, uint32_t bytes)
{
    tap_hold(b->conn, (int64_t)bytes - (int64_t)b->held);
    b->held = bytes;
}

static uint32_t cost_of(const struct tap_body *b, unsigned i)
{
    uint32_t window = 2 * TAP_BR_WINDOW;
    uint32_t used = b->made[i] < window / 2 ? 2 * (uint32_t)b->made[i] : window;
    uint32_t decoder = b->coder[i] ? decoder_bytes[b->coding[i]] : 0;
    if (b->coder[i] && b->coding[i] == TAP_BROTLI)
        decoder += used & ~(uint32_t)0xffff;
    return decoder;
}

static uint32_t cost(const struct tap_body *b)
{
    uint32_t all = b->kept_cap;
    for (unsigned i = 0; i < b->codings; i++)
        all += cost_of(b, i);
    return all;
}

/* By doubling: most bodies are far below what an output takes at most. */
static void grow(struct tap_body *b, size_t len)
{
    size_t cap = b->kept_cap ? 2 * (size_t)b->kept_cap : KEPT_FIRST;
    cap = cap < b->kept_len + len ? b->kept_len + len : cap;
    b->kept_cap = cap < b->room ? (uint32_t)cap : b->room;
    b->kept = realloc(b->kept, b->kept_cap);
    nu_assert(b->kept != NULL);
}

static void keep(struct tap_body *b, const uint8_t *at, size_t len)
{
    size_t room = b->room - b->kept_len;
    len = len < room ? len : room;
    if (len == 0)
        return;
    if (b->kept_cap - b->kept_len < len)
        grow(b, len);
    memcpy(b->kept + b->kept_len, at, len);
    b->kept_len += (uint32_t)len;
}

static void stop_decoding(struct tap_body *b)
{
    for (unsigned i = 0; i < b->codings; i++) {
        nu_coder_free(b->coder[i]);
        b->coder[i] = NULL;
    }
    b->decoding = false;
    b->room = b->kept_len;
}

static struct nu_coder *decoder(enum tap_coding coding)
{
    if (coding == TAP_DEFLATE)
        return nu_deflate_decoder_new();
    return nu_decoder_new(coding == TAP_GZIP ? NU_CODING_GZIP : NU_CODING_BROTLI, TAP_BR_WINDOW);
}

static void decode(struct tap_body *b, unsigned i, struct nu_piece bytes);

/* Out of one coding and into the next, or out of the last. */
static void pass_on(struct tap_body *b, unsigned i, const uint8_t *at, size_t len)
{
    b->made[i] += len;
    if (i == 0)
        keep(b, at, len);
    else if (len)
        decode(b, i - 1, (struct nu_piece){at, len});
    uint64_t all = 0;
    for (unsigned k = 0; k < b->codings; k++)
        all += b->made[k];
    bool fine = b->made[i] <= TAP_DECODED_MAX && tap_may_decode(b->conn, b->wire, all, &b->spent);
    if (!fine && b->decoding) {
        b->bomb = true;
        stop_decoding(b);
    }
}

/* Of a body that is none of its coding the bytes count as they are. */
static void decode(struct tap_body *b, unsigned i, struct nu_piece bytes)
{
    static _Thread_local uint8_t round[TAP_CODINGS_MAX][ROUND];
    struct nu_code_io io = {.in = bytes.data, .in_len = bytes.len};
    enum nu_code_state state = NU_CODE_FULL;
    if (!b->coder[i])
        b->coder[i] = decoder((enum tap_coding)b->coding[i]);
    while (b->decoding && (state == NU_CODE_FULL || (state == NU_CODE_MORE && io.in_len))) {
        io.out = round[i];
        io.out_len = ROUND;
        state = nu_code(b->coder[i], NU_CODE_RUN, &io);
        pass_on(b, i, round[i], ROUND - io.out_len);
    }
    if (b->decoding && state == NU_CODE_BAD) {
        stop_decoding(b);
        b->bad = (uint8_t)(i + 1);
    }
}

void tap_body_data(struct tap_body *b, struct nu_piece bytes)
{
    b->wire += bytes.len;
    if (b->decoding && bytes.len)
        decode(b, b->codings - 1u, bytes);
    else if (!b->codings)
        keep(b, bytes.data, bytes.len);
    if (b->codings || b->kept)
        hold(b, cost(b));
}

void tap_body_gap(struct tap_body *b, uint64_t bytes)
{
    b->missing += bytes;
    b->room = b->kept_len; /* what comes behind the hole is not what follows */
    if (b->decoding) {
        stop_decoding(b);
        hold(b, cost(b));
    }
}

void tap_body_shrink(struct tap_body *b)
{
    if (b->decoding)
        stop_decoding(b);
    free(b->kept);
    b->kept = NULL;
    b->kept_len = b->kept_cap = b->room = 0;
    if (b->held)
        hold(b, 0);
}

/* The first, as they are opened, whose decoder does not have all that belongs to it; 0: none. */
static unsigned cut_short(struct tap_body *b)
{
    uint8_t more[64];
    for (unsigned i = b->codings; i > 0; i--) {
        struct nu_code_io io = {.out = more, .out_len = sizeof more};
        if (b->coder[i - 1] && nu_code(b->coder[i - 1], NU_CODE_FINISH, &io) != NU_CODE_END)
            return i;
    }
    return 0;
}

/* From 1 on. */
static const char *name_of(const struct tap_body *b, unsigned coding)
{
    return tap_coding_str((enum tap_coding)b->coding[coding - 1]);
}

void tap_body_end(struct tap_body *b, bool whole, const char *whose, struct tap_note *note)
{
    if (b->missing)
        tap_note_add(note, "gap of %lluB in the %s body", (unsigned long long)b->missing, whose);
    if (b->bad)
        tap_note_add(note, "the %s body is no %s", whose, name_of(b, b->bad));
    if (b->bomb)
        tap_note_add(note, "the %s body is decoded to %llu KiB only", whose,
                     (unsigned long long)b->made[0] >> 10);
    unsigned cut = b->decoding && whole ? cut_short(b) : 0;
    if (cut)
        tap_note_add(note, "the %s body's %s is cut short", whose, name_of(b, cut));
    if (b->decoding) {
        stop_decoding(b);
        hold(b, cost(b));
    }
}

uint64_t tap_body_len(const struct tap_body *b)
{
    return b->codings && !b->bad ? b->made[0] : b->wire + b->missing;
}
