/* Access log formats: what compiles, what the errors say, and the lines that come out, hostile
 * values included. */
#include "core/addr.h"
#include "core/escape.h"
#include "core/logfmt.h"
#include "core/logtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/seeded.h"

#include <stdlib.h>
#include <string.h>

struct subject {
    const char *peer; /* NULL: absent */
    size_t peer_len;
    int64_t bytes, start_ns;
};

static bool write_peer(struct nu_logbuf *out, const void *subject, const void *arg)
{
    const struct subject *s = subject;
    if (s->peer)
        nu_logbuf_add(out, s->peer, s->peer_len);
    return s->peer != NULL;
}

static bool write_bytes(struct nu_logbuf *out, const void *subject, const void *arg)
{
    const struct subject *s = subject;
    nu_logbuf_i64(out, s->bytes);
    return s->bytes != -1;
}

static bool write_arg(struct nu_logbuf *out, const void *subject, const void *arg)
{
    if (arg)
        nu_logbuf_str(out, arg);
    return arg != NULL;
}

static bool write_start(struct nu_logbuf *out, const void *subject, const void *arg)
{
    nu_logbuf_time(out, arg, ((const struct subject *)subject)->start_ns);
    return true;
}

static enum nu_err prepare_even(struct nu_arena *arena, const char *arg, const void **out,
                                const char **error)
{
    if (strlen(arg) % 2)
        return *error = "odd", NU_ERR_CONFIG;
    *out = nu_arena_printf(arena, "<%s>", arg);
    return NU_OK;
}

static bool write_who(struct nu_logbuf *out, const void *subject, const void *arg)
{
    nu_logbuf_str(out, "anybody");
    return true;
}

static bool write_namesake(struct nu_logbuf *out, const void *subject, const void *arg)
{
    nu_logbuf_str(out, "the peer ");
    return write_peer(out, subject, arg);
}

static bool has_peer(const void *subject)
{
    return ((const struct subject *)subject)->peer != NULL;
}

static const struct nu_log_op others[] = {
    {"WHO", "Who, or anybody.", NU_LOG_TEXT, NU_LOG_ARG_NONE, NULL, write_namesake},
};

static const struct nu_log_op ops[] = {
    {"WHO",   "Who.",       NU_LOG_TEXT,   NU_LOG_ARG_NONE,     NULL,               write_who  },
    {"PEER",  "The peer.",  NU_LOG_TEXT,   NU_LOG_ARG_NONE,     NULL,               write_peer },
    {"BYTES", "Bytes.",     NU_LOG_NUMBER, NU_LOG_ARG_NONE,     NULL,               write_bytes},
    {"REQ",   "A header.",  NU_LOG_TEXT,   NU_LOG_ARG_REQUIRED, NULL,               write_arg  },
    {"EVEN",  "Even args.", NU_LOG_TEXT,   NU_LOG_ARG_REQUIRED, prepare_even,       write_arg  },
    {"OPT",   "May.",       NU_LOG_TEXT,   NU_LOG_ARG_OPTIONAL, NULL,               write_arg  },
    {"START", "Start.",     NU_LOG_TEXT,   NU_LOG_ARG_OPTIONAL, nu_logtime_prepare, write_start},
};

static struct nu_arena *arena;
static struct nu_logbuf line;

static int setup(void **state)
{
    arena = nu_arena_new(1024);
    return 0;
}

static int teardown(void **state)
{
    nu_arena_free(arena);
    nu_logbuf_free(&line);
    return 0;
}

static const char *run(const struct nu_logfmt *format, const struct subject *subject)
{
    nu_logfmt_write(format, &line, subject);
    return nu_arena_strndup(arena, line.data, line.len);
}

static const char *text_line(const char *format, const struct subject *subject)
{
    struct nu_logfmt *compiled;
    const char *error;
    if (nu_logfmt_text(&compiled, arena, format, &error) == NU_OK)
        return run(compiled, subject);
    assert_null(compiled);
    return error;
}

