/* Access logs: what each operator writes of a connection, the default formats, files and flushing.
 */
#include "l4/access_log.h"

#include "core/logfile.h"
#include "core/logfmt.h"
#include "tests/filters/probe.h"
#include "tests/unit/core/conf/conf_help.h"
#include "tests/unit/folder.h"

#include <signal.h>
#include <unistd.h>

/* A connection of which everything is known, or nothing; ended by `why`. */
static struct nu_loop loop;
static struct nu_chain *chain;
static struct nu_probe client = {.name = "l"}, probe = {.name = "r"};
static struct nu_access_log *log_of_chain;
static struct nu_logfmt *format;
static char line[NU_LOG_LINE_MAX + 1];

static void closed(struct nu_chain *c, void *ctx)
{
    struct nu_logbuf out = {0};
    if (format) {
        nu_logfmt_write(format, &out, c);
        memcpy(line, out.data, out.len - 1); /* without newline */
        line[out.len - 1] = 0;
    }
    nu_logbuf_free(&out);
    nu_access_log_write(log_of_chain, c);
}

static const struct nu_chain_owner owner = {.closed = closed};

static struct nu_addr addr(const char *text)
{
    struct nu_addr out;
    assert_int_equal(nu_addr_parse(&out, text, -1), NU_OK);
    return out;
}

static void start(bool known)
{
    static struct nu_addr upstream;
    nu_loop_init(&loop, 0);
    upstream = addr("192.0.2.9:443");
    struct nu_facts_exchange exchange = {
        .bytes_in = 1234,
        .bytes_out = 99,
        .cluster = "blue",
        .upstream = &upstream,
        .connect_ms = 5 + 1,
        .attempts = 2,
    };
    struct nu_facts facts = {
        .client = addr("203.0.113.5:999"),
        .local = addr("[2001:db8::1]:8443"),
        .id = 77,
        .start_us = 1700000000123456,
        .start_ms = loop.now_ms,
        .listener = "edge",
        .chain = "web",
        .exchange = &exchange,
    };
    if (!known)
        facts = (struct nu_facts){.id = 77, .start_ms = loop.now_ms};
    struct nu_place places[] = {
        {&nu_probe_left,  &client},
        {&nu_probe_right, &probe }
    };
    chain = nu_chain_new(&loop, places, 2, &facts, &owner, NULL);
    if (!known)
        return;
    struct nu_facts_more *more = nu_chain_facts_more(chain);
    more->sni = "a.test";
    more->alpn = "h2,http/1.1";
    more->transport = NU_TRANSPORT_TLS;
    more->direct = addr("10.0.0.1:2");
}

static void deny(struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_FILTER, NU_SIDE_LOCAL, "10.0.0.1 is \"denied\"");
}

/* Ends it 1500 ms later. */
static void end(bool denied)
{
    nu_loop_advance(&loop, 1500);
    if (denied)
        nu_call(probe.self, deny);
    else
        nu_chain_abort(chain, NU_CAUSE_NONE);
    nu_loop_advance(&loop, 0);
    nu_loop_fini(&loop);
}

static const char *written(const char *text, bool known)
{
    struct nu_arena *arena = nu_arena_new(1024);
    const char *why = NULL;
    if (nu_logfmt_text(&format, arena, text, &why) != NU_OK)
        fail_msg("%s", why);
    start(known);
    end(known);
    format = NULL;
    nu_arena_free(arena);
    return line;
}

struct row {
    const char *op, *known, *unknown;
};

