/* Lists of networks from files: what a line may be, what is said of one that is wrong, the caps,
 * and what a million of them cost. */
#include "core/table/prefix_file.h"

#include "tests/unit/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/cost.h"
#include "tests/unit/folder.h"

#include <string.h>
#include <unistd.h>

static struct nu_prefix_fault fault;

/* The table of a text that has to be right. */
static struct nu_cidr_table *parsed(const char *text, size_t len)
{
    struct nu_cidr_table *table;
    enum nu_err err = nu_prefix_parse(text, len, &table, &fault);
    if (err)
        fail_msg("%u: %s", fault.line, fault.what);
    assert_string_equal(fault.what, "");
    return table;
}

/* The line that an address is found by; 0 = none. */
static uint32_t line_of(const struct nu_cidr_table *table, const char *ip)
{
    struct nu_addr addr;
    struct nu_cidr_iter it;
    assert_int_equal(nu_addr_parse(&addr, ip, 1), NU_OK);
    return nu_prefix_line(nu_cidr_find(table, &addr, &it));
}

static void every_form_of_a_line_is_understood(void **state)
{
    static const char text[] = "\xef\xbb\xbf# a list\r\n"
                               "\n"
                               "10.0.0.0/8\n"
                               " \t10.1.0.0/16 # inside of it\n"
                               "10.1.2.3\r\n"
                               "192.0.2.0/24 ; in the way of some publishers\n"
                               "2001:db8::/32\n"
                               "::1\n"
                               "::ffff:198.51.100.0/120#mapped\n"
                               "10.0.0.0/8 # again\n"
                               "\t\r\n"
                               "255.255.255.255/32";
    static const struct {
        const char *ip;
        uint32_t line;
    } rows[] = {
        {"10.9.9.9",         3 },
        {"10.1.9.9",         4 },
        {"10.1.2.3",         5 },
        {"192.0.2.255",      6 },
        {"192.0.3.0",        0 },
        {"2001:db8:ffff::1", 7 },
        {"2001:db9::1",      0 },
        {"::1",              8 },
        {"::2",              0 },
        {"198.51.100.7",     9 },
        {"198.51.101.7",     0 },
        {"255.255.255.255",  12},
    };
    struct nu_cidr_table *table = parsed(text, sizeof text - 1);
    assert_int_equal(nu_cidr_count(table), 8);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(line_of(table, rows[i].ip), rows[i].line);
    nu_cidr_free(table);
}