static const char *json_line(const struct nu_logfmt_field *fields, size_t n,
                             const struct subject *subject)
{
    struct nu_logfmt *compiled;
    const char *error;
    size_t bad;
    if (nu_logfmt_json(&compiled, arena, fields, n, &bad, &error) == NU_OK)
        return run(compiled, subject);
    assert_null(compiled);
    return nu_arena_printf(arena, "%zu: %s", bad, error);
}

static void writes_text_lines(void **state)
{
    static const char *const rows[][2] = {
        {"",                              "\n"                                },
        {"plain \\ \"x\"\n\n",            "plain \\ \"x\"\n"                  },
        {"%%",                            "%\n"                               },
        {"100%% %PEER%%%",                "100% peer.test%\n"                 },
        {"%PEER%%BYTES%",                 "peer.test-5\n"                     },
        {"[%PEER:4%] %BYTES%",            "[peer] -5\n"                       },
        {"%REQ(X-A)%|%REQ(:PATH)%",       "X-A|:PATH\n"                       },
        {"%REQ(a(b)c)% %REQ(x):1%",       "a(b)c x\n"                         },
        {"%REQ(a):3%%REQ(b)%",            "ab\n"                              },
        {"%REQ(a%)%",                     "a%\n"                              },
        {"%EVEN(ab)%",                    "<ab>\n"                            },
        {"%OPT% %OPT()% %OPT(z)%",        "-  z\n"                            },
        {"%START%",                       "2009-02-13T23:31:30.123Z\n"        },
        {"%START(%s.%3f %f %1f %Y%%)%",   "1234567890.123 123456789 1 2009%\n"},
        {"%START(%d/%b/%Y:%H:%M:%S %z)%", "13/Feb/2009:23:31:30 +0000\n"      },
    };
    struct subject s = {"peer.test", 9, -5, 1234567890123456789};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(text_line(rows[i][0], &s), rows[i][1]);
    struct subject absent = {NULL, 0, -1, 0};
    assert_string_equal(text_line("%PEER% %PEER:3% %BYTES%", &absent), "- - -\n");
}

static void says_what_is_wrong(void **state)
{
    static const char *const rows[][2] = {
        {"%PEERS%",                             "unknown operator \"PEERS\", did you mean \"PEER\"?"           },
        {"%ZZZZZZZZZ%",                         "unknown operator \"ZZZZZZZZZ\""                               },
        {"%PEER(x)%",                           "%PEER% takes no argument"                                     },
        {"%REQ%",                               "%REQ(...)% needs an argument"                                 },
        {"%REQ()%",                             "%REQ(...)% needs an argument"                                 },
        {"%BYTES:3%",                           "%BYTES% is a number, it cannot be cut"                        },
        {"%PEER:0%",                            "the length of %PEER% must be 1 to 16384"                      },
        {"%PEER:16385%",                        "the length of %PEER% must be 1 to 16384"                      },
        {"%PEER:99999999999999999999%",         "the length of %PEER% must be 1 to 16384"                      },
        {"%EVEN(abc)%",                         "%EVEN%: odd"                                                  },
        {"%START(%Q)%",                         "%START%: unknown time conversion \"%Q\""                      },
        {"%START(%0f)%",                        "%START%: unknown time conversion \"%0\""                      },
        {"%START(%n)%",                         "%START%: unknown time conversion \"%n\""                      },
        {"%START()%",                           "%START%: the time format is empty or gives more than 63 bytes"},
        {"%START(%A%A%A%A%A%A%A%A)%",
         "%START%: the time format is empty or gives more than 63 bytes"                                       },
        {"%START(%f%f%f%f%f)%",                 "%START%: the time format has too many fractions"              },
        {"%START(%s %s %s %s %s %s %s %s %s)%", "%START%: the time format has too many parts"                  },
    };
    static const char *const no_commands[] = {"%",         "50% of",   "%PEER",   "%peer%",
                                              "%PEER:%",   "%PEER:x%", "%REQ(x%", "%REQ(x)",
                                              "%REQ(x):%", "%:5%"};
    struct subject s = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(text_line(rows[i][0], &s), rows[i][1]);
    for (size_t i = 0; i < sizeof no_commands / sizeof *no_commands; i++)
        assert_non_null(strstr(text_line(no_commands[i], &s), "is not a command"));
    struct nu_logfmt_field fields[] = {
        {"a", "x"    },
        {"b", "%PEER"}
    };
    assert_memory_equal(json_line(fields, 2, &s), "1: \"%PEER\" is not", 17);
    char *huge = nu_arena_alloc(arena, NU_LOG_LINE_MAX + 1);
    memset(huge, 'x', NU_LOG_LINE_MAX);
    assert_string_equal(text_line(huge, &s), "the format is longer than a line may be");
    huge[NU_LOG_LINE_MAX - 5000] = 0;
    assert_int_equal(strlen(text_line(huge, &s)), NU_LOG_LINE_MAX - 5000 + 1);
}

