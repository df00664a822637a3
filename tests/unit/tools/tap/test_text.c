/* Lines for people: times, sizes, texts of the wire that no terminal obeys, secrets hidden. */
#include "tools/tap/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tap_out out;

static const char *taken(void)
{
    static char text[4096];
    size_t len = out.buf.len < sizeof text - 1 ? out.buf.len : sizeof text - 1;
    memcpy(text, out.buf.data ? out.buf.data : "", len);
    text[len] = 0;
    nu_logbuf_reset(&out.buf);
    return text;
}

static struct nu_text text_of(const char *text)
{
    return nu_text(text, strlen(text));
}

static void sizes(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0,          "0B"  },
        {43,         "43B" },
        {999,        "999B"},
        {1000,       "1.0k"},
        {1234,       "1.2k"},
        {9949,       "9.9k"},
        {9950,       "10k" },
        {48000,      "48k" },
        {999499,     "999k"},
        {999500,     "1.0M"},
        {5500000,    "5.5M"},
        {UINT64_MAX, "18E" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tap_put_size(&out, rows[i].bytes);
        assert_string_equal(taken(), rows[i].text);
    }
}

static void durations(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0,       "0.0ms" },
        {8100,    "8.1ms" },
        {99940,   "99.9ms"},
        {99960,   "100ms" },
        {241300,  "241ms" },
        {999600,  "1.00s" },
        {1240000, "1.24s" }
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tap_put_duration(&out, rows[i].us * 1000);
        assert_string_equal(taken(), rows[i].text);
    }
}

static void clocks(void **state)
{
    setenv("TZ", "UTC", 1);
    tap_put_clock(&out, INT64_C(1700000000412999999));
    assert_string_equal(taken(), "22:13:20.412");
    tap_put_clock(&out, INT64_C(1700000001000000000));
    assert_string_equal(taken(), "22:13:21.000");
    tap_put_clock(&out, -1);
    assert_string_equal(taken(), "23:59:59.999");
}

static void no_terminal_obeys(void **state)
{
    static const struct {
        const char *in, *shown;
    } rows[] = {
        {"plain \"text\" {1}", "plain \"text\" {1}"  },
        {"a\nb\r\tc",          "a\\nb\\r\\tc"        },
        {"\033[31mred",        "\\x1b[31mred"        },
        {"back\\slash",        "back\\\\slash"       },
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"  },
        {"c1 \xc2\x9b",        "c1 \\xc2\\x9b"       }, /* CSI in one character */
        {"turn \xe2\x80\xae",  "turn \\xe2\\x80\\xae"}, /* right-to-left override */
        {"broken \xff\xc3",    "broken \\xff\\xc3"   },
        {"\x7f",               "\\x7f"               },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tap_put_safe(&out, text_of(rows[i].in), 0);
        assert_string_equal(taken(), rows[i].shown);
    }
    tap_put_safe(&out, NU_TEXT("0123456789"), 4);
    assert_string_equal(taken(), "0123...");
}

static void secrets_are_hidden(void **state)
{
    static const struct {
        const char *name, *value, *shown;
    } rows[] = {
        {"Authorization",                    "Bearer abc.def",                     "Bearer ***"                          },
        {"authorization",                    "Basic dTpw",                         "Basic ***"                           },
        {"proxy-authorization",              "opaque",                             "***"                                 },
        {"cookie",                           "a=1; b=2",                           "a=***; b=***"                        },
        {"Cookie",                           "a=1;b",                              "a=***; ***"                          },
        {"set-cookie",                       "sid=xyz; Path=/; HttpOnly",          "sid=***; Path=/; HttpOnly"           },
        {"x-api-key",                        "k",                                  "***"                                 },
        {"accept",                           "*/*",                                "*/*"                                 },
        {"X-Amz-Security-Token",             "k",                                  "***"                                 },
        {"X-Client-Secret",                  "",                                   ""                                    },
        {"access-control-allow-credentials", "true",                               "true"                                },
        {"Referer",                          "https://u:p@a.test/x?a=1&token=k#b", "https://***@a.test/x?a=1&token=***#b"},
        {"location",                         "//u@a.test",                         "//***@a.test"                        },
        {"location",                         "/a@b?x=//c@d",                       "/a@b?x=//c@d"                        },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tap_put_value(&out, text_of(rows[i].name), text_of(rows[i].value));
        assert_string_equal(taken(), rows[i].shown);
    }
    assert_true(out.hid);
    out.show_secrets = true;
    tap_put_value(&out, NU_TEXT("cookie"), NU_TEXT("a=1"));
    assert_string_equal(taken(), "a=1");
    out.show_secrets = false;
}

