/* Sources: what a limit lets in, what is forgotten and what never is, and threads that share it. */
#include "core/table/source_table.h"

#include "core/table/hash.h"
#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#define SECOND 1000000 /* microseconds */

static struct nu_source_table *table;
static int64_t now_us;

static int setup(void **state)
{
    table = nu_source_table_new(64);
    now_us = 1000 * SECOND;
    return table == NULL;
}

static int teardown(void **state)
{
    nu_source_table_free(table);
    return 0;
}

static struct nu_addr addr_of(const char *text)
{
    struct nu_addr addr;
    assert_int_equal(nu_addr_parse(&addr, text, 1), NU_OK);
    return addr;
}

/* 10.0.0.0 and on. */
static struct nu_addr numbered(uint32_t n)
{
    return (struct nu_addr){
        .kind = NU_ADDR_IP4, .ip = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}
    };
}

static struct nu_source_limit limit_of(uint32_t connections, int rate, int burst)
{
    int64_t interval_us = rate ? SECOND / rate : 0;
    return (struct nu_source_limit){connections, interval_us, interval_us * (burst - 1)};
}

/* In, and at once out again. */
static enum nu_source_answer knock(struct nu_addr addr, const struct nu_source_limit *limit)
{
    struct nu_source *place;
    bool first;
    enum nu_source_answer answer = nu_source_enter(table, &addr, 32, limit, now_us, &place, &first);
    assert_int_equal(answer == NU_SOURCE_IN, place != NULL);
    if (place)
        nu_source_leave(table, place);
    return answer;
}

static void so_many_at_once_and_no_more(void **state)
{
    struct nu_source_limit two = limit_of(2, 0, 0);
    struct nu_addr a = addr_of("192.0.2.1");
    struct nu_source *place[3];
    bool first;
    assert_int_equal(nu_source_enter(table, &a, 32, &two, now_us, &place[0], &first), NU_SOURCE_IN);
    assert_true(first);
    assert_int_equal(nu_source_enter(table, &a, 32, &two, now_us, &place[1], &first), NU_SOURCE_IN);
    assert_false(first);
    assert_int_equal(nu_source_enter(table, &a, 32, &two, now_us, &place[2], &first),
                     NU_SOURCE_TOO_MANY);
    assert_null(place[2]);
    assert_int_equal(knock(addr_of("192.0.2.2"), &two), NU_SOURCE_IN);
    assert_false(nu_source_leave(table, place[0]));
    assert_int_equal(knock(a, &two), NU_SOURCE_IN);
    assert_true(nu_source_leave(table, place[1]));
}

static void a_burst_and_then_the_rate(void **state)
{
    struct nu_source_limit limit = limit_of(0, 10, 5);
    struct nu_addr a = addr_of("192.0.2.1");
    for (int i = 0; i < 5; i++)
        assert_int_equal(knock(a, &limit), NU_SOURCE_IN);
    for (int i = 0; i < 50; i++) /* knocking in vain costs nothing */
        assert_int_equal(knock(a, &limit), NU_SOURCE_TOO_FAST);
    now_us += SECOND / 10 - 1;
    assert_int_equal(knock(a, &limit), NU_SOURCE_TOO_FAST);
    now_us += 1;
    assert_int_equal(knock(a, &limit), NU_SOURCE_IN);
    assert_int_equal(knock(a, &limit), NU_SOURCE_TOO_FAST);
    int in = 0;
    for (int ms = 0; ms < 10000; ms++) {
        now_us += 1000;
        in += knock(a, &limit) == NU_SOURCE_IN;
    }
    assert_int_equal(in, 100);
    now_us += 3600ll * SECOND; /* a pause earns one burst, not more */
    for (int i = 0; i < 5; i++)
        assert_int_equal(knock(a, &limit), NU_SOURCE_IN);
    assert_int_equal(knock(a, &limit), NU_SOURCE_TOO_FAST);
}