static void a_line_of_text_stays_one(void **state)
{
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    struct subject s = {all, sizeof all, 0, 0};
    const char *got = text_line("\"%PEER%\"", &s);
    assert_memory_equal(got, "\"\\x00\\x01", 9);
    assert_non_null(strstr(got, "\\x09\\x0a\\x0b"));
    assert_non_null(strstr(got, " !\\x22#$"));
    assert_non_null(strstr(got, "[\\x5c]"));
    assert_non_null(strstr(got, "~\\x7f\\x80"));
    for (const char *p = got; p[1]; p++)
        assert_in_range(*p, 0x20, 0x7e);
    assert_int_equal(got[strlen(got) - 1], '\n');
}

static void writes_json_lines(void **state)
{
    struct nu_logfmt_field fields[] = {
        {"peer",  "%PEER%"            },
        {"bytes", "%BYTES%"           },
        {"mix",   "%PEER%:%BYTES% 1%%"},
        {"cut",   "%PEER:4%"          },
        {"text",  "a\"b\n"            },
        {"k\"\n", ""                  },
        {"time",  "%START(%s)%"       },
    };
    struct subject s = {"pe\"er", 5, 12, 5000000000};
    assert_string_equal(
        json_line(fields, 7, &s),
        "{\"peer\":\"pe\\\"er\",\"bytes\":12,\"mix\":\"pe\\\"er:12 1%\","
        "\"cut\":\"pe\\\"e\",\"text\":\"a\\\"b\\n\",\"k\\\"\\n\":\"\",\"time\":\"5\"}\n");
    struct subject absent = {NULL, 0, -1, 0};
    assert_string_equal(json_line(fields, 4, &absent),
                        "{\"peer\":null,\"bytes\":null,\"mix\":\"-:- 1%\",\"cut\":null}\n");
    assert_string_equal(json_line(fields, 0, &s), "{}\n");
    struct subject empty = {"", 0, 0, 0};
    assert_string_equal(json_line(fields, 2, &empty), "{\"peer\":\"\",\"bytes\":0}\n");
}

static void escapes_json_strings(void **state)
{
    static const char *const rows[][2] = {
        {"\b\f\n\r\t\x01\x1f\x7f",                "\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f" },
        {"\\\"/",                                 "\\\\\\\"/"                            },
        {"h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc2\x9b",                              "\\u009b"                              },
        {"\xff-\x80",                             "\\ufffd-\\ufffd"                      },
        {"\xc0\xaf",                              "\\ufffd\\ufffd"                       },
        {"\xe0\x80\x80",                          "\\ufffd\\ufffd\\ufffd"                },
        {"\xed\xa0\x80",                          "\\ufffd\\ufffd\\ufffd"                },
        {"\xf4\x90\x80\x80",                      "\\ufffd\\ufffd\\ufffd\\ufffd"         },
        {"\xe2\x82",                              "\\ufffd\\ufffd"                       },
        {"\xe2\x82x",                             "\\ufffd\\ufffdx"                      },
    };
    struct nu_logfmt_field field = {"k", "%PEER%"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct subject s = {rows[i][0], strlen(rows[i][0]), 0, 0};
        const char *expect = nu_arena_printf(arena, "{\"k\":\"%s\"}\n", rows[i][1]);
        assert_string_equal(json_line(&field, 1, &s), expect);
    }
}

