/* Log operators of HTTP: what each shows of a stream, Envoy's default line byte for byte, values
 * that would like to be lines, and that connections without a stream keep theirs. */
#include "l7/log_ops.h"

#include "core/facts.h"
#include "core/logfmt.h"
#include "l7/route/route.h"
#include "tests/unit/l7/l7_kit.h"
#include "tls/log_ops.h"

/* The line in a format about the kit's stream. */
static const char *line_of(const char *format)
{
    static char text[NU_LOG_LINE_MAX + 1];
    struct nu_logbuf line = {.data = NULL};
    struct nu_logfmt *compiled;
    const char *error;
    if (nu_logfmt_text(&compiled, kit.config, format, &error) != NU_OK)
        fail_msg("%s", error);
    nu_logfmt_write(compiled, &line, kit.stream.chain);
    memcpy(text, line.data, line.len - 1);
    text[line.len - 1] = 0;
    nu_logbuf_free(&line);
    return text;
}

/* A request that went well, from Envoy's point of view. */
static void good_request(void)
{
    static struct nu_addr upstream;
    static const struct nu_route route = {.name = "routes[2]"};
    assert_int_equal(nu_addr_parse(&upstream, "10.0.0.1:80", -1), NU_OK);
    kit_request("POST /a?x=1&yy=2&y=%20&z HTTP/1.1\nHost: a.test:8080\nUser-Agent: curl/8.0\n"
                "X-Forwarded-For: 203.0.113.5\nX-Request-ID: id-1\nX-One: 1\nX-One: 2\n"
                "X-Forwarded-Proto: https\n");
    kit_response("HTTP/1.1 201 Created\nContent-Type: text/html\n"
                 "X-Envoy-Upstream-Service-Time: 999\n");
    kit.facts.start_us = 1700000000123456;
    kit.exchange.upstream = &upstream;
    kit.exchange.cluster = "web";
    kit.facts.id = 7;
    kit.stream.route = &route;
    kit.stream.request_bytes = 12;
    kit.stream.response_bytes = 345;
    kit.stream.start_ms = 1000;
    kit.stream.request_ms = 1010;
    kit.stream.first_byte_ms = 1030;
    kit.stream.response_ms = 1045;
    kit.loop.now_ms = 1050;
    kit_stream();
}

static void each_operator(void **state)
{
    static const char *const rows[][2] = {
        {"%REQ(:METHOD)% %REQ(:path)% %REQ(:AUTHORITY)% %REQ(Host)%",
         "POST /a?x=1&yy=2&y=%20&z a.test:8080 a.test:8080"                                                     },
        {"%REQ(:SCHEME)% %REQ(X-ONE)% %REQ(X-TWO)% %REQ(X-TWO?X-ONE)%",              "https 1 - 1"              },
        {"%REQ(USER-AGENT):4% %REQ(X-TWO?X-THREE)%",                                 "curl -"                   },
        {"%REQ_WITHOUT_QUERY(:PATH)% %REQ_WITHOUT_QUERY(X-ONE)%",                    "/a 1"                     },
        {"%QUERY_PARAM(x)% %QUERY_PARAM(y)% %QUERY_PARAM(z)% %QUERY_PARAM(yyy)%",    "1 %20 - -"                },
        {"%RESP(:STATUS)% %RESP(content-type)% %RESP(X)% %TRAILER(X)%",              "201 text/html - -"        },
        {"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %UPSTREAM_SERVICE_MS%",              "20 20"                    },
        {"%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS%",                       "HTTP/1.1 201 via_upstream"},
        {"%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%",                                   "- -"                      },
        {"%BYTES_RECEIVED% %BYTES_SENT%",                                            "12 345"                   },
        {"%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "50 10 30 15"              },
        {"%ROUTE_NAME% %STREAM_ID% %UPSTREAM_CLUSTER%",                              "routes[2] id-1 web"       },
        {"%PROTOCOL% %UPSTREAM_PROTOCOL%",                                           "HTTP/1.1 HTTP/1.1"        },
    };
    good_request();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(line_of(rows[i][0]), rows[i][1]);
    kit.stream.trailers = kit_head("HTTP/1.1 200 OK\nX-Sum: 9\n", true);
    assert_string_equal(line_of("%TRAILER(x-sum)% %TRAILER(y?x-sum)%"), "9 9");
    nu_http_head_drop(kit.stream.trailers);
}

/* Paths end where they are said to; what lies behind is not theirs. */
static void parameters_end_with_the_path(void **state)
{
    static const char path[] = "/?ab=1&ab=2";
    static const struct {
        size_t len;
        const char *value;
    } rows[] = {
        {4,  "-"},
        {5,  "-"},
        {6,  "1"},
        {11, "1"},
        {1,  "-"},
        {2,  "-"},
    };
    good_request();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kit.stream.request->path = nu_text(path, rows[i].len);
        assert_string_equal(line_of("%QUERY_PARAM(ab)%"), rows[i].value);
    }
}

