/* Longest-prefix match: stories, a linear scan as the judge, and a million prefixes. */
#include "core/table/cidr.h"

#include "core/arena.h"

#include "tests/unit/cost.h"
#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void add(struct nu_cidr_table *table, const char *text)
{
    struct nu_addr prefix;
    assert_int_equal(nu_addr_parse_cidr(&prefix, text), NU_OK);
    nu_cidr_add(table, &prefix, (void *)text);
}

/* All that match an address, longest first, joined by blanks. */
static const char *matches(const struct nu_cidr_table *table, const char *addr_text)
{
    static char out[1024];
    struct nu_cidr_iter it;
    struct nu_addr addr;
    assert_int_equal(nu_addr_parse(&addr, addr_text, 443), NU_OK);
    out[0] = 0;
    for (char *v = nu_cidr_find(table, &addr, &it); v; v = nu_cidr_next(&it)) {
        strcat(out, out[0] ? " " : "");
        strcat(out, v);
    }
    return out;
}

static const char *const prefixes[] = {
    "10.1.0.0/16",  "10.0.0.0/8",          "0.0.0.0/0",       "10.1.2.3",
    "192.0.2.0/24", "10.1.2.0/23",         "2001:db8::/32",   "2001:db8:1::/48",
    "2001:db8::1",  "::ffff:10.1.2.0/120", "255.255.255.255", "128.0.0.0/1",
};

static const struct {
    const char *addr, *matches;
} lookups[] = {
    {"10.1.2.3",        "10.1.2.3 ::ffff:10.1.2.0/120 10.1.2.0/23 10.1.0.0/16 10.0.0.0/8 0.0.0.0/0"},
    {"10.1.2.4",        "::ffff:10.1.2.0/120 10.1.2.0/23 10.1.0.0/16 10.0.0.0/8 0.0.0.0/0"         },
    {"10.1.3.4",        "10.1.2.0/23 10.1.0.0/16 10.0.0.0/8 0.0.0.0/0"                             },
    {"10.1.4.0",        "10.1.0.0/16 10.0.0.0/8 0.0.0.0/0"                                         },
    {"10.2.0.0",        "10.0.0.0/8 0.0.0.0/0"                                                     },
    {"11.0.0.0",        "0.0.0.0/0"                                                                },
    {"192.0.2.255",     "192.0.2.0/24 128.0.0.0/1 0.0.0.0/0"                                       },
    {"192.0.3.0",       "128.0.0.0/1 0.0.0.0/0"                                                    },
    {"255.255.255.255", "255.255.255.255 128.0.0.0/1 0.0.0.0/0"                                    },
    {"255.255.255.254", "128.0.0.0/1 0.0.0.0/0"                                                    },
    {"2001:db8::1",     "2001:db8::1 2001:db8::/32"                                                },
    {"2001:db8::2",     "2001:db8::/32"                                                            },
    {"2001:db8:1::2",   "2001:db8:1::/48 2001:db8::/32"                                            },
    {"2001:db9::",      ""                                                                         },
    {"::",              ""                                                                         },
    {"a00::",           ""                                                                         },
    {"unix:/x",         ""                                                                         },
};

static void the_longest_prefix_comes_first_and_all_shorter_after(void **state)
{
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_cidr_table *table = nu_cidr_new(arena);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        add(table, prefixes[i]);
    nu_cidr_seal(table);
    assert_int_equal(nu_cidr_count(table), sizeof prefixes / sizeof *prefixes);
    for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++)
        assert_string_equal(matches(table, lookups[i].addr), lookups[i].matches);
    nu_arena_free(arena);
}

static void equal_prefixes_come_in_the_order_they_were_added(void **state)
{
    char one[] = "10.0.0.0/8", two[] = "10.0.0.0/8", three[] = "10.0.0.0/8";
    struct nu_addr a;
    struct nu_cidr_iter it;
    struct nu_cidr_table *table = nu_cidr_new(NULL);
    add(table, one);
    add(table, "10.1.0.0/16");
    add(table, two);
    add(table, three);
    nu_cidr_seal(table);
    assert_int_equal(nu_addr_parse(&a, "10.9.9.9", 1), NU_OK);
    assert_ptr_equal(nu_cidr_find(table, &a, &it), one);
    assert_ptr_equal(nu_cidr_next(&it), two);
    assert_ptr_equal(nu_cidr_next(&it), three);
    assert_null(nu_cidr_next(&it));
    assert_null(nu_cidr_next(&it));
    nu_cidr_free(table);
}