static void parameters_are_hidden(void **state)
{
    static const struct {
        const char *target, *shown;
    } rows[] = {
        {"/",                               "/"                                },
        {"/?a=1&API_KEY=k&b",               "/?a=1&API_KEY=***&b"              },
        {"/;jsessionid=1?x=2#id_token=a=b", "/;jsessionid=***?x=2#id_token=***"},
        {"/token=",                         "/token="                          },
        {"/?token=&passwd=",                "/?token=&passwd="                 },
        {"/?tokens=1&monkey=2&key=3",       "/?tokens=1&monkey=2&key=***"      },
        {"http://u:p@a.test?sig=1",         "http://***@a.test?sig=***"        },
        {"a.test:443",                      "a.test:443"                       },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tap_put_safe(&out, tap_masked_target(&out, text_of(rows[i].target)), 0);
        assert_string_equal(taken(), rows[i].shown);
    }
    tap_put_safe(&out, tap_masked_host(&out, NU_TEXT("u:p@a.test")), 0);
    assert_string_equal(taken(), "a.test");
    const struct nu_text form = NU_TEXT("user=a&password=b"),
                         type = NU_TEXT("Application/X-www-form-urlencoded");
    tap_put_safe(&out, tap_masked_body(&out, type, form), 0);
    assert_string_equal(taken(), "user=a&password=***");
    assert_ptr_equal(tap_masked_body(&out, NU_TEXT("text/plain"), form).at, form.at);
    tap_put_safe(
        &out, tap_masked_lines(&out, NU_TEXT("x\r\nCookie: a=1\r\n:b\nAuthorization:Bearer k")), 0);
    assert_string_equal(taken(), "x\\r\\nCookie: a=***\\r\\n:b\\nAuthorization:Bearer ***");
}

static void members_are_hidden(void **state)
{
    static const struct {
        const char *json, *shown;
    } rows[] = {
        {"{\"user\":\"a\",\"password\":\"b\"}",                  "{\"user\":\"a\",\"password\":\"***\"}"},
        {"[{\"access_token\" : \"b\\\"c\",\n\"x\":\"secret\"}]",
         "[{\"access_token\" : \"***\",\\n\"x\":\"secret\"}]"                                           },
        {"{\"a\":[\"token\",\"b\"],\"token\":5}",                "{\"a\":[\"token\",\"b\"],\"token\":5}"},
        {"{\"token\":\"cut",                                     "{\"token\":\"***"                     },
        {"{\"token\":\"",                                        "{\"token\":\""                        },
        {"{\"token\":\"cut\\",                                   "{\"token\":\"***"                     },
        {"{\"token",                                             "{\"token"                             },
        {"\"",                                                   "\""                                   },
        {"{}",                                                   "{}"                                   },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_text json = text_of(rows[i].json);
        tap_put_safe(&out, tap_masked_body(&out, NU_TEXT("application/problem+json"), json), 0);
        assert_string_equal(taken(), rows[i].shown);
    }
    struct nu_text message = tap_masked_message(&out, NU_TEXT("{\"jwt\":\"a\"}"));
    assert_true(nu_text_is(message, "{\"jwt\":\"***\"}"));
    assert_true(nu_text_is(tap_masked_message(&out, NU_TEXT("\"jwt\":\"a\"")), "\"jwt\":\"a\""));
}

static void bodies(void **state)
{
    static const uint8_t text[] = "one\r\ntwo\x1b", bytes[] = {0, 1, 'A', 255};
    tap_put_body(&out, "| ", text, 8);
    assert_string_equal(taken(), "| one\n| two\n");
    tap_put_body(&out, "| ", bytes, sizeof bytes);
    assert_string_equal(taken(),
                        "| 000000  00 01 41 ff                                      ..A.\n");
    assert_true(tap_is_text(text, 8));
    assert_false(tap_is_text(text, 9));
    assert_true(tap_is_text((const uint8_t *)"ab\xe2\x82", 4)); /* cut within a letter */
}

static void colors_are_asked_for(void **state)
{
    tap_put_color(&out, TAP_BAD);
    assert_string_equal(taken(), "");
    out.color = true;
    tap_put_color(&out, TAP_BAD);
    assert_string_equal(taken(), "\033[31m");
    out.color = false;
}

static int clean(void **state)
{
    tap_out_free(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(durations),
        cmocka_unit_test(clocks),
        cmocka_unit_test(no_terminal_obeys),
        cmocka_unit_test(secrets_are_hidden),
        cmocka_unit_test(parameters_are_hidden),
        cmocka_unit_test(members_are_hidden),
        cmocka_unit_test(bodies),
        cmocka_unit_test(colors_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
