/* throttle: how much goes through by when, in each direction, and what waits behind it. */
#include "tests/unit/l4/filters/filter_help.h"

static struct nu_loop loop;
static struct rig rig;
static struct configured conf;

static void begin(const char *yaml)
{
    nu_loop_init(&loop, 0);
    conf = configured(&nu_filter_throttle, yaml);
    rig_open(&rig, &loop, &conf, NULL);
}

static void end(void)
{
    rig_close(&rig, &loop);
    configured_free(&conf);
    nu_loop_fini(&loop);
}

/* Time passes a millisecond at a time, as a loop sees it. */
static void pass_ms(int ms)
{
    while (ms--)
        nu_loop_advance(&loop, 1);
}

static void a_burst_goes_at_once_and_the_rest_at_the_rate(void **state)
{
    begin("{rate: 100kB/s, burst: 20kB}");
    rig.client.chunk = 16384;
    nu_endpoint_send(&rig.client, 1000000);
    nu_loop_advance(&loop, 0);
    assert_int_equal(rig.server.got, 20000);
    for (int i = 1; i <= 20; i++) {
        pass_ms(100);
        assert_in_range(rig.server.got, 20000 + 10000 * i - 6000, 20000 + 10000 * i);
    }
    end();
}

static void an_end_waits_behind_the_bytes(void **state)
{
    begin("{rate: 1kB/s, burst: 1kB}");
    nu_endpoint_send(&rig.client, 3000);
    nu_endpoint_finish(&rig.client, NU_CAUSE_CLIENT_FIN);
    nu_endpoint_finish(&rig.server, NU_CAUSE_UPSTREAM_FIN);
    pass_ms(1900);
    assert_false(rig.server.got_end);
    assert_true(rig.client.got_end);
    pass_ms(200);
    assert_null(rig.chain);
    assert_int_equal(rig.server.got, 3000);
    assert_int_equal(rig.server.got_hash, rig.client.sent_hash);
    end();
}

static void both_directions_have_a_bucket(void **state)
{
    begin("1kB/s");
    nu_endpoint_send(&rig.client, 100000);
    nu_endpoint_send(&rig.server, 100000);
    nu_loop_advance(&loop, 0);
    assert_int_equal(rig.server.got, 65536);
    assert_int_equal(rig.client.got, 65536);
    pass_ms(1000);
    assert_in_range(rig.server.got, 65536 + 900, 65536 + 1000);
    assert_in_range(rig.client.got, 65536 + 900, 65536 + 1000);
    end();
}

static void one_direction_leaves_the_other_alone(void **state)
{
    static const char *const names[] = {"upload", "download"};
    for (int i = 0; i < 2; i++) {
        char yaml[64];
        snprintf(yaml, sizeof yaml, "{rate: 1kB/s, burst: 1kB, direction: %s}", names[i]);
        begin(yaml);
        nu_endpoint_send(&rig.client, 50000);
        nu_endpoint_send(&rig.server, 50000);
        nu_loop_advance(&loop, 0);
        assert_int_equal(rig.server.got, i ? 50000 : 1000);
        assert_int_equal(rig.client.got, i ? 1000 : 50000);
        end();
    }
}

/* The source stops; what waits is a piece of a read, not the transfer. */
static void the_source_is_held(void **state)
{
    begin("{rate: 1kB/s, burst: 1kB}");
    nu_endpoint_send(&rig.client, 1000000);
    pass_ms(2000);
    assert_true(rig.client.asleep);
    assert_in_range(rig.client.sent, 2000, 5000);
    end();
}

static void a_pause_earns_no_more_than_a_burst(void **state)
{
    begin("{rate: 10kB/s, burst: 5kB}");
    nu_loop_advance(&loop, INT64_C(1000) * 3600 * 24 * 365 * 100);
    nu_endpoint_send(&rig.client, 100000);
    nu_loop_advance(&loop, 0);
    assert_int_equal(rig.server.got, 5000);
    end();
}

/* Rates at both ends of what may be written. */
static void extremes_work(void **state)
{
    begin("{rate: 1, burst: 1}");
    nu_endpoint_send(&rig.client, 5);
    nu_loop_advance(&loop, 0);
    pass_ms(3999);
    assert_int_equal(rig.server.got, 4);
    pass_ms(1);
    assert_int_equal(rig.server.got, 5);
    end();
    begin("{rate: 1024GiB/s, burst: 1024GiB}");
    nu_endpoint_send(&rig.client, 10000000);
    nu_loop_advance(&loop, 0);
    assert_int_equal(rig.server.got, 10000000);
    nu_loop_advance(&loop, INT64_C(1000) * 3600 * 24 * 365 * 100);
    nu_endpoint_send(&rig.client, 1000);
    nu_loop_advance(&loop, 0);
    assert_int_equal(rig.server.got, 10001000);
    end();
}

static void a_chain_cut_while_it_waits_leaks_nothing(void **state)
{
    begin("{rate: 1kB/s, burst: 1kB}");
    nu_endpoint_send(&rig.client, 5000);
    nu_endpoint_send(&rig.server, 5000);
    pass_ms(10);
    end(); /* the pool asserts that every block is back */
}

static void mistakes_are_named(void **state)
{
    assert_refused(&nu_filter_throttle, "{}", "missing key \"rate\"");
    assert_refused(&nu_filter_throttle, "rate: 0", "out of range");
    assert_refused(&nu_filter_throttle, "{rate: 1MiB/s, burst: 0}", "out of range");
    assert_refused(&nu_filter_throttle, "{rate: 1MiB/s, direction: up}", "expected both, upload");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_goes_at_once_and_the_rest_at_the_rate),
        cmocka_unit_test(an_end_waits_behind_the_bytes),
        cmocka_unit_test(both_directions_have_a_bucket),
        cmocka_unit_test(one_direction_leaves_the_other_alone),
        cmocka_unit_test(the_source_is_held),
        cmocka_unit_test(a_pause_earns_no_more_than_a_burst),
        cmocka_unit_test(extremes_work),
        cmocka_unit_test(a_chain_cut_while_it_waits_leaks_nothing),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
