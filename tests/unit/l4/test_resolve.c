/* Names to addresses, against a name server in the test and the machine's own /etc/hosts. */
#include "l4/resolve.h"

#include "core/worker.h"
#include "tests/unit/folder.h"
#include "tests/unit/l4/dns_help.h"

#include <event2/event.h>

static struct dns_row rows[] = {
    {.name = "a.test",               .a = {"10.0.0.2", "10.0.0.1"}, .ttl = 60},
    {.name = "both.test",                     .a = {"10.0.0.1"}, .aaaa = {"2001:db8::1"}, .ttl = 60},
    {.name = "twice.test",            .a = {"10.0.0.1", "10.0.0.1"}, .ttl = 60},
    {.name = "alias.test",       .a = {"10.0.0.3"}, .ttl = 300, .cname = "real.test", .cname_ttl = 20},
    {.name = "alias2.test",                              .a = {"10.0.0.3"}, .ttl = 30, .cname = "real.test", .cname_ttl = 200},
    {.name = "zero.test",.a = {"10.0.0.4"}, .ttl = 0},
    {.name = "empty.test"                             },
    {.name = "servfail.test",       .rcode = DNS_SERVFAIL},
    {.name = "refused.test",          .rcode = DNS_REFUSED},
    {.name = "silent.test",                              .silent = true},
    {0},
};

struct world {
    struct dns dns;
    struct nu_resolver *resolver;
};

/* What came back, and how often. */
struct heard {
    unsigned times;
    enum nu_err err;
    bool empty, local;
    uint32_t ttl_s;
    char error[64], addrs[256];
};

static void hear(void *ctx, const struct nu_answer *answer)
{
    struct heard *h = ctx;
    size_t len = 0;
    h->times++;
    h->err = answer->err;
    h->empty = answer->empty;
    h->local = answer->local;
    h->ttl_s = answer->ttl_s;
    snprintf(h->error, sizeof h->error, "%s", answer->error);
    for (size_t i = 0; i < answer->count; i++) {
        char buf[NU_ADDR_TEXT_MAX];
        len += (size_t)snprintf(h->addrs + len, sizeof h->addrs - len, "%s%s", i ? " " : "",
                                nu_addr_str(&answer->addrs[i], buf));
    }
}

static void turn(struct world *w, int wait_ms)
{
    event_base_loop(nu_worker_main()->base, EVLOOP_NONBLOCK);
    dns_serve(&w->dns, wait_ms);
}

/* c-ares waits by the real clock, so the rounds are the time limit: 5 s. */
static void until_heard(struct world *w, const struct heard *h)
{
    for (int i = 0; i < 1000 && !h->times; i++)
        turn(w, 5);
    assert_int_equal(h->times, 1);
}

static void start(struct world *w, int timeout_ms)
{
    nu_workers_init(0);
    w->dns = dns_start(rows);
    struct nu_resolver_conf conf = {
        .servers = w->dns.address, .timeout_ms = timeout_ms, .tries = 2};
    w->resolver = nu_resolver_new(&nu_worker_main()->loop, &conf);
    event_base_loop(nu_worker_main()->base, EVLOOP_NONBLOCK);
}

static void stop(struct world *w)
{
    nu_resolver_free(w->resolver);
    nu_workers_free();
    dns_stop(&w->dns);
}

/* A task that is queued from outside of the loop waits for the next wake-up. */
static void wake(struct nu_worker *w, void *arg)
{
}

static struct nu_query *ask(struct world *w, const char *host, struct heard *h)
{
    *h = (struct heard){0};
    struct nu_query *q = nu_resolve(w->resolver, host, 80, hear, h);
    nu_worker_post(nu_worker_main(), wake, NULL);
    return q;
}

static void names_become_addresses(void **state)
{
    static const struct {
        const char *host, *addrs;
        uint32_t ttl_s;
    } cases[] = {
        {"a.test",      "10.0.0.1:80 10.0.0.2:80",      60},
        {"both.test",   "10.0.0.1:80 [2001:db8::1]:80", 60},
        {"twice.test",  "10.0.0.1:80",                  60},
        {"alias.test",  "10.0.0.3:80",                  20},
        {"alias2.test", "10.0.0.3:80",                  30},
        {"zero.test",   "10.0.0.4:80",                  0 },
    };
    struct world w;
    struct heard h;
    start(&w, 10000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(&w, cases[i].host, &h);
        assert_int_equal(h.times, 0);
        until_heard(&w, &h);
        assert_int_equal(h.err, NU_OK);
        assert_false(h.local);
        assert_string_equal(h.addrs, cases[i].addrs);
        assert_int_equal(h.ttl_s, cases[i].ttl_s);
    }
    stop(&w);
}

static void failures_have_words(void **state)
{
    static const struct {
        const char *host;
        enum nu_err err;
        bool empty;
        const char *error;
    } cases[] = {
        {"missing.test",  NU_ERR_MISSING, false, "no such name"                              },
        {"empty.test",    NU_ERR_MISSING, true,  "the name has no addresses"                 },
        {"servfail.test", NU_ERR_SYSTEM,  false, "the name servers refuse, or fail to answer"},
        {"refused.test",  NU_ERR_SYSTEM,  false, "the name servers refuse, or fail to answer"},
        {"silent.test",   NU_ERR_SYSTEM,  false, "no answer from the name servers"           },
    };
    struct world w;
    struct heard h;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(&w, strcmp(cases[i].host, "silent.test") == 0 ? 50 : 10000);
        ask(&w, cases[i].host, &h);
        until_heard(&w, &h);
        assert_int_equal(h.err, cases[i].err);
        assert_int_equal(h.empty, cases[i].empty);
        assert_string_equal(h.error, cases[i].error);
        assert_string_equal(h.addrs, "");
        stop(&w);
    }
}

