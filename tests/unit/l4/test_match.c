/* Chain choice: the order of levels, fallback to less specific keys, clashes, when a sniff is
 * needed, cost, and equality with a search through all rules. */
#include "l4/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/l4/naive_match.h"
#include "tests/unit/seeded.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define RULES_MAX 40

/* Rules from words like "sni=a.test,*.b.test transport=tls source=10.0.0.0/8 sport=1". */
struct set {
    struct nu_arena *arena;
    struct nu_match_rule rules[RULES_MAX];
    void *values[RULES_MAX];
    size_t count;
    struct nu_match *match;
    struct nu_match_clash clash;
};

static void push(struct nu_arena *arena, struct nu_vec *vec, const void *item, size_t size)
{
    char *items = nu_arena_alloc(arena, (vec->count + 1) * size);
    if (vec->count)
        memcpy(items, vec->items, vec->count * size);
    memcpy(items + vec->count++ * size, item, size);
    vec->items = items;
}

static void push_value(struct set *s, struct nu_match_rule *rule, const char *key,
                       const char *value)
{
    const char *text = nu_arena_strdup(s->arena, value);
    struct nu_addr prefix;
    int64_t port = strtol(value, NULL, 10);
    if (strcmp(key, "sni") == 0)
        push(s->arena, &rule->sni, &text, sizeof text);
    else if (strcmp(key, "alpn") == 0)
        push(s->arena, &rule->alpn, &text, sizeof text);
    else if (strcmp(key, "ja3") == 0)
        push(s->arena, &rule->ja3, &text, sizeof text);
    else if (strcmp(key, "ja4") == 0)
        push(s->arena, &rule->ja4, &text, sizeof text);
    else if (strcmp(key, "transport") == 0)
        rule->transport = strcmp(value, "tls") ? NU_TRANSPORT_PLAIN : NU_TRANSPORT_TLS;
    else if (strcmp(key, "sport") == 0)
        push(s->arena, &rule->source_port, &port, sizeof port);
    else if (strcmp(key, "dport") == 0)
        push(s->arena, &rule->destination_port, &port, sizeof port);
    else {
        assert_int_equal(nu_addr_parse_cidr(&prefix, value), NU_OK);
        push(s->arena, strcmp(key, "source") ? &rule->destination : &rule->source, &prefix,
             sizeof prefix);
    }
}

static struct nu_match_rule rule_of(struct set *s, const char *words)
{
    struct nu_match_rule rule = {0};
    char *copy = nu_arena_strdup(s->arena, words), *save, *more;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(w, '=');
        *equals = 0;
        for (char *v = strtok_r(equals + 1, ",", &more); v; v = strtok_r(NULL, ",", &more))
            push_value(s, &rule, w, v);
    }
    return rule;
}

static enum nu_err build(struct set *s, const char *const *rules)
{
    *s = (struct set){.arena = nu_arena_new(4096)};
    for (; rules[s->count]; s->count++) {
        s->rules[s->count] = rule_of(s, rules[s->count]);
        s->values[s->count] = &s->rules[s->count];
    }
    return nu_match_build(&s->match, s->arena, s->rules, s->values, s->count, &s->clash);
}

static void addr(struct nu_addr *out, const char *text)
{
    assert_int_equal(nu_addr_parse(out, text, 0), NU_OK);
}

/* The index of the rule for "sni alpn,alpn client local"; "-" = none; "plain", "?" (not sniffed).
 */
static int find(struct set *s, const char *client, const char *local, const char *sni,
                const char *alpn)
{
    struct nu_addr from, to;
    char names[64];
    addr(&from, client);
    addr(&to, local);
    struct nu_match_input in = {.client = &from, .local = &to, .transport = NU_TRANSPORT_TLS};
    if (strcmp(sni, "?") == 0)
        in.transport = NU_TRANSPORT_UNKNOWN;
    else if (strcmp(sni, "plain") == 0)
        in.transport = NU_TRANSPORT_PLAIN;
    else if (strcmp(sni, "-") != 0)
        in.sni = (struct nu_match_name){sni, strlen(sni)};
    snprintf(names, sizeof names, "%s", alpn);
    for (char *save, *n = strtok_r(names, ",", &save); n; n = strtok_r(NULL, ",", &save))
        in.alpn[in.alpn_count++] = (struct nu_match_name){n, strlen(n)};
    const struct nu_match_rule *found = nu_match_find(s->match, &in);
    return found ? (int)(found - s->rules) : -1;
}

