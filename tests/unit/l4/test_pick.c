/* A pick without a network: the filter that asks is the test's own, hosts are named by it as an
 * HTTP router will, and main is the worker. */
#include "l4/pick.h"
#include "tests/unit/l4/cluster_help.h"
#include "tests/unit/l4/dns_help.h"

static struct dns_row rows[4];
static struct dns dns;
static struct made made;

/* The filter, and what it learned last. */
struct asker {
    struct nu_filter filter;
    struct nu_pick pick;
    enum nu_pick_answer answer;
    unsigned woken;
};

static struct asker *self;

static void ask(struct nu_filter *f)
{
    struct asker *a = (struct asker *)f;
    a->answer = nu_pick_next(&a->pick, f);
}

static void woken(struct nu_filter *f)
{
    ((struct asker *)f)->woken++;
    ask(f);
}

static void asker_close(struct nu_filter *f)
{
    nu_pick_end(&((struct asker *)f)->pick);
}

static const struct nu_filter_type asker = {
    .name = "asker",
    .doc = "Picks.",
    .size = sizeof(struct asker),
    .face = NU_FACES(NU_FACE_NONE, NU_FACE_NONE),
    .flags = NU_F_INTERNAL,
    .close = asker_close,
};

static int start(void **state)
{
    static const struct dns_row table[] = {
        {.name = "a.test",                                 .a = {"93.184.216.34"},                          .aaaa = {"2606:2800:220::1"}, .ttl = 60},
        {.name = "mixed.test",                                       .a = {"10.0.0.1", "93.184.216.35", "127.0.0.1"},                                                                                      .ttl = 60},
        {.name = "slow.test",.silent = true},
    };
    memcpy(rows, table, sizeof table);
    dns = dns_start(rows);
    setenv("NUNCIO_DNS", dns.address, 1);
    nu_workers_init(1);
    return 0;
}

static void begin(const char *cluster, uint8_t most)
{
    char text[512];
    struct nu_facts facts = {
        .client = {.kind = NU_ADDR_IP4, .ip = {192, 0, 2, 7}, .port = 1}
    };
    nu_addr_parse(&facts.local, "93.184.216.34:80", -1);
    facts.bound_port = 15001;
    snprintf(text, sizeof text, "clusters: [{name: c, %s}]", cluster);
    made = commit_from(text, NULL);
    struct nu_place place = {&asker, NULL};
    struct nu_chain *chain = nu_chain_new(&nu_worker_main()->loop, &place, 1, &facts, NULL, NULL);
    self = (struct asker *)nu_chain_end(chain, NU_REV);
    nu_pick_start(&self->pick, &self->filter, nu_cluster_find(made.clusters, "c"), most, woken);
}

/* The chain goes, then the cluster. */
static int stop(void **state)
{
    nu_chain_abort(self->filter.chain, NU_CAUSE_DRAIN);
    turn();
    nu_loop_settle(&nu_worker_main()->loop);
    retire(&made, NULL);
    nu_workers_free();
    dns_stop(&dns);
    return 0;
}

static const char *next(void)
{
    static char text[NU_ADDR_TEXT_MAX];
    nu_call(&self->filter, ask);
    if (self->answer != NU_PICK_FOUND)
        return nu_pick_answer_str(self->answer);
    return nu_addr_str(&self->pick.endpoint->addr, text);
}

/* Turns until the pick says more than that it waits. */
static const char *until_woken(void)
{
    static char text[NU_ADDR_TEXT_MAX];
    for (int i = 0; i < 1000 && !self->woken; i++) {
        turn();
        dns_serve(&dns, 5);
    }
    assert_int_equal(self->woken, 1);
    return self->answer == NU_PICK_FOUND ? nu_addr_str(&self->pick.endpoint->addr, text)
                                         : nu_pick_answer_str(self->answer);
}

static const char *why(enum nu_cause cause)
{
    enum nu_cause found;
    const char *text;
    assert_true(nu_pick_why(&self->pick, &found, &text));
    assert_int_equal(found, cause);
    return text;
}

static void a_caller_names_host_and_port(void **state)
{
    begin("dynamic_forward: \"*.test\"", 5);
    nu_pick_host(&self->pick, "A.test.", 8080);
    assert_string_equal(next(), "wait");
    assert_string_equal(until_woken(), "93.184.216.34:8080");
    assert_string_equal(nu_chain_facts(self->filter.chain)->exchange->upstream_host, "a.test");
    assert_string_equal(next(), "[2606:2800:220::1]:8080");
    assert_string_equal(next(), "none");
    assert_string_equal(next(), "none");
    assert_false(nu_pick_why(&self->pick, &(enum nu_cause){0}, &(const char *){0}));
}

