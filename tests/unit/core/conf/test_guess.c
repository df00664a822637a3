/* "Did you mean": typos are found, other words are left alone. */
#include "tests/unit/core/conf/conf_help.h"

static void typos_are_found_and_words_are_not(void **state)
{
    static const char *const keys[] = {"cluster", "clusters", "idle_timeout", "name",
                                       "bind",    "tls",      "sni",          "on"};
    static const struct {
        const char *word, *meant;
    } rows[] = {
        {"clster",       "cluster"     },
        {"culster",      "cluster"     },
        {"clustes",      "cluster"     },
        {"Clusters",     "clusters"    },
        {"idle-timeout", "idle_timeout"},
        {"idletimeout",  "idle_timeout"},
        {"idle_timout",  "idle_timeout"},
        {"nmae",         "name"        },
        {"bnd",          "bind"        },
        {"bindd",        "bind"        },
        {"tsl",          "tls"         },
        {"ON",           "on"          },
        {"in",           NULL          },
        {"x",            NULL          },
        {"",             NULL          },
        {"certificate",  NULL          },
        {"timeout",      NULL          },
        {"port",         NULL          },
        {"listeners",    NULL          },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *got = nu_did_you_mean(rows[i].word, keys, sizeof keys / sizeof *keys);
        if ((got != NULL) != (rows[i].meant != NULL) || (got && strcmp(got, rows[i].meant) != 0))
            fail_msg("%s: %s", rows[i].word, got ? got : "nothing");
    }
}

static void long_words_are_no_typos(void **state)
{
    char a[100], b[100];
    memset(a, 'a', sizeof a);
    memset(b, 'a', sizeof b);
    a[64] = b[63] = 0;
    const char *candidate = b;
    assert_ptr_equal(nu_did_you_mean(a, &candidate, 1), b);
    a[64] = 'a';
    a[65] = b[64] = 0;
    assert_null(nu_did_you_mean(a, &candidate, 1));
    candidate = a;
    assert_null(nu_did_you_mean(b, &candidate, 1));
    assert_null(nu_did_you_mean("word", NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typos_are_found_and_words_are_not),
        cmocka_unit_test(long_words_are_no_typos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
