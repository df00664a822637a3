/* csrf: which requests are looked at, whose pages may send them. */
#include "tests/unit/l7/filters/filter_kit.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "filters: [{csrf: {additional_origins: [b.test, {suffix: .c.test}]}}]\n"                       \
    "routes: [{match: {path: /off}, cluster: c, filters: {csrf: off}},"                            \
    " {match: {path: /none}, cluster: c, filters: {csrf: {share: 0%}}},"                           \
    " {match: {path: /half}, cluster: c, filters: {csrf: {share: 50%}}}, {cluster: c}]\n"
#define EVIL "Origin: https://evil.test\r\n"

enum { MISSING, INVALID, VALID };

static int64_t count(unsigned index)
{
    return figure_of(&nu_csrf_stats, "http.ingress.csrf", index);
}

/* Whether it reached the server; else it was refused. */
static bool passes(const char *line, const char *fields)
{
    asks(line, fields);
    bool passed = served() != NULL;
    const char *got = client();
    if (!passed) {
        assert_int_equal(strncmp(got, "HTTP/1.1 403 Forbidden\r\n", 24), 0);
        assert_non_null(strstr(got, "\r\n\r\nInvalid origin"));
    }
    return passed;
}

static void whose_requests_pass(void **state)
{
    static const struct {
        const char *fields;
        bool valid;
    } rows[] = {
        {"Origin: https://a.test\r\n",                                true },
        {"Origin: http://A.test\r\n",                                 true },
        {"Origin: https://a.test:8443\r\n",                           false},
        {"Origin: https://a.test.evil\r\n",                           false},
        {"Origin: https://a.test@evil.test\r\n",                      false},
        {"Origin: https://b.test\r\n",                                true },
        {"Origin: https://x.c.test\r\n",                              true },
        {"Origin: https://c.test\r\n",                                false},
        {"Origin: null\r\nReferer: https://a.test/\r\n",              false},
        {"Origin: https://evil.test\r\nReferer: https://a.test/\r\n", false},
        {"Referer: https://a.test/page?x#y\r\n",                      true },
        {"Referer: https://a.test?x\r\n",                             true },
        {"Referer: https://evil.test/https://a.test/\r\n",            false},
        {"Referer: evil\r\n",                                         false},
        {"Origin: \r\nReferer: https://a.test\r\n",                   true },
        {"Origin: https://\r\n",                                      false},
    };
    int64_t valid = 0, invalid = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(passes("DELETE /", rows[i].fields), rows[i].valid);
        *(rows[i].valid ? &valid : &invalid) += 1;
    }
    assert_int_equal(count(VALID), valid);
    assert_int_equal(count(INVALID), invalid);
    assert_int_equal(count(MISSING), 1);
    assert_false(passes("DELETE /", ""));
    assert_int_equal(count(MISSING), 2);
}

static void which_are_looked_at(void **state)
{
    static const char *const passing[] = {"GET /", "HEAD /", "OPTIONS /", "TRACE /",
                                          "FOO /", "post /", "POST /off", "POST /none"};
    static const char *const refused[] = {"POST /", "PUT /", "DELETE /", "PATCH /"};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        assert_true(passes(passing[i], EVIL "Content-Length: 0\r\n"));
    assert_int_equal(count(INVALID), 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_false(passes(refused[i], EVIL "Content-Length: 0\r\n"));
}

/* 500 +- 5 standard deviations of a fair coin. */
static void half_of_them(void **state)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < 1000; i++)
        passed += passes("DELETE /half", EVIL);
    if (passed < 420 || passed > 580)
        fail_msg("%u of 1000 passed, seed %llu", passed, (unsigned long long)kit.loop.random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILTER_TEST(whose_requests_pass),
        FILTER_TEST(which_are_looked_at),
        FILTER_TEST(half_of_them),
    };
    filter_registered(&nu_filter_csrf);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
