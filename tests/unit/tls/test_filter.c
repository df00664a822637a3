/* The TLS filter face to face with itself: bytes, ends, pressure. */
#include "tests/unit/tls/tls_kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <openssl/err.h>

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void all_arrived(uint64_t fwd, uint64_t rev)
{
    assert_int_equal(kit->right.got, fwd);
    assert_int_equal(kit->left.got, rev);
    assert_int_equal(kit->right.got_hash, kit->left.sent_hash);
    assert_int_equal(kit->left.got_hash, kit->right.sent_hash);
    assert_int_equal(kit->left.wrong + kit->right.wrong, 0);
}

/* Both sides send and end by close_notify. */
static void send_both_ways(const struct nu_place *wire, unsigned count)
{
    kit->left.to_send = 100000;
    kit->left.chunk = 30000;
    kit->left.end = NU_CAUSE_CLIENT_FIN;
    kit->right.to_send = 70001;
    kit->right.end = NU_CAUSE_UPSTREAM_FIN;
    tls_kit_chain(wire, count);
    tls_kit_run(300);
    all_arrived(100000, 70001);
    assert_true(kit->left.got_end && kit->right.got_end);
    assert_int_equal(kit->left.result.how, NU_CLEAN);
    assert_int_equal(kit->right.result.how, NU_CLEAN);
    assert_null(kit->chain);
    assert_int_equal(kit->result.how, NU_CLEAN);
    assert_int_equal(kit->lines, 0);
}

static void carries_both_ways(void **state)
{
    for (int i = 0; i < 2; i++) {
        tls_kit_versions(versions[i]);
        send_both_ways(NULL, 0);
        kit->left = kit->right = nu_endpoint_idle();
    }
    assert_int_equal(tls_kit_stat(&kit->server, NU_TLS_HANDSHAKE), 2);
    assert_int_equal(tls_kit_stat(&kit->client, NU_TLS_HANDSHAKE), 2);
    assert_int_equal(tls_kit_stat(&kit->server, NU_TLS_VERSION_V12), 1);
    assert_int_equal(tls_kit_stat(&kit->client, NU_TLS_VERSION_V13), 1);
    assert_int_equal(tls_kit_stat(&kit->server, NU_TLS_NO_CERTIFICATE), 2);
    assert_int_equal(tls_kit_stat(&kit->client, NU_TLS_NO_CERTIFICATE), 0);
}

/* However the wire cuts or joins them. */
static void any_split_carries_the_same(void **state)
{
    static const struct nu_glue_conf glue = {70000, 1};
    static const struct nu_slow_conf slow = {5000, 1};
    const struct nu_place wires[][3] = {
        {{&nu_shred, NULL},  {&nu_pedant, NULL}, {&nu_deaf, NULL} },
        {{&nu_pedant, NULL}, {&nu_glue, &glue},  {&nu_deaf, NULL} },
        {{&nu_slow, &slow},  {&nu_pedant, NULL}, {&nu_deaf, NULL} },
        {{&nu_glue, &glue},  {&nu_slow, &slow},  {&nu_shred, NULL}},
    };
    for (size_t w = 0; w < sizeof wires / sizeof *wires; w++)
        for (int i = 0; i < 2; i++) {
            tls_kit_versions(versions[i]);
            send_both_ways(wires[w], 3);
            kit->left = kit->right = nu_endpoint_idle();
        }
}

/* Whoever else uses OpenSSL on the thread may have left something in its queue of errors. */
static void errors_of_others_are_not_its_own(void **state)
{
    kit->left.to_send = 100000;
    kit->left.end = NU_CAUSE_CLIENT_FIN;
    kit->right.to_send = 70001;
    kit->right.window = 100;
    tls_kit_chain(NULL, 0);
    for (int i = 0; i < 50; i++) {
        ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
        nu_endpoint_open(&kit->right, i < 10 ? 100 : UINT64_MAX);
        if (i == 20)
            nu_endpoint_finish(&kit->right, NU_CAUSE_UPSTREAM_FIN);
        tls_kit_run(1);
    }
    ERR_clear_error();
    all_arrived(100000, 70001);
    assert_int_equal(kit->left.result.how, NU_CLEAN);
    assert_int_equal(kit->right.result.how, NU_CLEAN);
    assert_int_equal(kit->result.how, NU_CLEAN);
}

