/* Host-name patterns: what is one, which one wins, and that many cost what few do. */
#include "core/table/domain.h"

#include "core/arena.h"

#include "tests/unit/seeded.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LABEL63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff012"
#define NAME253 LABEL63 "." LABEL63 "." LABEL63 "." LABEL61
#define LABEL61 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff0"

static const struct {
    const char *pattern, *reason; /* NULL = fine */
} patterns[] = {
    {"a",                  NULL                                     },
    {"a.test",             NULL                                     },
    {"A.TEST.",            NULL                                     },
    {"*",                  NULL                                     },
    {"*.a",                NULL                                     },
    {"*.b.test.",          NULL                                     },
    {"_sip._tcp.a-b.test", NULL                                     },
    {"xn--bcher-kva.test", NULL                                     },
    {"1.a.test",           NULL                                     },
    {LABEL63 ".test",      NULL                                     },
    {NAME253,              NULL                                     },
    {NAME253 ".",          NULL                                     },
    {"",                   "empty name"                             },
    {".",                  "empty name"                             },
    {"a..test",            "empty label"                            },
    {".a.test",            "empty label"                            },
    {"a.test..",           "empty label"                            },
    {"*..test",            "empty label"                            },
    {"*..",                "empty label"                            },
    {LABEL63 "x.test",     "label longer than 63 bytes"             },
    {NAME253 "x",          "name longer than 253 bytes"             },
    {"a*.test",            "\"*\" may only be the whole first label"},
    {"a.*.test",           "\"*\" may only be the whole first label"},
    {"a.*",                "\"*\" may only be the whole first label"},
    {"*.*",                "\"*\" may only be the whole first label"},
    {"**",                 "\"*\" may only be the whole first label"},
    {"*a.test",            "\"*\" may only be the whole first label"},
    {"10.0.0.1",           "an IP address is no host name"          },
    {"::1",                "an IP address is no host name"          },
    {"[2001:db8::1]",      "an IP address is no host name"          },
    {"a.test:443",         "character that host names don't have"   },
    {"a b.test",           "character that host names don't have"   },
    {"https://a.test",     "character that host names don't have"   },
    {"-a.test",            "label begins or ends with \"-\""        },
    {"a-.test",            "label begins or ends with \"-\""        },
    {"b\xc3\xbc"
     "cher.test",     "not ASCII (write its xn-- form)"        },
};

static void patterns_are_fine_or_refused_with_a_reason(void **state)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const char *reason, *want = patterns[i].reason, *text = patterns[i].pattern;
        enum nu_err err = nu_domain_check(text, strlen(text), &reason);
        if (err != (want ? NU_ERR_SYNTAX : NU_OK) || strcmp(reason ? reason : "", want ? want : ""))
            fail_msg("%s: %s", text, reason ? reason : "fine");
        struct nu_domain_table *table = nu_domain_new(NULL);
        assert_int_equal(nu_domain_add(table, text, strlen(text), table, &reason), err);
        nu_domain_free(table);
    }
    nu_domain_free(NULL);
}

static void a_nul_is_no_end_of_a_name(void **state)
{
    const char *reason;
    assert_int_equal(nu_domain_check("a\0b", 3, &reason), NU_ERR_SYNTAX);
    assert_string_equal(reason, "character that host names don't have");
}

static const char *const table_patterns[] = {
    "a.test", "*.a.test", "*.test", "b.c.a.test", "*.c.a.test", "*", "other", "*.deep.e.f.g.test",
};

static struct nu_domain_table *make_table(struct nu_arena *arena)
{
    struct nu_domain_table *table = nu_domain_new(arena);
    const char *reason;
    for (size_t i = 0; i < sizeof table_patterns / sizeof *table_patterns; i++)
        assert_int_equal(nu_domain_add(table, table_patterns[i], strlen(table_patterns[i]),
                                       (void *)table_patterns[i], &reason),
                         NU_OK);
    return table;
}

