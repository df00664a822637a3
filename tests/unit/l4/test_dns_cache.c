/* The cache of names: hits, waits, one question for many, what is kept of failures, bounds, and
 * tickets that are cancelled at every point of their way. Workers without threads: the test says
 * who has a turn. */
#include "core/worker.h"
#include "l4/dns_cache.h"
#include "tests/unit/l4/dns_help.h"

#include <event2/event.h>

static struct dns_row rows[8];
static struct dns dns;
static struct nu_dns_cache *cache;

/* Who asked, and what it heard. */
struct asker {
    struct nu_dns_ticket *ticket;
    unsigned heard;
    char text[256]; /* addresses, or the error */
};

static int start(void **state)
{
    static const struct dns_row table[] = {
        {.name = "a.test",   .a = {"10.0.0.2", "10.0.0.1"}, .aaaa = {"fd00::1"}, .ttl = 60},
        {.name = "b.test",         .a = {"10.0.0.3"},                                      .ttl = 60},
        {.name = "c.test",.a = {"10.0.0.4"},.ttl = 60},
        {.name = "slow.test",   .silent = true                      },
    };
    memset(rows, 0, sizeof rows);
    memcpy(rows, table, sizeof table);
    dns = dns_start(rows);
    setenv("NUNCIO_DNS", dns.address, 1);
    nu_workers_init(2);
    cache = NULL;
    return 0;
}

static int stop(void **state)
{
    nu_dns_cache_free(cache);
    for (unsigned i = 0; i <= 2; i++)
        event_base_loop(nu_worker_at(i)->base, EVLOOP_NONBLOCK);
    nu_workers_free();
    dns_stop(&dns);
    return 0;
}

static void make(size_t hosts, size_t pending)
{
    cache = nu_dns_cache_new(&(struct nu_dns_cache_conf){"t", hosts, pending, 60000});
    nu_dns_cache_start(cache);
}

static int64_t stat(enum nu_dns_stat which)
{
    struct nu_stats *stats = nu_stats_get(&nu_dns_cache_stats, "dns_cache.t");
    int64_t n = nu_stat_read(stats, which);
    nu_stats_put(stats);
    return n;
}

static void run(unsigned shard)
{
    event_base_loop(nu_worker_at(shard)->base, EVLOOP_NONBLOCK);
}

static void write_down(struct asker *a, struct nu_dns_answer *answer)
{
    a->ticket = NULL;
    a->heard++;
    snprintf(a->text, sizeof a->text, "%s", answer->error ? answer->error : "");
    for (size_t i = 0; i < answer->count; i++) {
        char addr[NU_ADDR_TEXT_MAX];
        size_t len = strlen(a->text);
        snprintf(a->text + len, sizeof a->text - len, "%s%s", i ? " " : "",
                 nu_addr_str_ip(&answer->addrs[i], addr));
    }
    nu_dns_answer_unref(answer);
}

static void heard(void *ctx, struct nu_dns_answer *answer)
{
    write_down(ctx, answer);
}

/* As that worker, `later_ms` after now. */
static enum nu_dns_asked ask_at(struct asker *a, unsigned shard, const char *host, int64_t later_ms)
{
    struct nu_loop *loop = &nu_worker_at(shard)->loop;
    struct nu_dns_answer *answer;
    loop->now_ms = nu_worker_main()->loop.now_ms + later_ms;
    enum nu_dns_asked asked = nu_dns_ask(cache, loop, host, heard, a, &answer, &a->ticket);
    if (asked == NU_DNS_HIT)
        write_down(a, answer);
    return asked;
}

static enum nu_dns_asked ask(struct asker *a, unsigned shard, const char *host)
{
    return ask_at(a, shard, host, 0);
}

/* Main answers questions until `n` have been; workers have no turn. */
static void answer(int64_t n)
{
    for (int i = 0; i < 1000 && stat(NU_DNS_QUERY_SUCCESS) + stat(NU_DNS_QUERY_FAILURE) < n; i++) {
        run(2);
        dns_serve(&dns, 5);
    }
    assert_int_equal(stat(NU_DNS_QUERY_SUCCESS) + stat(NU_DNS_QUERY_FAILURE), n);
}

static void an_answer_serves_while_it_is_fresh(void **state)
{
    struct asker a = {0}, b = {0}, c = {0};
    make(8, 8);
    assert_int_equal(ask(&a, 0, "a.test"), NU_DNS_WAIT);
    answer(1);
    assert_int_equal(a.heard, 0); /* in its own worker's turn */
    run(0);
    assert_int_equal(a.heard, 1);
    assert_string_equal(a.text, "10.0.0.1 10.0.0.2 fd00::1");
    assert_int_equal(ask_at(&b, 1, "a.test", 59000), NU_DNS_HIT);
    assert_string_equal(b.text, a.text);
    rows[0].a[0] = NULL;
    rows[0].aaaa[0] = NULL;
    rows[0].a[0] = "10.0.0.9";
    rows[0].a[1] = NULL;
    assert_int_equal(ask_at(&c, 1, "a.test", 61000), NU_DNS_WAIT);
    answer(2);
    run(1);
    assert_string_equal(c.text, "10.0.0.9");
    assert_int_equal(stat(NU_DNS_HOST_ADDRESS_CHANGED), 1);
    assert_int_equal(stat(NU_DNS_HOST_ADDED), 1);
}