static void the_second_one_need_not_wait(void **state)
{
    begin("dynamic_forward: \"*.test\"", 5);
    nu_pick_host(&self->pick, "a.test", 0);
    assert_string_equal(next(), "wait");
    assert_string_equal(until_woken(), "93.184.216.34:80"); /* where the client was going */
    nu_pick_end(&self->pick);
    nu_pick_start(&self->pick, &self->filter, nu_cluster_find(made.clusters, "c"), 1, woken);
    nu_pick_host(&self->pick, "a.test", 0);
    assert_string_equal(next(), "93.184.216.34:80");
    assert_string_equal(next(), "none"); /* one was all it wanted */
}

static void what_may_not_be_reached_is_passed_over(void **state)
{
    begin("dynamic_forward: \"*.test\"", 5);
    nu_pick_host(&self->pick, "mixed.test", 443);
    next();
    assert_string_equal(until_woken(), "93.184.216.35:443");
    assert_string_equal(next(), "none");
}

/* What would have ended the wait is off then; of the other family there is nothing to try. */
static void an_answer_ends_the_wait(void **state)
{
    begin("dynamic_forward: {allow: \"*.test\", family: v6, dns_timeout: 5s}", 5);
    nu_pick_host(&self->pick, "a.test", 443);
    assert_string_equal(next(), "wait");
    assert_string_equal(until_woken(), "[2606:2800:220::1]:443");
    nu_loop_advance(&nu_worker_main()->loop, 10000);
    assert_int_equal(self->woken, 1);
    assert_string_equal(next(), "none");
}

/* Whatever may be reached, the listener itself may not. */
static void a_name_that_leads_back_here(void **state)
{
    begin("dynamic_forward: {allow: \"*\", addresses: {deny: []}}", 5);
    nu_pick_host(&self->pick, "mixed.test", 15001);
    assert_string_equal(next(), "wait");
    const char *to = until_woken();
    for (int i = 0; i < 2; i++, to = next())
        assert_string_not_equal(to, "127.0.0.1:15001");
    assert_string_equal(to, "none");
}

static void a_name_that_is_refused(void **state)
{
    begin("dynamic_forward: a.test", 5);
    nu_pick_host(&self->pick, "b.test", 443);
    assert_string_equal(next(), "none");
    assert_string_equal(why(NU_CAUSE_DENIED), "b.test: \"allow\" does not have it");
    assert_string_equal(next(), "none");
}

static void the_wait_is_bounded(void **state)
{
    begin("dynamic_forward: {allow: \"*\", dns_timeout: 20ms}", 5);
    nu_pick_host(&self->pick, "slow.test", 443);
    assert_string_equal(next(), "wait");
    assert_string_equal(until_woken(), "none");
    assert_string_equal(why(NU_CAUSE_DNS), "slow.test: no answer within 20 ms");
}

/* The chain ends while it waits: stop() does it. */
static void who_waits_may_go(void **state)
{
    begin("dynamic_forward: \"*\"", 5);
    nu_pick_host(&self->pick, "slow.test", 443);
    assert_string_equal(next(), "wait");
}

static void nobody_said_where_to(void **state)
{
    begin("dynamic_forward: \"*\"", 5);
    assert_string_equal(next(), "none");
    assert_non_null(strstr(why(NU_CAUSE_NO_DESTINATION), "named no server"));
}

/* A chain without a socket: a datagram's session, whose listener knows. */
static void where_the_client_was_going(void **state)
{
    begin("original_dst: true", 5);
    assert_string_equal(next(), "93.184.216.34:80");
    assert_string_equal(next(), "none");
    assert_false(nu_pick_why(&self->pick, &(enum nu_cause){0}, &(const char *){0}));
}

static void a_place_that_is_denied(void **state)
{
    begin("original_dst: {deny: 93.0.0.0/8}", 5);
    assert_string_equal(next(), "none");
    assert_string_equal(why(NU_CAUSE_DENIED), "93.184.216.34:80 may not be reached: denied");
}

static void endpoints_have_their_turns(void **state)
{
    begin("endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\"]", 5);
    char first[NU_ADDR_TEXT_MAX];
    snprintf(first, sizeof first, "%s", next());
    assert_string_not_equal(next(), first);
    assert_string_equal(next(), "none");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        STORY(a_caller_names_host_and_port),
        STORY(the_second_one_need_not_wait),
        STORY(what_may_not_be_reached_is_passed_over),
        STORY(an_answer_ends_the_wait),
        STORY(a_name_that_leads_back_here),
        STORY(a_name_that_is_refused),
        STORY(the_wait_is_bounded),
        STORY(who_waits_may_go),
        STORY(nobody_said_where_to),
        STORY(where_the_client_was_going),
        STORY(a_place_that_is_denied),
        STORY(endpoints_have_their_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