static void nothing_plain_crosses_before_it_is_done(void **state)
{
    kit->left.to_send = 10;
    kit->left.end = NU_CAUSE_CLIENT_FIN;
    SSL_CTX_set_cipher_list(kit->client.ctx, "NULL"); /* nothing in common */
    SSL_CTX_set_max_proto_version(kit->client.ctx, TLS1_2_VERSION);
    tls_kit_chain(NULL, 0);
    tls_kit_run(10);
    assert_int_equal(kit->right.got, 0);
}

/* One close_notify each: what the other says behind it still comes, as long as it likes. */
static void one_half_lives_on(void **state)
{
    for (int i = 0; i < 2; i++) {
        tls_kit_versions(versions[i]);
        kit->left.to_send = 5;
        kit->left.end = NU_CAUSE_CLIENT_FIN;
        tls_kit_chain(NULL, 0);
        tls_kit_run(100);
        assert_true(kit->right.got_end);
        assert_int_equal(kit->right.result.how, NU_CLEAN);
        assert_non_null(kit->chain);
        nu_endpoint_send(&kit->right, 50000);
        tls_kit_run(100000);
        all_arrived(5, 50000);
        nu_endpoint_finish(&kit->right, NU_CAUSE_UPSTREAM_FIN);
        tls_kit_run(10);
        assert_int_equal(kit->left.result.how, NU_CLEAN);
        assert_null(kit->chain);
        kit->left = kit->right = nu_endpoint_idle();
    }
}

/* Eats whatever the client says from now on, and then the socket below is closed. */
static void cut_short(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (dir == NU_FWD && kit->left.sent_end) {
        if (ev->kind != NU_END)
            nu_ev_free(ev);
        else
            nu_forward(f, dir, ev);
    } else {
        nu_forward(f, dir, ev);
    }
}

static void without_close_notify_nothing_is_whole(void **state)
{
    struct nu_probe cutter = {.event = cut_short};
    const struct nu_place wire = {&nu_probe, &cutter};
    for (int i = 0; i < 2; i++) {
        tls_kit_versions(versions[i]);
        kit->left.to_send = 1000;
        tls_kit_chain(&wire, 1);
        tls_kit_run(10);
        assert_int_equal(kit->right.got, 1000);
        nu_endpoint_finish(&kit->left, NU_CAUSE_CLIENT_FIN);
        tls_kit_run(10);
        assert_true(kit->right.got_end);
        assert_int_equal(kit->right.result.how, NU_TRUNCATED);
        assert_int_equal(kit->right.result.cause, NU_CAUSE_CLIENT_CUT);
        assert_int_equal(tls_kit_stat(&kit->server, NU_TLS_TRUNCATED), i + 1);
        nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
        tls_kit_run(1);
        kit->left = kit->right = nu_endpoint_idle();
    }
}

/* A cut plain side gives no close_notify: the far side sees how it was. */
static void a_cut_stays_a_cut(void **state)
{
    static const enum nu_cause cuts[] = {NU_CAUSE_CLIENT_RST, NU_CAUSE_CLIENT_CUT, NU_CAUSE_IDLE};
    for (int i = 0; i < 3; i++) {
        kit->left.to_send = 1000;
        kit->left.end = cuts[i];
        tls_kit_chain(NULL, 0);
        tls_kit_run(10);
        assert_int_equal(kit->right.got, 1000);
        assert_true(kit->right.got_end);
        assert_int_equal(kit->right.result.how, nu_cause_row(cuts[i])->how);
        if (kit->chain)
            nu_chain_abort(kit->chain, NU_CAUSE_DRAIN);
        tls_kit_run(1);
        kit->left = kit->right = nu_endpoint_idle();
    }
}