/* All that match a name, best first, joined by blanks. */
static const char *matches(const struct nu_domain_table *table, const char *name, size_t len)
{
    static char out[1024];
    struct nu_domain_iter it;
    out[0] = 0;
    for (char *v = nu_domain_find(table, name, len, &it); v; v = nu_domain_next(&it)) {
        strcat(out, out[0] ? " " : "");
        strcat(out, v);
    }
    return out;
}

static const struct {
    const char *name, *matches;
} lookups[] = {
    {"a.test",            "a.test *.test *"                        },
    {"A.tESt",            "a.test *.test *"                        },
    {"a.test.",           "a.test *.test *"                        },
    {"b.a.test",          "*.a.test *.test *"                      },
    {"x.y.z.a.test",      "*.a.test *.test *"                      },
    {"c.a.test",          "*.a.test *.test *"                      },
    {"b.c.a.test",        "b.c.a.test *.c.a.test *.a.test *.test *"},
    {"x.b.c.a.test",      "*.c.a.test *.a.test *.test *"           },
    {"test",              "*"                                      },
    {"other",             "other *"                                },
    {"x.other",           "*"                                      },
    {"xa.test",           "*.test *"                               },
    {"deep.e.f.g.test",   "*.test *"                               },
    {"e.f.g.test",        "*.test *"                               },
    {"1.deep.e.f.g.test", "*.deep.e.f.g.test *.test *"             },
    {"",                  "*"                                      },
    {".",                 "*"                                      },
    {".a.test",           "*"                                      },
    {"x..a.test",         "*"                                      },
    {"a.test..",          "*"                                      },
    {"..",                "*"                                      },
    {"10.0.0.1",          "*"                                      },
    {"x\xff.a.test",      "*.a.test *.test *"                      },
    {"*.a.test",          "*.a.test *.test *"                      },
};

static void the_best_pattern_comes_first_and_all_others_after(void **state)
{
    struct nu_arena *arena = nu_arena_new(256);
    struct nu_domain_table *table = make_table(arena);
    for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++)
        assert_string_equal(matches(table, lookups[i].name, strlen(lookups[i].name)),
                            lookups[i].matches);
    assert_string_equal(matches(table, NULL, 0), "*");
    nu_arena_free(arena);
}

static void a_name_of_more_than_253_bytes_matches_only_any(void **state)
{
    struct nu_domain_table *table = make_table(NULL);
    char name[300];
    memset(name, 'x', sizeof name);
    memcpy(name + 248, ".test", 5);
    assert_string_equal(matches(table, name, 253), "*.test *");
    memcpy(name + 248, "x.test", 6);
    assert_string_equal(matches(table, name, 254), "*");
    nu_domain_free(table);
}

static void a_pattern_is_taken_once_whatever_its_case(void **state)
{
    struct nu_domain_table *table = make_table(NULL);
    const char *reason;
    assert_int_equal(nu_domain_add(table, "A.Test.", 7, &reason, &reason), NU_ERR_EXISTS);
    assert_int_equal(nu_domain_add(table, "*.A.TEST", 8, &reason, &reason), NU_ERR_EXISTS);
    assert_int_equal(nu_domain_add(table, "*", 1, &reason, &reason), NU_ERR_EXISTS);
    assert_string_equal(matches(table, "a.test", 6), "a.test *.test *");
    nu_domain_free(table);
}

static void a_slot_is_where_the_value_is(void **state)
{
    struct nu_domain_table *table = nu_domain_new(NULL);
    const char *reason;
    void **slot = nu_domain_slot(table, "*.a.test", 8, &reason);
    assert_non_null(slot);
    assert_null(*slot);
    assert_string_equal(matches(table, "b.a.test", 8), "");
    *slot = "v";
    assert_string_equal(matches(table, "b.a.test", 8), "v");
    assert_ptr_equal(nu_domain_slot(table, "*.A.test.", 9, &reason), slot);
    assert_null(nu_domain_slot(table, "a..b", 4, &reason));
    assert_string_equal(reason, "empty label");
    nu_domain_free(table);
}

