/* The table of sessions: found by client and by our own address, however many, while it grows and
 * shrinks. */
#include "l4/udp/table.h"
#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define MANY 3000

static struct nu_addr addr(const char *text)
{
    struct nu_addr a;
    assert_int_equal(nu_addr_parse(&a, text, 0), NU_OK);
    return a;
}

static struct nu_udp_entry entry(const char *client, const char *local)
{
    struct nu_udp_entry e = {.key.client = addr(client)};
    if (local)
        e.key.local = addr(local);
    e.hash = nu_udp_hash(&e.key);
    return e;
}

static struct nu_udp_entry *find(const struct nu_udp_table *t, const struct nu_udp_entry *like)
{
    return nu_udp_find(t, &like->key, like->hash);
}

static void every_part_of_the_key_counts(void **state)
{
    static const char *const keys[][2] = {
        {"10.0.0.1:1",  NULL         },
        {"10.0.0.1:2",  NULL         },
        {"10.0.0.2:1",  NULL         },
        {"[::1]:1",     NULL         },
        {"[::1]:2",     NULL         },
        {"[::a00:1]:1", NULL         }, /* the bytes of 10.0.0.1, at another place */
        {"10.0.0.1:1",  "192.0.2.1:9"},
        {"10.0.0.1:1",  "192.0.2.2:9"},
        {"[fe80::1]:1", "[::1]:9"    },
    };
    enum { COUNT = sizeof keys / sizeof *keys };
    struct nu_udp_table t = {0};
    struct nu_udp_entry all[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) {
        all[i] = entry(keys[i][0], keys[i][1]);
        assert_null(find(&t, &all[i]));
        nu_udp_add(&t, &all[i]);
    }
    struct nu_udp_entry scoped = all[COUNT - 1];
    scoped.key.client.scope = 3;
    assert_null(nu_udp_find(&t, &scoped.key, nu_udp_hash(&scoped.key)));
    for (int i = 0; i < COUNT; i++) {
        assert_ptr_equal(find(&t, &all[i]), &all[i]);
        nu_udp_del(&t, &all[i]);
        assert_null(find(&t, &all[i]));
        nu_udp_del(&t, &all[i]); /* again is nothing */
    }
    nu_udp_table_free(&t);
}

/* Equal hashes do not make equal keys. */
static void collisions_are_told_apart(void **state)
{
    struct nu_udp_table t = {0};
    struct nu_udp_entry a = entry("10.0.0.1:1", NULL), b = entry("10.0.0.1:2", NULL);
    b.hash = a.hash;
    nu_udp_add(&t, &a);
    nu_udp_add(&t, &b);
    assert_ptr_equal(find(&t, &a), &a);
    assert_ptr_equal(find(&t, &b), &b);
    nu_udp_del(&t, &a);
    assert_ptr_equal(find(&t, &b), &b);
    nu_udp_del(&t, &b);
    nu_udp_table_free(&t);
}

/* A random walk beside a plain list of what is in. */
static void it_grows_and_shrinks_without_losing_any(void **state)
{
    static struct nu_udp_entry all[MANY];
    struct seeded random = seeded_start("test_table");
    struct nu_udp_table t = {0};
    size_t count = 0, most = 0;
    for (int i = 0; i < MANY; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.0.%d.%d:%d", i >> 8, i & 255, 1 + i % 7);
        all[i] = entry(text, NULL);
    }
    for (int step = 0; step < 60000; step++) {
        struct nu_udp_entry *e = &all[seeded_below(&random, MANY)];
        bool fill = step % 20000 < 10000; /* up and down three times */
        if (e->in == fill)
            continue;
        if (fill)
            nu_udp_add(&t, e);
        else
            nu_udp_del(&t, e);
        count += fill ? 1 : (size_t)-1;
        most = t.mask + 1 > most ? t.mask + 1 : most;
        assert_int_equal(t.count, count);
        assert_ptr_equal(find(&t, e), fill ? e : NULL);
    }
    for (int i = 0; i < MANY; i++) {
        assert_ptr_equal(find(&t, &all[i]), all[i].in ? &all[i] : NULL);
        nu_udp_del(&t, &all[i]);
    }
    assert_true(most >= 2048);
    assert_int_equal(t.mask + 1, 64);
    nu_udp_table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_of_the_key_counts),
        cmocka_unit_test(collisions_are_told_apart),
        cmocka_unit_test(it_grows_and_shrinks_without_losing_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