static void who_has_too_many_pays_nothing(void **state)
{
    struct nu_source_limit limit = limit_of(1, 1, 2);
    struct nu_addr a = addr_of("192.0.2.1");
    struct nu_source *place, *none;
    bool first;
    nu_source_enter(table, &a, 32, &limit, now_us, &place, &first);
    for (int i = 0; i < 3; i++)
        assert_int_equal(nu_source_enter(table, &a, 32, &limit, now_us, &none, &first),
                         NU_SOURCE_TOO_MANY);
    nu_source_leave(table, place);
    assert_int_equal(knock(a, &limit), NU_SOURCE_IN);
    assert_int_equal(knock(a, &limit), NU_SOURCE_TOO_FAST);
}

static void a_source_is_a_network(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned prefix;
        bool same;
    } rows[] = {
        {"192.0.2.1",        "192.0.2.1",        32,  true },
        {"192.0.2.1",        "192.0.2.2",        32,  false},
        {"192.0.2.1",        "192.0.2.255",      24,  true },
        {"192.0.2.1",        "192.0.3.1",        24,  false},
        {"192.0.2.1",        "192.0.3.1",        23,  true },
        {"192.0.2.1",        "193.0.2.1",        1,   true },
        {"127.0.0.1",        "128.0.0.1",        1,   false},
        {"2001:db8::1",      "2001:db8::ffff:1", 64,  true },
        {"2001:db8::1",      "2001:db8:0:1::1",  64,  false},
        {"2001:db8::1",      "2001:db8::2",      128, false},
        {"2001:db8:0:10::1", "2001:db8:0:1f::1", 60,  true },
        {"2001:db8:0:10::1", "2001:db8:0:20::1", 60,  false},
        {"192.0.2.1",        "::ffff:192.0.2.1", 32,  true },
        {"192.0.2.1",        "[c000:201::]:1",   32,  false},
    };
    struct nu_source_limit one = limit_of(1, 0, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_addr a = addr_of(rows[i].a), b = addr_of(rows[i].b);
        struct nu_source *held, *other;
        bool first;
        nu_source_enter(table, &a, rows[i].prefix, &one, now_us, &held, &first);
        nu_source_enter(table, &b, rows[i].prefix, &one, now_us, &other, &first);
        assert_int_equal(other == NULL, rows[i].same);
        nu_source_leave(table, held);
        if (other)
            nu_source_leave(table, other);
    }
}

/* The table has one group of 64 places, so all sources contend for them. */
static void sources_that_are_even_make_room(void **state)
{
    struct nu_source_limit limit = limit_of(0, 10, 1);
    for (uint32_t n = 0; n < 64; n++)
        assert_int_equal(knock(numbered(n), &limit), NU_SOURCE_IN);
    assert_int_equal(nu_source_table_taken(table), 64);
    assert_int_equal(knock(numbered(64), &limit), NU_SOURCE_FULL);
    assert_int_equal(knock(numbered(7), &limit), NU_SOURCE_TOO_FAST);
    now_us += SECOND / 10;
    assert_int_equal(knock(numbered(64), &limit), NU_SOURCE_IN);
    assert_int_equal(nu_source_table_taken(table), 1);
}

/* One that holds a connection, and one that owes for a minute: whatever comes, they stay known. */
static void nobody_can_have_another_source_forgotten(void **state)
{
    struct nu_source_limit one = limit_of(1, 0, 0), slow = {0, 60ll * SECOND, 0};
    struct nu_addr holder = addr_of("192.0.2.1"), debtor = addr_of("192.0.2.2");
    struct nu_source *place;
    bool first;
    nu_source_enter(table, &holder, 32, &one, now_us, &place, &first);
    assert_int_equal(knock(debtor, &slow), NU_SOURCE_IN);
    for (uint32_t n = 0; n < 100000; n++) {
        assert_int_equal(knock(numbered(n), &one), NU_SOURCE_IN);
        if (n % 1000 == 0)
            now_us += SECOND / 2;
    }
    assert_int_equal(knock(holder, &one), NU_SOURCE_TOO_MANY);
    assert_int_equal(knock(debtor, &slow), NU_SOURCE_TOO_FAST);
    now_us += 10ll * SECOND;
    assert_int_equal(knock(debtor, &slow), NU_SOURCE_IN);
    nu_source_leave(table, place);
}

