/* Headers about the way: what a client may not say, whom trusted hops name, what is added, also for
 * hostile values. x-forwarded-client-cert is in test_xfcc.c. */
#include "l7/forwarded.h"

#include "core/facts.h"
#include "l7/date.h"
#include "l7/request_id.h"
#include "tests/unit/l7/l7_kit.h"

#include <time.h>

static void forward(const char *lines)
{
    kit_request(lines);
    nu_forwarded_request(&kit.conf.forwarded, &kit.stream, &kit.facts);
}

static void assert_value(const char *name, const char *value)
{
    const char *got = kit_value(kit.stream.request, name);
    if (value)
        assert_string_equal(got ? got : "(none)", value);
    else
        assert_null(got);
}

static void assert_client(const char *text)
{
    char buf[NU_ADDR_TEXT_MAX];
    assert_string_equal(nu_addr_str(&kit.facts.client, buf), text);
}

static void a_plain_request(void **state)
{
    kit.conf.forwarded.request_id = true;
    forward("GET / HTTP/1.1\nHost: a.test\n");
    const char *id = kit_value(kit.stream.request, "x-request-id");
    assert_int_equal(strlen(id), NU_UUID_BYTES);
    char expected[256];
    snprintf(expected, sizeof expected,
             "Host: a.test\nx-forwarded-for: 203.0.113.5\nx-forwarded-proto: http\n"
             "x-request-id: %s\n",
             id);
    assert_string_equal(kit_fields(kit.stream.request), expected);
    assert_client("203.0.113.5:999");
    assert_false(nu_forwarded_https(kit.stream.request));
}

static void claims_of_a_stranger_go(void **state)
{
    struct nu_tls_facts tls = {.version = "TLSv1.3"};
    kit.facts.tls = &tls;
    kit.conf.forwarded.request_id = true;
    forward("GET / HTTP/1.1\nHost: a.test\nX-Forwarded-Proto: ftp\nX-Forwarded-Host: evil\n"
            "X-Forwarded-Port: 1\nForwarded: for=evil\nX-Real-IP: 1.1.1.1\nX-Request-ID: mine\n"
            "X-Envoy-Original-Path: /admin\nx-envoy-expected-rq-timeout-ms: 1\n"
            "X-Forwarded-Client-Cert: By=evil\nx-envoyer: stays\nx-envoy: stays\n"
            "X-Forwarded-For: 9.9.9.9\nX-Forwarded-For: 8.8.8.8\n");
    assert_string_not_equal(kit_value(kit.stream.request, "x-request-id"), "mine");
    nu_http_remove_known(kit.stream.request, NU_HDR_REQUEST_ID);
    assert_string_equal(kit_fields(kit.stream.request),
                        "Host: a.test\nX-Forwarded-Proto: https\nx-envoyer: stays\nx-envoy: stays\n"
                        "X-Forwarded-For: 9.9.9.9,8.8.8.8,203.0.113.5\n");
    assert_client("203.0.113.5:999");
    assert_true(nu_forwarded_https(kit.stream.request));
}

/* Whom they are meant for reads an underscore as a hyphen; nobody else sends them. */
static void names_in_disguise_go(void **state)
{
    kit.conf.forwarded.trusted_hops = 1;
    forward("GET / HTTP/1.1\nHost: a.test\nX_Forwarded_For: 1.1.1.1\nx-forwarded_proto: https\n"
            "X_ENVOY_ORIGINAL_PATH: /\nX_REQUEST_ID: 1\nX_Forwarded_Client_Cert: By=x\n"
            "x_other_one: stays\nunder_score: stays\nx_: stays\n");
    assert_string_equal(kit_fields(kit.stream.request),
                        "Host: a.test\nx_other_one: stays\nunder_score: stays\nx_: stays\n"
                        "x-forwarded-for: 203.0.113.5\nx-forwarded-proto: http\n");
}

