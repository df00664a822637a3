/* Bodies of all versions of HTTP, and what they are decoded to. */
#include "tools/tap/body.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define ROUND (16 * 1024) /* bytes that are decoded at once */

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

/* One after the other is hardly ever said, and not looked into. */
static enum tap_coding find_only(struct nu_text list)
{
    enum tap_coding only = TAP_PLAIN;
    struct nu_text element;
    while (list.len && nu_http_list_next(&list, &element)) {
        enum tap_coding coding = find(element);
        if (coding != TAP_PLAIN)
            only = only == TAP_PLAIN ? coding : TAP_UNKNOWN;
    }
    return only;
}

void tap_body_begin(struct tap_body *b, struct tap_conn *conn, struct nu_text coding)
{
    size_t room = tap_body_room(conn);
    b->conn = conn;
    b->coding = (uint8_t)find_only(coding);
    b->over_coding = b->coding == TAP_PLAIN || b->coding == TAP_UNKNOWN;
    b->room = room < UINT32_MAX / 2 ? (uint32_t)room : UINT32_MAX / 2;
}

static void hold(struct tap_body *b, uint32_t bytes)
{
    tap_hold(b->conn, (int64_t)bytes - (int64_t)b->held);
    b->held = bytes;
}

static uint32_t cost(const struct tap_body *b)
{
    uint32_t window = 2 * TAP_BR_WINDOW;
    uint32_t used = b->decoded < window / 2 ? 2 * (uint32_t)b->decoded : window;
    uint32_t decoder = b->coder ? decoder_bytes[b->coding] : 0;
    if (b->coder && b->coding == TAP_BROTLI)
        decoder += used & ~(uint32_t)0xffff;
    return decoder + (b->kept ? b->room : 0);
}

static void keep(struct tap_body *b, const uint8_t *at, size_t len)
{
    size_t room = b->room - b->kept_len;
    len = len < room ? len : room;
    if (len == 0)
        return;
    if (!b->kept)
        b->kept = malloc(b->room);
    nu_assert(b->kept != NULL);
    memcpy(b->kept + b->kept_len, at, len);
    b->kept_len += (uint32_t)len;
}

static void stop_decoding(struct tap_body *b)
{
    nu_coder_free(b->coder);
    b->coder = NULL;
    b->over_coding = true;
    b->room = b->kept_len;
}

/* Of a body that is none of its coding the bytes count as they are. */
static void is_bad(struct tap_body *b)
{
    stop_decoding(b);
    b->bad = true;
}

static struct nu_coder *decoder(enum tap_coding coding)
{
    if (coding == TAP_DEFLATE)
        return nu_deflate_decoder_new();
    return nu_decoder_new(coding == TAP_GZIP ? NU_CODING_GZIP : NU_CODING_BROTLI, TAP_BR_WINDOW);
}

static void decode(struct tap_body *b, struct nu_piece bytes)
{
    static _Thread_local uint8_t round[ROUND];
    struct nu_code_io io = {.in = bytes.data, .in_len = bytes.len};
    enum nu_code_state state = NU_CODE_FULL;
    if (!b->coder)
        b->coder = decoder((enum tap_coding)b->coding);
    while (state == NU_CODE_FULL || (state == NU_CODE_MORE && io.in_len)) {
        io.out = round;
        io.out_len = sizeof round;
        state = nu_code(b->coder, NU_CODE_RUN, &io);
        b->decoded += sizeof round - io.out_len;
        keep(b, round, sizeof round - io.out_len);
        if (b->decoded > TAP_DECODED_MAX) {
            b->bomb = true;
            stop_decoding(b);
            return;
        }
    }
    if (state == NU_CODE_BAD)
        is_bad(b);
}

void tap_body_data(struct tap_body *b, struct nu_piece bytes)
{
    b->wire += bytes.len;
    if (!b->over_coding && bytes.len)
        decode(b, bytes);
    else if (b->coding == TAP_PLAIN || b->coding == TAP_UNKNOWN)
        keep(b, bytes.data, bytes.len);
    if (b->coder || b->kept)
        hold(b, cost(b));
}

void tap_body_gap(struct tap_body *b, uint64_t bytes)
{
    b->missing += bytes;
    b->room = b->kept_len; /* what comes behind the hole is not what follows */
    if (b->coder) {
        stop_decoding(b);
        hold(b, cost(b));
    }
    b->over_coding = true;
}

void tap_body_shrink(struct tap_body *b)
{
    if (b->coder)
        stop_decoding(b);
    free(b->kept);
    b->kept = NULL;
    b->kept_len = b->room = 0;
    if (b->held)
        hold(b, 0);
}

/* Whether the decoder has all that belongs to it. */
static bool is_whole(struct tap_body *b)
{
    uint8_t more[64];
    struct nu_code_io io = {.out = more, .out_len = sizeof more};
    return nu_code(b->coder, NU_CODE_FINISH, &io) == NU_CODE_END;
}

void tap_body_end(struct tap_body *b, bool whole, const char *whose, struct tap_note *note)
{
    const char *coding = tap_coding_str((enum tap_coding)b->coding);
    if (b->missing)
        tap_note_add(note, "gap of %lluB in the %s body", (unsigned long long)b->missing, whose);
    if (b->bad)
        tap_note_add(note, "the %s body is no %s", whose, coding);
    if (b->bomb)
        tap_note_add(note, "the %s body is decoded to %u MiB only", whose, TAP_DECODED_MAX >> 20);
    if (b->coder && whole && !is_whole(b))
        tap_note_add(note, "the %s body's %s is cut short", whose, coding);
    if (b->coder) {
        stop_decoding(b);
        hold(b, cost(b));
    }
}

uint64_t tap_body_len(const struct tap_body *b)
{
    bool coded = b->coding != TAP_PLAIN && b->coding != TAP_UNKNOWN;
    return coded && !b->bad ? b->decoded : b->wire + b->missing;
}
