/* cors: whose origin is valid, what preflights are told, what responses get. */
#include "tests/unit/l7/filters/filter_kit.h"

#define CONF                                                                                       \
    "clusters: [{name: c, endpoints: [10.0.0.1:80]}]\n"                                            \
    "filters: [{cors: {allow_origin: [https://a.test, {suffix: .b.test}, {regex: "                 \
    "'^https?://c[0-9]\\.test$'}], allow_methods: [PUT, DELETE], allow_headers: x-one,"            \
    " expose_headers: [x-two, x-three], max_age: 10m, allow_credentials: on}}]\n"                  \
    "routes: [{match: {path: /own}, respond: {status: 403}},"                                      \
    " {match: {path: /off}, cluster: c, filters: {cors: off}},"                                    \
    " {match: {path: /any}, cluster: c, filters: {cors: {allow_origin: \"*\"}}}, {cluster: c}]\n"
#define DATE "date: "

enum { VALID, INVALID };

static int64_t count(unsigned index)
{
    return figure_of(&nu_cors_stats, "http.ingress.cors", index);
}

/* What a response has of CORS: its lines but status, date and length. */
static const char *told(void)
{
    static char out[2048];
    char *line, *rest = (char *)client();
    size_t len = 0;
    out[0] = 0;
    strsep(&rest, "\n");
    while ((line = strsep(&rest, "\n")) && *line != '\r') {
        line[strlen(line) - 1] = 0;
        if (strncasecmp(line, "date", 4) != 0 && strncasecmp(line, "content-", 8) != 0)
            len += (size_t)snprintf(out + len, sizeof out - len, "%s\n", line);
    }
    return out;
}

static void whose_origin_is_valid(void **state)
{
    static const struct {
        const char *origin;
        bool valid;
    } rows[] = {
        {"https://a.test",      true },
        {"http://a.test",       false},
        {"https://a.test:8443", false},
        {"https://a.test.evil", false},
        {"https://x.b.test",    true },
        {"https://b.test",      false},
        {"http://c7.test",      true },
        {"http://c7.test:80",   false},
        {"https://c77.test",    false},
        {"null",                false},
        {"",                    false},
        {"HTTPS://A.TEST",      false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[128], want[256] = "";
        snprintf(line, sizeof line, "Origin: %s\r\n", rows[i].origin);
        if (rows[i].valid)
            snprintf(want, sizeof want,
                     "access-control-allow-origin: %s\naccess-control-allow-credentials: true\n"
                     "access-control-expose-headers: x-two, x-three\nvary: origin\n",
                     rows[i].origin);
        int64_t before = count(rows[i].valid ? VALID : INVALID);
        asks("GET /", line);
        assert_non_null(served());
        assert_string_equal(told(), want);
        assert_int_equal(count(rows[i].valid ? VALID : INVALID), before + 1);
    }
    asks("GET /", "");
    assert_non_null(served());
    assert_string_equal(told(), "");
    assert_int_equal(count(VALID) + count(INVALID), sizeof rows / sizeof *rows);
}

#define ALLOWED                                                                                    \
    "access-control-allow-origin: https://a.test\naccess-control-allow-credentials: true\n"
#define ASKED "Origin: https://a.test\r\nAccess-Control-Request-Method: PUT\r\n"

static void preflights_are_answered(void **state)
{
    asks("OPTIONS /", ASKED);
    assert_int_equal(kit.legs, 0);
    assert_int_equal(strncmp(kit.client.got, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_non_null(strstr(kit.client.got, "\r\nContent-Length: 0\r\n"));
    assert_string_equal(told(), ALLOWED "access-control-allow-methods: PUT, DELETE\n"
                                        "access-control-allow-headers: x-one\n"
                                        "access-control-max-age: 600\nvary: origin\n");
}

/* Others go where they would: a server may know what to say. */
static void what_is_no_preflight(void **state)
{
    static const char *const rows[][2] = {
        {"OPTIONS /",    "Origin: https://a.test\r\n"                                         },
        {"GET /",        ASKED                                                                },
        {"OPTIONS /",    "Origin: https://evil.test\r\nAccess-Control-Request-Method: PUT\r\n"},
        {"OPTIONS /",    "Access-Control-Request-Method: PUT\r\n"                             },
        {"OPTIONS /off", ASKED                                                                },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        asks(rows[i][0], rows[i][1]);
        assert_non_null(served());
        assert_null(strstr(client(), "allow-methods"));
    }
}

/* What the server itself says of origins is replaced; Vary grows only where it has to. */
static void what_the_server_says(void **state)
{
    asks("GET /", "Origin: https://a.test\r\n");
    server_says(0, "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: accept, Origin\r\n"
                   "Content-Length: 0\r\n\r\n");
    assert_string_equal(told(), "Vary: accept, Origin\n" ALLOWED
                                "access-control-expose-headers: x-two, x-three\n");
    asks("GET /any", "Origin: null\r\n");
    server_says(0, "HTTP/1.1 200 OK\r\nVary: accept\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(told(), "Vary: accept\naccess-control-allow-origin: null\nvary: origin\n");
}

static void answers_of_our_own(void **state)
{
    asks("GET /own", "Origin: https://a.test\r\n");
    assert_int_equal(strncmp(told(), ALLOWED, strlen(ALLOWED)), 0);
}

static void mistakes(void **state)
{
    static const struct mistake rows[] = {
        {"[cors]",                                                             ""          },
        {"[{cors: {allow_origin: \"*\", allow_credentials: on}}]",
         "t.yaml:1:57: filters[0].cors.allow_credentials: any page could act as its visitor here: "
         "name the origins that may\n"
         "    1 | filters: [{cors: {allow_origin: \"*\", allow_credentials: on}}]\n"
         "      |                                                         ^^\n"            },
        {"[{cors: {allow_origin: a, allow_methods: [\"a b\"], max_age: 2d}}]",
         "t.yaml:1:52: filters[0].cors.allow_methods[0]: expected a name, or \"*\"\n"
         "    1 | filters: [{cors: {allow_origin: a, allow_methods: [\"a b\"], max_age: 2d}}]\n"
         "      |                                                    ^^^^^\n"
         "t.yaml:1:69: filters[0].cors.max_age: 2d is out of range, expected 0 to 1d\n"
         "    1 | filters: [{cors: {allow_origin: a, allow_methods: [\"a b\"], max_age: 2d}}]\n"
         "      |                                                                     ^^\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_filters(rows[i].text, rows[i].report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILTER_TEST(whose_origin_is_valid), FILTER_TEST(preflights_are_answered),
        FILTER_TEST(what_is_no_preflight),  FILTER_TEST(what_the_server_says),
        FILTER_TEST(answers_of_our_own),    FILTER_TEST(mistakes),
    };
    filter_registered(&nu_filter_cors);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