static void trusted_hops_are_believed(void **state)
{
    kit.conf.forwarded.trusted_hops = 1;
    kit.conf.forwarded.request_id = true;
    forward("GET / HTTP/1.1\nHost: a.test\nX-Forwarded-For: 6.6.6.6, 198.51.100.7\n"
            "X-Forwarded-Proto: https\nX-Forwarded-Host: b.test\nX-Request-ID: theirs\n"
            "x-envoy-attempt-count: 2\n");
    assert_value("x-forwarded-for", "6.6.6.6, 198.51.100.7,203.0.113.5");
    assert_value("x-forwarded-proto", "https");
    assert_value("x-forwarded-host", "b.test");
    assert_value("x-request-id", "theirs");
    assert_value("x-envoy-attempt-count", "2");
    assert_client("198.51.100.7:0");
    char text[NU_ADDR_TEXT_MAX];
    assert_string_equal(nu_addr_str(&kit.facts.more->direct, text), "203.0.113.5:999");
}

static void schemes_of_trusted_hops(void **state)
{
    static const char *const rows[][2] = {
        {"X-Forwarded-Proto: ftp\n",                            "http" },
        {"X-Forwarded-Proto: HTTPS\n",                          "HTTPS"},
        {"X-Forwarded-Proto:\n",                                "http" },
        {"X-Forwarded-Proto: https,http\n",                     "http" },
        {"X-Forwarded-Proto: https\nX-Forwarded-Proto: http\n", "https"},
    };
    kit.conf.forwarded.trusted_hops = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char lines[128];
        snprintf(lines, sizeof lines, "GET / HTTP/1.1\nHost: a.test\n%s", rows[i][0]);
        forward(lines);
        assert_value("x-forwarded-proto", rows[i][1]);
        assert_int_equal(nu_forwarded_https(kit.stream.request), rows[i][1][4] != 0);
        if (i < 4)
            nu_http_head_drop(kit.stream.request);
    }
}

static void hops_are_counted_from_the_right(void **state)
{
    static const struct {
        const char *list;
        int64_t hops;
        const char *client;
    } rows[] = {
        {"1.1.1.1, 2.2.2.2, 3.3.3.3", 1,  "3.3.3.3:0"       },
        {"1.1.1.1, 2.2.2.2, 3.3.3.3", 2,  "2.2.2.2:0"       },
        {"1.1.1.1, 2.2.2.2, 3.3.3.3", 3,  "1.1.1.1:0"       },
        {"1.1.1.1, 2.2.2.2, 3.3.3.3", 4,  "203.0.113.5:999" },
        {"1.1.1.1",                   32, "203.0.113.5:999" },
        {"1.1.1.1,\t2001:db8::7 ",    1,  "[2001:db8::7]:0" },
        {"[2001:db8::7]:80",          1,  "[2001:db8::7]:80"},
        {"2.2.2.2:81,",               2,  "2.2.2.2:81"      },
        {"2.2.2.2,",                  1,  "203.0.113.5:999" },
        {"unknown",                   1,  "203.0.113.5:999" },
        {"unix:/run/x",               1,  "203.0.113.5:999" },
        {"fe80::1%lo",                1,  "203.0.113.5:999" },
        {"10.0.0.0/8",                1,  "203.0.113.5:999" },
        {"1.1.1.1 2.2.2.2",           1,  "203.0.113.5:999" },
        {",,,",                       2,  "203.0.113.5:999" },
        {"",                          1,  "203.0.113.5:999" },
    };
    const struct nu_facts facts = kit.facts;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char lines[256];
        snprintf(lines, sizeof lines, "GET / HTTP/1.1\nHost: a.test\nX-Forwarded-For: %s\n",
                 rows[i].list);
        kit.facts = facts;
        kit.conf.forwarded.trusted_hops = rows[i].hops;
        forward(lines);
        assert_client(rows[i].client);
        nu_http_head_drop(kit.stream.request);
    }
}

