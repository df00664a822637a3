/* Answers of our own: how they look by default, to HEAD and without a body, and as a config says.
 */
#include "l7/local_reply.h"

#include "l4/access_log.h"
#include "l7/log_ops.h"
#include "tests/unit/folder.h"
#include "tests/unit/l7/l7_kit.h"

/* What arrived at the left end. */
static struct {
    struct nu_http_head *head;
    char body[2048];
    size_t len;
    bool ended;
    unsigned beyond; /* bytes of the request that got past the answer */
} got;

static void left_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_HEAD) {
        got.head = (struct nu_http_head *)ev->u.head;
    } else if (ev->kind == NU_DATA) {
        assert_true(got.len + ev->u.data.len <= sizeof got.body);
        memcpy(got.body + got.len, ev->u.data.data, ev->u.data.len);
        got.len += ev->u.data.len;
    } else if (ev->kind == NU_END) {
        got.ended = ev->u.end.how == NU_CLEAN;
        nu_done(f, dir);
    }
    nu_ev_free(ev);
}

static void right_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    if (ev->kind == NU_DATA)
        got.beyond += (unsigned)ev->u.data.len;
    nu_ev_free(ev);
}

static struct {
    unsigned status;
    const char *body, *details;
} answer;

static void reply(struct nu_filter *f)
{
    nu_local_reply(f, answer.status, nu_text(answer.body, strlen(answer.body)), answer.details);
}

static void reply_with_fields(struct nu_filter *f)
{
    struct nu_http_head *head = nu_local_reply_head(f, answer.status, strlen(answer.body));
    nu_http_add_known(head, NU_HDR_LOCATION, NU_TEXT("/new"));
    nu_local_reply_send(f, head, nu_text(answer.body, strlen(answer.body)), answer.details);
}

static void leave(struct nu_filter *f)
{
    nu_drop(f, NU_FWD);
}

/* From a new stream's middle. */
static void answered(const char *request, unsigned status, const char *body, bool with_fields)
{
    if (kit.stream.chain)
        nu_loop_settle(&kit.loop);
    if (kit.stream.request)
        nu_http_head_drop(kit.stream.request);
    memset(&got, 0, sizeof got);
    answer.status = status;
    answer.body = body;
    answer.details = "why";
    kit.left.event = left_event;
    kit.right.event = right_event;
    kit.stream.response = NULL;
    kit_request(request);
    kit_stream();
    kit.stream.router = kit.right.self;
    kit.stream.leave = leave;
    nu_call(kit.mid.self, with_fields ? reply_with_fields : reply);
    assert_true(got.ended && got.head && kit.stream.local);
    assert_string_equal(kit.stream.details, "why");
    nu_say(kit.left.self, NU_FWD, "the rest of a body");
    assert_int_equal(got.beyond, 0);
    nu_chain_abort(kit.stream.chain, NU_CAUSE_DRAIN);
}

/* Status, framing, fields and body of the answer. */
static void assert_answer(unsigned status, enum nu_http_body framing, int64_t length,
                          const char *fields, const char *body)
{
    assert_int_equal(got.head->status, status);
    assert_int_equal(got.head->body, framing);
    assert_int_equal(got.head->has_length, length >= 0);
    assert_int_equal(got.head->content_length, length < 0 ? 0 : length);
    assert_string_equal(kit_fields(got.head), fields);
    assert_int_equal(got.len, strlen(body));
    assert_memory_equal(got.body, body, got.len);
}

#define GET  "GET / HTTP/1.1\nHost: a.test\n"
#define HEAD "HEAD / HTTP/1.1\nHost: a.test\n"
#define TEXT "content-type: text/plain\n"

static void as_envoy_does(void **state)
{
    answered(GET, 503, "no healthy upstream", false);
    assert_answer(503, NU_BODY_LENGTH, 19, TEXT, "no healthy upstream");
    assert_true(nu_text_is(got.head->reason, "Service Unavailable"));
    assert_int_equal(kit.stream.status, 503);
    answered(GET, 404, "", false);
    assert_answer(404, NU_BODY_NONE, 0, "", "");
    answered(HEAD, 503, "no healthy upstream", false);
    assert_answer(503, NU_BODY_NONE, 19, TEXT, "");
    answered(GET, 204, "none", false);
    assert_answer(204, NU_BODY_NONE, -1, "", "");
    answered(GET, 304, "none", false);
    assert_answer(304, NU_BODY_NONE, 0, "", "");
    answered(GET, 308, "moved", true);
    assert_answer(308, NU_BODY_LENGTH, 5, "location: /new\n", "moved");
}

static void bodies_of_refusals(void **state)
{
    static const struct {
        unsigned status;
        enum nu_stream_flag flag;
        const char *details, *body;
    } rows[] = {
        {400, NU_FLAG_CLIENT_ERROR, "http1.bad_header",        "Bad Request"           },
        {413, NU_FLAG_CLIENT_ERROR, NULL,                      "Content Too Large"     },
        {400, NU_FLAG_NO_ROUTE,     "path.invalid_escape",     ""                      },
        {408, NU_FLAG_NO_ROUTE,     "request_header_timeout",  "request header timeout"},
        {408, NU_FLAG_TIMEOUT,      "request_overall_timeout", "request timeout"       },
        {504, NU_FLAG_IDLE,         "stream_idle_timeout",     "stream timeout"        },
        {503, NU_FLAG_NO_HEALTHY,   NULL,                      ""                      },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_stream s = {.status = (uint16_t)rows[i].status,
                              .flags = 1u << rows[i].flag,
                              .details = rows[i].details};
        assert_string_equal(nu_local_reply_body(&s), rows[i].body);
    }
}

