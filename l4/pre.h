/* What comes before a connection's chain: the filters that must see its first bytes before anybody
 * can say which chain it gets. They keep those bytes, learn from them, have the next step inserted
 * beside themselves, hand the bytes on and bypass themselves (S2). */
#ifndef NU_L4_PRE_H
#define NU_L4_PRE_H

#include "core/chain.h"
#include "core/stats.h"
#include "l4/match.h"

enum nu_proxy_mode { NU_PROXY_OFF, NU_PROXY_REQUIRE, NU_PROXY_OPTIONAL };
const char *nu_proxy_mode_str(enum nu_proxy_mode mode);

/* Conf of these filters; part of their listener, which lives until `next` was answered with true or
 * the chain is closed. */
struct nu_pre_conf {
    int64_t timeout_ms; /* for each of them; 0 = none */
    enum nu_proxy_mode proxy;
    uint8_t wanted;         /* NU_WANT_*: by a match or a log of the listener */
    struct nu_stats *stats; /* enum nu_listener_stat */
    /* From a callback of f: inserts to its right what follows from the facts of its chain and from
     * `sniffed`: a sniffer or the chosen chain. sniffed: transport, SNI, ALPN; NULL = nobody has
     * looked yet. False: no chain matches, and nothing has happened. */
    bool (*next)(struct nu_filter *f, const struct nu_match_input *sniffed);
};

/* Bytes kept until somebody knows what they are, in one block that grows by doubling: a peer that
 * sends them one by one costs linear time, and memory in proportion to what it sent. */
struct nu_kept {
    struct nu_block *block; /* NULL = none */
};
void nu_kept_add(struct nu_kept *kept, struct nu_block_pool *pool, const struct nu_slice *more);
size_t nu_kept_len(const struct nu_kept *kept);
void nu_kept_drop(struct nu_kept *kept);
/* Hands them on to the right of f, if there are any. */
void nu_kept_forward(struct nu_kept *kept, struct nu_filter *f);

#endif
