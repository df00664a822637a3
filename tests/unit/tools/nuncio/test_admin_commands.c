/* Which command a line of the admin socket names. */
#include "tools/nuncio/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was said, and the command; the caller frees the text. */
static const struct nu_admin_command *find(const char *line, const char **args, char **said)
{
    size_t len;
    FILE *out = open_memstream(said, &len);
    const struct nu_admin_command *command = nu_admin_find(line, args, out);
    fclose(out);
    return command;
}

static void finds_commands_and_arguments(void **state)
{
    static const char *const rows[][3] = {
        {"stats",           "stats",     ""        },
        {"stats  a b",      "stats",     "a b"     },
        {"stats\tcluster.", "stats",     "cluster."},
        {"log_level debug", "log_level", "debug"   },
        {"ready",           "ready",     ""        },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *args;
        char *said;
        const struct nu_admin_command *command = find(rows[i][0], &args, &said);
        assert_non_null(command);
        assert_string_equal(command->name, rows[i][1]);
        assert_string_equal(args, rows[i][2]);
        assert_string_equal(said, "");
        free(said);
    }
}

static void says_why_not(void **state)
{
    static const char *const rows[][2] = {
        {"",          "error: unknown command \"\": \"help\" lists them\n"          },
        {"relod",     "error: unknown command \"relod\": did you mean \"reload\"?\n"},
        {"STATS",     "error: unknown command \"STATS\": did you mean \"stats\"?\n" },
        {"drain now", "error: \"drain\" takes no argument\n"                        },
        {"a\x1b[1mb", "error: unknown command \"a?[1mb\": \"help\" lists them\n"    },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *args;
        char *said;
        assert_null(find(rows[i][0], &args, &said));
        assert_string_equal(said, rows[i][1]);
        free(said);
    }
}

static void shows_no_more_than_a_line_of_a_long_word(void **state)
{
    char line[NU_ADMIN_LINE_MAX + 1], *said;
    const char *args;
    memset(line, 'x', NU_ADMIN_LINE_MAX);
    line[NU_ADMIN_LINE_MAX] = 0;
    assert_null(find(line, &args, &said));
    assert_true(strlen(said) < 120);
    free(said);
}

static void every_row_can_be_run(void **state)
{
    char *help;
    size_t len;
    FILE *out = open_memstream(&help, &len);
    nu_admin_help(out);
    fclose(out);
    for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n")) {
        char name[64], *said;
        const char *args;
        assert_int_equal(sscanf(line, " %63s", name), 1);
        const struct nu_admin_command *command = find(name, &args, &said);
        assert_non_null(command);
        assert_true((command->run != NULL) == (command->need != NU_ADMIN_RELOAD));
        free(said);
    }
    free(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_commands_and_arguments),
        cmocka_unit_test(says_why_not),
        cmocka_unit_test(shows_no_more_than_a_line_of_a_long_word),
        cmocka_unit_test(every_row_can_be_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
