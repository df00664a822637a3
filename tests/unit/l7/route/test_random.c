/* The lookup of routes must be what trying one after the other is: random tables of few words, so
 * that much collides, and random requests. The seed is printed. */
#include "tests/unit/l7/route/route_help.h"
#include "tests/unit/seeded.h"

#define TABLES     400
#define ROUTES_MAX 120
#define REQUESTS   150

static struct seeded rnd;

static const char *pick(const char *const *from, unsigned count)
{
    return from[seeded_below(&rnd, count)];
}
#define PICK(from) pick(from, sizeof(from) / sizeof *(from))

static bool chance(unsigned percent)
{
    return seeded_below(&rnd, 100) < percent;
}

static const char *const host_patterns[] = {"a.test",     "b.a.test", "*.test",   "*.a.test",
                                            "*.b.a.test", "c.test",   "10.0.0.1", "[::1]",
                                            "*",          "A.TEST",   "*.0.0.1"};
static const char *const hosts[] = {"a.test",    "b.a.test",   "c.b.a.test", "c.test",
                                    "x.test",    "A.Test:80",  "a.test.",    "10.0.0.1:8080",
                                    "[0::1]:99", "other.host", "",           "x..test",
                                    ".a.test",   "10.0.0.2",   "test",       "[::2]"};
static const char *const exact_paths[] = {"/", "/a", "/a/b", "/abc", "/a/b/c", "/x"};
static const char *const prefixes[] = {"/", "/a", "/a/", "/a/b", "/ab", "/abc", "/x/y/z"};
static const char *const regexes[] = {"^/a", "b", "/[a-c]+$", "^/a/(b|c)$", "(a|b)*c"};
static const char *const paths[] = {"/",  "/a",   "/a/",   "/a/b",   "/a/b/c", "/ab", "/abc",
                                    "/x", "/x/y", "/abcd", "/x/y/z", "/q",     "/a/c"};
static const char *const queries[] = {"", "?q=1", "?q=2&r", "?r=1&q=1", "?q", "?", "?&q=1"};
static const char *const methods[] = {"GET", "PUT", "PURGE"};
static const char *const values[] = {"\"1\"",
                                     "\"2\"",
                                     "{prefix: a}",
                                     "{regex: \"^a\"}",
                                     "{present: true}",
                                     "{present: false}",
                                     "{exact: \"1\", invert: true}",
                                     "\"\""};
static const char *const headers[] = {
    "",     "x: 1\n",      "x: 2\n", "x: ab\ny: 1\n",         "y: 1\ny: 2\n",
    "x:\n", "cookie: 1\n", "z: 9\n", "cookie: 1\ncookie: 2\n"};

static void put_conditions(FILE *out, bool connect)
{
    static const char *const forms[] = {"path", "path_prefix", "path_regex"};
    if (chance(60)) {
        fprintf(out, "host: [\"%s\"", PICK(host_patterns));
        while (chance(30))
            fprintf(out, ", \"%s\"", PICK(host_patterns));
        fputs("], ", out);
    }
    unsigned form = seeded_below(&rnd, 4);
    if (form < 3 && !connect)
        fprintf(out, "%s: \"%s\", ", forms[form],
                form == 0   ? PICK(exact_paths)
                : form == 1 ? PICK(prefixes)
                            : PICK(regexes));
    if (chance(30) && !connect)
        fprintf(out, "method: [%s, %s], ", PICK(methods), PICK(methods));
    if (chance(30))
        fprintf(out, "headers: {x: %s}, ", PICK(values));
    else if (chance(20))
        fprintf(out, "headers: {y: %s, cookie: %s}, ", PICK(values), PICK(values));
    if (chance(25) && !connect)
        fprintf(out, "query: {q: %s}, ", PICK(values));
}

static void put_routes(FILE *out)
{
    unsigned count = 1 + seeded_below(&rnd, chance(30) ? 4 : ROUTES_MAX);
    fputs("routes:\n", out);
    for (unsigned i = 0; i < count; i++) {
        bool connect = chance(5);
        fputs("- {match: {", out);
        put_conditions(out, connect);
        fprintf(out, "}, connect: %s, cluster: a}\n", connect ? "on" : "off");
    }
}

static void tables_and_trying_agree(void **state)
{
    char *text;
    size_t len;
    unsigned found = 0;
    rnd = seeded_start("routes");
    for (unsigned t = 0; t < TABLES; t++) {
        FILE *out = open_memstream(&text, &len);
        put_routes(out);
        fclose(out);
        struct made_routes m = good_routes(text);
        for (unsigned i = 0; i < REQUESTS; i++) {
            char line[256];
            if (chance(5))
                snprintf(line, sizeof line, "CONNECT %s\n%s", PICK(hosts), PICK(headers));
            else
                snprintf(line, sizeof line, "%s http://%s%s%s\n%s", PICK(methods), PICK(hosts),
                         PICK(paths), PICK(queries), PICK(headers));
            found += find_line(&m, line) >= 0;
        }
        routes_free(&m);
        free(text);
    }
    assert_true(found > TABLES * REQUESTS / 4); /* the words are not so far apart */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables_and_trying_agree)};
    return cmocka_run_group_tests(tests, one_worker, no_worker);
}