#define GRPC_OPS                                                                                   \
    "%GRPC_STATUS% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% " \
    "%GRPC_STATUS_NUMBER%"

static void statuses_of_grpc(void **state)
{
    good_request();
    assert_string_equal(line_of(GRPC_OPS), "- - - - -");
    kit.stream.grpc = true; /* its server has not said it: what 201 means */
    assert_string_equal(line_of(GRPC_OPS), "Unknown Unknown UNKNOWN 2 2");
    nu_http_add_known(kit.stream.response, NU_HDR_GRPC_STATUS, NU_TEXT("1"));
    assert_string_equal(line_of(GRPC_OPS), "Canceled Canceled CANCELLED 1 1");
    kit.stream.trailers = kit_head("HTTP/1.1 200 OK\nGrpc-Status: 99\n", true);
    assert_string_equal(line_of(GRPC_OPS), "99 99 99 99 99");
    nu_http_head_drop(kit.stream.trailers);
    kit.stream.trailers = kit_head("HTTP/1.1 200 OK\nGrpc-Status: x\n", true);
    assert_string_equal(line_of("%GRPC_STATUS%"), "Canceled");
    nu_http_head_drop(kit.stream.trailers);
    kit.stream.trailers = NULL;
    kit.stream.response->status = 503;
    nu_http_remove_known(kit.stream.response, NU_HDR_GRPC_STATUS);
    assert_string_equal(line_of("%GRPC_STATUS%"), "Unavailable");
    kit.stream.flags = 1u << NU_FLAG_TIMEOUT;
    assert_string_equal(line_of("%GRPC_STATUS%"), "DeadlineExceeded");
    kit.stream.flags = 1u << NU_FLAG_CLIENT_GONE;
    assert_string_equal(line_of("%GRPC_STATUS%"), "Canceled");
}

static void flags_in_envoys_order(void **state)
{
    good_request();
    kit.stream.flags = 1u << NU_FLAG_RETRIES | 1u << NU_FLAG_CONNECT_FAILED;
    assert_string_equal(line_of("%RESPONSE_FLAGS%"), "UF,URX");
    assert_string_equal(line_of("%RESPONSE_FLAGS_LONG%"),
                        "UpstreamConnectionFailure,UpstreamRetryLimitExceeded");
    kit.stream.flags = (1u << NU_FLAG_COUNT) - 1;
    assert_string_equal(line_of("%RESPONSE_FLAGS%"),
                        "UH,UT,UR,UF,UC,UO,NR,DI,FI,RL,UAEX,DC,URX,SI,DPE,DT,UPE");
    assert_null(strstr(line_of("%RESPONSE_FLAGS_LONG%"), "(null)"));
}

/* What is known of a request that nobody answered, and of one that could not be read. */
static void what_is_not_there(void **state)
{
    kit_request("GET / HTTP/1.0\n");
    kit.facts.id = 7;
    kit_stream();
    assert_string_equal(line_of("%REQ(:AUTHORITY)% %REQ(:SCHEME)% %RESP(:STATUS)% %RESP(X)% "
                                "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %PROTOCOL%"),
                        "- - - - 0 - HTTP/1.0");
    assert_string_equal(line_of("%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% "
                                "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %ROUTE_NAME% %STREAM_ID%"),
                        "- - - - - 7");
    nu_http_head_drop(kit.stream.request);
    kit.stream.request = nu_http_head_new(kit.arena);
    kit.stream.request->version = NU_HTTP_1_1;
    kit.stream.details = "http1.codec error\there";
    assert_string_equal(line_of("%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE_DETAILS%"),
                        "- - HTTP/1.1 http1.codec_error_here");
    assert_string_equal(line_of("%QUERY_PARAM(x)% %REQ_WITHOUT_QUERY(:PATH)%"), "- -");
}