static void a_unique_table_keeps_the_first_of_equal_prefixes(void **state)
{
    char one[] = "10.0.0.0/8", two[] = "10.0.0.0/8", wide[] = "0.0.0.0/0", six[] = "::/0";
    struct nu_addr a;
    struct nu_cidr_iter it;
    struct nu_cidr_table *table = nu_cidr_new(NULL);
    char *const all[] = {one, six, two, wide, two, wide, two};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        add(table, all[i]);
    nu_cidr_seal_unique(table);
    assert_int_equal(nu_cidr_count(table), 3);
    assert_int_equal(nu_addr_parse(&a, "10.9.9.9", 1), NU_OK);
    assert_ptr_equal(nu_cidr_find(table, &a, &it), one);
    assert_ptr_equal(nu_cidr_next(&it), wide);
    assert_null(nu_cidr_next(&it));
    assert_string_equal(matches(table, "::1"), six);
    nu_cidr_free(table);
}

static void assert_prefix(const struct nu_cidr_iter *it, const char *text)
{
    char ip[NU_ADDR_TEXT_MAX], got[NU_ADDR_TEXT_MAX + 8];
    struct nu_addr prefix = nu_cidr_prefix(it);
    snprintf(got, sizeof got, "%s/%u", nu_addr_str_ip(&prefix, ip), prefix.prefix);
    assert_string_equal(got, text);
}

static void a_lookup_names_the_prefix_that_it_found(void **state)
{
    struct nu_addr a;
    struct nu_cidr_iter it;
    struct nu_cidr_table *table = nu_cidr_new(NULL);
    struct nu_addr untidy = {
        .kind = NU_ADDR_IP4, .prefix = 8, .ip = {10, 9, 9, 9}
    };
    nu_cidr_add(table, &untidy, "ten");
    add(table, "10.1.2.0/23");
    add(table, "2001:db8::/33");
    nu_cidr_seal(table);
    nu_addr_parse(&a, "10.1.3.255", 1);
    nu_cidr_find(table, &a, &it);
    assert_prefix(&it, "10.1.2.0/23");
    nu_cidr_next(&it);
    assert_prefix(&it, "10.0.0.0/8");
    nu_cidr_next(&it);
    assert_prefix(&it, "-/0");
    nu_addr_parse(&a, "2001:db8::7", 1);
    nu_cidr_find(table, &a, &it);
    assert_prefix(&it, "2001:db8::/33");
    nu_cidr_free(table);
}

static void an_empty_table_matches_nothing(void **state)
{
    struct nu_cidr_table *table = nu_cidr_new(NULL);
    nu_cidr_seal(table);
    assert_string_equal(matches(table, "10.0.0.1"), "");
    assert_string_equal(matches(table, "::1"), "");
    nu_cidr_free(table);
    nu_cidr_free(NULL);
}

static struct nu_addr random_addr(struct seeded *r, unsigned kind, unsigned spread)
{
    struct nu_addr a = {.kind = (uint8_t)kind, .prefix = kind == NU_ADDR_IP4 ? 32 : 128};
    unsigned bytes = a.prefix / 8;
    for (unsigned i = 0; i < bytes;
         i++) /* few different bytes: neighbours and nesting are common */
        a.ip[i] = (uint8_t)(seeded_below(r, 3) ? seeded_below(r, spread) * 85 : 0);
    if (seeded_below(r, 4) == 0)
        a.ip[seeded_below(r, bytes)] ^= (uint8_t)(1u << seeded_below(r, 8));
    return a;
}

static struct nu_addr random_prefix(struct seeded *r, unsigned kind, unsigned spread)
{
    struct nu_addr a = random_addr(r, kind, spread);
    a.prefix = (uint8_t)seeded_below(r, a.prefix + 1u);
    for (unsigned bit = a.prefix; bit < (kind == NU_ADDR_IP4 ? 32 : 128); bit++)
        a.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    return a;
}

/* The scan: of those that hold the address the longest below `shorter_than`, first added first. */
static const struct nu_addr *plain_next(const struct nu_addr *list, size_t count,
                                        const struct nu_addr *addr, const struct nu_addr *last)
{
    const struct nu_addr *best = NULL;
    for (const struct nu_addr *p = list; p < list + count; p++) {
        bool later = !last || p->prefix < last->prefix || (p->prefix == last->prefix && p > last);
        if (later && nu_addr_in(addr, p) && (!best || p->prefix > best->prefix))
            best = p;
    }
    return best;
}

