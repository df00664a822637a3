/* Sessions by source: each has its limit, over all workers at once. */
#include "l4/udp/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

static struct nu_addr addr(const char *text)
{
    struct nu_addr a;
    assert_int_equal(nu_addr_parse(&a, text, 0), NU_OK);
    return a;
}

static void each_source_has_its_own_limit(void **state)
{
    struct nu_udp_sources *all = nu_udp_sources_new();
    struct nu_addr a = addr("10.0.0.1:1"), same = addr("10.0.0.1:2"), other = addr("10.0.0.2:1");
    struct nu_udp_source *one = nu_udp_source_take(all, &a, 2);
    struct nu_udp_source *two = nu_udp_source_take(all, &same, 2);
    assert_ptr_equal(one, two);
    assert_null(nu_udp_source_take(all, &a, 2));
    struct nu_udp_source *third = nu_udp_source_take(all, &other, 2);
    assert_non_null(third);
    nu_udp_source_give(one);
    assert_ptr_equal(nu_udp_source_take(all, &same, 2), two);
    nu_udp_source_give(two);
    nu_udp_source_give(two);
    nu_udp_source_give(third);
    nu_udp_source_give(NULL);
    nu_udp_sources_free(all); /* which asserts that nobody is left */
}

/* Whoever has an IPv6 address has the other 2^64 beside it, too. */
static void ip6_counts_by_64(void **state)
{
    struct nu_udp_sources *all = nu_udp_sources_new();
    struct nu_addr a = addr("[2001:db8:0:1::1]:1"), same = addr("[2001:db8:0:1:ffff::9]:7");
    struct nu_addr other = addr("[2001:db8:0:2::1]:1");
    struct nu_udp_source *one = nu_udp_source_take(all, &a, 1);
    assert_null(nu_udp_source_take(all, &same, 1));
    struct nu_udp_source *two = nu_udp_source_take(all, &other, 1);
    assert_non_null(two);
    nu_udp_source_give(one);
    nu_udp_source_give(two);
    nu_udp_sources_free(all);
}

#define THREADS 4
#define ROUNDS  20000

static void *take_and_give(void *arg)
{
    struct nu_addr a = {
        .kind = NU_ADDR_IP4, .ip = {10, 0, 0, 1}
    };
    long refused = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct nu_udp_source *s = nu_udp_source_take(arg, &a, THREADS - 1);
        refused += s == NULL;
        nu_udp_source_give(s);
    }
    return (void *)refused;
}

static void workers_share_the_count(void **state)
{
    struct nu_udp_sources *all = nu_udp_sources_new();
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, all), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    nu_udp_sources_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_source_has_its_own_limit),
        cmocka_unit_test(ip6_counts_by_64),
        cmocka_unit_test(workers_share_the_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
