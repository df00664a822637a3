/* SOCKS 4, 4a (its authors' memos) and 5 (RFC 1928, 1929) in front of what it carries: the words
 * that client and proxy exchange are stepped over, and what follows is guessed anew. What turns out
 * to be none, or has a hole before it is agreed, is raw. */
#include "core/assert.h"
#include "tools/tap/event.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 1024 /* bytes of a word: names and passwords have 255 each */
#define STAGES    3    /* greeting, password, request; and the proxy's answers to each */
#define VERSION_4 4
#define VERSION_5 5
#define GRANTED_4 90
#define PASSWORD  2 /* method, beside 0: none */

struct socks_side {
    uint8_t word[WORDS_MAX];
    size_t len;
    uint8_t stage; /* STAGES: all is said */
};

struct socks {
    struct tap_layer layer;  /* first member */
    struct socks_side *side; /* of both; NULL: agreed, or given up */
    struct tap_layer *inner; /* from then on */
    uint8_t version;
    int method; /* that the proxy has chosen; -1 not yet */
};

/* --- words: how long they are; 0: there is more to come, -1: it is none --- */

typedef long measure_fn(const uint8_t *b, size_t len);

static long greeting(const uint8_t *b, size_t len)
{
    if (b[0] != VERSION_5 || (len > 1 && b[1] == 0))
        return -1;
    return len > 1 ? 2 + b[1] : 0;
}

static long password(const uint8_t *b, size_t len)
{
    if (b[0] != 1)
        return -1;
    size_t at = len > 1 ? 2u + b[1] : len;
    return len > at ? (long)(at + 1 + b[at]) : 0;
}

/* An address and a port behind three bytes; request and reply are alike. */
static long address(const uint8_t *b, size_t len)
{
    if (b[0] != VERSION_5 || (len > 2 && b[2] != 0))
        return -1;
    if (len < 5)
        return 0;
    return b[3] == 1 ? 10 : b[3] == 3 ? 7 + b[4] : b[3] == 4 ? 22 : -1;
}

/* A port, an address, a user; 0.0.0.x: a name, too (4a). */
static long request_4(const uint8_t *b, size_t len)
{
    bool bad = b[0] != VERSION_4 || (len > 1 && b[1] != 1 && b[1] != 2);
    if (bad || len < 8)
        return bad ? -1 : 0;
    const uint8_t *end = memchr(b + 8, 0, len - 8);
    bool named = !b[4] && !b[5] && !b[6] && b[7];
    if (end && named)
        end = memchr(end + 1, 0, len - (size_t)(end + 1 - b));
    return end ? end + 1 - b : 0;
}

static long reply_4(const uint8_t *b, size_t len)
{
    return b[0] || (len > 1 && (b[1] < 90 || b[1] > 93)) ? -1 : 8;
}

static long two_bytes(const uint8_t *b, size_t len)
{
    return b[0] == VERSION_5 || b[0] == 1 ? 2 : -1;
}

/* By version, direction and stage. */
static measure_fn *const words[2][2][STAGES] = {
    {{request_4, NULL, NULL},       {reply_4, NULL, NULL}          },
    {{greeting, password, address}, {two_bytes, two_bytes, address}},
};

static measure_fn *word_of(const struct socks *s, int dir)
{
    uint8_t stage = s->side[dir].stage;
    return stage < STAGES ? words[s->version == VERSION_5][dir][stage] : NULL;
}

/* --- recognition --- */

/* A greeting and the method out of it that the proxy chose; or a request of version 4, granted. */
static enum tap_found find(const struct tap_start *start)
{
    struct nu_piece client = start->first[0], proxy = start->first[1];
    if (!start->whole[0] || !client.len || (proxy.len && !start->whole[1]))
        return TAP_NO;
    bool five = client.data[0] == VERSION_5;
    long n = five ? greeting(client.data, client.len) : request_4(client.data, client.len);
    bool too_long = n > WORDS_MAX || (n == 0 && client.len >= WORDS_MAX);
    if (n < 0 || too_long)
        return TAP_NO;
    bool wait = !start->ended[0] && !start->ended[1];
    if (n == 0 || (size_t)n > client.len || proxy.len < 2)
        return wait ? TAP_MORE : TAP_NO;
    if (!five)
        return reply_4(proxy.data, proxy.len) > 0 ? TAP_YES : TAP_NO;
    bool offered = memchr(client.data + 2, proxy.data[1], (size_t)n - 2) != NULL;
    return proxy.data[0] == VERSION_5 && offered ? TAP_YES : TAP_NO;
}

/* --- the layer --- */

static void drop_sides(struct socks *s)
{
    tap_hold(s->layer.conn, -(int64_t)(2 * sizeof *s->side));
    free(s->side);
    s->side = NULL;
}

