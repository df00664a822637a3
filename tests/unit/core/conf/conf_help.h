/* For the tests of core/conf: a config from a string, and comparing its report with the words that
 * a user would see. */
#ifndef TESTS_CONF_HELP_H
#define TESTS_CONF_HELP_H

#include "core/conf/schema.h"
#include "core/conf/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline struct nu_conf *conf_of(const char *text)
{
    return nu_conf_from_text("t.yaml", "/etc", text, strlen(text));
}

/* The text as a list of its report lines must be `expected`. */
static inline void assert_report(struct nu_conf *conf, const char *expected)
{
    assert_string_equal(nu_conf_report(conf), expected);
}

/* A row of a table of mistakes: the config and what is said about it. */
struct mistake {
    const char *text, *report;
};

static inline void assert_mistakes(const struct mistake *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct nu_conf *conf = conf_of(rows[i].text);
        assert_true(nu_conf_failed(conf));
        assert_report(conf, rows[i].report);
        nu_conf_free(conf);
    }
}

#endif
