/* Every scalar type: what it takes, and what it says to what it does not take. */
#include "tests/unit/core/conf/conf_help.h"
#include "tests/unit/core/conf/sample.h"

#include <unistd.h>

/* Parses "key: value" by the sample schema; the first line of the report, "" if all is well. */
static void parse(const char *pair, struct sample *s, char line[static 400])
{
    struct nu_conf *conf = conf_of(pair);
    static struct nu_arena *arena;
    nu_arena_free(arena);
    arena = nu_arena_new(1024);
    memset(s, 0, sizeof *s);
    nu_schema_parse(&sample_schema, conf, arena, nu_conf_root(conf), s);
    snprintf(line, 400, "%s", nu_conf_report(conf));
    line[strcspn(line, "\n")] = 0;
    nu_conf_free(conf);
}

static void numbers_and_words_are_stored(void **state)
{
    struct sample s;
    char line[400];
    parse(
        "{on: off, count: \"65535\", wait: 1d, size: 64KiB, rate: 1MiB/s, share: 0.5%, mode: off, "
        "name: 4}",
        &s, line);
    assert_string_equal(line, "");
    assert_false(s.on);
    assert_int_equal(s.count, 65535);
    assert_int_equal(s.wait, 86400000);
    assert_int_equal(s.size, 65536);
    assert_int_equal(s.rate, 1048576);
    assert_true(s.share > 0.00499 && s.share < 0.00501);
    assert_int_equal(s.mode, 0);
    assert_string_equal(s.name, "4");
}

static void booleans_have_six_words(void **state)
{
    static const char *const words[] = {"true",  "on",  "yes", "True",  "ON",
                                        "false", "off", "no",  "False", "NO"};
    struct sample s;
    char text[40], line[400];
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof text, "on: %s", words[i]);
        parse(text, &s, line);
        assert_string_equal(line, "");
        assert_int_equal(s.on, i < 5);
    }
}

static void addresses_and_networks_are_stored(void **state)
{
    struct sample s;
    char line[400], buf[NU_ADDR_TEXT_MAX];
    parse("{address: \"[::1]:80\", network: 10.0.0.0/8}", &s, line);
    assert_string_equal(line, "");
    assert_string_equal(nu_addr_str(&s.address, buf), "[::1]:80");
    assert_int_equal(s.network.prefix, 8);
    parse("address: unix:run/a.sock", &s, line);
    assert_string_equal(nu_addr_str(&s.address, buf), "unix:/etc/run/a.sock");
    parse("address: \"unix:@abstract\"", &s, line);
    assert_string_equal(nu_addr_str(&s.address, buf), "unix:@abstract");
}

static void mistakes_say_what_was_found_and_expected(void **state)
{
    static const struct mistake rows[] = {
        {"on: maybe",                    "on: found \"maybe\", expected on or off"                                },
        {"on: 1",                        "on: found \"1\", expected on or off"                                    },
        {"count: many",                  "count: found \"many\", expected a whole number"                         },
        {"count: 1.5",                   "count: found \"1.5\", expected a whole number"                          },
        {"count: 0x10",                  "count: found \"0x10\", expected a whole number"                         },
        {"count: '-'",                   "count: found \"-\", expected a whole number"                            },
        {"count: [1]",                   "count: found a list, expected a whole number"                           },
        {"count: {a: 1}",                "count: found a map, expected a whole number"                            },
        {"count:",                       "count: found nothing, expected a whole number"                          },
        {"count: ''",                    "count: found \"\", expected a whole number"                             },
        {"count: 0",                     "count: 0 is out of range, expected 1 to 65535"                          },
        {"count: 65536",                 "count: 65536 is out of range, expected 1 to 65535"                      },
        {"limits: {pending: -1}",
         "limits.pending: -1 is out of range, expected no negative number"                                        },
        {"count: 99999999999999999999",  "count: 99999999999999999999 is too large"                               },
        {"wait: 15",                     "wait: found \"15\", expected a duration like 250ms, 15s or 1h, 0 = off" },
        {"wait: 15KiB",
         "wait: found \"15KiB\", expected a duration like 250ms, 15s or 1h, 0 = off"                              },
        {"wait: -1s",                    "wait: found \"-1s\", expected a duration like 250ms, 15s or 1h, 0 = off"},
        {"wait: 2d",                     "wait: 2d is out of range, expected 0 to 1d"                             },
        {"wait: 999999999999d",          "wait: 999999999999d is too large"                                       },
        {"size: 1h",                     "size: found \"1h\", expected a size like 512, 64KiB or 1MiB"            },
        {"size: 511",                    "size: 511 is out of range, expected at least 512"                       },
        {"rate: fast",                   "rate: found \"fast\", expected a rate like 64KiB/s or 1MiB/s"           },
        {"rate: /s",                     "rate: found \"/s\", expected a rate like 64KiB/s or 1MiB/s"             },
        {"share: 0.1",                   "share: found \"0.1\", expected a percentage like 10% or 0.5%"           },
        {"share: 101%",                  "share: 101% is more than 100%"                                          },
        {"share: 99999999999999999999%",
         "share: found \"99999999999999999999%\", expected a percentage like 10% or 0.5%"                         },
        {"name:",                        "name: found nothing, expected a string"                                 },
        {"name: ''",                     "name: must not be empty"                                                },
        {"name: [a]",                    "name: found a list, expected a string"                                  },
        {"mode: requird",                "mode: found \"requird\", expected off, require or optional"             },
        {"mode: ~",                      "mode: found nothing, expected off, require or optional"                 },
        {"address: localhost:80",        "address: found \"localhost:80\", expected an address like "
                                  "127.0.0.1:8080, \"[::1]:8080\" or unix:/path" },
        {"address: 1.2.3.4",             "address: found \"1.2.3.4\", expected an address like "
                             "127.0.0.1:8080, \"[::1]:8080\" or unix:/path"           },
        {"network: 10.0.0.1/8",
         "network: found \"10.0.0.1/8\", expected a network like 10.0.0.0/8 or 2001:db8::/32"                     },
        {"path: ''",                     "path: found \"\", expected the path of a file"                          },
    };
    struct sample s;
    char line[400];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        parse(rows[i].text, &s, line);
        const char *words = strchr(line, ' ');
        assert_non_null(words);
        assert_string_equal(words + 1, rows[i].report);
    }
}