/* Nobody takes: what piles up in and around the filters has a bound, and none of it is lost. */
static void a_slow_reader_slows_the_writer(void **state)
{
    kit->right.window = 0;
    kit->right.high_water = 50000;
    kit->left.chunk = 64000;
    kit->left.to_send = 3000000;
    kit->left.end = NU_CAUSE_CLIENT_FIN;
    tls_kit_chain(NULL, 0);
    tls_kit_run(50);
    assert_true(kit->left.asleep);
    assert_in_range(kit->left.sent, 64000, 400000);
    assert_true(nu_block_pool_lent(kit->loop.blocks) < 600000);
    while (kit->right.got < 3000000 && kit->right.got + 10 > kit->right.got) {
        uint64_t before = kit->right.got;
        nu_endpoint_open(&kit->right, 100000);
        tls_kit_run(2);
        assert_true(kit->right.got > before);
        assert_true(nu_block_pool_lent(kit->loop.blocks) < 600000);
    }
    all_arrived(3000000, 0);
    assert_true(kit->right.got_end);
}

/* Many small records in one read become one piece; many small pieces leave in one write. */
static unsigned events_behind;

static void count_data(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (dir == NU_FWD && ev->kind == NU_DATA)
        events_behind++;
    nu_forward(f, dir, ev);
}

static void one_read_feeds_many_records(void **state)
{
    static const struct nu_glue_conf glue = {1000000, 1};
    static const struct nu_chain_owner owner = {.closed = tls_kit_closed};
    static struct nu_probe counter = {.event = count_data};
    kit->right.high_water = 100000;
    const struct nu_place places[] = {
        {&nu_source,     &kit->left      },
        {&nu_tls_filter, &kit->client.pub},
        {&nu_glue,       &glue           },
        {&nu_tls_filter, &kit->server.pub},
        {&nu_probe,      &counter        },
        {&nu_sink,       &kit->right     },
    };
    kit->chain = nu_chain_new(&kit->loop, places, 6, NULL, &owner, NULL);
    tls_kit_run(20);
    kit->left.chunk = 100;
    nu_endpoint_send(&kit->left, 20000); /* 200 records */
    events_behind = 0;
    tls_kit_run(20);
    assert_int_equal(kit->right.got, 20000);
    assert_int_equal(events_behind, 1);
    assert_int_equal(kit->right.writes, 1);
}

/* What a turn makes of one large piece is one event on the wire, not one for each record. */
static void records_leave_together(void **state)
{
    static struct nu_probe counter = {.event = count_data};
    const struct nu_place wire = {&nu_probe, &counter};
    tls_kit_chain(&wire, 1);
    tls_kit_run(10);
    kit->right.high_water = 1000000;
    kit->left.chunk = 200000;
    events_behind = 0;
    nu_endpoint_send(&kit->left, 200000);
    tls_kit_run(10);
    assert_int_equal(events_behind, 1);
    assert_int_equal(kit->right.got, 200000);
}

static void writes_facts(void **state)
{
    tls_kit_chain(NULL, 0);
    tls_kit_run(10);
    const struct nu_tls_facts *facts = nu_chain_facts(kit->chain)->tls;
    assert_string_equal(facts->version, "TLSv1.3");
    assert_non_null(facts->cipher);
    assert_non_null(facts->group);
    assert_false(facts->resumed);
}

/* Idle connections keep no buffers: 7.6 KiB of OpenSSL's, and nothing of the pool. */
static void idle_ones_hold_no_blocks(void **state)
{
    kit->left.to_send = kit->right.to_send = 40000;
    tls_kit_chain(NULL, 0);
    tls_kit_run(20);
    all_arrived(40000, 40000);
    assert_int_equal(nu_block_pool_lent(kit->loop.blocks), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(carries_both_ways),
        TLS_TEST(any_split_carries_the_same),
        TLS_TEST(errors_of_others_are_not_its_own),
        TLS_TEST(nothing_plain_crosses_before_it_is_done),
        TLS_TEST(one_half_lives_on),
        TLS_TEST(without_close_notify_nothing_is_whole),
        TLS_TEST(a_cut_stays_a_cut),
        TLS_TEST(a_slow_reader_slows_the_writer),
        TLS_TEST(one_read_feeds_many_records),
        TLS_TEST(records_leave_together),
        TLS_TEST(writes_facts),
        TLS_TEST(idle_ones_hold_no_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