static void a_maximum_does_not_split_a_character(void **state)
{
    struct nu_logfmt_field field = {"k", "%PEER:4%"};
    struct subject s = {"ab\xe2\x82\xac", 5, 0, 0};
    assert_string_equal(json_line(&field, 1, &s), "{\"k\":\"ab\"}\n");
    s = (struct subject){"a\xe2\x82\xac!", 5, 0, 0};
    assert_string_equal(json_line(&field, 1, &s), "{\"k\":\"a\xe2\x82\xac\"}\n");
    s = (struct subject){"ab\x80\x80\x80\x80", 6, 0, 0};
    assert_string_equal(json_line(&field, 1, &s), "{\"k\":\"ab\\ufffd\\ufffd\"}\n");
}

/* A value of any size, of any bytes: one line, whole, with what stands behind the value. */
static void long_values_are_cut_and_marked(void **state)
{
    struct seeded r = seeded_start("logfmt");
    struct nu_logfmt_field fields[] = {
        {"a", "%PEER%"  },
        {"b", "x%PEER%x"},
        {"n", "%BYTES%" }
    };
    for (int round = 0; round < 300; round++) {
        size_t len = NU_LOG_LINE_MAX / 8 + seeded_below(&r, NU_LOG_LINE_MAX);
        char *value = malloc(len);
        unsigned kind = seeded_below(&r, 3);
        for (size_t i = 0; i < len; i++)
            value[i] = kind == 0 ? 'x' : kind == 1 ? '\n' : (char)seeded_next(&r);
        struct subject s = {value, len, INT64_MIN, 0};
        const char *json = json_line(fields, 3, &s);
        bool cut = line.cut;
        assert_true(line.len <= NU_LOG_LINE_MAX && strlen(json) == line.len);
        assert_non_null(strstr(json, "x\",\"n\":-9223372036854775808"));
        assert_string_equal(json + line.len - (cut ? 13 : 2), cut ? ",\"cut\":true}\n" : "}\n");
        const char *text = text_line("%PEER% %BYTES%", &s);
        assert_true(line.len <= NU_LOG_LINE_MAX);
        assert_non_null(
            strstr(text, line.cut ? " -9223372036854775808 [cut]\n" : " -9223372036854775808\n"));
        free(value);
    }
    assert_true(line.cap <= 2 * NU_LOG_LINE_MAX);
}

static void a_second_is_kept_per_format(void **state)
{
    struct nu_logfmt *a, *b;
    const char *error;
    assert_int_equal(nu_logfmt_text(&a, arena, "%START(%S.%3f)%", &error), NU_OK);
    assert_int_equal(nu_logfmt_text(&b, arena, "%START(%6f!%S)%", &error), NU_OK);
    struct subject s = {.start_ns = 7000000000};
    assert_string_equal(run(a, &s), "07.000\n");
    s.start_ns += 999999999;
    assert_string_equal(run(a, &s), "07.999\n");
    assert_string_equal(run(b, &s), "999999!07\n");
    s.start_ns += 1;
    assert_string_equal(run(b, &s), "000000!08\n");
    assert_string_equal(run(a, &s), "08.000\n");
    s.start_ns = -1;
    assert_string_equal(run(a, &s), "59.999\n");
}

static void appends_addresses_and_numbers(void **state)
{
    static const char *const rows[] = {"1.2.3.4:5", "255.0.10.100:65535", "[2001:db8::1]:443",
                                       "unix:/x"};
    char with[NU_ADDR_TEXT_MAX], without[NU_ADDR_TEXT_MAX];
    for (size_t i = 0; i < 4; i++) {
        struct nu_addr addr;
        assert_int_equal(nu_addr_parse(&addr, rows[i], -1), NU_OK);
        nu_logbuf_reset(&line);
        nu_logbuf_addr(&line, &addr, true);
        nu_logbuf_char(&line, ' ');
        nu_logbuf_addr(&line, &addr, false);
        nu_logbuf_char(&line, 0);
        assert_string_equal(line.data, nu_arena_printf(arena, "%s %s", nu_addr_str(&addr, with),
                                                       nu_addr_str_ip(&addr, without)));
    }
    struct nu_addr path = {.kind = NU_ADDR_UNIX, .path = "/a by=client b "};
    nu_logbuf_reset(&line);
    nu_logbuf_addr(&line, &path, true);
    nu_logbuf_char(&line, 0);
    assert_string_equal(line.data, "unix:/a%20by=client%20b%20");
    nu_logbuf_reset(&line);
    nu_logbuf_u64(&line, 0);
    nu_logbuf_u64(&line, UINT64_MAX);
    nu_logbuf_i64(&line, INT64_MIN);
    nu_logbuf_char(&line, 0);
    assert_string_equal(line.data, "018446744073709551615-9223372036854775808");
}