static void levels_decide_in_order(void **state)
{
    struct set s;
    assert_int_equal(build(&s, (const char *[]){"dport=443",                      /* 0 */
                                                "destination=10.1.0.0/16",        /* 1 */
                                                "destination=10.0.0.0/8 sni=a.x", /* 2 */
                                                "sni=a.x",                        /* 3 */
                                                "sni=*.x alpn=h2",                /* 4 */
                                                "transport=tls",                  /* 5 */
                                                "alpn=h2,http/1.1",               /* 6 */
                                                "source=10.0.0.0/8",              /* 7 */
                                                "source=10.0.0.0/8 sport=7",      /* 8 */
                                                "sport=7",                        /* 9 */
                                                NULL}),
                     NU_OK);
    assert_int_equal(find(&s, "10.0.0.1:7", "10.1.0.1:443", "a.x", "h2"), 0);
    assert_int_equal(find(&s, "10.0.0.1:7", "10.1.0.1:80", "a.x", "h2"), 1);
    assert_int_equal(find(&s, "10.0.0.1:7", "10.2.0.1:80", "a.x", "h2"), 2);
    assert_int_equal(find(&s, "10.0.0.1:7", "11.0.0.1:80", "a.x", "h2"), 3);
    assert_int_equal(find(&s, "10.0.0.1:7", "11.0.0.1:80", "b.x", "h2"), 4);
    assert_int_equal(find(&s, "10.0.0.1:7", "11.0.0.1:80", "b.x", "h3"), 5);
    assert_int_equal(find(&s, "10.0.0.1:7", "11.0.0.1:80", "plain", "h2"), 6);
    assert_int_equal(find(&s, "10.0.0.1:8", "11.0.0.1:80", "?", ""), 7);
    assert_int_equal(find(&s, "10.0.0.1:7", "11.0.0.1:80", "?", ""), 8);
    assert_int_equal(find(&s, "11.0.0.1:7", "11.0.0.1:80", "?", ""), 9);
    assert_int_equal(find(&s, "11.0.0.1:8", "11.0.0.1:80", "?", ""), -1);
    nu_arena_free(s.arena);
}

static void a_dead_end_falls_back(void **state)
{
    struct set s;
    assert_int_equal(build(&s, (const char *[]){"sni=a.b.test source=10.0.0.0/8", /* 0 */
                                                "sni=*.b.test source=11.0.0.0/8", /* 1 */
                                                "sni=*.test",                     /* 2 */
                                                "sni=* dport=99",                 /* 3 */
                                                "",                               /* 4 */
                                                "dport=443 sni=other.test",       /* 5 */
                                                NULL}),
                     NU_OK);
    assert_int_equal(find(&s, "10.0.0.1:1", "[::1]:443", "A.b.TEST", ""), 0);
    assert_int_equal(find(&s, "11.0.0.1:1", "[::1]:443", "a.b.test", ""), 1);
    assert_int_equal(find(&s, "12.0.0.1:1", "[::1]:443", "a.b.test", ""), 2);
    assert_int_equal(find(&s, "12.0.0.1:1", "[::1]:443", "b.example", ""), 4);
    assert_int_equal(find(&s, "12.0.0.1:1", "[::1]:99", "b.example", ""), 3);
    assert_int_equal(find(&s, "12.0.0.1:1", "[::1]:99", "-", ""), 4);
    assert_int_equal(find(&s, "12.0.0.1:1", "[::1]:443", "other.test", ""), 5);
    nu_arena_free(s.arena);
}

static void the_clients_first_protocol_wins(void **state)
{
    struct set s;
    assert_int_equal(build(&s, (const char *[]){"alpn=h2", "alpn=http/1.1,acme", NULL}), NU_OK);
    assert_int_equal(find(&s, "1.1.1.1:1", "1.1.1.1:1", "-", "x,http/1.1,h2"), 1);
    assert_int_equal(find(&s, "1.1.1.1:1", "1.1.1.1:1", "-", "h2,http/1.1"), 0);
    assert_int_equal(find(&s, "1.1.1.1:1", "1.1.1.1:1", "-", ""), -1);
    nu_arena_free(s.arena);
}

static void equal_rules_clash(void **state)
{
    struct {
        const char *rules[4];
        size_t first, second;
        const char *what;
    } rows[] = {
        {{"", "sni=a.test", "", NULL},                                                    0, 2, ""          },
        {{"sni=a.test,b.test", "sni=c.test,B.test.", NULL},                               0, 1, "sni b.test"},
        {{"sni=a.test", "source=10.0.0.0/8,::/0 dport=9", "dport=8,9 source=::/0", NULL},
         1,                                                                                  2,
         "destination_port 9, source ::/0"                                                                  },
        {{"destination=1.2.3.4 transport=tls alpn=h2 sport=5",
          "destination=1.2.3.4/32 transport=tls alpn=h2 sport=5", NULL},
         0,                                                                                  1,
         "destination 1.2.3.4/32, transport tls, alpn h2, source_port 5"                                    },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct set s;
        assert_int_equal(build(&s, rows[i].rules), NU_ERR_EXISTS);
        assert_int_equal(s.clash.first, rows[i].first);
        assert_int_equal(s.clash.second, rows[i].second);
        assert_string_equal(s.clash.what, rows[i].what);
        nu_arena_free(s.arena);
    }
}

