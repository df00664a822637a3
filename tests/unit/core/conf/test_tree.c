/* Files: reading them, names in errors, and folders that paths are relative to. */
#include "tests/unit/core/conf/conf_help.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int set_up(void **state)
{
    char *where = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/nu-conf-XXXXXX",
             where && strlen(where) < 40 ? where : "/var/tmp");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    unlink("a.yaml");
    unlink("pipe");
    return chdir("/") || rmdir(folder);
}

static void put(const char *name, const char *text, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    close(fd);
}

static void a_file_is_named_as_the_user_named_it(void **state)
{
    struct nu_arena *arena = nu_arena_new(256);
    char absolute[100], expected[100];
    snprintf(absolute, sizeof absolute, "%s/a.yaml", folder);
    const char *const names[] = {"a.yaml", "./a.yaml", absolute};
    put("a.yaml", "x: 1\n", 5);
    for (int i = 0; i < 3; i++) {
        struct nu_conf *conf = nu_conf_load(names[i]);
        nu_conf_error(conf, nu_node_get(nu_conf_root(conf), "x"), "no");
        snprintf(expected, sizeof expected, "%s:1:4: x: no\n    1 | x: 1\n      |    ^\n",
                 names[i]);
        assert_report(conf, expected);
        char *real = realpath("a.yaml", NULL);
        assert_string_equal(nu_conf_path(conf, arena, "a.yaml"), real);
        free(real);
        nu_conf_free(conf);
    }
    nu_arena_free(arena);
}

static void what_cannot_be_read_is_an_error(void **state)
{
    static const struct mistake rows[] = {
        {"none.yaml",   "none.yaml: cannot be read: No such file or directory\n"  },
        {"/",           "/: cannot be read: Is a directory\n"                     },
        {"none/a.yaml", "none/a.yaml: cannot be read: No such file or directory\n"},
    };
    for (int i = 0; i < 3; i++) {
        struct nu_conf *conf = nu_conf_load(rows[i].text);
        assert_true(nu_conf_failed(conf));
        assert_null(nu_conf_root(conf));
        assert_report(conf, rows[i].report);
        nu_conf_free(conf);
    }
    nu_conf_free(NULL);
}

/* A pipe has no size to ask for. */
static void a_pipe_is_read_to_its_end(void **state)
{
    int ends[2];
    char name[32], text[60000];
    memset(text, '#', sizeof text);
    memcpy(text + sizeof text - 6, "\nx: 1\n", 6);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, sizeof text), sizeof text);
    close(ends[1]);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    struct nu_conf *conf = nu_conf_load(name);
    assert_report(conf, "");
    assert_string_equal(nu_node_get(nu_conf_root(conf), "x")->text, "1");
    nu_conf_free(conf);
    close(ends[0]);
}

static void a_huge_file_is_not_read_whole(void **state)
{
    put("a.yaml", "", 0);
    assert_int_equal(truncate("a.yaml", 1ll << 40), 0); /* sparse */
    struct nu_conf *conf = nu_conf_load("a.yaml");
    assert_report(conf, "a.yaml: larger than 64 MiB\n");
    nu_conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_named_as_the_user_named_it),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
        cmocka_unit_test(a_pipe_is_read_to_its_end),
        cmocka_unit_test(a_huge_file_is_not_read_whole),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