/* Every operator, of a connection of which all is known and of one that nobody knows. */
static const struct row rows[] = {
    {"START_TIME",                                    "2023-11-14T22:13:20.123Z",                    "1970-01-01T00:00:00.000Z"},
    {"START_TIME(%s)",                                "1700000000",                                  "0"                       },
    {"DURATION",                                      "1500",                                        "1500"                    },
    {"BYTES_RECEIVED",                                "1234",                                        "0"                       },
    {"BYTES_SENT",                                    "99",                                          "0"                       },
    {"UPSTREAM_CONNECT_MS",                           "5",                                           "-"                       },
    {"DOWNSTREAM_REMOTE_ADDRESS",                     "203.0.113.5:999",                             "-"                       },
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",        "203.0.113.5",                                 "-"                       },
    {"DOWNSTREAM_REMOTE_PORT",                        "999",                                         "-"                       },
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS",              "10.0.0.1:2",                                  "-"                       },
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", "10.0.0.1",                                    "-"                       },
    {"DOWNSTREAM_DIRECT_REMOTE_PORT",                 "2",                                           "-"                       },
    {"DOWNSTREAM_LOCAL_ADDRESS",                      "[2001:db8::1]:8443",                          "-"                       },
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",         "2001:db8::1",                                 "-"                       },
    {"DOWNSTREAM_LOCAL_PORT",                         "8443",                                        "-"                       },
    {"REQUESTED_SERVER_NAME",                         "a.test",                                      "-"                       },
    {"SNIFFED_ALPN",                                  "h2,http/1.1",                                 "-"                       },
    {"SNIFFED_TRANSPORT",                             "tls",                                         "-"                       },
    {"CONNECTION_ID",                                 "77",                                          "77"                      },
    {"LISTENER",                                      "edge",                                        "-"                       },
    {"FILTER_CHAIN_NAME",                             "web",                                         "-"                       },
    {"UPSTREAM_CLUSTER",                              "blue",                                        "-"                       },
    {"UPSTREAM_HOST",                                 "192.0.2.9:443",                               "-"                       },
    {"UPSTREAM_REMOTE_ADDRESS",                       "192.0.2.9:443",                               "-"                       },
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",          "192.0.2.9",                                   "-"                       },
    {"UPSTREAM_REMOTE_PORT",                          "443",                                         "-"                       },
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT",                "2",                                           "0"                       },
    {"RESPONSE_FLAGS",                                "RBAC",                                        "-"                       },
    {"CLOSE_CAUSE",                                   "filter_denied",                               "-"                       },
    {"CLOSED_BY",                                     "local",                                       "-"                       },
    {"CLOSE_HOW",                                     "cancelled",                                   "clean"                   },
    {"CLOSE_LAYER",                                   "right",                                       "sock"                    },
    {"CLOSE_DETAILS",                                 "10.0.0.1 is \\x22denied\\x22",                "-"                       },
    {"CONNECTION_TERMINATION_DETAILS",                "filter_denied: 10.0.0.1 is \\x22denied\\x22", "-"                       },
    {"RESPONSE_CODE_DETAILS",                         "filter_denied: 10.0.0.1 is \\x22denied\\x22", "-"                       },
    {"RESPONSE_CODE",                                 "0",                                           "0"                       },
    {"PROTOCOL",                                      "-",                                           "-"                       },
    {"REQ(X)",                                        "-",                                           "-"                       },
    {"RESP(X)",                                       "-",                                           "-"                       },
    {"TRAILER(X)",                                    "-",                                           "-"                       },
    {"REQUEST_DURATION",                              "-",                                           "-"                       },
    {"RESPONSE_DURATION",                             "-",                                           "-"                       },
    {"RESPONSE_TX_DURATION",                          "-",                                           "-"                       },
};

static void operators_write_what_is_known(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        snprintf(text, sizeof text, "%%%s%%", rows[i].op);
        assert_string_equal(written(text, true), rows[i].known);
        assert_string_equal(written(text, false), rows[i].unknown);
    }
}

static void the_hosts_name(void **state)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    assert_string_equal(written("%HOSTNAME%", true), name);
}

/* --- files --- */

static char folder[FOLDER_MAX];

