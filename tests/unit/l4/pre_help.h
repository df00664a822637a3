/* For tests of the filters before a chain: one chain of a client's end and the filter, fed by hand,
 * whose next step inserts an end that remembers what reaches it. */
#ifndef TESTS_L4_PRE_HELP_H
#define TESTS_L4_PRE_HELP_H

#include "l4/listener.h"
#include "l4/pre.h"
#include "tests/filters/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

struct pre {
    struct nu_loop loop;
    struct nu_pre_conf conf;
    struct nu_facts facts;
    struct nu_chain *chain; /* NULL once closed */
    struct nu_probe client, server;
    bool refuse; /* the next step finds no chain */
    /* What became known. */
    unsigned nexts;
    bool sniffed; /* of the last step: something was sniffed */
    struct nu_match_input input;
    char names[2][64]; /* of input: SNI and the first protocol, copied */
    uint8_t got[256 * 1024];
    size_t got_len;
    bool got_end;
    /* At its end. */
    struct nu_result result;
    char details[128], blamed[32], sni[256], alpn[256];
    enum nu_transport transport;
    struct nu_facts last;
    struct nu_facts_more more;
    uint8_t tlvs[64];
};

static struct pre pre;

static inline void pre_got(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_END) {
        pre.got_end = true;
        nu_done(f, dir);
        return;
    }
    assert_int_equal(ev->kind, NU_DATA);
    memcpy(pre.got + pre.got_len, ev->u.data.data, ev->u.data.len);
    pre.got_len += ev->u.data.len;
    nu_ev_free(ev);
}

static inline bool pre_next(struct nu_filter *f, const struct nu_match_input *sniffed)
{
    pre.nexts++;
    pre.sniffed = sniffed != NULL;
    if (sniffed) {
        pre.input = *sniffed;
        memcpy(pre.names[0], sniffed->sni.text ? sniffed->sni.text : "", sniffed->sni.len);
        if (sniffed->alpn_count)
            memcpy(pre.names[1], sniffed->alpn[0].text, sniffed->alpn[0].len);
    }
    if (pre.refuse)
        return false;
    nu_insert(f, NU_FWD, &(struct nu_place){&nu_probe_right, &pre.server}, 1);
    return true;
}

static inline void pre_closed(struct nu_chain *chain, void *ctx)
{
    const struct nu_facts *facts = nu_chain_facts(chain);
    pre.chain = NULL;
    pre.result = nu_chain_result(chain);
    pre.last = *facts;
    if (facts->more)
        pre.more = *facts->more;
    if (facts->more && facts->more->proxy_tlv_len)
        memcpy(pre.tlvs, facts->more->proxy_tlvs, facts->more->proxy_tlv_len);
    snprintf(pre.sni, sizeof pre.sni, "%s",
             facts->more && facts->more->sni ? facts->more->sni : "-");
    snprintf(pre.alpn, sizeof pre.alpn, "%s",
             facts->more && facts->more->alpn ? facts->more->alpn : "-");
    snprintf(pre.details, sizeof pre.details, "%s", nu_chain_details(chain));
    snprintf(pre.blamed, sizeof pre.blamed, "%s", nu_chain_blamed(chain));
}

static const struct nu_chain_owner pre_owner = {.closed = pre_closed};

static inline void pre_start(const struct nu_filter_type *type)
{
    memset(&pre, 0, sizeof pre);
    nu_stats_init(1);
    nu_loop_init(&pre.loop, 0);
    pre.conf = (struct nu_pre_conf){
        .timeout_ms = 1000,
        .stats = nu_stats_get(&nu_listener_stats, "listener.test"),
        .next = pre_next,
    };
    pre.client.name = "client";
    pre.server = (struct nu_probe){.name = "server", .event = pre_got};
    nu_addr_parse(&pre.facts.client, "10.0.0.1:1000", -1);
    nu_addr_parse(&pre.facts.local, "10.0.0.2:443", -1);
    struct nu_place places[] = {
        {&nu_probe_left, &pre.client},
        {type,           &pre.conf  }
    };
    pre.chain = nu_chain_new(&pre.loop, places, 2, &pre.facts, &pre_owner, NULL);
}

/* Cuts what still lives; every block must be back. */
static inline void pre_stop(void)
{
    if (pre.chain)
        nu_chain_abort(pre.chain, NU_CAUSE_DRAIN);
    nu_loop_advance(&pre.loop, 0);
    assert_null(pre.chain);
    assert_int_equal(nu_block_pool_lent(pre.loop.blocks), 0);
    nu_stats_put(pre.conf.stats);
    nu_loop_fini(&pre.loop);
}

static struct {
    const void *bytes;
    size_t len;
} pre_bytes;

static inline void pre_forward(struct nu_filter *f)
{
    nu_forward_data(f, NU_FWD, nu_slice_copy(pre.loop.blocks, pre_bytes.bytes, pre_bytes.len));
}

/* The client sends bytes; true while the connection lives. */
static inline bool pre_send(const void *bytes, size_t len)
{
    pre_bytes.bytes = bytes;
    pre_bytes.len = len;
    if (pre.client.self)
        nu_call(pre.client.self, pre_forward);
    nu_loop_advance(&pre.loop, 0);
    return pre.chain != NULL;
}

static inline bool pre_send_end(enum nu_cause cause)
{
    nu_say_end(pre.client.self, NU_FWD, cause);
    nu_loop_advance(&pre.loop, 0);
    return pre.chain != NULL;
}

static inline void assert_got(const void *bytes, size_t len)
{
    assert_int_equal(pre.got_len, len);
    assert_memory_equal(pre.got, bytes, len);
}

static inline int64_t pre_stat(enum nu_listener_stat stat)
{
    return nu_stat_read(pre.conf.stats, stat);
}

/* Failed with that cause, blamed on the filter. */
static inline void assert_failed(enum nu_cause cause, enum nu_side side, const char *details)
{
    assert_null(pre.chain);
    assert_string_equal(nu_cause_str(pre.result.cause), nu_cause_str(cause));
    assert_int_equal(pre.result.side, side);
    assert_string_equal(pre.details, details);
    assert_int_equal(pre.got_len, 0);
}

#endif