/* What is kept was no word: it is the inner layer's. */
static void hand_on(struct socks *s, struct tap_layer *inner, int64_t ns)
{
    s->inner = inner;
    for (int dir = 0; dir < 2; dir++)
        if (s->side[dir].len)
            tap_feed(inner, dir, (struct nu_piece){s->side[dir].word, s->side[dir].len}, ns);
    drop_sides(s);
}

static void give_up(struct socks *s, int64_t ns)
{
    hand_on(s, tap_is_raw.open(s->layer.conn, s->layer.depth + 1), ns);
}

/* A word is there. False: by it nothing more is understood. */
static bool take_word(struct socks *s, int dir, const uint8_t *word)
{
    struct socks_side *side = &s->side[dir];
    if (dir && s->version == VERSION_5 && side->stage == 0)
        s->method = word[1];
    bool refused = s->version == VERSION_5 ? side->stage > 0 && word[1] != 0 : word[1] != GRANTED_4;
    refused = refused && dir;
    bool odd = s->method > 0 && s->method != PASSWORD;
    side->stage++;
    if (s->method == 0 && side->stage == 1)
        side->stage++; /* no password */
    return !refused && !odd;
}

static bool is_agreed(const struct socks *s)
{
    return !word_of(s, 0) && !word_of(s, 1);
}

/* A client's next word depends on the method, and all of them on the version. */
static bool must_wait(const struct socks *s, int dir)
{
    bool by_method = !dir && s->side[0].stage == 1 && s->method < 0;
    return !s->version || !word_of(s, dir) || by_method;
}

/* Whole words off the front of what is kept of a side. False: it is no SOCKS any more. */
static bool read_words(struct socks *s, int dir)
{
    struct socks_side *side = &s->side[dir];
    if (!dir && side->stage == 1 && s->method == 0)
        side->stage++;
    while (side->len && !must_wait(s, dir)) {
        long n = word_of(s, dir)(side->word, side->len);
        if (n < 0 || n > WORDS_MAX)
            return false;
        if (n == 0 || (size_t)n > side->len)
            break;
        if (!take_word(s, dir, side->word))
            return false;
        side->len -= (size_t)n;
        memmove(side->word, side->word + n, side->len);
    }
    return true;
}

static void feed_words(struct socks *s, int dir, struct nu_piece *in, int64_t ns)
{
    struct socks_side *side = &s->side[dir];
    size_t n = WORDS_MAX - side->len;
    n = n < in->len ? n : in->len;
    memcpy(side->word + side->len, in->data, n);
    side->len += n;
    *in = (struct nu_piece){in->data + n, in->len - n};
    bool fine = read_words(s, dir) && read_words(s, !dir), full = side->len == WORDS_MAX;
    if (!fine || (full && !is_agreed(s)))
        give_up(s, ns);
    else if (is_agreed(s))
        hand_on(s, tap_guess_new(s->layer.conn, s->layer.depth + 1, NULL), ns);
}

static void feed(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t ns)
{
    struct socks *s = (struct socks *)layer;
    if (!s->version && !dir)
        s->version = bytes.data[0];
    while (bytes.len && s->side)
        feed_words(s, dir, &bytes, ns);
    if (bytes.len)
        tap_feed(s->inner, dir, bytes, ns);
}

static void gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    struct socks *s = (struct socks *)layer;
    if (!s->inner)
        give_up(s, ns);
    tap_gap(s->inner, dir, bytes, ns);
}

static void end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    struct socks *s = (struct socks *)layer;
    if (!s->inner)
        give_up(s, ns);
    tap_end(s->inner, dir, how, ns);
}

static void shrink(struct tap_layer *layer)
{
    tap_shrink(((struct socks *)layer)->inner);
}

static void layer_free(struct tap_layer *layer)
{
    struct socks *s = (struct socks *)layer;
    if (s->side)
        drop_sides(s);
    tap_layer_free(s->inner);
    tap_hold(layer->conn, -(int64_t)sizeof *s);
    free(s);
}

static struct tap_layer *open_layer(struct tap_conn *conn, unsigned depth)
{
    static const struct tap_layer_type type = {"socks", feed, gap, end, shrink, layer_free};
    struct socks *s = calloc(1, sizeof *s);
    nu_assert(s != NULL);
    s->layer = (struct tap_layer){&type, conn, depth};
    s->method = -1;
    s->side = calloc(2, sizeof *s->side);
    nu_assert(s->side != NULL);
    tap_hold(conn, (int64_t)(sizeof *s + 2 * sizeof *s->side));
    return &s->layer;
}

const struct tap_recognizer tap_is_socks = {find, open_layer};