static void a_repeated_value_is_no_clash(void **state)
{
    struct set s;
    assert_int_equal(build(&s, (const char *[]){"sni=a.test,A.test source=::1,::1/128", NULL}),
                     NU_OK);
    assert_int_equal(find(&s, "[::1]:1", "[::1]:1", "a.test", ""), 0);
    nu_arena_free(s.arena);
}

static void too_many_combinations_are_refused(void **state)
{
    struct nu_arena *arena = nu_arena_new(4096);
    struct nu_match *match;
    struct nu_match_clash clash;
    int64_t ports[400];
    for (int i = 0; i < 400; i++)
        ports[i] = i + 1;
    struct nu_match_rule rules[2] = {{.transport = 0}};
    rules[1].source_port = rules[1].destination_port = (struct nu_vec){ports, 400};
    void *values[2] = {&rules[0], &rules[1]};
    assert_int_equal(nu_match_build(&match, arena, rules, values, 2, &clash), NU_ERR_LIMIT);
    assert_int_equal(clash.second, 1);
    nu_arena_free(arena);
}

static bool needs(struct set *s, const char *client, const char *local)
{
    struct nu_addr from, to;
    addr(&from, client);
    addr(&to, local);
    return nu_match_needs_sniff(s->match, &from, &to);
}

static void a_sniff_is_asked_for_only_where_it_decides(void **state)
{
    struct set s;
    assert_int_equal(build(&s, (const char *[]){"", "source=10.0.0.0/8", NULL}), NU_OK);
    assert_false(needs(&s, "10.0.0.1:1", "1.1.1.1:1"));
    nu_arena_free(s.arena);
    assert_int_equal(build(&s, (const char *[]){"dport=25", /* decides before SNI */
                                                "sni=a.test source=10.0.0.0/8",   /* */
                                                "dport=26 transport=plain",       /* */
                                                "destination=9.0.0.0/8 alpn=h2",  /* */
                                                "destination=9.9.0.0/16 sport=5", /* */
                                                "source=12.0.0.0/8",              /* */
                                                NULL}),
                     NU_OK);
    assert_false(needs(&s, "10.0.0.1:1", "1.1.1.1:25"));
    assert_true(needs(&s, "10.0.0.1:1", "1.1.1.1:1"));
    assert_false(needs(&s, "11.0.0.1:1", "1.1.1.1:1"));
    assert_true(needs(&s, "11.0.0.1:1", "1.1.1.1:26"));
    assert_true(needs(&s, "11.0.0.1:1", "9.9.0.1:1"));
    assert_false(needs(&s, "11.0.0.1:5", "9.9.0.1:1"));
    assert_true(needs(&s, "11.0.0.1:5", "9.8.0.1:1"));
    assert_false(needs(&s, "12.0.0.1:5", "1.1.1.1:1"));
    nu_arena_free(s.arena);
}

