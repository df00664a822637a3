/* echo: every byte comes back, in order, however slowly it is read; ends come back too. */
#include "tests/unit/l4/filters/filter_help.h"

static struct nu_loop loop;
static struct rig rig;
static struct configured conf;

static int setup(void **state)
{
    nu_loop_init(&loop, 0);
    conf = configured(&nu_filter_echo, "idle_timeout: 10s");
    rig_open(&rig, &loop, &conf, NULL);
    return 0;
}

static int teardown(void **state)
{
    rig_close(&rig, &loop);
    configured_free(&conf);
    nu_loop_fini(&loop);
    return 0;
}

static void all_comes_back_and_the_fin_behind_it(void **state)
{
    nu_endpoint_send(&rig.client, 100000);
    nu_endpoint_finish(&rig.client, NU_CAUSE_CLIENT_FIN);
    nu_loop_advance(&loop, 0);
    assert_int_equal(rig.client.got, 100000);
    assert_int_equal(rig.client.got_hash, rig.client.sent_hash);
    assert_int_equal(rig.client.result.how, NU_CLEAN);
    assert_null(rig.chain);
    assert_int_equal(rig.result.cause, NU_CAUSE_CLIENT_FIN);
}

static void a_cut_comes_back_as_a_cut(void **state)
{
    nu_endpoint_send(&rig.client, 10);
    nu_endpoint_finish(&rig.client, NU_CAUSE_CLIENT_RST);
    nu_loop_advance(&loop, 0);
    assert_int_equal(rig.client.result.how, NU_RESET);
    assert_null(rig.chain);
}

/* Who does not read is not read from: what is on its way stays near the sink's high water. */
static void a_client_that_does_not_read_stops_sending(void **state)
{
    rig.client.window = 0;
    nu_endpoint_send(&rig.client, 1000000);
    nu_endpoint_finish(&rig.client, NU_CAUSE_CLIENT_FIN);
    nu_loop_advance(&loop, 0);
    assert_true(rig.client.asleep);
    assert_in_range(rig.client.sent, 1, 6000);
    for (int i = 0; i < 1000 && rig.chain; i++) {
        nu_endpoint_open(&rig.client, 1500);
        nu_loop_advance(&loop, 1);
        assert_in_range(rig.client.waiting, 0, 6000);
    }
    assert_null(rig.chain);
    assert_int_equal(rig.client.got, 1000000);
    assert_int_equal(rig.client.got_hash, rig.client.sent_hash);
}

static void silence_ends_it(void **state)
{
    nu_loop_advance(&loop, 6000);
    nu_chain_touch(rig.chain); /* as a socket does with each byte */
    nu_loop_advance(&loop, 9999);
    assert_non_null(rig.chain);
    nu_loop_advance(&loop, 1);
    assert_null(rig.chain);
    assert_int_equal(rig.result.cause, NU_CAUSE_IDLE);
    assert_string_equal(rig.details, "no byte for 10000 ms");
}

static void zero_is_no_timeout(void **state)
{
    struct configured never = configured(&nu_filter_echo, "idle_timeout: 0");
    struct rig r;
    rig_open(&r, &loop, &never, NULL);
    nu_loop_advance(&loop, 1000000000);
    assert_non_null(r.chain);
    rig_close(&r, &loop);
    configured_free(&never);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_comes_back_and_the_fin_behind_it),
        TEST(a_cut_comes_back_as_a_cut),
        TEST(a_client_that_does_not_read_stops_sending),
        TEST(silence_ends_it),
        TEST(zero_is_no_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