static void service_time_is_ours(void **state)
{
    good_request();
    kit.stream.request_ms = 0; /* an early response: Envoy passes on what came */
    assert_string_equal(line_of("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"), "999");
    kit.stream.request_ms = 1031;
    assert_string_equal(line_of("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"), "999");
    kit.stream.request_ms = 1030;
    assert_string_equal(line_of("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"), "0");
    kit.stream.local = true;
    nu_http_remove(kit.stream.response, NU_TEXT("x-envoy-upstream-service-time"));
    assert_string_equal(line_of("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"), "-");
}

static void envoys_default_line(void **state)
{
    good_request();
    assert_string_equal(
        line_of(nu_http_log_defaults.text),
        "[2023-11-14T22:13:20.123Z] \"POST /a?x=1&yy=2&y=%20&z HTTP/1.1\" 201 - 12 345 50 20 "
        "\"203.0.113.5\" \"curl/8.0\" \"id-1\" \"a.test:8080\" \"10.0.0.1:80\"");
    nu_http_add(kit.stream.request, NU_TEXT("x-envoy-original-path"), NU_TEXT("/before"));
    assert_non_null(strstr(line_of(nu_http_log_defaults.text), "\"POST /before HTTP/1.1\""));
}

/* Nobody has to send the server a header for that. */
static void a_rewritten_path_is_logged_as_it_came(void **state)
{
    static const char *const rows[][2] = {
        {"/a/../b?c",           "/a/../b?c"},
        {"http://a.test/a?b=/", "/a?b=/"   },
        {"http://a.test",       "/new"     },
        {"http://a.test?b",     "/new"     },
    };
    static const struct nu_route route = {.rewrite = (const void *)rows};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char lines[128];
        snprintf(lines, sizeof lines, "GET %s HTTP/1.1\nHost: a.test\n", rows[i][0]);
        kit_request(lines);
        kit.stream.request->path = NU_TEXT("/new");
        kit.stream.route = &route;
        if (!kit.stream.chain)
            kit_stream();
        assert_string_equal(line_of("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"), rows[i][1]);
        kit.stream.route = NULL;
        assert_string_equal(line_of("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"), "/new");
        assert_string_equal(line_of("%REQ(X-ENVOY-ORIGINAL-PATH)%"), "-");
        if (i < 3)
            nu_http_head_drop(kit.stream.request);
    }
}

static void the_default_object(void **state)
{
    struct nu_logbuf line = {.data = NULL};
    struct nu_logfmt *compiled;
    const char *error;
    size_t bad;
    good_request();
    assert_int_equal(nu_logfmt_json(&compiled, kit.config, nu_http_log_defaults.json,
                                    nu_http_log_defaults.json_count, &bad, &error),
                     NU_OK);
    nu_logfmt_write(compiled, &line, kit.stream.chain);
    char *text = strndup(line.data, line.len);
    assert_string_equal(
        text,
        "{\"start_time\":\"2023-11-14T22:13:20.123Z\",\"method\":\"POST\","
        "\"path\":\"/a?x=1&yy=2&y=%20&z\",\"protocol\":\"HTTP/"
        "1.1\",\"status\":201,\"flags\":null,\"grpc_status\":null,"
        "\"details\":\"via_upstream\",\"bytes_received\":12,\"bytes_sent\":345,\"duration_ms\":50,"
        "\"service_ms\":20,\"client\":\"203.0.113.5:999\",\"x_forwarded_for\":\"203.0.113.5\","
        "\"user_agent\":\"curl/8.0\",\"request_id\":\"id-1\",\"authority\":\"a.test:8080\","
        "\"route\":\"routes[2]\",\"cluster\":\"web\",\"upstream\":\"10.0.0.1:80\",\"attempts\":0,"
        "\"listener\":null,\"chain\":null,\"connection_id\":7}\n");
    free(text);
    nu_logbuf_free(&line);
}