static void many_ask_one_question(void **state)
{
    struct asker a[6] = {0};
    make(8, 8);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(ask(&a[i], i % 3, "b.test"), NU_DNS_WAIT);
    answer(1);
    for (unsigned i = 0; i < 3; i++)
        run(i);
    for (unsigned i = 0; i < 6; i++)
        assert_string_equal(a[i].text, "10.0.0.3");
    assert_int_equal(stat(NU_DNS_QUERY_ATTEMPT), 1);
}

static void who_cancels_hears_nothing(void **state)
{
    struct asker early = {0}, late = {0}, stays = {0};
    make(8, 8);
    ask(&early, 0, "a.test");
    ask(&late, 0, "a.test");
    ask(&stays, 0, "a.test");
    nu_dns_cancel(early.ticket);
    answer(1); /* the others' are posted now */
    nu_dns_cancel(late.ticket);
    run(0);
    assert_int_equal(early.heard, 0);
    assert_int_equal(late.heard, 0);
    assert_int_equal(stays.heard, 1);
    nu_dns_cancel(NULL);
}

static void failures_are_kept_for_a_short_time(void **state)
{
    struct asker a = {0}, b = {0}, c = {0};
    make(8, 8);
    ask(&a, 0, "none.test");
    answer(1);
    run(0);
    assert_string_equal(a.text, "no such name");
    assert_int_equal(ask_at(&b, 1, "none.test", NU_DNS_NONE_MS - 500), NU_DNS_HIT);
    assert_string_equal(b.text, "no such name");
    assert_int_equal(ask_at(&c, 1, "none.test", NU_DNS_NONE_MS + 500), NU_DNS_WAIT);
    nu_dns_cancel(c.ticket);
    answer(2);
}

/* RFC 8767: better an old address than none; but a name that is gone is gone. */
static void an_old_answer_serves_while_servers_fail(void **state)
{
    struct asker a = {0}, b = {0}, c = {0};
    make(8, 8);
    ask(&a, 0, "b.test");
    answer(1);
    rows[1].rcode = DNS_SERVFAIL;
    assert_int_equal(ask_at(&b, 0, "b.test", 61000), NU_DNS_WAIT);
    answer(2);
    run(0);
    assert_string_equal(b.text, "10.0.0.3");
    rows[1].rcode = DNS_NXDOMAIN;
    assert_int_equal(ask_at(&c, 0, "b.test", 61000), NU_DNS_WAIT);
    answer(3);
    run(0);
    assert_string_equal(c.text, "no such name");
}

static void names_make_room_the_useless_first(void **state)
{
    struct asker a = {0};
    make(2, 8);
    ask(&a, 0, "a.test");
    answer(1);
    ask(&a, 0, "none.test");
    answer(2);
    ask(&a, 0, "b.test"); /* in the place of none.test, though that was used last */
    answer(3);
    run(0);
    assert_int_equal(ask(&a, 0, "a.test"), NU_DNS_HIT);
    assert_int_equal(ask(&a, 0, "c.test"), NU_DNS_WAIT); /* b.test is unused for longer */
    answer(4);
    run(0);
    assert_int_equal(ask(&a, 0, "a.test"), NU_DNS_HIT);
    assert_int_equal(stat(NU_DNS_HOST_REMOVED), 2);
    assert_int_equal(stat(NU_DNS_NUM_HOSTS), 2);
}

static void what_is_asked_for_makes_no_room(void **state)
{
    struct asker a = {0}, b = {0}, c = {0};
    make(1, 8);
    assert_int_equal(ask(&a, 0, "slow.test"), NU_DNS_WAIT);
    assert_int_equal(ask(&b, 0, "a.test"), NU_DNS_FULL);
    assert_null(b.ticket);
    assert_int_equal(stat(NU_DNS_HOST_OVERFLOW), 1);
    assert_int_equal(ask(&c, 1, "slow.test"), NU_DNS_WAIT);
    nu_dns_cancel(a.ticket);
    nu_dns_cancel(c.ticket);
}

static void so_many_wait_and_no_more(void **state)
{
    struct asker a[3] = {0};
    make(8, 2);
    assert_int_equal(ask(&a[0], 0, "slow.test"), NU_DNS_WAIT);
    assert_int_equal(ask(&a[1], 1, "slow.test"), NU_DNS_WAIT);
    assert_int_equal(ask(&a[2], 0, "a.test"), NU_DNS_FULL);
    assert_int_equal(stat(NU_DNS_RQ_PENDING_OVERFLOW), 1);
    nu_dns_cancel(a[0].ticket);
    assert_int_equal(ask(&a[2], 0, "a.test"), NU_DNS_WAIT);
    nu_dns_cancel(a[1].ticket);
    nu_dns_cancel(a[2].ticket);
}

/* The question is on its way to main, or to the name server, when the cluster goes. */
static void it_goes_while_questions_are_on_their_way(void **state)
{
    struct asker a = {0};
    make(8, 8);
    ask(&a, 0, "a.test");
    run(2);
    nu_dns_cancel(a.ticket);
    ask(&a, 0, "b.test");
    nu_dns_cancel(a.ticket);
    nu_dns_cache_free(cache);
    cache = NULL;
    dns_serve(&dns, 5);
    for (int i = 0; i < 4; i++)
        run(2);
    assert_int_equal(a.heard, 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        STORY(an_answer_serves_while_it_is_fresh),
        STORY(many_ask_one_question),
        STORY(who_cancels_hears_nothing),
        STORY(failures_are_kept_for_a_short_time),
        STORY(an_old_answer_serves_while_servers_fail),
        STORY(names_make_room_the_useless_first),
        STORY(what_is_asked_for_makes_no_room),
        STORY(so_many_wait_and_no_more),
        STORY(it_goes_while_questions_are_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
