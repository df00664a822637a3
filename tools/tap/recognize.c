/* The layer that finds out what a stream is: it keeps the first bytes of both directions until a
 * recognizer says yes, opens that one's layer, gives it what was kept in the order it came, and
 * passes on all that follows. */
#include "tools/tap/layer.h"

#include "core/assert.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 1024 /* pieces that are kept: of a byte each, in turns, that is a start, too */
#define ALPN_MAX  32   /* bytes of a protocol's name that anybody looks at, with its NUL */

/* First match wins: from what has an unmistakable beginning to what has none. */
static const struct tap_recognizer *const rows[] = {
    &tap_is_proxy, &tap_is_tls, &tap_is_socks, &tap_is_h2, &tap_is_h1, &tap_is_raw,
};

#define ROWS (sizeof rows / sizeof *rows)

enum kind { BYTES, GAP, END };

/* Something that came before the answer was known. */
struct step {
    uint64_t bytes; /* of END: enum nu_flow_end */
    int64_t ns;
    uint8_t kind, dir;
};

/* A direction. */
struct side {
    uint8_t *kept;
    size_t len;
    size_t seen; /* bytes up to the first gap behind some */
    bool started, whole, ended, cut;
};

struct guess {
    struct tap_layer layer;
    struct tap_layer *inner; /* NULL until known */
    struct step *step;
    size_t steps, steps_cap;
    struct side side[2];
    size_t asked; /* bytes of both sides that recognizers have seen */
    size_t held;  /* as told to tap_hold */
    char alpn[ALPN_MAX];
};

static void account(struct guess *g)
{
    size_t now = sizeof *g + g->steps_cap * sizeof *g->step + g->side[0].len + g->side[1].len;
    tap_hold(g->layer.conn, (int64_t)now - (int64_t)g->held);
    g->held = now;
}

static void drop_kept(struct guess *g)
{
    for (int dir = 0; dir < 2; dir++) {
        free(g->side[dir].kept);
        g->side[dir].kept = NULL;
        g->side[dir].len = 0;
    }
    free(g->step);
    g->step = NULL;
    g->steps = g->steps_cap = 0;
    account(g);
}

static void keep_step(struct guess *g, enum kind kind, int dir, uint64_t bytes, int64_t ns)
{
    if (g->steps == g->steps_cap) {
        g->steps_cap = g->steps_cap ? 2 * g->steps_cap : 4;
        g->step = realloc(g->step, g->steps_cap * sizeof *g->step);
        nu_assert(g->step != NULL);
    }
    g->step[g->steps++] = (struct step){bytes, ns, (uint8_t)kind, (uint8_t)dir};
}

static void keep_bytes(struct side *side, struct nu_piece bytes)
{
    side->kept = realloc(side->kept, side->len + bytes.len);
    nu_assert(side->kept != NULL);
    memcpy(side->kept + side->len, bytes.data, bytes.len);
    side->len += bytes.len;
    side->seen += side->cut ? 0 : bytes.len;
}

/* --- the answer --- */

static void swap_u64(uint64_t pair[2])
{
    uint64_t first = pair[0];
    pair[0] = pair[1];
    pair[1] = first;
}

static void swap_ends(struct guess *g)
{
    struct tap_conn *conn = g->layer.conn;
    struct side first = g->side[0];
    nu_flow_turn(conn->flow);
    swap_u64(conn->bytes);
    swap_u64(conn->missing);
    g->side[0] = g->side[1];
    g->side[1] = first;
    for (size_t i = 0; i < g->steps; i++)
        g->step[i].dir ^= 1;
}

/* What was kept, as it came. */
static void replay(struct guess *g)
{
    size_t at[2] = {0, 0};
    for (size_t i = 0; i < g->steps; i++) {
        struct step *s = &g->step[i];
        if (s->kind == BYTES) {
            struct nu_piece piece = {g->side[s->dir].kept + at[s->dir], s->bytes};
            at[s->dir] += s->bytes;
            tap_feed(g->inner, s->dir, piece, s->ns);
        } else if (s->kind == GAP)
            tap_gap(g->inner, s->dir, s->bytes, s->ns);
        else
            tap_end(g->inner, s->dir, (enum nu_flow_end)s->bytes, s->ns);
    }
    drop_kept(g);
}

static void settle(struct guess *g, const struct tap_recognizer *row)
{
    g->inner = row->open(g->layer.conn, g->layer.depth);
    replay(g);
}

static size_t most_of(const struct side *side)
{
    return side->whole ? TAP_GUESS_MAX : TAP_GUESS_MIDDLE;
}