/* The facts of the connection are shared by all its requests. */
static void the_connections_own_facts_stay(void **state)
{
    struct nu_facts_more more = {.sni = "a.test"};
    kit.conf.forwarded.trusted_hops = 1;
    kit.facts.more = &more;
    forward("GET / HTTP/1.1\nHost: a.test\nX-Forwarded-For: 198.51.100.7\n");
    assert_ptr_not_equal(kit.facts.more, &more);
    assert_string_equal(kit.facts.more->sni, "a.test");
    assert_int_equal(more.direct.kind, NU_ADDR_NONE);
    assert_int_equal(kit.facts.more->direct.port, 999);
}

static void behind_a_proxy_header_the_socket_stays_the_direct_peer(void **state)
{
    struct nu_facts_more more = {
        .direct = {.kind = NU_ADDR_IP4, .port = 7}
    };
    kit.conf.forwarded.trusted_hops = 1;
    kit.facts.more = &more;
    forward("GET / HTTP/1.1\nHost: a.test\nX-Forwarded-For: 198.51.100.7\n");
    assert_int_equal(kit.facts.more->direct.port, 7);
}

static void hostile_lists_stay_lists(void **state)
{
    enum { FIELDS = 3000, BYTES = 200000 };
    char *lines = calloc(1, FIELDS * 32 + BYTES);
    char *at = stpcpy(lines, "GET / HTTP/1.1\nHost: a.test\n");
    for (int i = 0; i < FIELDS; i++)
        at = stpcpy(at, "X-Forwarded-For: 1.1.1.1\n");
    at = stpcpy(at, "X-Forwarded-For: ");
    memset(at, ',', BYTES);
    strcpy(at + BYTES, "\n");
    kit.conf.forwarded.trusted_hops = NU_FORWARDED_HOPS_MAX;
    forward(lines);
    free(lines);
    const char *value = kit_value(kit.stream.request, "x-forwarded-for");
    assert_int_equal(strlen(value), FIELDS * 8 + BYTES + strlen(",203.0.113.5"));
    assert_string_equal(value + FIELDS * 8 + BYTES, ",203.0.113.5");
    assert_client("203.0.113.5:999");
}

static void peers_of_other_kinds(void **state)
{
    assert_int_equal(nu_addr_parse(&kit.facts.client, "[2001:db8::1]:5", -1), NU_OK);
    forward("GET / HTTP/1.1\nHost: a.test\n");
    assert_value("x-forwarded-for", "2001:db8::1");
    nu_http_head_drop(kit.stream.request);
    kit.facts.client = (struct nu_addr){.kind = NU_ADDR_UNIX};
    forward("GET / HTTP/1.1\nHost: a.test\nX-Forwarded-For: 1.1.1.1\n");
    assert_value("x-forwarded-for", "1.1.1.1");
}