static void hostile_values_add_no_line(void **state)
{
    enum { HUGE = 40000 };
    char *lines = calloc(1, HUGE + 256);
    char *at = stpcpy(lines, "GET /\"%REQ(X)% HTTP/1.1\nHost: a.test\nUser-Agent: a\"b\\\xff\t\n"
                             "X-Forwarded-For: ");
    memset(at, ',', HUGE);
    strcpy(at + HUGE, "\n");
    kit_request(lines);
    free(lines);
    nu_http_append(kit.stream.request, NU_HDR_REQUEST_ID, NU_TEXT("x-request-id"),
                   NU_TEXT("a\n[2023] forged"));
    kit_stream();
    const char *line = line_of("%REQ(:PATH)% %REQ(USER-AGENT)% %REQ(X-REQUEST-ID)%");
    assert_string_equal(line, "/\\x22%REQ(X)% a\\x22b\\x5c\\xff a\\x0a[2023] forged");
    line = line_of(nu_http_log_defaults.text);
    assert_true(strlen(line) < NU_LOG_LINE_MAX);
    assert_null(strchr(line, '\n'));
    assert_string_equal(line + strlen(line) - strlen(" [cut]"), " [cut]");
    assert_non_null(strstr(line, "\\x0a[2023] forged\" \"a.test\" \"-\""));
}

/* Those of l4 and tls, about connections. */
static void connections_keep_theirs(void **state)
{
    struct nu_facts_exchange exchange = {.bytes_in = 1, .bytes_out = 2};
    struct nu_facts facts = {.id = 9, .exchange = &exchange, .start_ms = 1};
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit.left },
        {&nu_probe_right, &kit.right}
    };
    kit.stream.chain = nu_chain_new(&kit.loop, places, 2, &facts, NULL, NULL);
    kit.loop.now_ms = 5;
    nu_chain_abort(kit.stream.chain, NU_CAUSE_DRAIN);
    assert_string_equal(
        line_of("%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESPONSE_FLAGS% %RESPONSE_CODE% "
                "%RESPONSE_CODE_DETAILS%"),
        "1 2 4 DT 0 drain_timeout");
    assert_string_equal(line_of("%REQ(:PATH)% %RESP(X)% %TRAILER(X)% %PROTOCOL% "
                                "%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%"),
                        "- - - - - - -");
    assert_string_equal(line_of("%ROUTE_NAME% %STREAM_ID% %RESPONSE_FLAGS_LONG% "
                                "%REQ_WITHOUT_QUERY(X)% %QUERY_PARAM(X)%"),
                        "- 9 - - -");
    assert_string_equal(line_of("%UPSTREAM_SERVICE_MS%"), "-");
}

static void names_are_checked(void **state)
{
    static const char *const rows[][2] = {
        {"%REQ(a b)%",       "%REQ%: \"a b\" is not the name of a header"      },
        {"%REQ(X?)%",        "%REQ%: \"\" is not the name of a header"         },
        {"%REQ(:STATUS)%",   "%REQ%: \":status\" is not the name of a header"  },
        {"%RESP(:PATH)%",    "%RESP%: \":path\" is not the name of a header"   },
        {"%TRAILER(:PATH)%", "%TRAILER%: \":path\" is not the name of a header"},
    };
    struct nu_logfmt *compiled;
    const char *error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(nu_logfmt_text(&compiled, kit.config, rows[i][0], &error), NU_ERR_CONFIG);
        assert_string_equal(error, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(each_operator),           KIT_TEST(parameters_end_with_the_path),
        KIT_TEST(flags_in_envoys_order),   KIT_TEST(statuses_of_grpc),
        KIT_TEST(what_is_not_there),       KIT_TEST(service_time_is_ours),
        KIT_TEST(envoys_default_line),     KIT_TEST(a_rewritten_path_is_logged_as_it_came),
        KIT_TEST(the_default_object),      KIT_TEST(hostile_values_add_no_line),
        KIT_TEST(connections_keep_theirs), KIT_TEST(names_are_checked),
    };
    nu_log_ops_l4();
    nu_log_ops_tls();
    nu_log_ops_l7();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