static const char *content(const char *name)
{
    static char text[8192];
    char path[FOLDER_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

/* The log that `text`, the value of access_log, makes; relative paths are in the folder. */
static struct nu_access_log *log_from(const char *text)
{
    static const struct nu_field field[] = {
        {.key = "access_log", .type = NU_OBJECT, .flags = NU_LIST, .sub = &nu_access_log_schema},
        {0  }
    };
    static const struct nu_schema schema = {
        .name = "x", .size = sizeof(struct nu_vec), .fields = field};
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_conf *conf = nu_conf_from_text("t.yaml", folder, text, strlen(text));
    struct nu_vec items = {0};
    assert_int_equal(nu_schema_parse(&schema, conf, arena, nu_conf_root(conf), &items), NU_OK);
    struct nu_access_log *log = nu_access_log_new(&items);
    if (log)
        assert_int_equal(nu_access_log_open(log, conf), NU_OK);
    nu_conf_free(conf);
    nu_arena_free(arena);
    return log;
}

static void default_formats(void **state)
{
    log_of_chain = log_from("access_log: [text.log, {path: json.log, format: json}]");
    start(true);
    nu_loop_advance(&loop, 1500);
    nu_call(probe.self, deny);
    nu_loop_advance(&loop, 0);
    nu_access_log_flush(&loop);
    nu_loop_fini(&loop);
    assert_string_equal(
        content("text.log"),
        "[2023-11-14T22:13:20.123Z] edge web 203.0.113.5:999 -> [2001:db8::1]:8443 sni=a.test "
        "alpn=h2,http/1.1 cluster=blue upstream=192.0.2.9:443 in=1234 out=99 ms=1500 flags=RBAC "
        "by=local layer=right cause=filter_denied \"10.0.0.1 is \\x22denied\\x22\" id=77\n");
    assert_string_equal(
        content("json.log"),
        "{\"start_time\":\"2023-11-14T22:13:20.123Z\",\"listener\":\"edge\",\"chain\":\"web\","
        "\"client\":\"203.0.113.5:999\",\"local\":\"[2001:db8::1]:8443\",\"sni\":\"a.test\","
        "\"alpn\":\"h2,http/1.1\",\"cluster\":\"blue\",\"upstream\":\"192.0.2.9:443\","
        "\"bytes_received\":1234,\"bytes_sent\":99,\"duration_ms\":1500,\"flags\":\"RBAC\","
        "\"closed_by\":\"local\",\"layer\":\"right\",\"cause\":\"filter_denied\","
        "\"details\":\"10.0.0.1 is \\\"denied\\\"\",\"connection_id\":77}\n");
    nu_access_log_put(log_of_chain);
    log_of_chain = NULL;
}

static void formats_of_ones_own(void **state)
{
    log_of_chain =
        log_from("access_log:\n"
                 "  - {path: a.log, format: \"%LISTENER% %BYTES_SENT%\"}\n"
                 "  - path: b.log\n"
                 "    json: {l: \"%LISTENER%\", n: \"%BYTES_SENT%\", u: \"%REQ(X)%\"}\n");
    start(true);
    nu_call(probe.self, deny);
    nu_loop_advance(&loop, 0);
    nu_access_log_flush(&loop);
    nu_loop_fini(&loop);
    assert_string_equal(content("a.log"), "edge 99\n");
    assert_string_equal(content("b.log"), "{\"l\":\"edge\",\"n\":99,\"u\":null}\n");
    nu_access_log_put(log_of_chain);
    log_of_chain = NULL;
}

static void lines_leave_after_100_ms(void **state)
{
    log_of_chain = log_from("access_log: {path: c.log, format: \"%CONNECTION_ID%\"}");
    start(true);
    nu_call(probe.self, deny);
    nu_loop_advance(&loop, 0);
    assert_string_equal(content("c.log"), "");
    nu_loop_advance(&loop, NU_LOGFILE_FLUSH_MS - 1);
    assert_string_equal(content("c.log"), "");
    nu_loop_advance(&loop, 1);
    assert_string_equal(content("c.log"), "77\n");
    nu_access_log_flush(&loop);
    nu_loop_fini(&loop);
    nu_access_log_put(nu_access_log_ref(log_of_chain));
    nu_access_log_put(log_of_chain);
    log_of_chain = NULL;
}

static void an_empty_list_is_no_log(void **state)
{
    assert_null(log_from("access_log: []"));
    nu_access_log_put(NULL);
    assert_null(nu_access_log_ref(NULL));
}

static void files_that_cannot_be_opened_are_reported(void **state)
{
    struct nu_arena *arena = nu_arena_new(1024);
    const char *text = "{path: /dev}";
    struct nu_conf *conf = nu_conf_from_text("t.yaml", folder, text, strlen(text));
    struct nu_access_log_conf one = {0};
    assert_int_equal(nu_schema_parse(&nu_access_log_schema, conf, arena, nu_conf_root(conf), &one),
                     NU_OK);
    struct nu_access_log *log = nu_access_log_new(&(struct nu_vec){&one, 1});
    assert_int_equal(nu_access_log_open(log, conf), NU_ERR_CONFIG);
    assert_non_null(strstr(nu_conf_report(conf), "cannot open /dev: Is a directory"));
    nu_access_log_put(log);
    nu_conf_free(conf);
    nu_arena_free(arena);
}

/* A config, and what is said about it, in turn. */
static const char *const mistakes[] = {
    "{path: x, format: text, json: []}",
    "expected a map of 1 to 128 keys",
    "{path: x, json: {a: [b]}}",
    "json.a: found a list, expected a format like \"%DURATION%\"",
    "{path: x, json: {a: \"%REQ%\"}}",
    "json.a: ",
    "{path: x, format: jsn}",
    "did you mean \"json\"?",
    "{path: x, format: \"%NO%\", json: {a: b}}",
    "\"json\" and a format of its own exclude each other",
    "{path: x, format: \"\"}",
    "format: must not be empty",
};

static void mistakes_are_reported(void **state)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i += 2) {
        struct nu_arena *arena = nu_arena_new(1024);
        struct nu_conf *conf = conf_of(mistakes[i]);
        struct nu_access_log_conf one = {0};
        assert_int_equal(
            nu_schema_parse(&nu_access_log_schema, conf, arena, nu_conf_root(conf), &one),
            NU_ERR_CONFIG);
        if (!strstr(nu_conf_report(conf), mistakes[i + 1]))
            fail_msg("no \"%s\" in:\n%s", mistakes[i + 1], nu_conf_report(conf));
        nu_conf_free(conf);
        nu_arena_free(arena);
    }
}

static int make_folder(void **state)
{
    return folder_make(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    folder_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_write_what_is_known),
        cmocka_unit_test(the_hosts_name),
        cmocka_unit_test(default_formats),
        cmocka_unit_test(formats_of_ones_own),
        cmocka_unit_test(lines_leave_after_100_ms),
        cmocka_unit_test(an_empty_list_is_no_log),
        cmocka_unit_test(files_that_cannot_be_opened_are_reported),
        cmocka_unit_test(mistakes_are_reported),
    };
    signal(SIGPIPE, SIG_IGN);
    nu_stats_init(1);
    nu_logfiles_init(1);
    nu_log_ops_l4();
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