static void a_laxer_limit_forgives_older_debts(void **state)
{
    struct nu_source_limit daily = {0, 86400ll * SECOND, 0}, fast = limit_of(0, 10, 3);
    struct nu_addr a = addr_of("192.0.2.1");
    assert_int_equal(knock(a, &daily), NU_SOURCE_IN);
    assert_int_equal(knock(a, &fast), NU_SOURCE_TOO_FAST);
    now_us += SECOND / 10;
    assert_int_equal(knock(a, &fast), NU_SOURCE_IN);
    assert_int_equal(knock(a, &fast), NU_SOURCE_TOO_FAST);
}

/* Random sources fill a table well before places run out. */
static void few_are_turned_away_before_it_is_full(void **state)
{
    struct seeded r = seeded_start("source table");
    struct nu_source_limit slow = {0, 60ll * SECOND, 0};
    nu_source_table_free(table);
    table = nu_source_table_new(65536);
    unsigned full = 0, half = 0;
    for (unsigned n = 1; n <= 65536; n++) {
        struct nu_addr a = {.kind = NU_ADDR_IP6};
        memcpy(a.ip, (uint64_t[]){seeded_next(&r), 0}, 16);
        full += knock(a, &slow) == NU_SOURCE_FULL;
        half = n == 65536 * 5 / 8 ? full : half;
    }
    printf("turned away: %u of the first 40,960, %u of all 65,536\n", half, full);
    assert_true(half < 100);
    assert_true(full < 65536 / 10);
}

/* --- threads --- */

static _Atomic int inside, most, wrong;

static void *come_and_go(void *arg)
{
    struct nu_source_limit three = limit_of(3, 0, 0);
    struct seeded r = {(uintptr_t)arg};
    for (int i = 0; i < 20000; i++) {
        bool popular = seeded_below(&r, 2);
        struct nu_addr a = popular ? addr_of("192.0.2.1") : numbered(seeded_below(&r, 1000));
        struct nu_source *place;
        bool first;
        nu_source_enter(table, &a, 32, &three, now_us, &place, &first);
        if (!place)
            continue;
        int now = popular ? atomic_fetch_add(&inside, 1) + 1 : 0;
        if (now > 3)
            wrong++;
        if (now > most)
            most = now;
        if (popular)
            atomic_fetch_sub(&inside, 1);
        nu_source_leave(table, place);
    }
    return NULL;
}

static void threads_never_exceed_it(void **state)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, come_and_go, (void *)(i * 2 + 1));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    assert_true(most > 0);
    struct nu_source_limit one = limit_of(1, 0, 0);
    assert_int_equal(knock(addr_of("192.0.2.1"), &one), NU_SOURCE_IN); /* nobody was left inside */
}

static void a_look_is_cheap(void **state)
{
    struct nu_source_limit limit = {10, 1, 9};
    struct timespec t[2];
    nu_source_table_free(table);
    table = nu_source_table_new(65536);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t[0]);
    for (uint32_t n = 0; n < 1000000; n++) {
        now_us += 2;
        assert_int_equal(knock(numbered(n * 7919 % 60000), &limit), NU_SOURCE_IN);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t[1]);
    printf("in and out: %.0f ns\n",
           (double)(t[1].tv_sec - t[0].tv_sec) * 1e3 + (double)(t[1].tv_nsec - t[0].tv_nsec) / 1e6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(so_many_at_once_and_no_more),
        TEST(a_burst_and_then_the_rate),
        TEST(who_has_too_many_pays_nothing),
        TEST(a_source_is_a_network),
        TEST(sources_that_are_even_make_room),
        TEST(nobody_can_have_another_source_forgotten),
        TEST(a_laxer_limit_forgives_older_debts),
        TEST(few_are_turned_away_before_it_is_full),
        TEST(threads_never_exceed_it),
        TEST(a_look_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