static void assert_like_scan(const struct nu_cidr_table *table, const struct nu_addr *list,
                             size_t count, const struct nu_addr *addr)
{
    struct nu_cidr_iter it;
    const struct nu_addr *got = nu_cidr_find(table, addr, &it), *want = NULL;
    for (;;) {
        want = plain_next(list, count, addr, want);
        assert_ptr_equal(got, want);
        if (!want)
            return;
        got = nu_cidr_next(&it);
    }
}

static void agrees_with_a_linear_scan(void **state)
{
    struct seeded r = seeded_start("cidr");
    static struct nu_addr list[600];
    for (unsigned round = 0; round < 400; round++) {
        struct nu_cidr_table *table = nu_cidr_new(NULL);
        size_t count = seeded_below(&r, round % 10 ? 30 : 600);
        unsigned spread = 1 + seeded_below(&r, 4);
        for (size_t i = 0; i < count; i++) {
            list[i] = random_prefix(&r, 1 + seeded_below(&r, 2), spread);
            nu_cidr_add(table, &list[i], &list[i]);
        }
        nu_cidr_seal(table);
        for (unsigned i = 0; i < 60; i++) {
            struct nu_addr addr = random_addr(&r, 1 + seeded_below(&r, 2), spread);
            if (count && i % 2)
                memcpy(addr.ip, list[seeded_below(&r, (unsigned)count)].ip, 16);
            assert_like_scan(table, list, count, &addr);
        }
        nu_cidr_free(table);
    }
}

static void bits_behind_the_prefix_are_ignored(void **state)
{
    struct nu_cidr_table *table = nu_cidr_new(NULL);
    struct nu_addr prefix;
    assert_int_equal(nu_addr_parse(&prefix, "10.1.2.3:80", -1), NU_OK);
    prefix.prefix = 8;
    nu_cidr_add(table, &prefix, "ten");
    add(table, "10.0.0.0/16");
    nu_cidr_seal(table);
    assert_string_equal(matches(table, "10.0.0.1"), "10.0.0.0/16 ten");
    assert_string_equal(matches(table, "10.200.0.1"), "ten");
    assert_string_equal(matches(table, "11.1.2.3"), "");
    nu_cidr_free(table);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Builds a table of random prefixes of min to max bits, prints what that costs; returns bytes each.
 */
static double measure(struct seeded *r, unsigned kind, unsigned count, unsigned min, unsigned max)
{
    struct nu_cidr_table *table = nu_cidr_new(NULL);
    struct nu_cidr_iter it;
    static struct nu_addr asked[4096];
    size_t found = 0;
    double start = seconds();
    for (unsigned i = 0; i < count; i++) {
        struct nu_addr a = {.kind = (uint8_t)kind};
        for (unsigned b = 0; b < 16; b += 8)
            memcpy(a.ip + b, &(uint64_t){seeded_next(r)}, 8);
        a.prefix = (uint8_t)(min + seeded_below(r, max - min + 1));
        nu_cidr_add(table, &a, table);
        asked[i % 4096] = a;
    }
    nu_cidr_seal(table);
    double built = seconds();
    for (unsigned i = 0; i < 1000000; i++)
        found += nu_cidr_find(table, &asked[i % (count < 4096 ? count : 4096)], &it) != NULL;
    double looked = seconds();
    double each = (double)nu_cidr_bytes(table) / count;
    printf("%7u IPv%c prefixes: built in %.3f s, lookup %3.0f ns, %.0f bytes each\n", count,
           kind == NU_ADDR_IP4 ? '4' : '6', built - start, (looked - built) * 1000, each);
    assert_int_equal(found, 1000000);
    nu_cidr_free(table);
    return each;
}

static void a_million_prefixes_stay_small(void **state)
{
    struct seeded r = seeded_start("cidr size");
    measure(&r, NU_ADDR_IP4, 10, 8, 32);
    measure(&r, NU_ADDR_IP4, 1000, 8, 32);
    unsigned million = cost_count(1000000);
    assert_true(measure(&r, NU_ADDR_IP4, million, 16, 32) < 100);
    assert_true(measure(&r, NU_ADDR_IP6, million, 32, 64) < 100);
    assert_true(measure(&r, NU_ADDR_IP6, million, 128, 128) < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_comes_first_and_all_shorter_after),
        cmocka_unit_test(equal_prefixes_come_in_the_order_they_were_added),
        cmocka_unit_test(a_unique_table_keeps_the_first_of_equal_prefixes),
        cmocka_unit_test(a_lookup_names_the_prefix_that_it_found),
        cmocka_unit_test(an_empty_table_matches_nothing),
        cmocka_unit_test(agrees_with_a_linear_scan),
        cmocka_unit_test(bits_behind_the_prefix_are_ignored),
        cmocka_unit_test(a_million_prefixes_stay_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