static void replies_of(const char *text, const char *report)
{
    struct nu_conf *conf = conf_of(text);
    enum nu_err err =
        nu_local_replies_parse(conf, kit.config, nu_conf_root(conf), &kit.conf.replies);
    assert_report(conf, report);
    assert_int_equal(err == NU_OK, *report == 0);
    nu_conf_free(conf);
}

static void the_first_that_fits(void **state)
{
    replies_of(
        "[{status: [404, 4xx], flags: NR, body: none here},\n"
        " {flags: [UF, UH], status_to: 500, body: \"<p>sorry\", content_type: text/html,\n"
        "  headers: {set: {x-code: \"%RESPONSE_CODE% %RESPONSE_FLAGS%\"}, add: {vary: a}}},\n"
        " {status: 5xx, body: \"\"},\n"
        " {headers: {remove: content-type}}]",
        "");
    kit.stream.flags = 1u << NU_FLAG_NO_ROUTE;
    answered(GET, 404, "", false);
    assert_answer(404, NU_BODY_LENGTH, 9, TEXT, "none here");
    answered(GET, 503, "x", false);
    assert_answer(503, NU_BODY_NONE, 0, "", "");
    kit.stream.flags = 1u << NU_FLAG_CONNECT_FAILED | 1u << NU_FLAG_RETRIES;
    answered(GET, 503, "x", false);
    assert_answer(500, NU_BODY_LENGTH, 8, "content-type: text/html\nx-code: 500 UF,URX\nvary: a\n",
                  "<p>sorry");
    answered(HEAD, 503, "x", false);
    assert_answer(500, NU_BODY_NONE, 8, "content-type: text/html\nx-code: 500 UF,URX\nvary: a\n",
                  "");
    kit.stream.flags = 0;
    answered(GET, 404, "x", false);
    assert_answer(404, NU_BODY_LENGTH, 1, "", "x");
    answered(GET, 404, "x", true);
    assert_answer(404, NU_BODY_LENGTH, 1, "location: /new\n", "x");
}

static void a_body_from_a_file(void **state)
{
    char folder[FOLDER_MAX], path[FOLDER_MAX + 16], text[512];
    assert_true(folder_make(folder));
    snprintf(path, sizeof path, "%s/body.html", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("<p>\n", file);
    fclose(file);
    snprintf(text, sizeof text, "{body_file: %s}", path);
    replies_of(text, "");
    answered(GET, 503, "x", false);
    assert_answer(503, NU_BODY_LENGTH, 4, TEXT, "<p>\n");
    folder_remove(folder);
}

static void mistakes(void **state)
{
    static const struct mistake rows[] = {
        {"[{status: 6xx}]",                   "t.yaml:1:11: [0].status: expected a status like 503, or 5xx\n"
                            "    1 | [{status: 6xx}]\n"
                            "      |           ^^^\n"     },
        {"[{status: [50x]}]",                 "t.yaml:1:12: [0].status[0]: expected a status like 503, or 5xx\n"
                              "    1 | [{status: [50x]}]\n"
                              "      |            ^^^\n"},
        {"[{flags: [UX]}]",                   "t.yaml:1:11: [0].flags[0]: found \"UX\", expected UH, UT, UR, UF, UC, "
                            "UO, NR, DI, FI, RL, "
                            "UAEX, DC, URX, SI, DPE, DT or UPE\n"
                            "    1 | [{flags: [UX]}]\n"
                            "      |           ^^\n"      },
        {"[{body: a, body_file: /dev/null}]",
         "t.yaml:1:2: [0]: \"body\" and \"body_file\" exclude each other\n"
         "    1 | [{body: a, body_file: /dev/null}]\n"
         "      |  ^\n"                                                              },
        {"[{content_type: \"a\\nb\"}]",
         "t.yaml:1:17: [0].content_type: no header can have that value\n"
         "    1 | [{content_type: \"a\\nb\"}]\n"
         "      |                 ^^^^^^\n"                                          },
        {"[{status_to: 100}]",
         "t.yaml:1:14: [0].status_to: 100 is out of range, expected 200 to 599\n"
         "    1 | [{status_to: 100}]\n"
         "      |              ^^^\n"                                                },
        {"[{headers: {set: {host: a}}}]",
         "t.yaml:1:19: [0].headers.set: host: the host is changed by `rewrite: {host: ...}` of a "
         "route\n"
         "    1 | [{headers: {set: {host: a}}}]\n"
         "      |                   ^^^^\n"                                          },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        replies_of(rows[i].text, rows[i].report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(as_envoy_does),      KIT_TEST(bodies_of_refusals), KIT_TEST(the_first_that_fits),
        KIT_TEST(a_body_from_a_file), KIT_TEST(mistakes),
    };
    nu_log_ops_l4();
    nu_log_ops_l7();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
