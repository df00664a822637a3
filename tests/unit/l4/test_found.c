/* Endpoints that clients chose: found again, bounded, forgotten; and our own connections, by which
 * a loop is known. */
#include "core/worker.h"
#include "l4/cluster.h"
#include "l4/found.h"
#include "l4/own_legs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct nu_stats *stats;

static int start(void **state)
{
    nu_workers_init(1);
    stats = nu_stats_get(&nu_cluster_stat_group, "cluster.t");
    return 0;
}

static int stop(void **state)
{
    nu_stats_put(stats);
    nu_workers_free();
    return 0;
}

static struct nu_addr addr(const char *text)
{
    struct nu_addr a;
    assert_int_equal(nu_addr_parse(&a, text, -1), NU_OK);
    return a;
}

static struct nu_endpoint *take(struct nu_found *found, const char *text, int64_t now_ms)
{
    struct nu_addr a = addr(text);
    return nu_found_take(found, &a, text, 0, now_ms);
}

static struct nu_found *make(size_t most)
{
    return nu_found_new(&(struct nu_found_conf){"t", stats, most, 1000});
}

static void one_address_is_one_endpoint(void **state)
{
    struct nu_found *found = make(8);
    struct nu_endpoint *a = take(found, "10.0.0.1:80", 1), *b = take(found, "10.0.0.1:80", 2);
    struct nu_endpoint *c = take(found, "10.0.0.1:81", 2), *d = take(found, "[fd00::1]:80", 2);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_not_equal(a, d);
    assert_int_equal(nu_found_count(found), 3);
    nu_found_free(found); /* connections keep theirs */
    assert_int_equal(a->addr.port, 80);
    nu_endpoint_unref(a);
    nu_endpoint_unref(b);
    nu_endpoint_unref(c);
    nu_endpoint_unref(d);
}

static void the_longest_unused_makes_room(void **state)
{
    struct nu_found *found = make(2);
    struct nu_endpoint *a = take(found, "10.0.0.1:80", 1);
    nu_endpoint_unref(take(found, "10.0.0.2:80", 2));
    struct nu_endpoint *c = take(found, "10.0.0.3:80", 3); /* 1 is older, but in use */
    assert_non_null(c);
    assert_ptr_equal(take(found, "10.0.0.1:80", 4), a);
    nu_endpoint_unref(a);
    assert_null(take(found, "10.0.0.4:80", 5)); /* both are in use */
    nu_endpoint_unref(c);
    struct nu_endpoint *d = take(found, "10.0.0.4:80", 6);
    assert_non_null(d);
    assert_int_equal(nu_found_count(found), 2);
    nu_endpoint_unref(a);
    nu_endpoint_unref(d);
    nu_found_free(found);
}

static void collect(struct nu_endpoint *e, void *ctx)
{
    char *text = ctx, buf[NU_ADDR_TEXT_MAX];
    strcat(strcat(text, nu_addr_str(&e->addr, buf)), " ");
}

static void the_unused_are_forgotten(void **state)
{
    char text[256] = "";
    struct nu_found *found = make(8);
    nu_endpoint_unref(take(found, "10.0.0.1:80", 100));
    struct nu_endpoint *b = take(found, "10.0.0.2:80", 100);
    nu_endpoint_unref(take(found, "10.0.0.3:80", 600));
    nu_found_sweep(found, 0, 1099);
    assert_int_equal(nu_found_count(found), 3);
    nu_found_sweep(found, 0, 1100);
    nu_found_each(found, collect, text);
    assert_string_equal(text, "10.0.0.2:80 10.0.0.3:80 ");
    nu_endpoint_unref(b);
    nu_found_sweep(found, 0, 1600);
    assert_int_equal(nu_found_count(found), 0);
    assert_int_equal(nu_stat_read(stats, NU_CLUSTER_MEMBERSHIP_CHANGE), 6);
    nu_found_free(found);
}

/* --- loops --- */

static void our_own_connections_are_known(void **state)
{
    struct nu_own_leg one = {.listed = false}, two = {.listed = false};
    struct nu_addr to = addr("127.0.0.1:9"), other = addr("127.0.0.1:10");
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    nu_own_legs_add(&one, fd, &to);
    nu_own_legs_add(&two, -1, &to); /* no socket could be had */
    struct nu_addr from = one.from;
    assert_int_not_equal(from.port, 0);
    assert_true(nu_own_legs_have(&from, &to));
    assert_false(nu_own_legs_have(&from, &other));
    assert_false(nu_own_legs_have(&to, &from));
    from.scope = 7; /* the same wire has another name here */
    assert_true(nu_own_legs_have(&from, &to));
    nu_own_legs_del(&one);
    nu_own_legs_del(&one);
    nu_own_legs_del(&two);
    assert_false(nu_own_legs_have(&from, &to));
    close(fd);
}

static void our_own_addresses_are_known(void **state)
{
    static const struct {
        const char *addr;
        bool ours;
    } rows[] = {
        {"127.0.0.1:80",      true },
        {"127.1.2.3:80",      true },
        {"192.0.2.77:80",     false},
        {"[2001:db8::77]:80", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_addr a = addr(rows[i].addr);
        if (nu_addr_is_ours(&a) != rows[i].ours)
            fail_msg("%s", rows[i].addr);
    }
    assert_false(nu_addr_is_ours(&(struct nu_addr){.kind = NU_ADDR_UNIX, .path = "/x"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_address_is_one_endpoint, start, stop),
        cmocka_unit_test_setup_teardown(the_longest_unused_makes_room, start, stop),
        cmocka_unit_test_setup_teardown(the_unused_are_forgotten, start, stop),
        cmocka_unit_test(our_own_connections_are_known),
        cmocka_unit_test(our_own_addresses_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
