/* The tap's readers of HTTP/1, HTTP/2, WebSocket and PROXY headers, fed both directions by hand:
 * pieces, gaps, ends, want of memory. The first byte says which reader and how the connection
 * began; then records of two bytes, what and how much, with their bytes. Nothing may be held when
 * all is over, and what was whole may not be told twice. */
#include "tests/unit/tools/tap/layer_kit.h"
#include "tools/tap/layer_ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* By the first byte's low bits. */
static struct tap_layer *open_layer(struct tap_conn *conn, unsigned choice)
{
    static const struct nu_ws_deflate deflates[] = {
        {.windows = {15, 15}},
        { .on = true,                               .windows = {15, 9}},
        {          .on = true, .fresh = {true, true}, .windows = {15, 15}},
    };
    if (choice == 1)
        return tap_is_h1.open(conn, 0);
    if (choice == 2)
        return tap_is_h2.open(conn, 0);
    if (choice == 3)
        return tap_is_proxy.open(conn, 0);
    if (choice >= 4 && choice <= 6)
        return tap_ws_new(conn, 1, 1, &deflates[choice - 4]);
    return tap_guess_new(conn, 0, NULL);
}

/* A record's first byte: direction, what, acknowledgment; the second how much. */
static size_t record(struct kit *k, const uint8_t *at, size_t len)
{
    int dir = *at & 1;
    size_t n = (size_t)at[1] << (*at & 0x80 ? 6 : 0), used = 2;
    switch (*at >> 1 & 7) {
    case 0:
        tap_gap(k->layer, dir, n + 1, k->ns++);
        break;
    case 1:
        tap_shrink(k->layer);
        break;
    case 2: /* what is acknowledged, and whether something waits */
        k->flow.half[dir].started = k->flow.half[dir].has_ack = true;
        k->flow.half[dir].acked = (uint32_t)n;
        k->flow.half[dir].kept = *at & 0x40 ? (struct nu_tcp_kept *)k : NULL;
        break;
    default:
        n = n < len - 2 ? n : len - 2;
        if (n)
            kit_feed(k, dir, (const char *)at + 2, n);
        used += n;
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    struct kit *k = kit_new(!(*data & 8));
    tap_want_bodies(k->tap, *data & 16 ? 100 : 0, 0);
    k->layer = open_layer(&k->conn, *data & 7);
    uint8_t how = *data >> 5 & 3;
    for (data++, len--; len >= 2;) {
        size_t used = record(k, data, len);
        data += used;
        len -= used;
    }
    if (how < 3) /* else nobody listens any more */
        kit_end(k, how);
    struct tap_figures figures = tap_figures(k->tap);
    nu_assert(figures.incomplete <= figures.exchanges && figures.exchanges <= k->conn.exchanges);
    kit_free(k);
    return 0;
}
