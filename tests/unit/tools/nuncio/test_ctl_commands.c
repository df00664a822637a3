/* Which request a command of ctl is. */
#include "tools/nuncio/ctl_commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void finds_requests(void **state)
{
    static const struct {
        const char *word, *arg, *method, *target;
    } rows[] = {
        {"stats",           NULL,         "GET",  "/stats"                     },
        {"stats",           "a.*b& c",    "GET",  "/stats?filter=a.%2Ab%26%20c"},
        {"stats",           "prometheus", "GET",  "/stats/prometheus"          },
        {"ready",           NULL,         "GET",  "/ready?verbose"             },
        {"reload",          NULL,         "POST", "/reload"                    },
        {"drain",           NULL,         "POST", "/drain_listeners"           },
        {"quit",            NULL,         "POST", "/quitquitquit"              },
        {"log_level",       NULL,         "POST", "/logging"                   },
        {"log_level",       "debug",      "POST", "/logging?level=debug"       },
        {"healthcheck",     "fail",       "POST", "/healthcheck/fail"          },
        {"memory",          NULL,         "GET",  "/memory?format=text"        },
        {"/stats?usedonly", NULL,         "GET",  "/stats?usedonly"            },
    };
    char target[NU_CTL_TARGET_MAX], error[256];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct nu_ctl_command *c =
            nu_ctl_command_find(rows[i].word, rows[i].arg, target, error);
        assert_non_null(c);
        assert_string_equal(c->method, rows[i].method);
        assert_string_equal(target, rows[i].target);
        assert_string_equal(error, "");
    }
    assert_null(nu_ctl_command_find("help", NULL, target, error)->method);
}

static void says_why_not(void **state)
{
    static const struct {
        const char *word, *arg, *said;
    } rows[] = {
        {"",              NULL,  "unknown command \"\": \"help\" lists them"          },
        {"relod",         NULL,  "unknown command \"relod\": did you mean \"reload\"?"},
        {"STATS",         NULL,  "unknown command \"STATS\": did you mean \"stats\"?" },
        {"drain",         "now", "\"drain\" takes no argument"                        },
        {"healthcheck",   NULL,  "\"healthcheck\" needs an argument: fail | ok"       },
        {"a\x1b[1mb",     NULL,  "unknown command \"a?[1mb\": \"help\" lists them"    },
        {"/a b",          NULL,  "\"/a b\" is too long, or no path"                   },
        {"/a\r\nHost: x", NULL,  "\"/a\r\nHost: x\" is too long, or no path"          },
        {"/a",            "b",   "\"/a\" takes no argument"                           },
    };
    char target[NU_CTL_TARGET_MAX], error[256];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_null(nu_ctl_command_find(rows[i].word, rows[i].arg, target, error));
        assert_string_equal(error, rows[i].said);
    }
}

static void nothing_is_too_long(void **state)
{
    static char word[NU_CTL_TARGET_MAX + 1];
    char target[NU_CTL_TARGET_MAX], error[256];
    memset(word, 'x', NU_CTL_TARGET_MAX);
    assert_null(nu_ctl_command_find(word, NULL, target, error));
    assert_true(strlen(error) < 120);
    assert_null(nu_ctl_command_find("stats", word, target, error));
    assert_string_equal(error, "\"stats\" is too long, or no path");
    word[0] = '/';
    assert_null(nu_ctl_command_find(word, NULL, target, error));
    word[NU_CTL_TARGET_MAX - 1] = 0;
    assert_non_null(nu_ctl_command_find(word, NULL, target, error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_requests),
        cmocka_unit_test(says_why_not),
        cmocka_unit_test(nothing_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
