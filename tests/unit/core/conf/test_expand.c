/* ${NAME} in scalars. */
#include "tests/unit/core/conf/conf_help.h"

static int set_up(void **state)
{
    setenv("NU_T_HOST", "web.test", 1);
    setenv("NU_T_EMPTY", "", 1);
    setenv("NU_T_BYTES", "\xff", 1);
    setenv("NU_T_DOLLAR", "${NU_T_HOST}", 1);
    unsetenv("NU_T_NONE");
    return 0;
}

static void variables_are_expanded_in_values(void **state)
{
    static const struct {
        const char *text, *value;
    } rows[] = {
        {"${NU_T_HOST}",                   "web.test"          },
        {"'${NU_T_HOST}:80'",              "web.test:80"       },
        {"\"a${NU_T_HOST}b${NU_T_HOST}\"", "aweb.testbweb.test"},
        {"|-\n  x ${NU_T_HOST}",           "x web.test"        },
        {"${NU_T_NONE:-d}",                "d"                 },
        {"\"${NU_T_NONE:-a b: c-}\"",      "a b: c-"           },
        {"${NU_T_EMPTY:-d}",               "d"                 },
        {"\"${NU_T_NONE:-}\"",             ""                  },
        {"\"${NU_T_EMPTY}\"",              ""                  },
        {"${NU_T_DOLLAR}",                 "${NU_T_HOST}"      }, /* once only */
        {"$${NU_T_HOST}",                  "${NU_T_HOST}"      },
        {"a$$b",                           "a$b"               },
        {"a$$$$b",                         "a$$b"              },
        {"\"^/u/[0-9]+$\"",                "^/u/[0-9]+$"       },
        {"$x$1$",                          "$x$1$"             },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[100];
        snprintf(text, sizeof text, "k: %s\n", rows[i].text);
        struct nu_conf *conf = conf_of(text);
        assert_report(conf, "");
        assert_string_equal(nu_conf_root(conf)->child[0]->text, rows[i].value);
        nu_conf_free(conf);
    }
}

static void keys_are_left_alone(void **state)
{
    struct nu_conf *conf = conf_of("\"${NU_T_HOST}\": 1\na$$b: 2\n");
    assert_string_equal(nu_conf_root(conf)->child[0]->key, "${NU_T_HOST}");
    assert_string_equal(nu_conf_root(conf)->child[1]->key, "a$$b");
    nu_conf_free(conf);
}

static void mistakes_are_shown_at_the_variable(void **state)
{
    static const struct mistake rows[] = {
        {"k: [x, 'a ${NU_T_NONE}']\n",
         "t.yaml:1:11: k[1]: ${NU_T_NONE} is not set in the environment and has no default\n"
         "    1 | k: [x, 'a ${NU_T_NONE}']\n      |           ^^^^^^^^^^^^\n"                                      },
        {"k: |\n  one\n  two ${NU_T_NONE}\n",
         "t.yaml:3:7: k: ${NU_T_NONE} is not set in the environment and has no default\n"
         "    3 |   two ${NU_T_NONE}\n      |       ^^^^^^^^^^^^\n"                                                },
        {"k: \"\\x24{NU_T_NONE}\"\n",         /* not to be found in the file as it is */
         "t.yaml:1:4: k: ${NU_T_NONE} is not set in the environment and has no default\n"
         "    1 | k: \"\\x24{NU_T_NONE}\"\n      |    ^^^^^^^^^^^^^^^^^\n"    },
        {"k: ${NU_T_BYTES}\n",                "t.yaml:1:4: k: ${NU_T_BYTES} has a value that is not UTF-8 text\n"
                               "    1 | k: ${NU_T_BYTES}\n      |    ^^^^^^^^^^^^^\n"},
        {"k: a${b\n",                         "t.yaml:1:5: k: ${ lacks its \"}\"; write $${ for a plain ${\n"
                      "    1 | k: a${b\n      |     ^^\n"                                     },
        {"k: a{2}${2}\n",                     "t.yaml:1:8: k: ${2} is not a variable: ${NAME} or ${NAME:-default}; "
                          "write $${ for a plain "
                          "${\n    1 | k: a{2}${2}\n      |        ^^^^\n"                },
        {"k: ${A:?x}\n",
         "t.yaml:1:4: k: ${A:?x} is not a variable: ${NAME} or ${NAME:-default}; write $${ for a "
         "plain ${\n    1 | k: ${A:?x}\n      |    ^^^^^^^\n"                                                      },
        {"k: ${\xc3\xa9}\n",
         "t.yaml:1:4: k: ${\xc3\xa9} is not a variable: ${NAME} or ${NAME:-default}; write $${ for "
         "a plain ${\n    1 | k: ${\xc3\xa9}\n      |    ^^^^\n"                                                   },
        {"k: ${A:-${B}}\n",                   "t.yaml:1:4: k: ${A:-${B} has a variable inside its default\n"
                            "    1 | k: ${A:-${B}}\n      |    ^^^^^^^^^\n"             },
    };
    assert_mistakes(rows, sizeof rows / sizeof *rows);
}

/* 130 KB a variable, 1000 times: more than a config may have. */
static void expansion_has_a_cap(void **state)
{
    char *value = malloc(100001), *text = malloc(20000), *p = text;
    memset(value, 'v', 100000);
    value[100000] = 0;
    setenv("NU_T_BIG", value, 1);
    for (int i = 0; i < 1000; i++)
        p += sprintf(p, "- ${NU_T_BIG}\n");
    struct nu_conf *conf = conf_of(text);
    assert_non_null(strstr(nu_conf_report(conf), "${NU_T_BIG} makes the config too large\n"));
    nu_conf_free(conf);
    unsetenv("NU_T_BIG");
    free(value);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_expanded_in_values),
        cmocka_unit_test(keys_are_left_alone),
        cmocka_unit_test(mistakes_are_shown_at_the_variable),
        cmocka_unit_test(expansion_has_a_cap),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