static void nothing_is_a_list_too(void **state)
{
    static const char *const texts[] = {"", "\n", "\xef\xbb\xbf", "# no one\n", "\r\n\r\n", ";"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct nu_cidr_table *table = parsed(texts[i], strlen(texts[i]));
        assert_int_equal(nu_cidr_count(table), 0);
        assert_int_equal(line_of(table, "10.0.0.1"), 0);
        nu_cidr_free(table);
    }
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
#define FOUND(shown) "found \"" shown "\", expected a network like 10.0.0.0/8 or 2001:db8::/32"
    static const struct {
        const char *line, *what;
    } rows[] = {
        {"10.0.0.0/33",                                                            FOUND("10.0.0.0/33")                                             },
        {"10.0.0",                                                                 FOUND("10.0.0")                                                  },
        {"10.0.0.256",                                                             FOUND("10.0.0.256")                                              },
        {"010.0.0.1",                                                              FOUND("010.0.0.1")                                               },
        {"10.0.0.2215",                                                            FOUND("10.0.0.2215")                                             },
        {"10.0.0.1x",                                                              FOUND("10.0.0.1x")                                               },
        {"10.0.0.0/8x",                                                            FOUND("10.0.0.0/8x")                                             },
        {"10.0.0.0/",                                                              FOUND("10.0.0.0/")                                               },
        {"10.0.0.0/8/8",                                                           FOUND("10.0.0.0/8/8")                                            },
        {"10.0.0.0 /8",                                                            FOUND("10.0.0.0 /8")                                             },
        {"10.0.0.0.0",                                                             FOUND("10.0.0.0.0")                                              },
        {"10.0.0.1:80",                                                            FOUND("10.0.0.1:80")                                             },
        {"fe80::1%lo",                                                             FOUND("fe80::1%lo")                                              },
        {"2001:db8::/129",                                                         FOUND("2001:db8::/129")                                          },
        {"[::1]",                                                                  FOUND("[::1]")                                                   },
        {"example.test",                                                           FOUND("example.test")                                            },
        {"\033[31mred\x80",                                                        FOUND("?[31mred?")                                               },
        {"// no comment",                                                          FOUND("// no comment")                                           },
        {"10.0.0.1/8",                                                             "\"10.0.0.1/8\" has bits behind its prefix, is 10.0.0.0/8 meant?"},
        {"2001:db8::1/32",
         "\"2001:db8::1/32\" has bits behind its prefix, is 2001:db8::/32 meant?"                                                                   },
        {"1234567890123456789012345678901234567890123456789012345678901234567890",
         FOUND("123456789012345678901234567890123456789012345678901234567890...")                                                                   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_cidr_table *table;
        char text[256];
        int len = snprintf(text, sizeof text, "# list\n10.0.0.0/8\r\n%s\nx\n::/0\ny", rows[i].line);
        assert_int_equal(nu_prefix_parse(text, (size_t)len, &table, &fault), NU_ERR_SYNTAX);
        assert_null(table);
        assert_string_equal(fault.what, rows[i].what);
        assert_int_equal(fault.line, 3);
        assert_int_equal(fault.others, 2);
    }
}

static void a_nul_is_no_end(void **state)
{
    static const char text[] = "10.0.0.1\0/8";
    struct nu_cidr_table *table;
    assert_int_equal(nu_prefix_parse(text, sizeof text - 1, &table, &fault), NU_ERR_SYNTAX);
    assert_string_equal(fault.what, FOUND("10.0.0.1?/8"));
}

/* Text of `count` random prefixes, IPv4 and IPv6 in turn. */
static char *random_list(struct seeded *r, uint32_t count, size_t *len)
{
    char *text = malloc((size_t)count * 52 + 1), *at = text, ip[NU_ADDR_TEXT_MAX];
    assert_non_null(text);
    for (uint32_t i = 0; i < count; i++) {
        struct nu_addr a = {.kind = i % 2 ? NU_ADDR_IP4 : NU_ADDR_IP6};
        unsigned bits = i % 2 ? 16 + seeded_below(r, 17) : 32 + seeded_below(r, 33);
        for (unsigned b = 0; b < bits; b++)
            a.ip[b / 8] |= (uint8_t)(seeded_below(r, 2) << (7 - b % 8));
        at += sprintf(at, "%s/%u\n", nu_addr_str_ip(&a, ip), bits);
    }
    *len = (size_t)(at - text);
    return text;
}

static void too_many_are_refused(void **state)
{
    const size_t len = ((size_t)NU_PREFIX_FILE_MAX + 1) * 8;
    struct nu_cidr_table *table;
    char *text = malloc(len);
    assert_non_null(text);
    for (size_t i = 0; i < len; i += 8)
        memcpy(text + i, i ? "1.2.3.4\n" : "x.2.3.4\n", 8);
    assert_int_equal(nu_prefix_parse(text, len, &table, &fault), NU_ERR_SYNTAX); /* just as many */
    memcpy(text, "1.2.3.4\n", 8);
    assert_int_equal(nu_prefix_parse(text, len, &table, &fault), NU_ERR_LIMIT);
    assert_null(table);
    assert_string_equal(fault.what, "more than 2000000 networks");
    assert_int_equal(fault.line, NU_PREFIX_FILE_MAX + 1);
    table = parsed(text, len - 8);
    assert_int_equal(nu_cidr_count(table), 1); /* equal ones are one */
    nu_cidr_free(table);
    free(text);
}

/* Nanoseconds a lookup, of addresses in the list and of random ones in turn. */
static double lookup_ns(const struct nu_cidr_table *table, struct seeded *r, const char *text)
{
    enum { ASKED = 4096, TIMES = 1000000 };
    static struct nu_addr asked[ASKED];
    struct nu_cidr_iter it;
    size_t found = 0;
    for (size_t i = 0; i < ASKED; i++) {
        asked[i] = (struct nu_addr){.kind = i % 4 < 2 ? NU_ADDR_IP4 : NU_ADDR_IP6};
        memcpy(asked[i].ip, (uint64_t[]){seeded_next(r), seeded_next(r)}, 16);
        const char *stop = strchr(text, '\n');
        char line[64];
        snprintf(line, sizeof line, "%.*s", (int)(stop - text), text);
        if (i % 2)
            nu_addr_parse_cidr(&asked[i], line);
        text = stop[1] ? stop + 1 : text;
    }
    double start = cost_seconds();
    for (size_t i = 0; i < TIMES; i++)
        found += nu_cidr_find(table, &asked[i % ASKED], &it) != NULL;
    assert_true(found >= TIMES / 2);
    return (cost_seconds() - start) * 1e9 / TIMES;
}

/* The figures of docs/performance.md; the bounds are loose, for sanitizers and busy machines. */
static void a_million_load_fast_and_are_found_as_fast_as_ten(void **state)
{
    struct seeded r = seeded_start("prefix file");
    double each[2];
    for (int big = 0; big <= 1; big++) {
        size_t len;
        uint32_t count = big ? cost_count(1000000) : 10;
        char *text = random_list(&r, count, &len);
        double start = cost_seconds();
        struct nu_cidr_table *table = parsed(text, len);
        double took = cost_seconds() - start;
        each[big] = lookup_ns(table, &r, text);
        printf("%7u prefixes, %zu bytes: %.3f s, lookup %.0f ns, %.0f bytes each\n", count, len,
               took, each[big], (double)nu_cidr_bytes(table) / count);
        assert_true(took < cost_bound(4));
        assert_true(nu_cidr_bytes(table) < 64u * count + 4096);
        nu_cidr_free(table);
        free(text);
    }
    assert_true(each[1] < 40 * each[0] + 1000); /* a scan would be 100,000 times as slow */
}

/* --- files --- */

static char folder[FOLDER_MAX], path[FOLDER_MAX + 8];

static int setup(void **state)
{
    int bad = !folder_make(folder);
    snprintf(path, sizeof path, "%s/list", folder);
    return bad;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

static enum nu_err load(struct nu_cidr_table **out)
{
    struct stat st;
    return nu_prefix_file_load(path, out, &st, &fault);
}

static void a_file_is_loaded(void **state)
{
    struct nu_cidr_table *table;
    FILE *file = fopen(path, "w");
    fputs("10.0.0.0/8\n", file);
    fclose(file);
    assert_int_equal(load(&table), NU_OK);
    assert_int_equal(line_of(table, "10.1.1.1"), 1);
    nu_cidr_free(table);
}

static void what_is_no_list_file_is_refused_at_once(void **state)
{
    struct nu_cidr_table *table;
    assert_int_equal(load(&table), NU_ERR_SYSTEM);
    assert_string_equal(fault.what, "cannot be read: No such file or directory");
    assert_int_equal(fault.line, 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* whoever opens it plainly waits for a writer */
    assert_int_equal(load(&table), NU_ERR_SYSTEM);
    assert_string_equal(fault.what, "is no regular file");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(load(&table), NU_ERR_SYSTEM);
    assert_string_equal(fault.what, "is no regular file");
    rmdir(path);
    fclose(fopen(path, "w"));
    assert_int_equal(truncate(path, NU_PREFIX_FILE_MAX_BYTES + 1), 0);
    assert_int_equal(load(&table), NU_ERR_LIMIT);
    assert_string_equal(fault.what, "is larger than 64 MiB");
    assert_null(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_line_is_understood),
        cmocka_unit_test(nothing_is_a_list_too),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(a_nul_is_no_end),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(a_million_load_fast_and_are_found_as_fast_as_ten),
        cmocka_unit_test_setup_teardown(a_file_is_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_list_file_is_refused_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
