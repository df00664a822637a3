/* Edits of heads: what a config may ask for, what comes of it, and values that would break a line.
 */
#include "l7/head_edit.h"

#include "l4/access_log.h"
#include "l7/log_ops.h"
#include "tests/unit/l7/l7_kit.h"

/* Parses the edits; `report` is what is said of them. */
static const struct nu_head_edits *edits_of(const char *text, const char *report)
{
    const struct nu_head_edits *edits;
    struct nu_conf *conf = conf_of(text);
    enum nu_err err = nu_head_edits_parse(conf, kit.config, nu_conf_root(conf), &edits);
    assert_report(conf, report);
    assert_int_equal(err == NU_OK, *report == 0);
    assert_int_equal(edits != NULL, *report == 0);
    nu_conf_free(conf);
    return edits;
}

/* What a request becomes. */
static const char *edited(const char *lines, const char *text)
{
    if (kit.stream.request)
        nu_http_head_drop(kit.stream.request);
    kit_request(lines);
    if (!kit.stream.chain)
        kit_stream();
    nu_head_edits_apply(edits_of(text, ""), kit.stream.request, kit.stream.chain);
    return kit_fields(kit.stream.request);
}

static void remove_then_set_then_add(void **state)
{
    static const char request[] = "GET / HTTP/1.1\nHost: a.test\nX-A: 1\nX-B: 2\nX-A: 3\n"
                                  "Accept: x\nAccept: y\n";
    assert_string_equal(edited(request, "{remove: [x-a, accept]}"), "Host: a.test\nX-B: 2\n");
    assert_string_equal(edited(request, "{set: {X-A: n, ACCEPT: z, x-new: v}}"),
                        "Host: a.test\nX-B: 2\nx-a: n\naccept: z\nx-new: v\n");
    assert_string_equal(edited(request, "{add: {x-b: 4}, remove: accept}"),
                        "Host: a.test\nX-A: 1\nX-B: 2\nX-A: 3\nx-b: 4\n");
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\nX-A: 1\n",
                               "{add: {x-a: 3}, set: {x-a: 2}, remove: x-a}"),
                        "Host: a.test\nx-a: 2\nx-a: 3\n");
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\nX-A: 1\n",
                               "{set: {x-a: [2, 3]}, add: {x-b: [4, \"\"]}}"),
                        "Host: a.test\nx-a: 2\nx-a: 3\nx-b: 4\nx-b: \n");
    nu_head_edits_apply(NULL, kit.stream.request, kit.stream.chain);
}

static void values_with_operators(void **state)
{
    kit.facts.listener = "edge";
    assert_string_equal(
        edited("GET /p HTTP/1.1\nHost: a.test\nX-A: 1\n",
               "{set: {x-a: \"%REQ(X-A)%2\"}, add: {x-b: \"%LISTENER%: 100%% %REQ(:PATH)%\", "
               "x-c: \"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\"}}"),
        "Host: a.test\nx-a: 12\nx-b: edge: 100% /p\nx-c: 203.0.113.5\n");
}

/* Of the response that is edited, before it is the stream's. */
static void values_about_a_response(void **state)
{
    kit_request("GET / HTTP/1.1\nHost: a.test\n");
    kit_stream();
    struct nu_http_head *head = kit_head("HTTP/1.1 404 Not Found\nX-A: 1\n", true);
    nu_head_edits_apply(edits_of("{set: {x-b: \"%RESPONSE_CODE% %RESP(X-A)% %REQ(HOST)%\"}}", ""),
                        head, kit.stream.chain);
    assert_string_equal(kit_fields(head), "X-A: 1\nx-b: 404 1 a.test\n");
    assert_null(kit.stream.response);
    nu_http_head_drop(head);
}

/* Else a client could say by itself what the edit is to prove. */
static void what_is_unknown_goes(void **state)
{
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\nX-Subject: me\n",
                               "{set: {x-subject: \"%ROUTE_NAME%\"}, add: {x-b: a%ROUTE_NAME%}}"),
                        "Host: a.test\n");
}

static void values_stay_in_their_line(void **state)
{
    static const char text[] = "{set: {x-a: \"%LISTENER%\", x-b: \"(%LISTENER%)\"}}";
    kit.facts.listener = "a\r\nx-evil: 1";
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\n", text), "Host: a.test\n");
    nu_chain_facts(kit.stream.chain)->listener = " \t padded \t";
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\n", text),
                        "Host: a.test\nx-a: padded\nx-b: ( \t padded \t)\n");
    nu_chain_facts(kit.stream.chain)->listener = "\"\\\xff";
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\n", text),
                        "Host: a.test\nx-a: \"\\\xff\nx-b: (\"\\\xff)\n");
}