/* Nobody is asked, and still the answer does not come during the question. */
static void a_local_name_is_told_later_too(void **state)
{
    struct world w;
    struct heard h;
    start(&w, 10000);
    ask(&w, "localhost", &h);
    assert_int_equal(h.times, 0);
    until_heard(&w, &h);
    assert_int_equal(h.err, NU_OK);
    assert_true(h.local);
    assert_non_null(strstr(h.addrs, "127.0.0.1:80"));
    assert_int_equal(w.dns.asked, 0);
    stop(&w);
}

static void a_closed_server_is_noticed_at_once(void **state)
{
    struct world w;
    struct heard h;
    start(&w, 10000);
    close(w.dns.fd);
    w.dns.fd = socket(AF_INET, SOCK_DGRAM, 0); /* another port */
    ask(&w, "a.test", &h);
    for (int i = 0; i < 100 && !h.times; i++)
        turn(&w, 5);
    assert_int_equal(h.times, 1);
    assert_string_equal(h.error, "the name servers refuse, or fail to answer");
    stop(&w);
}

/* Cancelled before it was asked, while it is asked, and between answer and word of it. */
static void a_cancelled_query_says_nothing(void **state)
{
    struct world w;
    struct heard waiting, asked, other;
    start(&w, 10000);
    nu_query_cancel(ask(&w, "a.test", &waiting));
    turn(&w, 0);
    assert_int_equal(w.dns.asked, 0);
    struct nu_query *q = ask(&w, "a.test", &asked);
    while (w.dns.asked < 2)
        turn(&w, 5);
    nu_query_cancel(q);
    ask(&w, "both.test", &other);
    until_heard(&w, &other);
    assert_int_equal(waiting.times + asked.times, 0);
    nu_query_cancel(NULL);
    nu_query_cancel(ask(&w, "silent.test", &asked));
    stop(&w);
}

static void freeing_lets_go_of_what_is_still_asked(void **state)
{
    struct world w;
    struct heard h;
    start(&w, 60000);
    struct nu_query *q = ask(&w, "silent.test", &h);
    while (!w.dns.asked)
        turn(&w, 5);
    nu_query_cancel(q);
    stop(&w);
    assert_int_equal(h.times, 0);
}

/* More than may be asked at once: the rest waits, and none is lost. */
static void many_wait_for_their_turn(void **state)
{
    enum { N = 3 * NU_RESOLVE_MAX_INFLIGHT };
    struct world w;
    static struct heard h[N];
    unsigned heard = 0;
    start(&w, 10000);
    for (int i = 0; i < N; i++)
        ask(&w, i % 2 ? "a.test" : "missing.test", &h[i]);
    event_base_loop(nu_worker_main()->base, EVLOOP_NONBLOCK);
    event_base_loop(nu_worker_main()->base, EVLOOP_NONBLOCK);
    dns_serve(&w.dns, 100);
    assert_in_range(w.dns.asked, 1, 2 * NU_RESOLVE_MAX_INFLIGHT);
    for (int i = 0; i < 1000 && heard < N; i++) {
        turn(&w, 1);
        heard = 0;
        for (int k = 0; k < N; k++)
            heard += h[k].times;
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(h[i].err, i % 2 ? NU_OK : NU_ERR_MISSING);
    stop(&w);
}

static void write_resolv_conf(const char *path)
{
    char next[FOLDER_MAX +
              32]; /* renamed over the old one: another inode, whatever the clock says */
    snprintf(next, sizeof next, "%s.next", path);
    FILE *out = fopen(next, "w");
    fputs("nameserver 127.0.0.1\n", out);
    fclose(out);
    assert_int_equal(rename(next, path), 0);
}

/* The port that a channel asks from, while something is asked on it. */
static unsigned port_asking(struct world *w)
{
    struct heard h;
    ask(w, "a.test", &h);
    until_heard(w, &h);
    return w->dns.from;
}

/* Another resolv.conf: a new channel from then on; what was asked on the old one is answered
 * there. */
static void another_resolv_conf_is_noticed(void **state)
{
    char folder[FOLDER_MAX], path[FOLDER_MAX + 16];
    struct dns_row *silent = dns_find(&(struct dns){.rows = rows}, "silent.test");
    struct heard before;
    struct world w = {.dns = dns_start(rows)};
    assert_true(folder_make(folder));
    snprintf(path, sizeof path, "%s/resolv.conf", folder);
    write_resolv_conf(path);
    struct nu_resolver_conf conf = {
        .servers = w.dns.address, .resolv_conf = path, .timeout_ms = 50, .tries = 10};
    nu_workers_init(0);
    w.resolver = nu_resolver_new(&nu_worker_main()->loop, &conf);
    ask(&w, "silent.test", &before);
    unsigned port = port_asking(&w);
    assert_int_equal(port_asking(&w), port);
    write_resolv_conf(path);
    assert_int_not_equal(port_asking(&w), port);
    assert_int_equal(before.times, 0);
    silent->silent = false;
    silent->a[0] = "10.0.0.5";
    until_heard(&w, &before);
    assert_string_equal(before.addrs, "10.0.0.5:80");
    assert_int_equal(w.dns.from, port);
    silent->silent = true;
    folder_remove(folder);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_addresses),
        cmocka_unit_test(failures_have_words),
        cmocka_unit_test(a_local_name_is_told_later_too),
        cmocka_unit_test(a_closed_server_is_noticed_at_once),
        cmocka_unit_test(a_cancelled_query_says_nothing),
        cmocka_unit_test(freeing_lets_go_of_what_is_still_asked),
        cmocka_unit_test(many_wait_for_their_turn),
        cmocka_unit_test(another_resolv_conf_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
