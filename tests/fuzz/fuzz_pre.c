/* What comes before a chain, as a whole: PROXY header and ClientHello filters on a connection whose
 * bytes come in pieces. The first byte of the input says which filters and how small the pieces
 * are. Not a byte may be lost, changed or added, but for a PROXY header at the front. */
#include "core/assert.h"
#include "l4/filters/proxy_protocol_in.h"
#include "l4/listener.h"
#include "l4/pre.h"
#include "l4/sniff.h"
#include "protocols/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct nu_loop loop;
static struct nu_pre_conf conf;
static struct nu_filter *feeder;
static struct nu_chain *chain; /* NULL once closed */
static bool sniffing, chosen, ended;
static uint8_t *got;
static size_t got_len, fed_len;
static struct nu_slice piece;

static void take(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DATA) {
        nu_assert(got_len + ev->u.data.len <= fed_len);
        memcpy(got + got_len, ev->u.data.data, ev->u.data.len);
        got_len += ev->u.data.len;
    }
    ended = ev->kind == NU_END;
    nu_ev_free(ev);
    if (ended)
        nu_done(f, dir);
}

static const struct nu_filter_type sink = {
    .name = "sink",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_NONE),
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), 0},
    .event = take,
};

static enum nu_open feeder_open(struct nu_filter *f, const void *none)
{
    feeder = f;
    return NU_OPEN;
}

static const struct nu_filter_type source = {
    .name = "source",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_BYTES),
    .open = feeder_open,
};

static bool next_step(struct nu_filter *f, const struct nu_match_input *sniffed)
{
    nu_assert(!chosen);
    if (sniffing && !sniffed) {
        nu_insert(f, NU_FWD, &(struct nu_place){&nu_filter_sniff, &conf}, 1);
        return true;
    }
    if (sniffed)
        nu_assert(sniffed->sni.len < 256 && sniffed->alpn_count <= NU_MATCH_MAX_ALPN);
    chosen = true;
    nu_insert(f, NU_FWD, &(struct nu_place){&sink, NULL}, 1);
    return true;
}

static void closed(struct nu_chain *c, void *ctx)
{
    chain = NULL;
}

static const struct nu_chain_owner owner = {.closed = closed};

static void start(enum nu_proxy_mode proxy)
{
    nu_stats_init(1);
    nu_loop_init(&loop, 0);
    conf = (struct nu_pre_conf){.timeout_ms = 1000,
                                .proxy = proxy,
                                .stats = nu_stats_get(&nu_listener_stats, "listener.fuzz"),
                                .next = next_step};
    struct nu_place places[] = {
        {&source,                                                        NULL },
        {proxy == NU_PROXY_OFF ? &nu_filter_sniff : &nu_filter_proxy_in, &conf}
    };
    struct nu_facts facts = {.client.kind = NU_ADDR_IP4, .local.kind = NU_ADDR_IP4};
    chosen = ended = false;
    got_len = fed_len = 0;
    chain = nu_chain_new(&loop, places, 2, &facts, &owner, NULL);
}

static void stop(void)
{
    if (chain)
        nu_chain_abort(chain, NU_CAUSE_DRAIN);
    nu_loop_advance(&loop, 0);
    nu_assert(!chain && nu_block_pool_lent(loop.blocks) == 0);
    nu_stats_put(conf.stats);
    nu_loop_fini(&loop);
}

static void feed(struct nu_filter *f)
{
    nu_forward_data(f, NU_FWD, piece);
}

static void feed_end(struct nu_filter *f)
{
    nu_forward_end(f, NU_FWD, nu_result_of(NU_CAUSE_CLIENT_FIN));
}

/* All of it in pieces of that size, then its end or a timeout. */
static void play(const uint8_t *data, size_t len, size_t each, bool end)
{
    for (size_t at = 0; at < len && chain; at += each) {
        size_t n = len - at < each ? len - at : each;
        fed_len = at + n;
        piece = nu_slice_copy(loop.blocks, data + at, n);
        nu_call(feeder, feed);
        nu_loop_advance(&loop, 0);
    }
    if (end && chain)
        nu_call(feeder, feed_end);
    nu_loop_advance(&loop, end ? 0 : 1000);
}

/* What of the input is the stream's. */
static size_t header_bytes(enum nu_proxy_mode proxy, const uint8_t *data, size_t len)
{
    struct nu_proxy_header header;
    if (proxy == NU_PROXY_OFF || nu_proxy_parse(data, len, &header) != NU_OK)
        return 0;
    return header.bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const size_t sizes[] = {1, 2, 7, 100, 1000, 100000};
    if (len == 0)
        return 0;
    enum nu_proxy_mode proxy = (enum nu_proxy_mode)(data[0] % 3);
    size_t each = sizes[data[0] / 3 % 6];
    bool end = data[0] & 0x80;
    sniffing = proxy == NU_PROXY_OFF || data[0] & 0x40;
    data++;
    len--;
    got = malloc(len + 1);
    nu_assert(got != NULL);
    start(proxy);
    play(data, len, each, end);
    if (chosen) {
        size_t skip = header_bytes(proxy, data, len);
        nu_assert(got_len == len - skip && memcmp(got, data + skip, got_len) == 0);
        nu_assert(ended == end);
    } else {
        nu_assert(got_len == 0 && (!chain || !end));
    }
    stop();
    free(got);
    return 0;
}