static void huge_values_are_left_out(void **state)
{
    char *huge = malloc(NU_LOG_LINE_MAX + 8);
    memset(huge, 'x', NU_LOG_LINE_MAX + 7);
    huge[NU_LOG_LINE_MAX + 7] = 0;
    kit.facts.listener = huge;
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\n", "{set: {x-a: \"%LISTENER%\"}}"),
                        "Host: a.test\n");
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\n", "{set: {x-a: \"%LISTENER:3%\"}}"),
                        "Host: a.test\nx-a: xxx\n");
    free(huge);
}

static void a_full_head_takes_no_more(void **state)
{
    kit_request("GET / HTTP/1.1\nHost: a.test\n");
    while (nu_http_append(kit.stream.request, NU_HDR_ACCEPT, NU_TEXT("accept"), NU_TEXT("x")))
        ;
    unsigned count = kit.stream.request->count;
    nu_head_edits_apply(edits_of("{set: {x-a: b}, add: {x-c: \"%CONNECTION_ID%\"}}", ""),
                        kit.stream.request, kit_stream());
    assert_int_equal(kit.stream.request->count, count);
}

static void mistakes(void **state)
{
    static const struct mistake rows[] = {
        {"{set: {host: a}}",
         "t.yaml:1:8: set: host: the host is changed by `rewrite: {host: ...}` of a route\n"
         "    1 | {set: {host: a}}\n"
         "      |        ^^^^\n"                                                                   },
        {"{add: {Content-Length: 1}}",
         "t.yaml:1:8: add: content-length: that header is made by the program itself, for each "
         "connection\n"
         "    1 | {add: {Content-Length: 1}}\n"
         "      |        ^^^^^^^^^^^^^^\n"                                                         },
        {"{remove: [connection]}",
         "t.yaml:1:11: remove[0]: connection: that header is made by the program itself, for each "
         "connection\n"
         "    1 | {remove: [connection]}\n"
         "      |           ^^^^^^^^^^\n"                                                          },
        {"{set: {\"a b\": 1}}",        "t.yaml:1:8: set: \"a b\" is not the name of a header\n"
                                "    1 | {set: {\"a b\": 1}}\n"
                                "      |        ^^^^^\n"            },
        {"{set: {\":path\": 1}}",      "t.yaml:1:8: set: \":path\" is not the name of a header\n"
                                  "    1 | {set: {\":path\": 1}}\n"
                                  "      |        ^^^^^^^\n"      },
        {"{set: {a: \"b\\nc\"}}",
         "t.yaml:1:11: set.a: a header's value has no control characters, and no blanks at its "
         "ends\n"
         "    1 | {set: {a: \"b\\nc\"}}\n"
         "      |           ^^^^^^\n"                                                              },
        {"{set: {a: \"%NONE%\"}}",     "t.yaml:1:11: set.a: unknown operator \"NONE\"\n"
                                   "    1 | {set: {a: \"%NONE%\"}}\n"
                                   "      |           ^^^^^^^^\n"},
        {"{set: {a: [b, {}]}}",        "t.yaml:1:15: set.a[1]: expected a text, or a list of them\n"
                                "    1 | {set: {a: [b, {}]}}\n"
                                "      |               ^\n"         },
        {"{set: [a]}",                 "t.yaml:1:7: set: expected a map of headers and their values\n"
                       "    1 | {set: [a]}\n"
                       "      |       ^\n"                                   },
        {"{sets: {a: b}}",             "t.yaml:1:2: unknown key \"sets\"\n"
                           "    1 | {sets: {a: b}}\n"
                           "      |  ^^^^ did you mean \"set\"?\n"       },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        edits_of(rows[i].text, rows[i].report);
}

static void nothing_asked(void **state)
{
    const struct nu_head_edits *edits = (void *)state;
    assert_int_equal(nu_head_edits_parse(NULL, kit.config, NULL, &edits), NU_OK);
    assert_null(edits);
    assert_string_equal(edited("GET / HTTP/1.1\nHost: a.test\n", "{}"), "Host: a.test\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(remove_then_set_then_add),
        KIT_TEST(values_with_operators),
        KIT_TEST(values_about_a_response),
        KIT_TEST(what_is_unknown_goes),
        KIT_TEST(values_stay_in_their_line),
        KIT_TEST(huge_values_are_left_out),
        KIT_TEST(a_full_head_takes_no_more),
        KIT_TEST(mistakes),
        KIT_TEST(nothing_asked),
    };
    nu_log_ops_l4();
    nu_log_ops_l7();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