/* Whatever name is asked for, and only then the name. */
static void a_fingerprint_wins_over_names(void **state)
{
    struct set s;
    struct nu_addr any;
    addr(&any, "1.1.1.1:1");
    assert_int_equal(build(&s, (const char *[]){"sni=a.x", "ja4=t1,t2", "ja3=m1", "ja3=m1 sni=a.x",
                                                "ja4=t2 ja3=m2", NULL}),
                     NU_OK);
    static const struct {
        const char *ja4, *ja3, *sni;
        int found;
    } rows[] = {
        {NULL, NULL, "a.x", 0 },
        {"t3", "m3", "a.x", 0 },
        {"t1", "m1", "a.x", 1 },
        {"t3", "m1", "a.x", 3 },
        {"t3", "m1", "b.x", 2 },
        {"t2", "m2", "a.x", 4 },
        {"t2", "m3", "b.x", 1 },
        {"t3", "m3", "b.x", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_match_input in = {
            .client = &any,
            .local = &any,
            .transport = NU_TRANSPORT_TLS,
            .ja3 = rows[i].ja3,
            .ja4 = rows[i].ja4,
            .sni = {rows[i].sni, 3}
        };
        const struct nu_match_rule *found = nu_match_find(s.match, &in);
        assert_int_equal(found ? found - s.rules : -1, rows[i].found);
    }
    assert_int_equal(nu_match_wants(&s.rules[0]), 0);
    assert_int_equal(nu_match_wants(&s.rules[1]), NU_WANT_JA4);
    assert_int_equal(nu_match_wants(&s.rules[4]), NU_WANT_JA3 | NU_WANT_JA4);
    assert_true(nu_match_needs_sniff(s.match, &any, &any));
    nu_arena_free(s.arena);
}

/* --- against the naive search --- */

static const char *const snis[] = {"a.test",   "b.a.test",   "c.b.a.test", "*.test",
                                   "*.a.test", "*.b.a.test", "*",          "z.example"};
static const char *const alpns[] = {"h2", "http/1.1", "h3", "acme-tls/1"};
static const char *const prints[] = {"p1", "p2", "p3"};
static const char *const prefixes[] = {"0.0.0.0/0",   "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24",
                                       "10.1.2.3/32", "::/0",       "fd00::/8",    "fd00::1/128"};
static const char *const addrs[] = {"10.1.2.3", "10.1.2.9",  "10.1.9.9",  "10.9.9.9",
                                    "11.0.0.1", "[fd00::1]", "[fd00::2]", "[::1]"};

#define pick(r, list) (list)[seeded_below(r, sizeof(list) / sizeof *(list))]

static void add_some(struct seeded *r, char *words, const char *key, const char *const *list,
                     unsigned count)
{
    if (seeded_below(r, 3))
        return;
    sprintf(words + strlen(words), " %s=", key);
    for (unsigned n = 1 + seeded_below(r, 3); n; n--)
        sprintf(words + strlen(words), "%s,", list[seeded_below(r, count)]);
}

static void random_rule(struct seeded *r, char *words)
{
    static const char *const ports[] = {"1", "2", "3"};
    *words = 0;
    add_some(r, words, "dport", ports, 3);
    add_some(r, words, "sport", ports, 3);
    add_some(r, words, "sni", snis, 8);
    add_some(r, words, "alpn", alpns, 4);
    add_some(r, words, "ja3", prints, 3);
    add_some(r, words, "ja4", prints, 3);
    add_some(r, words, "source", prefixes, 8);
    add_some(r, words, "destination", prefixes, 8);
    if (seeded_below(r, 4) == 0)
        strcat(words, seeded_below(r, 2) ? " transport=tls" : " transport=plain");
}

/* Rules that do not clash: one that does is left out. */
static void random_set(struct seeded *r, struct set *s)
{
    *s = (struct set){.arena = nu_arena_new(4096)};
    size_t want = 1 + seeded_below(r, RULES_MAX - 1);
    for (size_t i = 0; i < want; i++) {
        char words[512];
        random_rule(r, words);
        s->rules[s->count] = rule_of(s, words);
        s->values[s->count] = &s->rules[s->count];
        if (nu_match_build(&s->match, s->arena, s->rules, s->values, s->count + 1, &s->clash) ==
            NU_OK)
            s->count++;
    }
    assert_int_equal(nu_match_build(&s->match, s->arena, s->rules, s->values, s->count, &s->clash),
                     NU_OK);
}

static void random_input(struct seeded *r, struct nu_match_input *in, struct nu_addr *from,
                         struct nu_addr *to)
{
    static const char *const names[] = {"a.test", "b.a.test",  "x.b.a.test", "q.c.b.a.test",
                                        "test",   "z.example", "other"};
    addr(from, pick(r, addrs));
    addr(to, pick(r, addrs));
    from->port = (uint16_t)(1 + seeded_below(r, 4));
    to->port = (uint16_t)(1 + seeded_below(r, 4));
    *in = (struct nu_match_input){.client = from, .local = to};
    in->transport = (enum nu_transport)seeded_below(r, 3);
    if (in->transport != NU_TRANSPORT_TLS)
        return;
    const char *sni = pick(r, names);
    if (seeded_below(r, 5))
        in->sni = (struct nu_match_name){sni, strlen(sni)};
    in->ja3 = seeded_below(r, 4) ? pick(r, prints) : NULL;
    in->ja4 = seeded_below(r, 4) ? pick(r, prints) : NULL;
    for (unsigned n = seeded_below(r, 4); n; n--) {
        const char *name = pick(r, alpns);
        in->alpn[in->alpn_count++] = (struct nu_match_name){name, strlen(name)};
    }
}

/* Whether what a sniff could tell would change the answer for these addresses. */
static bool naive_needs_sniff(const struct set *s, const struct nu_match_input *in)
{
    struct nu_match_rule bare[RULES_MAX];
    for (size_t i = 0; i < s->count; i++) {
        bare[i] = s->rules[i];
        bool sniffs = bare[i].sni.count || bare[i].alpn.count || bare[i].ja3.count ||
                      bare[i].ja4.count || bare[i].transport != NU_TRANSPORT_UNKNOWN;
        bare[i].sni = bare[i].alpn = bare[i].ja3 = bare[i].ja4 = (struct nu_vec){0};
        bare[i].transport = sniffs ? NU_TRANSPORT_TLS : NU_TRANSPORT_UNKNOWN;
    }
    struct nu_match_input tls = {
        .client = in->client, .local = in->local, .transport = NU_TRANSPORT_TLS};
    int found = naive_find(bare, s->count, &tls);
    return found >= 0 && bare[found].transport == NU_TRANSPORT_TLS;
}

static void agrees_with_a_search_through_all(void **state)
{
    struct seeded r = seeded_start("match");
    unsigned hits = 0, sniffs = 0;
    for (int round = 0; round < 200; round++) {
        struct set s;
        random_set(&r, &s);
        for (int i = 0; i < 200; i++) {
            struct nu_match_input in;
            struct nu_addr from, to;
            random_input(&r, &in, &from, &to);
            int expected = naive_find(s.rules, s.count, &in);
            void *found = nu_match_find(s.match, &in);
            assert_ptr_equal(found, expected < 0 ? NULL : &s.rules[expected]);
            bool sniff = nu_match_needs_sniff(s.match, &from, &to);
            assert_int_equal(sniff, naive_needs_sniff(&s, &in));
            hits += found != NULL;
            sniffs += sniff;
        }
        nu_arena_free(s.arena);
    }
    assert_in_range(hits, 4000, 39000); /* else the test says little */
    assert_in_range(sniffs, 4000, 39000);
}

/* --- cost --- */

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Builds `count` names, each a rule, and returns the time of a lookup. */
static double lookup_cost(size_t count, size_t *bytes)
{
    struct nu_arena *arena = nu_arena_new(4096);
    struct nu_match_rule *rules = nu_arena_alloc(arena, count * sizeof *rules);
    void **values = nu_arena_alloc(arena, count * sizeof *values);
    const char **names = nu_arena_alloc(arena, count * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = nu_arena_printf(arena, "service-%05zu.test", i);
        rules[i] = (struct nu_match_rule){
            .sni = {&names[i], 1}
        };
        values[i] = &rules[i];
    }
    size_t before = nu_arena_bytes(arena);
    struct nu_match *match;
    struct nu_match_clash clash;
    assert_int_equal(nu_match_build(&match, arena, rules, values, count, &clash), NU_OK);
    *bytes = nu_arena_bytes(arena) - before;
    struct nu_addr any = {.kind = NU_ADDR_IP4, .prefix = 32};
    struct nu_match_input in = {.client = &any, .local = &any, .transport = NU_TRANSPORT_TLS};
    double start = seconds();
    for (size_t i = 0; i < 20000; i++) {
        size_t k = i * 7919 % count;
        in.sni = (struct nu_match_name){names[k], strlen(names[k])};
        assert_ptr_equal(nu_match_find(match, &in), &rules[k]);
    }
    double cost = (seconds() - start) / 20000;
    nu_arena_free(arena);
    return cost;
}

static void ten_thousand_names_cost_what_ten_do(void **state)
{
    size_t few, many;
    double ten = lookup_cost(10, &few), start = seconds();
    double all = lookup_cost(10000, &many);
    double spent = seconds() - start;
    print_message("lookup: %.0f ns of 10, %.0f ns of 10,000; %zu bytes a name; built in %.0f ms\n",
                  ten * 1e9, all * 1e9, many / 10000, (spent - all * 20000) * 1e3);
    assert_true(all < ten * 20); /* caches differ; a search through all would be 1000 times */
    assert_in_range(many, 1, 10000 * 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_decide_in_order),
        cmocka_unit_test(a_dead_end_falls_back),
        cmocka_unit_test(the_clients_first_protocol_wins),
        cmocka_unit_test(equal_rules_clash),
        cmocka_unit_test(a_repeated_value_is_no_clash),
        cmocka_unit_test(too_many_combinations_are_refused),
        cmocka_unit_test(a_sniff_is_asked_for_only_where_it_decides),
        cmocka_unit_test(a_fingerprint_wins_over_names),
        cmocka_unit_test(agrees_with_a_search_through_all),
        cmocka_unit_test(ten_thousand_names_cost_what_ten_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
