/* A request among 100,000 routes costs what it costs among one, within 15 %, for each way in which
 * routes differ. A request is at the least two reads and two writes; these and the lookup are
 * measured, the best of many rounds. Figures are printed, those of the lookup alone as well. */
#include "tests/unit/cost.h"
#include "tests/unit/l7/route/route_help.h"

#include <sys/socket.h>
#include <unistd.h>

#define MANY   100000
#define ROUNDS 20
#define FINDS  1000

static double now_ns(void)
{
    return cost_seconds() * 1e9;
}

/* In routes and requests alike: %d is the route's number. */
struct shape {
    const char *name, *match, *request;
};

static const struct shape shapes[] = {
    {"hosts",      "host: h%d.example.test",       "GET http://h%d.example.test/some/path?x=1\n"       },
    {"wildcards",  "host: \"*.h%d.example.test\"", "GET http://www.h%d.example.test/some/path\n"       },
    {"paths",      "path: /service/%d/item",       "GET http://example.test/service/%d/item?x=1\n"     },
    {"prefixes",   "path_prefix: /service/%d/",    "GET http://example.test/service/%d/some/item\n"    },
    {"headers",    "headers: {x-tenant: t%d}",     "GET http://example.test/some/path\nx-tenant: t%d\n"},
    {"parameters", "query: {tenant: t%d}",         "GET http://example.test/some/path?a=b&tenant=t%d\n"},
};

/* Enough of a browser's fields for a search among them to cost what it does. */
static const char more[] = "user-agent: Mozilla/5.0\naccept: text/html,*/*\nx-own: 1\n"
                           "accept-language: en\naccept-encoding: gzip\ncookie: a=b\n";

static struct made_routes table_of(const struct shape *shape, int from, int to)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fputs("routes:\n", out);
    for (int i = from; i < to; i++) {
        fputs("- {match: {", out);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        fprintf(out, shape->match, i);
#pragma GCC diagnostic pop
        fputs("}, cluster: a}\n", out);
    }
    fclose(out);
    struct made_routes m = good_routes(text);
    free(text);
    return m;
}

static double best_of(const struct made_routes *m, const struct nu_http_head *head)
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < FINDS; i++)
            assert_non_null(nu_routes_find(m->routes, head));
        double took = (now_ns() - start) / FINDS;
        best = took < best ? took : best;
    }
    return best;
}

/* What the kernel takes for a small request, at the very least. */
static double four_calls(void)
{
    char buf[256] = {0};
    int fd[2];
    double best = 1e18;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < FINDS; i++) {
            assert_int_equal(write(fd[0], buf, sizeof buf), sizeof buf);
            assert_int_equal(read(fd[1], buf, sizeof buf), sizeof buf);
        }
        double took = 2 * (now_ns() - start) / FINDS;
        best = took < best ? took : best;
    }
    close(fd[0]);
    close(fd[1]);
    return best;
}

static void many_cost_what_one_does(void **state)
{
    double floor = four_calls();
    const int count = (int)cost_count(MANY);
    printf("reads and writes: %.0f ns\n", floor);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char line[1024];
        int n = count / 2;
        struct nu_arena *arena = nu_arena_new(1024);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int len = snprintf(line, sizeof line, shapes[i].request, n);
#pragma GCC diagnostic pop
        snprintf(line + len, sizeof line - (size_t)len, "%s", more);
        const struct nu_http_head *head = request_of(arena, line);
        struct made_routes one = table_of(&shapes[i], n, n + 1);
        struct made_routes many = table_of(&shapes[i], 0, count);
        double a = best_of(&one, head), b = best_of(&many, head);
        printf("%-10s 1: %.0f ns, %d: %.0f ns; of a request %+.1f %%\n", shapes[i].name, a, count,
               b, 100 * (b - a) / (floor + a));
        assert_true(floor + b <= (1 + cost_bound(0.15)) * (floor + a));
        routes_free(&one);
        routes_free(&many);
        nu_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_cost_what_one_does)};
    return cmocka_run_group_tests(tests, one_worker, no_worker);
}
