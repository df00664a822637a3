/* The registry of endpoints: one object a cluster and address, whatever the reason it is asked for;
 * gone with its last reference, on any thread. */
#include "l4/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct nu_addr addr_of(const char *text)
{
    struct nu_addr addr;
    assert_int_equal(nu_addr_parse(&addr, text, -1), NU_OK);
    return addr;
}

static void the_same_cluster_and_address_are_one_object(void **state)
{
    struct nu_addr a = addr_of("10.0.0.1:80");
    struct nu_endpoint *one = nu_endpoint_get("web", &a, "10.0.0.1:80");
    one->cx_total = 7;
    struct nu_endpoint *two = nu_endpoint_get("web", &a, "10.0.0.1:80");
    assert_ptr_equal(one, two);
    assert_null(two->name);
    assert_int_equal(one->refs, 2);
    nu_endpoint_unref(one);
    assert_int_equal(two->cx_total, 7);
    nu_endpoint_unref(two);
    nu_endpoint_unref(NULL);
}

/* Connections to the old one go on by the old name; whoever is new gets the new one. */
static void another_name_is_another_server(void **state)
{
    struct nu_addr a = addr_of("10.0.0.1:80");
    struct nu_endpoint *one = nu_endpoint_get("web", &a, "a.test:80");
    struct nu_endpoint *two = nu_endpoint_get("web", &a, "b.test:80");
    struct nu_endpoint *three = nu_endpoint_get("web", &a, "b.test:80");
    assert_string_equal(one->name, "a.test");
    assert_string_equal(two->name, "b.test");
    assert_ptr_equal(two, three);
    nu_endpoint_unref(one);
    assert_ptr_equal(nu_endpoint_get("web", &a, "b.test:80"), two);
    for (int i = 0; i < 3; i++)
        nu_endpoint_unref(two);
}

static void anything_else_is_another(void **state)
{
    static const char *const others[] = {"10.0.0.1:81", "10.0.0.2:80",   "[::1]:80",
                                         "unix:/a",     "unix:/b",       "[fe80::1%1]:80",
                                         "10.0.0.1:80", "[fe80::1%2]:80"};
    enum { N = sizeof others / sizeof *others };
    struct nu_endpoint *e[N + 1];
    struct nu_addr a = addr_of("10.0.0.1:80");
    e[N] = nu_endpoint_get("web2", &a, "");
    for (int i = 0; i < N; i++) {
        a = addr_of(others[i]);
        e[i] = nu_endpoint_get("web", &a, "");
    }
    for (int i = 0; i <= N; i++)
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(e[i], e[k]);
    for (int i = 0; i <= N; i++)
        nu_endpoint_unref(e[i]);
}

static void it_owns_its_path_and_its_host(void **state)
{
    char path[] = "unix:/run/app.sock", host[] = "unix:/run/app.sock", buf[NU_ADDR_TEXT_MAX];
    struct nu_addr a = addr_of(path);
    struct nu_endpoint *e = nu_endpoint_get("app", &a, host);
    memset(path, 'x', sizeof path - 1);
    memset(host, 'x', sizeof host - 1);
    assert_string_equal(nu_addr_str(&e->addr, buf), "unix:/run/app.sock");
    assert_string_equal(e->host, "unix:/run/app.sock");
    nu_endpoint_unref(e);
}

static void the_last_reference_forgets_it(void **state)
{
    struct nu_addr a = addr_of("10.0.0.1:80");
    struct nu_endpoint *e = nu_endpoint_get("web", &a, "");
    e->cx_connect_fail = 3;
    assert_ptr_equal(nu_endpoint_ref(e), e);
    nu_endpoint_unref(e);
    nu_endpoint_unref(e);
    e = nu_endpoint_get("web", &a, "");
    assert_int_equal(e->cx_connect_fail, 0);
    nu_endpoint_unref(e);
}

static void *get_and_drop(void *arg)
{
    struct nu_addr a = addr_of("10.0.0.1:80");
    for (int i = 0; i < 20000; i++) {
        struct nu_endpoint *e = nu_endpoint_get("web", &a, "host");
        atomic_fetch_add_explicit(&e->cx_total, 1, memory_order_relaxed);
        nu_endpoint_unref(e);
    }
    return NULL;
}

/* The last reference goes on one thread while another looks it up. */
static void looking_up_and_going_meet(void **state)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, get_and_drop, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    struct nu_addr a = addr_of("10.0.0.1:80");
    struct nu_endpoint *e = nu_endpoint_get("web", &a, "new");
    assert_string_equal(e->host, "new");
    nu_endpoint_unref(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_cluster_and_address_are_one_object),
        cmocka_unit_test(another_name_is_another_server),
        cmocka_unit_test(anything_else_is_another),
        cmocka_unit_test(it_owns_its_path_and_its_host),
        cmocka_unit_test(the_last_reference_forgets_it),
        cmocka_unit_test(looking_up_and_going_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