static void guesses_stand_behind_the_caret(void **state)
{
    static const struct mistake rows[] = {
        {"wait: 15 sec",  "t.yaml:1:7: wait: found \"15 sec\", expected a duration like 250ms, 15s "
                         "or 1h, 0 = off\n    1 | wait: 15 sec\n      |       ^^^^^^ did you mean "
                         "\"15s\"?\n"                                              },
        {"size: 64k",     "t.yaml:1:7: size: found \"64k\", expected a size like 512, 64KiB or 1MiB\n"
                      "    1 | size: 64k\n      |       ^^^ did you mean \"64KiB\"?\n"},
        {"mode: optinal", "t.yaml:1:7: mode: found \"optinal\", expected off, require or optional\n"
                          "    1 | mode: optinal\n      |       ^^^^^^^ did you mean "
                          "\"optional\"?\n"                                       },
        {"on: ture",      "t.yaml:1:5: on: found \"ture\", expected on or off\n    1 | on: ture\n"
                     "      |     ^^^^ did you mean \"true\"?\n"                       },
    };
    struct sample s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_conf *conf = conf_of(rows[i].text);
        struct nu_arena *arena = nu_arena_new(1024);
        memset(&s, 0, sizeof s);
        nu_schema_parse(&sample_schema, conf, arena, nu_conf_root(conf), &s);
        assert_report(conf, rows[i].report);
        nu_arena_free(arena);
        nu_conf_free(conf);
    }
}

static void long_values_are_cut_between_characters(void **state)
{
    char text[400] = "count: x", line[400], expected[200];
    for (int i = 0; i < 50; i++)
        strcat(text, "\xc3\xa9");
    struct sample s;
    parse(text, &s, line);
    snprintf(expected, sizeof expected,
             "t.yaml:1:8: count: found \"%.59s...\", expected a whole number", text + 7);
    assert_string_equal(line, expected);
}

static void socket_paths_have_the_kernels_cap(void **state)
{
    char text[200] = "address: unix:", line[400];
    memset(text + 14, 'x', 105);
    struct sample s;
    parse(text, &s, line); /* 105 bytes fit, with /etc/ before them they do not */
    assert_non_null(strstr(line, "is longer than 107 bytes"));
}

static void files_must_be_readable(void **state)
{
    static const struct nu_field fields[] = {
        {.key = "file", .type = NU_FILE},
        {0            }
    };
    static const struct nu_schema schema = {
        .name = "f", .doc = "", .size = sizeof(char *), .fields = fields};
    static const struct mistake rows[] = {
        {"file: passwd",      NULL                                                       },
        {"file: /dev/null",   NULL                                                       },
        {"file: no/such.pem", "cannot read /etc/no/such.pem: No such file or directory\n"},
        {"file: .",           "cannot read /etc/.: Is a directory\n"                     },
        {"file: ''",          "found \"\", expected the path of a file\n"                },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nu_conf *conf = conf_of(rows[i].text);
        struct nu_arena *arena = nu_arena_new(1024);
        const char *path = NULL;
        enum nu_err err = nu_schema_parse(&schema, conf, arena, nu_conf_root(conf), &path);
        assert_int_equal(err, rows[i].report ? NU_ERR_CONFIG : NU_OK);
        if (rows[i].report)
            assert_non_null(strstr(nu_conf_report(conf), rows[i].report));
        else
            assert_int_equal(access(path, R_OK), 0);
        nu_arena_free(arena);
        nu_conf_free(conf);
    }
}

static void percentages_print_as_they_were_written(void **state)
{
    static const char *const rows[] = {"0%", "100%", "10%", "0.5%", "33.333%", "0.000001%"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[40];
        snprintf(text, sizeof text, "share: %s\n", rows[i]);
        struct nu_conf *conf = conf_of(text);
        struct nu_arena *arena = nu_arena_new(1024);
        const char *printed = nu_schema_print(&sample_schema, conf, arena, nu_conf_root(conf));
        assert_non_null(strstr(printed, text));
        nu_arena_free(arena);
        nu_conf_free(conf);
    }
}

static void every_type_has_a_name(void **state)
{
    for (int t = NU_BOOL; t <= NU_CUSTOM; t++)
        assert_true(*nu_type_str(t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_words_are_stored),
        cmocka_unit_test(booleans_have_six_words),
        cmocka_unit_test(addresses_and_networks_are_stored),
        cmocka_unit_test(mistakes_say_what_was_found_and_expected),
        cmocka_unit_test(guesses_stand_behind_the_caret),
        cmocka_unit_test(long_values_are_cut_between_characters),
        cmocka_unit_test(socket_paths_have_the_kernels_cap),
        cmocka_unit_test(files_must_be_readable),
        cmocka_unit_test(percentages_print_as_they_were_written),
        cmocka_unit_test(every_type_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