/* One operator of two layers: each for its own subjects. */
static void a_layer_stands_in_for_some_subjects(void **state)
{
    struct subject known = {"me", 2, 0, 0}, absent = {NULL, 0, 0, 0};
    assert_string_equal(text_line("%WHO%", &known), "the peer me\n");
    assert_string_equal(text_line("%WHO%", &absent), "anybody\n");
}

static void a_value_is_not_escaped_and_whole_or_nothing(void **state)
{
    static const struct {
        const char *format, *peer, *value; /* value NULL: false */
    } rows[] = {
        {"%PEER%",           "a\"\\\n\xff",       "a\"\\\n\xff"     },
        {"(%PEER:3%) 100%%", "a\xc3\xbc\xc3\xbc", "(a\xc3\xbc) 100%"},
        {"%REQ(x)%%BYTES%",  NULL,                "x7"              },
        {"%REQ(x)%%PEER%",   NULL,                NULL              },
        {"",                 NULL,                ""                },
        {"12345678%BYTES%",  NULL,                NULL              }, /* eight bytes of room */
        {"1234567%BYTES%",   NULL,                "12345677"        },
        {"123456789",        NULL,                NULL              },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct subject s = {rows[i].peer, rows[i].peer ? strlen(rows[i].peer) : 0, 7, 0};
        char room[64];
        struct nu_logbuf buf = {.data = room, .cap = sizeof room, .limit = i < 5 ? 0 : 8};
        struct nu_logfmt *compiled;
        const char *error;
        assert_int_equal(nu_logfmt_text(&compiled, arena, rows[i].format, &error), NU_OK);
        assert_int_equal(nu_logfmt_value(compiled, &buf, &s), rows[i].value != NULL);
        if (rows[i].value) {
            assert_int_equal(buf.len, strlen(rows[i].value));
            assert_memory_equal(room, rows[i].value, buf.len);
        }
        assert_ptr_equal(buf.data, room);
    }
}

static void documents_operators(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    nu_log_ops_markdown(out);
    fclose(out);
    assert_string_equal(text, "| operator | value | meaning |\n|---|---|---|\n"
                              "| `%BYTES%` | number | Bytes. |\n"
                              "| `%EVEN(ARG)%` | text | Even args. |\n"
                              "| `%OPT[(ARG)]%` | text | May. |\n"
                              "| `%PEER%` | text | The peer. |\n"
                              "| `%REQ(ARG)%` | text | A header. |\n"
                              "| `%START[(ARG)]%` | text | Start. |\n"
                              "| `%WHO%` | text | Who, or anybody. |\n");
    free(text);
}

#define FRESH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(writes_text_lines),
        FRESH(says_what_is_wrong),
        FRESH(a_line_of_text_stays_one),
        FRESH(writes_json_lines),
        FRESH(escapes_json_strings),
        FRESH(a_maximum_does_not_split_a_character),
        FRESH(long_values_are_cut_and_marked),
        FRESH(a_second_is_kept_per_format),
        FRESH(appends_addresses_and_numbers),
        FRESH(a_layer_stands_in_for_some_subjects),
        FRESH(a_value_is_not_escaped_and_whole_or_nothing),
        FRESH(documents_operators),
    };
    nu_log_ops_register(ops, sizeof ops / sizeof *ops);
    nu_log_ops_extend(others, sizeof others / sizeof *others, has_peer);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