/* Does the pattern match, and how well: 1000 = exact, else the wildcard's length, 0 = not. */
static int plain_match(const char *pattern, const char *name)
{
    size_t p = strlen(pattern), n = strlen(name);
    if (strcmp(pattern, "*") == 0)
        return 1;
    if (pattern[0] != '*')
        return strcasecmp(pattern, name) == 0 ? 1000 : 0;
    return n > p - 1 && strcasecmp(name + n - (p - 1), pattern + 1) == 0 ? (int)p : 0;
}

static void random_name(struct seeded *r, char *out)
{
    unsigned labels = 1 + seeded_below(r, 5);
    out[0] = 0;
    for (unsigned i = 0; i < labels; i++) {
        static const char *const some[] = {"a", "b", "A", "ab", "ba"};
        strcat(out, i ? "." : "");
        strcat(out, some[seeded_below(r, 5)]);
    }
}

static void agrees_with_trying_each_pattern(void **state)
{
    struct seeded r = seeded_start("domain");
    for (unsigned round = 0; round < 300; round++) {
        struct nu_domain_table *table = nu_domain_new(NULL);
        static char all[64][32];
        size_t count = 0;
        const char *reason;
        for (unsigned i = seeded_below(&r, 64); i > 0; i--) {
            char name[24];
            random_name(&r, name);
            unsigned form = seeded_below(&r, 20);
            snprintf(all[count], sizeof *all, "%s%s", form < 10 ? "*." : "", form ? name : "");
            if (form == 0)
                strcpy(all[count], "*");
            count +=
                nu_domain_add(table, all[count], strlen(all[count]), all[count], &reason) == NU_OK;
        }
        for (unsigned i = 0; i < 100; i++) {
            struct nu_domain_iter it;
            char name[24];
            size_t want = 0, got = 0;
            int last = 1001;
            random_name(&r, name);
            for (size_t p = 0; p < count; p++)
                want += plain_match(all[p], name) > 0;
            for (char *v = nu_domain_find(table, name, strlen(name), &it); v;
                 v = nu_domain_next(&it), got++) {
                int how_well = plain_match(v, name);
                assert_in_range(how_well, 1, last - 1);
                last = how_well;
            }
            assert_int_equal(got, want);
        }
        nu_domain_free(table);
    }
}

/* Nanoseconds of one lookup among that many names: the best of some rounds. */
static double lookup_ns(unsigned names)
{
    struct nu_domain_table *table = nu_domain_new(NULL);
    struct nu_domain_iter it;
    char name[64];
    const char *reason;
    double best = 1e9;
    for (unsigned i = 0; i < names; i++) {
        int len = snprintf(name, sizeof name, "%shost-%u.tenant-%u.example.test", i % 2 ? "" : "*.",
                           i, i % 97);
        nu_domain_add(table, name, (size_t)len, table, &reason);
    }
    for (unsigned round = 0; round < 200; round++) {
        struct timespec a, b;
        unsigned i = names * (round % 10) / 10;
        int len = snprintf(name, sizeof name, "x.host-%u.tenant-%u.example.test", i, i % 97);
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (unsigned k = 0; k < 100; k++)
            nu_domain_find(table, name, (size_t)len, &it);
        clock_gettime(CLOCK_MONOTONIC, &b);
        double ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
        best = ns / 100 < best ? ns / 100 : best;
    }
    nu_domain_free(table);
    return best;
}

static void ten_thousand_names_cost_what_ten_do(void **state)
{
    double few = lookup_ns(10), many = lookup_ns(10000);
    printf("lookup among 10 names: %.0f ns, among 10000: %.0f ns\n", few, many);
    assert_true(many < 10 * few); /* a scan would be 1000 times as much */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_fine_or_refused_with_a_reason),
        cmocka_unit_test(a_nul_is_no_end_of_a_name),
        cmocka_unit_test(the_best_pattern_comes_first_and_all_others_after),
        cmocka_unit_test(a_name_of_more_than_253_bytes_matches_only_any),
        cmocka_unit_test(a_pattern_is_taken_once_whatever_its_case),
        cmocka_unit_test(a_slot_is_where_the_value_is),
        cmocka_unit_test(agrees_with_trying_each_pattern),
        cmocka_unit_test(ten_thousand_names_cost_what_ten_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