static void ids_are_kept_where_asked(void **state)
{
    static const struct {
        const char *sent; /* NULL: none */
        bool make, keep, stays;
    } rows[] = {
        {"X-Request-ID: mine\n",                     true,  true,  true },
        {"X-Request-ID: mine\n",                     true,  false, false},
        {"X-Request-ID: mine\n",                     false, false, true },
        {"X-Request-ID: mine\nX-Request-ID: mine\n", true,  true,  false},
        {"X-Request-ID:\n",                          true,  true,  false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char lines[256];
        snprintf(lines, sizeof lines, "GET / HTTP/1.1\nHost: a.test\n%s", rows[i].sent);
        kit.conf.forwarded.request_id = rows[i].make;
        kit.conf.forwarded.keep_request_id = rows[i].keep;
        forward(lines);
        const char *id = kit_value(kit.stream.request, "x-request-id");
        assert_int_equal(strcmp(id, "mine") == 0, rows[i].stays);
        assert_true(rows[i].stays || strlen(id) == NU_UUID_BYTES);
        nu_http_head_drop(kit.stream.request);
    }
    char lines[256] = "GET / HTTP/1.1\nHost: a.test\nX-Request-ID: ";
    memset(lines + strlen(lines), 'x', NU_REQUEST_ID_MAX_BYTES + 1);
    strcat(lines, "\n");
    kit.conf.forwarded.request_id = kit.conf.forwarded.keep_request_id = true;
    forward(lines);
    assert_int_equal(strlen(kit_value(kit.stream.request, "x-request-id")), NU_UUID_BYTES);
}

static void ids_are_uuids_and_differ(void **state)
{
    enum { COUNT = 4096 };
    static char ids[COUNT][NU_UUID_BYTES];
    static const char form[] = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    unsigned seen[16] = {0};
    for (int i = 0; i < COUNT; i++) {
        nu_request_id(ids[i]);
        for (int k = 0; k < NU_UUID_BYTES; k++) {
            const char *digits = "0123456789abcdef", *digit = strchr(digits, ids[i][k]);
            if (form[k] == 'x') {
                assert_true(digit && *digit);
                seen[digit - digits]++;
            } else {
                assert_true(form[k] == 'y' ? strchr("89ab", ids[i][k]) != NULL
                                           : ids[i][k] == form[k]);
            }
        }
    }
    qsort(ids, COUNT, sizeof *ids, (int (*)(const void *, const void *))strcmp);
    for (int i = 1; i < COUNT; i++)
        assert_memory_not_equal(ids[i - 1], ids[i], NU_UUID_BYTES);
    for (int i = 0; i < 16; i++) /* 7680 each; 6 sigma are about 510 */
        assert_in_range(seen[i], 7000, 8400);
}

static void via_both_ways(void **state)
{
    kit.conf.forwarded.via = "edge";
    forward("GET / HTTP/1.0\nHost: a.test\nVia: 1.1 a\nVia: 2 b\n");
    assert_value("via", "1.1 a,2 b, 1.0 edge");
    kit_response("HTTP/1.1 200 OK\nDate: then\nServer: x\n");
    nu_forwarded_response(&kit.conf.forwarded, &kit.stream, kit.stream.response);
    assert_string_equal(kit_fields(kit.stream.response),
                        "Date: then\nServer: nuncio\nvia: 1.1 edge\n");
}

/* A field that Connection names is for one connection: ours in its place is not. */
static void what_connection_names(void **state)
{
    kit.conf.forwarded.via = "edge";
    forward("GET / HTTP/1.1\nHost: a.test\nConnection: via\nVia: 1.1 a\n");
    const struct nu_http_field *via = nu_http_get(kit.stream.request, NU_HDR_VIA);
    assert_int_equal(via->flags & NU_HTTP_FIELD_HOP, 0);
    kit_response("HTTP/1.1 200 OK\nConnection: server\nServer: a\n");
    assert_true(nu_http_get(kit.stream.response, NU_HDR_SERVER)->flags & NU_HTTP_FIELD_HOP);
    nu_forwarded_response(&kit.conf.forwarded, &kit.stream, kit.stream.response);
    assert_int_equal(nu_http_get(kit.stream.response, NU_HDR_SERVER)->flags, 0);
}

static void responses(void **state)
{
    kit_request("GET / HTTP/1.1\nHost: a.test\nX-Request-ID: mine\n");
    kit_response("HTTP/1.1 200 OK\nServer: a\nServer: b\n");
    kit.conf.forwarded.show_request_id = true;
    kit.conf.forwarded.server = "";
    nu_forwarded_response(&kit.conf.forwarded, &kit.stream, kit.stream.response);
    assert_string_equal(kit_value(kit.stream.response, "x-request-id"), "mine");
    assert_non_null(strstr(kit_fields(kit.stream.response), "Server: a\nServer: b\ndate: "));
    kit.conf.forwarded.server = "edge";
    kit.conf.forwarded.via = "edge";
    kit.stream.local = true;
    nu_forwarded_response(&kit.conf.forwarded, &kit.stream, kit.stream.response);
    assert_string_equal(kit_value(kit.stream.response, "server"), "edge");
    assert_null(kit_value(kit.stream.response, "via"));
}

static void dates(void **state)
{
    static const struct {
        int64_t second;
        const char *text;
    } rows[] = {
        {784111777,  "Sun, 06 Nov 1994 08:49:37 GMT"},
        {0,          "Thu, 01 Jan 1970 00:00:00 GMT"},
        {951827696,  "Tue, 29 Feb 2000 12:34:56 GMT"},
        {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT"},
    };
    char text[NU_HTTP_DATE_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        nu_http_date_write(text, rows[i].second);
        assert_memory_equal(text, rows[i].text, NU_HTTP_DATE_BYTES);
    }
    struct tm tm = {.tm_year = 0};
    struct nu_text now = nu_http_date_now();
    char copy[NU_HTTP_DATE_BYTES + 1] = "";
    memcpy(copy, now.at, now.len);
    assert_non_null(strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &tm));
    assert_in_range(time(NULL) - timegm(&tm), 0, 60);
}

static void a_rewritten_host_is_told(void **state)
{
    static const struct {
        const char *original, *host, *port;
    } rows[] = {
        {"a.test",           "a.test",           "80"  },
        {"a.test:8080",      "a.test:8080",      "8080"},
        {"[2001:db8::1]",    "[2001:db8::1]",    "80"  },
        {"[2001:db8::1]:81", "[2001:db8::1]:81", "81"  },
        {"",                 NULL,               NULL  },
        {"a\nb",             NULL,               NULL  },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        forward("GET / HTTP/1.1\nHost: b.test\n");
        nu_forwarded_host(kit.stream.request, nu_text(rows[i].original, strlen(rows[i].original)));
        assert_value("x-forwarded-host", rows[i].host);
        assert_value("x-forwarded-port", rows[i].port);
        nu_http_head_drop(kit.stream.request);
    }
    kit.conf.forwarded.trusted_hops = 1;
    forward("GET / HTTP/1.1\nHost: b.test\nX-Forwarded-Host: a.test\nX-Forwarded-Port: 443\n");
    nu_forwarded_host(kit.stream.request, NU_TEXT("b.test"));
    assert_value("x-forwarded-host", "a.test,b.test");
    assert_value("x-forwarded-port", "443");
}

/* A head that is full already gets what has a place in it, and breaks nothing. */
static void a_full_head(void **state)
{
    kit_request("GET / HTTP/1.1\nHost: a.test\nX-Forwarded-For: 1.1.1.1\n");
    struct nu_http_head *head = kit.stream.request;
    while (nu_http_append(head, NU_HDR_ACCEPT, NU_TEXT("accept"), NU_TEXT("x")))
        ;
    kit.conf.forwarded.request_id = true;
    nu_forwarded_request(&kit.conf.forwarded, &kit.stream, &kit.facts);
    assert_value("x-forwarded-for", "1.1.1.1,203.0.113.5");
    assert_value("x-forwarded-proto", NULL);
    assert_true(head->count <= NU_HTTP_FIELDS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(a_plain_request),
        KIT_TEST(claims_of_a_stranger_go),
        KIT_TEST(names_in_disguise_go),
        KIT_TEST(trusted_hops_are_believed),
        KIT_TEST(schemes_of_trusted_hops),
        KIT_TEST(hops_are_counted_from_the_right),
        KIT_TEST(the_connections_own_facts_stay),
        KIT_TEST(behind_a_proxy_header_the_socket_stays_the_direct_peer),
        KIT_TEST(hostile_lists_stay_lists),
        KIT_TEST(peers_of_other_kinds),
        KIT_TEST(ids_are_kept_where_asked),
        KIT_TEST(ids_are_uuids_and_differ),
        KIT_TEST(via_both_ways),
        KIT_TEST(what_connection_names),
        KIT_TEST(responses),
        KIT_TEST(dates),
        KIT_TEST(a_rewritten_host_is_told),
        KIT_TEST(a_full_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