/* Never NULL, even where there is nothing. */
static struct nu_piece first_of(const struct guess *g, int dir)
{
    static const uint8_t nothing[1];
    size_t len = g->side[dir].seen, most = most_of(&g->side[dir]);
    const uint8_t *kept = g->side[dir].kept ? g->side[dir].kept : nothing;
    return (struct nu_piece){kept, len < most ? len : most};
}

static bool is_over(const struct side *side)
{
    return side->ended || side->cut;
}

/* No more of what recognizers may see will come. */
static bool must_decide(const struct guess *g)
{
    const struct side *a = &g->side[0], *b = &g->side[1];
    bool full = a->len >= most_of(a) || b->len >= most_of(b);
    return full || (is_over(a) && is_over(b)) || g->steps >= STEPS_MAX;
}

/* Whether there is more to see than last time: of much, a little more tells nothing, and to look at
 * it all again for every packet costs. */
static bool is_worth_asking(const struct guess *g)
{
    size_t now = g->side[0].len + g->side[1].len;
    return now <= TAP_GUESS_MAX || now - g->asked >= now / 16 || must_decide(g);
}

static void decide(struct guess *g)
{
    struct tap_start start = {
        .first = {first_of(g,        0),             first_of(g, 1)},
        .whole = {g->side[0].whole,               g->side[1].whole                            },
        .ended = {is_over(&g->side[0]),is_over(&g->side[1])},
        .may_turn = !g->layer.depth && !g->layer.conn->flow->sure,
        .alpn = *g->alpn ? g->alpn : NULL,
    };
    bool must = must_decide(g);
    g->asked = g->side[0].len + g->side[1].len;
    for (size_t i = 0; i < ROWS; i++) {
        enum tap_found found = rows[i]->find(&start);
        if (found == TAP_MORE && !must)
            return;
        if (found == TAP_TURNED && start.may_turn)
            swap_ends(g);
        else if (found != TAP_YES)
            continue;
        settle(g, rows[i]);
        return;
    }
}

/* --- the layer --- */

/* The outermost layer knows by the SYN whether a direction is seen from its first byte on. */
static void begin(struct guess *g, int dir, bool gap)
{
    const struct tap_layer *layer = &g->layer;
    struct side *side = &g->side[dir];
    if (side->started)
        return;
    side->started = true;
    side->whole = !gap && (layer->depth || nu_flow_half(layer->conn->flow, dir)->from_syn);
}

static void guess_feed(struct tap_layer *layer, int dir, struct nu_piece bytes, int64_t ns)
{
    struct guess *g = (struct guess *)layer;
    if (g->inner) {
        tap_feed(g->inner, dir, bytes, ns);
        return;
    }
    begin(g, dir, false);
    keep_bytes(&g->side[dir], bytes);
    keep_step(g, BYTES, dir, bytes.len, ns);
    account(g);
    if (is_worth_asking(g))
        decide(g);
}

static void guess_gap(struct tap_layer *layer, int dir, uint64_t bytes, int64_t ns)
{
    struct guess *g = (struct guess *)layer;
    if (g->inner) {
        tap_gap(g->inner, dir, bytes, ns);
        return;
    }
    begin(g, dir, true);
    keep_step(g, GAP, dir, bytes, ns);
    account(g);
    g->side[dir].cut = g->side[dir].len > 0;
    if (g->side[dir].cut)
        decide(g);
}

static void guess_end(struct tap_layer *layer, int dir, enum nu_flow_end how, int64_t ns)
{
    struct guess *g = (struct guess *)layer;
    if (g->inner) {
        tap_end(g->inner, dir, how, ns);
        return;
    }
    g->side[dir].ended = true;
    keep_step(g, END, dir, how, ns);
    decide(g);
}

static void guess_shrink(struct tap_layer *layer)
{
    tap_shrink(((struct guess *)layer)->inner);
}

static void guess_free(struct tap_layer *layer)
{
    struct guess *g = (struct guess *)layer;
    tap_layer_free(g->inner);
    drop_kept(g);
    tap_hold(layer->conn, -(int64_t)g->held);
    free(g);
}

static const struct tap_layer_type guess_type = {
    .name = "guess",
    .feed = guess_feed,
    .gap = guess_gap,
    .end = guess_end,
    .shrink = guess_shrink,
    .free = guess_free,
};

struct tap_layer *tap_guess_new(struct tap_conn *conn, unsigned depth, const char *alpn)
{
    if (depth >= TAP_DEPTH_MAX)
        return tap_is_raw.open(conn, depth);
    struct guess *g = calloc(1, sizeof *g);
    nu_assert(g != NULL);
    g->layer = (struct tap_layer){.type = &guess_type, .conn = conn, .depth = depth};
    if (alpn)
        strncpy(g->alpn, alpn, sizeof g->alpn - 1);
    account(g);
    return &g->layer;
}
